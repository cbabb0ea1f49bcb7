//! What a condition looks like on a host at this moment. A host that is silent, or of which too little is known, is unknown:
//! that begins nothing, and ends nothing.

use std::collections::HashMap;

use tidemark_model::incident::Incident;
use tidemark_model::policy::{Condition, SpaceFilter};
use tidemark_model::problem::ProblemKey;
use tidemark_model::{HostId, PortSpaceKey, Timestamp};
use tidemark_store::{StoreError, Tx};

use super::Held;
use crate::app::App;
use crate::budgets::track::Standing;
use crate::diagnosis;
use crate::incidents::text::clean;
use crate::live::{HostLive, SpaceLive};
use crate::web::words;

/// A level that was reached ends below this share of it, in percent, so that one that trembles around it is one.
pub(super) const RELIEVED_PERCENT: u8 = 95;
/// Events of one kind that are looked at.
const EVENTS_MAX: u32 = 10_000;
/// Incidents that are looked at.
const INCIDENTS_MAX: usize = 20_000;
const INCIDENTS_PAGE: u32 = 1_000;

/// What is seen of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It holds.
    Seen(Seen),
    /// It is known not to hold.
    Clear,
    /// Nobody can tell.
    Unknown,
    /// Its host was shut out.
    HostGone,
}

/// A condition that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What is seen, in one sentence.
    pub text: String,
    /// Of which port space, where it is about one.
    pub space: Option<PortSpaceKey>,
    /// The incident that says so.
    pub incident: Option<i64>,
}

/// Whether a condition held before: what holds goes on until it is clearly over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It did.
    Held,
    /// It did not.
    New,
}

/// What of the store conditions ask for, read once for all hosts.
#[derive(Debug, Default)]
pub struct Outlook {
    events: HashMap<(String, u32), HashMap<HostId, (Timestamp, String)>>,
    /// By host and kind: the newest that is not over.
    incidents: HashMap<(HostId, String), Seen>,
}

impl Outlook {
    /// Reads what these policies ask for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(tx: &mut Tx, held: &[Held], now: Timestamp) -> Result<Self, StoreError> {
        let mut outlook = Self::default();
        let mut wants_incidents = false;
        for held in held {
            match &held.policy.condition {
                Condition::Event {
                    source,
                    code,
                    within,
                } => {
                    let since = now.saturating_sub(*within);
                    let told = tx
                        .events_of_kind((source, *code), since, EVENTS_MAX)
                        .await?;
                    let by_host = outlook.events.entry((source.clone(), *code)).or_default();
                    // The newest comes first.
                    for (host, at, text) in told {
                        by_host.entry(host).or_insert((at, text));
                    }
                }
                Condition::Incident { .. } => wants_incidents = true,
                Condition::Level { .. }
                | Condition::EtaWithin { .. }
                | Condition::EtaBeforeWindow { .. }
                | Condition::Finding { .. }
                | Condition::Budget { .. } => {}
            }
        }
        if wants_incidents {
            outlook.read_incidents(tx).await?;
        }
        Ok(outlook)
    }

    async fn read_incidents(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let (mut after, mut read) = (0, 0_usize);
        while read < INCIDENTS_MAX {
            let page = tx.incidents_watched(after, INCIDENTS_PAGE).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.id;
            read = read.saturating_add(page.len());
            page.iter().for_each(|incident| self.take(incident));
        }
        Ok(())
    }

    fn take(&mut self, incident: &Incident) {
        if incident.state.resolved_at().is_some() {
            return;
        }
        let problem = &incident.problem;
        for host in &problem.hosts {
            let key = (*host, problem.kind.clone());
            let seen = Seen {
                text: clean(&problem.cause),
                space: space_of(&problem.key),
                incident: Some(incident.id),
            };
            self.incidents.insert(key, seen);
        }
    }
}

/// Looks at a condition on a host.
#[must_use]
pub fn look(
    app: &App,
    (condition, host): (&Condition, HostId),
    outlook: &Outlook,
    (now, before): (Timestamp, Before),
) -> Sight {
    let state = app.live.read(host, |live| {
        (live.state(now), live.newest.as_ref().map(|(at, _)| *at))
    });
    let newest = match state {
        None | Some(("revoked", _)) => return Sight::HostGone,
        Some(("online", Some(newest))) => newest,
        Some(_) => return Sight::Unknown,
    };
    let of_spaces = |filter: &SpaceFilter, judge: &dyn Fn(&HostLive, &SpaceLive) -> Verdict| {
        let sight = app
            .live
            .read(host, |live| of_spaces(live, filter, newest, judge));
        sight.unwrap_or(Sight::HostGone)
    };
    match condition {
        Condition::Level { percent, space } => {
            of_spaces(space, &|_, space| level(space, *percent, before))
        }
        Condition::EtaWithin { reach, space } => {
            let until = now.saturating_add(*reach);
            of_spaces(space, &|_, space| eta(space, until))
        }
        Condition::EtaBeforeWindow { space } => {
            of_spaces(space, &|live, space| match live.agenda.standing(now) {
                Some((_, at)) => eta(space, at.deadline(now)),
                None => Verdict::Unknown,
            })
        }
        Condition::Finding { rule, percent } => {
            let seen = app.findings.load();
            let look = seen.hosts.get(&host);
            let found = look.and_then(|look| {
                look.found.iter().find(|one| {
                    one.finding.rule == *rule
                        && one.finding.confidence * 100.0 >= f64::from(*percent)
                })
            });
            match found {
                Some(one) => seen_in(&one.finding.title, one.finding.port_space.as_deref()),
                None if look.is_some() => Sight::Clear,
                None if !seen.is_complete => Sight::Unknown,
                // One that looks well is well; of another the rules have not said anything yet.
                None if app.live.read(host, diagnosis::is_suspect) == Some(false) => Sight::Clear,
                None => Sight::Unknown,
            }
        }
        Condition::Event {
            source,
            code,
            within,
        } => {
            let told = outlook.events.get(&(source.clone(), *code));
            let told = told.and_then(|by_host| by_host.get(&host));
            // Another policy may have asked for older ones.
            match told.filter(|(at, _)| *at >= now.saturating_sub(*within)) {
                Some((at, text)) => seen(format!(
                    "event {source}/{code} at {}: {text}",
                    words::utc(*at)
                )),
                None => Sight::Clear,
            }
        }
        Condition::Incident { kind } => match outlook.incidents.get(&(host, kind.clone())) {
            Some(seen) => Sight::Seen(seen.clone()),
            None => Sight::Clear,
        },
        Condition::Budget { name } => budget(app, host, name),
    }
}

/// What is seen of one port space.
enum Verdict {
    Holds(String),
    Not,
    Unknown,
}

/// It holds where it holds for one of them; it does not where it is known not to for all of them.
fn of_spaces(
    host: &HostLive,
    filter: &SpaceFilter,
    newest: Timestamp,
    judge: &dyn Fn(&HostLive, &SpaceLive) -> Verdict,
) -> Sight {
    let mut sight = Sight::Unknown;
    for (key, space) in host.spaces.iter().filter(|(key, _)| filter.takes(key)) {
        // A space that the newest sample does not have says nothing any more.
        if space.level.at < newest {
            continue;
        }
        match judge(host, space) {
            Verdict::Holds(text) => {
                let (protocol, namespace) = (key.protocol, clean(&key.namespace));
                return Sight::Seen(Seen {
                    text: format!("{protocol}/{namespace}: {}", clean(&text)),
                    space: Some(key.clone()),
                    incident: None,
                });
            }
            Verdict::Not => sight = Sight::Clear,
            Verdict::Unknown => return Sight::Unknown,
        }
    }
    sight
}

fn level(space: &SpaceLive, percent: u8, before: Before) -> Verdict {
    let (in_use, capacity) = (space.level.in_use(), space.level.capacity);
    if capacity == 0 {
        return Verdict::Unknown;
    }
    let share = match before {
        Before::New => 100,
        Before::Held => RELIEVED_PERCENT,
    };
    // Both sides in ten thousandths of the capacity.
    let bar = u64::from(capacity) * u64::from(percent) * u64::from(share);
    if u64::from(in_use) * 10_000 < bar {
        return Verdict::Not;
    }
    Verdict::Holds(format!(
        "{} of {} ports are in use ({})",
        words::count(in_use),
        words::count(capacity),
        words::percent(in_use, capacity)
    ))
}

fn eta(space: &SpaceLive, until: Timestamp) -> Verdict {
    let forecast = &space.forecast;
    match forecast.eta {
        Some(eta) if eta.at <= until => Verdict::Holds(format!(
            "ports run out {}; {}",
            words::utc(eta.at),
            forecast.explanation
        )),
        Some(_) => Verdict::Not,
        None if forecast.floor_ports_per_hour.is_some() => Verdict::Not,
        None => Verdict::Unknown,
    }
}

fn budget(app: &App, host: HostId, name: &str) -> Sight {
    let tracks = app.budgets.tracks(host).into_iter();
    let mut sight = Sight::Unknown;
    for ((budget, space), track) in tracks {
        if budget != name {
            continue;
        }
        match track.standing {
            Standing::Exceeded => {
                let culprit = track.measurement.culprit.as_deref().unwrap_or("somebody");
                return Sight::Seen(Seen {
                    text: clean(&format!("{culprit} holds more than budget {name} allows")),
                    space: Some(space),
                    incident: None,
                });
            }
            Standing::Over | Standing::Within => sight = Sight::Clear,
            Standing::Unknown => return Sight::Unknown,
        }
    }
    sight
}

fn seen(text: String) -> Sight {
    Sight::Seen(Seen {
        text: clean(&text),
        space: None,
        incident: None,
    })
}

fn seen_in(text: &str, space: Option<&str>) -> Sight {
    Sight::Seen(Seen {
        text: clean(text),
        space: space.and_then(space_named),
        incident: None,
    })
}

/// The port space of that name, as findings write it: `tcp/default`.
fn space_named(name: &str) -> Option<PortSpaceKey> {
    let (protocol, namespace) = name.split_once('/')?;
    Some(PortSpaceKey {
        protocol: protocol.parse().ok()?,
        namespace: namespace.into(),
    })
}

fn space_of(key: &ProblemKey) -> Option<PortSpaceKey> {
    match key {
        ProblemKey::Ports { space, .. } | ProblemKey::Budget { space, .. } => Some(space.clone()),
        ProblemKey::Finding { subject, .. } => space_named(subject),
        ProblemKey::Cause { .. } => None,
    }
}
