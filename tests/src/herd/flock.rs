//! The agents of the herd: a fleet on threads that live in a network of their own, until it is told to end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidemark_platform::namespace::NetworkNamespace;
use tidemark_runtime::Lifecycle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::args::Arguments;
use crate::fleetsim::agent::{DeliverySettings, HostOutcome};
use crate::fleetsim::progress::Progress;
use crate::fleetsim::run::RunPlan;
use crate::fleetsim::{Fleet, FleetSettings};

/// Threads of the agents: no more than the machine that was asked about has cores.
const THREADS: usize = 2;
/// The fleet ends by being told so.
const FOREVER: Duration = Duration::from_secs(7 * 86_400);

/// A fleet that reports, and its end.
pub struct Flock {
    /// Its agents and figures.
    pub fleet: Arc<Fleet>,
    ended: JoinHandle<anyhow::Result<Vec<HostOutcome>>>,
    stop: DropGuard,
    /// A flock that nobody ends delivers nothing more: its controllers are gone.
    abandon: DropGuard,
}

impl Flock {
    /// Enrols the hosts from inside `network` and lets them report until [`Flock::end`].
    ///
    /// # Errors
    /// When not every host gets in.
    pub async fn gather(
        life: &Lifecycle,
        network: NetworkNamespace,
        settings: FleetSettings,
        arguments: &Arguments,
    ) -> anyhow::Result<Self> {
        let plan = RunPlan {
            hosts: arguments.hosts(),
            scenario: arguments.scenario.clone(),
            interval: arguments.interval,
            duration: FOREVER,
            seed: arguments.seed,
        };
        let stop = CancellationToken::new();
        let (there, is_there) = oneshot::channel();
        let abandon = CancellationToken::new();
        let patience = arguments.patience;
        let (stopped, abandoned) = (stop.clone(), abandon.clone());
        let ended = life.spawn_blocking(move || {
            let reporting = || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(THREADS)
                    .enable_all()
                    .build()?;
                let report = report((plan, settings), patience, there, (stopped, abandoned));
                runtime.block_on(Box::pin(report))
            };
            network.run(reporting)?
        });
        let (stop, abandon) = (stop.drop_guard(), abandon.drop_guard());
        match is_there.await {
            Ok(fleet) => Ok(Self {
                fleet,
                ended,
                stop,
                abandon,
            }),
            Err(_) => Err(ended
                .await?
                .err()
                .context("the fleet ended before it began")?),
        }
    }

    /// Produces nothing more, delivers what waits, closes the sessions; what became of each host's records.
    ///
    /// # Errors
    /// When the fleet broke off.
    pub async fn end(self) -> anyhow::Result<Vec<HostOutcome>> {
        drop(self.stop);
        let outcomes = self.ended.await?;
        drop(self.abandon);
        outcomes
    }
}

async fn report(
    (plan, settings): (RunPlan, FleetSettings),
    patience: Duration,
    there: oneshot::Sender<Arc<Fleet>>,
    (stop, abandoned): (CancellationToken, CancellationToken),
) -> anyhow::Result<Vec<HostOutcome>> {
    let hosts = u64::try_from(plan.hosts).unwrap_or(u64::MAX);
    let progress = Progress::of("enrolling", hosts);
    let fleet = Fleet::enrol(settings, plan.facts(), &progress, &stop).await?;
    progress.finish();
    anyhow::ensure!(
        fleet.refused == 0,
        "{} hosts were refused: {:?}",
        fleet.refused,
        fleet.refusals
    );
    let fleet = Arc::new(fleet);
    let progress = Progress::of("connecting", hosts);
    fleet.connect(patience, &progress).await;
    progress.finish();
    // Whoever waits for it may be gone, and with it the whole herd.
    there.send(Arc::clone(&fleet)).ok();
    plan.produce(&fleet, &Progress::hidden(), &stop).await;
    let progress = Progress::of("delivering", 0);
    tokio::select! {
        _held = fleet.settle(patience, &progress) => {}
        () = abandoned.cancelled() => {}
    }
    progress.finish();
    Ok(fleet.close().await)
}

/// How agents of the herd are to reach their controller.
///
/// # Errors
/// When address or token are none.
pub fn settings(
    address: &str,
    token: &str,
    arguments: &Arguments,
) -> anyhow::Result<FleetSettings> {
    Ok(FleetSettings {
        controller: address.parse()?,
        token: token.parse()?,
        enrol_per_second: arguments.enrol_rate,
        delivery: DeliverySettings {
            reconnect_max: arguments.reconnect_max,
            ..DeliverySettings::default()
        },
        orders: None,
    })
}
