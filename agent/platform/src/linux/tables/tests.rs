//! The tables of real namespaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

use tidemark_model::tcp::TcpState;

use super::*;
use crate::attempt::hold_port;
use crate::namespace::run_in_new;

fn tcp_rows(tables: &mut SocketTables, local_ports: Option<PortRange>) -> Vec<SocketRow> {
    let mut rows = Vec::new();
    let query = TableQuery {
        protocol: Protocol::Tcp,
        bound: bound_visibility(tables).unwrap(),
        local_ports,
    };
    let report = tables.dump(query, |row| rows.push(*row)).unwrap();
    assert_eq!(report.rows as usize, rows.len());
    rows
}

#[test]
fn a_fresh_namespace_shows_only_what_is_opened_in_it() {
    run_in_new(|| {
        let mut tables = SocketTables::open().unwrap();
        assert_eq!(tcp_rows(&mut tables, None), []);
        let bound = hold_port(Protocol::Tcp, IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let rows = tcp_rows(&mut tables, None);
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].state, rows[0].local_port),
            (TcpState::Bound, bound.number())
        );
        assert_eq!(rows[0].holder, bound.inode());
    })
    .unwrap();
}

#[test]
fn one_walk_sees_what_a_walk_for_each_family_sees() {
    run_in_new(|| {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let _held = [
            TcpStream::connect(v4.local_addr().unwrap()).unwrap(),
            TcpStream::connect(v6.local_addr().unwrap()).unwrap(),
        ];
        let mut tables = SocketTables::open().unwrap();
        let query = TableQuery {
            protocol: Protocol::Tcp,
            bound: BoundVisibility::Listed,
            local_ports: None,
        };
        let mut by_family = Vec::new();
        tables
            .dump_by_family(query, |row| by_family.push(*row))
            .unwrap();
        let mut together = tcp_rows(&mut tables, None);
        for rows in [&mut by_family, &mut together] {
            rows.sort_by_key(|row| (row.local_port, row.remote_port, row.holder));
        }
        assert_eq!(together.len(), 6);
        assert_eq!(together, by_family);
    })
    .unwrap();
}

#[test]
fn the_kernel_filters_by_local_port() {
    run_in_new(|| {
        let held: Vec<_> = (0..20)
            .map(|_| hold_port(Protocol::Tcp, IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap())
            .collect();
        let mut numbers: Vec<u16> = held.iter().map(|port| port.number()).collect();
        numbers.sort_unstable();
        let mut tables = SocketTables::open().unwrap();
        let rows = tcp_rows(&mut tables, PortRange::new(numbers[5], numbers[14]));
        let mut seen: Vec<u16> = rows.iter().map(|row| row.local_port).collect();
        seen.sort_unstable();
        assert_eq!(seen, numbers[5..=14]);
    })
    .unwrap();
}

#[test]
fn a_loopback_connect_leaves_nothing_behind() {
    run_in_new(|| {
        let listener = crate::attempt::LoopbackListener::open().unwrap();
        for _ in 0..10 {
            listener.connect().unwrap();
        }
        drop(listener);
        let mut tables = SocketTables::open().unwrap();
        assert_eq!(tcp_rows(&mut tables, None), []);
    })
    .unwrap();
}
