//! What an application would meet when it asks for a port: binds and connects that leave nothing behind.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, socket_with,
};
use tidemark_model::Protocol;

pub use crate::error::AttemptError;

/// Loopback answers within microseconds; longer means a firewall swallowed the handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A port that is held until this is dropped. It was never connected, so it leaves no TIME_WAIT.
#[derive(Debug)]
pub struct HeldPort {
    socket: OwnedFd,
    number: u16,
}

impl HeldPort {
    /// Which port.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The socket's inode; 0 when the system does not tell.
    #[must_use]
    pub fn inode(&self) -> u32 {
        fstat(&self.socket).map_or(0, |stat| u32::try_from(stat.st_ino).unwrap_or(0))
    }
}

/// Binds a socket to a port of the system's choice at `address`.
///
/// # Errors
/// When no port is left, the family is not there, or the system refuses.
pub fn hold_port(protocol: Protocol, address: IpAddr) -> Result<HeldPort, AttemptError> {
    let socket = open_socket(protocol, address).map_err(|errno| classify(errno, Step::Open))?;
    bind(&socket, &SocketAddr::new(address, 0)).map_err(|errno| classify(errno, Step::Bind))?;
    let bound = getsockname(&socket)
        .and_then(SocketAddr::try_from)
        .map_err(|errno| AttemptError::Failed(errno.into()))?;
    Ok(HeldPort {
        socket,
        number: bound.port(),
    })
}

/// Holds a TCP port at the v4 wildcard, which needs no address to be configured.
pub(super) fn hold_tcp_port() -> Result<HeldPort, AttemptError> {
    hold_port(Protocol::Tcp, IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// A listener on loopback that nobody but [`LoopbackListener::connect`] is meant to reach.
#[derive(Debug)]
pub struct LoopbackListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl LoopbackListener {
    /// Listens on a v4 loopback port of the system's choice.
    ///
    /// # Errors
    /// When no port is left, loopback is not there, or the system refuses.
    pub fn open() -> Result<Self, AttemptError> {
        let opened = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        });
        opened.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            classify(errno, Step::Bind)
        })
    }

    /// Connects to itself and resets the connection from the side that opened it (linger 0), so that neither side is
    /// left in TIME_WAIT.
    ///
    /// # Errors
    /// When no port is left towards the listener, or the system refuses.
    pub fn connect(&self) -> Result<(), AttemptError> {
        let refused = |errno: Errno| AttemptError::Failed(errno.into());
        let client = open_socket(Protocol::Tcp, self.address.ip())
            .map_err(|errno| classify(errno, Step::Open))?;
        set_socket_timeout(&client, Timeout::Send, Some(CONNECT_TIMEOUT)).map_err(refused)?;
        set_socket_linger(&client, Some(Duration::ZERO)).map_err(refused)?;
        connect(&client, &self.address).map_err(|errno| classify(errno, Step::Connect))?;
        // Accepting waits for nothing: the kernel completed the handshake before `connect` returned.
        let accepted = self.listener.accept();
        drop(client);
        accepted.map(drop).map_err(AttemptError::Failed)
    }
}

fn open_socket(protocol: Protocol, address: IpAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    socket_with(family, kind, SocketFlags::CLOEXEC, None)
}

#[derive(Clone, Copy)]
enum Step {
    Open,
    Bind,
    Connect,
}

/// What an error says about ports depends on the step: EADDRNOTAVAIL on bind means that the address is not
/// configured, on connect that every port towards the destination is taken; EAGAIN is UDP's word for no port.
fn classify(errno: Errno, step: Step) -> AttemptError {
    let source = io::Error::from(errno);
    match (step, errno) {
        (Step::Open, Errno::AFNOSUPPORT) | (Step::Bind, Errno::ADDRNOTAVAIL) => {
            AttemptError::Unsupported(source)
        }
        (Step::Bind, Errno::ADDRINUSE | Errno::AGAIN)
        | (Step::Connect, Errno::ADDRINUSE | Errno::ADDRNOTAVAIL) => {
            AttemptError::Exhausted(source)
        }
        _ => AttemptError::Failed(source),
    }
}
