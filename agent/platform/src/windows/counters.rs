//! The protocol counters of the host, both families together, and its totals of sockets.
#![expect(unsafe_code, reason = "counters are asked through iphlpapi")]

use std::io;
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetTcpStatisticsEx, GetUdpStatisticsEx, MIB_TCPSTATS_LH, MIB_UDPSTATS,
};
use windows_sys::Win32::Networking::WinSock::{ADDRESS_FAMILY, AF_INET, AF_INET6};

use super::wine;
use crate::ReadError;
pub use crate::counter_values::{ProtocolCounters, SocketTotals};

/// How many counters Windows has of both protocols.
const COUNTERS: usize = 11;

/// Counters of 32 bits, carried on to 64 by what was read before: a busy server wraps its segments within an hour.
#[derive(Clone, Copy, Debug)]
struct Carried {
    last: [u32; COUNTERS],
    total: [u64; COUNTERS],
}

static CARRIED: Mutex<[Option<Carried>; 2]> = Mutex::new([None; 2]);

impl ProtocolCounters {
    /// Reads the counters of the host: TCP and UDP over v4 and v6 together.
    ///
    /// # Errors
    /// When the system does not tell the counters of v4; those of v6 may be missing.
    pub fn read() -> Result<Self, ReadError> {
        let v4 = read_family(AF_INET)?;
        // Wine tells the same numbers, which are of both families, for either.
        let v6 = if wine::version().is_some() {
            None
        } else {
            read_family(AF_INET6).ok()
        };
        let mut carried = CARRIED.lock().unwrap_or_else(PoisonError::into_inner);
        let [carried_v4, carried_v6] = &mut *carried;
        let v4 = carry(carried_v4, v4);
        let v6 = v6.map_or([0; COUNTERS], |v6| carry(carried_v6, v6));
        let mut sums = v4.iter().zip(v6).map(|(v4, v6)| v4.wrapping_add(v6));
        Ok(Self {
            tcp_active_opens: sums.next(),
            tcp_passive_opens: sums.next(),
            tcp_attempt_fails: sums.next(),
            tcp_estab_resets: sums.next(),
            tcp_in_segs: sums.next(),
            tcp_out_segs: sums.next(),
            tcp_retrans_segs: sums.next(),
            tcp_out_rsts: sums.next(),
            tcp_time_wait_overflow: None,
            udp_in_datagrams: sums.next(),
            udp_out_datagrams: sums.next(),
            udp_in_errors: sums.next(),
        })
    }
}

impl SocketTotals {
    /// Windows has no total that would show every change: binding a socket, or closing one, changes none.
    ///
    /// # Errors
    /// Always.
    pub fn read() -> Result<Self, ReadError> {
        Err(ReadError::System {
            what: "totals of its sockets",
            source: io::Error::from(io::ErrorKind::Unsupported),
        })
    }
}

fn carry(carried: &mut Option<Carried>, read: [u32; COUNTERS]) -> [u64; COUNTERS] {
    let carried = carried.get_or_insert(Carried {
        last: read,
        total: read.map(u64::from),
    });
    for ((last, total), read) in carried.last.iter_mut().zip(&mut carried.total).zip(read) {
        *total = total.wrapping_add(u64::from(read.wrapping_sub(*last)));
        *last = read;
    }
    carried.total
}

fn read_family(family: ADDRESS_FAMILY) -> Result<[u32; COUNTERS], ReadError> {
    let mut tcp = MIB_TCPSTATS_LH::default();
    let mut udp = MIB_UDPSTATS::default();
    // SAFETY: both structures outlive the calls, which fill them whole or fail.
    let codes = unsafe {
        [
            GetTcpStatisticsEx(&raw mut tcp, u32::from(family)),
            GetUdpStatisticsEx(&raw mut udp, u32::from(family)),
        ]
    };
    if let Some(code) = codes.into_iter().find(|code| *code != 0) {
        return Err(ReadError::System {
            what: "its protocol counters",
            source: io::Error::from_raw_os_error(i32::try_from(code).unwrap_or(i32::MAX)),
        });
    }
    Ok([
        tcp.dwActiveOpens,
        tcp.dwPassiveOpens,
        tcp.dwAttemptFails,
        tcp.dwEstabResets,
        tcp.dwInSegs,
        tcp.dwOutSegs,
        tcp.dwRetransSegs,
        tcp.dwOutRsts,
        udp.dwInDatagrams,
        udp.dwOutDatagrams,
        udp.dwInErrors,
    ])
}
