//! The agents' TLS accept loop: handshakes side by side, within limits, and each connection with the identity it proved.
//!
//! Own, because the server must not resume TLS sessions and because slow or endless handshakes must not hold up the others.

use std::hash::Hash;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rustls::ServerConfig;
use tidemark_model::HostId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::connection::{AgentConnection, Allowance, Peer};
use crate::connection_limits::ConnectionLimits;
use crate::fair::turnstile::{Full, MARGIN};
use crate::fair::{FairQueue, Place, Turnstile, TurnstileLimits, network_of};
use crate::metrics::Metrics;
use crate::pki::peer::agent_of;

/// A handshake that takes longer is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long, and for how many bytes, a refused peer is listened to before its connection is closed.
const HEAR_OUT_MAX: Duration = Duration::from_secs(1);
const HEAR_OUT_BYTES_MAX: u64 = 64 * 1024;

/// A handshake that has taken less is not put out for another network's: it may be one that goes on.
const HANDSHAKE_LEAST: Duration = Duration::from_secs(1);

/// How soon those who wait are looked at again, when nothing else happens.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Whoever waited longer is not shaken hands with: agents give up after 8 s, handshake included.
const WAIT_MAX: Duration = Duration::from_secs(4);

/// A stranger's connection that has lasted longer is put out for one of a network that has fewer: an enrolment takes less than a second.
const STRANGER_TIME: Duration = Duration::from_secs(2);

/// Connections of one host at once: its session, one that it has given up and that is still thought to live, a renewal.
const CONNECTIONS_PER_HOST_MAX: usize = 4;

/// Pause after the kernel refused to accept (out of descriptors): the condition does not go away in less.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Finished handshakes that wait for the HTTP/2 server.
const READY_MAX: usize = 64;

/// What the accept loop works with.
#[derive(Debug)]
pub struct Listener {
    /// Bound and listening.
    pub tcp: TcpListener,
    /// Replaced when the server's certificate is renewed.
    pub tls: Arc<ArcSwap<ServerConfig>>,
    /// How many connections there may be.
    pub limits: ConnectionLimits,
    /// Where refused handshakes are counted.
    pub metrics: Arc<Metrics>,
}

impl Listener {
    fn turnstile<K: Hash + Eq + Clone>(&self, limits: TurnstileLimits) -> Arc<Turnstile<K>> {
        Turnstile::new(limits, Arc::clone(&self.metrics))
    }
}

/// What the connections that are let in have of each other.
struct Door {
    tls: Arc<ArcSwap<ServerConfig>>,
    metrics: Arc<Metrics>,
    strangers: Arc<Turnstile<IpAddr>>,
    hosts: Arc<Turnstile<HostId>>,
    hosts_max: usize,
    complaints: DefaultDirectRateLimiter,
}

impl Door {
    fn of(listener: &Listener) -> Self {
        let ConnectionLimits {
            strangers, hosts, ..
        } = listener.limits;
        Self {
            tls: Arc::clone(&listener.tls),
            metrics: Arc::clone(&listener.metrics),
            strangers: listener.turnstile(TurnstileLimits {
                all: strangers,
                each: strangers,
                margin: MARGIN,
                least: Duration::ZERO,
                after: Some(STRANGER_TIME),
            }),
            hosts: listener.turnstile(TurnstileLimits {
                all: hosts,
                each: CONNECTIONS_PER_HOST_MAX,
                margin: CONNECTIONS_PER_HOST_MAX,
                least: Duration::ZERO,
                after: None,
            }),
            hosts_max: hosts,
            complaints: RateLimiter::direct(Quota::per_minute(NonZeroU32::MIN)),
        }
    }

    /// A connection with what it may take, by what its certificate proves.
    fn let_in(&self, stream: TlsStream<TcpStream>, peer: Peer) -> io::Result<AgentConnection> {
        let allowance = match peer.agent {
            Some(Ok(agent)) => self
                .hosts
                .enter(agent.host)
                .map(Allowance::of_host)
                .inspect_err(|Full| self.complain_of_hosts()),
            None | Some(Err(_)) => self
                .strangers
                .enter(network_of(peer.address.ip()))
                .map(|place| Allowance::of_stranger(place, Arc::clone(&self.metrics))),
        };
        let allowance = allowance.map_err(|Full| {
            self.metrics.connections_refused.add(1);
            io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "too many connections like it are open",
            )
        })?;
        Ok(AgentConnection::new(stream, peer, allowance))
    }

    /// Says, now and then, that hosts stay outside.
    fn complain_of_hosts(&self) {
        if self.complaints.check().is_ok() {
            tracing::warn!(
                limit = self.hosts_max,
                "hosts are refused: as many are connected as connections_max and the limit of open files allow"
            );
        }
    }
}

/// A connection whose handshake has not begun.
struct Waiting {
    tcp: TcpStream,
    address: SocketAddr,
    since: Instant,
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
    let door = Arc::new(Door::of(&listener));
    // Each network has its turn, and who holds up handshakes holds up its own: those of a fleet behind one address wait for each other,
    // and one of thousands that do not go on ends for another network's.
    let mut waiting = FairQueue::new(listener.limits.waiting);
    let turns = listener.turnstile(TurnstileLimits {
        all: listener.limits.handshakes,
        each: usize::MAX,
        margin: MARGIN,
        least: HANDSHAKE_LEAST,
        after: None,
    });
    let mut handshakes = JoinSet::new();
    loop {
        let mut admit = |network: &IpAddr, next: &Waiting| match next.since.elapsed() {
            waited if waited > WAIT_MAX => Some(None),
            _ => turns.enter(*network).ok().map(Some),
        };
        while turns.may_admit()
            && let Some((next, turn)) = waiting.pop_by(&mut admit)
        {
            match turn {
                Some(turn) => {
                    handshakes.spawn(open(Arc::clone(&door), turn, next, ready.clone()));
                }
                None => door.metrics.connections_refused.add(1),
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = handshakes.join_next() => {}
            () = tokio::time::sleep(LOOK_AGAIN), if !waiting.is_empty() => {}
            accepted = listener.tcp.accept() => match accepted {
                Ok((tcp, address)) => {
                    let one = Waiting { tcp, address, since: Instant::now() };
                    if waiting.push(network_of(address.ip()), one).is_some() {
                        door.metrics.connections_refused.add(1);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an agent's connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    handshakes.shutdown().await;
    Ok(())
}

async fn open(
    door: Arc<Door>,
    turn: Place<IpAddr>,
    waiting: Waiting,
    ready: mpsc::Sender<io::Result<AgentConnection>>,
) {
    let address = waiting.address;
    let opening = async {
        let (stream, peer) = handshake(&door, waiting).await?;
        door.let_in(stream, peer)
    };
    let opened = tokio::select! {
        opened = opening => opened,
        () = turn.put_out().cancelled() => return,
    };
    match opened {
        // A closed queue means that the server is going away, and the connection with it.
        Ok(connection) => drop(ready.send(Ok(connection)).await),
        Err(error) => {
            tracing::debug!(%address, %error, "an agent's connection was refused");
        }
    }
}

async fn handshake(
    door: &Door,
    Waiting { tcp, address, .. }: Waiting,
) -> io::Result<(TlsStream<TcpStream>, Peer)> {
    tcp.set_nodelay(true)?;
    let acceptor = TlsAcceptor::from(door.tls.load_full());
    let opening = acceptor.accept(tcp).into_fallible();
    let opened = tokio::time::timeout(HANDSHAKE_TIMEOUT, opening).await;
    if !matches!(opened, Ok(Ok(_))) {
        door.metrics.handshakes_failed.add(1);
    }
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no handshake within 5 s");
    let stream = match opened.map_err(late)? {
        Ok(stream) => stream,
        Err((error, tcp)) => {
            hear_out(tcp).await;
            return Err(error);
        }
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let agent = certificates.and_then(<[_]>::first).map(agent_of);
    Ok((stream, Peer { address, agent }))
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
