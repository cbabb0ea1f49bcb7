//! The host's socket tables, from iphlpapi: rows name processes, and services in them.
#![expect(unsafe_code, reason = "tables are asked through iphlpapi")]

use std::ffi::c_void;
use std::io;
use std::sync::Arc;

use tidemark_model::Protocol;
use tidemark_model::sample::BoundScope;
use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, ERROR_NOT_SUPPORTED, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, GetExtendedUdpTable, TCP_TABLE_OWNER_MODULE_ALL, TCP_TABLE_OWNER_PID_ALL,
    UDP_TABLE_OWNER_MODULE, UDP_TABLE_OWNER_PID,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};

use super::bound::fallback::{self, EarlierList, Known};
use super::bound::{self, EndpointList, Source};
use super::{host, wine};
use crate::answer_buffer::{AnswerBuffer, Attempt, Unanswered};
pub use crate::table_query::{
    BOUND_SELF_TEST, BOUND_SELF_TEST_PASSED, BoundListing, BoundMethod, BoundStanding,
    BoundVisibility, DumpReport, TableQuery,
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
        answers.extend(bound.current().iter().map(|(family, list)| Answer {
            table: Table::TcpBound,
            family: *family,
            bytes: list.bytes(),
        }));
        let earlier = bound.earlier();
        let rows = each_row(
            &answers,
            earlier,
            query.local_ports,
            &mut self.shown,
            on_row,
        )?;
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
            bound: bound.listing(),
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

/// Whether bound-but-unconnected TCP sockets are listed. May start this program again to find out, once, and waits for
/// the first list where it has to be made.
///
/// # Errors
/// Never.
pub fn bound_visibility(tables: &mut SocketTables) -> Result<BoundVisibility, TableError> {
    if tables.hazard.is_some() {
        return Ok(BoundVisibility::Hidden);
    }
    Ok(match bound::source() {
        Source::Export(_) => BoundVisibility::Listed,
        Source::Fallback(_) => visibility_of(&fallback::known_first()),
    })
}

/// The same without waiting, for those whom it was hidden from: lists may be made later.
#[must_use]
pub fn later_bound_visibility() -> BoundVisibility {
    match (known_hazard(), bound::source()) {
        (Some(_), _) => BoundVisibility::Hidden,
        (None, Source::Export(_)) => BoundVisibility::Listed,
        (None, Source::Fallback(_)) => visibility_of(&fallback::known()),
    }
}

const fn visibility_of(known: &Known) -> BoundVisibility {
    match known {
        Known::List(_) => BoundVisibility::Listed,
        Known::Nothing | Known::NoList(_) => BoundVisibility::Hidden,
    }
}

/// By which means bound sockets are counted at this moment. Does not wait.
#[must_use]
pub fn bound_standing(_seen: BoundVisibility) -> BoundStanding {
    let standing = |method, why: String| BoundStanding {
        method,
        why: Some(why),
    };
    if known_hazard().is_some() {
        let why = "the socket tables are left alone".to_owned();
        return standing(BoundMethod::Nothing, why);
    }
    let no_export = match bound::source() {
        Source::Export(_) => {
            return BoundStanding {
                method: BoundMethod::Export,
                why: None,
            };
        }
        Source::Fallback(why) => why,
    };
    match fallback::known() {
        Known::Nothing => standing(
            BoundMethod::Unknown,
            format!("{no_export}; WMI has not answered yet"),
        ),
        Known::NoList(why) => standing(BoundMethod::Nothing, format!("{no_export}; {why}")),
        Known::List(list) => {
            let whose = match list.scope() {
                BoundScope::AllProcesses => "listed now and then",
                BoundScope::Suspects => {
                    "listed now and then, of the processes with the most handles alone"
                }
            };
            standing(list.method, format!("{no_export}; {whose}"))
        }
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

/// What the same command does for the ways that are taken where the export is missing: lists bound sockets once and says
/// how many there are. Either way is believed only after it has found a socket of this process.
///
/// # Errors
/// Why it lists none.
pub fn fallback_self_test(method: BoundMethod) -> Result<usize, String> {
    if known_hazard().is_some() {
        return Err("the socket tables are left alone on this build".to_owned());
    }
    fallback::try_once(method).map_err(|error| error.to_string())
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

/// The bound endpoints, where they are asked for.
enum Bound {
    Missing,
    Current(Vec<(Family, EndpointList)>),
    Earlier(Arc<EarlierList>),
}

impl Bound {
    fn current(&self) -> &[(Family, EndpointList)] {
        match self {
            Self::Current(lists) => lists,
            Self::Missing | Self::Earlier(_) => &[],
        }
    }

    fn earlier(&self) -> &[SocketRow] {
        match self {
            Self::Earlier(list) => &list.rows,
            Self::Missing | Self::Current(_) => &[],
        }
    }

    fn listing(&self) -> BoundListing {
        match self {
            Self::Missing => BoundListing::Missing,
            Self::Current(_) => BoundListing::Current,
            Self::Earlier(list) => BoundListing::Earlier {
                age: list.age(),
                scope: list.scope(),
            },
        }
    }
}

fn list_bound(query: TableQuery) -> io::Result<Bound> {
    if query.protocol == Protocol::Udp || query.bound == BoundVisibility::Hidden {
        return Ok(Bound::Missing);
    }
    match bound::source() {
        Source::Export(export) => {
            let lists = FAMILIES
                .into_iter()
                .map(|family| Ok((family, export.list(family)?)));
            Ok(Bound::Current(lists.collect::<io::Result<_>>()?))
        }
        Source::Fallback(_) => Ok(match fallback::known() {
            Known::List(list) => Bound::Earlier(list),
            Known::Nothing | Known::NoList(_) => Bound::Missing,
        }),
    }
}

#[cfg(test)]
mod tests;
