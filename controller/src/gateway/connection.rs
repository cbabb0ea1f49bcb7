//! One connection of an agent, and what it may take: a stranger as much as an enrolment needs, a host as much as a spool that is
//! sent after a long outage, and neither keeps its place from others for ever.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tidemark_model::HostId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use crate::fair::Place;
use crate::metrics::Metrics;
use crate::pki::peer::{AgentHeld, NotAnAgent};

/// How long a connection without a certificate may last. An enrolment takes seconds, and answers wait for the database.
const STRANGER_LIFE: Duration = Duration::from_secs(30);

/// Bytes that it may send: a request is at most 64 KiB, and may be asked again on the same connection.
const STRANGER_BYTES: u64 = 256 * 1_024;

/// Bytes a second that a host's connection may send over time, and at once. Samples of a month, some 100 MB, are sent in minutes; a
/// flood of frames that cost more to read than to send is slow.
const HOST_BYTES_PER_SECOND: NonZeroU32 = NonZeroU32::new(512 * 1_024).expect("512 KiB is not 0");
const HOST_BYTES_AT_ONCE: NonZeroU32 = NonZeroU32::new(8 * 1_024 * 1_024).expect("8 MiB is not 0");

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
    allowance: Allowance,
    put_out: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What a connection may still take.
#[derive(Debug)]
pub(super) enum Allowance {
    /// Of one that proved nothing.
    Stranger(Stranger),
    /// Of one that proved to be a host.
    Host(Host),
}

#[derive(Debug)]
pub(super) struct Stranger {
    place: Place<IpAddr>,
    end: Pin<Box<Sleep>>,
    bytes_left: u64,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
pub(super) struct Host {
    place: Place<HostId>,
    flow: Flow,
}

impl Allowance {
    pub(super) fn of_stranger(place: Place<IpAddr>, metrics: Arc<Metrics>) -> Self {
        Self::Stranger(Stranger {
            place,
            end: Box::pin(tokio::time::sleep(STRANGER_LIFE)),
            bytes_left: STRANGER_BYTES,
            metrics,
        })
    }

    pub(super) fn of_host(place: Place<HostId>) -> Self {
        Self::Host(Host {
            place,
            flow: Flow::new(HOST_BYTES_PER_SECOND, HOST_BYTES_AT_ONCE),
        })
    }

    fn put_out(&self) -> WaitForCancellationFutureOwned {
        let token = match self {
            Self::Stranger(stranger) => stranger.place.put_out(),
            Self::Host(host) => host.place.put_out(),
        };
        token.clone().cancelled_owned()
    }

    /// Whether a stranger has had all that it gets.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Self::Stranger(stranger) = self else {
            return Ok(());
        };
        let is_over = stranger.end.as_mut().poll(cx).is_ready();
        if !is_over && stranger.bytes_left > 0 {
            return Ok(());
        }
        stranger.metrics.connections_overdrawn.add(1);
        let text = "a connection without a certificate lasted longer, or sent more, than an enrolment does";
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    }

    /// Ready once a host may send on.
    fn poll_paid(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Stranger(_) => Poll::Ready(()),
            Self::Host(host) => host.flow.poll_paid(cx),
        }
    }

    fn take(&mut self, bytes: usize) {
        match self {
            Self::Stranger(stranger) => {
                stranger.bytes_left = stranger.bytes_left.saturating_sub(bytes as u64);
            }
            Self::Host(host) => host.flow.owe(bytes),
        }
    }
}

/// A limit of bytes over time: what was read is paid for before more is.
#[derive(Debug)]
struct Flow {
    limiter: DefaultDirectRateLimiter,
    owed: u32,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Flow {
    fn new(per_second: NonZeroU32, at_once: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::direct(Quota::per_second(per_second).allow_burst(at_once)),
            owed: 0,
            pause: None,
        }
    }

    fn owe(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.owed = self.owed.saturating_add(bytes);
    }

    fn poll_paid(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let Some(owed) = NonZeroU32::new(self.owed) else {
                return Poll::Ready(());
            };
            match self.limiter.check_n(owed) {
                Ok(Err(until)) => {
                    let wait = until.wait_time_from(DefaultClock::default().now());
                    self.pause = Some(Box::pin(tokio::time::sleep(wait)));
                }
                // A read that is larger than what may come at once: none is, with records of TLS of 16 KiB.
                Ok(Ok(())) | Err(_) => self.owed = 0,
            }
        }
    }
}

impl AgentConnection {
    pub(super) fn new(stream: TlsStream<TcpStream>, peer: Peer, allowance: Allowance) -> Self {
        Self {
            stream,
            peer,
            put_out: Box::pin(allowance.put_out()),
            allowance,
        }
    }

    /// Asked by writing, too: whoever takes no answers is not read from.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.put_out.as_mut().poll(cx).is_ready() {
            let text = "its place is another connection's now";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, text));
        }
        self.allowance.check(cx)
    }
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
        self.check(cx)?;
        ready!(self.allowance.poll_paid(cx));
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let bytes = buf.filled().len().saturating_sub(before);
        self.allowance.take(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AgentConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const fn bytes(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    #[tokio::test]
    async fn what_was_read_is_paid_for_before_more_is() {
        let mut flow = Flow::new(bytes(100_000), bytes(10_000));
        let began = Instant::now();
        for _ in 0..3 {
            flow.owe(10_000);
            std::future::poll_fn(|cx| flow.poll_paid(cx)).await;
        }
        // The first are there at once, and each further share takes a tenth of a second.
        assert!(
            began.elapsed() >= Duration::from_millis(190),
            "{:?}",
            began.elapsed()
        );
    }
}
