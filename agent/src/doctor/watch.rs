//! Watches this host for some seconds.

use std::time::Duration;

use tidemark_diagnose::SAMPLES_MAX;
use tidemark_model::host::Capability;
use tidemark_runtime::Clock;

use super::{Looked, Source};
use crate::collect::{CollectError, CollectSettings, Collector};
use crate::facts;

/// Samples of one watch; fewer where taking them is slow.
const SAMPLES: u32 = 20;
/// But not more often than this.
const STEP_MIN: Duration = Duration::from_millis(500);
/// Sampling may take this share of the time, as one in so many: a sick host must not suffer from its doctor.
const COST_SHARE: u32 = 4;
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
    looked.situation.capabilities = facts.capabilities.into_iter().collect();
    // Events are added by whoever reads them.
    looked.situation.capabilities.remove(&Capability::Events);
    let mut collector = Collector::new(settings)?;
    if let Some(hazard) = collector.hazard() {
        looked
            .not_seen
            .push(format!("Ports are probed and not counted: {hazard}."));
    } else if let Some(reason) = collector.bound_gap() {
        looked
            .not_seen
            .push(format!("Bound sockets are not listed: {reason}."));
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
        match collector.sample(Clock::System.now()) {
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
    Ok(looked)
}
