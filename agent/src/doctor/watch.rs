//! Watches this host for some seconds.

use std::time::Duration;

use tidemark_diagnose::SAMPLES_MAX;
use tidemark_model::host::{Capability, CapabilityState};
use tidemark_model::{HostAudit, HostFacts};
use tidemark_runtime::{Clock, Entropy};

use super::{Looked, Source};
use crate::audit::{Auditor, Holders, Reader, Topics};
use crate::collect::{CollectError, CollectSettings, Collector};
use crate::facts;

/// Samples of one watch; fewer where taking them is slow.
const SAMPLES: u32 = 20;
/// But not more often than this.
const STEP_MIN: Duration = Duration::from_millis(500);
/// Sampling may take this share of the time, as one in so many: a sick host must not suffer from its doctor.
const COST_SHARE: u32 = 4;
/// Once is enough.
const AUDIT_INTERVAL: Duration = Duration::from_secs(86_400);
/// How long the configuration is waited for once the host has been watched.
const AUDIT_PATIENCE: Duration = Duration::from_secs(5);
/// How long executables are digested: no rule needs it, and a doctor waits for the whole configuration.
const DIGEST_TIME: Duration = Duration::from_secs(2);
/// Two rounds of probes must fit in, because one that fails confirms nothing.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// More owners and destinations than the service reports: this is looked at once.
const TOP: usize = 32;

/// How to watch.
#[derive(Clone, Debug)]
pub struct Watch {
    /// For how long; zero takes one sample.
    pub time: Duration,
    /// What to collect.
    pub collect: CollectSettings,
}

/// Watches this host. `progress` is told how long it has been watched.
///
/// # Errors
/// When not one sample could be taken.
pub async fn watch(watch: Watch, progress: impl Fn(Duration)) -> Result<Looked, CollectError> {
    let Watch { time, collect } = watch;
    let settings = CollectSettings {
        probe_interval: Some(PROBE_INTERVAL),
        top_owners: TOP,
        top_destinations: TOP,
        ..collect
    };
    let facts = facts::gather(Default::default(), &settings);
    let mut looked = Looked::nothing(&facts.name, &facts.os, Source::Live);
    looked.situation.capabilities = facts.sees();
    // Events are added by whoever reads them.
    looked.situation.capabilities.remove(&Capability::Events);
    let holders = Holders::default();
    let auditor = read_configuration(holders.clone());
    let mut collector = Collector::new(settings)?;
    if let Some(hazard) = collector.hazard() {
        looked
            .not_seen
            .push(format!("Ports are probed and not counted: {hazard}."));
    } else if let Some(reason) = reservation(&facts, Capability::BoundSockets) {
        looked
            .not_seen
            .push(format!("Bound sockets are not all listed: {reason}."));
    }
    if !looked.situation.can_see(Capability::AllOwners) {
        looked.not_seen.push(
            "Sockets of other users' processes have no owner here: run it as root, or as an administrator."
                .to_owned(),
        );
    }
    let began = tokio::time::Instant::now();
    loop {
        let started = tokio::time::Instant::now();
        let samples = &mut looked.situation.samples;
        let sampled = collector.sample(Clock::System.now());
        match sampled.inspect(|sample| holders.note(sample)) {
            Ok(sample) => samples.push(sample),
            Err(error) if samples.is_empty() => return Err(error),
            Err(error) => {
                looked.not_seen.push(format!(
                    "A sample failed: {}.",
                    crate::session::chain(&error)
                ));
                break;
            }
        }
        if samples.len() >= SAMPLES_MAX {
            break;
        }
        let cost = started.elapsed();
        let step = (time / SAMPLES).max(STEP_MIN).max(cost * COST_SHARE);
        let left = time.saturating_sub(began.elapsed());
        if left.is_zero() {
            break;
        }
        progress(began.elapsed());
        tokio::time::sleep(step.min(left)).await;
    }
    looked.situation.audit = match auditor {
        Some(auditor) => configuration(auditor).await,
        None => None,
    };
    if looked.situation.audit.is_none() {
        looked
            .not_seen
            .push("How this host is configured could not be read in time.".to_owned());
    }
    Ok(looked)
}

/// Why an agent sees something not at all, or not whole.
fn reservation(facts: &HostFacts, capability: Capability) -> Option<&str> {
    let mut reports = facts.capabilities.iter();
    let report = reports.find(|report| report.capability == capability)?;
    match report.state {
        CapabilityState::Yes => None,
        CapabilityState::Partly | CapabilityState::No | CapabilityState::Unknown => {
            Some(report.why.as_deref().unwrap_or("nobody knows why"))
        }
    }
}

/// Reads the configuration beside the samples; parts of the system may hang, and a doctor does not wait for them.
fn read_configuration(holders: Holders) -> Option<Auditor> {
    let reader = Reader::new(Topics::of_system(holders, DIGEST_TIME));
    let started = Auditor::start(reader, AUDIT_INTERVAL, Clock::System, Entropy::System);
    started
        .inspect_err(|error| tracing::warn!(%error, "the configuration cannot be read"))
        .ok()
}

/// What was read until then, or shortly after.
async fn configuration(auditor: Auditor) -> Option<HostAudit> {
    let mut feed = auditor.feed();
    if feed.newest().is_none() {
        // Whether it came is seen below.
        tokio::time::timeout(AUDIT_PATIENCE, feed.changed())
            .await
            .ok();
    }
    let newest = feed.newest();
    if let Err(error) = auditor.stop().await {
        tracing::warn!(%error, "the configuration was not read");
    }
    newest.map(|audit| HostAudit::clone(&audit))
}
