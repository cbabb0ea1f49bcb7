//! Asks the system for the range and the exclusions of one protocol: WMI, then `netsh`, then the registry.

use std::io;
use std::sync::Arc;

use serde::Deserialize;
use tidemark_model::{PortRange, Protocol};

use super::super::management::{self, SETTINGS};
use super::super::{program, registry};
use super::{Answer, RangeSource, Told};
use crate::port_tools::Tools;
use crate::windows_data::port_range::PortSetting;
use crate::windows_data::{excluded_ports, port_range};

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

/// What the system says, and which of its parts said anything.
pub(super) fn ask() -> Told {
    let mut tools = Tools::default();
    let answers = [Protocol::Tcp, Protocol::Udp].map(|protocol| ask_of(protocol, &mut tools));
    Told { answers, tools }
}

/// What the system says of `protocol`. A tool that has answered for one protocol answers.
fn ask_of(protocol: Protocol, tools: &mut Tools) -> Answer {
    let by_management = by_management(protocol);
    let excluded = excluded(protocol);
    note(&mut tools.wmi, by_management.as_ref().err());
    note(&mut tools.netsh, excluded.as_ref().err());
    let told = by_management
        .ok()
        .flatten()
        .map(|range| (range, RangeSource::Management))
        .or_else(|| Some((by_netsh(protocol)?, RangeSource::Netsh)));
    let answer = registry_or_shipped();
    let (range, source) = told.unwrap_or((answer.range, answer.source));
    Answer {
        range,
        source,
        excluded: excluded.unwrap_or_default(),
    }
}

fn note(tool: &mut Option<Result<(), Arc<str>>>, error: Option<&io::Error>) {
    if *tool != Some(Ok(())) {
        *tool = Some(error.map_or(Ok(()), |error| Err(error.to_string().into())));
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

/// `None` when WMI answers and names no range.
fn by_management(protocol: Protocol) -> io::Result<Option<PortRange>> {
    let query = match protocol {
        Protocol::Tcp => {
            "SELECT SettingName, DynamicPortRangeStartPort, DynamicPortRangeNumberOfPorts FROM MSFT_NetTCPSetting"
        }
        Protocol::Udp => {
            "SELECT DynamicPortRangeStartPort, DynamicPortRangeNumberOfPorts FROM MSFT_NetUDPSetting"
        }
    };
    let settings = management::query::<Setting>(&SETTINGS, query)?;
    let settings = settings.iter().map(|setting| PortSetting {
        name: setting.setting_name.as_deref().unwrap_or_default(),
        first: setting.dynamic_port_range_start_port,
        ports: setting.dynamic_port_range_number_of_ports,
    });
    Ok(port_range::in_settings(settings).map(|agreed| agreed.range))
}

fn by_netsh(protocol: Protocol) -> Option<PortRange> {
    let words = ["int", "ipv4", "show", "dynamicport", protocol.as_str()];
    let printed = program::output_of("netsh.exe", &words).ok()?;
    port_range::in_netsh_output(&printed)
}

/// Also of a host without exclusions `netsh` prints headings.
fn excluded(protocol: Protocol) -> io::Result<Vec<PortRange>> {
    let protocol = format!("protocol={}", protocol.as_str());
    let words = ["int", "ipv4", "show", "excludedportrange", &protocol];
    let printed = program::output_of("netsh.exe", &words)?;
    if printed.trim_ascii().is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it prints nothing",
        ));
    }
    let blocks = excluded_ports::in_netsh_output(&printed);
    Ok(blocks.map(|block| block.ports).collect())
}
