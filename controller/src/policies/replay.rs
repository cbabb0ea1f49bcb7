//! What a policy would have done over history: when its condition held for long enough, as far as history can tell. One
//! firing for each time without a break: whether it would have helped, nobody knows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tidemark_history::Window;
use tidemark_history::query::{Agg, EntityFilter, GroupBy, Limits, Query, SeriesResult, Step};
use tidemark_model::policy::{Condition, Policy, SpaceFilter};
use tidemark_model::time::duration_ms;
use tidemark_model::view::{PolicyReplay, ReplayFiring};
use tidemark_model::{Entity, HostId, Metric, Timestamp};
use tidemark_store::{IncidentQuery, Standing, StoreError};

use super::hosts_of_one;
use super::sight::RELIEVED_PERCENT;
use crate::app::App;
use crate::incidents::text::host_name;
use crate::query::HistoryError;

/// Days that are looked at without asking for others.
pub const DAYS: u64 = 30;
/// Most of them: events and incidents are kept for as long.
pub const DAYS_MAX: u64 = 90;

/// Hosts whose levels are looked at.
const HOSTS_MAX: usize = 100;
/// ... of them at once: a step's values of all of them are held together.
const HOSTS_AT_ONCE: usize = 25;
/// What lasts for less is not seen.
const STEP: Duration = Duration::from_secs(300);
const DAY_MS: i64 = 86_400_000;
/// Firings that are listed.
const FIRINGS_MAX: usize = 200;
const EVENTS_MAX: u32 = 20_000;
const INCIDENTS_PAGE: u32 = 1_000;
const INCIDENTS_MAX: usize = 20_000;

/// A time in which a condition held, in unix milliseconds: from the first until before the second.
type Span = (i64, i64);

/// Times in which a condition held, by host, oldest first.
type Spans = BTreeMap<HostId, Vec<Span>>;

/// Looks back over so many days.
///
/// # Errors
/// [`HistoryError`] when the store cannot be read.
pub async fn replay(app: &App, policy: &Policy, days: u64) -> Result<PolicyReplay, HistoryError> {
    let now = app.clock.now();
    let from = now.saturating_sub(Duration::from_secs(days.saturating_mul(86_400)));
    let hosts = hosts_of_one(app, policy, now);
    let mut answer = PolicyReplay {
        name: policy.name().to_owned(),
        from_ms: from.unix_ms(),
        to_ms: now.unix_ms(),
        unknown: None,
        note: String::new(),
        hosts: hosts.len() as u64,
        hosts_left_out: 0,
        fired: 0,
        escalated: 0,
        firings: Vec::new(),
    };
    let range = Window { from, to: now };
    let spans = match &policy.condition {
        Condition::Level { percent, space } => {
            let looked_at = hosts.iter().take(HOSTS_MAX).copied().collect::<Vec<_>>();
            answer.hosts = looked_at.len() as u64;
            answer.hosts_left_out = hosts.len().saturating_sub(looked_at.len()) as u64;
            "levels are looked at in steps of 5 minutes, and one counts where it was reached throughout"
                .clone_into(&mut answer.note);
            levels(app, (*percent, space), &looked_at, range).await?
        }
        Condition::Event {
            source,
            code,
            within,
        } => {
            "events are looked at as they are stored, for 90 d".clone_into(&mut answer.note);
            events(app, (source, *code, *within), &hosts, range).await?
        }
        Condition::Incident { kind } => {
            "incidents are looked at from when they were first opened to when they ended, for 90 d"
                .clone_into(&mut answer.note);
            incidents(app, kind, &hosts, range).await?
        }
        Condition::EtaWithin { .. }
        | Condition::EtaBeforeWindow { .. }
        | Condition::Finding { .. }
        | Condition::Budget { .. } => {
            let why = format!(
                "history does not keep when it could be said that {}; level, event and incident can be replayed",
                policy.condition
            );
            answer.hosts = 0;
            answer.unknown = Some(why);
            return Ok(answer);
        }
    };
    for (host, spans) in spans {
        let name = host_name(app, host);
        for (since_ms, fired_ms, escalated) in firings(&spans, policy) {
            answer.fired += u64::from(!escalated);
            answer.escalated += u64::from(escalated);
            answer.firings.push(ReplayFiring {
                host: host.to_string(),
                host_name: name.clone(),
                since_ms,
                fired_ms,
                escalated,
            });
        }
    }
    answer.firings.sort_by_key(|one| one.fired_ms);
    answer.firings.truncate(FIRINGS_MAX);
    Ok(answer)
}

/// When a policy would have fired: since when, when, and whether it would have been once too often.
fn firings(spans: &[Span], policy: &Policy) -> Vec<(i64, i64, bool)> {
    let (hold_ms, cooldown_ms) = (duration_ms(policy.hold), duration_ms(policy.cooldown));
    let mut found: Vec<(i64, i64, bool)> = Vec::new();
    for (since, end) in spans {
        let last = found.iter().rev().find(|(_, _, escalated)| !escalated);
        let cooled = last.map_or(i64::MIN, |(_, at, _)| at.saturating_add(cooldown_ms));
        let at = since.saturating_add(hold_ms).max(cooled);
        if at >= *end {
            continue;
        }
        let in_day = found
            .iter()
            .filter(|(_, fired, escalated)| !escalated && at.saturating_sub(*fired) < DAY_MS);
        let is_too_often = in_day.count() >= policy.spec.limits.per_day as usize;
        found.push((*since, at, is_too_often));
    }
    found
}

async fn levels(
    app: &App,
    (percent, space): (u8, &SpaceFilter),
    hosts: &[HostId],
    range: Window,
) -> Result<Spans, HistoryError> {
    let query = |metric, agg| Query {
        metric,
        entities: EntityFilter {
            protocol: Some(space.protocol),
            ..EntityFilter::default()
        },
        range,
        step: Step::Of(STEP),
        agg,
        across: None,
        group_by: GroupBy::Series,
        top: None,
        compare_offset: None,
        limits: Limits::default(),
    };
    let mut spans = Spans::new();
    for part in hosts.chunks(HOSTS_AT_ONCE) {
        let in_use = app.query(query(Metric::InUse, Agg::Min), part).await?;
        let capacity = app.query(query(Metric::Capacity, Agg::Max), part).await?;
        let capacities: HashMap<(Option<HostId>, Option<&Entity>), &SeriesResult> = capacity
            .series
            .iter()
            .map(|one| ((one.host, one.entity.as_ref()), one))
            .collect();
        for series in &in_use.series {
            let key = (series.host, series.entity.as_ref());
            let is_meant = series
                .entity
                .as_ref()
                .and_then(Entity::space)
                .is_some_and(|key| space.takes(key));
            if let (Some(host), Some(capacity), true) =
                (series.host, capacities.get(&key), is_meant)
            {
                let held = reached(&series.points, &capacity.points, percent);
                spans.entry(host).or_default().extend(held);
            }
        }
    }
    Ok(all_merged(spans))
}

/// When the lowest level of each step was reached; a step without a value breaks it.
fn reached(
    in_use: &[(i64, Option<f64>)],
    capacity: &[(i64, Option<f64>)],
    percent: u8,
) -> Vec<Span> {
    let capacity: HashMap<i64, f64> = capacity
        .iter()
        .filter_map(|(at, value)| Some((*at, (*value)?)))
        .collect();
    let step_ms = duration_ms(STEP);
    let mut spans: Vec<Span> = Vec::new();
    let mut goes_on = false;
    for (at, value) in in_use {
        let whole = capacity.get(at).copied().filter(|whole| *whole > 0.0);
        // What was reached goes on until it is clearly over, as it does with what is live.
        let relieved = if goes_on { RELIEVED_PERCENT } else { 100 };
        goes_on = value.zip(whole).is_some_and(|(value, whole)| {
            value * 10_000.0 >= whole * f64::from(percent) * f64::from(relieved)
        });
        if goes_on {
            spans.push((*at, at.saturating_add(step_ms)));
        }
    }
    merged(spans)
}

async fn events(
    app: &App,
    (source, code, within): (&str, u32, Duration),
    hosts: &[HostId],
    range: Window,
) -> Result<Spans, StoreError> {
    let mut tx = app.store.read().await?;
    let told = tx
        .events_of_kind((source, code), range.from, EVENTS_MAX)
        .await?;
    let hosts: HashSet<&HostId> = hosts.iter().collect();
    let mut spans = Spans::new();
    for (host, at, _) in told {
        if hosts.contains(&host) {
            let span = (at.unix_ms(), at.saturating_add(within).unix_ms());
            spans.entry(host).or_default().push(span);
        }
    }
    Ok(all_merged(spans))
}

async fn incidents(
    app: &App,
    kind: &str,
    hosts: &[HostId],
    range: Window,
) -> Result<Spans, StoreError> {
    let hosts: HashSet<&HostId> = hosts.iter().collect();
    let mut spans = Spans::new();
    let (mut before, mut read) = (None, 0_usize);
    while read < INCIDENTS_MAX {
        let mut tx = app.store.read().await?;
        let page = tx
            .incidents_page(&IncidentQuery {
                before,
                state: None,
                standing: Standing::Any,
                severity: None,
                host: None,
                since: Some(range.from),
                limit: INCIDENTS_PAGE,
            })
            .await?;
        let Some(last) = page.last() else {
            break;
        };
        before = Some(last.id);
        read = read.saturating_add(page.len());
        for incident in page.iter().filter(|one| one.problem.kind == kind) {
            let end: Timestamp = incident.state.resolved_at().unwrap_or(range.to);
            let span = (incident.opened_at.unix_ms(), end.unix_ms());
            for host in &incident.problem.hosts {
                if hosts.contains(host) {
                    spans.entry(*host).or_default().push(span);
                }
            }
        }
    }
    Ok(all_merged(spans))
}

fn all_merged(spans: Spans) -> Spans {
    let each = spans.into_iter();
    each.map(|(host, spans)| (host, merged(spans))).collect()
}

/// Spans that run into each other as one, oldest first.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match merged.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            Some(_) | None => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn policy(limits: serde_json::Value) -> Policy {
        let spec = json!({
            "name": "a", "hosts": ["host=*"], "condition": {"level": 90}, "for": "10m", "limits": limits,
            "ladder": [{"action": "collect_evidence", "with": ["seconds=5"]}],
        });
        Policy::read(serde_json::from_value(spec).unwrap()).unwrap()
    }

    #[test]
    fn each_unbroken_time_fires_once_when_it_lasts_and_has_cooled_down() {
        let policy = policy(json!({"cooldown": "30m", "per_day": 24}));
        let spans = [
            (0, 9 * MINUTE),
            (20 * MINUTE, 60 * MINUTE),
            (61 * MINUTE, 65 * MINUTE),
            (66 * MINUTE, 500 * MINUTE),
        ];
        let fired: Vec<i64> = firings(&spans, &policy)
            .iter()
            .map(|(_, at, _)| at / MINUTE)
            .collect();
        assert_eq!(fired, [30, 76]);
        let spans = [(0, 15 * MINUTE), (20 * MINUTE, 60 * MINUTE)];
        let fired = firings(&spans, &policy);
        assert_eq!(fired[1], (20 * MINUTE, 40 * MINUTE, false), "it cools down");
    }

    #[test]
    fn once_too_often_in_a_day_is_an_escalation_and_a_day_later_is_not() {
        let policy = policy(json!({"cooldown": "0s", "per_day": 2}));
        let hours = [0, 2, 4, 30];
        let spans: Vec<Span> = hours
            .iter()
            .map(|hour| (hour * 60 * MINUTE, (hour * 60 + 20) * MINUTE))
            .collect();
        let escalated: Vec<bool> = firings(&spans, &policy)
            .into_iter()
            .map(|(_, _, escalated)| escalated)
            .collect();
        assert_eq!(escalated, [false, false, true, false]);
    }

    #[test]
    fn a_level_counts_step_by_step_goes_on_to_95_percent_and_breaks_at_a_gap() {
        let step = duration_ms(STEP);
        let points = |values: &[Option<f64>]| -> Vec<(i64, Option<f64>)> {
            (0..)
                .map(|at| at * step)
                .zip(values.iter().copied())
                .collect()
        };
        let in_use = [
            Some(89.0),
            Some(90.0),
            Some(86.0),
            Some(85.0),
            Some(95.0),
            None,
            Some(95.0),
        ];
        let capacity = [Some(100.0); 7];
        let spans = reached(&points(&in_use), &points(&capacity), 90);
        assert_eq!(
            spans,
            [(step, 3 * step), (4 * step, 5 * step), (6 * step, 7 * step)]
        );
        assert_eq!(
            reached(&points(&in_use), &[], 90),
            [],
            "of an unknown capacity"
        );
    }
}
