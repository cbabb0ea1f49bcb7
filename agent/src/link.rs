//! One connection to the controller: TCP from a port outside the dynamic range, TLS, HTTP/2. No pool, no reconnecting.
//!
//! Knows addresses, certificates and sockets; knows neither the session nor what is sent.

pub mod address;
pub mod failure;
pub mod source_port;

pub use address::ControllerAddress;
pub(crate) use failure::FORBIDDEN_PAUSE;
pub use failure::LinkFailure;
pub use source_port::SourcePorts;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tidemark_platform::connection;
use tidemark_proto::SERVER_NAME;
use tidemark_runtime::Entropy;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::io::InspectWriter;
use tonic::body::Body;
use tower::Service;

/// How long a TCP connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the TLS and HTTP/2 handshakes may take together; the controller gives up after 5 s itself.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);
/// A dead peer is found out after ping and timeout: 30 s, below the 45 s that keep a rolling restart short.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Unacknowledged data ends the connection after this long.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);
/// Receive windows; the controller sends acks and settings only.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 128 * 1024;
/// What HTTP/2 may buffer for sending, in bytes.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Largest list of response headers, in bytes.
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;

/// Dials the controller.
#[derive(Debug)]
pub struct Dialer {
    address: ControllerAddress,
    source_ports: SourcePorts,
    entropy: Entropy,
    sent_bytes: Arc<AtomicU64>,
}

/// A connection that answers calls as long as [`Link::drive`] polls it.
pub struct Link {
    service: LinkService,
    connection: Driver,
    local: SocketAddr,
}

/// The calling side of a [`Link`], for the generated clients.
#[derive(Clone, Debug)]
pub struct LinkService {
    sender: SendRequest<Body>,
}

impl Dialer {
    /// A dialer to `address`.
    #[must_use]
    pub fn new(address: ControllerAddress, source_ports: SourcePorts, entropy: Entropy) -> Self {
        Self {
            address,
            source_ports,
            entropy,
            sent_bytes: Arc::default(),
        }
    }

    /// Bytes handed to TCP so far, TLS included, over all connections.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Where it dials.
    #[must_use]
    pub const fn address(&self) -> &ControllerAddress {
        &self.address
    }

    /// Connects. Addresses stay cached as long as one of them takes connections; the name is resolved anew after that, so
    /// that a host without ports for the resolver still comes back. An address has answered when its handshakes are done: a
    /// controller that hangs still takes connections.
    ///
    /// # Errors
    /// [`LinkFailure`], by what an operator would do about it.
    pub async fn dial(&self, tls: Arc<ClientConfig>) -> Result<Link, LinkFailure> {
        let (stream, address) = self.connect_any().await?;
        let local = stream.local_addr().map_err(LinkFailure::from_connect)?;
        let sent_bytes = Arc::clone(&self.sent_bytes);
        let handshake =
            tokio::time::timeout(HANDSHAKE_TIMEOUT, open_http2(stream, tls, sent_bytes)).await;
        let (service, connection) = handshake.map_err(|_| LinkFailure::Timeout {
            step: "the TLS handshake",
            limit: HANDSHAKE_TIMEOUT,
        })??;
        self.address.remember(address);
        Ok(Link {
            service,
            connection,
            local,
        })
    }

    async fn connect_any(&self) -> Result<(TcpStream, SocketAddr), LinkFailure> {
        let addresses = self.address.resolve(&self.entropy).await?;
        let mut last = None;
        for address in addresses {
            self.address.doubt(address);
            match self.connect_one(address).await {
                Ok(stream) => return Ok((stream, address)),
                Err(failure) => last = Some(failure),
            }
        }
        self.address.forget();
        Err(last.unwrap_or(LinkFailure::NoAddress))
    }

    async fn connect_one(&self, address: SocketAddr) -> Result<TcpStream, LinkFailure> {
        let connecting = self.source_ports.connect(address, &self.entropy);
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| LinkFailure::Timeout {
                step: "the TCP connection",
                limit: CONNECT_TIMEOUT,
            })?
            .map_err(LinkFailure::from_connect)?;
        stream
            .set_nodelay(true)
            .map_err(LinkFailure::from_connect)?;
        if let Err(error) = connection::limit_unacknowledged(&stream, UNACKNOWLEDGED_MAX) {
            tracing::debug!(%error, "unacknowledged data has no time limit; pings find a dead peer");
        }
        Ok(stream)
    }
}

/// Moves the bytes of a connection for as long as it is polled.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn open_http2(
    stream: TcpStream,
    tls: Arc<ClientConfig>,
    sent_bytes: Arc<AtomicU64>,
) -> Result<(LinkService, Driver), LinkFailure> {
    let name = ServerName::try_from(SERVER_NAME).expect("the constant is a DNS name");
    let stream = InspectWriter::new(stream, move |written: &[u8]| {
        sent_bytes.fetch_add(written.len() as u64, Ordering::Relaxed);
    });
    let stream = TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .map_err(LinkFailure::from_handshake)?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(LinkFailure::from_http2)?;
    let driver = Box::pin(async move {
        if let Err(error) = connection.await {
            // Whoever waits for an answer gets this error as well and handles it there.
            tracing::debug!(%error, "connection to the controller ended");
        }
    });
    Ok((LinkService { sender }, driver))
}

impl Link {
    /// Runs `calls` over this connection and ends it with them.
    pub async fn drive<C, F>(self, calls: C) -> F::Output
    where
        C: FnOnce(LinkService) -> F,
        F: Future,
    {
        let Self {
            service,
            mut connection,
            ..
        } = self;
        let mut calls = std::pin::pin!(calls(service));
        tokio::select! {
            output = &mut calls => output,
            // Open calls end with an error of their own when the connection does.
            () = &mut connection => calls.await,
        }
    }

    /// The calling side, and what must be polled beside every call.
    pub(crate) fn into_parts(self) -> (LinkService, Driver) {
        (self.service, self.connection)
    }

    /// The local end of the connection.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl LinkService {
    /// The origin for the generated clients; the name is the certificate's, whatever the address.
    #[must_use]
    pub fn origin() -> Uri {
        Uri::builder()
            .scheme("https")
            .authority(SERVER_NAME)
            .path_and_query("/")
            .build()
            .expect("scheme, authority and path are constants")
    }
}

impl Service<http::Request<Body>> for LinkService {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

#[cfg(test)]
mod tests;
