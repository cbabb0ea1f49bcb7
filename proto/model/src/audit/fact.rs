//! Every fact that an audit can hold: its name, its number on the wire, its topic and the shape of its value.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What kind of value a fact has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A count or a measure, in the unit that ends the name.
    Number,
    /// On or off.
    Flag,
    /// A name or a version.
    Text,
    /// One range of ports.
    Range,
    /// Several ranges of ports.
    Ranges,
}

/// How many of a fact a host has, and whether it moves by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One; somebody or something changes it.
    One,
    /// One for each thing, as for each network card.
    Each,
    /// One for each thing that is looked at while it matters, as for the processes that hold most ports: that it is told or
    /// not says nothing of the host, so neither is drift, and what was read last stands.
    Seen,
    /// One, a figure that moves by itself: it is no drift.
    Reading,
}

macro_rules! topics {
    ($($(#[$doc:meta])+ $number:literal $variant:ident $name:literal,)+) => {
        /// What is read together, and is unknown together when it cannot be read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Topic { $($(#[$doc])+ $variant,)+ }

        impl Topic {
            /// Every topic, in display order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The lower-case name used everywhere.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Its number on the wire; never used again for another.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)+ }
            }
        }
    };
}

macro_rules! facts {
    ($($(#[$doc:meta])+ $number:literal $variant:ident $name:literal $topic:ident $shape:ident $kind:ident,)+) => {
        /// Names a fact.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FactName { $($(#[$doc])+ $variant,)+ }

        impl FactName {
            /// Every fact, in display order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The lower-case name used everywhere.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Its number on the wire; never used again for another.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// What it is read with.
            #[must_use]
            pub const fn topic(self) -> Topic {
                match self { $(Self::$variant => Topic::$topic,)+ }
            }

            /// What its value looks like.
            #[must_use]
            pub const fn shape(self) -> Shape {
                match self { $(Self::$variant => Shape::$shape,)+ }
            }

            const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ }
            }
        }
    };
}

topics! {
    /// Version of the system, processors, memory.
    1 System "system",
    /// Dynamic and reserved ports.
    2 Ports "ports",
    /// Ports that Windows keeps out of the dynamic range.
    3 ExcludedPorts "excluded_ports",
    /// Timers and limits of TCP: the registry, or sysctl.
    4 Tcp "tcp",
    /// Windows' TCP templates (`MSFT_NetTCPSetting`).
    5 TcpTemplates "tcp_templates",
    /// Windows' global offloads (`MSFT_NetOffloadGlobalSetting`, `netsh int tcp show global`).
    6 TcpGlobals "tcp_globals",
    /// Connection tracking of Linux.
    7 Conntrack "conntrack",
    /// Files that may be open.
    8 Limits "limits",
    /// Network cards.
    9 Nics "nics",
    /// What `localhost` is, and how names are resolved.
    10 Names "names",
    /// Limits of .NET's connection pools.
    11 DotNet "dotnet",
    /// Updates of Windows.
    12 Hotfixes "hotfixes",
    /// Executables of the processes that hold most ports, and of the agent.
    13 Programs "programs",
    /// Products for endpoint protection.
    14 EndpointProtection "endpoint_protection",
}

facts! {
    /// Release of the kernel, as in `6.1.0-18-amd64`.
    1 KernelRelease "kernel_release" System Text One,
    /// Name and version of the distribution.
    2 Distribution "distribution" System Text One,
    /// Windows' build, as in 17763.
    3 Build "build" System Number One,
    /// Windows' update build revision, which each cumulative update raises.
    4 Revision "revision" System Number One,
    /// Windows' edition, as in `Windows Server 2019 Datacenter`.
    5 Edition "edition" System Text One,
    /// File version of `tcpip.sys`.
    6 TcpipDriverVersion "tcpip_driver_version" System Text One,
    /// Seconds since the boot, sleep included.
    7 UptimeSeconds "uptime_s" System Number Reading,
    /// Processors that the system uses.
    8 Processors "processors" System Number One,
    /// Memory that the system has.
    9 MemoryBytes "memory_bytes" System Number One,
    /// Nonpaged pool of the Windows kernel.
    10 KernelNonpagedBytes "kernel_nonpaged_bytes" System Number Reading,
    /// What it runs in, as in `docker` or `kvm`; absent when nothing hints at a container or a virtual machine.
    11 Virtualisation "virtualisation" System Text One,

    /// Linux: `net.ipv4.ip_local_port_range`, for TCP and UDP, v4 and v6.
    20 DynamicRange "dynamic_range" Ports Range One,
    /// Windows: the dynamic range of TCP over v4.
    21 DynamicRangeTcpV4 "dynamic_range_tcp_v4" Ports Range One,
    /// Windows: the dynamic range of TCP over v6.
    22 DynamicRangeTcpV6 "dynamic_range_tcp_v6" Ports Range One,
    /// Windows: the dynamic range of UDP over v4.
    23 DynamicRangeUdpV4 "dynamic_range_udp_v4" Ports Range One,
    /// Windows: the dynamic range of UDP over v6.
    24 DynamicRangeUdpV6 "dynamic_range_udp_v6" Ports Range One,
    /// `net.ipv4.ip_local_reserved_ports`, or `ReservedPorts` in the registry.
    25 ReservedPorts "reserved_ports" Ports Ranges One,
    /// Windows: ports kept out of TCP over v4.
    30 ExcludedTcpV4 "excluded_tcp_v4" ExcludedPorts Ranges One,
    /// Windows: ports kept out of TCP over v6.
    31 ExcludedTcpV6 "excluded_tcp_v6" ExcludedPorts Ranges One,
    /// Windows: ports kept out of UDP over v4.
    32 ExcludedUdpV4 "excluded_udp_v4" ExcludedPorts Ranges One,
    /// Windows: ports kept out of UDP over v6.
    33 ExcludedUdpV6 "excluded_udp_v6" ExcludedPorts Ranges One,

    /// Registry `TcpTimedWaitDelay`; 30 to 300 count, 120 when absent.
    40 TimedWaitDelaySeconds "timed_wait_delay_s" Tcp Number One,
    /// Registry `MaxUserPort`: the highest dynamic port, whatever netsh says.
    41 MaxUserPort "max_user_port" Tcp Number One,
    /// Registry `StrictTimeWaitSeqCheck`.
    42 StrictTimeWaitSeqCheck "strict_time_wait_seq_check" Tcp Number One,
    /// Registry `TcpNumConnections`.
    43 TcpNumConnections "tcp_num_connections" Tcp Number One,
    /// Registry `MaxFreeTcbs`.
    44 MaxFreeTcbs "max_free_tcbs" Tcp Number One,
    /// Registry `TcpMaxDataRetransmissions`.
    45 TcpMaxDataRetransmissions "tcp_max_data_retransmissions" Tcp Number One,
    /// Registry `MaxHashTableSize`.
    46 MaxHashTableSize "max_hash_table_size" Tcp Number One,
    /// Registry `NumTcbTablePartitions`.
    47 NumTcbTablePartitions "num_tcb_table_partitions" Tcp Number One,
    /// Registry `TcpWindowSize`.
    48 TcpWindowSizeBytes "tcp_window_size_bytes" Tcp Number One,
    /// `net.ipv4.tcp_tw_reuse`: 0 off, 1 on, 2 for loopback.
    50 TcpTwReuse "tcp_tw_reuse" Tcp Number One,
    /// `net.ipv4.tcp_fin_timeout`.
    51 TcpFinTimeoutSeconds "tcp_fin_timeout_s" Tcp Number One,
    /// `net.ipv4.tcp_max_tw_buckets`.
    52 TcpMaxTwBuckets "tcp_max_tw_buckets" Tcp Number One,
    /// `net.ipv4.ip_autobind_reuse`.
    53 IpAutobindReuse "ip_autobind_reuse" Tcp Flag One,
    /// `net.core.somaxconn`.
    54 Somaxconn "somaxconn" Tcp Number One,

    /// Dynamic range of a TCP template.
    60 TemplateDynamicRange "template_dynamic_range" TcpTemplates Range Each,
    /// Range of a TCP template that `SO_REUSE_UNICASTPORT` draws from; none when reuse is off.
    61 TemplateAutoReuseRange "template_auto_reuse_range" TcpTemplates Ranges Each,
    /// Autotuning of a TCP template's receive window, as in `normal`.
    62 TemplateAutotuning "template_autotuning" TcpTemplates Text Each,

    /// TCP chimney offload, up to Windows Server 2016: `disabled`, `enabled` or `automatic`.
    70 Chimney "chimney" TcpGlobals Text One,
    /// Receive-side scaling of the whole system.
    71 Rss "rss" TcpGlobals Flag One,
    /// Offloads of the cards as a whole.
    72 TaskOffload "task_offload" TcpGlobals Flag One,
    /// Receive segment coalescing of the whole system.
    73 Rsc "rsc" TcpGlobals Flag One,

    /// Connections that conntrack may track.
    80 ConntrackMax "conntrack_max" Conntrack Number One,
    /// Connections that conntrack tracks.
    81 ConntrackCount "conntrack_count" Conntrack Number Reading,
    /// `fs.file-max`.
    82 FileMax "file_max" Limits Number One,
    /// Files that the agent itself may open.
    83 AgentOpenFilesMax "agent_open_files_max" Limits Number One,

    /// What the card calls itself.
    90 NicDescription "nic_description" Nics Text Each,
    /// Name of the driver.
    91 NicDriver "nic_driver" Nics Text Each,
    /// Version of the driver.
    92 NicDriverVersion "nic_driver_version" Nics Text Each,
    /// Day of the driver, as in `2016-06-14`.
    93 NicDriverDate "nic_driver_date" Nics Text Each,
    /// Who made the driver.
    94 NicDriverProvider "nic_driver_provider" Nics Text Each,
    /// Bus and device, as in `PCI\VEN_8086&DEV_10D3`.
    95 NicDeviceId "nic_device_id" Nics Text Each,
    /// Large send offload over v4.
    96 NicLsoV4 "nic_lso_v4" Nics Flag Each,
    /// Large send offload over v6.
    97 NicLsoV6 "nic_lso_v6" Nics Flag Each,
    /// TCP checksum offload over v4: `off`, `tx`, `rx` or `tx and rx`.
    98 NicTcpChecksumV4 "nic_tcp_checksum_v4" Nics Text Each,
    /// TCP checksum offload over v6: `off`, `tx`, `rx` or `tx and rx`.
    99 NicTcpChecksumV6 "nic_tcp_checksum_v6" Nics Text Each,
    /// Interrupt moderation.
    100 NicInterruptModeration "nic_interrupt_moderation" Nics Flag Each,
    /// Receive-side scaling.
    101 NicRss "nic_rss" Nics Flag Each,
    /// Version of the card's firmware.
    102 NicFirmwareVersion "nic_firmware_version" Nics Text Each,

    /// Addresses that the hosts file gives `localhost`, in its order.
    110 LocalhostLine "localhost_line" Names Text One,
    /// Registry `DisabledComponents` of IPv6, a set of bits; 0xff switches all of it off.
    111 Ipv6DisabledComponents "ipv6_disabled_components" Names Number One,
    /// UDP ports that the DNS Server keeps.
    112 DnsSocketPoolSize "dns_socket_pool_size" Names Number One,

    /// `maxconnection` of an address in a `machine.config`.
    120 DotNetMaxConnections "dotnet_max_connections" DotNet Number Each,
    /// `HWRPortReuseOnSocketBind` of a framework.
    121 DotNetPortReuse "dotnet_port_reuse" DotNet Flag Each,

    /// When an update was installed, as Windows writes it.
    130 HotfixInstalledOn "hotfix_installed_on" Hotfixes Text Each,

    /// Version of a process's executable: its version resource, its package. Absent when it states none. Where processes of
    /// one name run several, all of them.
    140 ImageVersion "image_version" Programs Text Seen,
    /// SHA-256 of a process's executable, in hexadecimal.
    141 ImageSha256 "image_sha256" Programs Text Seen,
    /// GNU build id of a process's executable, in hexadecimal; absent when it has none.
    142 ImageBuildId "image_build_id" Programs Text Seen,

    /// How many products for endpoint protection are installed, of those that agents know.
    149 EdrProducts "edr_products" EndpointProtection Number One,
    /// Version of a product for endpoint protection, or `running` or `installed` where that cannot be read.
    150 Edr "edr" EndpointProtection Text Each,
    /// Whether a process of the product runs.
    151 EdrRunning "edr_running" EndpointProtection Flag Each,
}

impl Topic {
    /// The topic of that number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|topic| topic.number() == number)
    }
}

impl FactName {
    /// The fact of that number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|name| name.number() == number)
    }

    /// Whether a host has one for each of several things, as for each network card.
    #[must_use]
    pub const fn is_of_items(self) -> bool {
        matches!(self.kind(), Kind::Each | Kind::Seen)
    }

    /// Whether it is told of things only while they matter, so that a thing which appears or goes is no drift.
    #[must_use]
    pub const fn is_of_things_seen(self) -> bool {
        matches!(self.kind(), Kind::Seen)
    }

    /// Whether its values are digests: exact, and the last that a person wants to read where another fact says the same.
    #[must_use]
    pub const fn is_digest(self) -> bool {
        matches!(self, Self::ImageSha256 | Self::ImageBuildId)
    }

    /// Whether it is a figure that moves by itself, so that a new value is no drift.
    #[must_use]
    pub const fn is_reading(self) -> bool {
        matches!(self.kind(), Kind::Reading)
    }
}

macro_rules! named {
    ($type:ty, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                let found = Self::ALL
                    .iter()
                    .copied()
                    .find(|known| known.as_str() == name);
                found.ok_or_else(|| {
                    serde::de::Error::custom(format_args!("{} is called `{name}`", $what))
                })
            }
        }
    };
}

named!(Topic, "no topic");
named!(FactName, "no fact");
