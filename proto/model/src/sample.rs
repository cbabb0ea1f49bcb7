//! One sample: what an agent saw of its host's ports at one instant, and in the interval before it.
//!
//! `Option` means unknown, never zero. Counts saturate instead of wrapping.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::LogRecord;
use crate::tcp::StateCounts;
use crate::{PortRange, PortSpaceKey, Timestamp};

/// What an agent saw at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When the tables were read, by the host's clock.
    pub at: Timestamp,
    /// When the host booted, by the host's clock.
    pub booted_at: Timestamp,
    /// Milliseconds since the sample before; 0 for the first of a process.
    pub interval_ms: u32,
    /// One for each protocol and namespace, ordered by key.
    pub port_spaces: Vec<PortSpaceSample>,
    /// Rates of the host's protocol counters over the interval; empty in the first sample of a process.
    pub rates: CounterRates,
    /// Open file handles (Windows: handles) of the whole host; `None` when it cannot be read.
    pub host_handles: Option<u64>,
    /// Active probes that ran in the interval.
    pub probes: Vec<ProbeResult>,
    /// What taking samples cost the host.
    pub cost: AgentCost,
}

/// One port space at the instant of the sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortSpaceSample {
    /// Which port space.
    pub key: PortSpaceKey,
    /// The dynamic range before reservations.
    pub range: PortRange,
    /// Ports that can be handed out: the range less reserved (Linux) or excluded (Windows) ports.
    pub capacity: u32,
    /// Distinct local ports held in any state but TIME_WAIT, BOUND and LISTEN included.
    pub strong: u32,
    /// Distinct local ports held by TIME_WAIT alone; `strong + time_wait_only` is in use.
    pub time_wait_only: u32,
    /// Distinct local ports held by bound-but-unconnected sockets alone; `None` where the system cannot tell.
    pub bound: Option<u32>,
    /// Whether `strong` and `bound` were counted or estimated (kernels before 6.8 hide bound sockets), or are of an earlier
    /// moment.
    pub quality: CountQuality,
    /// Peaks of ports in use between the samples; `None` when no light count ran.
    pub light: Option<LightCount>,
    /// Sockets by state over v4. UDP counts unconnected sockets as bound and connected ones as established.
    pub states_v4: StateCounts,
    /// Sockets by state over v6, mapped v4 addresses included.
    pub states_v6: StateCounts,
    /// The processes that hold the most ports, most first.
    pub owners: Vec<OwnerSample>,
    /// What all other processes hold, exactly: one row with the sums.
    pub owners_other: OwnerCounts,
    /// Ports in use whose holder is unknown (TIME_WAIT has no process; sockets of vanished processes).
    pub ports_without_owner: u32,
    /// The remote endpoints that occupy the most local ports, most first.
    pub destinations: Vec<DestinationSample>,
    /// Local ports used towards all other remote endpoints together.
    pub destinations_other_ports: u32,
    /// Connections of each watch group.
    pub watch_groups: Vec<WatchGroupSample>,
}

impl PortSpaceSample {
    /// Distinct local ports that cannot be handed out: strong plus those of TIME_WAIT alone.
    #[must_use]
    pub const fn in_use(&self) -> u32 {
        self.strong.saturating_add(self.time_wait_only)
    }

    /// Ports that can still be handed out.
    #[must_use]
    pub const fn headroom(&self) -> u32 {
        self.capacity.saturating_sub(self.in_use())
    }
}

/// How a count came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountQuality {
    /// Every socket was seen.
    #[default]
    Counted,
    /// Hidden sockets were estimated from the kernel's totals: an upper bound of distinct ports. Windows has no such
    /// totals: where nothing lists bound sockets, their ports are missing and the count is a lower bound.
    Estimated,
    /// Bound sockets come from a list that was made before the sample: some may have been closed or opened since. All
    /// other sockets were seen.
    Earlier {
        /// How much older than the sample the list is, in milliseconds.
        age_ms: u32,
        /// Whose sockets it names.
        scope: BoundScope,
    },
}

impl CountQuality {
    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Estimated => "estimated",
            Self::Earlier { .. } => "earlier",
        }
    }
}

/// Whose bound sockets a list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoundScope {
    /// Those of all processes.
    AllProcesses,
    /// Those of a few that have many handles or get more: the count is a lower bound.
    Suspects,
}

/// Lowest, highest and last number of ports in use over an interval, from counts every 1 to 5 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightCount {
    /// Lowest count of the interval.
    pub min: u32,
    /// Highest count of the interval.
    pub max: u32,
    /// The last count of the interval.
    pub last: u32,
    /// How many counts were taken.
    pub counts: u32,
}

/// The process that holds sockets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id; with `started_at` it names one process for good.
    pub pid: u32,
    /// When it started, by the host's clock.
    pub started_at: Timestamp,
    /// Short name, as the system's process list shows it.
    pub name: Arc<str>,
    /// Absolute path of its executable; `None` when it may not be read.
    pub executable: Option<Arc<str>>,
    /// systemd unit or Windows service; `None` when it belongs to none.
    pub service: Option<Arc<str>>,
}

/// Ports of one process in one port space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerSample {
    /// Which process.
    pub process: ProcessIdentity,
    /// What it holds.
    pub counts: OwnerCounts,
    /// All open handles of the process; `None` when they may not be counted.
    pub handles: Option<u32>,
}

/// What an owner holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerCounts {
    /// Distinct dynamic local ports. On Windows with those in TIME_WAIT whose connections an earlier sample saw it hold.
    pub ports: u32,
    /// Of those, ports of bound-but-unconnected sockets alone.
    pub bound: u32,
    /// Sockets in CLOSE_WAIT: the peer has closed, the process has not.
    pub close_wait: u32,
    /// Sockets of this protocol in any state.
    pub sockets: u32,
}

/// Local ports used towards one remote endpoint from one local address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationSample {
    /// Local address of the connections.
    pub local_address: IpAddr,
    /// Remote address.
    pub remote_address: IpAddr,
    /// Remote port.
    pub remote_port: u16,
    /// Distinct dynamic local ports used towards it, TIME_WAIT included.
    pub ports: u32,
    /// Of those, held by TIME_WAIT.
    pub time_wait: u32,
}

/// Connections of one watch group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchGroupSample {
    /// Name of the group.
    pub name: Arc<str>,
    /// Sockets whose remote port is in the group, in any state but TIME_WAIT.
    pub connections: u32,
    /// Of those with TIME_WAIT.
    pub time_wait: u32,
}

/// Rates of the host's TCP and UDP counters in thousandths of an event a second; `None` when the system has no such
/// counter or this is the first reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "RFC 4022, RFC 4113 and Linux TcpExt name them")]
pub struct CounterRates {
    pub tcp_active_opens: Option<u64>,
    pub tcp_passive_opens: Option<u64>,
    pub tcp_attempt_fails: Option<u64>,
    pub tcp_estab_resets: Option<u64>,
    pub tcp_in_segs: Option<u64>,
    pub tcp_out_segs: Option<u64>,
    pub tcp_retrans_segs: Option<u64>,
    pub tcp_out_rsts: Option<u64>,
    pub tcp_time_wait_overflow: Option<u64>,
    pub udp_in_datagrams: Option<u64>,
    pub udp_out_datagrams: Option<u64>,
    pub udp_in_errors: Option<u64>,
}

/// An active probe of what applications would meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// Bind TCP 127.0.0.1:0.
    BindTcpV4,
    /// Bind TCP [::1]:0.
    BindTcpV6,
    /// Bind UDP 127.0.0.1:0.
    BindUdp,
    /// Bind 32 TCP sockets at once; `value` is how many succeeded.
    BindBurst,
    /// Connect to the agent's own loopback listener with linger 0.
    ConnectLoopback,
    /// Resolve `localhost`; `value` is 1 when ::1 comes first, 2 when 127.0.0.1 does.
    LocalhostOrder,
}

impl ProbeKind {
    /// Every probe, in display order.
    pub const ALL: [Self; 6] = [
        Self::BindTcpV4,
        Self::BindTcpV6,
        Self::BindUdp,
        Self::BindBurst,
        Self::ConnectLoopback,
        Self::LocalhostOrder,
    ];

    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BindTcpV4 => "bind_tcp_v4",
            Self::BindTcpV6 => "bind_tcp_v6",
            Self::BindUdp => "bind_udp",
            Self::BindBurst => "bind_burst",
            Self::ConnectLoopback => "connect_loopback",
            Self::LocalhostOrder => "localhost_order",
        }
    }
}

/// Outcome of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// Which probe.
    pub kind: ProbeKind,
    /// How long it took, in microseconds.
    pub duration_us: u32,
    /// What it measured, where its kind says so.
    pub value: Option<u32>,
    /// How it ended.
    pub outcome: ProbeOutcome,
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeOutcome {
    /// As it should.
    Succeeded,
    /// No port was to be had: what applications see when ports are exhausted.
    Exhausted,
    /// The address family is not there; says nothing about ports.
    Unsupported,
    /// Another error; the number is the system's error code.
    Failed(i32),
}

/// What the agent itself costs its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCost {
    /// CPU time of the agent's process in the interval, in microseconds.
    pub cpu_us: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// How long the collection of this sample took, in microseconds.
    pub collect_us: u32,
    /// Dynamic ports that the agent itself holds.
    pub own_ports: u32,
    /// Sockets that the agent itself holds.
    pub own_sockets: u32,
}

/// Something the host's log or the agent reported at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHit {
    /// When it happened, by the host's clock.
    pub at: Timestamp,
    /// Log source, as in `Tcpip` or `deploy`.
    pub source: Arc<str>,
    /// Event id in its source (4227, 4231, 4266, ...).
    pub code: u32,
    /// How many times it was seen, at least 1.
    pub count: u32,
    /// The rendered text, cut to 1,024 characters; hostile.
    pub text: Arc<str>,
    /// The record of the system's log that it is; `None` for what the agent itself or a replay reports.
    pub log: Option<Box<LogRecord>>,
}
