//! The rules over what is known of a host at this moment: its last half hour, its forecasts, its events, and other hosts
//! that leak. Findings are derived and stored nowhere; the last look at each host is in `seen`.

pub mod seen;

mod handle_medians;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_diagnose::{Os, Peer, Situation, diagnose, needs_a_look};
use tidemark_model::forecast::Road;
use tidemark_model::host::seen_without_reservation;
use tidemark_model::sample::EventHit;
use tidemark_model::view::HostFindings;
use tidemark_model::{HostAudit, HostId, Sample, Timestamp};
use tidemark_store::{EventQuery, RecordXml, StoreError, Tx};

pub use handle_medians::HandleMedians;

use crate::app::App;
use crate::live::{HostLive, SpaceLive};

/// Events that the rules look at: of the last day, the newest.
const EVENTS_AGE: Duration = Duration::from_secs(86_400);
const EVENTS_MAX: u32 = 1_000;
/// Other hosts that are compared.
const PEERS_MAX: usize = 1_000;

/// Hosts of which the rules may have something to say, by lower-case name.
#[must_use]
pub fn suspects(app: &App) -> Vec<(String, HostId)> {
    let mut suspects: Vec<(String, HostId)> = app
        .live
        .ids()
        .into_iter()
        .filter_map(|id| {
            let name = |host: &HostLive| is_suspect(host).then(|| host.profile.name.to_lowercase());
            app.live.read(id, name).flatten().map(|name| (name, id))
        })
        .collect();
    suspects.sort_unstable();
    suspects
}

/// Whether the rules may have something to say of a host.
#[must_use]
pub fn is_suspect(host: &HostLive) -> bool {
    let os = Os::of_name(&host.profile.os);
    let newest = host.newest.as_ref();
    let has_date = |space: &SpaceLive| space.forecast.eta.is_some();
    newest.is_some_and(|(_, sample)| needs_a_look(os, sample))
        || host.lately.is_kept()
        || host.spaces.values().any(has_date)
}

/// What the rules find on each of these hosts; one that went away meanwhile is left out. Of the others they look, and name, only
/// those that `may_name` takes.
///
/// # Errors
/// [`StoreError`] when its events cannot be read.
pub async fn findings(
    app: &App,
    ids: &[HostId],
    may_name: impl Fn(HostId) -> bool,
) -> Result<Vec<HostFindings>, StoreError> {
    let peers = leaking(app, may_name);
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        let mut tx = app.store.read().await?;
        let events = events_of(&mut tx, *id, app.clock.now()).await?;
        let audit = audit_of(&mut tx, *id).await?;
        // The medians read for themselves, and rarely: a reader that is held meanwhile might be the last one.
        drop(tx);
        let peers = peers.iter().filter(|(peer, _)| peer != id);
        let peers = peers.map(|(_, peer)| peer.clone()).collect();
        let handle_medians = handle_medians::of_host(app, *id).await?;
        let situation = app
            .live
            .read(*id, |host| (situation(host, events, peers), about(host)));
        if let Some((situation, about)) = situation {
            let situation = Situation {
                audit,
                handle_medians,
                ..situation
            };
            all.push(HostFindings {
                findings: diagnose(&situation),
                ..about
            });
        }
    }
    Ok(all)
}

async fn events_of(tx: &mut Tx, host: HostId, now: Timestamp) -> Result<Vec<EventHit>, StoreError> {
    let query = EventQuery {
        host,
        before: None,
        since: Some(now.saturating_sub(EVENTS_AGE)),
        source: None,
        code: None,
        xml: RecordXml::Without,
        limit: EVENTS_MAX,
    };
    let events = tx.events_page(&query).await?;
    Ok(events.into_iter().map(|event| event.hit).collect())
}

async fn audit_of(tx: &mut Tx, host: HostId) -> Result<Option<HostAudit>, StoreError> {
    match tx.host_audit(host).await {
        Ok(standing) => Ok(standing.map(|standing| standing.audit())),
        // What another release wrote is as good as nothing, until the host's next audit takes its place.
        Err(StoreError::Unreadable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every host with a forecast that says "leak" and whom it blames.
fn leaking(app: &App, may_name: impl Fn(HostId) -> bool) -> Vec<(HostId, Peer)> {
    let leak = |host: &HostLive| {
        let leaks = host.spaces.values().map(|space| &space.forecast);
        leaks
            .filter(|forecast| forecast.road == Some(Road::Leak))
            .find_map(|forecast| {
                Some(Peer {
                    host: Arc::clone(&host.profile.name),
                    culprit: Arc::clone(forecast.culprit.as_ref()?),
                    floor_ports_per_hour: forecast.floor_ports_per_hour?,
                })
            })
    };
    let ids = app.live.ids().into_iter();
    ids.filter(|id| may_name(*id))
        .filter_map(|id| Some((id, app.live.read(id, leak).flatten()?)))
        .take(PEERS_MAX)
        .collect()
}

fn situation(host: &HostLive, events: Vec<EventHit>, peers: Vec<Peer>) -> Situation {
    let newest = host.newest.as_ref().map(|(_, sample)| &**sample);
    let mut samples: Vec<Sample> = newest
        .into_iter()
        .flat_map(|newest| host.lately.before(newest.at))
        .cloned()
        .collect();
    samples.extend(newest.cloned());
    // Forecasts are on the controller's clock, samples on the host's.
    let trends = host
        .spaces
        .iter()
        .map(|(key, space)| {
            let mut forecast = space.forecast.clone();
            if let Some((on_controller, sample)) = &host.newest {
                let skew_ms = sample.at.ms_since(*on_controller);
                let moved =
                    |at: Timestamp| Timestamp::from_unix_ms(at.unix_ms().saturating_add(skew_ms));
                if let Some(eta) = &mut forecast.eta {
                    eta.at = moved(eta.at);
                    eta.earliest = moved(eta.earliest);
                    eta.latest = eta.latest.map(moved);
                }
            }
            (key.clone(), forecast)
        })
        .collect();
    Situation {
        os: Os::of_name(&host.profile.os),
        os_name: Arc::clone(&host.profile.os),
        capabilities: seen_without_reservation(&host.profile.capabilities),
        samples,
        trends,
        events,
        audit: None,
        handle_medians: BTreeMap::new(),
        peers: Some(peers),
    }
}

fn about(host: &HostLive) -> HostFindings {
    let capabilities = seen_without_reservation(&host.profile.capabilities);
    HostFindings {
        host: host.profile.id.to_string(),
        host_name: host.profile.name.to_string(),
        sampled_ms: host.newest.as_ref().map(|(at, _)| at.unix_ms()),
        capabilities: capabilities
            .into_iter()
            .map(|capability| capability.as_str().to_owned())
            .collect(),
        findings: Vec::new(),
    }
}
