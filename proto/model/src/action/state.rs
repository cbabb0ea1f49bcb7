//! The life of an action: where it can stand and where it can go from there. A final state is always reached.

use crate::kinds::kinds;

kinds! {
    /// Where an action stands.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    ActionState
    /// Asked for; waits for approval.
    Proposed = "proposed",
    /// Approved; waits for its time.
    Approved = "approved",
    /// Waits for its host.
    Queued = "queued",
    /// Given to the host's session.
    Sent = "sent",
    /// The host took it: it is in its journal.
    Accepted = "accepted",
    /// The host is doing it.
    Running = "running",
    /// Done; the host's own samples are watched.
    Verifying = "verifying",
    /// It helped, or did what it was to do where nothing is to be measured.
    Verified = "verified",
    /// A dry run said what it would do.
    Answered = "answered",
    /// An approver said no.
    Rejected = "rejected",
    /// Nobody approved or took it in time.
    Expired = "expired",
    /// The host would not: its policy, a signature, a lockdown, a check before.
    Refused = "refused",
    /// It was tried and did not work.
    Failed = "failed",
    /// It was done and did not help.
    NotEffective = "not_effective",
    /// It was done and undone.
    RolledBack = "rolled_back",
    /// The host did not report in time.
    TimedOut = "timed_out",
    /// Taken back before the host took it.
    Cancelled = "cancelled",
}

/// A step that the life of an action does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an action that is {} cannot become {}", from.as_str(), to.as_str())]
pub struct InvalidActionStep {
    /// Where it stands.
    pub from: ActionState,
    /// Where it was to go.
    pub to: ActionState,
}

impl ActionState {
    /// Whether nothing follows. [`Self::TimedOut`] is final for whoever waits, yet a host that comes back late may still
    /// tell what became of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.next().is_empty() || matches!(self, Self::TimedOut)
    }

    /// Whether the host may already have begun: from here on it can be undone, not taken back.
    #[must_use]
    pub const fn may_have_begun(self) -> bool {
        !matches!(
            self,
            Self::Proposed
                | Self::Approved
                | Self::Queued
                | Self::Rejected
                | Self::Expired
                | Self::Refused
                | Self::Cancelled
        )
    }

    /// Where it can go from here.
    #[must_use]
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Proposed => &[
                Self::Approved,
                Self::Rejected,
                Self::Expired,
                Self::Cancelled,
            ],
            Self::Approved => &[Self::Queued, Self::Rejected, Self::Expired, Self::Cancelled],
            Self::Queued => &[Self::Sent, Self::Expired, Self::Cancelled],
            // A session that ended before the host took it puts it back into the queue: the host runs an id once.
            Self::Sent => &[
                Self::Queued,
                Self::Accepted,
                Self::Running,
                Self::Verifying,
                Self::Verified,
                Self::Answered,
                Self::Refused,
                Self::Failed,
                Self::TimedOut,
            ],
            Self::Accepted => &[
                Self::Running,
                Self::Verifying,
                Self::Verified,
                Self::Answered,
                Self::Refused,
                Self::Failed,
                Self::RolledBack,
                Self::TimedOut,
            ],
            Self::Running => &[
                Self::Verifying,
                Self::Verified,
                Self::Answered,
                Self::Refused,
                Self::Failed,
                Self::RolledBack,
                Self::TimedOut,
            ],
            // It may have been undone, or that may have been tried in vain.
            Self::Verifying => &[
                Self::Verified,
                Self::NotEffective,
                Self::Failed,
                Self::RolledBack,
                Self::TimedOut,
            ],
            Self::TimedOut => &[
                Self::Verifying,
                Self::Verified,
                Self::Refused,
                Self::Failed,
                Self::RolledBack,
            ],
            Self::Verified
            | Self::Answered
            | Self::Rejected
            | Self::Expired
            | Self::Refused
            | Self::Failed
            | Self::NotEffective
            | Self::RolledBack
            | Self::Cancelled => &[],
        }
    }

    /// The state after, when its life has that step.
    ///
    /// # Errors
    /// [`InvalidActionStep`] when it has not.
    pub fn step(self, to: Self) -> Result<Self, InvalidActionStep> {
        if self.next().contains(&to) {
            Ok(to)
        } else {
            Err(InvalidActionStep { from: self, to })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_life_can_end_and_nothing_follows_an_end() {
        for state in ActionState::ALL.iter().copied() {
            let mut reached = vec![state];
            let mut at = 0;
            while let Some(one) = reached.get(at).copied() {
                for next in one.next() {
                    if !reached.contains(next) {
                        reached.push(*next);
                    }
                }
                at += 1;
            }
            assert!(reached.iter().any(|one| one.is_final()), "{state:?}");
        }
        for state in [ActionState::Verified, ActionState::Refused] {
            assert!(state.step(ActionState::Running).is_err());
        }
    }

    #[test]
    fn what_a_host_may_have_begun_cannot_be_taken_back() {
        for state in ActionState::ALL.iter().copied() {
            let can_cancel = state.step(ActionState::Cancelled).is_ok();
            assert!(!(can_cancel && state.may_have_begun()), "{state:?}");
            let name = state.as_str();
            assert_eq!(ActionState::from_name(name), Some(state));
            assert_eq!(
                serde_json::to_string(&state).unwrap(),
                format!("\"{name}\"")
            );
        }
    }
}
