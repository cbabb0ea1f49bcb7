//! Processes as `/proc` shows them.

use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

use super::*;

struct Seen {
    wanted: Option<u32>,
    found: Vec<(u32, Descriptor)>,
}

impl DescriptorVisitor for Seen {
    fn wants(&mut self, descriptor: u32) -> bool {
        self.wanted == Some(descriptor)
    }

    fn found(&mut self, descriptor: u32, behind: Descriptor) {
        self.found.push((descriptor, behind));
    }
}

#[test]
fn a_name_full_of_parentheses_does_not_shift_the_fields() {
    let stat = b"42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3\n";
    assert_eq!(start_ticks_in(stat), Some(987_654));
    assert_eq!(start_ticks_in(b"42 (cut"), None);
    assert_eq!(start_ticks_in(b""), None);
}

#[test]
fn units_are_found_in_both_hierarchies() {
    assert_eq!(
        unit_in("0::/system.slice/postgresql.service\n"),
        Some("postgresql.service")
    );
    assert_eq!(
        unit_in("0::/system.slice/docker-0af.scope/init\n"),
        Some("docker-0af.scope")
    );
    assert_eq!(
        unit_in("12:pids:/x\n1:name=systemd:/system.slice/ssh.service\n0::/\n"),
        Some("ssh.service")
    );
    assert_eq!(unit_in("0::/user.slice\n"), None);
    assert_eq!(unit_in(""), None);
}

#[test]
fn a_name_that_the_kernel_cut_is_told_in_full() {
    let cut = "tidemark-contro";
    for executable in [
        "/opt/tidemark/tidemark-controller",
        "/opt/tidemark/tidemark-controller (deleted)",
    ] {
        assert_eq!(whole_name(cut, Some(executable)), "tidemark-controller");
    }
    // A thread of its own name, an interpreter, a program that is not to be seen.
    for executable in [Some("/usr/bin/java"), Some("/usr/bin/tidemark-agent"), None] {
        assert_eq!(whole_name(cut, executable), cut);
    }
    assert_eq!(
        whole_name("python3", Some("/usr/bin/python3.11")),
        "python3"
    );
}

#[test]
fn only_sockets_are_taken_for_sockets() {
    assert_eq!(
        descriptor_behind(b"socket:[12345]"),
        Descriptor::Socket(12_345)
    );
    for other in [
        &b"pipe:[12]"[..],
        b"/tmp/socket:[1]",
        b"socket:[x]",
        b"socket:[",
        b"",
    ] {
        assert_eq!(descriptor_behind(other), Descriptor::Other);
    }
}

#[test]
fn numbers_of_processes_and_nothing_else_are_numbers() {
    assert_eq!(number_in(b"4194304"), Some(4_194_304));
    for name in [&b""[..], b"self", b"12a", b"12345678901"] {
        assert_eq!(number_in(name), None);
    }
}

#[test]
fn this_process_is_listed_with_the_socket_it_holds() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let inode = fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd()))
        .unwrap()
        .ino();
    let own = std::process::id();
    let mut processes = Processes::open().unwrap();
    let mut listed = Vec::new();
    processes.list(|process| listed.push(process)).unwrap();
    assert!(listed.contains(&own));
    let number = u32::try_from(socket.as_raw_fd()).unwrap();
    let inode = u32::try_from(inode).unwrap();
    let mut seen = Seen {
        wanted: Some(number),
        found: Vec::new(),
    };
    processes.descriptors(own, &mut seen).unwrap();
    assert_eq!(seen.found, [(number, Descriptor::Socket(inode))]);
}

#[test]
fn this_process_has_a_name_a_start_and_descriptors() {
    let processes = Processes::open().unwrap();
    let own = std::process::id();
    let described = processes.describe(own).unwrap();
    assert_eq!(
        described.executable.as_deref(),
        std::env::current_exe().unwrap().to_str()
    );
    assert!(!described.name.is_empty());
    let started = processes.start(own).unwrap();
    let since_boot = Timestamp::EPOCH.saturating_add(crate::own::time_since_boot());
    assert!(started.at(Timestamp::EPOCH) <= since_boot);
    assert!(processes.descriptor_count(own).is_some());
}

#[test]
fn a_process_that_is_not_there_is_nobody() {
    let mut processes = Processes::open().unwrap();
    let nobody = 999_999_999;
    assert_eq!(processes.start(nobody), None);
    assert_eq!(processes.descriptor_count(nobody), None);
    assert_eq!(processes.describe(nobody), None);
    let mut seen = Seen {
        wanted: None,
        found: Vec::new(),
    };
    assert!(processes.descriptors(nobody, &mut seen).is_err());
}
