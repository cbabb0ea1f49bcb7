//! A finding: one diagnosed cause on one host, with its evidence and what to do about it.
//!
//! Texts may hold other people's names (processes, services, events) and are hostile until they are escaped.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::action::ActionKind;
use crate::sample::ProcessIdentity;

/// What a rule found on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// The rule that found it.
    pub rule: Rule,
    /// What is wrong, in one sentence.
    pub title: String,
    /// How soon somebody should act.
    pub severity: Severity,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// How the confidence came about, one sentence a step.
    pub confidence_reasons: Vec<String>,
    /// Process image or remote endpoint that does it; `null` where it is the host's configuration or nobody can be named.
    pub culprit: Option<String>,
    /// The culprit, when it is one process.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub process: Option<ProcessIdentity>,
    /// Port space, as in `tcp/default`; `null` for the host as a whole.
    pub port_space: Option<String>,
    /// What was seen, with figures, one sentence each.
    pub evidence: Vec<String>,
    /// Since when at least, by the host's clock; `null` when no earlier sample says.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub since_ms: Option<Timestamp>,
    /// What would make it sure, where data is missing.
    pub missing: Vec<String>,
    /// The finding that this one follows from.
    pub caused_by: Option<Rule>,
    /// What follows from this one.
    pub effects: Vec<Rule>,
    /// What to do, least disruptive first.
    pub playbook: Vec<PlaybookStep>,
}

/// How soon somebody should act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Severity {
    /// In working hours.
    Warning,
    /// At once: ports are gone, or will be within the hour.
    Critical,
}

impl Severity {
    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One step of a playbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlaybookStep {
    /// What to do.
    pub text: String,
    /// 0 read only, 1 reversible or a restart, 2 ends a process or drops a link, 3 needs a reboot.
    pub tier: u8,
    /// The action that does it; `null` where it is a person's work.
    pub action: Option<ActionKind>,
    /// What it disturbs.
    pub disturbs: String,
    /// How to see that it helped.
    pub verify: String,
}

/// Whether a rule names a cause or what follows from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// Says why.
    Cause,
    /// The host's configuration makes it worse, or possible.
    Setting,
    /// Says that something is wrong, and follows from a cause or a setting of the same port space.
    Symptom,
}

macro_rules! rules {
    ($($(#[$meta:meta])* $variant:ident = $number:literal $name:literal $kind:ident,)*) => {
        /// A diagnosis rule, in the order of docs/DIAGNOSIS.md. Told and stored by name: never rename one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Rule { $($(#[$meta])* #[serde(rename = $name)] $variant,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its number in docs/DIAGNOSIS.md.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The lower-case name used everywhere.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether it names a cause.
            #[must_use]
            pub const fn kind(self) -> RuleKind {
                match self { $(Self::$variant => RuleKind::$kind,)* }
            }
        }
    };
}

rules! {
    /// No TCP port can be had.
    TcpExhaustion = 1 "tcp_exhaustion" Symptom,
    /// No UDP port can be had.
    UdpExhaustion = 2 "udp_exhaustion" Symptom,
    /// A process binds sockets and neither connects nor closes them.
    BoundLeak = 3 "bound_leak" Cause,
    /// A process does not close connections that its peers have closed.
    CloseWaitLeak = 4 "close_wait_leak" Cause,
    /// Connections are opened and closed faster than TIME_WAIT gives their ports back.
    TimeWaitChurn = 5 "time_wait_churn" Cause,
    /// The same, towards one endpoint, so that ports collide there.
    SingleDestinationCollision = 6 "single_destination_collision" Cause,
    /// The load needs more ports than there are.
    HighConcurrency = 7 "high_concurrency" Cause,
    /// The same, with so many destinations that port reuse would help.
    ManyDestinationsWithoutReuse = 8 "many_destinations_without_reuse" Setting,
    /// The dynamic range is small or contradicts itself.
    RangeTooSmall = 9 "range_too_small" Setting,
    /// The dynamic range takes the fixed ports of services.
    RangeOverWide = 10 "range_over_wide" Setting,
    /// Exclusions or reservations take a large part of the range.
    ExcludedRangeShrink = 11 "excluded_range_shrink" Setting,
    /// Ports are held by something that no table shows.
    HiddenOwner = 12 "hidden_owner" Cause,
    /// TIME_WAIT ends no more after 497 days (KB2553549).
    Uptime497Days = 13 "uptime_497_days" Cause,
    /// The tcpip.sys of July 2018.
    July2018Regression = 14 "july_2018_regression" Cause,
    /// WmiPrvSE leaks UDP ports with WMI-filtered group policies.
    WmiUdpLeak = 15 "wmi_udp_leak" Cause,
    /// Connection attempts to a destination that does not answer.
    SynSentPileUp = 16 "syn_sent_pile_up" Cause,
    /// A process takes ports at a constant rate, or is started over and over.
    RetryLoop = 17 "retry_loop" Cause,
    /// Closed connections whose peers never finish the close.
    FinWaitStuck = 18 "fin_wait_stuck" Cause,
    /// The host connects to itself.
    SelfLoop = 19 "self_loop" Cause,
    /// The kernel's memory is short, not its ports.
    PoolExhaustion = 20 "pool_exhaustion" Cause,
    /// One process takes ports by local address and starves the others.
    PortScalabilityStarvation = 21 "port_scalability_starvation" Cause,
    /// Logons, policies and names fail because ports are gone, or although they are not.
    DownstreamSymptoms = 22 "downstream_symptoms" Symptom,
    /// Handles of a process grow before its ports do.
    HandleLeak = 23 "handle_leak" Cause,
    /// Restarting it helps, again and again.
    RecurringRelief = 24 "recurring_relief" Cause,
    /// Several hosts began to leak alike.
    FleetRegression = 25 "fleet_regression" Cause,
    /// One destination has used up the ports towards it.
    DestinationSaturated = 26 "destination_saturated" Symptom,
    /// A process binds before it connects, so that destinations cannot share ports.
    BindBeforeConnect = 27 "bind_before_connect" Cause,
    /// Many sockets are bound and idle.
    BoundInactiveLeak = 28 "bound_inactive_leak" Cause,
    /// A process opens UDP sockets and does not close them.
    UdpLeak = 29 "udp_leak" Cause,
    /// The agent itself holds more ports than it may.
    AgentLeak = 30 "agent_leak" Cause,
    /// The trend says that ports run out, and no other rule says why.
    PortsRunOut = 31 "ports_run_out" Symptom,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_one_number_and_one_name_here_and_in_json() {
        for (position, rule) in Rule::ALL.iter().enumerate() {
            assert_eq!(usize::from(rule.number()), position + 1);
            let json = serde_json::to_string(rule).unwrap();
            assert_eq!(json, format!("\"{}\"", rule.as_str()));
        }
    }

    #[test]
    fn what_is_critical_outweighs_a_warning() {
        assert!(Severity::Critical > Severity::Warning);
    }
}
