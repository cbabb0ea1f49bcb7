//! The shapes of the detection benchmark's lines, and what is legal in them. Knows no detector.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::causes::CommonCause;

/// Ports of one address family and protocol.
const PORTS_MAX: u32 = 65_536;
/// Longest host name, in bytes.
const HOST_BYTES_MAX: usize = 255;
/// Processes and events of one sample.
const ITEMS_MAX: usize = 1_000;
/// Agents list six processes and seldom more.
const PROCESSES_USUAL: usize = 8;
/// The end of the year 9999, in Unix milliseconds.
const TIME_MAX: i64 = 253_402_300_799_999;

/// One sample of the benchmark.
#[derive(Debug, Deserialize)]
pub struct SampleLine<'a> {
    /// Host name.
    #[serde(borrow)]
    pub host: Cow<'a, str>,
    /// When it was taken, by the host's clock.
    pub ts_unix_ms: i64,
    /// When the controller received it.
    pub recv_unix_ms: i64,
    /// When the host booted, by the host's clock.
    pub boot_unix_ms: i64,
    /// Ports in use.
    pub in_use: u32,
    /// Ports that can be handed out.
    pub capacity: u32,
    /// Ports of TIME_WAIT.
    pub time_wait: u32,
    /// Ports of bound sockets.
    pub bound: Option<u32>,
    /// The largest holders.
    #[serde(borrow, default, deserialize_with = "processes")]
    pub procs: Vec<ProcessLine<'a>>,
    /// What the host's log said.
    #[serde(borrow, default)]
    pub events: Vec<EventLine<'a>>,
}

/// One process of a sample.
#[derive(Debug, Deserialize)]
pub struct ProcessLine<'a> {
    /// Image name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Process id.
    pub pid: i64,
    /// Ports that it holds.
    pub ports: u32,
    /// Its open handles.
    pub handles: Option<u32>,
}

/// Reads a list of processes into room for as many as most samples have; a list that grows is moved several times.
fn processes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ProcessLine<'de>>, D::Error> {
    struct Listed;
    impl<'de> Visitor<'de> for Listed {
        type Value = Vec<ProcessLine<'de>>;

        fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("a list of processes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut processes = Vec::with_capacity(PROCESSES_USUAL);
            while let Some(process) = list.next_element()? {
                processes.push(process);
            }
            Ok(processes)
        }
    }
    from.deserialize_seq(Listed)
}

/// One event of a sample.
#[derive(Debug, Deserialize)]
pub struct EventLine<'a> {
    /// An event id, or `deploy`.
    #[serde(borrow)]
    pub id: EventId<'a>,
    /// How many times it was seen.
    pub n: Option<u32>,
    /// What was deployed.
    #[serde(borrow, default)]
    pub svc: Option<Cow<'a, str>>,
    /// Its version from then on.
    #[serde(borrow, default)]
    pub ver: Option<Cow<'a, str>>,
}

/// An event id of the benchmark.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum EventId<'a> {
    /// Of the System log.
    Number(u64),
    /// Of the replay itself.
    #[serde(borrow)]
    Name(Cow<'a, str>),
}

/// What is known of a host beside its samples.
#[derive(Debug, Deserialize)]
pub struct InventoryLine {
    /// Host name.
    pub host: String,
    /// Attributes by name.
    #[serde(default)]
    pub attrs: BTreeMap<String, String>,
}

/// A field whose value is out of its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// Which field.
    pub field: &'static str,
    /// Its value, its limit and what to do.
    pub problem: String,
}

fn within<T: PartialOrd + fmt::Display>(
    field: &'static str,
    value: T,
    (least, greatest): (T, T),
    remedy: &str,
) -> Result<(), FieldProblem> {
    if value >= least && value <= greatest {
        return Ok(());
    }
    Err(FieldProblem {
        field,
        problem: format!("is {value}, but must be {least} to {greatest}: {remedy}"),
    })
}

impl SampleLine<'_> {
    /// Checks the limits of every field.
    ///
    /// # Errors
    /// The first field that is out of its limits.
    pub fn check(&self) -> Result<(), FieldProblem> {
        const COUNT: &str = "no port space has more ports; correct the line or leave it out";
        const TIME: &str = "times are milliseconds since 1970, not seconds or nanoseconds";
        check_host(&self.host)?;
        within("ts_unix_ms", self.ts_unix_ms, (0, TIME_MAX), TIME)?;
        within("recv_unix_ms", self.recv_unix_ms, (0, TIME_MAX), TIME)?;
        within("boot_unix_ms", self.boot_unix_ms, (0, TIME_MAX), TIME)?;
        within("capacity", self.capacity, (0, PORTS_MAX), COUNT)?;
        within("in_use", self.in_use, (0, PORTS_MAX), COUNT)?;
        within(
            "time_wait",
            self.time_wait,
            (0, self.in_use),
            "TIME_WAIT is a part of in_use",
        )?;
        within("bound", self.bound.unwrap_or(0), (0, PORTS_MAX), COUNT)?;
        const ITEMS: &str = "keep the largest and leave the rest out";
        within(
            "procs (their number)",
            self.procs.len(),
            (0, ITEMS_MAX),
            ITEMS,
        )?;
        within(
            "events (their number)",
            self.events.len(),
            (0, ITEMS_MAX),
            ITEMS,
        )?;
        for process in &self.procs {
            within("procs.ports", process.ports, (0, PORTS_MAX), COUNT)?;
        }
        Ok(())
    }
}

impl InventoryLine {
    /// Checks the limits of every field.
    ///
    /// # Errors
    /// The first field that is out of its limits.
    pub fn check(&self) -> Result<(), FieldProblem> {
        check_host(&self.host)
    }
}

fn check_host(host: &str) -> Result<(), FieldProblem> {
    within(
        "host (its length in bytes)",
        host.len(),
        (1, HOST_BYTES_MAX),
        "name the host as its samples do",
    )
}

/// What is held of a host from now on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerdictLine {
    /// Host name.
    pub host: String,
    /// From when on: the controller's clock.
    pub ts_unix_ms: i64,
    /// Whether it will run out of ports.
    pub alert: bool,
    /// When (median).
    pub eta_unix_ms: Option<i64>,
    /// Start of the 80 % interval.
    pub eta_lo: Option<i64>,
    /// End of the 80 % interval.
    pub eta_hi: Option<i64>,
    /// Process or remote endpoint.
    pub culprit: Option<String>,
    /// `leak`, `churn`, `load` or `saturated`.
    pub road: Option<&'static str>,
    /// Why, in one sentence.
    pub text: String,
}

/// A cause that hosts have in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupLine {
    /// From when on: the controller's clock.
    pub ts_unix_ms: i64,
    /// The cause.
    pub group: CommonCause,
    /// The counts both ways, in one sentence.
    pub text: String,
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Told {
    /// Of a host.
    Verdict(VerdictLine),
    /// Of a common cause.
    Group(GroupLine),
}

impl Told {
    /// From when on it holds: the controller's clock, in Unix milliseconds.
    #[must_use]
    pub const fn at(&self) -> i64 {
        match self {
            Self::Verdict(line) => line.ts_unix_ms,
            Self::Group(line) => line.ts_unix_ms,
        }
    }
}
