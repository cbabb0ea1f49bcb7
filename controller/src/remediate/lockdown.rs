//! The switch that stops every action everywhere. It is a row of the store, so it holds through restarts and for every
//! controller; what sends looks at it in the transaction in which it sends.

use tidemark_model::action::Unlock;
use tidemark_model::action::order::REASON_CHARS_MAX;
use tidemark_model::audit_log::Deed;
use tidemark_model::notice::NoticeKind;
use tidemark_model::signing::Signature;
use tidemark_model::{HostId, Timestamp};
use tidemark_proto::convert::action::signatures_to_wire;
use tidemark_proto::v1::{Lockdown, controller_frame::Kind};
use tidemark_store::{LockdownTurn, StoreError};

use super::ActionError;
use super::lanes::Way;
use crate::app::App;
use crate::incidents::text::{clean, host_name};

/// Turns it in the name of `by`. Turning it to where it stands is a turn of its own: somebody said why again.
///
/// # Errors
/// When the reason is missing or too long, or the database fails; it then stands as before.
pub async fn turn(app: &App, to: Turn, by: &str, reason: &str) -> Result<(), ActionError> {
    let reason = clean(reason.trim());
    let length = reason.chars().count();
    if !(1..=REASON_CHARS_MAX).contains(&length) {
        return Err(ActionError::Limits(vec![format!(
            "reason has {length} characters; it must have 1 to {REASON_CHARS_MAX}: say why, for whoever finds it"
        )]));
    }
    let turned = LockdownTurn {
        at: app.clock.now(),
        is_stop: to == Turn::Stop,
        author: clean(by),
        reason,
    };
    let mut tx = app.store.begin().await?;
    // Whoever sends holds the same lock: after this commit nothing is sent.
    tx.actions_lock().await?;
    tx.lockdown_turn(&turned).await?;
    let deed = match to {
        Turn::Stop => Deed::LockdownImpose,
        Turn::GoOn => Deed::LockdownLift,
    };
    let record = app.record(deed, "lockdown", "").by(&turned.author);
    record.with("reason", &turned.reason).keep(&mut tx).await?;
    tx.commit().await?;
    app.remediation.note_locked(turned.is_stop);
    app.remediation.changed.notify_one();
    let what = if turned.is_stop {
        "every action is stopped"
    } else {
        "actions may go on"
    };
    app.note(
        None,
        NoticeKind::LockdownTurned,
        format!("{what}, by {}: {}", turned.author, turned.reason),
    );
    Ok(())
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Every action is stopped.
    Stop,
    /// Actions may go on.
    GoOn,
}

/// Takes the signed end of one host's lockdown to it. The host decides whether it holds.
///
/// # Errors
/// When everything is stopped, the host is not here, or the database fails.
pub async fn unlock(
    app: &App,
    host: HostId,
    (issued_at, signature): (Timestamp, Signature),
    by: &str,
) -> Result<(), ActionError> {
    if app.remediation.is_locked() {
        return Err(ActionError::Locked);
    }
    let Way::Free(_, permit) = app.remediation.lanes.way_to(host) else {
        return Err(ActionError::NotHere);
    };
    let unlock = Unlock {
        host,
        issued_at_ms: issued_at,
    };
    let mut tx = app.store.begin().await?;
    let record = app.record(Deed::HostUnlock, "hosts", host).about(host);
    record.with("key", signature.key).keep(&mut tx).await?;
    tx.commit().await?;
    permit.send(Kind::Lockdown(Lockdown {
        stop: false,
        unlock: unlock.to_bytes(),
        signatures: signatures_to_wire(&[signature]),
    }));
    app.note(
        Some(host),
        NoticeKind::LockdownTurned,
        format!(
            "{}: the end of its lockdown, signed by key {}, was brought by {}",
            host_name(app, host),
            signature.key,
            clean(by)
        ),
    );
    Ok(())
}

/// The last turns, the newest first.
///
/// # Errors
/// When the database fails.
pub async fn turns(app: &App, limit: u32) -> Result<Vec<LockdownTurn>, StoreError> {
    app.store.read().await?.lockdown_turns(limit).await
}
