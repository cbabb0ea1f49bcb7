//! The host's socket tables, from iphlpapi: rows name processes, and services in them.
#![expect(unsafe_code, reason = "tables are asked through iphlpapi")]

use std::ffi::c_void;
use std::io;

use tidemark_model::Protocol;
use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, ERROR_NOT_SUPPORTED, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, GetExtendedUdpTable, TCP_TABLE_OWNER_MODULE_ALL, TCP_TABLE_OWNER_PID_ALL,
    UDP_TABLE_OWNER_MODULE, UDP_TABLE_OWNER_PID,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};

use super::bound::{self, EndpointList, Source};
use super::{host, wine};
use crate::answer_buffer::{AnswerBuffer, Attempt, Unanswered};
pub use crate::table_query::{
    BOUND_SELF_TEST, BOUND_SELF_TEST_PASSED, BoundVisibility, DumpReport, TableQuery,
};
use crate::windows_data::answers::{Answer, ShownPorts, each_row};
use crate::windows_data::hazard::{self, TableHazard};
use crate::windows_data::socket_rows::Table;
use crate::{Family, HolderKind, SocketRow, TableError};

/// What a row names as its holder.
pub const HOLDER: HolderKind = HolderKind::Process;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// A table without rows.
const EMPTY: [u8; 4] = [0; 4];

/// The socket tables of the host.
#[derive(Debug)]
pub struct SocketTables {
    answers: [AnswerBuffer; 2],
    shown: ShownPorts,
    hazard: Option<TableHazard>,
}

impl SocketTables {
    /// Makes room for the tables, which the system keeps open. Finds out whether this build may be asked for them.
    ///
    /// # Errors
    /// Never.
    pub fn open() -> Result<Self, TableError> {
        Ok(Self {
            answers: [AnswerBuffer::default(), AnswerBuffer::default()],
            shown: ShownPorts::default(),
            hazard: known_hazard(),
        })
    }

    /// Hands every socket that `query` asks for to `on_row`, listeners first, without allocating for it. Sockets that
    /// are opened while the tables are read may be missing, or bound.
    ///
    /// With a range of ports the rows have neither a time of creation nor a service: the tables that tell these are
    /// seven times as large.
    ///
    /// # Errors
    /// When reading the tables does harm on this build, the system refuses, or its answer is malformed.
    pub fn dump(
        &mut self,
        query: TableQuery,
        on_row: impl FnMut(&SocketRow),
    ) -> Result<DumpReport, TableError> {
        if let Some(TableHazard { mended_by }) = self.hazard {
            return Err(TableError::Hazardous { mended_by });
        }
        let protocol = query.protocol;
        let exchange = |source| TableError::Exchange { protocol, source };
        let kind = match (protocol, query.local_ports) {
            (Protocol::Tcp, None) => Table::TcpModule,
            (Protocol::Tcp, Some(_)) => Table::TcpProcess,
            (Protocol::Udp, None) => Table::UdpModule,
            (Protocol::Udp, Some(_)) => Table::UdpProcess,
        };
        let mut is_there = [true; 2];
        for ((buffer, family), is_there) in self.answers.iter_mut().zip(FAMILIES).zip(&mut is_there)
        {
            *is_there = fill(buffer, kind, family).map_err(exchange)?;
        }
        let bound = list_bound(query).map_err(exchange)?;
        let mut answers = Vec::with_capacity(4);
        for ((buffer, family), is_there) in self.answers.iter().zip(FAMILIES).zip(is_there) {
            let bytes = if is_there { buffer.bytes() } else { &EMPTY };
            answers.push(Answer {
                table: kind,
                family,
                bytes,
            });
        }
        answers.extend(bound.iter().map(|(family, list)| Answer {
            table: Table::TcpBound,
            family: *family,
            bytes: list.bytes(),
        }));
        let rows = each_row(&answers, query.local_ports, &mut self.shown, on_row)?;
        for buffer in &mut self.answers {
            // The longest row has 192 bytes.
            buffer.trim(
                usize::try_from(rows)
                    .unwrap_or(usize::MAX)
                    .saturating_mul(192),
            );
        }
        Ok(DumpReport {
            rows,
            interrupted: false,
        })
    }
}

/// Why the tables must be left alone; `None` when reading them does no harm, as far as is known of this build.
#[must_use]
pub fn hazard() -> Option<TableError> {
    let TableHazard { mended_by } = known_hazard()?;
    Some(TableError::Hazardous { mended_by })
}

fn known_hazard() -> Option<TableHazard> {
    let version = host::version();
    hazard::of_build(version.build, version.revision)
}

/// Whether bound-but-unconnected TCP sockets are listed. May start this program again to find out, once.
///
/// # Errors
/// Never.
pub fn bound_visibility(tables: &mut SocketTables) -> Result<BoundVisibility, TableError> {
    if tables.hazard.is_some() {
        return Ok(BoundVisibility::Hidden);
    }
    Ok(match bound::source() {
        Source::Export(_) => BoundVisibility::Listed,
        Source::Nowhere(_) => BoundVisibility::Hidden,
    })
}

/// Why bound-but-unconnected TCP sockets are not listed, where [`bound_visibility`] says that they are not.
#[must_use]
pub fn why_bound_hidden() -> &'static str {
    if known_hazard().is_some() {
        return "the socket tables are left alone";
    }
    match bound::source() {
        Source::Nowhere(reason) => reason,
        Source::Export(_) => "they were not when the agent looked first",
    }
}

/// What the command [`BOUND_SELF_TEST`] does: finds out in this process, which it may end, whether bound sockets are
/// listed.
#[must_use]
pub fn bound_self_test() -> BoundVisibility {
    let may_ask = wine::version().is_none() && known_hazard().is_none();
    if may_ask && bound::self_test() {
        BoundVisibility::Listed
    } else {
        BoundVisibility::Hidden
    }
}

/// Fills a buffer with a table; false when the system does not have that family.
fn fill(buffer: &mut AnswerBuffer, kind: Table, family: Family) -> io::Result<bool> {
    let number = u32::from(match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    });
    let filled = buffer.fill(|room, room_bytes| {
        let mut bytes = room_bytes;
        match ask(kind, number, room, &mut bytes) {
            NO_ERROR => Attempt::Answered,
            ERROR_INSUFFICIENT_BUFFER => {
                Attempt::NeedsRoom(usize::try_from(bytes).unwrap_or(usize::MAX))
            }
            code => Attempt::Failed(i32::try_from(code).unwrap_or(i32::MAX)),
        }
    });
    match filled {
        Ok(()) => Ok(true),
        Err(Unanswered(code))
            if family == Family::V6 && u32::try_from(code) == Ok(ERROR_NOT_SUPPORTED) =>
        {
            Ok(false)
        }
        Err(Unanswered(code)) => Err(io::Error::from_raw_os_error(code)),
    }
}

fn ask(kind: Table, family: u32, room: *mut c_void, bytes: &mut u32) -> u32 {
    const UNSORTED: i32 = 0;
    // SAFETY: the room has as many bytes as `bytes` says, and is aligned for the rows' widest field.
    unsafe {
        match kind {
            Table::TcpModule | Table::TcpBound => {
                GetExtendedTcpTable(room, bytes, UNSORTED, family, TCP_TABLE_OWNER_MODULE_ALL, 0)
            }
            Table::TcpProcess => {
                GetExtendedTcpTable(room, bytes, UNSORTED, family, TCP_TABLE_OWNER_PID_ALL, 0)
            }
            Table::UdpModule => {
                GetExtendedUdpTable(room, bytes, UNSORTED, family, UDP_TABLE_OWNER_MODULE, 0)
            }
            Table::UdpProcess => {
                GetExtendedUdpTable(room, bytes, UNSORTED, family, UDP_TABLE_OWNER_PID, 0)
            }
        }
    }
}

/// The bound endpoints of both families, where they are asked for and listed.
fn list_bound(query: TableQuery) -> io::Result<Vec<(Family, EndpointList)>> {
    match (query.protocol, query.bound, bound::source()) {
        (Protocol::Tcp, BoundVisibility::Listed, Source::Export(export)) => FAMILIES
            .into_iter()
            .map(|family| Ok((family, export.list(family)?)))
            .collect(),
        (Protocol::Tcp | Protocol::Udp, _, _) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests;
