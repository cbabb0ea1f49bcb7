//! The operators' accept loop: bounded connections, slow clients cut off, each request with the address it came from.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tidemark_runtime::Lifecycle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Connections at once; a browser keeps up to six, so some hundred operators at a time.
const CONNECTIONS_MAX: usize = 2_048;

/// Time for a request's head; also ends connections that idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a request's head, address included.
const HEAD_BYTES_MAX: usize = 64 * 1_024;

/// How long open requests may take after the stop: less than any drain.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Pause after the kernel refused to accept (out of descriptors): the condition does not go away in less.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether the way to the other end is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP, for loopback.
    Plain,
    /// TLS.
    Tls,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Where from.
    pub address: SocketAddr,
    /// How.
    pub transport: Transport,
}

impl Peer {
    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }
}

/// Accepts until `stop`; connections belong to `life` and end soon after.
pub async fn accept_loop(
    router: Router,
    listener: TcpListener,
    life: &Lifecycle,
    stop: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, address)) => {
                let peer = Peer {
                    address,
                    transport: Transport::Plain,
                };
                life.spawn(
                    "http connection",
                    serve(router.clone(), tcp, peer, stop.clone(), place),
                );
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an operator's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    router: Router,
    tcp: TcpStream,
    peer: Peer,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Without it, small answers wait for the peer's delayed acknowledgement; a failure costs only that.
    tcp.set_nodelay(true).ok();
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(tcp), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(STOP_GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.address, %error, "an operator's connection broke");
    }
}
