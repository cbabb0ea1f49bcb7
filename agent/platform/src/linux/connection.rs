//! Options of a TCP connection that the standard library does not have.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;

/// Whether `SO_REUSEADDR` lets a port in TIME_WAIT be bound again, and no more than that (`socket(7)`).
pub const REUSE_IS_SAFE: bool = true;

/// Ends a connection when data that it sent stays without acknowledgement for this long (`TCP_USER_TIMEOUT`,
/// `tcp(7)`); otherwise the kernel retries for some 15 minutes.
///
/// # Errors
/// What the kernel says.
pub fn limit_unacknowledged(connection: &impl AsFd, limit: Duration) -> io::Result<()> {
    let milliseconds = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    Ok(set_tcp_user_timeout(connection, milliseconds)?)
}
