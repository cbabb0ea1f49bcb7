//! The parser on what kernels send, and on what nobody should.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + payload.len()).unwrap();
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn socket(family: u8, state: u8, ports: (u16, u16), inode: u32) -> Vec<u8> {
    let mut row = vec![0; ROW_BYTES];
    row[0] = family;
    row[1] = state;
    row[4..6].copy_from_slice(&ports.0.to_be_bytes());
    row[6..8].copy_from_slice(&ports.1.to_be_bytes());
    row[8..12].copy_from_slice(&[127, 0, 0, 1]);
    row[24..28].copy_from_slice(&[192, 0, 2, 9]);
    row[68..72].copy_from_slice(&inode.to_ne_bytes());
    row
}

fn rows_of(datagram: &[u8], sequence: u32) -> Result<(Vec<SocketRow>, Parsed), TableError> {
    let mut rows = Vec::new();
    let parsed = parse(datagram, Protocol::Tcp, sequence, &mut |row| {
        rows.push(*row)
    })?;
    Ok((rows, parsed))
}

#[test]
fn a_socket_is_read_with_its_ports_addresses_and_inode() {
    let mut payload = socket(AF_INET, 8, (40_001, 5432), 77);
    payload.extend_from_slice(&[8, 0, 8, 0, 1, 0, 0, 0]);
    let (rows, parsed) = rows_of(&message(TCPDIAG_GETSOCK, 2, 5, &payload), 5).unwrap();
    assert_eq!(
        rows,
        [SocketRow {
            family: Family::V4,
            state: TcpState::CloseWait,
            local_port: 40_001,
            remote_port: 5432,
            local: Ipv4Addr::LOCALHOST.into(),
            remote: Ipv4Addr::new(192, 0, 2, 9).into(),
            holder: 77,
            service_tag: 0,
            created: None,
        }]
    );
    assert_eq!(
        (parsed.rows, parsed.end, parsed.interrupted),
        (1, None, false)
    );
}

#[test]
fn a_mapped_peer_of_a_v6_socket_is_the_v4_peer() {
    let mut payload = socket(AF_INET6, 1, (40_001, 443), 1);
    let peer = Ipv4Addr::new(192, 0, 2, 9);
    payload[24..40].copy_from_slice(&peer.to_ipv6_mapped().octets());
    payload[8..24].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
    let (rows, _) = rows_of(&message(SOCK_DIAG_BY_FAMILY, 2, 1, &payload), 1).unwrap();
    assert_eq!(rows[0].family, Family::V6);
    assert_eq!(rows[0].remote.ip(), IpAddr::V4(peer));
    assert_eq!(rows[0].local.ip(), IpAddr::V6(Ipv6Addr::LOCALHOST));
}

#[test]
fn a_closed_socket_in_the_tables_is_a_bound_one() {
    let bound = message(TCPDIAG_GETSOCK, 2, 1, &socket(AF_INET, 7, (1, 0), 1));
    assert_eq!(rows_of(&bound, 1).unwrap().0[0].state, TcpState::Bound);
    let mut states = Vec::new();
    let connected = message(SOCK_DIAG_BY_FAMILY, 2, 1, &socket(AF_INET, 1, (1, 53), 1));
    for datagram in [bound, connected] {
        parse(&datagram, Protocol::Udp, 1, &mut |row| {
            states.push(row.state)
        })
        .unwrap();
    }
    assert_eq!(states, [TcpState::Bound, TcpState::Established]);
}

#[test]
fn leftovers_of_another_dump_and_unknown_families_are_skipped() {
    let mut datagram = message(TCPDIAG_GETSOCK, 2, 4, &socket(AF_INET, 1, (1, 2), 3));
    datagram.extend(message(NLMSG_DONE, 2, 4, &0_i32.to_ne_bytes()));
    datagram.extend(message(TCPDIAG_GETSOCK, 2, 5, &socket(17, 1, (1, 2), 3)));
    let (rows, parsed) = rows_of(&datagram, 5).unwrap();
    assert!(rows.is_empty());
    assert_eq!(parsed.end, None);
}

#[test]
fn the_end_an_error_and_an_interruption_are_told_apart() {
    let done = message(NLMSG_DONE, DUMP_INTERRUPTED, 1, &0_i32.to_ne_bytes());
    let (_, parsed) = rows_of(&done, 1).unwrap();
    assert_eq!((parsed.end, parsed.interrupted), (Some(0), true));
    let error = message(NLMSG_ERROR, 0, 1, &(-2_i32).to_ne_bytes());
    assert_eq!(rows_of(&error, 1).unwrap().1.end, Some(2));
    let nameless = message(NLMSG_ERROR, 0, 1, &[]);
    assert!(matches!(
        rows_of(&nameless, 1),
        Err(TableError::Malformed(_))
    ));
}

#[test]
fn a_message_that_lies_about_its_length_is_refused() {
    let whole = message(TCPDIAG_GETSOCK, 2, 1, &socket(AF_INET, 1, (1, 2), 3));
    for cut in [1, 15, 40, whole.len() - 1] {
        assert!(
            matches!(rows_of(&whole[..cut], 1), Err(TableError::Malformed(_))),
            "{cut}"
        );
    }
    let mut short = whole;
    short[..4].copy_from_slice(&8_u32.to_ne_bytes());
    assert!(matches!(rows_of(&short, 1), Err(TableError::Malformed(_))));
}

#[test]
fn requests_have_the_layout_of_the_kernel_headers() {
    let both = encode_request(Walk::TcpBothFamilies, 0x3ffe, None, 9);
    assert_eq!(both.len(), 16 + 60);
    assert_eq!(both[0..4], 76_u32.to_ne_bytes());
    assert_eq!(both[4..6], TCPDIAG_GETSOCK.to_ne_bytes());
    assert_eq!(both[68..72], 0x3ffe_u32.to_ne_bytes());
    let one = Walk::OneFamily(Protocol::Udp, Family::V6);
    let filtered = encode_request(one, 0x1ffe, Some((32_768, 60_999)), 9);
    assert_eq!(filtered.len(), 16 + 56 + 20);
    assert_eq!(filtered[16..20], [AF_INET6, IPPROTO_UDP, 0, 0]);
    assert_eq!(filtered[20..24], 0x1ffe_u32.to_ne_bytes());
    assert_eq!(filtered[82..84], 32_768_u16.to_ne_bytes());
    assert_eq!(filtered[90..92], 60_999_u16.to_ne_bytes());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(datagram in prop::collection::vec(any::<u8>(), 0..400)) {
        let _outcome = rows_of(&datagram, 1);
    }

    #[test]
    fn damage_to_a_real_answer_never_panics_and_never_adds_rows(
        at in 0_usize..300, value: u8, rows in 1_usize..4,
    ) {
        let mut datagram = Vec::new();
        for port in 0..rows {
            let port = u16::try_from(port).unwrap();
            datagram.extend(message(TCPDIAG_GETSOCK, 2, 1, &socket(AF_INET, 1, (port, 2), 3)));
        }
        let at = at % datagram.len();
        datagram[at] = value;
        if let Ok((read, _)) = rows_of(&datagram, 1) {
            prop_assert!(read.len() <= rows);
        }
    }
}
