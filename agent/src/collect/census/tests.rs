//! Counts against plain sets.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use proptest::prelude::*;
use tidemark_model::PortRange;

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
