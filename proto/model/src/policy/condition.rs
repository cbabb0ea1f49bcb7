//! What must be so on a host for a policy to act.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration::format_duration;
use crate::finding::Rule;
use crate::pattern::is_like;
use crate::{PortSpaceKey, Protocol};

/// A condition as it is written: exactly one of `level`, `eta`, `finding`, `event`, `incident` and `budget`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ConditionSpec {
    /// A port space is in use by this share at least, in percent, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// A port space runs out within this time, 1m to 30d; `window`: before the host's next maintenance window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// A rule finds something, as in `bound_leak`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// With `finding`: how sure it must be, in percent, 1 to 100; 60 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u32>,
    /// The host's log tells an event, as in `Tcpip/4231`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// With `event`: how long it counts after it was told, 1m to 1d; 10m without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// An incident of this kind is open, as in `leak`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// A port budget is exceeded: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// With `level` and `eta`: of which protocol; `tcp` without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// With `level` and `eta`: in which namespaces, `*` stands for any text; `default` without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Which port spaces of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceFilter {
    /// Their protocol.
    pub protocol: Protocol,
    /// Their namespace; `*` stands for any text.
    pub namespace: String,
}

impl SpaceFilter {
    /// Whether it chooses that port space.
    #[must_use]
    pub fn takes(&self, key: &PortSpaceKey) -> bool {
        self.protocol == key.protocol && is_like(&key.namespace, &self.namespace)
    }
}

/// A condition of which every value was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// So many percent of a port space are in use.
    Level {
        /// 1 to 100.
        percent: u8,
        /// Of which.
        space: SpaceFilter,
    },
    /// The forecast's median is closer than this.
    EtaWithin {
        /// How close.
        reach: Duration,
        /// Of which.
        space: SpaceFilter,
    },
    /// The forecast's median is before the host's next window begins, or the open one ends.
    EtaBeforeWindow {
        /// Of which.
        space: SpaceFilter,
    },
    /// A rule finds something.
    Finding {
        /// Which.
        rule: Rule,
        /// How sure it is at least, in percent.
        percent: u8,
    },
    /// A log told an event.
    Event {
        /// Source in the log.
        source: String,
        /// Its id there.
        code: u32,
        /// How long it counts.
        within: Duration,
    },
    /// An incident is open.
    Incident {
        /// Its kind: a road, a rule, `high`, `budget` or `common_cause`.
        kind: String,
    },
    /// A budget is exceeded.
    Budget {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level { percent, space } => {
                write!(f, "{percent} % of {} ports are in use", space.protocol)
            }
            Self::EtaWithin { reach, space } => write!(
                f,
                "{} ports run out within {}",
                space.protocol,
                format_duration(*reach)
            ),
            Self::EtaBeforeWindow { space } => {
                write!(f, "{} ports run out before the next window", space.protocol)
            }
            Self::Finding { rule, percent } => {
                write!(f, "{} is found, {percent} % sure", rule.as_str())
            }
            Self::Event {
                source,
                code,
                within,
            } => write!(
                f,
                "event {source}/{code} was told within {}",
                format_duration(*within)
            ),
            Self::Incident { kind } => write!(f, "an incident of kind {kind} is open"),
            Self::Budget { name } => write!(f, "budget {name} is exceeded"),
        }
    }
}
