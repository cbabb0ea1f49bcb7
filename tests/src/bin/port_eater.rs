//! A program that uses up local ports, by leaking sockets or by churning connections, and says when there are none left.
//! It prints one JSON line an event; the tests and whoever wants to see Tidemark at work run it.

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
    /// Accept connections, and close each after its peer did.
    Serve {
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
        } => leak(pace(per_second)?, to, connections).await,
        Mode::Churn { per_second, to } => churn(pace(per_second)?, to).await,
        Mode::Serve { at } => serve(at).await,
    }
}

/// Holds a socket more each time, until no port is left; then holds what it has.
async fn leak(mut pace: Interval, to: SocketAddr, connections: usize) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for _ in 0..connections {
        kept.push(TcpStream::connect(to).await?);
    }
    let mut leaked = Vec::new();
    say("started", 0)?;
    loop {
        pace.tick().await;
        let socket = TcpSocket::new_v4()?;
        match socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) {
            Ok(()) => leaked.push(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => break,
            Err(error) => return Err(error).context("a socket cannot be bound"),
        }
    }
    say("exhausted", leaked.len())?;
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

fn pace(per_second: f64) -> anyhow::Result<Interval> {
    anyhow::ensure!(
        (0.01..=10_000.0).contains(&per_second),
        "--per-second is {per_second}; write a number from 0.01 to 10000"
    );
    Ok(interval(Duration::from_secs_f64(1.0 / per_second)))
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
