//! From what the controller says of a host to a verdict: pure, so that every case can be tried.

use tidemark_model::Timestamp;
use tidemark_model::finding::Severity;
use tidemark_model::view::{
    BudgetStanding, BudgetUse, HostFindings, HostView, IncidentView, PortSpaceView,
};

use super::figures;
use super::perfdata::Perfdata;
use crate::args::{CheckArgs, Part};
use crate::render::{standing, words};

/// A finding that is less sure does not alert; it is shown.
const CONFIDENCE_MIN: f64 = 0.5;

/// What monitoring systems know, the worst last. What is known to be bad outweighs what is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// 0.
    Ok,
    /// 3.
    Unknown,
    /// 1.
    Warning,
    /// 2.
    Critical,
}

impl Status {
    /// What the process ends with.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The word that monitoring systems know.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    pub(super) fn of_severity(severity: &str) -> Self {
        match severity {
            "critical" => Self::Critical,
            "warning" => Self::Warning,
            _ => Self::Ok,
        }
    }
}

/// What the controller says of a host.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The host.
    pub host: HostView,
    /// Its incidents that are not over.
    pub incidents: Vec<IncidentView>,
    /// What the rules find.
    pub findings: Vec<HostFindings>,
    /// How it stands to budgets.
    pub budgets: Vec<BudgetStanding>,
}

/// One thing that there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// How bad it is.
    pub status: Status,
    /// In a clause.
    pub text: String,
    /// Culprit, since when, what to do: a line each.
    pub details: Vec<String>,
}

/// What is to be said, and how it ends.
#[derive(Debug)]
pub struct Verdict {
    /// The worst of all.
    pub status: Status,
    /// What the host is doing, in a clause, whatever the verdict.
    pub summary: String,
    /// What there is to say, the worst first.
    pub remarks: Vec<Remark>,
    /// What monitoring systems keep.
    pub perfdata: Perfdata,
}

/// Judges a host.
pub fn judge(facts: &Facts, args: &CheckArgs, now: Timestamp) -> Verdict {
    let wants = |part: Part| !args.skip.contains(&part);
    let mut remarks = Vec::new();
    let silence = silence(&facts.host, args, now);
    if wants(Part::Incidents) {
        let name = &facts.host.name;
        remarks.extend(
            facts
                .incidents
                .iter()
                .map(|one| of_incident(one, name, now)),
        );
    }
    for space in spaces(&facts.host) {
        remarks.extend(of_space(space, args, now));
    }
    if wants(Part::Findings) {
        let found = facts.findings.iter().flat_map(|host| &host.findings);
        remarks.extend(found.map(|finding| of_finding(finding, now)));
    }
    if wants(Part::Budgets) {
        let standings = facts.budgets.iter();
        remarks.extend(standings.filter_map(|standing| of_budget(standing, now)));
    }
    remarks.sort_by_key(|remark| std::cmp::Reverse(remark.status));
    let worst = remarks.first().map_or(Status::Ok, |remark| remark.status);
    let mut perfdata = Perfdata::default();
    perfdata.push(&figures::age(&facts.host, now));
    let status = if let Some(silence) = silence {
        // Whatever was known before, nobody can tell what is there at this moment.
        remarks.insert(0, silence);
        Status::Unknown
    } else {
        figures::push(facts, args, now, &mut perfdata);
        worst
    };
    Verdict {
        status,
        summary: summary(&facts.host, now),
        remarks,
        perfdata,
    }
}

/// Port spaces, the agent's own namespace first.
pub(super) fn spaces(host: &HostView) -> Vec<&PortSpaceView> {
    let mut spaces: Vec<&PortSpaceView> = host.port_spaces.iter().collect();
    let is_own = |space: &PortSpaceView| space.namespace == tidemark_model::port::OWN_NAMESPACE;
    spaces.sort_by_key(|space| !is_own(space));
    spaces
}

/// As tables name it.
pub(super) fn name(space: &PortSpaceView) -> String {
    standing::space_name(&space.protocol, &space.namespace)
}

/// Why nothing is known of the host at this moment.
fn silence(host: &HostView, args: &CheckArgs, now: Timestamp) -> Option<Remark> {
    let heard = host.last_seen_ms.map_or_else(
        || "never heard".to_owned(),
        |seen| format!("last heard {}", words::relative(seen, now)),
    );
    let age_max = i64::try_from(args.max_age.as_millis()).unwrap_or(i64::MAX);
    let text = match host.sampled_ms {
        _ if host.state != "online" => format!("the host is {}, {heard}", host.state),
        None => format!("no sample has come yet, {heard}"),
        Some(_) if host.port_spaces.is_empty() => {
            "the newest sample shows no port space".to_owned()
        }
        Some(at) if now.unix_ms().saturating_sub(at) > age_max => format!(
            "the newest sample is {} old",
            words::span(now.unix_ms().saturating_sub(at))
        ),
        Some(_) => return None,
    };
    Some(Remark {
        status: Status::Unknown,
        text,
        details: vec![
            "do: see whether the host is up and its agent runs: tidemark-agent status".to_owned(),
        ],
    })
}

fn summary(host: &HostView, now: Timestamp) -> String {
    let levels = spaces(host).into_iter().take(4).map(|space| {
        format!(
            "{} {} of {} ports in use",
            name(space),
            words::percent(standing::share(space)),
            space.capacity
        )
    });
    let mut parts: Vec<String> = levels.collect();
    let unsure = host
        .port_spaces
        .iter()
        .any(|space| space.floor_ports_per_hour.is_none());
    if unsure && !host.port_spaces.is_empty() {
        parts.push("too little history for a forecast of each".to_owned());
    }
    if let Some(at) = host.sampled_ms {
        parts.push(format!("sampled {}", words::relative(at, now)));
    }
    parts.join(", ")
}

fn of_space(space: &PortSpaceView, args: &CheckArgs, now: Timestamp) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut details: Vec<String> = space
        .culprit
        .iter()
        .map(|culprit| format!("culprit: {culprit}"))
        .collect();
    details.push(format!("figures: {}", space.explanation));
    if !args.skip.contains(&Part::Level) {
        match standing::share(space) {
            None => remarks.push(Remark {
                status: Status::Unknown,
                text: format!("the capacity of {} is unknown", name(space)),
                details: Vec::new(),
            }),
            Some(share) => {
                let status = level_status(share, args);
                if status > Status::Ok {
                    remarks.push(Remark {
                        status,
                        text: format!(
                            "{} of {} {} ports are in use",
                            words::percent(Some(share)),
                            space.capacity,
                            name(space)
                        ),
                        details: details.clone(),
                    });
                }
            }
        }
    }
    if !args.skip.contains(&Part::Forecast)
        && let Some(eta_ms) = space.eta_ms
    {
        let ahead_ms = eta_ms.saturating_sub(now.unix_ms());
        remarks.push(Remark {
            status: eta_status(ahead_ms, args),
            text: format!("{} ports run out {}", name(space), words::eta(space, now)),
            details,
        });
    }
    remarks
}

fn level_status(share: f64, args: &CheckArgs) -> Status {
    let percent = share * 100.0;
    if args.critical.alerts(percent) {
        Status::Critical
    } else if args.warning.alerts(percent) {
        Status::Warning
    } else {
        Status::Ok
    }
}

fn eta_status(ahead_ms: i64, args: &CheckArgs) -> Status {
    let within = |reach: std::time::Duration| {
        i128::from(ahead_ms) <= i128::try_from(reach.as_millis()).unwrap_or(i128::MAX)
    };
    if within(args.critical_eta) {
        Status::Critical
    } else if within(args.warning_eta) {
        Status::Warning
    } else {
        Status::Ok
    }
}

fn of_incident(incident: &IncidentView, host: &str, now: Timestamp) -> Remark {
    // The line begins with the host already.
    let title = incident
        .title
        .strip_prefix(host)
        .and_then(|rest| rest.strip_prefix(": "));
    let title = title.unwrap_or(&incident.title);
    let mut details: Vec<String> = incident
        .culprit
        .iter()
        .map(|culprit| format!("culprit: {culprit}"))
        .collect();
    details.push(format!(
        "since: {}",
        words::relative(incident.since_ms, now)
    ));
    details.extend(
        incident
            .acknowledged_by
            .iter()
            .map(|by| format!("acknowledged by {by}")),
    );
    details.extend(
        incident
            .advice
            .iter()
            .take(3)
            .map(|advice| format!("do: {advice}")),
    );
    Remark {
        status: Status::of_severity(&incident.severity),
        text: format!("incident {}: {title}", incident.id),
        details,
    }
}

fn of_finding(finding: &tidemark_model::Finding, now: Timestamp) -> Remark {
    let mut details: Vec<String> = finding
        .culprit
        .iter()
        .map(|culprit| format!("culprit: {culprit}"))
        .collect();
    let since = finding.since_ms.map(Timestamp::unix_ms);
    details.extend(since.map(|since| format!("since: {}", words::relative(since, now))));
    details.extend(
        finding
            .playbook
            .first()
            .map(|step| format!("do: {}", step.text)),
    );
    let status = match finding.severity {
        _ if finding.confidence < CONFIDENCE_MIN => Status::Ok,
        Severity::Critical => Status::Critical,
        Severity::Warning => Status::Warning,
    };
    Remark {
        status,
        text: format!(
            "{} ({}, {} sure)",
            finding.title,
            finding.rule.as_str(),
            words::percent(Some(finding.confidence))
        ),
        details,
    }
}

fn of_budget(standing: &BudgetStanding, now: Timestamp) -> Option<Remark> {
    let status = match standing.state.as_str() {
        "within" => return None,
        "exceeded" => Status::of_severity(&standing.severity),
        // It may be over for some time.
        "over" => Status::Ok,
        _ => Status::Unknown,
    };
    let mut details: Vec<String> = standing
        .culprit
        .iter()
        .map(|culprit| format!("culprit: {culprit}"))
        .collect();
    let since = standing.over_since_ms;
    details.extend(since.map(|since| format!("since: {}", words::relative(since, now))));
    details.extend(
        standing
            .why_unknown
            .iter()
            .map(|why| format!("because {why}")),
    );
    details.extend(standing.advice.iter().map(|advice| format!("do: {advice}")));
    let used: Vec<String> = standing.limits.iter().map(used).collect();
    let mut text = match standing.state.as_str() {
        "exceeded" => format!("budget {} is exceeded", standing.budget),
        "over" => format!("budget {} is over for a while", standing.budget),
        _ => format!("budget {} cannot be judged", standing.budget),
    };
    if !used.is_empty() {
        text = format!("{text}: {} holds {}", standing.subject, used.join(", "));
    }
    Some(Remark {
        status,
        text,
        details,
    })
}

/// `2100 of 2000 ports`, `1800 to 2300 of 2000 ports`, `? of 2000 ports`.
fn used(limit: &BudgetUse) -> String {
    let allowed = limit
        .allowed
        .map_or_else(|| "?".to_owned(), |allowed| allowed.to_string());
    let what = limit.what.replace('_', " ");
    match (limit.used, limit.used_max) {
        (Some(used), Some(most)) if used == most => format!("{used} of {allowed} {what}"),
        (Some(used), Some(most)) => format!("{used} to {most} of {allowed} {what}"),
        (Some(used), None) => format!("{used} or more of {allowed} {what}"),
        (None, _) => format!("? of {allowed} {what}"),
    }
}
