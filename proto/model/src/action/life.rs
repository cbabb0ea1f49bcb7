//! One action as the controller keeps it: its order, where it stands, until when, what its host said and what came of it.
//! Pure: the caller brings the time and stores each step with its record.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ActionId, ActionReport, ActionSpec, ActionState, InvalidActionStep, Order};
use crate::grant::GrantId;
use crate::signing::Signature;
use crate::{PortSpaceKey, Timestamp};

/// How long a host may take to say that it has an order; longer than a session needs to find out that it is dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// What a host may take beyond the times that its order names.
const MINUTES_10: Duration = Duration::from_secs(600);
/// A server with much memory and many disks is back after this.
const REBOOT_WITHIN: Duration = Duration::from_secs(45 * 60);
/// How long a host may take to say whether it undid something; a session may have to come back first.
const UNDO_WITHIN: Duration = MINUTES_10;
/// How long the samples of a watched time may take to be stored.
const SAMPLES_WITHIN: Duration = Duration::from_secs(180);

/// An action with everything that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Its place in the list of actions, ascending; 0 before it is stored.
    pub number: i64,
    /// Counts its changes, from 1.
    pub generation: u64,
    /// What is ordered.
    pub order: Order,
    /// The order's exact bytes.
    pub bytes: Vec<u8>,
    /// The incident that it is for.
    pub incident: Option<i64>,
    /// The maintenance run that it is of.
    pub run: Option<i64>,
    /// The requester's own name for the request.
    pub request_key: Option<String>,
    /// Where it stands.
    pub state: ActionState,
    /// When its state ends by itself.
    pub deadline: Option<Timestamp>,
    /// When its host may have begun.
    pub sent_at: Option<Timestamp>,
    /// When nothing more was to come.
    pub ended_at: Option<Timestamp>,
    /// The rest.
    pub body: ActionBody,
}

/// What of an action is not searched for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionBody {
    /// SHA-256 of the request that made it, hexadecimal.
    pub request_hash: String,
    /// Since when it stands where it stands.
    pub state_at_ms: Timestamp,
    /// Over which session it was sent last.
    pub session: Option<u64>,
    /// When its host took it, on the controller's clock.
    pub begun_at_ms: Option<Timestamp>,
    /// When its host was done, on the controller's clock.
    pub done_at_ms: Option<Timestamp>,
    /// Why it does not go on, while it waits.
    pub waits_for: Option<String>,
    /// Times that its host said more while its state stayed; beyond a limit it is no step of its life any more.
    pub remarks: u32,
    /// What its host said last.
    pub report: Option<ActionReport>,
    /// What came of it, by the host's own samples.
    pub effect: Option<Effect>,
    /// That headroom got worse by it, whether it is undone or not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub worse: bool,
    /// That its host was told to undo it.
    pub undo: Option<UndoAsked>,
    /// The grant by which its host may take it without a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
}

/// That a host was told to put back what an action changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UndoAsked {
    /// When.
    pub at_ms: Timestamp,
    /// Over which session it was told last; `None` when over none yet.
    pub session: Option<u64>,
    /// Why, with the figures.
    pub why: String,
}

/// What the host's samples are watched for after an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// For nothing: the host's own word is all there is.
    Nothing,
    /// That headroom grew.
    Better,
    /// That headroom did not shrink: it frees nothing that is held, and may do harm.
    NotWorse,
}

/// What the host's samples say about an action: the values before it, and after it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Effect {
    /// Of which port space.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub port_space: PortSpaceKey,
    /// Headroom before: the median of the last minutes before the host took it.
    pub headroom_before: u32,
    /// Headroom after: the median of the watched time.
    pub headroom_after: u32,
    /// By how much headroom must have grown to be called better.
    pub needed: u32,
    /// Ports that it freed; negative when there were fewer after.
    pub ports_freed: i64,
    /// Ports of the service or process it was done to, before; `null` when they are not known.
    pub subject_ports_before: Option<u32>,
    /// The same after.
    pub subject_ports_after: Option<u32>,
    /// Until when headroom is known to have been better than before.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub held_until_ms: Option<Timestamp>,
    /// Whether it still holds.
    pub holds: bool,
}

/// One step of an action's life: the record of who did what, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeStep {
    /// When, on the controller's clock.
    pub at: Timestamp,
    /// From which state; `None` for the first.
    pub from: Option<ActionState>,
    /// To which.
    pub to: ActionState,
    /// Who; `None` for the controller itself.
    pub by: Option<String>,
    /// Why, in one sentence.
    pub text: String,
}

/// One person's yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Whose.
    pub approver: String,
    /// When.
    pub at: Timestamp,
    /// In whose words; may be empty.
    pub text: String,
}

/// A signature that somebody brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroughtSignature {
    /// The signature and its key.
    pub signature: Signature,
    /// When it was brought.
    pub at: Timestamp,
    /// By whom.
    pub author: String,
}

impl Action {
    /// An action that somebody asks for.
    #[must_use]
    pub fn proposed(order: Order) -> Self {
        let at = order.issued_at_ms;
        Self {
            number: 0,
            generation: 1,
            bytes: order.to_bytes(),
            deadline: Some(order.expires_at_ms),
            order,
            incident: None,
            run: None,
            request_key: None,
            state: ActionState::Proposed,
            sent_at: None,
            ended_at: None,
            body: ActionBody {
                state_at_ms: at,
                ..ActionBody::default()
            },
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> ActionId {
        self.order.id
    }

    /// The first step of its life.
    #[must_use]
    pub fn first_step(&self) -> LifeStep {
        LifeStep {
            at: self.order.issued_at_ms,
            from: None,
            to: self.state,
            by: Some(self.order.requester.clone()),
            text: self.order.reason.clone(),
        }
    }

    /// Goes to another state; the effect of one that is measured is watched for `hold`. Answers the step to be stored
    /// with it.
    ///
    /// # Errors
    /// [`InvalidActionStep`] when its life has no such step.
    pub fn go(
        &mut self,
        to: ActionState,
        at: Timestamp,
        hold: Duration,
    ) -> Result<LifeStep, InvalidActionStep> {
        let from = self.state;
        self.state = from.step(to)?;
        self.deadline = self.deadline_of(to, at, hold);
        self.body.state_at_ms = at;
        self.body.waits_for = None;
        self.ended_at = to.is_final().then_some(at);
        Ok(LifeStep {
            at,
            from: Some(from),
            to,
            by: None,
            text: String::new(),
        })
    }

    fn deadline_of(&self, state: ActionState, at: Timestamp, hold: Duration) -> Option<Timestamp> {
        match state {
            ActionState::Proposed | ActionState::Approved | ActionState::Queued => {
                Some(self.order.expires_at_ms)
            }
            ActionState::Sent => Some(at.saturating_add(ANSWER_WITHIN)),
            ActionState::Accepted | ActionState::Running => {
                Some(at.saturating_add(time_allowed(&self.order.spec)))
            }
            ActionState::Verifying => Some(at.saturating_add(hold + SAMPLES_WITHIN)),
            ActionState::Verified
            | ActionState::Answered
            | ActionState::Rejected
            | ActionState::Expired
            | ActionState::Refused
            | ActionState::Failed
            | ActionState::NotEffective
            | ActionState::RolledBack
            | ActionState::TimedOut
            | ActionState::Cancelled => None,
        }
    }

    /// Whether it changes something on its host.
    #[must_use]
    pub fn disturbs(&self) -> bool {
        self.order.disturbs()
    }

    /// Remembers that its host is told to undo it, for as long as that may take.
    pub fn ask_undo(&mut self, asked: UndoAsked) {
        self.deadline = Some(asked.at_ms.saturating_add(UNDO_WITHIN));
        self.body.undo = Some(asked);
    }

    /// Whether headroom got worse by it: what is told to be undone did harm.
    #[must_use]
    pub const fn is_worse(&self) -> bool {
        self.body.worse || self.body.undo.is_some()
    }

    /// Whether the host's samples are to say if it helped.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.watch() == Watch::Better
    }

    /// What the host's samples are watched for.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let watch = match &self.order.spec {
            ActionSpec::RestartService { .. }
            | ActionSpec::RecycleAppPool { .. }
            | ActionSpec::EndProcess { .. }
            | ActionSpec::SetDynamicPortRange { .. }
            | ActionSpec::Reboot { .. } => Watch::Better,
            // What a hook is for, only its incident says.
            ActionSpec::RunHook { .. } if self.incident.is_some() => Watch::Better,
            // A setting of a driver or of the stack changes what comes; it frees nothing that is held.
            ActionSpec::SetTcpParameter { .. }
            | ActionSpec::SetTcpGlobal { .. }
            | ActionSpec::SetNicOffload { .. }
            | ActionSpec::SetInterruptModeration { .. }
            | ActionSpec::SetDotnetConnectionLimit { .. } => Watch::NotWorse,
            ActionSpec::CollectEvidence { .. }
            | ActionSpec::WriteEvent { .. }
            | ActionSpec::RunHook { .. }
            | ActionSpec::ResetTcpStack { .. } => Watch::Nothing,
        };
        let waits_for_reboot = self
            .body
            .report
            .as_ref()
            .is_some_and(|report| report.needs_reboot);
        if self.order.dry_run || waits_for_reboot {
            Watch::Nothing
        } else {
            watch
        }
    }
}

/// How long a host may be about it before it is given up.
fn time_allowed(spec: &ActionSpec) -> Duration {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    match spec {
        ActionSpec::CollectEvidence { seconds: sampling } => seconds(*sampling) + MINUTES_10,
        // Each dependent may take as long as the service itself.
        ActionSpec::RestartService { stop_timeout_s, .. } => {
            seconds(*stop_timeout_s) * 4 + MINUTES_10
        }
        ActionSpec::SetDynamicPortRange {
            confirm_within_s, ..
        } => seconds(*confirm_within_s) + MINUTES_10,
        ActionSpec::Reboot { grace_s, .. } => seconds(*grace_s) + REBOOT_WITHIN,
        ActionSpec::ResetTcpStack { .. } => REBOOT_WITHIN,
        ActionSpec::WriteEvent { .. }
        | ActionSpec::RecycleAppPool { .. }
        | ActionSpec::EndProcess { .. }
        | ActionSpec::SetTcpParameter { .. }
        | ActionSpec::SetTcpGlobal { .. }
        | ActionSpec::SetNicOffload { .. }
        | ActionSpec::SetInterruptModeration { .. }
        | ActionSpec::SetDotnetConnectionLimit { .. }
        | ActionSpec::RunHook { .. } => MINUTES_10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostId;

    const HOLD: Duration = Duration::from_secs(300);
    const AT: Timestamp = Timestamp::from_unix_ms(5_000);

    fn action(spec: ActionSpec) -> Action {
        let at = Timestamp::from_unix_ms;
        Action::proposed(Order {
            id: ActionId::from_bytes([1; 16]),
            host: HostId::of_identity_spki(&[1]),
            spec,
            dry_run: false,
            issued_at_ms: at(1_000),
            not_before_ms: at(1_000),
            expires_at_ms: at(61_000),
            requester: "ann".to_owned(),
            reason: "a leak".to_owned(),
            undo_within_s: None,
        })
    }

    #[test]
    fn every_state_that_is_no_end_has_a_deadline() {
        for from in ActionState::ALL.iter().copied() {
            for to in from.next() {
                let mut moved = action(ActionSpec::CollectEvidence { seconds: 5 });
                moved.state = from;
                let at = Timestamp::from_unix_ms(5_000);
                let step = moved.go(*to, at, HOLD).unwrap();
                assert_eq!((step.from, step.to), (Some(from), *to));
                assert_eq!(moved.deadline.is_none(), to.is_final(), "{to:?}");
                assert_eq!(moved.ended_at.is_some(), to.is_final(), "{to:?}");
            }
        }
    }

    #[test]
    fn a_step_that_its_life_has_not_changes_nothing() {
        let mut action = action(ActionSpec::CollectEvidence { seconds: 5 });
        let before = action.clone();
        let at = Timestamp::from_unix_ms(5_000);
        assert!(action.go(ActionState::Running, at, HOLD).is_err());
        assert_eq!(action, before);
    }

    #[test]
    fn a_host_is_given_the_times_that_its_order_names() {
        let reboot = ActionSpec::Reboot {
            grace_s: 3_600,
            reason: "x".to_owned(),
            force: false,
        };
        assert!(time_allowed(&reboot) > Duration::from_secs(3_600 + 1_800));
    }

    #[test]
    fn what_frees_no_ports_is_not_measured() {
        assert!(!action(ActionSpec::CollectEvidence { seconds: 5 }).is_measured());
        let restart = ActionSpec::RestartService {
            service: "leaky".to_owned(),
            stop_timeout_s: 30,
            on_hang: super::super::spec::OnHang::Fail,
        };
        let mut restart = action(restart);
        assert!(restart.is_measured());
        restart.order.dry_run = true;
        assert!(!restart.is_measured());
        let mut limit = action(ActionSpec::SetDotnetConnectionLimit { connections: 12 });
        assert_eq!(limit.watch(), Watch::NotWorse);
        let mut report = ActionReport::new(limit.id(), ActionState::Verifying, AT, "done");
        report.needs_reboot = true;
        limit.body.report = Some(report);
        assert_eq!(limit.watch(), Watch::Nothing);
    }

    #[test]
    fn a_host_that_is_to_undo_it_has_a_deadline_of_its_own() {
        let mut limit = action(ActionSpec::SetDotnetConnectionLimit { connections: 12 });
        limit.ask_undo(UndoAsked {
            at_ms: AT,
            ..UndoAsked::default()
        });
        assert_eq!(limit.deadline, Some(AT.saturating_add(UNDO_WITHIN)));
    }
}
