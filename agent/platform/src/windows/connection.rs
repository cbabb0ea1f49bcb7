//! Options of a TCP connection that the standard library does not have.
#![expect(unsafe_code, reason = "socket options are set through Winsock")]

use std::io;
use std::os::windows::io::{AsRawSocket, AsSocket};
use std::time::Duration;

use windows_sys::Win32::Networking::WinSock::{IPPROTO_TCP, TCP_MAXRT, setsockopt};

/// Whether `SO_REUSEADDR` lets a port in TIME_WAIT be bound again, and no more than that. On Windows it takes ports away
/// from listeners, and ports in TIME_WAIT can be bound without it.
pub const REUSE_IS_SAFE: bool = false;

/// Ends a connection when data that it sent stays without acknowledgement for this long, in whole seconds
/// (`TCP_MAXRT`, Windows Vista); otherwise it is retried for some 20 s or until `TcpMaxDataRetransmissions` is reached.
///
/// # Errors
/// What Winsock says.
pub fn limit_unacknowledged(connection: &impl AsSocket, limit: Duration) -> io::Result<()> {
    let seconds = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX);
    let value = seconds.to_ne_bytes();
    let socket = usize::try_from(connection.as_socket().as_raw_socket()).unwrap_or(usize::MAX);
    // SAFETY: the socket is open while it is borrowed, and the option takes 4 bytes.
    let failed = unsafe { setsockopt(socket, IPPROTO_TCP, TCP_MAXRT, value.as_ptr(), 4) };
    if failed == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
