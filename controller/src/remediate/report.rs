//! What hosts tell: where their actions stand, and what their policies let be done. A report is stored before it is
//! acknowledged; told again, or late, it changes nothing.

use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tidemark_model::action::{Action, ActionReport, ActionState, HostPolicyView, LifeStep, Watch};
use tidemark_model::audit_log::Deed;
use tidemark_model::error_code::ApiError;
use tidemark_model::notice::NoticeKind;
use tidemark_model::{ErrorCode, HostId, Timestamp};
use tidemark_proto::v1::controller_frame::Kind;
use tidemark_store::StoreError;

use super::dispatch::{RoundTrip, confirmation, escalate, round_trip};
use super::{remark, step, tell, undo};
use crate::app::App;
use crate::audit_log::of_action;
use crate::incidents::text::{clean, host_name};

/// Steps of one action's life that its host makes by saying more while its state stays.
const REMARKS_MAX: u32 = 100;

/// Times that a report is tried again when somebody else changed its action meanwhile.
const TRIES: u32 = 5;

/// A policy that says nothing new is written down only when the last is this old, so that a fleet that comes back together
/// does not write at once.
const UNCHANGED_PAUSE: Duration = Duration::from_secs(3_600);

/// From which host, and what is known of its clock.
#[derive(Clone, Copy, Debug)]
pub struct Teller {
    /// Which host.
    pub host: HostId,
    /// Its clock less the controller's, in milliseconds.
    pub skew_ms: i64,
    /// When it opened its session, by its clock.
    pub opened_at: Timestamp,
}

/// Why a report is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It is about another host's action.
    #[error("this host reports about an action of another host")]
    Foreign,
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for ReportError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Foreign => ErrorCode::Forbidden,
            Self::Store(error) => error.code(),
        }
    }
}

/// What follows a report that is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Its acknowledgement.
    Ack,
    /// The same, and this frame.
    Send(Kind),
    /// The same, and the end of the session: only a new connection shows that the host's change cut nobody off.
    ComeBack,
}

/// Stores a report, with each step that it means. Answers what the host is to get.
///
/// # Errors
/// [`ReportError`]; nothing is stored then.
pub async fn take_report(
    app: &App,
    teller: Teller,
    report: &ActionReport,
) -> Result<Next, ReportError> {
    let mut tries = 0;
    loop {
        match take_once(app, teller, report).await {
            Err(ReportError::Store(StoreError::Stale { .. })) if tries < TRIES => tries += 1,
            taken => return taken,
        }
    }
}

async fn take_once(app: &App, teller: Teller, report: &ActionReport) -> Result<Next, ReportError> {
    let mut tx = app.store.begin().await?;
    let Some(mut action) = tx.action_find(report.id).await? else {
        drop(tx);
        tell_unknown(app, teller.host, report);
        return Ok(Next::Ack);
    };
    if action.order.host != teller.host {
        return Err(ReportError::Foreign);
    }
    if action.body.report.as_ref() != Some(report)
        && let Some(steps) = steps_of(app, teller, &mut action, report)
    {
        tx.action_update(&mut action, &steps).await?;
        let record = of_action(app, Deed::ActionReport, &action);
        record
            .by_host(teller.host, &host_name(app, teller.host))
            .with("reported", report.state.as_str())
            .with("text", &report.text)
            .with("report_sha256", digest_of(report))
            .keep(&mut tx)
            .await?;
        tx.commit().await?;
        for step in &steps {
            tell(app, &action, step);
            // Something was done that is not part of this action's life.
            let is_odd = step.from == Some(step.to) && step.to != report.state;
            if is_odd || undo::has_ended(&action) {
                escalate(app, &action, &step.text);
            }
        }
        // The host is free for its next action.
        app.remediation.changed.notify_one();
    }
    // Only what the host waits for at this moment: a late report of it asks for nothing.
    if action.state != ActionState::Running {
        return Ok(Next::Ack);
    }
    Ok(match round_trip(&action, teller.opened_at) {
        RoundTrip::None => Next::Ack,
        RoundTrip::Wanted => Next::ComeBack,
        RoundTrip::Made => Next::Send(confirmation(action.id())),
    })
}

/// What was reported, word for word.
fn digest_of(report: &ActionReport) -> String {
    // Names, numbers and texts always serialise.
    let text = serde_json::to_vec(report).unwrap_or_default();
    HEXLOWER.encode(&Sha256::digest(text))
}

/// Takes the report into the action; the records of what that changes, or nothing when it is nothing new.
fn steps_of(
    app: &App,
    teller: Teller,
    action: &mut Action,
    report: &ActionReport,
) -> Option<Vec<LifeStep>> {
    let by = host_name(app, teller.host);
    let mut steps = Vec::new();
    // It came with a session that ended before the host could say so.
    if action.state == ActionState::Queued && action.sent_at.is_some() {
        let text = "its host has it from a former session";
        steps.extend(step(app, action, ActionState::Sent, (None, text)));
    }
    if matches!(action.state, ActionState::Verifying | ActionState::TimedOut)
        && let Some(steps) = undo::answered(app, action, report, &by)
    {
        return Some(steps);
    }
    let text = text_of(report);
    // Further on, and still in the same state.
    if action.state == report.state
        && report.state == ActionState::Running
        && action
            .body
            .report
            .as_ref()
            .is_some_and(|last| last.at_ms <= report.at_ms)
    {
        return Some(remarked(app, action, report, (&by, &text)));
    }
    // That it was done is known of one that was to be undone.
    if undo::has_ended(action) && report.state == ActionState::Verifying {
        return None;
    }
    match step(app, action, report.state, (Some(&by), &text)) {
        Ok(taken) => steps.push(taken),
        Err(_) if is_passed(action.state, report.state) => return None,
        // What a host did is on record also where it should not have been, or where nobody waits for it any more.
        Err(_) => {
            let told = format!("its host says {}: {text}", report.state.as_str());
            steps.extend(remarked(app, action, report, (&by, &told)));
            return Some(steps);
        }
    }
    let at = app.host_time(report.at_ms, teller.skew_ms);
    let is_taken = !matches!(report.state, ActionState::Refused);
    if is_taken && action.body.begun_at_ms.is_none() {
        // A host that says at once that it is done began after it was sent.
        let is_begin = matches!(report.state, ActionState::Accepted | ActionState::Running);
        action.body.begun_at_ms = if is_begin { Some(at) } else { action.sent_at };
    }
    if !matches!(report.state, ActionState::Accepted | ActionState::Running) {
        action.body.done_at_ms = Some(at);
    }
    action.body.report = Some(report.clone());
    if report.state == ActionState::Verifying && action.watch() == Watch::Nothing {
        let text = if report.needs_reboot {
            "done; it holds from the host's next start on"
        } else {
            "done; nothing of it can be seen in samples"
        };
        steps.extend(step(app, action, ActionState::Verified, (None, text)));
    }
    Some(steps)
}

/// Takes a report into an action whose state stays; the record of it, while there are not too many of them.
pub(super) fn remarked(
    app: &App,
    action: &mut Action,
    report: &ActionReport,
    (by, text): (&str, &str),
) -> Vec<LifeStep> {
    action.body.report = Some(report.clone());
    action.body.remarks = action.body.remarks.saturating_add(1);
    if action.body.remarks > REMARKS_MAX {
        return Vec::new();
    }
    vec![remark(app, action, Some(by), text)]
}

/// Whether an action at `state` has been where a report puts it: the report is late, or told again.
const fn is_passed(state: ActionState, told: ActionState) -> bool {
    match told {
        ActionState::Accepted | ActionState::Running => {
            let is_before = matches!(state, ActionState::Sent | ActionState::Accepted)
                && !matches!(
                    (state, told),
                    (ActionState::Accepted, ActionState::Accepted)
                );
            state.may_have_begun() && !is_before || matches!(state, ActionState::Refused)
        }
        ActionState::Verifying => matches!(
            state,
            ActionState::Verifying
                | ActionState::Verified
                | ActionState::NotEffective
                | ActionState::RolledBack
        ),
        // Told again, with other words perhaps: its first word stands.
        ActionState::Answered => matches!(state, ActionState::Answered),
        ActionState::Refused => matches!(state, ActionState::Refused),
        ActionState::Failed => matches!(state, ActionState::Failed),
        ActionState::RolledBack => matches!(state, ActionState::RolledBack),
        ActionState::Proposed
        | ActionState::Approved
        | ActionState::Queued
        | ActionState::Sent
        | ActionState::Verified
        | ActionState::Rejected
        | ActionState::Expired
        | ActionState::NotEffective
        | ActionState::TimedOut
        | ActionState::Cancelled => false,
    }
}

fn text_of(report: &ActionReport) -> String {
    match report.refusal {
        Some(refusal) => format!("{}: {}", refusal.as_str(), report.text),
        None => report.text.clone(),
    }
}

/// An effect without an order here: of a controller that was restored from a backup, or of somebody else's doing.
fn tell_unknown(app: &App, host: HostId, report: &ActionReport) {
    let text = format!(
        "{}: it reports action {} as {}, which this controller does not know: {}",
        host_name(app, host),
        report.id,
        report.state.as_str(),
        text_of(report)
    );
    app.note(Some(host), NoticeKind::ActionEscalated, clean(&text));
}

/// Stores what a host tells about its policy.
///
/// # Errors
/// When the database fails.
pub async fn take_policy(
    app: &App,
    host: HostId,
    policy: &HostPolicyView,
) -> Result<(), StoreError> {
    if !policy.grants.is_empty() {
        app.remediation.lanes.holds_grants(host);
    }
    let now = app.clock.now();
    let before = app.store.read().await?.host_policy(host).await?;
    let is_news = before.is_none_or(|(told_at, before)| {
        before != *policy || now >= told_at.saturating_add(UNCHANGED_PAUSE)
    });
    if !is_news {
        return Ok(());
    }
    let mut tx = app.store.begin().await?;
    tx.host_policy_put(host, now, policy).await?;
    tx.commit().await?;
    app.keys.note_told(host);
    app.live.announce_incidents(&[host]);
    app.remediation.changed.notify_one();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_was_passed_is_one_that_life_does_not_lead_to_again() {
        for state in ActionState::ALL.iter().copied() {
            for told in ActionState::ALL.iter().copied() {
                let leads_there = state.step(told).is_ok();
                assert!(
                    !(is_passed(state, told) && leads_there),
                    "{state:?} {told:?}"
                );
            }
        }
        // The host undid what was taken for done: that is news.
        assert!(!is_passed(ActionState::Verified, ActionState::RolledBack));
        // It did what nobody sent: that is news, too.
        assert!(!is_passed(ActionState::Cancelled, ActionState::Running));
    }
}
