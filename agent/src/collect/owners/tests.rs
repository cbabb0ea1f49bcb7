//! The cache against the sockets of this very process.

use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

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
