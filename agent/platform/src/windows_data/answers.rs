//! The answers of all tables of one protocol, merged into rows: listeners first, and of bound endpoints those alone
//! that no table shows.

use tidemark_model::PortRange;
use tidemark_model::tcp::TcpState;

use super::DataError;
use super::socket_rows::{Table, rows};
use crate::{Family, SocketRow};

/// 65,536 bits.
const WORDS: usize = 1024;

/// One table as the system answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// What it lists.
    pub table: Table,
    /// Of which family.
    pub family: Family,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Hands the rows of `answers` whose local port is in `ports` to `on_row`, and says how many.
///
/// The bound endpoints name every socket's binding, those of connected and listening sockets too. What they show
/// beyond the other tables is taken by port: a port with a row in any state but TIME_WAIT is held by a socket that is
/// counted already. An endpoint on a port in TIME_WAIT is a socket that was shut down and not closed. Endpoints that were
/// listed `earlier` are taken in the same way.
///
/// # Errors
/// When an answer is malformed; rows of others may have been handed out by then.
pub fn each_row(
    answers: &[Answer<'_>],
    earlier: &[SocketRow],
    ports: Option<PortRange>,
    shown: &mut ShownPorts,
    mut on_row: impl FnMut(&SocketRow),
) -> Result<u32, DataError> {
    shown.clear();
    let mut handed_out = 0_u32;
    let in_range = |row: &SocketRow| ports.is_none_or(|ports| ports.contains(row.local_port));
    for pass in [Pass::Listeners, Pass::Connections, Pass::Bound] {
        for answer in answers {
            if (pass == Pass::Bound) != (answer.table == Table::TcpBound) {
                continue;
            }
            let rows = rows(answer.bytes, answer.table, answer.family)?.filter(in_range);
            for row in rows {
                let is_wanted = match pass {
                    Pass::Listeners => row.state == TcpState::Listen,
                    Pass::Connections => row.state != TcpState::Listen,
                    Pass::Bound => shown.lacks(row.local_port),
                };
                if !is_wanted {
                    continue;
                }
                if pass != Pass::Bound && row.state != TcpState::TimeWait {
                    shown.insert(row.local_port);
                }
                on_row(&row);
                handed_out = handed_out.saturating_add(1);
            }
        }
    }
    for row in earlier.iter().filter(|row| in_range(row)) {
        if shown.lacks(row.local_port) {
            on_row(row);
            handed_out = handed_out.saturating_add(1);
        }
    }
    Ok(handed_out)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Listeners,
    Connections,
    Bound,
}

/// Ports that a table shows as held. Kept between answers, so that merging them allocates nothing.
#[derive(Clone, Debug)]
pub struct ShownPorts {
    words: Box<[u64; WORDS]>,
}

impl Default for ShownPorts {
    fn default() -> Self {
        Self {
            words: Box::new([0; WORDS]),
        }
    }
}

impl ShownPorts {
    fn clear(&mut self) {
        self.words.fill(0);
    }

    fn insert(&mut self, port: u16) {
        if let Some(word) = self.words.get_mut(usize::from(port >> 6)) {
            *word |= 1 << (port & 63);
        }
    }

    /// Whether it is a port, and none that a table shows.
    fn lacks(&self, port: u16) -> bool {
        let word = self.words.get(usize::from(port >> 6));
        port != 0 && word.is_some_and(|word| word & (1 << (port & 63)) == 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A v4 table with processes alone: state and local port of each row.
    fn tcp(rows: &[(u32, u16)]) -> Vec<u8> {
        let mut table = u32::try_from(rows.len()).unwrap().to_le_bytes().to_vec();
        for (state, port) in rows {
            table.extend_from_slice(&state.to_le_bytes());
            for port in [*port, 443] {
                table.extend_from_slice(&[192, 0, 2, 1]);
                table.extend_from_slice(&port.to_be_bytes());
                table.extend_from_slice(&[0xbe, 0xef]);
            }
            table.extend_from_slice(&[7, 0, 0, 0]);
        }
        table
    }

    fn bound(ports: &[u16]) -> Vec<u8> {
        let mut table = u32::try_from(ports.len()).unwrap().to_le_bytes().to_vec();
        for port in ports {
            let mut row = [0; 28];
            row[8..10].copy_from_slice(&port.to_be_bytes());
            row[20..24].copy_from_slice(&[9, 0, 0, 0]);
            table.extend_from_slice(&row);
        }
        table
    }

    const LISTEN: u32 = 2;
    const ESTABLISHED: u32 = 5;
    const TIME_WAIT: u32 = 11;

    fn merged(tcp4: &[u8], bound4: &[u8], ports: Option<PortRange>) -> Vec<(TcpState, u16, u32)> {
        let answer = |table, bytes| Answer {
            table,
            family: Family::V4,
            bytes,
        };
        let answers = [
            answer(Table::TcpProcess, tcp4),
            answer(Table::TcpBound, bound4),
        ];
        let mut rows = Vec::new();
        let handed_out = each_row(&answers, &[], ports, &mut ShownPorts::default(), |row| {
            rows.push((row.state, row.local_port, row.holder));
        });
        assert_eq!(handed_out, Ok(u32::try_from(rows.len()).unwrap()));
        rows
    }

    #[test]
    fn bound_endpoints_are_shown_where_no_other_row_holds_the_port() {
        let connections = tcp(&[(ESTABLISHED, 50_000), (TIME_WAIT, 50_001), (LISTEN, 445)]);
        let endpoints = bound(&[50_000, 50_001, 50_002, 445, 0]);
        let expected = [
            (TcpState::Listen, 445, 7),
            (TcpState::Established, 50_000, 7),
            (TcpState::TimeWait, 50_001, 7),
            (TcpState::Bound, 50_001, 9),
            (TcpState::Bound, 50_002, 9),
        ];
        assert_eq!(merged(&connections, &endpoints, None), expected);
    }

    #[test]
    fn endpoints_that_were_listed_earlier_count_where_nothing_else_holds_the_port_by_then() {
        let connections = tcp(&[(ESTABLISHED, 50_000), (TIME_WAIT, 50_001), (LISTEN, 445)]);
        let listed = bound(&[50_000, 50_001, 50_002, 445, 0, 40_000]);
        let earlier: Vec<SocketRow> = rows(&listed, Table::TcpBound, Family::V4)
            .unwrap()
            .collect();
        let answers = [Answer {
            table: Table::TcpProcess,
            family: Family::V4,
            bytes: &connections,
        }];
        let mut held = Vec::new();
        let range = PortRange::new(49_152, 65_535);
        let merged = each_row(
            &answers,
            &earlier,
            range,
            &mut ShownPorts::default(),
            |row| {
                held.push((row.state, row.local_port));
            },
        );
        let expected = [
            (TcpState::Established, 50_000),
            (TcpState::TimeWait, 50_001),
            (TcpState::Bound, 50_001),
            (TcpState::Bound, 50_002),
        ];
        assert_eq!(held, expected);
        assert_eq!(merged, Ok(4));
    }

    #[test]
    fn rows_outside_the_range_are_skipped() {
        let connections = tcp(&[(ESTABLISHED, 50_000), (ESTABLISHED, 40_000)]);
        let endpoints = bound(&[40_001, 50_001]);
        let range = PortRange::new(49_152, 65_535);
        let expected = [
            (TcpState::Established, 50_000, 7),
            (TcpState::Bound, 50_001, 9),
        ];
        assert_eq!(merged(&connections, &endpoints, range), expected);
    }

    proptest! {
        #[test]
        fn hostile_answers_are_no_harm_and_keep_to_the_range(
            bytes: Vec<u8>,
            count in 0_u32..4,
            first: u16,
            more in 0_u16..1000,
        ) {
            let mut table = count.to_le_bytes().to_vec();
            table.extend(bytes);
            let kinds = [Table::TcpProcess, Table::TcpBound, Table::UdpProcess];
            let answers = kinds.map(|kind| Answer { table: kind, family: Family::V4, bytes: &table });
            let range = PortRange::new(first, first.saturating_add(more)).unwrap();
            let mut seen = 0;
            let merged = each_row(&answers, &[], Some(range), &mut ShownPorts::default(), |row| {
                assert!(range.contains(row.local_port));
                seen += 1;
            });
            prop_assert!(seen <= 3 * count);
            if let Ok(rows) = merged {
                prop_assert_eq!(rows, seen);
            }
        }
    }

    #[test]
    fn a_malformed_answer_is_an_error() {
        let answers = [Answer {
            table: Table::TcpModule,
            family: Family::V6,
            bytes: &[9, 0, 0, 0],
        }];
        let merged = each_row(&answers, &[], None, &mut ShownPorts::default(), |_| {});
        assert!(merged.is_err());
    }
}
