//! Questions to the API while the herd is held, as people and monitoring ask them, and how long the answers took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::field::Field;
use super::flock::Flock;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const LATENCY_US_MAX: u64 = 60_000_000;

/// Hosts whose history is asked for.
const HISTORIES: usize = 50;

/// What is asked, in rotation.
const QUESTIONS: [&str; 5] = ["hosts", "history", "forecast", "status", "metrics"];

/// Whom to ask: addresses of APIs, and a token that all of them take.
#[derive(Clone, Debug)]
pub struct Askable {
    /// As in `http://127.0.0.1:7080`.
    pub servers: Vec<String>,
    /// Of a viewer.
    pub token: String,
    /// Hosts whose history is asked for.
    pub hosts: Vec<String>,
}

impl Askable {
    /// The controllers of a field, with a token of that name, and the first hosts of a flock.
    ///
    /// # Errors
    /// When there is no token to be had.
    pub async fn of(name: &str, field: &Field<'_>, flock: &Flock) -> anyhow::Result<Self> {
        let agents = flock.fleet.agents().iter();
        Ok(Self {
            servers: field.running().map(|one| one.ready.http.clone()).collect(),
            token: field.controller(0)?.token_of(name, "viewer").await?,
            hosts: agents
                .take(HISTORIES)
                .map(|agent| agent.host().to_string())
                .collect(),
        })
    }
}

/// How the answers to one question were.
#[derive(Clone, Debug, Serialize)]
pub struct Answers {
    /// How many came.
    pub answered: u64,
    /// How many did not, or not with success.
    pub failed: u64,
    /// Half took at most this, in milliseconds.
    pub p50_ms: f64,
    /// 99 in a hundred took at most this.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// The answers since they were last taken out.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Mutex<BTreeMap<&'static str, Took>>>);

#[derive(Debug)]
struct Took {
    us: Histogram<u64>,
    failed: u64,
}

impl Asked {
    /// Asks for as long as it is polled.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub async fn ask(self, whom: Askable, per_second: u32) -> anyhow::Result<()> {
        // Each question over a connection of its own, as programs ask that run once.
        let client = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()?;
        let mut ticks = interval(Duration::from_secs(1) / per_second.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = 0_usize;
        loop {
            ticks.tick().await;
            let question = QUESTIONS[turn % QUESTIONS.len()];
            let nth = turn / QUESTIONS.len();
            turn = turn.wrapping_add(1);
            let server = &whom.servers[nth % whom.servers.len()];
            let host = &whom.hosts[nth % whom.hosts.len()];
            let request = client.get(format!("{server}{}", path(question, host)));
            let began = Instant::now();
            let answer = async {
                let answer = request.bearer_auth(&whom.token).send().await?;
                answer.error_for_status()?.bytes().await
            };
            let answer = answer.await;
            self.note(question, began.elapsed(), answer.is_ok());
        }
    }

    fn note(&self, question: &'static str, took: Duration, answered: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_question = all.entry(question).or_default();
        if answered {
            let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            of_question.us.saturating_record(us);
        } else {
            of_question.failed += 1;
        }
    }

    /// Takes the answers out, by question.
    #[must_use]
    pub fn take(&self) -> BTreeMap<&'static str, Answers> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *all);
        taken
            .into_iter()
            .map(|(question, took)| (question, took.figures()))
            .collect()
    }
}

impl Default for Took {
    fn default() -> Self {
        Self {
            us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
                .expect("the bounds are constants that the histogram accepts"),
            failed: 0,
        }
    }
}

impl Took {
    fn figures(&self) -> Answers {
        let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1_000.0;
        Answers {
            answered: self.us.len(),
            failed: self.failed,
            p50_ms: ms(self.us.value_at_quantile(0.5)),
            p99_ms: ms(self.us.value_at_quantile(0.99)),
            max_ms: ms(self.us.max()),
        }
    }
}

fn path(question: &str, host: &str) -> String {
    match question {
        "hosts" => "/api/v1/hosts?limit=200".to_owned(),
        "history" => format!("/api/v1/history?host={host}&metric=in_use&protocol=tcp"),
        "forecast" => "/api/v1/forecast?limit=10".to_owned(),
        "status" => "/api/v1/status".to_owned(),
        _ => "/metrics".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_out_once() {
        let asked = Asked::default();
        asked.note("hosts", Duration::from_millis(10), true);
        asked.note("hosts", Duration::from_millis(1), false);
        let taken = asked.take();
        assert_eq!((taken["hosts"].answered, taken["hosts"].failed), (1, 1));
        assert!((9.9..10.2).contains(&taken["hosts"].max_ms));
        assert!(asked.take().is_empty());
    }
}
