//! Forecasts of live hosts as problems: ports that run out by a leak, churn or load, that are exhausted, or that are
//! nearly so without a trend.

use tidemark_model::forecast::{Forecast, Road};
use tidemark_model::problem::{Problem, ProblemKey, Severity, Sureness};
use tidemark_model::{HostId, PortSpaceKey, Timestamp};

use super::Sight;
use crate::app::App;
use crate::incidents::text::clean;
use crate::live::{HostLive, SpaceLive};
use crate::web::words;

/// Without a trend, a port space is a problem when this share of it, in percent, was in use in each of the last minutes.
const HIGH_PERCENT: u64 = 80;
/// ... and stays one until less than this share is.
const RELIEVED_PERCENT: u64 = 70;
/// How many minutes.
const HIGH_MINUTES: usize = 5;

/// The kind of a problem without a trend.
const HIGH: &str = "high";

/// All problems that forecasts see, of hosts that are heard.
pub(super) fn problems(app: &App, now: Timestamp) -> Vec<Problem> {
    let mut problems = Vec::new();
    for id in app.live.ids() {
        app.live.read(id, |host| {
            if host.state(now) != "online" {
                return;
            }
            let of_host = host
                .spaces
                .iter()
                .filter_map(|(key, space)| problem(host, key, space, now));
            problems.extend(of_host);
        });
    }
    problems
}

/// What forecasts see of one port space that had `before`.
pub(super) fn look(
    app: &App,
    (host, space): (HostId, &PortSpaceKey),
    before: &Problem,
    now: Timestamp,
) -> Sight {
    let look = |host: &HostLive| match host.state(now) {
        "revoked" => Sight::HostGone,
        "online" => sight(host, space, before, now),
        _ => Sight::Unknown,
    };
    app.live.read(host, look).unwrap_or(Sight::HostGone)
}

fn sight(host: &HostLive, key: &PortSpaceKey, before: &Problem, now: Timestamp) -> Sight {
    if host.newest.is_none() {
        return Sight::Unknown;
    }
    // A namespace that a sample does not show any more is gone, and its ports with it.
    let Some(space) = host.spaces.get(key) else {
        return Sight::Clear;
    };
    if let Some(problem) = problem(host, key, space, now) {
        return Sight::Seen(Box::new(problem));
    }
    if before.kind == HIGH && is_in_use(space, RELIEVED_PERCENT) {
        return Sight::Seen(Box::new(high(host, key, space, now)));
    }
    // The detector knows the floor as soon as it knows enough to say that nothing rises.
    if space.forecast.floor_ports_per_hour.is_some() {
        Sight::Clear
    } else {
        Sight::Unknown
    }
}

fn problem(
    host: &HostLive,
    key: &PortSpaceKey,
    space: &SpaceLive,
    now: Timestamp,
) -> Option<Problem> {
    match space.forecast.road {
        Some(road) => Some(of_road(host, key, space, (road, now))),
        None if was_high(space, now) => Some(high(host, key, space, now)),
        None => None,
    }
}

fn of_road(
    host: &HostLive,
    key: &PortSpaceKey,
    space: &SpaceLive,
    (road, now): (Road, Timestamp),
) -> Problem {
    let forecast = &space.forecast;
    let ports = ports_of(key);
    let name = clean(&host.profile.name);
    let culprit = forecast.culprit.as_deref().map(clean);
    let (cause, advice) = match road {
        Road::Leak => leak(&ports, culprit.as_deref()),
        Road::Churn => churn(&ports, culprit.as_deref()),
        Road::Load => load(&ports, culprit.as_deref()),
        Road::Saturated => saturated(&ports, culprit.as_deref()),
    };
    let mut problem = base(host, key, now);
    problem.kind = road.as_str().to_owned();
    problem.culprit = culprit;
    problem.cause = cause;
    problem.evidence = evidence(space, forecast);
    problem.advice = advice;
    problem
        .advice
        .push(format!("See who holds what: tidemark describe host {name}"));
    problem.is_exhausted = road == Road::Saturated;
    problem.eta = forecast.eta;
    problem.sure = if road == Road::Saturated {
        Sureness::Measured
    } else {
        Sureness::Interval
    };
    problem
}

fn high(host: &HostLive, key: &PortSpaceKey, space: &SpaceLive, now: Timestamp) -> Problem {
    let mut problem = base(host, key, now);
    problem.cause = format!(
        "{} or more of its {} are in use, and no trend explains it yet",
        words::percent(space.level.in_use(), space.level.capacity),
        ports_of(key)
    );
    problem.evidence = evidence(space, &space.forecast);
    problem.advice = vec![
        format!(
            "See who holds what: tidemark describe host {}",
            clean(&host.profile.name)
        ),
        "If this level is usual here, widen the dynamic range".to_owned(),
    ];
    problem.at_least = Severity::Warning;
    problem
}

fn base(host: &HostLive, key: &PortSpaceKey, now: Timestamp) -> Problem {
    Problem {
        key: ProblemKey::Ports {
            host: host.profile.id,
            space: key.clone(),
        },
        kind: HIGH.to_owned(),
        hosts: vec![host.profile.id],
        culprit: None,
        cause: String::new(),
        evidence: vec![],
        advice: vec![],
        since: now,
        is_exhausted: false,
        eta: None,
        at_least: Severity::Info,
        sure: Sureness::Measured,
        reason: None,
    }
}

fn evidence(space: &SpaceLive, forecast: &Forecast) -> Vec<String> {
    vec![
        format!(
            "{} of {} ports are in use, {} of them in TIME_WAIT alone",
            words::count(space.level.in_use()),
            words::count(space.level.capacity),
            words::count(space.level.time_wait),
        ),
        clean(&forecast.explanation),
    ]
}

/// `TCP ports`, with the namespace when it is not the agent's own.
fn ports_of(key: &PortSpaceKey) -> String {
    let protocol = key.protocol.as_str().to_uppercase();
    if key.namespace.as_ref() == tidemark_model::port::OWN_NAMESPACE {
        format!("{protocol} ports")
    } else {
        format!("{protocol} ports in {}", clean(&key.namespace))
    }
}

fn leak(ports: &str, culprit: Option<&str>) -> (String, Vec<String>) {
    let who = culprit.unwrap_or("something that is not known yet");
    let restart = culprit.map_or_else(
        || "Find what holds the ports, and restart it before they run out".to_owned(),
        |name| format!("Restart {name} before the ports run out; they come back at once"),
    );
    (
        format!("{who} takes {ports} and does not give them back"),
        vec![restart],
    )
}

fn churn(ports: &str, culprit: Option<&str>) -> (String, Vec<String>) {
    let whither = culprit.map_or_else(String::new, |remote| format!(" to {remote}"));
    (
        format!("connections{whither} open and close faster than TIME_WAIT lets their {ports} go"),
        vec![
            format!("Let the program that connects{whither} keep or pool its connections"),
            "Until then, widen the dynamic range".to_owned(),
        ],
    )
}

fn load(ports: &str, culprit: Option<&str>) -> (String, Vec<String>) {
    let who = culprit.map_or_else(String::new, |name| format!(", most of it {name}'s"));
    (
        format!("load grows{who}, until its daily peak needs every one of the {ports}"),
        vec!["Widen the dynamic range, or spread the load over more hosts".to_owned()],
    )
}

fn saturated(ports: &str, culprit: Option<&str>) -> (String, Vec<String>) {
    let (who, what) = culprit.map_or_else(
        || (String::new(), "what holds the most".to_owned()),
        |name| (format!("; {name} has the most"), name.to_owned()),
    );
    (
        format!("no {ports} are left for new connections{who}"),
        vec![format!(
            "Free ports now: restart {what}; new connections fail until then"
        )],
    )
}

fn is_in_use(space: &SpaceLive, percent: u64) -> bool {
    is_share(space.level.in_use(), space.level.capacity, percent)
}

fn is_share(in_use: u32, capacity: u32, percent: u64) -> bool {
    capacity > 0
        && u64::from(in_use).saturating_mul(100) >= u64::from(capacity).saturating_mul(percent)
}

fn was_high(space: &SpaceLive, now: Timestamp) -> bool {
    is_in_use(space, HIGH_PERCENT)
        && space
            .last_hour
            .until(now)
            .iter()
            .rev()
            .take(HIGH_MINUTES)
            .all(|minute| {
                minute.is_some_and(|in_use| is_share(in_use, space.level.capacity, HIGH_PERCENT))
            })
}
