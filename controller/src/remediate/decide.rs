//! What people do with an action: approve, reject, cancel, bring a signature. Each is one transaction by generation.

use tidemark_model::action::order::REASON_CHARS_MAX;
use tidemark_model::action::{Action, ActionId, ActionState, Approval, BroughtSignature};
use tidemark_model::audit_log::Deed;
use tidemark_model::signing::{SIGNATURES_MAX, Signature};
use tidemark_store::Tx;

use super::{ActionError, remark, step, tell};
use crate::app::App;
use crate::audit_log::of_action;
use crate::incidents::text::clean;

/// What somebody says about an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// Never mind.
    Cancel,
}

/// How many people must approve it. A dry run changes nothing.
#[must_use]
pub fn approvals_needed(action: &Action) -> u8 {
    if action.order.dry_run {
        0
    } else {
        action.order.spec.tier().approvals_min()
    }
}

/// Does it in the name of `by`; answers the action as it is then.
///
/// # Errors
/// [`ActionError`]; nothing is changed then.
pub async fn decide(
    app: &App,
    id: ActionId,
    (word, by): (Word, &str),
    text: &str,
) -> Result<Action, ActionError> {
    let text = clean(text.trim());
    let length = text.chars().count();
    if length > REASON_CHARS_MAX || (length == 0 && word == Word::Reject) {
        return Err(ActionError::Limits(vec![format!(
            "text has {length} characters; it must have 500 at most, and a rejection at least 1: say why"
        )]));
    }
    let by = clean(by);
    let mut tx = app.store.begin().await?;
    let mut action = tx.action_find(id).await?.ok_or(ActionError::Unknown)?;
    let done = match word {
        Word::Approve => approve(app, &mut tx, &mut action, (&by, &text)).await?,
        Word::Reject => step(app, &mut action, ActionState::Rejected, (Some(&by), &text))?,
        Word::Cancel => {
            action.state.step(ActionState::Cancelled)?;
            if action.sent_at.is_some() {
                return Err(ActionError::Sent);
            }
            step(app, &mut action, ActionState::Cancelled, (Some(&by), &text))?
        }
    };
    tx.action_update(&mut action, std::slice::from_ref(&done))
        .await?;
    let deed = match word {
        Word::Approve => Deed::ActionApprove,
        Word::Reject => Deed::ActionReject,
        Word::Cancel => Deed::ActionCancel,
    };
    let record = of_action(app, deed, &action).by(&by);
    record.with("text", &text).keep(&mut tx).await?;
    tx.commit().await?;
    tell(app, &action, &done);
    app.remediation.changed.notify_one();
    Ok(action)
}

async fn approve(
    app: &App,
    tx: &mut Tx,
    action: &mut Action,
    (by, text): (&str, &str),
) -> Result<tidemark_model::action::LifeStep, ActionError> {
    action.state.step(ActionState::Approved)?;
    if action.order.requester == by {
        return Err(ActionError::OwnApproval);
    }
    let approval = Approval {
        approver: by.to_owned(),
        at: app.clock.now(),
        text: text.to_owned(),
    };
    let before = tx.action_approvals(action.id()).await?;
    if before.iter().any(|one| one.approver == approval.approver) {
        return Err(ActionError::ApprovedBefore);
    }
    tx.action_approve(action.id(), &approval).await?;
    let approvals = tx.action_approvals(action.id()).await?;
    let needed = usize::from(approvals_needed(action));
    if is_approved(action, &approvals) {
        return Ok(step(app, action, ActionState::Approved, (Some(by), text))?);
    }
    let so_far = format!("approved by {} of {needed} people; {text}", approvals.len());
    let so_far = so_far.trim_end_matches("; ");
    Ok(remark(app, action, Some(by), so_far))
}

/// Whether enough people other than the requester approved it.
#[must_use]
pub fn is_approved(action: &Action, approvals: &[Approval]) -> bool {
    let mut people: Vec<&str> = approvals
        .iter()
        .map(|approval| &*approval.approver)
        .filter(|approver| *approver != action.order.requester)
        .collect();
    people.sort_unstable();
    people.dedup();
    people.len() >= usize::from(approvals_needed(action))
}

/// Keeps a signature that somebody brought; answers the action. Whether it holds, its host decides, who knows the keys.
///
/// # Errors
/// [`ActionError`]; nothing is kept then.
pub async fn sign(
    app: &App,
    id: ActionId,
    signature: Signature,
    by: &str,
) -> Result<Action, ActionError> {
    let mut tx = app.store.begin().await?;
    let mut action = tx.action_find(id).await?.ok_or(ActionError::Unknown)?;
    let is_signable = action.sent_at.is_none()
        && matches!(
            action.state,
            ActionState::Proposed | ActionState::Approved | ActionState::Queued
        );
    if !is_signable {
        return Err(ActionError::NotSignable(action.state.as_str()));
    }
    let brought = BroughtSignature {
        signature,
        at: app.clock.now(),
        author: clean(by),
    };
    let before = tx.action_signatures(id).await?;
    if before.iter().any(|one| one.signature.key == signature.key) {
        return Err(ActionError::SignedBefore);
    }
    if before.len() >= SIGNATURES_MAX {
        return Err(ActionError::Limits(vec![format!(
            "it has {SIGNATURES_MAX} signatures, and takes no more"
        )]));
    }
    tx.actions_sign(&[(id, brought)]).await?;
    let signed = remark(
        app,
        &action,
        Some(by),
        &format!("brought a signature by key {}", signature.key),
    );
    tx.action_update(&mut action, &[signed]).await?;
    let record = of_action(app, Deed::ActionSign, &action).by(by);
    record.with("key", signature.key).keep(&mut tx).await?;
    tx.commit().await?;
    app.remediation.changed.notify_one();
    Ok(action)
}
