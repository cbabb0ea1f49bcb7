//! An incident in words: host, cause, since when, until when, how sure, what to do. Times are UTC, with the relative one
//! beside it.

use tidemark_model::forecast::Eta;
use tidemark_model::incident::{Incident, IncidentState, Resolution};
use tidemark_model::problem::{Problem, ProblemKey, Sureness};
use tidemark_model::{HostId, Timestamp, runbook};

use crate::app::App;
use crate::web::words;

/// Hosts that are named; the others are counted.
const NAMES_MAX: usize = 5;

/// Longest text of one name or explanation, in characters.
const CHARS_MAX: usize = 1_000;

/// A text of somebody else's without what could pass for something else: control characters, and marks that turn the
/// direction of writing.
#[must_use]
pub fn clean(text: &str) -> String {
    let is_hostile = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    text.chars()
        .take(CHARS_MAX)
        .map(|c| if is_hostile(c) { ' ' } else { c })
        .collect()
}

/// The hosts of an incident, by name as far as they are few.
#[must_use]
pub fn hosts(app: &App, problem: &Problem) -> String {
    let names: Vec<String> = problem
        .hosts
        .iter()
        .take(NAMES_MAX)
        .map(|id| host_name(app, *id))
        .collect();
    let more = problem.hosts.len().saturating_sub(names.len());
    if more > 0 {
        format!("{} and {more} more", names.join(", "))
    } else {
        names.join(", ")
    }
}

/// A host's name, or its id when it has none any more.
#[must_use]
pub fn host_name(app: &App, id: HostId) -> String {
    app.live
        .read(id, |host| clean(&host.profile.name))
        .unwrap_or_else(|| id.to_string())
}

/// An incident in a line, for a subject or a list.
#[must_use]
pub fn title(hosts: &str, incident: &Incident) -> String {
    let problem = &incident.problem;
    let what = match &problem.key {
        ProblemKey::Ports { space, .. } => {
            let protocol = space.protocol.as_str().to_uppercase();
            match problem.eta {
                _ if let Some(into) = incident.state.grouped_into() => {
                    format!("{protocol} ports run short, which is part of incident {into}")
                }
                _ if incident.state.resolved_at().is_some() => {
                    format!("{protocol} ports do not run out any more")
                }
                _ if problem.is_exhausted => format!("{protocol} ports are exhausted"),
                Some(eta) => format!("{protocol} ports run out {}", words::utc(eta.at)),
                None if problem.kind == "high" => format!("most {protocol} ports are in use"),
                None => format!("{protocol} ports run short"),
            }
        }
        ProblemKey::Finding { .. } | ProblemKey::Cause { .. } | ProblemKey::Budget { .. } => {
            problem.cause.clone()
        }
    };
    let culprit = match (&problem.culprit, &problem.key) {
        (Some(culprit), ProblemKey::Ports { .. }) => format!(" ({culprit})"),
        (Some(_) | None, _) => String::new(),
    };
    format!("{hosts}: {what}{culprit}")
}

/// An incident as a colleague tells it. `base` is where the controller's pages are, as far as it is known.
#[must_use]
pub fn sentence(hosts: &str, incident: &Incident, now: Timestamp, base: Option<&str>) -> String {
    let problem = &incident.problem;
    let mut parts = vec![
        format!("{hosts}: {}.", problem.cause),
        format!("Since {}.", both(problem.since, now)),
    ];
    match &incident.state {
        IncidentState::Resolved { at, how } => {
            parts.push(format!(
                "Over since {}: {}.",
                both(*at, now),
                how_it_ended(how)
            ));
            return parts.join(" ");
        }
        IncidentState::Acknowledged { by, at, .. } => {
            parts.push(format!("Acknowledged by {} {}.", clean(by), both(*at, now)));
        }
        IncidentState::Open { .. } => {}
    }
    parts.push(until(problem, now));
    parts.extend(sureness(problem.sure));
    if let Some(reason) = &problem.reason {
        parts.push(format!(
            "Diagnosis, {} % sure: {}.",
            reason.percent,
            reason.title.trim_end_matches('.')
        ));
    }
    parts.extend(
        problem
            .advice
            .first()
            .map(|advice| format!("Do: {}.", advice.trim_end_matches('.'))),
    );
    let base = base.unwrap_or_default();
    parts.push(format!("Runbook: {base}{}", runbook_of(problem)));
    parts.join(" ")
}

/// The page with what to do: of the diagnosis, where there is one.
#[must_use]
pub fn runbook_of(problem: &Problem) -> String {
    let diagnosed = problem.reason.as_ref().map(|reason| &*reason.rule);
    runbook::path(diagnosed.unwrap_or(&problem.kind))
}

/// How an incident came to its end.
#[must_use]
pub fn how_it_ended(how: &Resolution) -> String {
    match how {
        Resolution::Cleared => "the problem is gone, and stayed away".to_owned(),
        Resolution::Operator { by, is_gone: true } => format!("{} said so", clean(by)),
        Resolution::Operator { by, is_gone: false } => {
            format!("{} said so, though the problem is still there", clean(by))
        }
        Resolution::Grouped { into } => format!("it is part of incident {into}"),
        Resolution::HostGone => "its host was shut out".to_owned(),
    }
}

fn until(problem: &Problem, now: Timestamp) -> String {
    match problem.eta {
        _ if problem.is_exhausted => "There are none left at this moment.".to_owned(),
        None if matches!(problem.key, ProblemKey::Finding { .. }) => {
            "It lasts until somebody acts; nothing says when ports run out.".to_owned()
        }
        None => "Nothing says when it ends.".to_owned(),
        Some(Eta {
            at,
            earliest,
            latest,
        }) => {
            let earliest = words::utc(earliest);
            let interval = match latest.map(words::utc) {
                Some(latest) => format!("between {earliest} and {latest}"),
                None => format!("not before {earliest}, and perhaps never"),
            };
            format!(
                "Ports run out {}; 80 % sure that it is {interval}.",
                both(at, now)
            )
        }
    }
}

fn sureness(sure: Sureness) -> Option<String> {
    match sure {
        Sureness::Measured => Some("This is measured, not inferred.".to_owned()),
        // The interval is told with the date.
        Sureness::Interval => None,
        Sureness::Percent(percent) => Some(format!("This is {percent} % sure.")),
        Sureness::Unknown => Some("How sure that is, is not known.".to_owned()),
    }
}

/// An instant as `Sat 28 Nov 16:20 UTC (in 1 h 45 min)`.
fn both(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", words::utc(at), words::relative(at, now))
}

#[cfg(test)]
mod tests {
    use tidemark_model::problem::{Reason, Severity};
    use tidemark_model::{PortSpaceKey, Protocol};

    use super::*;

    /// Monday 2026-11-23 01:05:59 UTC.
    const NOW: Timestamp = Timestamp::from_unix_ms(1_795_395_959_000);

    fn later(minutes: i64) -> Timestamp {
        Timestamp::from_unix_ms(NOW.unix_ms() + minutes * 60_000)
    }

    fn incident() -> Incident {
        let host = HostId::of_identity_spki(b"web-1");
        let problem = Problem {
            key: ProblemKey::Ports {
                host,
                space: PortSpaceKey::own(Protocol::Tcp),
            },
            kind: "leak".to_owned(),
            hosts: vec![host],
            culprit: Some("w3wp.exe".to_owned()),
            cause: "w3wp.exe takes TCP ports and does not give them back".to_owned(),
            evidence: vec![],
            advice: vec!["Restart w3wp.exe before the ports run out".to_owned()],
            since: later(-25),
            is_exhausted: false,
            eta: Some(Eta {
                at: later(130),
                earliest: later(110),
                latest: None,
            }),
            at_least: Severity::Info,
            sure: Sureness::Interval,
            reason: None,
        };
        Incident::open(problem, Severity::Critical, NOW)
    }

    #[test]
    fn a_sentence_says_host_cause_since_until_how_sure_and_what_to_do() {
        assert_eq!(
            sentence("web-1", &incident(), NOW, None),
            "web-1: w3wp.exe takes TCP ports and does not give them back. \
             Since Mon 23 Nov 2026 00:40 UTC (25 min ago). \
             Ports run out Mon 23 Nov 2026 03:15 UTC (in 2 h 10 min); \
             80 % sure that it is not before Mon 23 Nov 2026 02:55 UTC, and perhaps never. \
             Do: Restart w3wp.exe before the ports run out. \
             Runbook: /docs/runbooks/leak.html"
        );
        assert_eq!(
            title("web-1", &incident()),
            "web-1: TCP ports run out Mon 23 Nov 2026 03:15 UTC (w3wp.exe)"
        );
        let mut told = incident();
        told.problem.advice = vec!["Ask the owners.".to_owned()];
        let text = sentence("web-1", &told, NOW, None);
        assert!(text.contains(" Do: Ask the owners. "), "{text}");
    }

    #[test]
    fn a_diagnosis_is_told_with_its_runbook_and_what_is_part_of_another_one_says_so() {
        let mut open = incident();
        open.problem.reason = Some(Reason {
            rule: "bound_leak".to_owned(),
            title: "w3wp.exe leaks sockets that it bound".to_owned(),
            percent: 77,
        });
        let text = sentence("web-1", &open, NOW, Some("https://tide.example"));
        let end = "Diagnosis, 77 % sure: w3wp.exe leaks sockets that it bound. \
             Do: Restart w3wp.exe before the ports run out. \
             Runbook: https://tide.example/docs/runbooks/bound_leak.html";
        assert!(text.ends_with(end), "{text}");
        let how = Resolution::Grouped { into: 7 };
        let over = Incident {
            state: open.state.clone().end(how, later(-5)).unwrap(),
            ..open
        };
        assert_eq!(
            title("web-1", &over),
            "web-1: TCP ports run short, which is part of incident 7 (w3wp.exe)"
        );
    }

    #[test]
    fn an_end_says_how_it_came() {
        let open = incident();
        let over = Incident {
            state: open.state.clone().resolve("ann", later(-5)).unwrap(),
            ..open
        };
        let text = sentence("web-1", &over, NOW, None);
        let end = "Over since Mon 23 Nov 2026 01:00 UTC (5 min ago): ann said so, though the problem is still there.";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn hostile_text_keeps_its_letters_and_loses_its_tricks() {
        assert_eq!(clean("a\r\nb\u{202e}c\0d"), "a  b c d");
        assert_eq!(clean(&"x".repeat(5_000)).len(), CHARS_MAX);
    }
}
