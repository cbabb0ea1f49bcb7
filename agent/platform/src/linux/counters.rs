//! The kernel's protocol counters of a network namespace, and its totals of sockets.

use super::procfile;
use crate::ReadError;
pub use crate::counter_values::{ProtocolCounters, SocketTotals};

impl ProtocolCounters {
    /// Reads the counters of the calling thread's network namespace. TCP's cover both families; UDP's are summed.
    ///
    /// # Errors
    /// When `/proc/net/snmp` is not readable; files that only some kernels have may be missing.
    pub fn read() -> Result<Self, ReadError> {
        let snmp = procfile::text("/proc/thread-self/net/snmp")?;
        let netstat = procfile::text("/proc/thread-self/net/netstat").unwrap_or_default();
        let snmp6 = procfile::text("/proc/thread-self/net/snmp6").unwrap_or_default();
        Ok(Self::parse(&snmp, &netstat, &snmp6))
    }

    pub(super) fn parse(snmp: &str, netstat: &str, snmp6: &str) -> Self {
        let tcp = |name| column(snmp, "Tcp:", name);
        let udp = |name, name6| {
            let v4 = column(snmp, "Udp:", name)?;
            Some(v4.wrapping_add(line_value(snmp6, name6).unwrap_or(0)))
        };
        Self {
            tcp_active_opens: tcp("ActiveOpens"),
            tcp_passive_opens: tcp("PassiveOpens"),
            tcp_attempt_fails: tcp("AttemptFails"),
            tcp_estab_resets: tcp("EstabResets"),
            tcp_in_segs: tcp("InSegs"),
            tcp_out_segs: tcp("OutSegs"),
            tcp_retrans_segs: tcp("RetransSegs"),
            tcp_out_rsts: tcp("OutRsts"),
            tcp_time_wait_overflow: column(netstat, "TcpExt:", "TCPTimeWaitOverflow"),
            udp_in_datagrams: udp("InDatagrams", "Udp6InDatagrams"),
            udp_out_datagrams: udp("OutDatagrams", "Udp6OutDatagrams"),
            udp_in_errors: udp("InErrors", "Udp6InErrors"),
        }
    }
}

impl SocketTotals {
    /// Reads the totals of the calling thread's network namespace.
    ///
    /// # Errors
    /// When `/proc/net/sockstat` is not readable; the file for v6 may be missing.
    pub fn read() -> Result<Self, ReadError> {
        let v4 = procfile::text("/proc/thread-self/net/sockstat")?;
        let v6 = procfile::text("/proc/thread-self/net/sockstat6").unwrap_or_default();
        Ok(Self::parse(&v4, &v6))
    }

    pub(super) fn parse(sockstat: &str, sockstat6: &str) -> Self {
        let field = |text: &str, line: &str, name: &str| {
            let fields = text.lines().find_map(|l| l.strip_prefix(line))?;
            let mut fields = fields.split_whitespace();
            fields.find(|field| *field == name)?;
            fields.next()?.parse::<u32>().ok()
        };
        let v4 = |line, name| field(sockstat, line, name).unwrap_or(0);
        let v6 = |line| field(sockstat6, line, "inuse").unwrap_or(0);
        Self {
            all: v4("sockets:", "used"),
            tcp: [v4("TCP:", "inuse"), v6("TCP6:")],
            tcp_time_wait: v4("TCP:", "tw"),
            udp: [v4("UDP:", "inuse"), v6("UDP6:")],
            tcp_of_host: v4("TCP:", "alloc"),
        }
    }
}

/// The value under `name` in a file that has a line of names and a line of values for each `prefix`.
fn column(text: &str, prefix: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let position = lines.next()?.split_whitespace().position(|n| n == name)?;
    lines.next()?.split_whitespace().nth(position)?.parse().ok()
}

/// The value of `name` in a file of `name value` lines.
fn line_value(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| {
        line.strip_prefix(name)
            .filter(|rest| rest.starts_with([' ', '\t']))
    });
    value?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNMP: &str = "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens RetransSegs\n\
        Tcp: 1 -1 17 4 9\nUdp: InDatagrams NoPorts InErrors OutDatagrams\nUdp: 100 0 2 50\nUdpLite: InDatagrams\nUdpLite: 7\n";

    #[test]
    fn counters_are_found_by_name_and_udp_covers_both_families() {
        let counters = ProtocolCounters::parse(
            SNMP,
            "TcpExt: TW TCPTimeWaitOverflow\nTcpExt: 5 3\n",
            "Udp6InDatagrams                 \t11\nUdp6OutDatagrams \t1\n",
        );
        assert_eq!(counters.tcp_active_opens, Some(17));
        assert_eq!(counters.tcp_retrans_segs, Some(9));
        assert_eq!(counters.tcp_time_wait_overflow, Some(3));
        assert_eq!(counters.udp_in_datagrams, Some(111));
        assert_eq!(counters.udp_out_datagrams, Some(51));
        assert_eq!(counters.udp_in_errors, Some(2));
    }

    #[test]
    fn a_counter_the_kernel_lacks_is_unknown() {
        let counters = ProtocolCounters::parse("", "", "");
        assert_eq!(counters, ProtocolCounters::default());
    }

    #[test]
    fn hidden_sockets_are_those_beyond_the_tables() {
        let sockstat = "sockets: used 30\nTCP: inuse 6 orphan 0 tw 3 alloc 113 mem 1\n\
            UDP: inuse 9 mem 0\n";
        let totals = SocketTotals::parse(sockstat, "TCP6: inuse 2\nUDP6: inuse 4\n");
        assert_eq!(totals.hidden_tcp(), 105);
        assert_eq!(
            (totals.all, totals.tcp_time_wait, totals.udp),
            (30, 3, [9, 4])
        );
        assert_eq!(SocketTotals::parse("", ""), SocketTotals::default());
    }

    #[test]
    fn this_kernel_has_the_counters() {
        assert!(ProtocolCounters::read().unwrap().tcp_active_opens.is_some());
    }
}
