//! Remediation: actions from the asking to what the host's own samples say came of them. What a host does is its own
//! policy's business; here is who asked, who approved, what was sent, and what was told.
//!
//! Nothing of it lives in memory alone: each step is a row, and what is waited for has a deadline in the store.

pub mod decide;
pub mod dispatch;
pub mod effect;
mod error;
pub mod gate;
pub mod lanes;
pub mod lockdown;
pub mod proposals;
pub mod propose;
pub mod recovery;
pub mod report;
mod room;
mod rules;
pub(crate) mod undo;

use std::sync::atomic::{AtomicBool, Ordering};

use tidemark_model::action::{Action, ActionId, ActionState, InvalidActionStep, LifeStep};
use tidemark_model::notice::NoticeKind;
use tidemark_store::{StoreError, Tx};
use tokio::sync::Notify;

pub use error::ActionError;
pub use lanes::Lanes;
pub use rules::{OwnHost, RemediationRules};

use crate::app::App;
use crate::incidents::text::{clean, host_name};

/// What the parts of remediation share.
#[derive(Debug)]
pub struct Remediation {
    /// Limits and times.
    pub rules: RemediationRules,
    /// Identity of the boot of the machine that this controller runs on; `None` when it cannot be read.
    pub own_boot: Option<String>,
    /// Ways to the hosts that are connected here.
    pub lanes: Lanes,
    /// Wakes what sends actions.
    pub changed: Notify,
    is_locked: AtomicBool,
}

impl Remediation {
    /// With nobody connected yet.
    #[must_use]
    pub fn new(rules: RemediationRules) -> Self {
        Self {
            rules,
            own_boot: own_boot(),
            lanes: Lanes::default(),
            changed: Notify::new(),
            is_locked: AtomicBool::new(false),
        }
    }

    /// Whether every action is stopped, as of the last look. What sends asks the store.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is_locked.load(Ordering::Acquire)
    }

    /// Remembers how the lockdown stands.
    pub(crate) fn note_locked(&self, is_locked: bool) {
        self.is_locked.store(is_locked, Ordering::Release);
    }
}

/// Agents tell the same text as identity of their boot, so that an agent on this machine is known.
fn own_boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Takes an action to another state and answers the record of that step; to be stored together.
pub(crate) fn step(
    app: &App,
    action: &mut Action,
    to: ActionState,
    (by, text): (Option<&str>, &str),
) -> Result<LifeStep, InvalidActionStep> {
    let step = action.go(to, app.clock.now(), app.remediation.rules.hold)?;
    Ok(LifeStep {
        by: by.map(clean),
        text: clean(text),
        ..step
    })
}

/// The record of something that leaves an action in its state.
pub(crate) fn remark(app: &App, action: &Action, by: Option<&str>, text: &str) -> LifeStep {
    LifeStep {
        at: app.clock.now(),
        from: Some(action.state),
        to: action.state,
        by: by.map(clean),
        text: clean(text),
    }
}

/// Who took the last step of an action's life, and why; nobody and nothing when it has none.
///
/// # Errors
/// When the database fails.
pub(crate) async fn last_word(
    tx: &mut Tx,
    id: ActionId,
) -> Result<(Option<String>, String), StoreError> {
    let last = tx.action_steps(id, 1).await?.pop();
    Ok(last.map_or_else(|| (None, String::new()), |step| (step.by, step.text)))
}

/// Tells operators' lists of a step; its record is the action's own.
pub(crate) fn tell(app: &App, action: &Action, step: &LifeStep) {
    let is_news = match step.to {
        ActionState::Queued | ActionState::Sent | ActionState::Running | ActionState::Verifying => {
            false
        }
        ActionState::Proposed
        | ActionState::Approved
        | ActionState::Accepted
        | ActionState::Verified
        | ActionState::Answered
        | ActionState::Rejected
        | ActionState::Expired
        | ActionState::Refused
        | ActionState::Failed
        | ActionState::NotEffective
        | ActionState::RolledBack
        | ActionState::TimedOut
        | ActionState::Cancelled => step.from != Some(step.to),
    };
    if !is_news {
        return;
    }
    let host = action.order.host;
    let (what, name) = (action.order.spec.summary(), host_name(app, host));
    let (dry, state) = (
        if action.order.dry_run {
            " (dry run)"
        } else {
            ""
        },
        step.to.as_str(),
    );
    let mut text = format!("{name}: {what}{dry} is {state}");
    if let Some(by) = &step.by {
        text.push_str(&format!(", by {by}"));
    }
    if !step.text.is_empty() {
        text.push_str(&format!(": {}", step.text));
    }
    app.note(Some(host), NoticeKind::ActionChanged, clean(&text));
}
