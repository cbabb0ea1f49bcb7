//! The operators' accept loop: bounded connections, slow clients cut off, each request with the address it came from.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tidemark_runtime::Lifecycle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::proxies::Proxies;
use crate::fair::turnstile::MARGIN;
use crate::fair::{Place, Turnstile, TurnstileLimits, network_of};
use crate::metrics::Metrics;

/// Time for a request's head; also ends connections that idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// Through whom.
    pub via: Via,
}

/// Through whom a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Nobody, as far as can be told.
    Nobody,
    /// A proxy that the operator named, which says who asks.
    NamedProxy,
    /// Another one: who asks is not known.
    UnknownProxy,
}

impl Peer {
    /// Who is at the other end of a connection of their own.
    #[must_use]
    pub const fn direct(address: SocketAddr, transport: Transport) -> Self {
        Self {
            address,
            transport,
            via: Via::Nobody,
        }
    }

    /// Whether it is on this machine, and not a proxy there through which anybody may ask.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.via == Via::Nobody && self.address.ip().to_canonical().is_loopback()
    }
}

/// What each connection is served with.
#[derive(Clone)]
pub struct Serving {
    /// What answers.
    pub router: Router,
    /// The certificate at the moment; plain HTTP without.
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
    /// Whose word is taken of who asks.
    pub proxies: Arc<Proxies>,
    /// Where connections are counted.
    pub metrics: Arc<Metrics>,
    /// Connections at once, of which one network has half at most, and as many through proxies. One more puts out the oldest of who has
    /// most: live views come back by themselves.
    pub connections_max: usize,
}

/// Accepts until `stop`; connections belong to `life` and end soon after.
pub async fn accept_loop(
    serving: Serving,
    listener: TcpListener,
    life: &Lifecycle,
    stop: CancellationToken,
) -> io::Result<()> {
    let limits = TurnstileLimits {
        all: serving.connections_max,
        each: serving.connections_max / 2,
        margin: MARGIN,
        least: Duration::ZERO,
        after: None,
    };
    let turnstile = |limits| Turnstile::new(limits, Arc::clone(&serving.metrics));
    let direct = turnstile(limits);
    // Everybody comes through it.
    let by_proxy = turnstile(TurnstileLimits {
        each: limits.all,
        ..limits
    });
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, address)) => {
                let turnstile = if serving.proxies.trusts(address.ip()) {
                    &by_proxy
                } else {
                    &direct
                };
                let place = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    place = turnstile.wait(network_of(address.ip())) => place,
                };
                let connection = serve(serving.clone(), tcp, address, stop.clone(), place);
                life.spawn("http connection", connection);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an operator's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    serving: Serving,
    tcp: TcpStream,
    address: SocketAddr,
    stop: CancellationToken,
    place: Place<IpAddr>,
) {
    let put_out = place.put_out().clone();
    let served = serve_while_in(serving, tcp, address, stop);
    if put_out.run_until_cancelled(served).await.is_none() {
        tracing::debug!(%address, "an operator's connection was ended for another");
    }
}

async fn serve_while_in(
    serving: Serving,
    tcp: TcpStream,
    address: SocketAddr,
    stop: CancellationToken,
) {
    // Without it, small answers wait for the peer's delayed acknowledgement; a failure costs only that.
    tcp.set_nodelay(true).ok();
    let Some(tls) = &serving.tls else {
        let peer = Peer::direct(address, Transport::Plain);
        return answer(serving, tcp, peer, stop).await;
    };
    let handshake = TlsAcceptor::from(tls.load_full()).accept(tcp);
    let opened = tokio::select! {
        () = stop.cancelled() => return,
        opened = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake) => opened,
    };
    match opened {
        Ok(Ok(stream)) => {
            answer(serving, stream, Peer::direct(address, Transport::Tls), stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "an operator's TLS handshake failed"),
        Err(_) => tracing::debug!(%address, "an operator's TLS handshake took too long"),
    }
}

async fn answer(
    Serving {
        router, proxies, ..
    }: Serving,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    stop: CancellationToken,
) {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        let asker = proxies.asker(peer, request.headers());
        request.extensions_mut().insert(asker);
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
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
