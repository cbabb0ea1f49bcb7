//! How this host is configured: the registry, WMI, `netsh`, and files of Windows and .NET.

pub(super) mod cards;
mod dotnet;
mod management;
mod network;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use tidemark_model::audit::{AuditFact, FactName, FactState, Topic};

use super::{endpoint_protection, host, own, registry_read, wine};
use crate::audit_facts::{FactList, number, text, unknown};
use crate::windows_data::version_resource;
use crate::{ReadError, hosts_file, virtual_machine};

/// What can be read on this system.
pub const TOPICS: &[Topic] = &[
    Topic::System,
    Topic::Ports,
    Topic::ExcludedPorts,
    Topic::Tcp,
    Topic::TcpTemplates,
    Topic::TcpGlobals,
    Topic::Nics,
    Topic::Names,
    Topic::DotNet,
    Topic::Hotfixes,
    Topic::EndpointProtection,
];

const CURRENT_VERSION: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";
const FIRMWARE: &str = r"HARDWARE\DESCRIPTION\System\BIOS";
const CONTROL: &str = r"SYSTEM\CurrentControlSet\Control";
const TCPIP6_PARAMETERS: &str = r"SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters";
const DNS_PARAMETERS: &str = r"SYSTEM\CurrentControlSet\Services\DNS\Parameters";
/// Largest file that is read whole; a `machine.config` has some 40 KB.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Reads the facts of a topic; may take long. A topic that this system does not have holds none.
///
/// # Errors
/// When nothing of the topic can be read. What alone cannot be read is an unknown fact.
pub fn read(topic: Topic) -> Result<Vec<AuditFact>, ReadError> {
    let mut facts = FactList::default();
    match topic {
        Topic::System => system(&mut facts),
        Topic::Ports => network::ports(&mut facts),
        Topic::ExcludedPorts => network::excluded_ports(&mut facts)?,
        Topic::Tcp => network::tcp(&mut facts),
        Topic::TcpTemplates => management::templates(&mut facts)?,
        Topic::TcpGlobals => management::globals(&mut facts)?,
        Topic::Nics => cards::read(&mut facts)?,
        Topic::Names => names(&mut facts),
        Topic::DotNet => dotnet::read(&mut facts),
        Topic::Hotfixes => management::hotfixes(&mut facts)?,
        Topic::EndpointProtection => endpoint_protection::read(&mut facts, &windows_folder()),
        Topic::Conntrack | Topic::Limits | Topic::Programs => {}
    }
    Ok(facts.finish())
}

fn system(facts: &mut FactList) {
    let version = host::version();
    facts.set(FactName::Build, number(Some(version.build.into())));
    facts.set(FactName::Revision, number(version.revision.map(u64::from)));
    facts.set(
        FactName::Edition,
        registry_text(CURRENT_VERSION, "ProductName"),
    );
    let driver = windows_folder().join(r"System32\drivers\tcpip.sys");
    let state = match File::open(&driver).and_then(version_resource::in_image) {
        Ok(version) => text(version.as_deref()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => FactState::Absent,
        Err(error) => unknown(&error),
    };
    facts.set(FactName::TcpipDriverVersion, state);
    facts.set(
        FactName::UptimeSeconds,
        number(Some(own::tick_time().as_secs())),
    );
    facts.set(
        FactName::Processors,
        number(host::processors().map(u64::from)),
    );
    match host::memory() {
        Ok(memory) => {
            facts.set(FactName::MemoryBytes, number(Some(memory.physical_bytes)));
            let nonpaged = number(Some(memory.kernel_nonpaged_bytes));
            facts.set(FactName::KernelNonpagedBytes, nonpaged);
        }
        Err(error) => {
            facts.set(FactName::MemoryBytes, unknown(&error));
            facts.set(FactName::KernelNonpagedBytes, unknown(&error));
        }
    }
    facts.set(FactName::Virtualisation, text(virtualisation()));
}

/// What hints at a container or a virtual machine, the inner one first.
fn virtualisation() -> Option<&'static str> {
    if wine::version().is_some() {
        return Some("wine");
    }
    if let Ok(Some(_)) = registry_read::number(CONTROL, "ContainerType") {
        return Some("container");
    }
    let value = |name| registry_read::text(FIRMWARE, name).ok().flatten();
    let maker = value("SystemManufacturer").unwrap_or_default();
    let product = value("SystemProductName").unwrap_or_default();
    virtual_machine::of_maker(&format!("{} {}", maker.trim(), product.trim()))
}

fn names(facts: &mut FactList) {
    let hosts = windows_folder().join(r"System32\drivers\etc\hosts");
    let state = match file(&hosts) {
        Ok(None) => FactState::Absent,
        Ok(Some(hosts)) => {
            let hosts = String::from_utf8_lossy(&hosts);
            text(hosts_file::addresses_of_localhost(&hosts).as_deref())
        }
        Err(error) => unknown(&error),
    };
    facts.set(FactName::LocalhostLine, state);
    facts.set(
        FactName::Ipv6DisabledComponents,
        registry_number(TCPIP6_PARAMETERS, "DisabledComponents"),
    );
    facts.set(
        FactName::DnsSocketPoolSize,
        registry_number(DNS_PARAMETERS, "SocketPoolSize"),
    );
}

/// A number of the registry as a fact: absent when it is not set.
fn registry_number(key: &str, value: &str) -> FactState {
    match registry_read::number(key, value) {
        Ok(found) => number(found.map(u64::from)),
        Err(error) => unknown(&error),
    }
}

/// A text of the registry as a fact: absent when it is not set.
fn registry_text(key: &str, value: &str) -> FactState {
    match registry_read::text(key, value) {
        Ok(found) => text(found.as_deref()),
        Err(error) => unknown(&error),
    }
}

/// A file's bytes; `None` when there is none.
fn file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.len() > FILE_BYTES_MAX => {
            let text = format!("it has {} bytes; {FILE_BYTES_MAX} are read", found.len());
            return Err(io::Error::other(text));
        }
        found => found?,
    };
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn windows_folder() -> PathBuf {
    env::var_os("SystemRoot").map_or_else(|| PathBuf::from(r"C:\Windows"), PathBuf::from)
}
