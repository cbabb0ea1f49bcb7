//! Network namespaces: which there are, and running work inside one.
//!
//! Work runs on a thread of its own that ends with it, so that no other thread is ever in a foreign namespace.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto,
    socket_with,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::{NamespaceError, ReadError};

/// Where `ip netns` keeps names (`ip-netns(8)`).
const NAMES: &str = "/run/netns";
/// The calling thread's own.
const OWN_LINK: &str = "/proc/thread-self/ns/net";

/// A network namespace that existed when it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkNamespace {
    /// Identifies it while it lives.
    pub inode: u64,
    /// Its name under `/run/netns`; `None` when it has none, or no UTF-8 one.
    pub name: Option<String>,
    link: PathBuf,
}

impl NetworkNamespace {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// When `/proc` is not readable.
    pub fn own() -> Result<Self, ReadError> {
        let metadata = fs::metadata(OWN_LINK).map_err(|source| ReadError::Io {
            path: OWN_LINK.into(),
            source,
        })?;
        Ok(Self {
            inode: metadata.ino(),
            name: None,
            link: OWN_LINK.into(),
        })
    }

    /// Every namespace with a name or a process that this process may look at, ordered by inode.
    ///
    /// # Errors
    /// When `/proc` is not readable.
    pub fn all() -> Result<Vec<Self>, ReadError> {
        let mut found = BTreeMap::new();
        // A host without named namespaces has no such folder.
        for entry in fs::read_dir(NAMES).into_iter().flatten().flatten() {
            let link = entry.path();
            if let Ok(metadata) = fs::metadata(&link) {
                let name = entry.file_name().into_string().ok();
                let inode = metadata.ino();
                found.insert(inode, Self { inode, name, link });
            }
        }
        let processes = fs::read_dir("/proc").map_err(|source| ReadError::Io {
            path: "/proc".into(),
            source,
        })?;
        for entry in processes.flatten() {
            if !is_number(&entry.file_name()) {
                continue;
            }
            let link = entry.path().join("ns/net");
            // Processes end while they are listed, and some may not be looked at.
            if let Some(inode) = inode_of_link(&link) {
                found.entry(inode).or_insert(Self {
                    inode,
                    name: None,
                    link,
                });
            }
        }
        Ok(found.into_values().collect())
    }

    /// Runs `work` on a new thread inside this namespace, and waits for it.
    ///
    /// # Errors
    /// When the namespace is gone or may not be entered, or the thread cannot be started.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, NamespaceError> {
        run_on_thread(|| self.enter().map(|()| work()))?
    }

    fn enter(&self) -> Result<(), NamespaceError> {
        let open = |path: &Path| {
            let file = File::open(path)?;
            // The process that lent its link may have ended and its number been given away.
            if file.metadata()?.ino() == self.inode {
                Ok(file)
            } else {
                Err(io::Error::from(io::ErrorKind::NotFound))
            }
        };
        let label = || format!("net-{}", self.inode);
        let link = open(&self.link).map_err(|source| NamespaceError::Open {
            label: label(),
            source,
        })?;
        move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|errno| {
            NamespaceError::Enter {
                label: label(),
                source: errno.into(),
            }
        })
    }
}

/// Runs `work` on a new thread inside a network namespace made for it, with its loopback up, and waits for it. The
/// namespace goes when the last socket or process in it does. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// When the namespace cannot be made or the thread cannot be started.
pub fn run_in_new<R: Send>(work: impl FnOnce() -> R + Send) -> Result<R, NamespaceError> {
    run_on_thread(|| {
        enter_new().map_err(|errno| NamespaceError::Enter {
            label: "new".to_owned(),
            source: errno.into(),
        })?;
        Ok(work())
    })?
}

#[expect(unsafe_code, reason = "unshare is unsafe for CLONE_FILES alone")]
fn enter_new() -> Result<(), Errno> {
    // SAFETY: CLONE_NEWNET leaves the table of file descriptors shared, so that no thread can observe a descriptor
    // of another table, which is the hazard of `unshare`.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
    raise_loopback()
}

/// Brings loopback up: RTM_NEWLINK for interface 1, which is `lo` in every namespace.
fn raise_loopback() -> Result<(), Errno> {
    const NLMSG_ERROR: u16 = 2;
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_ACK: u16 = 5;
    const UP: u32 = 1;
    // Protocol 0 of this family is NETLINK_ROUTE.
    let route = None;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        route,
    )?;
    // struct nlmsghdr, then struct ifinfomsg: family, type, index, flags, mask of changed flags.
    let mut message = Vec::with_capacity(32);
    message.extend_from_slice(&32_u32.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&REQUEST_ACK.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[0; 4]);
    for word in [1, UP, UP] {
        message.extend_from_slice(&u32::to_ne_bytes(word));
    }
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    sendto(&socket, &message, SendFlags::empty(), &kernel)?;
    let mut answer = [0; 128];
    let (bytes, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let answer = answer.get(..bytes).unwrap_or_default();
    let kind = answer.get(4..6).and_then(|kind| kind.try_into().ok());
    let errno = answer.get(16..20).and_then(|errno| errno.try_into().ok());
    match (kind.map(u16::from_ne_bytes), errno.map(i32::from_ne_bytes)) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(errno)) => Err(Errno::from_raw_os_error(errno.saturating_neg())),
        _ => Err(Errno::PROTO),
    }
}

fn run_on_thread<R: Send>(work: impl FnOnce() -> R + Send) -> Result<R, NamespaceError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("namespace".to_owned())
            .spawn_scoped(scope, work)
            .map_err(NamespaceError::Thread)?;
        thread.join().map_err(|_| NamespaceError::Panicked)
    })
}

fn is_number(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
}

/// The inode in a link like `net:[4026531840]`.
fn inode_of_link(link: &Path) -> Option<u64> {
    let target = fs::read_link(link).ok()?;
    let inode = target.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?;
    inode.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_is_among_all() {
        let own = NetworkNamespace::own().unwrap();
        let all = NetworkNamespace::all().unwrap();
        assert!(all.iter().any(|namespace| namespace.inode == own.inode));
    }

    #[test]
    fn work_in_a_new_namespace_is_elsewhere_and_the_caller_stays() {
        let before = NetworkNamespace::own().unwrap();
        let inside = run_in_new(|| NetworkNamespace::own().unwrap()).unwrap();
        assert_ne!(inside.inode, before.inode);
        assert_eq!(NetworkNamespace::own().unwrap(), before);
        assert_eq!(
            before
                .run(|| NetworkNamespace::own().unwrap().inode)
                .unwrap(),
            before.inode
        );
    }

    #[test]
    fn a_namespace_that_is_gone_is_not_mistaken_for_another() {
        let mut gone = NetworkNamespace::own().unwrap();
        gone.inode += 1;
        assert!(matches!(gone.run(|| ()), Err(NamespaceError::Open { .. })));
    }
}
