//! Dynamic and excluded ports by `netsh`, and the registry's settings of TCP.

use std::io;

use tidemark_model::audit::{FactName, FactState, FactValue};

use super::super::{program, registry_read};
use super::registry_number;
use crate::ReadError;
use crate::audit_facts::{FactList, ranges, unknown};
use crate::windows_data::{excluded_ports, port_range};

const TCPIP_PARAMETERS: &str = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";

pub(super) fn ports(facts: &mut FactList) {
    for (name, family, protocol) in [
        (FactName::DynamicRangeTcpV4, "ipv4", "tcp"),
        (FactName::DynamicRangeTcpV6, "ipv6", "tcp"),
        (FactName::DynamicRangeUdpV4, "ipv4", "udp"),
        (FactName::DynamicRangeUdpV6, "ipv6", "udp"),
    ] {
        let words = ["int", family, "show", "dynamicport", protocol];
        let state = match program::output_of("netsh.exe", &words) {
            Ok(printed) => match port_range::in_netsh_output(&printed) {
                Some(range) => FactState::Known(FactValue::Range(range)),
                None => FactState::unknown("netsh prints no range"),
            },
            Err(error) => unknown(&error),
        };
        facts.set(name, state);
    }
    let reserved = match registry_read::multi_text(TCPIP_PARAMETERS, "ReservedPorts") {
        Ok(None) => FactState::Absent,
        Ok(Some(list)) => ranges(excluded_ports::in_registry_list(&list).collect()),
        Err(error) => unknown(&error),
    };
    facts.set(FactName::ReservedPorts, reserved);
}

pub(super) fn excluded_ports(facts: &mut FactList) -> Result<(), ReadError> {
    for (name, family, protocol) in [
        (FactName::ExcludedTcpV4, "ipv4", "protocol=tcp"),
        (FactName::ExcludedTcpV6, "ipv6", "protocol=tcp"),
        (FactName::ExcludedUdpV4, "ipv4", "protocol=udp"),
        (FactName::ExcludedUdpV6, "ipv6", "protocol=udp"),
    ] {
        let words = ["int", family, "show", "excludedportrange", protocol];
        let told = |source| ReadError::System {
            what: "its excluded ports",
            source,
        };
        let printed = program::output_of("netsh.exe", &words).map_err(told)?;
        // The title is there even where no port is excluded.
        if printed.trim_ascii().is_empty() {
            return Err(told(io::Error::other("netsh prints nothing")));
        }
        let blocks = excluded_ports::in_netsh_output(&printed);
        facts.set(name, ranges(blocks.map(|block| block.ports).collect()));
    }
    Ok(())
}

pub(super) fn tcp(facts: &mut FactList) {
    for (name, value) in [
        (FactName::TimedWaitDelaySeconds, "TcpTimedWaitDelay"),
        (FactName::MaxUserPort, "MaxUserPort"),
        (FactName::StrictTimeWaitSeqCheck, "StrictTimeWaitSeqCheck"),
        (FactName::TcpNumConnections, "TcpNumConnections"),
        (FactName::MaxFreeTcbs, "MaxFreeTcbs"),
        (
            FactName::TcpMaxDataRetransmissions,
            "TcpMaxDataRetransmissions",
        ),
        (FactName::MaxHashTableSize, "MaxHashTableSize"),
        (FactName::NumTcbTablePartitions, "NumTcbTablePartitions"),
        (FactName::TcpWindowSizeBytes, "TcpWindowSize"),
    ] {
        facts.set(name, registry_number(TCPIP_PARAMETERS, value));
    }
}
