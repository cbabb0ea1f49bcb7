//! Budgets that are exceeded as problems: one for each port space of a host.

use tidemark_model::problem::{Problem, ProblemKey, Sureness};
use tidemark_model::{HostId, PortSpaceKey, Timestamp};

use super::Sight;
use super::state_of;
use crate::app::App;
use crate::budgets::Held;
use crate::budgets::standing::sentence_of;
use crate::budgets::track::{Standing, Track};
use crate::incidents::text::{clean, host_name};

/// The kind of these problems.
const KIND: &str = "budget";

/// All budgets that are exceeded, on hosts that are heard.
pub(super) fn problems(app: &App, now: Timestamp) -> Vec<Problem> {
    let exceeded = app.budgets.exceeded().into_iter();
    exceeded
        .filter(|(host, _, _)| state_of(app, *host, now) == "online")
        .filter_map(|(host, (name, space), track)| {
            let held = app.budgets.find(&name)?;
            Some(problem(app, &held, (host, &space), &track))
        })
        .collect()
}

/// What is seen of one budget in one port space that had an incident.
pub(super) fn look(
    app: &App,
    (host, budget, space): (HostId, &str, &PortSpaceKey),
    now: Timestamp,
) -> Sight {
    match state_of(app, host, now) {
        "revoked" => return Sight::HostGone,
        "online" => {}
        _ => return Sight::Unknown,
    }
    // Nobody limits it any more.
    let Some(held) = app.budgets.find(budget) else {
        return Sight::Clear;
    };
    match app.budgets.track(host, &(budget.to_owned(), space.clone())) {
        Some(track) => match track.standing {
            // An excess that goes on after the controller started anew is counted anew, but it has not ended.
            Standing::Exceeded | Standing::Over => {
                Sight::Seen(Box::new(problem(app, &held, (host, space), &track)))
            }
            Standing::Unknown => Sight::Unknown,
            Standing::Within => Sight::Clear,
        },
        None if has_sample(app, host) => Sight::Clear,
        None => Sight::Unknown,
    }
}

/// Whether the newest sample was looked at: what it does not show is then not there any more.
fn has_sample(app: &App, host: HostId) -> bool {
    let at = app
        .live
        .read(host, |live| live.newest.as_ref().map(|(at, _)| *at));
    at.flatten()
        .is_some_and(|at| !app.budgets.is_news(host, at))
}

fn problem(
    app: &App,
    held: &Held,
    (host, space): (HostId, &PortSpaceKey),
    track: &Track,
) -> Problem {
    let budget = &held.budget;
    let mut advice: Vec<String> = budget.advice.iter().map(|advice| clean(advice)).collect();
    advice.push(format!(
        "See who holds what: tidemark describe host {}",
        clean(&host_name(app, host))
    ));
    advice.push(format!(
        "If that much is right, allow it: change the budget {} and apply it again",
        budget.name
    ));
    Problem {
        key: ProblemKey::Budget {
            host,
            budget: budget.name.clone(),
            space: space.clone(),
        },
        kind: KIND.to_owned(),
        hosts: vec![host],
        culprit: track.measurement.culprit.as_deref().map(clean),
        cause: format!(
            "{} holds more than the budget {} allows",
            clean(&budget.subject.to_string()),
            budget.name
        ),
        evidence: sentence_of(track, space),
        reason: None,
        advice,
        since: track.over_since.unwrap_or(held.at),
        is_exhausted: false,
        eta: None,
        at_least: budget.severity,
        sure: Sureness::Measured,
    }
}
