//! The wire form of sock_diag: requests we encode, answers we parse. Pure; knows no socket.
//!
//! Layouts: `linux/netlink.h` and `linux/inet_diag.h`, all integers native-endian but ports and addresses.

use tidemark_model::Protocol;
use tidemark_model::tcp::TcpState;

use crate::{Address, Family, SocketRow, TableError};

/// `NLMSG_ERROR`: the payload begins with a negative errno.
const NLMSG_ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const NLMSG_DONE: u16 = 3;
/// `TCPDIAG_GETSOCK`: the first sock_diag request, which lists v4 and v6 in one walk of the tables.
const TCPDIAG_GETSOCK: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`: its successor, one family a request, every protocol.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
/// `NLM_F_DUMP_INTR`: the table changed under the dump in a way that may have lost or repeated rows.
const DUMP_INTERRUPTED: u16 = 0x10;
/// `INET_DIAG_REQ_BYTECODE`: attribute with a filter that the kernel runs on each socket.
const REQ_BYTECODE: u16 = 1;
/// `INET_DIAG_BC_S_GE`, `INET_DIAG_BC_S_LE`: compare the local port.
const LOCAL_PORT_AT_LEAST: u8 = 2;
const LOCAL_PORT_AT_MOST: u8 = 3;

const HEADER_BYTES: usize = 16;
const ROW_BYTES: usize = 72;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// Kernel states 1 to 12 (`tcp_states.h`), which every kernel knows.
pub(super) const VISIBLE_STATES: u32 = 0x1ffe;
/// `TCP_BOUND_INACTIVE`, bit 13: sockets that are bound but neither connected nor listening; kernel 6.8 and later.
pub(super) const BOUND_STATE: u32 = 1 << 13;

/// Which walk of the kernel's tables a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// TCP, both families in one walk.
    TcpBothFamilies,
    /// One protocol and family.
    OneFamily(Protocol, Family),
}

/// A request for sockets in `states` whose local port is in `ports`.
pub(super) fn encode_request(
    walk: Walk,
    states: u32,
    ports: Option<(u16, u16)>,
    sequence: u32,
) -> Vec<u8> {
    let mut message = vec![0; HEADER_BYTES];
    let kind = match walk {
        Walk::TcpBothFamilies => {
            // struct inet_diag_req: family, source and destination prefix, extensions, socket id, states, tables.
            message.extend_from_slice(&[0; 4 + 48]);
            message.extend_from_slice(&states.to_ne_bytes());
            message.extend_from_slice(&[0; 4]);
            TCPDIAG_GETSOCK
        }
        Walk::OneFamily(protocol, family) => {
            // struct inet_diag_req_v2: family, protocol, extensions, padding, states, socket id.
            message.extend_from_slice(&[family_number(family), protocol_number(protocol), 0, 0]);
            message.extend_from_slice(&states.to_ne_bytes());
            message.extend_from_slice(&[0; 48]);
            SOCK_DIAG_BY_FAMILY
        }
    };
    if let Some((first, last)) = ports {
        message.extend_from_slice(&port_filter(first, last));
    }
    let length = u32::try_from(message.len()).expect("a request is some hundred bytes");
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&length.to_ne_bytes());
    header.extend_from_slice(&kind.to_ne_bytes());
    header.extend_from_slice(&REQUEST_DUMP.to_ne_bytes());
    header.extend_from_slice(&sequence.to_ne_bytes());
    header.extend_from_slice(&[0; 4]);
    message.splice(..HEADER_BYTES, header);
    message
}

/// The filter `local port >= first && local port <= last`: two conditional jumps of two 4-byte words each. A failed
/// condition jumps past the end by 4, which is how a filter says no.
fn port_filter(first: u16, last: u16) -> [u8; 20] {
    const FILTER_BYTES: u16 = 16;
    let mut attribute = [0; 20];
    let mut words = attribute.chunks_exact_mut(4);
    let mut put = |a: [u8; 2], b: [u8; 2]| {
        if let Some([w, x, y, z]) = words.next() {
            [*w, *x] = a;
            [*y, *z] = b;
        }
    };
    put((4 + FILTER_BYTES).to_ne_bytes(), REQ_BYTECODE.to_ne_bytes());
    put([LOCAL_PORT_AT_LEAST, 8], (FILTER_BYTES + 4).to_ne_bytes());
    put([0, 0], first.to_ne_bytes());
    put(
        [LOCAL_PORT_AT_MOST, 8],
        (FILTER_BYTES - 8 + 4).to_ne_bytes(),
    );
    put([0, 0], last.to_ne_bytes());
    attribute
}

const fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

const fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => IPPROTO_TCP,
        Protocol::Udp => IPPROTO_UDP,
    }
}

/// What one datagram of an answer held besides its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    /// How the dump ended, when this datagram ends it: 0 or a positive errno.
    pub(super) end: Option<i32>,
    /// Whether the kernel says that rows may be missing or repeated.
    pub(super) interrupted: bool,
    /// Rows handed to the callback.
    pub(super) rows: u32,
}

/// Hands each row of `datagram` to `on_row`. Messages of other sequence numbers are leftovers of an abandoned dump.
///
/// # Errors
/// When a message is cut short or says it is longer than the datagram.
pub(super) fn parse(
    mut datagram: &[u8],
    protocol: Protocol,
    sequence: u32,
    on_row: &mut impl FnMut(&SocketRow),
) -> Result<Parsed, TableError> {
    let mut parsed = Parsed::default();
    while !datagram.is_empty() {
        let (header, rest) = datagram
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(TableError::Malformed("a header is cut short"))?;
        let header = Header::decode(header);
        let payload_bytes =
            header
                .length
                .checked_sub(HEADER_BYTES)
                .ok_or(TableError::Malformed(
                    "a message is shorter than its header",
                ))?;
        let (payload, _) = rest
            .split_at_checked(payload_bytes)
            .ok_or(TableError::Malformed(
                "a message is longer than its datagram",
            ))?;
        // Messages are padded to 4 bytes; the padding of the last one may be absent.
        datagram = rest
            .get(payload_bytes.next_multiple_of(4)..)
            .unwrap_or_default();
        if header.sequence != sequence {
            continue;
        }
        parsed.interrupted |= header.flags & DUMP_INTERRUPTED != 0;
        match header.kind {
            NLMSG_DONE => parsed.end = Some(errno_of(payload).unwrap_or(0)),
            NLMSG_ERROR => {
                let errno = errno_of(payload);
                parsed.end = Some(errno.ok_or(TableError::Malformed("an error has no number"))?);
            }
            TCPDIAG_GETSOCK | SOCK_DIAG_BY_FAMILY => {
                let row = payload
                    .first_chunk::<ROW_BYTES>()
                    .ok_or(TableError::Malformed("a socket is cut short"))?;
                if let Some(row) = decode_row(row, protocol) {
                    on_row(&row);
                    parsed.rows = parsed.rows.saturating_add(1);
                }
            }
            _ => {}
        }
    }
    Ok(parsed)
}

struct Header {
    length: usize,
    kind: u16,
    flags: u16,
    sequence: u32,
}

impl Header {
    const fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *bytes;
        Self {
            length: u32::from_ne_bytes([l0, l1, l2, l3]) as usize,
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        }
    }
}

/// The kernel sends errno negated.
fn errno_of(payload: &[u8]) -> Option<i32> {
    let number = i32::from_ne_bytes(*payload.first_chunk()?);
    Some(number.saturating_neg())
}

/// The row in a `struct inet_diag_msg`; `None` for a family that is neither v4 nor v6.
fn decode_row(bytes: &[u8; ROW_BYTES], protocol: Protocol) -> Option<SocketRow> {
    let family = match bytes[0] {
        AF_INET => Family::V4,
        AF_INET6 => Family::V6,
        _ => return None,
    };
    Some(SocketRow {
        family,
        state: state_of(bytes[1], protocol),
        local_port: u16::from_be_bytes([bytes[4], bytes[5]]),
        remote_port: u16::from_be_bytes([bytes[6], bytes[7]]),
        local: address_at::<8>(bytes, family),
        remote: address_at::<24>(bytes, family),
        holder: u32::from_ne_bytes([bytes[68], bytes[69], bytes[70], bytes[71]]),
        service_tag: 0,
        created: None,
    })
}

fn address_at<const AT: usize>(bytes: &[u8; ROW_BYTES], family: Family) -> Address {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[AT..AT + 16]);
    match family {
        Family::V4 => {
            let [a, b, c, d, ..] = octets;
            Address::from_v4([a, b, c, d])
        }
        Family::V6 => Address::from_v6(octets),
    }
}

/// The kernel reports a bound-but-unconnected TCP socket as CLOSE; other CLOSE sockets are in none of its tables.
const fn state_of(number: u8, protocol: Protocol) -> TcpState {
    match (protocol, number) {
        (_, 1) => TcpState::Established,
        (Protocol::Udp, _) | (_, 7 | 13) => TcpState::Bound,
        (_, 2) => TcpState::SynSent,
        (_, 3 | 12) => TcpState::SynReceived,
        (_, 4) => TcpState::FinWait1,
        (_, 5) => TcpState::FinWait2,
        (_, 6) => TcpState::TimeWait,
        (_, 8) => TcpState::CloseWait,
        (_, 9) => TcpState::LastAck,
        (_, 10) => TcpState::Listen,
        (_, 11) => TcpState::Closing,
        _ => TcpState::Close,
    }
}

#[cfg(test)]
mod tests;
