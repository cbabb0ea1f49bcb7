//! What a run asks of a host, as an ordinary action: its id follows from the run, so that the same turn is never two.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tidemark_model::Timestamp;
use tidemark_model::action::order::REASON_CHARS_MAX;
use tidemark_model::action::{
    Action, ActionId, ActionSpec, ActionState, Approval, LifeStep, Order,
};
use tidemark_model::run::{Run, RunHost, RunHostState, RunRules};
use tidemark_store::Tx;

use super::ahead;
use super::machine::{self, HostNow, WindowNow};
use crate::app::App;
use crate::remediate::decide::is_approved;
use crate::remediate::propose::check_host;
use crate::remediate::{ActionError, step, undo};

/// How long an action of a run may wait for its host; a host that could not be had by then gets another turn.
const VALID: Duration = Duration::from_secs(3_600);

/// An action that was asked for, with the steps of its life so far.
pub(super) type Asked = (Action, Vec<LifeStep>);

/// Asks for the step that a host is at, approved as the run was.
///
/// # Errors
/// [`ActionError`], when the host may not be asked or the database fails.
pub(super) async fn ask(
    app: &App,
    tx: &mut Tx,
    (run, rules, approvals): (&Run, &RunRules, &[Approval]),
    (host, known): (&RunHost, &HostNow),
) -> Result<Asked, ActionError> {
    let Some(wanted) = rules.steps.get(host.body.step as usize) else {
        return Err(ActionError::Limits(vec![
            "the run has no such step".to_owned(),
        ]));
    };
    let now = app.clock.now();
    let order = match ahead::order_of(tx, (run, host), now).await? {
        Some(order) => order,
        None => {
            let within = undo::consent(app, tx, (host.host, &wanted.spec)).await?;
            made((run, host, known), (&wanted.spec, within), now)
        }
    };
    if let Err(error) = order.check() {
        return Err(ActionError::Limits(vec![error.to_string()]));
    }
    check_host(app, tx, &order).await?;
    let mut action = Action::proposed(order);
    action.run = Some(run.number);
    action.number = tx.action_insert(&action).await?;
    let mut told = vec![action.first_step()];
    for approval in approvals {
        tx.action_approve(action.id(), approval).await?;
    }
    // A run takes as many approvals as the most disruptive of its actions, so that this holds; if it did not, the action
    // would wait for people as any other does.
    if is_approved(&action, approvals) {
        let names: Vec<&str> = approvals.iter().map(|one| &*one.approver).collect();
        let text = format!("with run {}, by {}", run.number, names.join(", "));
        let approved = step(app, &mut action, ActionState::Approved, (None, &text))?;
        tx.action_update(&mut action, std::slice::from_ref(&approved))
            .await?;
        told.push(approved);
    }
    Ok((action, told))
}

/// An order for this moment.
fn made(
    (run, host, known): (&Run, &RunHost, &HostNow),
    (spec, undo_within_s): (&ActionSpec, Option<u32>),
    now: Timestamp,
) -> Order {
    let hour = now.saturating_add(VALID);
    Order {
        id: id_of(run, host),
        host: host.host,
        spec: spec.clone(),
        dry_run: false,
        issued_at_ms: now,
        not_before_ms: now,
        expires_at_ms: match known.window {
            WindowNow::Open(Some(until)) => until.min(hour),
            WindowNow::Open(None) | WindowNow::Closed(_) | WindowNow::Never => hour,
        },
        requester: run.body.requester.clone(),
        reason: reason(run),
        undo_within_s,
    }
}

/// Takes an action back that was not sent. `None` when it was, or has ended.
///
/// # Errors
/// When the database fails.
pub(super) async fn take_back(
    app: &App,
    tx: &mut Tx,
    host: &RunHost,
) -> Result<Option<Asked>, ActionError> {
    let found = match host.body.action {
        Some(id) => tx.action_find(id).await?,
        None => None,
    };
    let Some(mut action) = found.filter(|action| action.sent_at.is_none()) else {
        return Ok(None);
    };
    let text = "its run stops";
    let Ok(taken) = step(app, &mut action, ActionState::Cancelled, (None, text)) else {
        return Ok(None);
    };
    tx.action_update(&mut action, std::slice::from_ref(&taken))
        .await?;
    Ok(Some((action, vec![taken])))
}

/// What becomes of a host that could not be asked.
pub(super) fn refuse(host: &mut RunHost, why: &ActionError, now: Timestamp) {
    let to = if host.body.step == 0 {
        RunHostState::Skipped
    } else {
        RunHostState::Failed
    };
    machine::host::go(host, to, format!("it could not be asked: {why}"), now);
}

/// The id of what is asked of a host for the so-manieth time.
pub(super) fn id_of(run: &Run, host: &RunHost) -> ActionId {
    let mut hash = Sha256::new();
    hash.update(run.body.seed.as_bytes());
    hash.update(run.number.to_be_bytes());
    hash.update(host.place.to_be_bytes());
    hash.update(host.body.asked.to_be_bytes());
    first_bytes(hash)
}

/// An id of the first half of a hash.
pub(super) fn first_bytes(hash: Sha256) -> ActionId {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = <[u8; 32]>::from(hash.finalize());
    ActionId::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}

/// Why an order of a run is given.
pub(super) fn reason(run: &Run) -> String {
    let reason = format!(
        "run {} ({}): {}",
        run.number, run.spec.name, run.spec.reason
    );
    reason.chars().take(REASON_CHARS_MAX).collect()
}
