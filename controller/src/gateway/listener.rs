//! The agents' TLS accept loop: handshakes side by side, within limits, and each connection with the identity it proved.
//!
//! Own, because the server must not resume TLS sessions and because slow or endless handshakes must not hold up the others.

use std::hash::Hash;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tidemark_model::HostId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connection::{AgentConnection, Allowance, Peer};
use crate::fair::turnstile::{Entry, Full};
use crate::fair::{Place, Turnstile, TurnstileLimits, network_of};
use crate::metrics::Metrics;
use crate::pki::peer::agent_of;

/// A handshake that takes longer is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long, and for how many bytes, a refused peer is listened to before its connection is closed.
const HEAR_OUT_MAX: Duration = Duration::from_secs(1);
const HEAR_OUT_BYTES_MAX: u64 = 64 * 1024;

/// Handshakes at once; more wait in the kernel's accept queue. Each costs about a millisecond of one core.
const HANDSHAKES_MAX: usize = 256;

/// Connections at once that proved nothing: enrolments, which last less than a second each.
const STRANGERS_MAX: usize = 256;

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
    /// Connections at once.
    pub connections_max: usize,
    /// Where refused handshakes are counted.
    pub metrics: Arc<Metrics>,
}

/// Who is in, and by whose place.
struct Door {
    tls: Arc<ArcSwap<ServerConfig>>,
    metrics: Arc<Metrics>,
    all: Arc<Semaphore>,
    connections_max: usize,
    handshakes: Arc<Turnstile<IpAddr>>,
    strangers: Arc<Turnstile<IpAddr>>,
    hosts: Arc<Turnstile<HostId>>,
}

impl Door {
    fn of(listener: &Listener) -> Self {
        let limits = |all, each| TurnstileLimits { all, each };
        Self {
            tls: Arc::clone(&listener.tls),
            metrics: Arc::clone(&listener.metrics),
            all: Arc::new(Semaphore::new(listener.connections_max)),
            connections_max: listener.connections_max,
            // A fleet behind one address waits for its own handshakes; it must not put them out.
            handshakes: Turnstile::new(limits(HANDSHAKES_MAX, usize::MAX)),
            strangers: Turnstile::new(limits(STRANGERS_MAX, STRANGERS_MAX)),
            hosts: Turnstile::new(limits(listener.connections_max, CONNECTIONS_PER_HOST_MAX)),
        }
    }

    fn count<K: Hash + Eq + Clone>(&self, (place, entry): (Place<K>, Entry)) -> Place<K> {
        if entry == Entry::Displacing {
            self.metrics.connections_displaced.add(1);
        }
        place
    }

    /// A turn to shake hands. While everybody has about as many, those who are in come first, and this one waits.
    async fn turn(&self, address: SocketAddr) -> Place<IpAddr> {
        let entered = self.handshakes.wait(network_of(address.ip())).await;
        self.count(entered)
    }

    /// What a connection may take, by what its certificate proves.
    fn allowance(&self, peer: &Peer) -> io::Result<Allowance> {
        let entered = match peer.agent {
            Some(Ok(agent)) => {
                let entered = self.hosts.enter(agent.host);
                entered.map(|entered| Allowance::of_host(self.count(entered)))
            }
            None | Some(Err(_)) => {
                let entered = self.strangers.enter(network_of(peer.address.ip()));
                entered.map(|entered| {
                    Allowance::of_stranger(self.count(entered), Arc::clone(&self.metrics))
                })
            }
        };
        entered.map_err(|Full| {
            self.metrics.connections_refused.add(1);
            io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "too many connections like it are open",
            )
        })
    }
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
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
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
        let Ok(place) = Arc::clone(&door.all).try_acquire_owned() else {
            door.metrics.connections_refused.add(1);
            tracing::debug!(%address, limit = door.connections_max, "connection refused: limit of connections reached");
            continue;
        };
        let turn = tokio::select! {
            () = stop.cancelled() => break,
            turn = door.turn(address) => turn,
        };
        let (door, ready) = (Arc::clone(&door), ready.clone());
        handshakes.spawn(async move {
            let opened = tokio::select! {
                () = turn.put_out().cancelled() => Err(io::Error::other("others wait, and its address had most handshakes")),
                opened = handshake(&door, tcp, address, place) => opened,
            };
            match opened {
                // A closed queue means that the server is going away, and the connection with it.
                Ok(connection) => drop(ready.send(Ok(connection)).await),
                Err(error) => {
                    door.metrics.handshakes_failed.add(1);
                    tracing::debug!(%address, %error, "an agent's connection was refused");
                }
            }
        });
    }
    handshakes.shutdown().await;
    Ok(())
}

async fn handshake(
    door: &Door,
    tcp: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
) -> io::Result<AgentConnection> {
    tcp.set_nodelay(true)?;
    let acceptor = TlsAcceptor::from(door.tls.load_full());
    let opening = acceptor.accept(tcp).into_fallible();
    let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, opening)
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
    let peer = Peer { address, agent };
    let allowance = door.allowance(&peer)?;
    Ok(AgentConnection::new(stream, peer, allowance, place))
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
