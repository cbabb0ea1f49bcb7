//! Tables as the headers of Windows lay them out (`golden/record.c`), and hostile ones.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use tidemark_model::Timestamp;

use super::*;

const EVERY_TABLE: [Table; 5] = [
    Table::TcpModule,
    Table::TcpProcess,
    Table::UdpModule,
    Table::UdpProcess,
    Table::TcpBound,
];
/// 2026-01-02 03:04:05.678 UTC.
const CREATED: Timestamp = Timestamp::from_unix_ms(1_767_330_245_678);

fn decoded(table: &[u8], kind: Table, family: Family) -> Vec<SocketRow> {
    rows(table, kind, family).unwrap().collect()
}

fn v6(last: u16) -> Address {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
}

/// A row without a peer, held by `holder`.
fn alone(local: Address, local_port: u16, holder: u32) -> SocketRow {
    let family = match local.ip() {
        std::net::IpAddr::V4(_) => Family::V4,
        std::net::IpAddr::V6(_) => Family::V6,
    };
    SocketRow {
        family,
        state: TcpState::Bound,
        local_port,
        remote_port: 0,
        local,
        remote: unspecified(family),
        holder,
        service_tag: 0,
        created: None,
    }
}

#[test]
fn tcp_over_v4_with_modules() {
    let table = include_bytes!("../golden/tcp4_module.bin");
    let (host, server) = (
        Ipv4Addr::new(192, 0, 2, 1).into(),
        Ipv4Addr::new(198, 51, 100, 7).into(),
    );
    let expected = [
        SocketRow {
            state: TcpState::Listen,
            ..alone(Ipv4Addr::UNSPECIFIED.into(), 445, 4)
        },
        SocketRow {
            state: TcpState::CloseWait,
            remote: server,
            remote_port: 1433,
            service_tag: 0x29,
            created: Some(CREATED),
            ..alone(host, 49_999, 1212)
        },
        SocketRow {
            state: TcpState::TimeWait,
            remote: server,
            remote_port: 443,
            ..alone(host, 50_001, 0)
        },
    ];
    assert_eq!(decoded(table, Table::TcpModule, Family::V4), expected);
}

#[test]
fn tcp_over_v6_with_modules() {
    let table = include_bytes!("../golden/tcp6_module.bin");
    let expected = SocketRow {
        state: TcpState::Established,
        remote: v6(2),
        remote_port: 389,
        service_tag: 0x11,
        created: Some(CREATED),
        ..alone(v6(1), 50_002, 640)
    };
    assert_eq!(decoded(table, Table::TcpModule, Family::V6), [expected]);
}

#[test]
fn tcp_with_processes_alone() {
    let table = include_bytes!("../golden/tcp4_process.bin");
    let expected = SocketRow {
        state: TcpState::SynSent,
        remote: Ipv4Addr::new(198, 51, 100, 8).into(),
        remote_port: 25,
        ..alone(Ipv4Addr::new(192, 0, 2, 1).into(), 50_003, 77)
    };
    assert_eq!(decoded(table, Table::TcpProcess, Family::V4), [expected]);
    let table = include_bytes!("../golden/tcp6_process.bin");
    let expected = SocketRow {
        state: TcpState::FinWait2,
        remote: v6(4),
        remote_port: 587,
        ..alone(v6(3), 50_004, 78)
    };
    assert_eq!(decoded(table, Table::TcpProcess, Family::V6), [expected]);
}

#[test]
fn udp_with_and_without_modules() {
    let host = Ipv4Addr::new(192, 0, 2, 1).into();
    let dated = |row, service_tag| SocketRow {
        service_tag,
        created: Some(CREATED),
        ..row
    };
    let table = include_bytes!("../golden/udp4_module.bin");
    assert_eq!(
        decoded(table, Table::UdpModule, Family::V4),
        [dated(alone(host, 53, 900), 0x2a)]
    );
    let table = include_bytes!("../golden/udp6_module.bin");
    assert_eq!(
        decoded(table, Table::UdpModule, Family::V6),
        [dated(alone(v6(5), 5353, 901), 0x2b)]
    );
    let table = include_bytes!("../golden/udp4_process.bin");
    assert_eq!(
        decoded(table, Table::UdpProcess, Family::V4),
        [alone(host, 123, 902)]
    );
    let table = include_bytes!("../golden/udp6_process.bin");
    assert_eq!(
        decoded(table, Table::UdpProcess, Family::V6),
        [alone(v6(6), 500, 903)]
    );
}

#[test]
fn bound_endpoints_are_bound_whatever_their_state_says() {
    let table = include_bytes!("../golden/tcp4_bound.bin");
    let any = Ipv4Addr::UNSPECIFIED.into();
    assert_eq!(
        decoded(table, Table::TcpBound, Family::V4),
        [alone(any, 50_010, 4321), alone(any, 50_011, 4321)]
    );
    let table = include_bytes!("../golden/tcp6_bound.bin");
    assert_eq!(
        decoded(table, Table::TcpBound, Family::V6),
        [alone(Ipv6Addr::UNSPECIFIED.into(), 50_012, 4322)]
    );
}

#[test]
fn a_table_is_as_long_as_its_rows_need() {
    let golden = include_bytes!("../golden/tcp4_module.bin");
    assert_eq!(table_bytes(Table::TcpModule, Family::V4, 3), golden.len());
    let golden = include_bytes!("../golden/tcp6_bound.bin");
    assert_eq!(table_bytes(Table::TcpBound, Family::V6, 1), golden.len());
    assert_eq!(
        table_bytes(Table::TcpBound, Family::V6, u32::MAX),
        60 * 0xffff_ffff + 4
    );
}

#[test]
fn a_table_that_is_cut_short_gives_no_row_at_all() {
    let table = include_bytes!("../golden/tcp4_module.bin");
    for length in 0..table.len() {
        let cut = &table[..length];
        assert!(rows(cut, Table::TcpModule, Family::V4).is_err(), "{length}");
    }
    let error = rows(&table[..400], Table::TcpModule, Family::V4).err();
    assert_eq!(
        error.unwrap().to_string(),
        "the TCP table announces 3 rows and has room for 2"
    );
}

#[test]
fn a_table_without_rows_is_empty_however_short() {
    assert_eq!(decoded(&[0; 4], Table::TcpModule, Family::V4), []);
    assert_eq!(decoded(&[0; 500], Table::UdpModule, Family::V6), []);
}

#[test]
fn rows_are_read_at_any_alignment() {
    let table = include_bytes!("../golden/tcp6_module.bin");
    let expected = decoded(table, Table::TcpModule, Family::V6);
    for shift in 1..9 {
        let mut moved = vec![0; shift];
        moved.extend_from_slice(table);
        let table = &moved[shift..];
        assert_eq!(decoded(table, Table::TcpModule, Family::V6), expected);
    }
}

proptest! {
    #[test]
    fn hostile_tables_give_as_many_rows_as_they_announce_or_an_error(
        count in 0_u32..6,
        rest in prop::collection::vec(any::<u8>(), 0..1200),
    ) {
        let mut table = count.to_le_bytes().to_vec();
        table.extend(rest);
        for kind in EVERY_TABLE {
            for family in [Family::V4, Family::V6] {
                if let Ok(rows) = rows(&table, kind, family) {
                    prop_assert_eq!(rows.clone().count(), count as usize);
                    for row in rows {
                        prop_assert!(row.state != TcpState::Listen || row.remote_port == 0);
                    }
                }
            }
        }
    }

    #[test]
    fn ports_are_read_whatever_is_beside_them(local: u16, remote: u16, garbage: [u8; 2], state in 2_u32..13) {
        let mut table = vec![1, 0, 0, 0];
        table.extend_from_slice(&state.to_le_bytes());
        for port in [local, remote] {
            table.extend_from_slice(&[192, 0, 2, 1]);
            table.extend_from_slice(&port.to_be_bytes());
            table.extend_from_slice(&garbage);
        }
        table.extend_from_slice(&[7, 0, 0, 0]);
        let row = decoded(&table, Table::TcpProcess, Family::V4)[0];
        let expected_remote = if row.state == TcpState::Listen { 0 } else { remote };
        prop_assert_eq!((row.local_port, row.remote_port), (local, expected_remote));
    }
}
