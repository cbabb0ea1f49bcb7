//! Ports of a new dynamic range that programs listen on: one that is restarted later may find its port taken.

use std::collections::BTreeSet;

use tidemark_model::action::Refusal;
use tidemark_model::tcp::TcpState;
use tidemark_model::{PortRange, Protocol};
use tidemark_platform::tables::{BoundVisibility, SocketTables, TableQuery};

use super::super::deed::Halt;
use crate::session::chain;

/// Smallest range that is proposed: below it a host is worse off than before.
const PORTS_MIN: u32 = 255;
/// How many ports are named.
const NAMED_MAX: usize = 12;

/// Listening TCP ports and unconnected UDP ports inside the new range that the old one did not hold already.
pub(super) fn of(new: PortRange, old: PortRange) -> Result<BTreeSet<u16>, Halt> {
    let unreadable = |error: &dyn std::error::Error| {
        Halt::Refused(
            Refusal::Unsafe,
            format!(
                "what listens inside the new range is not known: {}",
                chain(error)
            ),
        )
    };
    let mut tables = SocketTables::open().map_err(|error| unreadable(&error))?;
    let mut taken = BTreeSet::new();
    for protocol in Protocol::ALL {
        let query = TableQuery {
            protocol,
            bound: BoundVisibility::Hidden,
            local_ports: Some(new),
        };
        let walked = tables.dump(query, |row| {
            let is_waiting = matches!(row.state, TcpState::Listen)
                || (protocol == Protocol::Udp && row.remote_port == 0);
            let port = row.local_port;
            if is_waiting && new.contains(port) && !old.contains(port) {
                taken.insert(port);
            }
        });
        walked.map_err(|error| unreadable(&error))?;
    }
    Ok(taken)
}

/// What is in the way, and the largest part of the wish in which nothing is.
pub(super) fn advice(taken: &BTreeSet<u16>, wish: PortRange) -> String {
    let named: Vec<String> = taken.iter().take(NAMED_MAX).map(u16::to_string).collect();
    let more = taken.len().saturating_sub(named.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let named = named.join(", ");
    match largest_free(taken, wish) {
        Some(free) => format!(
            "programs listen on {named}{more} inside it and may not get them back after a restart; {}-{} is the largest \
             part without any",
            free.first, free.last
        ),
        None => format!(
            "programs listen on {named}{more} inside it, and no part of {PORTS_MIN} ports is without any: give another range"
        ),
    }
}

fn largest_free(taken: &BTreeSet<u16>, wish: PortRange) -> Option<PortRange> {
    let mut best: Option<PortRange> = None;
    let mut first = wish.first;
    let ends = taken
        .iter()
        .map(|port| port.checked_sub(1))
        .chain([Some(wish.last)]);
    let mut nexts = taken.iter().map(|port| port.saturating_add(1));
    for last in ends {
        let gap = last.and_then(|last| PortRange::new(first, last));
        if let Some(gap) = gap
            && gap.size() > best.map_or(0, PortRange::size)
        {
            best = Some(gap);
        }
        first = nexts.next().unwrap_or(first);
    }
    best.filter(|range| range.size() >= PORTS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    #[test]
    fn the_largest_part_without_a_listener_is_proposed() {
        let taken = BTreeSet::from([10_000, 20_000, 65_535]);
        let free = largest_free(&taken, range(10_000, 65_535));
        assert_eq!(free, Some(range(20_001, 65_534)));
        assert_eq!(
            largest_free(&BTreeSet::new(), range(2_000, 3_000)),
            Some(range(2_000, 3_000))
        );
        let crowded = (2_000..3_000).step_by(200).collect();
        assert_eq!(largest_free(&crowded, range(2_000, 3_000)), None);
        let text = advice(&taken, range(10_000, 65_535));
        assert!(
            text.contains("10000, 20000, 65535") && text.contains("20001-65534"),
            "{text}"
        );
    }
}
