//! A program that uses up local ports, by leaking sockets or by churning connections, and says when there are none left.
//! It prints one JSON line an event; the tests and whoever wants to see Tidemark at work run it.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidemark_runtime::Clock;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};

/// Uses up local ports.
#[derive(Debug, Parser)]
#[command(name = "port_eater", version)]
struct Args {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Bind sockets to ports and never connect them, beside a few connections that stay.
    Leak {
        /// Sockets a second.
        #[arg(long)]
        per_second: f64,
        /// Where the connections that stay go to.
        #[arg(long)]
        to: SocketAddr,
        /// How many connections stay.
        #[arg(long, default_value_t = 5)]
        connections: usize,
        /// How many sockets; without it until no port is left.
        #[arg(long)]
        sockets: Option<usize>,
    },
    /// Open and close connections to one destination, so that TIME_WAIT is on this side.
    Churn {
        /// Connections a second.
        #[arg(long)]
        per_second: f64,
        /// The destination.
        #[arg(long)]
        to: SocketAddr,
    },
    /// Connect and keep every connection, whatever the peer does with it.
    Hoard {
        /// Connections a second.
        #[arg(long)]
        per_second: f64,
        /// The destination.
        #[arg(long)]
        to: SocketAddr,
        /// How many; without it until no port is left.
        #[arg(long)]
        connections: Option<usize>,
    },
    /// Connect so many times and close all of it, over and over, as a batch does.
    Batch {
        /// Connections a second.
        #[arg(long)]
        per_second: f64,
        /// The destination.
        #[arg(long)]
        to: SocketAddr,
        /// How many at most.
        #[arg(long)]
        connections: usize,
    },
    /// Connect once and end, as a short program does.
    Call {
        /// The destination.
        #[arg(long)]
        to: SocketAddr,
    },
    /// Open UDP sockets and never close them.
    Udp {
        /// Sockets a second.
        #[arg(long)]
        per_second: f64,
    },
    /// Open UDP sockets and close the oldest, as a resolver does.
    Resolve {
        /// Sockets a second.
        #[arg(long)]
        per_second: f64,
        /// How many are open at once.
        #[arg(long)]
        sockets: usize,
    },
    /// Begin connections without waiting for the ones before.
    Knock {
        /// Attempts a second.
        #[arg(long)]
        per_second: f64,
        /// The destination.
        #[arg(long)]
        to: SocketAddr,
    },
    /// Try one port of a machine after the other, as a scanner does.
    Scan {
        /// Attempts a second.
        #[arg(long)]
        per_second: f64,
        /// The machine.
        #[arg(long)]
        to: Ipv4Addr,
    },
    /// Accept connections, and close each after its peer did.
    Serve {
        /// Where.
        #[arg(long)]
        at: SocketAddr,
    },
    /// Accept connections and close each at once.
    HangUp {
        /// Where.
        #[arg(long)]
        at: SocketAddr,
    },
    /// Listen and never accept, so that attempts get no answer.
    Deaf {
        /// Where.
        #[arg(long)]
        at: SocketAddr,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    raise_descriptor_limit()?;
    match Args::parse().mode {
        Mode::Leak {
            per_second,
            to,
            connections,
            sockets,
        } => {
            let sockets = sockets.unwrap_or(usize::MAX);
            leak(pace(per_second)?, to, connections, sockets).await
        }
        Mode::Churn { per_second, to } => churn(pace(per_second)?, to).await,
        Mode::Hoard {
            per_second,
            to,
            connections,
        } => hoard(pace(per_second)?, to, connections.unwrap_or(usize::MAX)).await,
        Mode::Batch {
            per_second,
            to,
            connections,
        } => batch(pace(per_second)?, to, connections).await,
        Mode::Call { to } => TcpStream::connect(to)
            .await
            .map(drop)
            .context("no connection"),
        Mode::Resolve {
            per_second,
            sockets,
        } => resolve(pace(per_second)?, sockets).await,
        Mode::Udp { per_second } => udp(pace(per_second)?).await,
        Mode::Knock { per_second, to } => knock(pace(per_second)?, to).await,
        Mode::Scan { per_second, to } => scan(pace(per_second)?, to).await,
        Mode::Serve { at } => serve(at).await,
        Mode::HangUp { at } => hang_up(at).await,
        Mode::Deaf { at } => deaf(at).await,
    }
}

/// Holds a socket more each time, until it has them or no port is left; then holds what it has.
async fn leak(
    mut pace: Interval,
    to: SocketAddr,
    connections: usize,
    sockets: usize,
) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for _ in 0..connections {
        kept.push(TcpStream::connect(to).await?);
    }
    let mut leaked = Vec::new();
    say("started", 0)?;
    while leaked.len() < sockets {
        pace.tick().await;
        let socket = TcpSocket::new_v4()?;
        match socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) {
            Ok(()) => leaked.push(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => break,
            Err(error) => return Err(error).context("a socket cannot be bound"),
        }
    }
    say_end(leaked.len(), sockets)?;
    std::future::pending().await
}

/// Goes on after the ports are used up, as a client that tries again does.
async fn churn(mut pace: Interval, to: SocketAddr) -> anyhow::Result<()> {
    let mut made = 0;
    let mut is_exhausted = false;
    say("started", 0)?;
    loop {
        pace.tick().await;
        match TcpStream::connect(to).await {
            Ok(stream) => {
                // Whoever closes first has the TIME_WAIT.
                drop(stream);
                made += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                if !is_exhausted {
                    say("exhausted", made)?;
                }
                is_exhausted = true;
            }
            Err(error) => return Err(error).context("no connection"),
        }
    }
}

async fn serve(at: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(at).await?;
    let mut open = JoinSet::new();
    say("started", 0)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        while open.try_join_next().is_some() {}
        open.spawn(async move { stream.read(&mut [0]).await });
    }
}

/// Says so when it has as many as it was to make, or when no port is left; then keeps what it has.
async fn hoard(mut pace: Interval, to: SocketAddr, connections: usize) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    say("started", 0)?;
    while kept.len() < connections {
        pace.tick().await;
        match TcpStream::connect(to).await {
            Ok(stream) => kept.push(stream),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => break,
            Err(error) => return Err(error).context("no connection"),
        }
    }
    say_end(kept.len(), connections)?;
    std::future::pending().await
}

async fn batch(mut pace: Interval, to: SocketAddr, connections: usize) -> anyhow::Result<()> {
    say("started", 0)?;
    loop {
        let mut open = Vec::new();
        while open.len() < connections {
            pace.tick().await;
            open.push(TcpStream::connect(to).await?);
        }
        say("full", open.len())?;
    }
}

async fn resolve(mut pace: Interval, sockets: usize) -> anyhow::Result<()> {
    let mut open = VecDeque::new();
    say("started", 0)?;
    loop {
        pace.tick().await;
        open.push_back(std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        if open.len() == sockets {
            say("full", sockets)?;
        }
        if open.len() > sockets {
            open.pop_front();
        }
    }
}

async fn udp(mut pace: Interval) -> anyhow::Result<()> {
    let mut leaked = Vec::new();
    say("started", 0)?;
    loop {
        pace.tick().await;
        match std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            Ok(socket) => leaked.push(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => break,
            Err(error) => return Err(error).context("a socket cannot be bound"),
        }
    }
    say("exhausted", leaked.len())?;
    std::future::pending().await
}

async fn knock(mut pace: Interval, to: SocketAddr) -> anyhow::Result<()> {
    let mut attempts = JoinSet::new();
    let mut answered = Vec::new();
    say("started", 0)?;
    loop {
        pace.tick().await;
        attempts.spawn(TcpStream::connect(to));
        while let Some(Ok(attempt)) = attempts.try_join_next() {
            answered.extend(attempt.ok());
        }
    }
}

async fn scan(mut pace: Interval, to: Ipv4Addr) -> anyhow::Result<()> {
    say("started", 0)?;
    for port in (1..=u16::MAX).cycle() {
        pace.tick().await;
        // A closed port is what most of them are.
        TcpStream::connect((to, port)).await.ok();
    }
    Ok(())
}

async fn hang_up(at: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(at).await?;
    say("started", 0)?;
    loop {
        drop(listener.accept().await?);
    }
}

/// What the kernel accepts by itself is soon full.
async fn deaf(at: SocketAddr) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(at)?;
    let _listener = socket.listen(1)?;
    say("started", 0)?;
    std::future::pending().await
}

fn pace(per_second: f64) -> anyhow::Result<Interval> {
    anyhow::ensure!(
        (0.01..=10_000.0).contains(&per_second),
        "--per-second is {per_second}; write a number from 0.01 to 10000"
    );
    Ok(interval(Duration::from_secs_f64(1.0 / per_second)))
}

/// That it has as many as it was to have, or that no port is left.
fn say_end(sockets: usize, wanted: usize) -> io::Result<()> {
    let event = if sockets == wanted {
        "full"
    } else {
        "exhausted"
    };
    say(event, sockets)
}

fn say(event: &str, sockets: usize) -> io::Result<()> {
    let at_ms = Clock::System.now().unix_ms();
    let line = serde_json::json!({ "event": event, "at_ms": at_ms, "sockets": sockets });
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A thousand sockets are more than many shells allow.
fn raise_descriptor_limit() -> anyhow::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}
