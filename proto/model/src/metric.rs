//! Everything measured, by one name in the wire, the tables, the API and the pages.

use std::fmt;
use std::str::FromStr;

use crate::entity::EntityKind;
use crate::tcp::TcpState;

macro_rules! metrics {
    ($($(#[$meta:meta])* $variant:ident = $code:literal, $name:literal, $unit:ident, $kind:ident;)*) => {
        /// Something measured as an integer. The number of a metric is stored for good: never reuse one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Metric { $($(#[$meta])* $variant = $code,)* }

        impl Metric {
            /// Every metric, in display order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its stored number.
            #[must_use]
            pub const fn code(self) -> u16 {
                self as u16
            }

            /// The metric with that number.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its unit.
            #[must_use]
            pub const fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit,)* }
            }

            /// What it is first of all a metric of; processes, services and destinations share `Ports`.
            #[must_use]
            pub const fn entity_kind(self) -> EntityKind {
                match self { $(Self::$variant => EntityKind::$kind,)* }
            }
        }
    };
}

metrics! {
    /// Ports that can be handed out: the dynamic range less reserved ports.
    Capacity = 1, "capacity", Ports, PortSpace;
    /// Strong plus ports of TIME_WAIT alone.
    InUse = 2, "in_use", Ports, PortSpace;
    /// Distinct local ports in any state but TIME_WAIT.
    Strong = 3, "strong", Ports, PortSpace;
    /// Distinct local ports of bound-but-unconnected sockets alone.
    Bound = 4, "bound", Ports, PortSpace;
    /// Distinct local ports of TIME_WAIT alone.
    TimeWait = 5, "time_wait", Ports, PortSpace;
    /// Lowest light count of ports in use within the interval.
    InUseMin = 6, "in_use_min", Ports, PortSpace;
    /// Highest light count of ports in use within the interval.
    InUseMax = 7, "in_use_max", Ports, PortSpace;
    /// Ports in use whose holder is unknown.
    WithoutOwner = 8, "without_owner", Ports, PortSpace;
    /// Sockets in ESTABLISHED.
    StateEstablished = 20, "state_established", Sockets, PortSpace;
    /// Sockets in SYN_SENT.
    StateSynSent = 21, "state_syn_sent", Sockets, PortSpace;
    /// Sockets in SYN_RECEIVED.
    StateSynReceived = 22, "state_syn_received", Sockets, PortSpace;
    /// Sockets in FIN_WAIT_1.
    StateFinWait1 = 23, "state_fin_wait1", Sockets, PortSpace;
    /// Sockets in FIN_WAIT_2.
    StateFinWait2 = 24, "state_fin_wait2", Sockets, PortSpace;
    /// Sockets in TIME_WAIT.
    StateTimeWait = 25, "state_time_wait", Sockets, PortSpace;
    /// Sockets in CLOSED that still exist.
    StateClose = 26, "state_close", Sockets, PortSpace;
    /// Sockets in CLOSE_WAIT.
    StateCloseWait = 27, "state_close_wait", Sockets, PortSpace;
    /// Sockets in LAST_ACK.
    StateLastAck = 28, "state_last_ack", Sockets, PortSpace;
    /// Sockets in LISTEN.
    StateListen = 29, "state_listen", Sockets, PortSpace;
    /// Sockets in CLOSING.
    StateClosing = 30, "state_closing", Sockets, PortSpace;
    /// Sockets bound but neither connected nor listening.
    StateBound = 31, "state_bound", Sockets, PortSpace;
    /// Distinct dynamic local ports of a process, a service or towards a destination.
    Ports = 40, "ports", Ports, Process;
    /// Of those, held by bound-but-unconnected sockets alone.
    PortsBound = 41, "ports_bound", Ports, Process;
    /// Sockets in CLOSE_WAIT of a process or service.
    CloseWait = 42, "close_wait", Sockets, Process;
    /// Sockets of a process or service in any state.
    Sockets = 43, "sockets", Sockets, Process;
    /// Open handles of a process or of the host.
    Handles = 44, "handles", Handles, Process;
    /// Ports towards a destination that TIME_WAIT holds.
    PortsTimeWait = 45, "ports_time_wait", Ports, Destination;
    /// Connections of a watch group.
    Connections = 50, "connections", Sockets, WatchGroup;
    /// TIME_WAIT connections of a watch group.
    ConnectionsTimeWait = 51, "connections_time_wait", Sockets, WatchGroup;
    /// Outbound connections opened.
    TcpActiveOpens = 60, "tcp_active_opens", MilliPerSecond, Host;
    /// Inbound connections accepted.
    TcpPassiveOpens = 61, "tcp_passive_opens", MilliPerSecond, Host;
    /// Connection attempts that failed.
    TcpAttemptFails = 62, "tcp_attempt_fails", MilliPerSecond, Host;
    /// Established connections that were reset.
    TcpEstabResets = 63, "tcp_estab_resets", MilliPerSecond, Host;
    /// Segments received.
    TcpInSegs = 64, "tcp_in_segs", MilliPerSecond, Host;
    /// Segments sent.
    TcpOutSegs = 65, "tcp_out_segs", MilliPerSecond, Host;
    /// Segments retransmitted.
    TcpRetransSegs = 66, "tcp_retrans_segs", MilliPerSecond, Host;
    /// Resets sent.
    TcpOutRsts = 67, "tcp_out_rsts", MilliPerSecond, Host;
    /// TIME_WAIT sockets that did not fit the kernel's table.
    TcpTimeWaitOverflow = 68, "tcp_time_wait_overflow", MilliPerSecond, Host;
    /// Datagrams received.
    UdpInDatagrams = 69, "udp_in_datagrams", MilliPerSecond, Host;
    /// Datagrams sent.
    UdpOutDatagrams = 70, "udp_out_datagrams", MilliPerSecond, Host;
    /// Datagrams that could not be delivered.
    UdpInErrors = 71, "udp_in_errors", MilliPerSecond, Host;
    /// Duration of a probe that succeeded.
    ProbeDuration = 80, "probe_duration", Microseconds, Probe;
    /// What a probe measured.
    ProbeValue = 81, "probe_value", Count, Probe;
    /// 0 when a probe succeeded, 1 when ports were exhausted, 2 when it failed otherwise.
    ProbeFailed = 82, "probe_failed", Count, Probe;
    /// CPU time of the agent in the interval.
    AgentCpu = 90, "agent_cpu", Microseconds, Host;
    /// Resident memory of the agent.
    AgentResident = 91, "agent_resident", Bytes, Host;
    /// Duration of the collection.
    AgentCollect = 92, "agent_collect", Microseconds, Host;
    /// Dynamic ports of the agent itself.
    AgentPorts = 93, "agent_ports", Ports, Host;
    /// When the host booted, in Unix seconds: changes mark reboots.
    BootedAt = 94, "booted_at", Seconds, Host;
    /// Hits of events that mean exhaustion (4231, 4266) in the interval.
    ExhaustionEvents = 95, "exhaustion_events", Count, Host;
}

/// Unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum Unit {
    Ports,
    Sockets,
    Handles,
    /// Thousandths of an event a second.
    MilliPerSecond,
    Microseconds,
    Seconds,
    Bytes,
    Count,
}

impl Unit {
    /// How it is written beside a number.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::Sockets => "sockets",
            Self::Handles => "handles",
            Self::MilliPerSecond => "1/1000 s",
            Self::Microseconds => "us",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Count => "count",
        }
    }
}

impl Metric {
    /// The metric that counts sockets in `state`.
    #[must_use]
    pub const fn of_state(state: TcpState) -> Self {
        match state {
            TcpState::Established => Self::StateEstablished,
            TcpState::SynSent => Self::StateSynSent,
            TcpState::SynReceived => Self::StateSynReceived,
            TcpState::FinWait1 => Self::StateFinWait1,
            TcpState::FinWait2 => Self::StateFinWait2,
            TcpState::TimeWait => Self::StateTimeWait,
            TcpState::Close => Self::StateClose,
            TcpState::CloseWait => Self::StateCloseWait,
            TcpState::LastAck => Self::StateLastAck,
            TcpState::Listen => Self::StateListen,
            TcpState::Closing => Self::StateClosing,
            TcpState::Bound => Self::StateBound,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no metric.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no metric `{name}`; the metrics are: {}", names())]
pub struct UnknownMetric {
    /// The refused name.
    pub name: String,
}

fn names() -> String {
    Metric::ALL
        .iter()
        .map(|metric| metric.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .iter()
            .copied()
            .find(|metric| metric.as_str() == text);
        found.ok_or_else(|| UnknownMetric {
            name: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_codes_are_unique_and_lead_back() {
        let names: HashSet<_> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for metric in Metric::ALL {
            assert_eq!(Metric::from_code(metric.code()), Some(*metric));
            assert_eq!(metric.as_str().parse(), Ok(*metric));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let message = "inuse".parse::<Metric>().unwrap_err().to_string();
        assert!(
            message.contains("`inuse`") && message.contains("in_use"),
            "{message}"
        );
    }
}
