//! What an application would meet when it asks for a port: binds and connects that leave nothing behind.
#![expect(
    unsafe_code,
    reason = "a socket that is bound and never listens is made through Winsock"
)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::windows::io::AsRawSocket as _;
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use tidemark_model::Protocol;
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, IN_ADDR, IN_ADDR_0, IN6_ADDR, IN6_ADDR_0, INVALID_SOCKET, IPPROTO_TCP,
    IPPROTO_UDP, LINGER, SO_LINGER, SOCK_DGRAM, SOCK_STREAM, SOCKADDR, SOCKADDR_IN, SOCKADDR_IN6,
    SOCKADDR_INET, SOCKET, SOL_SOCKET, WSA_FLAG_NO_HANDLE_INHERIT, WSA_FLAG_OVERLAPPED, WSADATA,
    WSASocketW, WSAStartup, bind, closesocket, getsockname, setsockopt,
};

pub use crate::error::AttemptError;
use crate::winsock_codes::{Meaning, Step, meaning};

/// Loopback answers within microseconds; longer means a firewall swallowed the handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Winsock 2.2.
const WINSOCK_VERSION: u16 = 0x0202;

/// A port that is held until this is dropped. It was never connected, so it leaves no TIME_WAIT.
#[derive(Debug)]
pub struct HeldPort {
    _socket: OwnSocket,
    number: u16,
}

impl HeldPort {
    /// Which port.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// Sockets have no number of their own that a table shows.
    #[must_use]
    pub const fn inode(&self) -> u32 {
        0
    }
}

/// Binds a socket to a port of the system's choice at `address`.
///
/// # Errors
/// When no port is left, the family is not there, or the system refuses.
pub fn hold_port(protocol: Protocol, address: IpAddr) -> Result<HeldPort, AttemptError> {
    let socket = OwnSocket::open(protocol, address).map_err(|error| classify(error, Step::Open))?;
    socket
        .bind(address)
        .map_err(|error| classify(error, Step::Bind))?;
    let number = socket.port().map_err(AttemptError::Failed)?;
    Ok(HeldPort {
        _socket: socket,
        number,
    })
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
        opened.map_err(|error| classify(error, Step::Bind))
    }

    /// Connects to itself and resets the connection from the side that opened it (linger 0), so that neither side is
    /// left in TIME_WAIT.
    ///
    /// # Errors
    /// When no port is left towards the listener, or the system refuses.
    pub fn connect(&self) -> Result<(), AttemptError> {
        let client = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)
            .map_err(|error| classify(error, Step::Connect))?;
        reset_on_close(&client).map_err(AttemptError::Failed)?;
        // Accepting waits for nothing: the handshake was complete before `connect_timeout` returned.
        let accepted = self.listener.accept();
        drop(client);
        accepted.map(drop).map_err(AttemptError::Failed)
    }
}

fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let linger = LINGER {
        l_onoff: 1,
        l_linger: 0,
    };
    let socket = usize::try_from(stream.as_raw_socket()).unwrap_or(INVALID_SOCKET);
    let bytes = i32::try_from(size_of::<LINGER>()).unwrap_or(0);
    // SAFETY: the socket is open while it is borrowed, and the option takes a LINGER of `bytes` bytes.
    let failed = unsafe {
        setsockopt(
            socket,
            SOL_SOCKET,
            SO_LINGER,
            ptr::from_ref(&linger).cast(),
            bytes,
        )
    };
    check(failed)
}

fn classify(source: io::Error, step: Step) -> AttemptError {
    match meaning(source.raw_os_error().unwrap_or(0), step) {
        Meaning::Exhausted => AttemptError::Exhausted(source),
        Meaning::Unsupported => AttemptError::Unsupported(source),
        Meaning::Other => AttemptError::Failed(source),
    }
}

/// A socket that is closed when it is dropped.
#[derive(Debug)]
struct OwnSocket(SOCKET);

impl OwnSocket {
    fn open(protocol: Protocol, address: IpAddr) -> io::Result<Self> {
        start_winsock();
        let family = match address {
            IpAddr::V4(_) => AF_INET,
            IpAddr::V6(_) => AF_INET6,
        };
        let (kind, number) = match protocol {
            Protocol::Tcp => (SOCK_STREAM, IPPROTO_TCP),
            Protocol::Udp => (SOCK_DGRAM, IPPROTO_UDP),
        };
        let flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
        // SAFETY: no protocol info is passed, which null says.
        let socket = unsafe { WSASocketW(i32::from(family), kind, number, ptr::null(), 0, flags) };
        if socket == INVALID_SOCKET {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(socket))
    }

    fn bind(&self, address: IpAddr) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => self.bind_to(&SOCKADDR_IN {
                sin_family: AF_INET,
                sin_addr: IN_ADDR {
                    S_un: IN_ADDR_0 {
                        S_addr: u32::from_ne_bytes(address.octets()),
                    },
                },
                ..SOCKADDR_IN::default()
            }),
            IpAddr::V6(address) => self.bind_to(&SOCKADDR_IN6 {
                sin6_family: AF_INET6,
                sin6_addr: IN6_ADDR {
                    u: IN6_ADDR_0 {
                        Byte: address.octets(),
                    },
                },
                ..SOCKADDR_IN6::default()
            }),
        }
    }

    /// Binds to `name`, which is a `SOCKADDR` of some family.
    fn bind_to<A>(&self, name: &A) -> io::Result<()> {
        let bytes = i32::try_from(size_of::<A>()).unwrap_or(0);
        // SAFETY: the socket is open, and `name` is as long as `bytes` says; Winsock checks the family.
        check(unsafe { bind(self.0, ptr::from_ref(name).cast::<SOCKADDR>(), bytes) })
    }

    /// The local port, in host order.
    fn port(&self) -> io::Result<u16> {
        let mut name = MaybeUninit::<SOCKADDR_INET>::zeroed();
        let mut bytes = i32::try_from(size_of::<SOCKADDR_INET>()).unwrap_or(0);
        // SAFETY: the socket is open, and the buffer is as long as `bytes` says.
        check(unsafe {
            getsockname(self.0, name.as_mut_ptr().cast::<SOCKADDR>(), &raw mut bytes)
        })?;
        // SAFETY: the union was zeroed, and both families keep the port at the same place.
        let port = unsafe { name.assume_init().Ipv4.sin_port };
        Ok(u16::from_be(port))
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // SAFETY: the socket is open and nobody else has it.
        unsafe { closesocket(self.0) };
    }
}

/// Winsock wants to be started before the first socket; a failure shows when that socket is made.
fn start_winsock() {
    static STARTED: OnceLock<i32> = OnceLock::new();
    STARTED.get_or_init(|| {
        let mut data = MaybeUninit::<WSADATA>::zeroed();
        // SAFETY: the structure outlives the call. Winsock is never stopped: it goes with the process.
        unsafe { WSAStartup(WINSOCK_VERSION, data.as_mut_ptr()) }
    });
}

fn check(failed: i32) -> io::Result<()> {
    if failed == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
