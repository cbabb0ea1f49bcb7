//! Asks the system for the range and the exclusions of one protocol: WMI, then `netsh`, then the registry.

use serde::Deserialize;
use tidemark_model::{PortRange, Protocol};

use super::super::{management, program, registry};
use super::{Answer, RangeSource};
use crate::windows_data::port_range::PortSetting;
use crate::windows_data::{excluded_ports, port_range};

const NAMESPACE: &str = r"ROOT\StandardCimv2";
const TCPIP_PARAMETERS: &str = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";
/// First port of the range that `MaxUserPort` ends: 0xFFFE makes 1024 and 64511 ports of it.
const LEGACY_FIRST: u16 = 1024;
/// The range since Windows Vista (KB929851).
const SHIPPED_RANGE: PortRange = PortRange {
    first: 49_152,
    last: u16::MAX,
};

/// An instance of `MSFT_NetTCPSetting` or `MSFT_NetUDPSetting`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Setting {
    #[serde(default)]
    setting_name: Option<String>,
    dynamic_port_range_start_port: Option<u16>,
    dynamic_port_range_number_of_ports: Option<u16>,
}

/// What the system says of `protocol`.
pub(super) fn ask(protocol: Protocol) -> Answer {
    let told = by_management(protocol)
        .map(|range| (range, RangeSource::Management))
        .or_else(|| Some((by_netsh(protocol)?, RangeSource::Netsh)));
    let answer = registry_or_shipped();
    let (range, source) = told.unwrap_or((answer.range, answer.source));
    Answer {
        range,
        source,
        excluded: excluded(protocol),
    }
}

/// What is known without asking anybody who may take long.
pub(super) fn registry_or_shipped() -> Answer {
    let last = registry::number(TCPIP_PARAMETERS, "MaxUserPort");
    let legacy = last.and_then(|last| {
        let last = u16::try_from(last).ok().filter(|last| *last >= 5000)?;
        PortRange::new(LEGACY_FIRST, last)
    });
    let (range, source) = match legacy {
        Some(range) => (range, RangeSource::Registry),
        None => (SHIPPED_RANGE, RangeSource::Shipped),
    };
    Answer {
        range,
        source,
        excluded: Vec::new(),
    }
}

fn by_management(protocol: Protocol) -> Option<PortRange> {
    let query = match protocol {
        Protocol::Tcp => {
            "SELECT SettingName, DynamicPortRangeStartPort, DynamicPortRangeNumberOfPorts FROM MSFT_NetTCPSetting"
        }
        Protocol::Udp => {
            "SELECT DynamicPortRangeStartPort, DynamicPortRangeNumberOfPorts FROM MSFT_NetUDPSetting"
        }
    };
    let settings = management::query::<Setting>(NAMESPACE, query).ok()?;
    let settings = settings.iter().map(|setting| PortSetting {
        name: setting.setting_name.as_deref().unwrap_or_default(),
        first: setting.dynamic_port_range_start_port,
        ports: setting.dynamic_port_range_number_of_ports,
    });
    Some(port_range::in_settings(settings)?.range)
}

fn by_netsh(protocol: Protocol) -> Option<PortRange> {
    let words = ["int", "ipv4", "show", "dynamicport", word(protocol)];
    let printed = program::output_of("netsh.exe", &words).ok()?;
    port_range::in_netsh_output(&printed)
}

fn excluded(protocol: Protocol) -> Vec<PortRange> {
    let protocol = format!("protocol={}", word(protocol));
    let words = ["int", "ipv4", "show", "excludedportrange", &protocol];
    match program::output_of("netsh.exe", &words) {
        Ok(printed) => excluded_ports::in_netsh_output(&printed)
            .map(|block| block.ports)
            .collect(),
        Err(_) => Vec::new(),
    }
}

const fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}
