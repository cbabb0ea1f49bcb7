//! How long the steps of a run are expected to take: as long as the same took before, and an assumption where nothing did.

use std::time::Duration;

use tidemark_model::action::{Action, ActionSpec, ActionState};
use tidemark_model::run::{RunRules, RunStep};
use tidemark_store::{StoreError, Tx};

use crate::app::App;

/// How far back past actions are looked at, and how many.
const LOOK_BACK: Duration = Duration::from_secs(180 * 86_400);
const ACTIONS_MAX: u32 = 5_000;
/// Fewer of one kind on one subject say less than those of the kind.
const SAME_MIN: usize = 3;

/// Expected durations of a run's steps.
pub(super) struct Durations {
    /// Of each step, in milliseconds.
    pub(super) step_ms: Vec<i64>,
    /// Where they are from.
    pub(super) from: String,
}

impl Durations {
    /// Of all steps together.
    pub(super) fn total_ms(&self) -> i64 {
        let sum = self.step_ms.iter().copied();
        sum.fold(0, i64::saturating_add)
    }
}

pub(super) async fn durations(
    app: &App,
    tx: &mut Tx,
    rules: &RunRules,
) -> Result<Durations, StoreError> {
    let since = app.clock.now().saturating_sub(LOOK_BACK);
    let ended = tx.actions_ended_since(since, ACTIONS_MAX).await?;
    Ok(from_past(&ended, &rules.steps, app.remediation.rules.hold))
}

fn from_past(ended: &[Action], steps: &[RunStep], hold: Duration) -> Durations {
    let (mut step_ms, mut from) = (Vec::new(), Vec::new());
    for step in steps {
        let past = past_ms(ended, &step.spec);
        let kind = step.spec.kind().as_str();
        match median(past.clone()) {
            Some(ms) => {
                from.push(format!("{kind} from {} past actions", past.len()));
                step_ms.push(ms);
            }
            None => {
                from.push(format!("{kind} assumed, for none has ended yet"));
                step_ms.push(assumed_ms(&step.spec, hold));
            }
        }
    }
    from.dedup();
    Durations {
        step_ms,
        from: from.join(", "),
    }
}

/// How long the like of it took from its sending to its end, on the same subject where that is known well enough.
fn past_ms(ended: &[Action], spec: &ActionSpec) -> Vec<i64> {
    let worked = |action: &&Action| {
        matches!(
            action.state,
            ActionState::Verified | ActionState::NotEffective
        ) && action.order.spec.kind() == spec.kind()
    };
    let took = |action: &Action| Some(action.ended_at?.ms_since(action.sent_at?).max(0));
    let alike = ended.iter().filter(worked);
    let same: Vec<i64> = alike
        .clone()
        .filter(|action| action.order.spec.subject() == spec.subject())
        .filter_map(took)
        .collect();
    if same.len() >= SAME_MIN {
        same
    } else {
        alike.filter_map(took).collect()
    }
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn assumed_ms(spec: &ActionSpec, hold: Duration) -> i64 {
    let hold_ms = i64::try_from(hold.as_millis()).unwrap_or(i64::MAX);
    let minutes = |minutes: i64| minutes * 60_000;
    match spec {
        ActionSpec::Reboot { grace_s, .. } => {
            (minutes(5) + i64::from(*grace_s) * 1_000).saturating_add(hold_ms)
        }
        ActionSpec::RestartService { .. }
        | ActionSpec::RecycleAppPool { .. }
        | ActionSpec::EndProcess { .. }
        | ActionSpec::SetDynamicPortRange { .. } => minutes(1).saturating_add(hold_ms),
        ActionSpec::ResetTcpStack { .. } => minutes(5),
        ActionSpec::CollectEvidence { .. }
        | ActionSpec::WriteEvent { .. }
        | ActionSpec::SetTcpParameter { .. }
        | ActionSpec::SetTcpGlobal { .. }
        | ActionSpec::SetNicOffload { .. }
        | ActionSpec::SetInterruptModeration { .. }
        | ActionSpec::SetDotnetConnectionLimit { .. }
        | ActionSpec::RunHook { .. } => minutes(1),
    }
}
