//! Counters and totals of the network stack as values, the same on every system.

/// Counters since the system or the namespace started; `None` where the system has no such counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC 4022, RFC 4113 and Linux TcpExt name them")]
pub struct ProtocolCounters {
    pub tcp_active_opens: Option<u64>,
    pub tcp_passive_opens: Option<u64>,
    pub tcp_attempt_fails: Option<u64>,
    pub tcp_estab_resets: Option<u64>,
    pub tcp_in_segs: Option<u64>,
    pub tcp_out_segs: Option<u64>,
    pub tcp_retrans_segs: Option<u64>,
    pub tcp_out_rsts: Option<u64>,
    pub tcp_time_wait_overflow: Option<u64>,
    pub udp_in_datagrams: Option<u64>,
    pub udp_out_datagrams: Option<u64>,
    pub udp_in_errors: Option<u64>,
}

/// The system's own totals of sockets: cheap to read, whatever there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketTotals {
    /// Sockets of the namespace, of any kind and family.
    pub all: u32,
    /// TCP sockets in the tables: connected or listening, v4 and v6.
    pub tcp: [u32; 2],
    /// TCP sockets in TIME_WAIT.
    pub tcp_time_wait: u32,
    /// UDP sockets with a port, v4 and v6.
    pub udp: [u32; 2],
    /// TCP sockets of the whole host, those in no table included.
    pub tcp_of_host: u32,
}

impl SocketTotals {
    /// How many TCP sockets exist beyond those in the tables: what hides on kernels that do not list bound sockets.
    ///
    /// The total is of the whole host, the tables are of one namespace, and a socket that is not bound yet counts
    /// too, so this is an upper bound of the ports that hidden sockets hold.
    #[must_use]
    pub const fn hidden_tcp(&self) -> u32 {
        let [v4, v6] = self.tcp;
        self.tcp_of_host.saturating_sub(v4.saturating_add(v6))
    }
}
