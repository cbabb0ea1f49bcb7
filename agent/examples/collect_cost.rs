//! What a sample costs beside a bare dump of the socket tables, in the same run: CPU and resident memory.
//!
//! `cargo run --release -p tidemark-agent --example collect_cost` as root; prints a table and one line of JSON. Sockets
//! are made in network namespaces of their own, on loopback, by child processes. The JSON of a run is in `collect_cost.json`.
//!
//! `collect_cost beside SCENE COMMAND [ARGUMENT...]` measures one scene and then runs the command inside of its namespace,
//! while the sockets are still held: what others cost there. `tests/bench/run` does.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _, stderr, stdin, stdout};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tidemark_agent::collect::{CollectSettings, Collector};
use tidemark_model::sample::PortSpaceSample;
use tidemark_model::{Protocol, Timestamp};
use tidemark_platform::attempt::{HeldPort, hold_port};
use tidemark_platform::namespace::run_in_new;
use tidemark_platform::own;
use tidemark_platform::tables::{BoundVisibility, SocketTables, TableQuery};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How often each thing is measured; the median counts.
const ROUNDS: usize = 15;
/// Sockets of one holder, below the usual hard limit of open files.
const SOCKETS_PER_HOLDER: usize = 16_000;
/// What is renewed between two samples in the row with churn: 1 of 20 connections.
const CHURN: usize = 20;

/// Name, kind of sockets, how many, and whether some are renewed between samples.
const SCENES: [(&str, &str, usize, bool); 7] = [
    ("idle", "pairs", 0, false),
    ("2k", "pairs", 2_000, false),
    ("20k", "pairs", 20_000, false),
    ("56k", "pairs", 56_000, false),
    ("56k, 5 % new", "pairs", 56_000, true),
    ("20k bound", "bound", 20_000, false),
    ("20k TIME_WAIT", "time_wait", 20_000, false),
];

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => run_all(),
        (Some("scene"), Some(index)) => run_in_new(|| measure(index.parse()?, &[]))?,
        (Some("beside"), Some(name)) => {
            let index = SCENES.iter().position(|scene| scene.0 == name);
            let index = index.ok_or_else(|| format!("there is no scene {name}"))?;
            let command: Vec<String> = arguments.collect();
            run_in_new(|| measure(index, &command))?
        }
        (Some(kind), Some(sockets)) => hold(kind, sockets.parse()?),
        (Some(other), None) => Err(format!("unknown argument {other}").into()),
    }
}

/// Each scene in a process of its own, so that memory is not inherited.
fn run_all() -> Outcome<()> {
    let mut out = stdout().lock();
    writeln!(
        out,
        "{:<14} {:>7} {:>8} {:>9} {:>8} {:>8} {:>9} {:>6} {:>6} {:>6} {:>9}",
        "scene",
        "sockets",
        "dump ms",
        "+bound ms",
        "light ms",
        "first ms",
        "sample ms",
        "x dump",
        "x all",
        "light",
        "resident"
    )?;
    let mut rows = Vec::new();
    for index in 0..SCENES.len() {
        let scene = Command::new(std::env::current_exe()?)
            .args(["scene", &index.to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        let row = String::from_utf8(scene.stdout)?;
        let (table, json) = row.split_once('\n').ok_or("a scene failed")?;
        writeln!(out, "{table}")?;
        out.flush()?;
        rows.push(json.trim().to_owned());
    }
    writeln!(out, "[{}]", rows.join(","))?;
    Ok(())
}

/// Child processes that hold sockets until they are dropped.
struct Holder {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Holder {
    fn start(kind: &str, sockets: usize) -> Outcome<Self> {
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -n $(ulimit -Hn) && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe()?)
            .args([kind, &sockets.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut holder = Self {
            child,
            commands,
            answers,
        };
        holder.wait()?;
        Ok(holder)
    }

    fn wait(&mut self) -> Outcome<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line == "ready\n" {
            Ok(())
        } else {
            Err("a holder of sockets failed".into())
        }
    }

    fn churn(&mut self) -> Outcome<()> {
        let commands = self.commands.as_mut().ok_or("no input")?;
        writeln!(commands, "churn")?;
        self.wait()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.commands = None;
        if let Err(error) = self.child.wait() {
            drop(writeln!(
                stderr(),
                "a holder of sockets did not end: {error}"
            ));
        }
    }
}

fn hold(kind: &str, sockets: usize) -> Outcome<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut pairs = Vec::new();
    let mut bound: Vec<HeldPort> = Vec::new();
    match kind {
        "pairs" => {
            for _ in 0..sockets / 2 {
                pairs.push(connect(&listener, address)?);
            }
        }
        "bound" => {
            for _ in 0..sockets {
                bound.push(hold_port(Protocol::Tcp, Ipv4Addr::LOCALHOST.into())?);
            }
        }
        "time_wait" => {
            for _ in 0..sockets {
                let (client, mut server) = connect(&listener, address)?;
                drop(client);
                server
                    .read_exact(&mut [0])
                    .err()
                    .ok_or("the client did not close")?;
            }
        }
        other => return Err(format!("unknown kind {other}").into()),
    }
    writeln!(stdout(), "ready")?;
    for line in stdin().lines() {
        line?;
        let renewed = pairs.len() / CHURN;
        pairs.drain(..renewed);
        for _ in 0..renewed {
            pairs.push(connect(&listener, address)?);
        }
        writeln!(stdout(), "ready")?;
    }
    Ok(())
}

fn connect(listener: &TcpListener, address: SocketAddr) -> Outcome<(TcpStream, TcpStream)> {
    let client = TcpStream::connect(address)?;
    Ok((client, listener.accept()?.0))
}

/// CPU time of each thing measured, one value a round.
#[derive(Default)]
struct Costs {
    dump: Vec<Duration>,
    dump_with_bound: Vec<Duration>,
    light: Vec<Duration>,
    sample: Vec<Duration>,
}

fn measure(index: usize, then: &[String]) -> Outcome<()> {
    let (name, kind, sockets, churns) = *SCENES.get(index).ok_or("no such scene")?;
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535")?;
    // Otherwise connections take over ports in TIME_WAIT, and the scene has fewer sockets than it says.
    fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "0")?;
    let mut holders = Vec::new();
    let mut left = sockets;
    while left > 0 {
        let share = left.min(SOCKETS_PER_HOLDER);
        holders.push(Holder::start(kind, share)?);
        left -= share;
    }
    let settings = CollectSettings {
        probe_interval: None,
        ..CollectSettings::shipped(Duration::from_secs(30))
    };
    let mut collector = Collector::new(settings)?;
    let mut tables = SocketTables::open()?;
    let now = Timestamp::from_unix_ms(1_800_000_000_000);
    let (first, _) = cost_of(|| Ok(collector.sample(now)?))?;
    let mut costs = Costs::default();
    let (mut visible, mut rows) = (0, 0);
    for _ in 0..ROUNDS {
        if churns {
            for holder in &mut holders {
                holder.churn()?;
            }
        }
        let (cost, seen) = cost_of(|| dump(&mut tables, BoundVisibility::Hidden))?;
        visible = seen;
        costs.dump.push(cost);
        let (cost, seen) = cost_of(|| dump(&mut tables, BoundVisibility::Listed))?;
        costs.dump_with_bound.push(cost);
        rows = seen;
        let (cost, ()) = cost_of(|| Ok(collector.light_count(now)?))?;
        costs.light.push(cost);
        let (cost, sample) = cost_of(|| Ok(collector.sample(now)?))?;
        costs.sample.push(cost);
        check(&sample.port_spaces, kind, sockets, holders.len())?;
    }
    report(name, (visible, rows), first, &mut costs)?;
    run_beside(then)
}

/// Runs a command, if one is given, where the scene's sockets are.
fn run_beside(command: &[String]) -> Outcome<()> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    let status = Command::new(program).args(arguments).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{program}: {status}").into())
    }
}

/// A fast answer that is wrong is no answer.
fn check(spaces: &[PortSpaceSample], kind: &str, sockets: usize, holders: usize) -> Outcome<()> {
    let tcp = spaces.first().ok_or("no port space")?;
    let listed = tcp.states_v4.total() as usize;
    let held: u32 = tcp.owners.iter().map(|owner| owner.counts.sockets).sum();
    let expected = if kind == "time_wait" {
        holders
    } else {
        sockets + holders
    };
    if listed < sockets + holders || (held as usize) != expected {
        return Err(format!("{listed} sockets listed, {held} with owners, {sockets} made").into());
    }
    Ok(())
}

fn dump(tables: &mut SocketTables, bound: BoundVisibility) -> Outcome<u32> {
    let query = TableQuery {
        protocol: Protocol::Tcp,
        bound,
        local_ports: None,
    };
    let mut holders = 0_u32;
    let report = tables.dump_by_family(query, |row| holders ^= row.holder)?;
    std::hint::black_box(holders);
    Ok(report.rows)
}

fn cost_of<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(Duration, T)> {
    let before = own::cpu_time();
    let result = work()?;
    Ok((own::cpu_time().saturating_sub(before), result))
}

fn report(
    name: &str,
    (visible, rows): (u32, u32),
    first: Duration,
    costs: &mut Costs,
) -> Outcome<()> {
    let (dump_mean, sample_mean) = (mean_ms(&costs.dump), mean_ms(&costs.sample));
    let dump = median_ms(&mut costs.dump);
    let all = median_ms(&mut costs.dump_with_bound);
    let light = median_ms(&mut costs.light);
    let sample = median_ms(&mut costs.sample);
    let first = first.as_secs_f64() * 1e3;
    let resident = own::resident_bytes().ok_or("no resident memory")?;
    let mut out = stdout().lock();
    // A dump that does not list the scene's sockets is nothing to compare with.
    let by_dump = (f64::from(visible) >= 0.9 * f64::from(rows)).then(|| sample / dump);
    let shown = by_dump.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    writeln!(
        out,
        "{name:<14} {rows:>7} {dump:>8.2} {all:>9.2} {light:>8.2} {first:>8.2} {sample:>9.2} {shown:>6} {:>6.2} {:>6.2} {:>6.1} MB",
        sample / all,
        light / dump,
        resident as f64 / 1e6,
    )?;
    let json = serde_json::json!({
        "scene": name,
        "sockets": rows,
        "dump_cpu_ms": dump,
        "dump_with_bound_cpu_ms": all,
        "light_cpu_ms": light,
        "first_sample_cpu_ms": first,
        "sample_cpu_ms": sample,
        "dump_cpu_mean_ms": dump_mean,
        "sample_cpu_mean_ms": sample_mean,
        "sample_by_dump": by_dump,
        "sample_by_dump_with_bound": sample / all,
        "light_by_dump": light / dump,
        "resident_bytes": resident,
    });
    writeln!(out, "{json}")?;
    Ok(())
}

fn median_ms(costs: &mut [Duration]) -> f64 {
    costs.sort_unstable();
    let middle = costs.get(costs.len() / 2).copied().unwrap_or_default();
    middle.as_secs_f64() * 1e3
}

fn mean_ms(costs: &[Duration]) -> f64 {
    let sum: Duration = costs.iter().sum();
    sum.as_secs_f64() * 1e3 / costs.len().max(1) as f64
}
