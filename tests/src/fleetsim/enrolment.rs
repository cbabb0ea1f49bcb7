//! Enrols hosts at a steady pace, many at once, and tries again what may pass by itself.

use std::sync::Arc;
use std::time::Duration;

use tidemark_agent::enroll::{EnrollError, enroll};
use tidemark_agent::identity::Vault;
use tidemark_agent::link::Dialer;
use tidemark_model::{HostFacts, JoinToken};
use tidemark_runtime::Entropy;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;

/// Enrolments under way at once.
const AT_ONCE_MAX: usize = 64;
/// Attempts of one host before it is given up; with the pauses between them about 25 s.
const ATTEMPTS_MAX: u32 = 8;
/// The first pause between two attempts; each is twice the one before.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// Refusals that are named in the report.
const REASONS_MAX: usize = 5;

/// What came of enrolling many hosts.
#[derive(Debug, Default)]
pub struct Enrolled {
    /// Those that have a certificate, in the order they were given.
    pub hosts: Vec<(HostFacts, Vault)>,
    /// How many were refused or never reached the controller.
    pub refused: u64,
    /// Why, the first few.
    pub reasons: Vec<String>,
}

/// Enrols `hosts`, at most `per_second` of them a second, until `stop`.
pub async fn enrol_all(
    door: &Door,
    hosts: Vec<HostFacts>,
    progress: &Progress,
    stop: &CancellationToken,
) -> Enrolled {
    let mut enrolled = Enrolled::default();
    let mut places: Vec<Option<(HostFacts, Vault)>> = Vec::new();
    places.resize_with(hosts.len(), || None);
    let mut under_way = JoinSet::new();
    let mut pace = interval(Duration::from_secs(1) / door.per_second.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waiting = hosts.into_iter().enumerate();
    while waiting.len() > 0 || !under_way.is_empty() {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = pace.tick(), if under_way.len() < AT_ONCE_MAX && waiting.len() > 0 => {
                if let Some((place, facts)) = waiting.next() {
                    let door = door.clone();
                    under_way.spawn(async move { (place, door.admit(facts).await) });
                }
            }
            Some(ended) = under_way.join_next() => {
                match ended {
                    Ok((place, Ok(host))) => {
                        if let Some(free) = places.get_mut(place) {
                            *free = Some(host);
                        }
                    }
                    Ok((_, Err(error))) => enrolled.refuse(error.to_string()),
                    Err(error) => enrolled.refuse(format!("the enrolment broke off: {error}")),
                }
                progress.advance(1);
            }
        }
    }
    enrolled.hosts = places.into_iter().flatten().collect();
    enrolled
}

/// Where hosts are let in.
#[derive(Clone, Debug)]
pub struct Door {
    /// How the controller is reached.
    pub dialer: Arc<Dialer>,
    /// What lets them in.
    pub token: JoinToken,
    /// Enrolments begun a second, at least 1.
    pub per_second: u32,
}

impl Door {
    async fn admit(&self, facts: HostFacts) -> Result<(HostFacts, Vault), EnrollError> {
        let vault = Vault::in_memory(self.token.ca_pin)?;
        let mut pause = PAUSE_FIRST;
        for _ in 1..ATTEMPTS_MAX {
            match enroll(&self.dialer, &vault, &self.token, &facts).await {
                Ok(_) => return Ok((facts, vault)),
                Err(error) if !error.is_passing() => return Err(error),
                Err(error) => tracing::debug!(%error, host = %facts.name, "enrolment tried again"),
            }
            let spread = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            let jitter = Duration::from_millis(Entropy::System.below(spread));
            tokio::time::sleep(pause / 2 + jitter).await;
            pause = pause.saturating_mul(2);
        }
        enroll(&self.dialer, &vault, &self.token, &facts).await?;
        Ok((facts, vault))
    }
}

impl Enrolled {
    fn refuse(&mut self, reason: String) {
        self.refused = self.refused.saturating_add(1);
        if self.reasons.len() < REASONS_MAX && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}
