//! Rows of the socket tables: `MIB_TCPTABLE_OWNER_MODULE` and its kin of `iphlpapi.h`, and the bound endpoints.
//!
//! Ports are in network order with garbage in their upper half; rows of listeners have garbage for a remote end.

use tidemark_model::tcp::TcpState;

use super::bytes::Bytes;
use super::{DataError, file_time};
use crate::{Address, Family, SocketRow};

/// A kind of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `TCP_TABLE_OWNER_MODULE_ALL`: with the time of creation and the service tag.
    TcpModule,
    /// `TCP_TABLE_OWNER_PID_ALL`.
    TcpProcess,
    /// `UDP_TABLE_OWNER_MODULE`: with the time of creation and the service tag.
    UdpModule,
    /// `UDP_TABLE_OWNER_PID`.
    UdpProcess,
    /// `InternalGetBoundTcpEndpointTable`, `MIB_TCPTABLE2`: what a socket is bound to, connected or not.
    TcpBound,
}

/// Where the fields of a row are, in bytes from its start.
struct Layout {
    /// Where the first row is, from the start of the table.
    first: usize,
    bytes: usize,
    state: Option<usize>,
    local: usize,
    local_port: usize,
    /// Address and port.
    remote: Option<(usize, usize)>,
    process: usize,
    /// Time of creation, and the first element of `OwningModuleInfo`.
    module: Option<(usize, usize)>,
}

impl Table {
    const fn what(self) -> &'static str {
        match self {
            Self::TcpModule | Self::TcpProcess => "TCP table",
            Self::UdpModule | Self::UdpProcess => "UDP table",
            Self::TcpBound => "table of bound TCP endpoints",
        }
    }

    const fn layout(self, family: Family) -> Layout {
        let tcp = match family {
            Family::V4 => Layout {
                first: 4,
                bytes: 24,
                state: Some(0),
                local: 4,
                local_port: 8,
                remote: Some((12, 16)),
                process: 20,
                module: None,
            },
            Family::V6 => Layout {
                first: 4,
                bytes: 56,
                state: Some(48),
                local: 0,
                local_port: 20,
                remote: Some((24, 44)),
                process: 52,
                module: None,
            },
        };
        let udp = match family {
            Family::V4 => Layout {
                first: 4,
                bytes: 12,
                state: None,
                local: 0,
                local_port: 4,
                remote: None,
                process: 8,
                module: None,
            },
            Family::V6 => Layout {
                first: 4,
                bytes: 28,
                state: None,
                local: 0,
                local_port: 20,
                remote: None,
                process: 24,
                module: None,
            },
        };
        match (self, family) {
            (Self::TcpProcess, _) => tcp,
            (Self::UdpProcess, _) => udp,
            // Eight-byte fields move the first row; the rows begin as those above.
            (Self::TcpModule, Family::V4) => with_module(tcp, 160, (24, 32)),
            (Self::TcpModule, Family::V6) => with_module(tcp, 192, (56, 64)),
            (Self::UdpModule, Family::V4) => with_module(udp, 160, (16, 32)),
            (Self::UdpModule, Family::V6) => with_module(udp, 176, (32, 48)),
            // One more field at the end, the state of offloading.
            (Self::TcpBound, Family::V4) => Layout { bytes: 28, ..tcp },
            (Self::TcpBound, Family::V6) => Layout { bytes: 60, ..tcp },
        }
    }
}

const fn with_module(layout: Layout, bytes: usize, module: (usize, usize)) -> Layout {
    Layout {
        first: 8,
        bytes,
        module: Some(module),
        ..layout
    }
}

/// The rows of a table.
///
/// # Errors
/// When the table is cut short: not one row is handed out then.
pub fn rows(
    table: &[u8],
    kind: Table,
    family: Family,
) -> Result<impl Iterator<Item = SocketRow> + Clone, DataError> {
    let what = kind.what();
    let layout = kind.layout(family);
    let count = Bytes(table).u32(0).ok_or(DataError::Short {
        what,
        bytes: table.len(),
        needed: 4,
    })?;
    // A table without rows may end before the place of the first.
    let rows = table.get(layout.first..).unwrap_or_default();
    let room = rows.len() / layout.bytes;
    let announced = usize::try_from(count).unwrap_or(usize::MAX);
    if announced > room {
        return Err(DataError::Count {
            what,
            rows: count,
            room,
        });
    }
    let rows = rows.chunks_exact(layout.bytes).take(announced);
    Ok(rows.filter_map(move |row| decode(Bytes(row), kind, family)))
}

/// How long a table of `count` rows is, in bytes.
#[must_use]
pub fn table_bytes(kind: Table, family: Family, count: u32) -> usize {
    let layout = kind.layout(family);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    count
        .saturating_mul(layout.bytes)
        .saturating_add(layout.first)
}

/// A row; `None` never happens, because a row is as long as its fields need.
fn decode(row: Bytes<'_>, kind: Table, family: Family) -> Option<SocketRow> {
    let layout = kind.layout(family);
    let state = match (kind, layout.state) {
        (Table::TcpBound, _) | (_, None) => TcpState::Bound,
        (_, Some(at)) => state_of(row.u32(at)?),
    };
    let has_peer = !matches!(state, TcpState::Bound | TcpState::Listen);
    let (remote, remote_port) = match layout.remote.filter(|_| has_peer) {
        Some((address, port)) => (address_at(row, address, family)?, port_at(row, port)?),
        None => (unspecified(family), 0),
    };
    let (created, service_tag) = match layout.module {
        Some((created, module)) => (file_time::timestamp(row.u64(created)?), row.u32(module)?),
        None => (None, 0),
    };
    Some(SocketRow {
        family,
        state,
        local_port: port_at(row, layout.local_port)?,
        remote_port,
        local: address_at(row, layout.local, family)?,
        remote,
        holder: row.u32(layout.process)?,
        service_tag,
        created,
    })
}

/// `MIB_TCP_STATE`.
const fn state_of(number: u32) -> TcpState {
    match number {
        2 => TcpState::Listen,
        3 => TcpState::SynSent,
        4 => TcpState::SynReceived,
        5 => TcpState::Established,
        6 => TcpState::FinWait1,
        7 => TcpState::FinWait2,
        8 => TcpState::CloseWait,
        9 => TcpState::Closing,
        10 => TcpState::LastAck,
        11 => TcpState::TimeWait,
        // `MIB_TCP_STATE_RESERVED`, which is what the system calls bound.
        100 => TcpState::Bound,
        _ => TcpState::Close,
    }
}

fn port_at(row: Bytes<'_>, at: usize) -> Option<u16> {
    row.array(at).map(u16::from_be_bytes)
}

fn address_at(row: Bytes<'_>, at: usize, family: Family) -> Option<Address> {
    match family {
        Family::V4 => row.array(at).map(Address::from_v4),
        Family::V6 => row.array(at).map(Address::from_v6),
    }
}

const fn unspecified(family: Family) -> Address {
    match family {
        Family::V4 => Address::from_v4([0; 4]),
        Family::V6 => Address::from_v6([0; 16]),
    }
}

#[cfg(test)]
mod tests;
