//! The kernel's socket tables: one netlink socket that stays in the network namespace it was opened in.

use std::io;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto,
    socket_with,
};
use tidemark_model::{PortRange, Protocol};

use super::diag::{self, Walk};
pub use crate::table_query::{
    BOUND_SELF_TEST, BOUND_SELF_TEST_PASSED, BoundListing, BoundMethod, BoundStanding,
    BoundVisibility, DumpReport, TableQuery,
};
use crate::{Family, HolderKind, SocketRow, TableError};

/// The kernel fills datagrams of at most 32 KiB however large the buffer is (`netlink_dump`, `af_netlink.c`).
const BUFFER_BYTES: usize = 32 * 1024;
/// The kernel answers at once; a silence this long means that the request was lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a row names as its holder.
pub const HOLDER: HolderKind = HolderKind::Socket;

/// The socket tables of the network namespace in which it was opened. It keeps that namespace alive.
#[derive(Debug)]
pub struct SocketTables {
    socket: OwnedFd,
    sequence: u32,
    buffer: Box<[u8]>,
}

impl SocketTables {
    /// Opens the tables of the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel has no sock_diag or the process has no file descriptor left.
    pub fn open() -> Result<Self, TableError> {
        let open = || -> Result<OwnedFd, Errno> {
            let socket = socket_with(
                AddressFamily::NETLINK,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                Some(netlink::SOCK_DIAG),
            )?;
            set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
            Ok(socket)
        };
        Ok(Self {
            socket: open().map_err(|errno| TableError::Open(errno.into()))?,
            sequence: 0,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
        })
    }

    /// Hands every socket that `query` asks for to `on_row`, without allocating for it. Sockets that change while the
    /// tables are walked may be seen twice or not at all.
    ///
    /// # Errors
    /// When the kernel refuses, the exchange breaks off, or its answer is malformed; rows may have been handed out
    /// by then. Open the tables again afterwards.
    pub fn dump(
        &mut self,
        query: TableQuery,
        mut on_row: impl FnMut(&SocketRow),
    ) -> Result<DumpReport, TableError> {
        match query.protocol {
            Protocol::Tcp => match self.walk(Walk::TcpBothFamilies, query, &mut on_row) {
                // The oldest form of the request is optional; a kernel that lacks it hands out no row before it
                // says so.
                Err(TableError::Absent(_) | TableError::Refused { .. }) => {
                    self.dump_by_family(query, on_row)
                }
                walked => walked,
            },
            Protocol::Udp => self.dump_by_family(query, on_row),
        }
    }

    /// As [`SocketTables::dump`] with one walk a family: what `ss` does, and the floor that costs are compared with.
    ///
    /// # Errors
    /// As [`SocketTables::dump`].
    pub fn dump_by_family(
        &mut self,
        query: TableQuery,
        mut on_row: impl FnMut(&SocketRow),
    ) -> Result<DumpReport, TableError> {
        let v4 = self.walk(
            Walk::OneFamily(query.protocol, Family::V4),
            query,
            &mut on_row,
        )?;
        // A kernel booted with `ipv6.disable=1` has no v6 table, and no v6 sockets either.
        let v6 = match self.walk(
            Walk::OneFamily(query.protocol, Family::V6),
            query,
            &mut on_row,
        ) {
            Err(TableError::Absent(_)) => DumpReport::default(),
            walked => walked?,
        };
        Ok(DumpReport {
            rows: v4.rows.saturating_add(v6.rows),
            interrupted: v4.interrupted || v6.interrupted,
            bound: v4.bound,
        })
    }

    fn walk(
        &mut self,
        walk: Walk,
        query: TableQuery,
        on_row: &mut impl FnMut(&SocketRow),
    ) -> Result<DumpReport, TableError> {
        let protocol = query.protocol;
        self.sequence = self.sequence.wrapping_add(1);
        let states = match query.bound {
            BoundVisibility::Listed => diag::VISIBLE_STATES | diag::BOUND_STATE,
            BoundVisibility::Hidden => diag::VISIBLE_STATES,
        };
        let ports = query.local_ports.map(|range| (range.first, range.last));
        let request = diag::encode_request(walk, states, ports, self.sequence);
        let exchange = |errno: Errno| TableError::Exchange {
            protocol,
            source: errno.into(),
        };
        let kernel = netlink::SocketAddrNetlink::new(0, 0);
        sendto(&self.socket, &request, SendFlags::empty(), &kernel).map_err(exchange)?;
        let mut report = DumpReport {
            bound: match query.bound {
                BoundVisibility::Listed => BoundListing::Current,
                BoundVisibility::Hidden => BoundListing::Missing,
            },
            ..DumpReport::default()
        };
        loop {
            let received = rustix::io::retry_on_intr(|| {
                recv(&self.socket, &mut *self.buffer, RecvFlags::TRUNC)
            });
            let (bytes, datagram_bytes) = received.map_err(exchange)?;
            if datagram_bytes > bytes {
                return Err(TableError::Malformed("a datagram exceeds 32 KiB"));
            }
            let datagram = self.buffer.get(..bytes).unwrap_or_default();
            let parsed = diag::parse(datagram, protocol, self.sequence, on_row)?;
            report.rows = report.rows.saturating_add(parsed.rows);
            report.interrupted |= parsed.interrupted;
            match parsed.end {
                None => {}
                Some(0) => return Ok(report),
                Some(errno) => return Err(refusal(protocol, errno)),
            }
        }
    }
}

fn refusal(protocol: Protocol, errno: i32) -> TableError {
    let source = io::Error::from_raw_os_error(errno);
    if errno == Errno::NOENT.raw_os_error() {
        TableError::Absent(protocol)
    } else {
        TableError::Refused { protocol, source }
    }
}

/// Why the tables must be left alone: reading them does no harm here.
#[must_use]
pub const fn hazard() -> Option<TableError> {
    None
}

/// Finds out whether this kernel lists bound-but-unconnected TCP sockets: by binding one and looking for it, because
/// distributions port features back; by the kernel's version when no port is left to bind.
///
/// # Errors
/// When the tables cannot be read.
pub fn bound_visibility(tables: &mut SocketTables) -> Result<BoundVisibility, TableError> {
    let Ok(port) = super::attempt::hold_tcp_port() else {
        return Ok(match super::host::kernel_version() {
            Some(version) if version >= (6, 8) => BoundVisibility::Listed,
            Some(_) | None => BoundVisibility::Hidden,
        });
    };
    let query = TableQuery {
        protocol: Protocol::Tcp,
        bound: BoundVisibility::Listed,
        local_ports: PortRange::new(port.number(), port.number()),
    };
    let mut seen = BoundVisibility::Hidden;
    tables.dump(query, |row| {
        if row.local_port == port.number() && row.holder == port.inode() {
            seen = BoundVisibility::Listed;
        }
    })?;
    Ok(seen)
}

/// The same for those whom it was hidden from: a kernel does not learn to list them.
#[must_use]
pub const fn later_bound_visibility() -> BoundVisibility {
    BoundVisibility::Hidden
}

/// By which means bound sockets are counted, given what [`bound_visibility`] said.
#[must_use]
pub fn bound_standing(seen: BoundVisibility) -> BoundStanding {
    match seen {
        BoundVisibility::Listed => BoundStanding {
            method: BoundMethod::SockDiag,
            why: None,
        },
        BoundVisibility::Hidden => BoundStanding {
            method: BoundMethod::Estimate,
            why: Some("kernels before 6.8 do not list them".to_owned()),
        },
    }
}

/// What the command [`BOUND_SELF_TEST`] does: the same in this process, which it cannot harm here.
#[must_use]
pub fn bound_self_test() -> BoundVisibility {
    let visibility = SocketTables::open().and_then(|mut tables| bound_visibility(&mut tables));
    visibility.unwrap_or(BoundVisibility::Hidden)
}

/// What the same command does for other ways, of which none is needed here.
///
/// # Errors
/// Always.
pub fn fallback_self_test(_method: BoundMethod) -> Result<usize, String> {
    Err("this system has no other way to list bound sockets".to_owned())
}

#[cfg(test)]
mod tests;
