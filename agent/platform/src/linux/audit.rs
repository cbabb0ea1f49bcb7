//! How this host is configured: `/proc/sys`, the hosts file, and what the drivers of its network cards say.
//!
//! Settings of the network are those of the calling thread's network namespace.

use std::fs;
use std::io;

use rustix::process::{Resource, getrlimit};
use rustix::system::uname;
use tidemark_model::Protocol;
use tidemark_model::audit::{AuditFact, FactName, FactState, FactValue, Topic};

use super::ethtool::Ethtool;
use super::ports::PortSettings;
use super::{endpoint_protection, host, procfile};
use crate::ReadError;
use crate::audit_facts::{FactList, flag, number, ranges, text, unknown};
use crate::{hosts_file, virtual_machine};

/// What can be read on this system.
pub const TOPICS: &[Topic] = &[
    Topic::System,
    Topic::Ports,
    Topic::Tcp,
    Topic::Conntrack,
    Topic::Limits,
    Topic::Nics,
    Topic::Names,
    Topic::EndpointProtection,
];

/// Network interfaces that are asked about.
const INTERFACES_MAX: usize = 4_096;

/// Reads the facts of a topic; may take long. A topic that this system does not have holds none.
///
/// # Errors
/// When nothing of the topic can be read. What alone cannot be read is an unknown fact.
pub fn read(topic: Topic) -> Result<Vec<AuditFact>, ReadError> {
    let mut facts = FactList::default();
    match topic {
        Topic::System => system(&mut facts),
        Topic::Ports => ports(&mut facts)?,
        Topic::Tcp => tcp(&mut facts),
        Topic::Conntrack => conntrack(&mut facts),
        Topic::Limits => limits(&mut facts),
        Topic::Nics => nics(&mut facts)?,
        Topic::Names => names(&mut facts),
        Topic::EndpointProtection => endpoint_protection::read(&mut facts)?,
        Topic::ExcludedPorts
        | Topic::TcpTemplates
        | Topic::TcpGlobals
        | Topic::DotNet
        | Topic::Hotfixes
        | Topic::Programs => {}
    }
    Ok(facts.finish())
}

fn system(facts: &mut FactList) {
    let release = uname().release().to_string_lossy().into_owned();
    facts.set(FactName::KernelRelease, text(Some(&release)));
    facts.set(
        FactName::Distribution,
        text(host::distribution_name().as_deref()),
    );
    facts.set(
        FactName::UptimeSeconds,
        of_file("/proc/uptime", leading_number),
    );
    let processors = of_file("/proc/stat", |text| {
        let processors = text.lines().filter(|line| is_processor(line)).count();
        u64::try_from(processors).ok()
    });
    facts.set(FactName::Processors, processors);
    let memory = of_file("/proc/meminfo", |text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        leading_number(line.trim_start())?.checked_mul(1024)
    });
    facts.set(FactName::MemoryBytes, memory);
    facts.set(FactName::Virtualisation, text(virtualisation()));
}

/// `cpu0 ...`, but not `cpu ...`.
fn is_processor(line: &str) -> bool {
    line.strip_prefix("cpu")
        .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// What hints at a container or a virtual machine, the inner one first.
fn virtualisation() -> Option<&'static str> {
    const MARKS: [(&str, &str); 2] = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    const GROUPS: [(&str, &str); 3] = [
        ("kubepods", "kubernetes"),
        ("docker", "docker"),
        ("lxc", "lxc"),
    ];
    let named = |table: &[(&str, &'static str)], text: &str| {
        let found = table.iter().find(|(word, _)| text.contains(word));
        found.map(|(_, name)| *name)
    };
    let is_there = |path: &str| fs::metadata(path).is_ok();
    let marked = MARKS.iter().find(|(path, _)| is_there(path));
    let maker = || {
        let read = |name| procfile::text(&format!("/sys/class/dmi/id/{name}")).unwrap_or_default();
        let maker = format!(
            "{} {}",
            read("sys_vendor").trim(),
            read("product_name").trim()
        );
        virtual_machine::of_maker(&maker)
    };
    let hypervisor = || {
        let processor = procfile::text("/proc/cpuinfo").unwrap_or_default();
        let flags = processor.lines().find(|line| line.starts_with("flags"))?;
        let is_guest = flags.split_whitespace().any(|flag| flag == "hypervisor");
        is_guest.then_some("virtual machine")
    };
    marked
        .map(|(_, name)| *name)
        .or_else(|| named(&GROUPS, &procfile::text("/proc/self/cgroup").ok()?))
        .or_else(maker)
        .or_else(hypervisor)
}

fn ports(facts: &mut FactList) -> Result<(), ReadError> {
    let mut settings = PortSettings::open()?;
    let range = settings.range(Protocol::Tcp)?;
    facts.set(
        FactName::DynamicRange,
        FactState::Known(FactValue::Range(range)),
    );
    let mut reserved = Vec::new();
    let read = settings.reserved(Protocol::Tcp, |range| reserved.push(range));
    let state = match read {
        Ok(()) => ranges(reserved),
        Err(error) => unknown(&error),
    };
    facts.set(FactName::ReservedPorts, state);
    Ok(())
}

fn tcp(facts: &mut FactList) {
    const FOLDER: &str = "/proc/sys/net/ipv4";
    let numbers = [
        (FactName::TcpTwReuse, "tcp_tw_reuse"),
        (FactName::TcpFinTimeoutSeconds, "tcp_fin_timeout"),
        (FactName::TcpMaxTwBuckets, "tcp_max_tw_buckets"),
    ];
    for (name, file) in numbers {
        facts.set(name, setting(&format!("{FOLDER}/{file}")));
    }
    let autobind = setting(&format!("{FOLDER}/ip_autobind_reuse"));
    let autobind = match autobind.number() {
        Some(number) => flag(Some(number != 0)),
        None => autobind,
    };
    facts.set(FactName::IpAutobindReuse, autobind);
    facts.set(FactName::Somaxconn, setting("/proc/sys/net/core/somaxconn"));
}

fn conntrack(facts: &mut FactList) {
    const FOLDER: &str = "/proc/sys/net/netfilter";
    for (name, file) in [
        (FactName::ConntrackMax, "nf_conntrack_max"),
        (FactName::ConntrackCount, "nf_conntrack_count"),
    ] {
        facts.set(name, setting(&format!("{FOLDER}/{file}")));
    }
}

fn limits(facts: &mut FactList) {
    facts.set(FactName::FileMax, setting("/proc/sys/fs/file-max"));
    // A limit beyond what a database can hold is none.
    let files = getrlimit(Resource::Nofile).current;
    let files = files.filter(|files| i64::try_from(*files).is_ok());
    facts.set(FactName::AgentOpenFilesMax, number(files));
}

fn nics(facts: &mut FactList) -> Result<(), ReadError> {
    const INTERFACES: &str = "/proc/thread-self/net/dev";
    let listed = procfile::text(INTERFACES)?;
    let ethtool = Ethtool::open().map_err(|source| ReadError::System {
        what: "its network cards",
        source,
    })?;
    let names = listed.lines().filter_map(interface_of_line);
    for interface in names.take(INTERFACES_MAX) {
        let Ok(driver) = ethtool.driver(interface) else {
            continue;
        };
        if !driver.is_of_a_card() {
            continue;
        }
        let segments = ethtool.segments(interface);
        let checksums = ethtool.checksums(interface).map(checksum_word);
        let moderation = ethtool.moderates_interrupts(interface);
        let queues = ethtool.receive_queues(interface).map(|queues| queues > 1);
        for (name, state) in [
            (FactName::NicDriver, text(Some(&driver.name))),
            (FactName::NicDriverVersion, text(Some(&driver.version))),
            (
                FactName::NicFirmwareVersion,
                text(Some(&driver.firmware_version)),
            ),
            (FactName::NicDeviceId, text(Some(&driver.bus))),
            (FactName::NicLsoV4, answer(segments, |on| flag(Some(on)))),
            (
                FactName::NicTcpChecksumV4,
                answer(checksums, |word| text(Some(word))),
            ),
            (
                FactName::NicInterruptModeration,
                answer(moderation, |on| flag(Some(on))),
            ),
            (FactName::NicRss, answer(queues, |on| flag(Some(on)))),
        ] {
            facts.set_of(name, interface, state);
        }
    }
    Ok(())
}

/// The interface's name in a line of `/proc/net/dev`; `None` for its heading.
fn interface_of_line(line: &str) -> Option<&str> {
    line.split_once(':').map(|(name, _)| name.trim())
}

const fn checksum_word((tx, rx): (bool, bool)) -> &'static str {
    match (tx, rx) {
        (false, false) => "off",
        (true, false) => "tx",
        (false, true) => "rx",
        (true, true) => "tx and rx",
    }
}

/// What a driver says; a question that it does not know is not of its hardware.
fn answer<T>(answer: io::Result<T>, known: impl FnOnce(T) -> FactState) -> FactState {
    match answer {
        Ok(value) => known(value),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => FactState::Absent,
        Err(error) => unknown(&error),
    }
}

fn names(facts: &mut FactList) {
    let state = match procfile::text("/etc/hosts") {
        Ok(hosts) => text(hosts_file::addresses_of_localhost(&hosts).as_deref()),
        Err(error) => missing_or_unknown(&error),
    };
    facts.set(FactName::LocalhostLine, state);
}

/// A setting that is one number in a file; absent when this kernel has no such file.
fn setting(path: &str) -> FactState {
    of_file(path, |text| text.trim().parse().ok())
}

fn of_file(path: &str, parse: impl FnOnce(&str) -> Option<u64>) -> FactState {
    match procfile::text(path) {
        Ok(content) => match parse(&content).filter(|number| i64::try_from(*number).is_ok()) {
            Some(value) => number(Some(value)),
            None => unknown(&procfile::unexpected(path, "a number")),
        },
        Err(error) => missing_or_unknown(&error),
    }
}

fn missing_or_unknown(error: &ReadError) -> FactState {
    match error {
        ReadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            FactState::Absent
        }
        error @ (ReadError::Io { .. } | ReadError::Content { .. } | ReadError::System { .. }) => {
            unknown(error)
        }
    }
}

/// The whole number at the beginning of a text.
fn leading_number(text: &str) -> Option<u64> {
    let digits = text.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_of(facts: &[AuditFact], name: FactName) -> &FactState {
        let fact = facts.iter().find(|fact| fact.key.name == name);
        &fact.unwrap_or_else(|| panic!("{name} is not told")).state
    }

    #[test]
    fn this_host_tells_its_range_its_timers_and_its_size() {
        let ports = read(Topic::Ports).unwrap();
        assert!(state_of(&ports, FactName::DynamicRange).ranges().is_some());
        let tcp = read(Topic::Tcp).unwrap();
        assert!(state_of(&tcp, FactName::TcpFinTimeoutSeconds).number() > Some(0));
        let system = read(Topic::System).unwrap();
        assert!(state_of(&system, FactName::Processors).number() > Some(0));
        assert!(state_of(&system, FactName::MemoryBytes).number() > Some(1 << 20));
        assert!(
            state_of(&system, FactName::UptimeSeconds)
                .number()
                .is_some()
        );
        assert!(state_of(&system, FactName::KernelRelease).text().is_some());
    }

    #[test]
    fn every_topic_of_this_system_can_be_read_and_tells_its_own_facts() {
        for topic in TOPICS {
            for fact in read(*topic).unwrap() {
                assert_eq!(fact.key.name.topic(), *topic);
                assert_eq!(fact.key.name.is_of_items(), fact.key.item.is_some());
                if let FactState::Known(value) = fact.state {
                    assert_eq!(value.shape(), fact.key.name.shape(), "{}", fact.key);
                }
            }
        }
        assert_eq!(read(Topic::Hotfixes).unwrap(), []);
    }

    #[test]
    fn a_file_that_is_not_there_is_absent_and_one_that_is_no_number_is_unknown() {
        assert_eq!(setting("/proc/sys/net/no-such"), FactState::Absent);
        assert!(matches!(setting("/proc/version"), FactState::Unknown(_)));
        assert_eq!(leading_number("350735.47 234388.90"), Some(350_735));
        assert_eq!(interface_of_line("  eth0: 1 2"), Some("eth0"));
        assert_eq!(interface_of_line("Inter-|   Receive"), None);
        assert!(is_processor("cpu12 1 2") && !is_processor("cpu  1 2"));
    }
}
