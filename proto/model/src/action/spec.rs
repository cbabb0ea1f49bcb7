//! What one action is to do: its kind with typed parameters. What their limits are, and how people type them, is beside it.

mod limits;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use limits::SpecProblem;
pub use words::InvalidWords;

use super::{ActionKind, Tier};
use crate::Protocol;
use crate::kinds::kinds;

/// Longest name of a service, pool, adapter or image, in characters; Windows allows 256 for a service.
pub const NAME_CHARS_MAX: usize = 256;
/// Longest text of an event or a reboot's reason, in characters; `InitiateShutdownW` takes 512.
pub const TEXT_CHARS_MAX: usize = 500;
/// Most arguments of a hook.
pub const HOOK_ARGUMENTS_MAX: usize = 16;

/// One action's kind and parameters, as they are ordered, signed, stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ActionSpec {
    /// Collects evidence into a file on the host.
    CollectEvidence {
        /// How long to sample, 1 to 60 s.
        seconds: u32,
    },
    /// Writes an event.
    WriteEvent {
        /// Windows log or journal identifier; the product's own when left out.
        #[serde(default)]
        log: Option<String>,
        /// Source; the product's own when left out.
        #[serde(default)]
        source: Option<String>,
        /// Event id, 1 to 65535.
        id: u16,
        /// How serious it is.
        level: EventLevel,
        /// What it says, up to 500 characters.
        text: String,
    },
    /// Restarts a service with its dependents.
    RestartService {
        /// Windows service name, systemd unit or init script; not a display name.
        service: String,
        /// How long stopping may take, 5 to 600 s.
        #[serde(default = "stop_timeout_default")]
        stop_timeout_s: u32,
        /// What to do when it does not stop.
        #[serde(default)]
        on_hang: OnHang,
    },
    /// Recycles an IIS application pool.
    RecycleAppPool {
        /// Its name.
        pool: String,
    },
    /// Ends a process; all three must match, or nothing happens.
    EndProcess {
        /// Process id.
        pid: u32,
        /// When it started, unix milliseconds by the host's clock.
        started_at_ms: i64,
        /// Name of its executable, without the folder.
        image: String,
    },
    /// Sets the dynamic range.
    SetDynamicPortRange {
        /// Of which protocol; on Linux both share one range.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        protocol: Protocol,
        /// Of which family; on Linux both share one range.
        family: IpFamily,
        /// First port, 1025 or more.
        first: u16,
        /// Last port; at least 255 ports.
        last: u16,
        /// How long it is to hold.
        lasting: Lasting,
        /// Reverts by itself unless it is confirmed over a new round trip within this time, 30 to 600 s.
        #[serde(default = "confirm_default")]
        confirm_within_s: u32,
    },
    /// Sets a parameter of the stack.
    SetTcpParameter {
        /// Which.
        parameter: TcpParameter,
        /// Its value; `null` removes it, so that the system's default holds.
        value: Option<u32>,
    },
    /// Sets a global switch of the stack.
    SetTcpGlobal {
        /// Which.
        switch: TcpGlobal,
        /// On or off.
        enabled: bool,
    },
    /// Switches an offload.
    SetNicOffload {
        /// Name of the adapter.
        adapter: String,
        /// Which.
        offload: NicOffload,
        /// On or off.
        enabled: bool,
    },
    /// Switches interrupt moderation.
    SetInterruptModeration {
        /// Name of the adapter.
        adapter: String,
        /// On or off.
        enabled: bool,
    },
    /// Sets `connectionManagement` in machine.config.
    SetDotnetConnectionLimit {
        /// Connections a destination, 2 to 10,000.
        connections: u32,
    },
    /// Resets the stack; each step is reported.
    ResetTcpStack {
        /// Which steps, in this order; at least one.
        steps: Vec<ResetStep>,
        /// Whether to go on where addresses that were given to the host by hand are lost.
        #[serde(default, skip_serializing_if = "is_no")]
        lose_addresses: bool,
    },
    /// Restarts the host.
    Reboot {
        /// Warning to those who are logged on, 0 to 3600 s.
        grace_s: u32,
        /// Why, up to 500 characters; shown to them and kept in the event log.
        reason: String,
        /// Whether to go on when somebody is logged on.
        force: bool,
    },
    /// Runs a hook.
    RunHook {
        /// File name in the hooks folder.
        name: String,
        /// Named arguments, handed over as `TIDEMARK_ARG_<NAME>`; never on a command line.
        #[serde(default)]
        arguments: BTreeMap<String, String>,
    },
}

const fn stop_timeout_default() -> u32 {
    120
}

const fn confirm_default() -> u32 {
    120
}

kinds! {
    /// How serious a written event is.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    EventLevel
    /// Worth knowing.
    Information = "information",
    /// Somebody should look.
    Warning = "warning",
    /// Something failed.
    Error = "error",
}

kinds! {
    /// What to do with a service that does not stop in time.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    OnHang
    /// The action fails; the service stays as it is.
    #[default]
    Fail = "fail",
    /// Its process is ended, when it is the service's own.
    EndProcess = "end_process",
}

kinds! {
    /// Address family of a dynamic range.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    IpFamily
    /// IPv4.
    Ipv4 = "ipv4",
    /// IPv6.
    Ipv6 = "ipv6",
}

kinds! {
    /// How long a setting is to hold.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    Lasting
    /// Until the next start of the host.
    UntilReboot = "until_reboot",
    /// For good.
    Always = "always",
}

kinds! {
    /// Parameters of the stack, by the names that their systems give them.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    TcpParameter
    /// Windows: seconds in TIME_WAIT.
    TcpTimedWaitDelay = "tcp_timed_wait_delay",
    /// Windows: highest port of the old dynamic range.
    MaxUserPort = "max_user_port",
    /// Windows: whether a reused TIME_WAIT needs a higher sequence number.
    StrictTimeWaitSeqCheck = "strict_time_wait_seq_check",
    /// Linux: whether new connections may take over a TIME_WAIT.
    TcpTwReuse = "tcp_tw_reuse",
    /// Linux: seconds in FIN_WAIT_2.
    TcpFinTimeout = "tcp_fin_timeout",
}

impl TcpParameter {
    /// Its legal values, as Microsoft documents them for the registry and `Documentation/networking/ip-sysctl.rst` for Linux.
    #[must_use]
    pub const fn range(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::TcpTimedWaitDelay => 30..=300,
            Self::MaxUserPort => 5_000..=65_534,
            Self::StrictTimeWaitSeqCheck => 0..=1,
            Self::TcpTwReuse => 0..=2,
            Self::TcpFinTimeout => 5..=120,
        }
    }
}

kinds! {
    /// Global switches of the Windows stack.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    TcpGlobal
    /// TCP chimney offload; gone from newer systems.
    Chimney = "chimney",
    /// Receive-side scaling.
    Rss = "rss",
    /// Receive segment coalescing.
    Rsc = "rsc",
    /// Explicit congestion notification.
    EcnCapability = "ecncapability",
    /// Timestamps of RFC 1323.
    Timestamps = "timestamps",
}

kinds! {
    /// Offloads of a network adapter.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    NicOffload
    /// Large send offload, IPv4.
    LsoIpv4 = "lso_ipv4",
    /// Large send offload, IPv6.
    LsoIpv6 = "lso_ipv6",
    /// TCP checksums, IPv4.
    ChecksumTcpIpv4 = "checksum_tcp_ipv4",
    /// TCP checksums, IPv6.
    ChecksumTcpIpv6 = "checksum_tcp_ipv6",
}

kinds! {
    /// Steps of a stack reset.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    ResetStep
    /// Restart of the RemoteAccess service.
    RemoteAccess = "remote_access",
    /// `netsh int ipv4 reset`.
    Ipv4 = "ipv4",
    /// `netsh int ipv6 reset`.
    Ipv6 = "ipv6",
    /// `netsh winsock reset`.
    Winsock = "winsock",
}

/// What is left out of an order's bytes when it is not so.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
const fn is_no(flag: &bool) -> bool {
    !*flag
}

impl ActionSpec {
    /// What it does.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::CollectEvidence { .. } => ActionKind::CollectEvidence,
            Self::WriteEvent { .. } => ActionKind::WriteEvent,
            Self::RestartService { .. } => ActionKind::RestartService,
            Self::RecycleAppPool { .. } => ActionKind::RecycleAppPool,
            Self::EndProcess { .. } => ActionKind::EndProcess,
            Self::SetDynamicPortRange { .. } => ActionKind::SetDynamicPortRange,
            Self::SetTcpParameter { .. } => ActionKind::SetTcpParameter,
            Self::SetTcpGlobal { .. } => ActionKind::SetTcpGlobal,
            Self::SetNicOffload { .. } => ActionKind::SetNicOffload,
            Self::SetInterruptModeration { .. } => ActionKind::SetInterruptModeration,
            Self::SetDotnetConnectionLimit { .. } => ActionKind::SetDotnetConnectionLimit,
            Self::ResetTcpStack { .. } => ActionKind::ResetTcpStack,
            Self::Reboot { .. } => ActionKind::Reboot,
            Self::RunHook { .. } => ActionKind::RunHook,
        }
    }

    /// How disruptive it is at least.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.kind().tier()
    }

    /// Whether its host keeps what it changes, and can put it back.
    #[must_use]
    pub const fn can_be_undone(&self) -> bool {
        match self {
            Self::SetDynamicPortRange { .. }
            | Self::SetTcpParameter { .. }
            | Self::SetTcpGlobal { .. }
            | Self::SetNicOffload { .. }
            | Self::SetInterruptModeration { .. }
            | Self::SetDotnetConnectionLimit { .. } => true,
            Self::CollectEvidence { .. }
            | Self::WriteEvent { .. }
            | Self::RestartService { .. }
            | Self::RecycleAppPool { .. }
            | Self::EndProcess { .. }
            | Self::ResetTcpStack { .. }
            | Self::Reboot { .. }
            | Self::RunHook { .. } => false,
        }
    }

    /// What of the host it is done to, as a policy names it: the service, pool, image, adapter, parameter or hook.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::RestartService { service, .. } => service,
            Self::RecycleAppPool { pool } => pool,
            Self::EndProcess { image, .. } => image,
            Self::SetNicOffload { adapter, .. } | Self::SetInterruptModeration { adapter, .. } => {
                adapter
            }
            Self::SetTcpParameter { parameter, .. } => parameter.as_str(),
            Self::SetTcpGlobal { switch, .. } => switch.as_str(),
            Self::SetDynamicPortRange { protocol, .. } => protocol.as_str(),
            Self::RunHook { name, .. } => name,
            Self::CollectEvidence { .. }
            | Self::WriteEvent { .. }
            | Self::SetDotnetConnectionLimit { .. }
            | Self::ResetTcpStack { .. }
            | Self::Reboot { .. } => "",
        }
    }

    /// What it does, in one line that a person can approve.
    #[must_use]
    pub fn summary(&self) -> String {
        let on_off = |enabled: bool| if enabled { "on" } else { "off" };
        match self {
            Self::CollectEvidence { seconds } => format!("collect evidence for {seconds} s"),
            Self::WriteEvent { id, level, .. } => format!("write event {id} ({})", level.as_str()),
            Self::RestartService { service, .. } => format!("restart service {service}"),
            Self::RecycleAppPool { pool } => format!("recycle application pool {pool}"),
            Self::EndProcess { pid, image, .. } => format!("end process {image} ({pid})"),
            Self::SetDynamicPortRange {
                protocol,
                family,
                first,
                last,
                ..
            } => format!(
                "set the dynamic {protocol} range of {} to {first}-{last}",
                family.as_str()
            ),
            Self::SetTcpParameter { parameter, value } => match value {
                Some(value) => format!("set {} to {value}", parameter.as_str()),
                None => format!("remove {}", parameter.as_str()),
            },
            Self::SetTcpGlobal { switch, enabled } => {
                format!("switch {} {}", switch.as_str(), on_off(*enabled))
            }
            Self::SetNicOffload {
                adapter,
                offload,
                enabled,
            } => {
                let (offload, to) = (offload.as_str(), on_off(*enabled));
                format!("switch {offload} of adapter {adapter} {to}")
            }
            Self::SetInterruptModeration { adapter, enabled } => {
                let to = on_off(*enabled);
                format!("switch interrupt moderation of adapter {adapter} {to}")
            }
            Self::SetDotnetConnectionLimit { connections } => {
                format!("let .NET programs open {connections} connections a destination")
            }
            Self::ResetTcpStack {
                steps,
                lose_addresses,
            } => {
                let steps: Vec<_> = steps.iter().map(|step| step.as_str()).collect();
                let steps = steps.join(", ");
                let lost = if *lose_addresses {
                    ", and lose addresses that were given by hand"
                } else {
                    ""
                };
                format!("reset the TCP stack ({steps}){lost}")
            }
            Self::Reboot { grace_s, .. } => format!("restart the host after {grace_s} s"),
            Self::RunHook { name, .. } => format!("run hook {name}"),
        }
    }
}

#[cfg(test)]
mod tests;
