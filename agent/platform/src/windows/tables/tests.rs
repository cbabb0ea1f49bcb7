//! The tables of the host that the test runs on.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};

use tidemark_model::PortRange;
use tidemark_model::tcp::TcpState;

use super::*;

fn rows(protocol: Protocol, port: u16) -> Vec<SocketRow> {
    let mut tables = SocketTables::open().unwrap();
    let dump = |tables: &mut SocketTables, local_ports| {
        let query = TableQuery {
            protocol,
            bound: BoundVisibility::Listed,
            local_ports,
        };
        let mut rows = Vec::new();
        let report = tables.dump(query, |row| {
            if row.local_port == port {
                rows.push(*row);
            }
        });
        (report.unwrap().rows as usize, rows)
    };
    let (all, found) = dump(&mut tables, None);
    let (few, in_range) = dump(&mut tables, PortRange::new(port, port));
    assert_eq!(few, in_range.len());
    assert!(all >= few);
    let undated = found.iter().map(|row| SocketRow {
        service_tag: 0,
        created: None,
        ..*row
    });
    assert_eq!(undated.collect::<Vec<_>>(), in_range);
    found
}

#[test]
fn a_listener_and_its_connections_are_listed_over_both_families() {
    for (name, family) in [
        (std::net::IpAddr::from(Ipv4Addr::LOCALHOST), Family::V4),
        (Ipv6Addr::LOCALHOST.into(), Family::V6),
    ] {
        let listener = TcpListener::bind((name, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((name, port)).unwrap();
        let found = rows(Protocol::Tcp, port);
        assert_eq!(found[0].state, TcpState::Listen);
        assert_eq!((found[0].remote_port, found[0].local), (0, name.into()));
        assert!(found.iter().all(|row| row.family == family));
        let client_port = client.local_addr().unwrap().port();
        let accepted = found.iter().find(|row| row.remote_port == client_port);
        assert_eq!(accepted.unwrap().state, TcpState::Established);
        let found = rows(Protocol::Tcp, client_port);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].remote, found[0].remote_port), (name.into(), port));
    }
}

#[test]
fn udp_sockets_are_listed_as_bound() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let found = rows(Protocol::Udp, socket.local_addr().unwrap().port());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].state, TcpState::Bound);
    assert_eq!(found[0].local, Ipv4Addr::LOCALHOST.into());
}

#[test]
fn sockets_name_this_process_except_where_the_system_is_wine() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let found = rows(Protocol::Tcp, listener.local_addr().unwrap().port());
    let expected = if host::is_wine() {
        0
    } else {
        std::process::id()
    };
    assert_eq!(found[0].holder, expected);
}

#[test]
fn bound_sockets_are_listed_or_said_to_be_hidden() {
    let mut tables = SocketTables::open().unwrap();
    let visibility = bound_visibility(&mut tables).unwrap();
    let held = crate::attempt::hold_port(Protocol::Tcp, Ipv4Addr::LOCALHOST.into()).unwrap();
    let found = rows(Protocol::Tcp, held.number());
    match visibility {
        BoundVisibility::Listed => assert_eq!(found[0].state, TcpState::Bound),
        BoundVisibility::Hidden => assert_eq!(found, []),
    }
    if host::is_wine() {
        assert_eq!(visibility, BoundVisibility::Hidden);
        assert_eq!(bound_self_test(), BoundVisibility::Hidden);
    }
}
