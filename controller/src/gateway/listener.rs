//! The agents' TLS accept loop: handshakes side by side, within limits, and each connection with the identity it proved.
//!
//! Own, because the server must not resume TLS sessions and because a slow handshake must not hold up the others.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::metrics::Metrics;
use crate::pki::peer::{AgentHeld, NotAnAgent, agent_of};

/// A handshake that takes longer is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long, and for how many bytes, a refused peer is listened to before its connection is closed.
const HEAR_OUT_MAX: Duration = Duration::from_secs(1);
const HEAR_OUT_BYTES_MAX: u64 = 64 * 1024;

/// Handshakes at once; more wait in the kernel's accept queue. Each costs about a millisecond of one core.
const HANDSHAKES_MAX: usize = 256;

/// Pause after the kernel refused to accept (out of descriptors): the condition does not go away in less.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Finished handshakes that wait for the HTTP/2 server.
const READY_MAX: usize = 64;

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Where from.
    pub address: SocketAddr,
    /// What its certificate proves; `None` without one.
    pub agent: Option<Result<AgentHeld, NotAnAgent>>,
}

/// One accepted connection.
#[derive(Debug)]
pub struct AgentConnection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    _place: OwnedSemaphorePermit,
}

/// What the accept loop works with.
#[derive(Debug)]
pub struct Listener {
    /// Bound and listening.
    pub tcp: TcpListener,
    /// Replaced when the server's certificate is renewed.
    pub tls: Arc<ArcSwap<ServerConfig>>,
    /// Connections at once.
    pub connections_max: usize,
    /// Where refused handshakes are counted.
    pub metrics: Arc<Metrics>,
}

/// Accepts until `stop`; connections come out of the returned queue, which ends when the loop does.
pub fn accept(
    listener: Listener,
    stop: CancellationToken,
) -> (
    impl Future<Output = io::Result<()>> + Send,
    mpsc::Receiver<io::Result<AgentConnection>>,
) {
    let (ready_tx, ready_rx) = mpsc::channel(READY_MAX);
    (accept_loop(listener, stop, ready_tx), ready_rx)
}

async fn accept_loop(
    listener: Listener,
    stop: CancellationToken,
    ready: mpsc::Sender<io::Result<AgentConnection>>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(listener.connections_max));
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        if handshakes.len() >= HANDSHAKES_MAX {
            handshakes.join_next().await;
        }
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.tcp.accept() => accepted,
        };
        let (tcp, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an agent's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            listener.metrics.connections_refused.add(1);
            tracing::warn!(%address, limit = listener.connections_max, "connection refused: limit of connections reached");
            continue;
        };
        let acceptor = TlsAcceptor::from(listener.tls.load_full());
        let ready = ready.clone();
        let metrics = Arc::clone(&listener.metrics);
        handshakes.spawn(async move {
            match handshake(acceptor, tcp, address, place).await {
                // A closed queue means that the server is going away, and the connection with it.
                Ok(connection) => drop(ready.send(Ok(connection)).await),
                Err(error) => {
                    metrics.handshakes_failed.add(1);
                    tracing::info!(%address, %error, "TLS handshake refused");
                }
            }
        });
    }
    handshakes.shutdown().await;
    Ok(())
}

async fn handshake(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
) -> io::Result<AgentConnection> {
    tcp.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp).into_fallible())
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no handshake within 5 s"))?;
    let stream = match stream {
        Ok(stream) => stream,
        Err((error, tcp)) => {
            hear_out(tcp).await;
            return Err(error);
        }
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let agent = certificates.and_then(<[_]>::first).map(agent_of);
    Ok(AgentConnection {
        stream,
        peer: Peer { address, agent },
        _place: place,
    })
}

/// Reads on after the alert that refused a handshake. A socket that is closed with unread data resets its connection, and
/// a client that is still speaking then fails at its next write, with the alert that says why unread.
async fn hear_out(mut tcp: TcpStream) {
    let heard = async {
        tcp.shutdown().await?;
        tokio::io::copy(
            &mut (&mut tcp).take(HEAR_OUT_BYTES_MAX),
            &mut tokio::io::sink(),
        )
        .await
    };
    // However it ends, the peer had its chance.
    tokio::time::timeout(HEAR_OUT_MAX, heard).await.ok();
}

impl Connected for AgentConnection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for AgentConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for AgentConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
