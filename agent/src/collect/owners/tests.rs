//! The cache against the sockets of this very process.

use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

use std::net::Ipv4Addr;

use tidemark_platform::Family;

use super::*;

fn inode_of(socket: &UdpSocket) -> u32 {
    let link = format!("/proc/self/fd/{}", socket.as_raw_fd());
    u32::try_from(std::fs::metadata(link).unwrap().ino()).unwrap()
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_socket_is_looked_for_once_and_known_from_then_on() {
    let mut cache = OwnerCache::open().unwrap();
    let socket = socket();
    let inode = inode_of(&socket);
    cache.begin();
    assert_eq!(cache.holder_of(inode), Holder::Unknown);
    cache.resolve([inode].into_iter());
    let own = cache.of_process(std::process::id()).unwrap();
    assert_eq!(cache.holder_of(inode), Holder::Known(own));
    cache.finish();
    cache.begin();
    assert_eq!(cache.holder_of(inode), Holder::Known(own));
    assert_eq!(cache.reads_left, DESCRIPTOR_READS_MAX);
    cache.finish();
}

#[test]
fn one_new_socket_costs_few_looks_however_many_are_held() {
    let mut cache = OwnerCache::open().unwrap();
    let held: Vec<_> = (0..300).map(|_| socket()).collect();
    let inodes: Vec<_> = held.iter().map(inode_of).collect();
    cache.begin();
    cache.resolve(inodes.iter().copied());
    cache.finish();
    let new = socket();
    cache.begin();
    for inode in &inodes {
        assert!(matches!(cache.holder_of(*inode), Holder::Known(_)));
    }
    cache.resolve([inode_of(&new)].into_iter());
    assert!(matches!(cache.holder_of(inode_of(&new)), Holder::Known(_)));
    let looks = DESCRIPTOR_READS_MAX - cache.reads_left;
    assert!(looks < 100, "{looks} looks for one socket");
    cache.finish();
}

#[test]
fn a_descriptor_that_was_something_else_is_looked_behind_when_need_be() {
    let mut cache = OwnerCache::open().unwrap();
    let first = socket();
    let file = std::fs::File::open("/dev/null").unwrap();
    cache.begin();
    cache.resolve([inode_of(&first), 1].into_iter());
    cache.finish();
    let descriptor = file.as_raw_fd();
    drop(file);
    let reused: Vec<_> = (0..20).map(|_| socket()).collect();
    assert!(reused.iter().any(|socket| socket.as_raw_fd() == descriptor));
    cache.begin();
    cache.holder_of(inode_of(&first));
    cache.resolve(reused.iter().map(inode_of));
    for socket in &reused {
        assert!(matches!(
            cache.holder_of(inode_of(socket)),
            Holder::Known(_)
        ));
    }
    cache.finish();
}

#[test]
fn a_socket_of_nobody_is_looked_for_ever_more_seldom() {
    const NOBODYS: u32 = 1;
    let mut cache = OwnerCache::open().unwrap();
    let mut looks = 0;
    for _ in 0..40 {
        cache.begin();
        if cache.holder_of(NOBODYS) == Holder::Unknown {
            looks += 1;
            cache.resolve([NOBODYS].into_iter());
        }
        assert_eq!(cache.holder_of(NOBODYS), Holder::Nobody);
        cache.finish();
    }
    assert!((2..10).contains(&looks), "{looks} looks in 40 samples");
}

#[test]
fn sockets_and_processes_that_are_gone_leave_nothing_behind() {
    let mut cache = OwnerCache::open().unwrap();
    let socket = socket();
    cache.begin();
    cache.resolve([inode_of(&socket)].into_iter());
    cache.finish();
    assert_eq!(cache.sockets.len(), 1);
    drop(socket);
    cache.begin();
    cache.finish();
    assert!(cache.sockets.is_empty() && cache.by_process.is_empty());
    assert_eq!(cache.of_process(std::process::id()), None);
}

/// A connection as it is listed where rows name processes.
fn connection(process: u32, local_port: u16, state: TcpState) -> SocketRow {
    SocketRow {
        family: Family::V4,
        state,
        local_port,
        remote_port: 443,
        local: Ipv4Addr::LOCALHOST.into(),
        remote: Ipv4Addr::new(192, 0, 2, 1).into(),
        holder: process,
        service_tag: 0,
        created: None,
    }
}

fn holder(cache: &mut OwnerCache, row: &SocketRow) -> Holder {
    cache.holder_of_row(row, Some(row.local_port))
}

#[test]
fn a_process_that_a_row_names_is_its_holder_at_once() {
    let mut cache = OwnerCache::open_for(HolderKind::Process).unwrap();
    let own = std::process::id();
    let row = connection(own, 50_000, TcpState::Established);
    for _ in 0..3 {
        cache.begin();
        let found = holder(&mut cache, &row);
        assert_eq!(found, Holder::Known(cache.of_process(own).unwrap()));
        cache.finish();
    }
    cache.begin();
    cache.finish();
    assert_eq!(cache.of_process(own), None);
    cache.begin();
    let nobody = connection(999_999_999, 50_000, TcpState::Established);
    assert_eq!(holder(&mut cache, &nobody), Holder::Nobody);
    assert_eq!(
        holder(&mut cache, &connection(0, 50_000, TcpState::Established)),
        Holder::Nobody
    );
}

#[test]
fn a_process_is_found_whose_number_was_that_of_one_that_is_gone() {
    let mut cache = OwnerCache::open_for(HolderKind::Process).unwrap();
    let own = std::process::id();
    cache.begin();
    cache.give_up_on(std::iter::once(own));
    cache.finish();
    cache.begin();
    let row = connection(own, 50_000, TcpState::Established);
    assert!(matches!(holder(&mut cache, &row), Holder::Known(_)));
    assert!(cache.unresolved.is_empty());
}

#[test]
fn a_connection_in_time_wait_belongs_to_who_held_it_and_to_nobody_once_that_has_ended() {
    let mut cache = OwnerCache::open_for(HolderKind::Process).unwrap();
    let mut program = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let (own, other) = (std::process::id(), program.id());
    cache.begin();
    holder(&mut cache, &connection(own, 50_000, TcpState::Established));
    holder(&mut cache, &connection(other, 50_001, TcpState::CloseWait));
    cache.finish();
    let waiting = |port| connection(0, port, TcpState::TimeWait);
    for _ in 0..5 {
        cache.begin();
        let holders = [50_000, 50_001, 50_002].map(|port| holder(&mut cache, &waiting(port)));
        let owners = [own, other].map(|process| cache.of_process(process).unwrap());
        assert_eq!(
            holders,
            [
                Holder::Known(owners[0]),
                Holder::Known(owners[1]),
                Holder::Nobody
            ]
        );
        cache.finish();
    }
    program.kill().unwrap();
    program.wait().unwrap();
    cache.begin();
    assert_eq!(holder(&mut cache, &waiting(50_001)), Holder::Nobody);
    assert!(matches!(
        holder(&mut cache, &waiting(50_000)),
        Holder::Known(_)
    ));
    cache.finish();
}

#[test]
fn a_connection_that_is_no_longer_listed_is_forgotten() {
    let mut cache = OwnerCache::open_for(HolderKind::Process).unwrap();
    cache.begin();
    holder(
        &mut cache,
        &connection(std::process::id(), 50_000, TcpState::Established),
    );
    cache.finish();
    for _ in 0..4 {
        cache.begin();
        cache.finish();
    }
    cache.begin();
    let reused = connection(0, 50_000, TcpState::TimeWait);
    assert_eq!(holder(&mut cache, &reused), Holder::Nobody);
}

#[test]
fn a_socket_much_older_than_its_process_was_opened_by_an_earlier_one_of_that_number() {
    let mut cache = OwnerCache::open_for(HolderKind::Process).unwrap();
    let own = std::process::id();
    cache.begin();
    let started = cache.processes.start(own).unwrap().at(Timestamp::EPOCH);
    let mut row = connection(own, 50_000, TcpState::Established);
    row.created = Some(started.saturating_add(Duration::from_secs(1)));
    assert!(matches!(holder(&mut cache, &row), Holder::Known(_)));
    row.created = Some(started.saturating_sub(Duration::from_hours(1)));
    assert_eq!(holder(&mut cache, &row), Holder::Nobody);
}
