//! A simulation from the first enrolment to the report.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tidemark_model::view::DeliveryView;
use tidemark_model::{HostFacts, HostId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::agent::HostOutcome;
use super::controller_api::ControllerApi;
use super::fleet::{Fleet, FleetSettings};
use super::limits;
use super::progress::Progress;
use super::replay::{ReplayPlan, Survey};
use super::report::{Report, Spent};
use super::run::RunPlan;

/// Samples begin after this even if not every agent has its session.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);
/// Once asked to stop, a fleet waits for acks no longer than this.
const STOPPED_PATIENCE: Duration = Duration::from_secs(5);

/// What is simulated.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Made-up servers.
    Run(RunPlan),
    /// A recording.
    Replay(ReplayPlan),
}

/// How it is simulated.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Against which controller.
    pub fleet: FleetSettings,
    /// How long acks may take after the last record.
    pub patience: Duration,
    /// Address of the controller's API and the file with its token, to ask what was stored.
    pub api: Option<(String, PathBuf)>,
}

/// How a simulation is ended early.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    /// Nothing more is produced; what waits is delivered.
    pub produce: CancellationToken,
    /// Nothing more is waited for.
    pub wait: CancellationToken,
}

impl Simulation {
    /// Runs `plan` to its end or its stop.
    ///
    /// # Errors
    /// When it cannot begin, or the controller's API does not answer at the end.
    pub async fn run(self, plan: Plan, stops: &Stops) -> anyhow::Result<Report> {
        let api = match &self.api {
            Some((server, file)) => Some(ControllerApi::with_token_file(server, file)?),
            None => None,
        };
        let survey = match &plan {
            Plan::Run(_) => None,
            Plan::Replay(replay) => Some(replay.survey(Progress::of("reading", 0)).await?),
        };
        let facts = match (&plan, &survey) {
            (Plan::Run(run), _) => run.facts(),
            (Plan::Replay(_), survey) => survey.as_ref().map_or_else(Vec::new, Survey::facts),
        };
        limits::raise_open_files(facts.len())?;
        let fleet = gather(self.fleet, facts, stops).await?;
        let began = Instant::now();
        let replay = match (&plan, &survey) {
            (Plan::Replay(replay), Some(survey)) => {
                let progress = Progress::of("replaying", survey.samples);
                let report = replay
                    .produce(&fleet, survey, &progress, &stops.produce)
                    .await?;
                progress.finish();
                Some(report)
            }
            (Plan::Run(run), _) => {
                let progress = Progress::of("sampling", run.duration.as_secs());
                run.produce(&fleet, &progress, &stops.produce).await;
                progress.finish();
                None
            }
            (Plan::Replay(_), None) => None,
        };
        settle(&fleet, self.patience, stops).await;
        let wall = began.elapsed();
        let outcomes = fleet.close().await;
        let delivered = match &api {
            Some(api) => Some(delivery_of(api, &outcomes).await?),
            None => None,
        };
        let spent = Spent {
            wall,
            cpu: limits::cpu_time(),
        };
        let report = Report::of(&fleet, &outcomes, delivered.as_ref(), spent);
        Ok(Report { replay, ..report })
    }
}

/// Enrols the fleet and waits for its sessions, so that what is measured is not the rush at the start.
async fn gather(
    settings: FleetSettings,
    facts: Vec<HostFacts>,
    stops: &Stops,
) -> anyhow::Result<Fleet> {
    let hosts = u64::try_from(facts.len()).unwrap_or(u64::MAX);
    let progress = Progress::of("enrolling", hosts);
    let fleet = Fleet::enrol(settings, facts, &progress, &stops.produce).await?;
    progress.finish();
    let progress = Progress::of("connecting", hosts);
    tokio::select! {
        () = fleet.connect(CONNECT_PATIENCE, &progress) => {}
        () = stops.produce.cancelled() => {}
    }
    progress.finish();
    Ok(fleet)
}

/// Waits for the acks of what waits.
async fn settle(fleet: &Fleet, patience: Duration, stops: &Stops) {
    let patience = if stops.produce.is_cancelled() {
        patience.min(STOPPED_PATIENCE)
    } else {
        patience
    };
    let progress = Progress::of("delivering", 0);
    tokio::select! {
        _held = fleet.settle(patience, &progress) => {}
        () = stops.wait.cancelled() => {}
    }
    progress.finish();
}

/// The controller's word on each host's records.
///
/// # Errors
/// When its API does not answer.
pub async fn delivery_of(
    api: &ControllerApi,
    outcomes: &[HostOutcome],
) -> anyhow::Result<BTreeMap<HostId, DeliveryView>> {
    let progress = Progress::of("asking", u64::try_from(outcomes.len()).unwrap_or(u64::MAX));
    let mut delivered = BTreeMap::new();
    for outcome in outcomes {
        let detail = api.host(outcome.host).await?;
        delivered.insert(outcome.host, detail.delivery);
        progress.advance(1);
    }
    progress.finish();
    Ok(delivered)
}
