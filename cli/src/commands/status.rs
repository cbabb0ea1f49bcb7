//! `status`: how the controller is.

use serde::Serialize;
use tidemark_model::Timestamp;
use tidemark_model::view::{ControllerView, DeliveryView, LeaderView, StatusView};

use super::Ctx;
use super::show::show;
use crate::failure::Failure;
use crate::render::sheet::{Sheet, Value};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Shows how the controller is.
pub async fn status(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || {
        let status = api.status().await?;
        Ok(Status {
            status,
            server: api.server().to_owned(),
        })
    })
    .await
}

#[derive(Debug, Serialize)]
struct Status {
    server: String,
    #[serde(flatten)]
    status: StatusView,
}

/// What became of records, in one line.
pub fn delivery(delivery: &DeliveryView) -> String {
    let known =
        |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let dropped: u64 = delivery
        .dropped
        .values()
        .fold(0, |sum, count| sum.saturating_add(*count));
    let reasons: Vec<_> = delivery
        .dropped
        .iter()
        .map(|(reason, count)| format!("{} {count}", visible(reason)))
        .collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join(", "))
    };
    format!(
        "{} stored, {dropped} dropped{reasons}, {} in spool, {} duplicates",
        delivery.stored,
        known(delivery.in_spool),
        delivery.duplicates
    )
}

/// Nothing about a database that was never restored.
fn incarnation(incarnation: u64) -> String {
    if incarnation > 1 {
        format!(", restored (incarnation {incarnation})")
    } else {
        String::new()
    }
}

/// The other controllers of the same database, a line each.
fn others(controllers: &[ControllerView], now: Timestamp) -> Vec<(&'static str, String)> {
    let others = controllers.iter().filter(|one| !one.is_this);
    let line = |one: &ControllerView| {
        let (name, version) = (visible(&one.name), visible(&one.version));
        let started = words::relative(one.started_ms, now);
        ("another", format!("{name}, {version}, started {started}"))
    };
    others.map(line).collect()
}

/// Who leads, in one line.
fn leader(leader: &LeaderView, now: Timestamp) -> String {
    let who = match &leader.holder {
        Some(_) if leader.is_this => "this controller".to_owned(),
        Some(holder) => format!("another controller, {}", visible(holder)),
        None if leader.epoch.is_some() => return "nobody at this moment".to_owned(),
        None => return "?".to_owned(),
    };
    let term = leader.epoch.map(|epoch| format!(", term {epoch}"));
    let since = leader
        .since_ms
        .map(|at| format!(", begun {}", words::relative(at, now)));
    format!(
        "{who}{}{}",
        term.unwrap_or_default(),
        since.unwrap_or_default()
    )
}

impl Report for Status {
    fn table(&self, screen: &Screen) -> String {
        let status = &self.status;
        let hosts: Vec<_> = status
            .hosts
            .iter()
            .map(|(state, count)| format!("{count} {}", visible(state)))
            .collect();
        let database = if status.database_ready {
            "● answers"
        } else {
            "○ does not answer"
        };
        let skew_ms = status.clock_ms.saturating_sub(screen.now.unix_ms());
        let clock = match skew_ms {
            -2_000..=2_000 => "agrees with this machine's".to_owned(),
            ahead if ahead > 0 => format!("{} ahead of this machine's", words::span(ahead)),
            behind => format!(
                "{} behind this machine's",
                words::span(behind.saturating_neg())
            ),
        };
        let commit = status
            .commit_us
            .map_or_else(|| "?".to_owned(), |us| format!("{us} us"));
        let mut rows = vec![
            ("server", visible(&self.server)),
            ("version", visible(&status.version)),
            ("started", words::relative(status.started_ms, screen.now)),
            ("clock", clock),
            (
                "database",
                format!(
                    "{} {database}{}",
                    visible(&status.database),
                    incarnation(status.incarnation)
                ),
            ),
            ("leader", leader(&status.leader, screen.now)),
        ];
        rows.extend(others(&status.controllers, screen.now));
        rows.extend([
            (
                "hosts",
                if hosts.is_empty() {
                    "none; add one: tidemark token create".to_owned()
                } else {
                    hosts.join(", ")
                },
            ),
            ("sessions", status.sessions.to_string()),
            ("records", delivery(&status.delivery)),
            (
                "points",
                format!(
                    "{} in {} commits, the last in {commit}",
                    status.points_stored, status.commits
                ),
            ),
        ]);
        rows.iter()
            .map(|(name, value)| format!("{name:<10}{value}\n"))
            .collect()
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let status = &self.status;
        let row = |name: &str, value: Value| vec![Value::text(name), value];
        let mut rows = vec![
            row("version", Value::text(&status.version)),
            row("started_ms", Value::number(status.started_ms)),
            row("clock_ms", Value::number(status.clock_ms)),
            row("database", Value::text(&status.database)),
            row("database_ready", Value::number(status.database_ready)),
            row("incarnation", Value::number(status.incarnation)),
            row("leads", Value::number(status.leader.is_this)),
            row("leader", Value::maybe_text(status.leader.holder.as_deref())),
            row("leader_epoch", Value::maybe(status.leader.epoch)),
            row("leader_since_ms", Value::maybe(status.leader.since_ms)),
            row("controllers", Value::number(status.controllers.len())),
            row("sessions", Value::number(status.sessions)),
            row("stored", Value::number(status.delivery.stored)),
            row("in_spool", Value::maybe(status.delivery.in_spool)),
            row("points_stored", Value::number(status.points_stored)),
            row("commits", Value::number(status.commits)),
            row("commit_us", Value::maybe(status.commit_us)),
        ];
        rows.extend(
            status
                .hosts
                .iter()
                .map(|(state, count)| row(&format!("hosts_{state}"), Value::number(count))),
        );
        let dropped = &status.delivery.dropped;
        rows.extend(
            dropped
                .iter()
                .map(|(reason, count)| row(&format!("dropped_{reason}"), Value::number(count))),
        );
        Sheet {
            header: vec!["name", "value"],
            rows,
        }
    }
}
