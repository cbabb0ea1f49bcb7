//! HTTP/2 by hand, since no library breaks its rules: TLS, the preface, and any frame.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tidemark_proto::SERVER_NAME;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Whoever does not get in within this time is kept out.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// Kinds of frames (RFC 9113, section 6).
pub mod kind {
    /// Bytes of a body.
    pub const DATA: u8 = 0;
    /// The head of a request.
    pub const HEADERS: u8 = 1;
    /// The end of a stream, at once.
    pub const RST_STREAM: u8 = 3;
    /// How the other end is to behave.
    pub const SETTINGS: u8 = 4;
    /// To be answered.
    pub const PING: u8 = 6;
    /// More of a head.
    pub const CONTINUATION: u8 = 9;
}

/// The stream ends with this frame.
pub const END_STREAM: u8 = 1;
/// The head ends with this frame.
pub const END_HEADERS: u8 = 4;

/// An open connection.
pub struct Wire {
    /// Where the controller's words come from.
    pub reader: ReadHalf<TlsStream<TcpStream>>,
    /// Where frames go to.
    pub writer: WriteHalf<TlsStream<TcpStream>>,
}

/// A TCP connection from one address to another.
///
/// # Errors
/// What the system says.
pub async fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let connecting = tokio::time::timeout(OPEN_PATIENCE, socket.connect(to));
    connecting.await.map_err(|_| io::ErrorKind::TimedOut)?
}

impl Wire {
    /// TLS and the preface of HTTP/2.
    ///
    /// # Errors
    /// When it is not let in.
    pub async fn open(
        from: Ipv4Addr,
        to: SocketAddr,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let tcp = connect(from, to).await?;
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let opening = TlsConnector::from(config).connect(name, tcp);
        let opened = tokio::time::timeout(OPEN_PATIENCE, opening).await;
        let mut stream = opened.map_err(|_| io::ErrorKind::TimedOut)??;
        let mut hello = PREFACE.to_vec();
        hello.extend(frame(kind::SETTINGS, 0, 0, &[]));
        stream.write_all(&hello).await?;
        stream.flush().await?;
        let (reader, writer) = tokio::io::split(stream);
        Ok(Self { reader, writer })
    }

    /// Reads and drops until the connection ends.
    pub async fn hear_out(reader: &mut ReadHalf<TlsStream<TcpStream>>) {
        let mut heard = vec![0; 4_096];
        while reader.read(&mut heard).await.is_ok_and(|bytes| bytes > 0) {}
    }
}

/// A frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes().get(1..).unwrap_or_default().to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a gRPC call in HPACK (RFC 7541), without any compression.
#[must_use]
pub fn call_head(path: &str) -> Vec<u8> {
    // Of the static table: 3 is `:method: POST`, 7 `:scheme: https`, 4 the name `:path`, 1 `:authority`, 31 `content-type`.
    let mut head = vec![0x83, 0x87];
    let mut literal = |name: &[u8], value: &str| {
        head.extend(name);
        head.push(u8::try_from(value.len()).unwrap_or(0));
        head.extend(value.as_bytes());
    };
    literal(&[0x04], path);
    literal(&[0x01], SERVER_NAME);
    literal(&[0x0f, 0x10], "application/grpc");
    literal(&[0x00, 2, b't', b'e'], "trailers");
    head
}

/// A message as gRPC frames it.
#[must_use]
pub fn message(encoded: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend(
        u32::try_from(encoded.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    message.extend(encoded);
    message
}
