//! Maintenance runs: planned, approved, worked through in waves, stopped on failure. Every action of a run is an ordinary
//! action of remediation, under its limits, its signatures and the hosts' own policies.

mod ahead;
mod ask;
mod decide;
mod drive;
mod error;
mod facts;
pub mod machine;
mod plan;
mod sign;
mod signed;
mod simulate;

use tidemark_model::action::Approval;
use tidemark_model::notice::NoticeKind;
use tidemark_model::run::{Run, RunLifeStep, RunSpec, RunState};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{StoreError, Tx};

pub use ahead::count_planned;
pub use decide::{Word, approvals_needed, create, decide};
pub use drive::{RunDriver, RunStatus};
pub use error::RunError;
pub use plan::preview;
pub use sign::{Brought, sign};
pub use signed::{counts, signers_of};

use crate::app::App;
use crate::incidents::text::clean;

/// Runs that have not ended.
const OPEN_MAX: u32 = 50;
/// Those of whoever sees a part of the fleet: they leave room for others.
const OPEN_OF_SCOPE_MAX: usize = 10;

/// The record of where a run stands now.
fn record(app: &App, run: &Run, by: Option<&str>, text: &str) -> RunLifeStep {
    RunLifeStep {
        at: app.clock.now(),
        to: run.state,
        by: by.map(clean),
        text: clean(text),
    }
}

/// Approvals of a run's plan as it stands.
///
/// # Errors
/// When the database fails.
pub async fn approvals(tx: &mut Tx, run: &Run) -> Result<Vec<Approval>, StoreError> {
    let all = tx.run_approvals(run.number).await?;
    let of_plan = all
        .into_iter()
        .filter(|one| one.plan_hash == run.body.plan.hash);
    Ok(of_plan.map(|one| one.approval).collect())
}

/// Stores a run as it is then, with those of its hosts that changed.
async fn put(
    tx: &mut Tx,
    before: &Run,
    next: &mut Run,
    steps: &[RunLifeStep],
) -> Result<(), StoreError> {
    tx.run_update(next, steps).await?;
    for (host, was) in next.hosts.iter().zip(&before.hosts) {
        if host != was {
            tx.run_host_put(next.number, host).await?;
        }
    }
    Ok(())
}

/// Ends a run at once, whatever is under way of it: nobody is there to see how that goes.
pub(crate) async fn cut_off(
    tx: &mut Tx,
    run: &mut Run,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = run.clone();
    let to = match run.state {
        RunState::Planned | RunState::Approved => RunState::Cancelled,
        RunState::Waiting | RunState::Running | RunState::Stopping => RunState::Stopped,
        RunState::Finished
        | RunState::Stopped
        | RunState::Failed
        | RunState::Rejected
        | RunState::Expired
        | RunState::Cancelled => return Ok(()),
    };
    machine::go(run, to, why.to_owned(), now);
    let step = RunLifeStep {
        at: now,
        to,
        by: None,
        text: clean(why),
    };
    put(tx, &before, run, &[step]).await
}

/// Tells operators' lists of a step.
fn tell(app: &App, run: &Run, step: &RunLifeStep) {
    let RunSpec { name, .. } = &run.spec;
    let mut text = format!("run {} ({name}) is {}", run.number, step.to.as_str());
    if let Some(by) = &step.by {
        text.push_str(&format!(", by {by}"));
    }
    if !step.text.is_empty() {
        text.push_str(&format!(": {}", step.text));
    }
    app.note(None, NoticeKind::RunChanged, clean(&text));
    tell_lists(app, run);
}

/// Pages of runs listen to the same word as the lists of incidents, and read their parts again: those of whoever sees the run.
fn tell_lists(app: &App, run: &Run) {
    let hosts: Vec<HostId> = match run.body.scope {
        Some(_) => run.hosts.iter().map(|host| host.host).collect(),
        None => Vec::new(),
    };
    app.live.announce_incidents(&hosts);
}
