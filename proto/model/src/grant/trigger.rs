//! What a host must see by itself before a grant holds: nothing that the controller says counts.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::template::{ActionTemplate, Bound};
use super::{InvalidGrant, check_text};
use crate::Protocol;
use crate::action::ActionKind;
use crate::duration::format_duration;
use crate::policy::SpaceFilter;

/// Longest time that a level may have to hold, in seconds.
const HELD_S_MAX: u32 = 7 * 86_400;
/// Shortest and longest time that an event counts, in seconds.
const WITHIN_S: std::ops::RangeInclusive<u32> = 60..=86_400;
/// Longest namespace or source of events, in characters.
const NAME_CHARS_MAX: usize = 256;

/// What the host's own samples or log must say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// A port space is in use by this share at least. It begins to hold there and ends below 95 % of it, as a policy's level.
    Level {
        /// In percent, 1 to 100.
        percent: u8,
        /// Of which protocol.
        protocol: Protocol,
        /// In which namespaces, with `*` for any text.
        namespace: String,
        /// For how long without a break, in seconds, 7 d at most.
        held_s: u32,
        /// Whether the action must be about whoever takes the ports.
        culprit: Option<Culprit>,
    },
    /// The host's log told an event.
    Event {
        /// Its source, as in `Tcpip`.
        source: String,
        /// Its id there.
        code: u32,
        /// How long it counts, in seconds, 60 to 86,400.
        within_s: u32,
    },
}

/// Whom the action must be about: a process, or the service of a process, that holds a share of the ports in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Culprit {
    /// How great a share, in percent of the ports in use, 1 to 100.
    pub percent: u8,
}

impl Trigger {
    pub(super) fn check(&self) -> Result<(), InvalidGrant> {
        let limit = InvalidGrant::limit;
        match self {
            Self::Level {
                percent,
                namespace,
                held_s,
                culprit,
                protocol: Protocol::Tcp | Protocol::Udp,
            } => {
                if !(1..=100).contains(percent) {
                    return Err(limit("trigger.level.percent", "is 1 to 100"));
                }
                check_text("trigger.level.namespace", namespace, NAME_CHARS_MAX)?;
                if *held_s > HELD_S_MAX {
                    return Err(limit("trigger.level.held_s", "is 604,800 (7 d) at most"));
                }
                if culprit.is_some_and(|culprit| !(1..=100).contains(&culprit.percent)) {
                    return Err(limit("trigger.level.culprit.percent", "is 1 to 100"));
                }
                Ok(())
            }
            Self::Event {
                source, within_s, ..
            } => {
                check_text("trigger.event.source", source, NAME_CHARS_MAX)?;
                if WITHIN_S.contains(within_s) {
                    Ok(())
                } else {
                    Err(limit("trigger.event.within_s", "is 60 to 86,400 (1 d)"))
                }
            }
        }
    }

    /// A process is named by its number: which number that will be, nobody can sign beforehand, so the host must see itself
    /// that it is the culprit's.
    pub(super) fn check_with(&self, action: &ActionTemplate) -> Result<(), InvalidGrant> {
        let names_culprit = self.culprit().is_some();
        match action.kind {
            ActionKind::EndProcess if !names_culprit => Err(InvalidGrant::limit(
                "trigger",
                "must name a culprit's share for end_process, so that the host sees that the process is the one",
            )),
            ActionKind::EndProcess | ActionKind::RestartService => Ok(()),
            other if names_culprit => Err(InvalidGrant::limit(
                "trigger.level.culprit",
                format!(
                    "is for restart_service and end_process; {} is not about a process",
                    other.as_str()
                ),
            )),
            ActionKind::CollectEvidence
            | ActionKind::WriteEvent
            | ActionKind::RecycleAppPool
            | ActionKind::SetDynamicPortRange
            | ActionKind::SetTcpParameter
            | ActionKind::SetTcpGlobal
            | ActionKind::SetNicOffload
            | ActionKind::SetInterruptModeration
            | ActionKind::SetDotnetConnectionLimit
            | ActionKind::ResetTcpStack
            | ActionKind::Reboot
            | ActionKind::RunHook => Ok(()),
        }?;
        let is_open = |bound: &Bound| matches!(bound, Bound::Like(_));
        let service = action.parameters.get("service");
        if action.kind == ActionKind::RestartService
            && service.is_some_and(is_open)
            && !names_culprit
        {
            return Err(InvalidGrant::limit(
                "trigger",
                "must name a culprit's share when the service is a pattern; or name one service",
            ));
        }
        Ok(())
    }

    /// Whom the action must be about.
    #[must_use]
    pub const fn culprit(&self) -> Option<Culprit> {
        match self {
            Self::Level { culprit, .. } => *culprit,
            Self::Event { .. } => None,
        }
    }

    /// Which port spaces a level is about.
    #[must_use]
    pub fn space(&self) -> Option<SpaceFilter> {
        match self {
            Self::Level {
                protocol,
                namespace,
                ..
            } => Some(SpaceFilter {
                protocol: *protocol,
                namespace: namespace.clone(),
            }),
            Self::Event { .. } => None,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |seconds: &u32| format_duration(Duration::from_secs((*seconds).into()));
        match self {
            Self::Level {
                percent,
                protocol,
                namespace,
                held_s,
                culprit,
            } => {
                write!(
                    f,
                    "{percent} % of {protocol} ports in namespace {namespace} are in use for {}",
                    span(held_s)
                )?;
                if let Some(Culprit { percent }) = culprit {
                    write!(
                        f,
                        ", and whom it is done to holds {percent} % of these at least"
                    )?;
                }
                Ok(())
            }
            Self::Event {
                source,
                code,
                within_s,
            } => write!(
                f,
                "event {source}/{code} was told within {}",
                span(within_s)
            ),
        }
    }
}
