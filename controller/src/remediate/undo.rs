//! What made headroom worse is undone: the host is told to, over whichever session it has, until it says what came of it or
//! its time is over. The order's own consent, which the host checks, is what lets it.

use std::time::Duration;

use tidemark_model::HostId;
use tidemark_model::action::life::UndoAsked;
use tidemark_model::action::order::UNDO_WITHIN_S;
use tidemark_model::action::{Action, ActionId, ActionReport, ActionSpec, ActionState, LifeStep};
use tidemark_model::audit_log::Deed;
use tidemark_proto::v1::{ActionUndo, controller_frame::Kind};
use tidemark_store::{StoreError, Tx};
use tokio::sync::mpsc::OwnedPermit;

use super::lanes::Way;
use super::report::remarked;
use super::{remark, step, tell};
use crate::app::App;
use crate::audit_log::of_action;

/// How long beyond the watched time an order lets itself be undone: samples may be late, and so may the host.
const CONSENT_BEYOND_HOLD: Duration = Duration::from_secs(3_600);

/// For how long an order of these parameters lets itself be undone; `None` when it cannot, or its host's agent does not
/// know how.
///
/// # Errors
/// When the database fails.
pub(crate) async fn consent(
    app: &App,
    tx: &mut Tx,
    (host, spec): (HostId, &ActionSpec),
) -> Result<Option<u32>, StoreError> {
    if !spec.can_be_undone() {
        return Ok(None);
    }
    let policy = tx.host_policy(host).await?;
    if !policy.is_some_and(|(_, policy)| policy.undoes) {
        return Ok(None);
    }
    Ok(Some(within(app)))
}

/// For how many seconds orders let themselves be undone.
pub(crate) fn within(app: &App) -> u32 {
    let within = app.remediation.rules.hold + CONSENT_BEYOND_HOLD;
    let seconds = u32::try_from(within.as_secs()).unwrap_or(u32::MAX);
    seconds.clamp(*UNDO_WITHIN_S.start(), *UNDO_WITHIN_S.end())
}

/// Why an action that made things worse is not undone; `None` when it can be.
pub(super) fn obstacle(app: &App, action: &Action) -> Option<&'static str> {
    if !action.order.spec.can_be_undone() {
        Some("it cannot be undone")
    } else if action.order.undo_within_s.is_none() {
        Some("its order does not let it be undone")
    } else if app.remediation.is_locked() {
        Some("it is not undone, because every action is stopped")
    } else {
        None
    }
}

/// Has an action undone because of `why`, which is stored before it is sent.
///
/// # Errors
/// What the database says.
pub(super) async fn begin(app: &App, action: &mut Action, why: &str) -> Result<(), StoreError> {
    let asked = UndoAsked {
        at_ms: app.clock.now(),
        session: None,
        why: why.to_owned(),
    };
    action.ask_undo(asked);
    let text = format!("{why}; its host is told to undo it");
    let step = remark(app, action, None, &text);
    let way = way(app, action);
    send(app, action, (way, vec![step])).await
}

/// Tells it to the host again when that came back over another session.
///
/// # Errors
/// What the database says.
pub(super) async fn go_on(app: &App, action: &mut Action) -> Result<(), StoreError> {
    let lane = app.remediation.lanes.session_of(action.order.host);
    let told = action.body.undo.as_ref().and_then(|undo| undo.session);
    if lane.is_none_or(|lane| told == Some(lane.get())) || app.remediation.is_locked() {
        return Ok(());
    }
    match way(app, action) {
        None => Ok(()),
        way => send(app, action, (way, Vec::new())).await,
    }
}

async fn send(
    app: &App,
    action: &mut Action,
    (way, steps): (Option<(u64, OwnedPermit<Kind>)>, Vec<LifeStep>),
) -> Result<(), StoreError> {
    if let (Some((session, _)), Some(undo)) = (&way, &mut action.body.undo) {
        undo.session = Some(*session);
    }
    let mut tx = app.store.begin().await?;
    tx.actions_lock().await?;
    if tx.is_locked().await? {
        return Ok(());
    }
    tx.action_update(action, &steps).await?;
    if let Some(step) = steps.last() {
        let record = of_action(app, Deed::ActionUndo, action).by("controller");
        record.with("why", &step.text).keep(&mut tx).await?;
    }
    tx.commit().await?;
    if let Some((_, permit)) = way {
        permit.send(frame(action.id()));
    }
    for step in &steps {
        tell(app, action, step);
    }
    Ok(())
}

fn way(app: &App, action: &Action) -> Option<(u64, OwnedPermit<Kind>)> {
    match app.remediation.lanes.way_to(action.order.host) {
        Way::Free(session, permit) => Some((session.get(), permit)),
        Way::Busy | Way::Deaf | Way::Away => None,
    }
}

fn frame(id: ActionId) -> Kind {
    Kind::ActionUndo(ActionUndo {
        action_id: id.as_bytes().to_vec(),
    })
}

/// Takes the host's answer into an action that it was told to undo; `None` for a report that is none. A refusal that comes
/// when nobody waits for it any more is on record and opens nothing again.
pub(super) fn answered(
    app: &App,
    action: &mut Action,
    report: &ActionReport,
    by: &str,
) -> Option<Vec<LifeStep>> {
    let why = action.body.undo.as_ref()?.why.clone();
    let (to, text) = match (report.state, &report.undo_refused) {
        (ActionState::RolledBack, _) => (
            ActionState::RolledBack,
            format!("{why}; undone: {}", report.text),
        ),
        (ActionState::Failed, _) => (
            ActionState::Failed,
            format!("{why}; it could not be undone: {}", report.text),
        ),
        (_, Some(refused)) => (
            ActionState::NotEffective,
            format!("{why}; its host does not undo it: {refused}"),
        ),
        (_, None) => return None,
    };
    let Ok(step) = step(app, action, to, (Some(by), &text)) else {
        return Some(remarked(app, action, report, (by, &text)));
    };
    action.body.report = Some(report.clone());
    Some(vec![step])
}

/// What is said of one whose host did not answer, or was never told.
pub(super) fn unanswered(action: &Action) -> Option<String> {
    let asked = action.body.undo.as_ref()?;
    let what = match asked.session {
        Some(_) => "its host did not say whether it undid it",
        None => "its host could not be told to undo it in time",
    };
    Some(format!("{}; {what}", asked.why))
}

/// Whether an action ended because it made things worse.
pub(super) fn has_ended(action: &Action) -> bool {
    action.body.undo.is_some() && action.state.is_final()
}
