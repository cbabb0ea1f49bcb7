//! Counts against plain sets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;
use tidemark_model::PortRange;
use tidemark_platform::HolderKind;

use super::*;

fn rows() -> impl Strategy<Value = Vec<SocketRow>> {
    let row = (0_usize..12, 39_990_u16..40_110, any::<bool>()).prop_map(|(state, port, is_v4)| {
        let state = TcpState::ALL[state];
        let has_peer = !matches!(state, TcpState::Listen | TcpState::Bound);
        SocketRow {
            family: if is_v4 { Family::V4 } else { Family::V6 },
            state,
            local_port: port,
            remote_port: u16::from(has_peer) * 443,
            local: Ipv4Addr::LOCALHOST.into(),
            remote: Ipv4Addr::LOCALHOST.into(),
            holder: 0,
            service_tag: 0,
            created: None,
        }
    });
    prop::collection::vec(row, 0..200)
}

proptest! {
    #[test]
    fn ports_are_counted_as_plain_sets_count_them(rows in rows()) {
        let range = PortRange::new(40_000, 40_099).unwrap();
        let reserved = [PortRange::new(40_050, 40_059).unwrap()];
        let ports = DynamicPorts::new(range, &reserved);
        let groups = WatchGroups::new(&[]);
        let mut owners = OwnerCache::open().unwrap();
        let mut counting = Counting { ports: &ports, groups: &groups, owners: &mut owners };
        let mut census = Census::new(Protocol::Tcp);
        for row in &rows {
            census.count(row, &mut counting);
        }
        let ports_in = |wanted: &dyn Fn(TcpState) -> bool| -> BTreeSet<u16> {
            rows.iter()
                .filter(|row| range.contains(row.local_port) && !reserved[0].contains(row.local_port))
                .filter(|row| wanted(row.state))
                .map(|row| row.local_port)
                .collect()
        };
        let time_wait = ports_in(&|state| state == TcpState::TimeWait);
        let strong = ports_in(&|state| state != TcpState::TimeWait);
        let bound = ports_in(&|state| state == TcpState::Bound);
        let other = ports_in(&|state| state != TcpState::Bound);
        let expected = PortCounts {
            strong: u32::try_from(strong.len()).unwrap(),
            time_wait_only: u32::try_from(time_wait.difference(&strong).count()).unwrap(),
            bound_only: u32::try_from(bound.difference(&other).count()).unwrap(),
        };
        prop_assert_eq!(census.port_counts(), expected);
        let in_use = expected.strong + expected.time_wait_only;
        prop_assert_eq!(census.ports_without_owner(&ports), in_use);
        let sockets = census.states_v4.total() + census.states_v6.total();
        prop_assert_eq!(sockets as usize, rows.len());
        census.clear();
        prop_assert_eq!(census.port_counts(), PortCounts::default());
    }
}

/// A number that no process has.
const NO_PROCESS: u32 = 999_999_999;

/// Connections held by this process, by process 1, by one that is gone, or by nobody; no two have the same ends.
fn connections() -> impl Strategy<Value = Vec<(SocketRow, bool)>> {
    let holders = prop::sample::select(vec![std::process::id(), 1, NO_PROCESS, 0]);
    let connection = (holders, 39_990_u16..40_110, any::<bool>());
    prop::collection::vec(connection, 0..200).prop_map(|connections| {
        let numbered = connections.into_iter().zip(1_u16..);
        let rows = numbered.map(|((holder, local_port, waits), remote_port)| {
            let row = SocketRow {
                family: Family::V4,
                state: TcpState::Established,
                local_port,
                remote_port,
                local: Ipv4Addr::LOCALHOST.into(),
                remote: Ipv4Addr::LOCALHOST.into(),
                holder,
                service_tag: 0,
                created: None,
            };
            (row, waits)
        });
        rows.collect()
    })
}

proptest! {
    #[test]
    fn where_rows_name_processes_their_ports_are_theirs_in_time_wait_too(connections in connections()) {
        let range = PortRange::new(40_000, 40_099).unwrap();
        let ports = DynamicPorts::new(range, &[]);
        let groups = WatchGroups::new(&[]);
        let mut owners = OwnerCache::open_for(HolderKind::Process).unwrap();
        let mut census = Census::new(Protocol::Tcp);
        let mut sample = |rows: Vec<SocketRow>| {
            census.clear();
            owners.begin();
            let mut counting = Counting { ports: &ports, groups: &groups, owners: &mut owners };
            for row in &rows {
                census.count(row, &mut counting);
            }
            prop_assert_eq!(census.unattributed().count(), 0);
            let held = [std::process::id(), 1].map(|process| {
                let owner = owners.of_process(process);
                owner.map_or(0, |owner| census.holdings.of(owner).ports)
            });
            owners.finish();
            Ok((held, census.ports_without_owner(&ports)))
        };
        let mut held: BTreeMap<u32, BTreeSet<u16>> = BTreeMap::new();
        for (row, _) in connections.iter().filter(|(row, _)| range.contains(row.local_port)) {
            let is_known = [std::process::id(), 1].contains(&row.holder);
            held.entry(if is_known { row.holder } else { 0 }).or_default().insert(row.local_port);
        }
        let of = |process: u32| held.get(&process).cloned().unwrap_or_default();
        let known = &of(std::process::id()) | &of(1);
        let count = |ports: &BTreeSet<u16>| u32::try_from(ports.len()).unwrap();
        let expected = (
            [count(&of(std::process::id())), count(&of(1))],
            count(&(&of(0) - &known)),
        );
        let before = connections.iter().map(|(row, _)| *row).collect();
        let after = connections.iter().map(|(row, waits)| match waits {
            true => SocketRow { state: TcpState::TimeWait, holder: 0, ..*row },
            false => *row,
        });
        prop_assert_eq!(sample(before)?, expected);
        prop_assert_eq!(sample(after.collect())?, expected);
    }
}
