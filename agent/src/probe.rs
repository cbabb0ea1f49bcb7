//! Active probes: what an application would meet if it asked for a port at this moment.
//!
//! Cheap and neutral: nothing is left in TIME_WAIT, nothing leaves the host. Knows no sample but its own results.

mod localhost;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tidemark_model::Protocol;
use tidemark_model::sample::{ProbeKind, ProbeOutcome, ProbeResult};
use tidemark_platform::attempt::{AttemptError, HeldPort, LoopbackListener, hold_port};
use tidemark_platform::own;

use self::localhost::LocalhostOrder;

/// How many ports the burst asks for at once.
pub const BURST_PORTS: u32 = 32;

/// Runs the probes of a host, a round at most every interval.
#[derive(Debug)]
pub struct Probes {
    interval: Duration,
    last_round: Option<Duration>,
    /// Kept between rounds, so that the connect probe needs one port and not two.
    listener: Option<LoopbackListener>,
    localhost: LocalhostOrder,
}

impl Probes {
    /// Probes with at least `interval` between rounds.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            last_round: None,
            listener: None,
            localhost: LocalhostOrder::default(),
        }
    }

    /// One result of each kind when a round is due at `since_boot`, none otherwise.
    pub fn run_due(&mut self, since_boot: Duration) -> Vec<ProbeResult> {
        let is_recent = |last: Duration| since_boot.saturating_sub(last) < self.interval;
        if self.last_round.is_some_and(is_recent) {
            return Vec::new();
        }
        self.last_round = Some(since_boot);
        ProbeKind::ALL.map(|kind| self.run(kind)).to_vec()
    }

    fn run(&mut self, kind: ProbeKind) -> ProbeResult {
        let started = own::time_since_boot();
        let (value, outcome) = match kind {
            ProbeKind::BindTcpV4 => (None, bind(Protocol::Tcp, Ipv4Addr::LOCALHOST.into())),
            ProbeKind::BindTcpV6 => (None, bind(Protocol::Tcp, Ipv6Addr::LOCALHOST.into())),
            ProbeKind::BindUdp => (None, bind(Protocol::Udp, Ipv4Addr::LOCALHOST.into())),
            ProbeKind::BindBurst => burst(),
            ProbeKind::ConnectLoopback => (None, self.connect()),
            ProbeKind::LocalhostOrder => self.localhost.ask(),
        };
        let took = own::time_since_boot().saturating_sub(started);
        ProbeResult {
            kind,
            duration_us: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
            value,
            outcome,
        }
    }

    fn connect(&mut self) -> ProbeOutcome {
        let listener = match self.listener.take() {
            Some(listener) => Ok(listener),
            None => LoopbackListener::open(),
        };
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return outcome_of(&error),
        };
        match listener.connect() {
            Ok(()) => {
                self.listener = Some(listener);
                ProbeOutcome::Succeeded
            }
            // Without ports a listener that is given up may not be had again.
            Err(error @ AttemptError::Exhausted(_)) => {
                self.listener = Some(listener);
                outcome_of(&error)
            }
            Err(error) => outcome_of(&error),
        }
    }
}

fn bind(protocol: Protocol, address: IpAddr) -> ProbeOutcome {
    match hold_port(protocol, address) {
        Ok(_) => ProbeOutcome::Succeeded,
        Err(error) => outcome_of(&error),
    }
}

/// Holds [`BURST_PORTS`] ports at once and lets them go: how many there were says how near the end is.
fn burst() -> (Option<u32>, ProbeOutcome) {
    let mut held: Vec<HeldPort> = Vec::new();
    let mut outcome = ProbeOutcome::Succeeded;
    for _ in 0..BURST_PORTS {
        match hold_port(Protocol::Tcp, Ipv4Addr::LOCALHOST.into()) {
            Ok(port) => held.push(port),
            Err(error) => {
                outcome = outcome_of(&error);
                break;
            }
        }
    }
    (u32::try_from(held.len()).ok(), outcome)
}

fn outcome_of(error: &AttemptError) -> ProbeOutcome {
    match error {
        AttemptError::Exhausted(_) => ProbeOutcome::Exhausted,
        AttemptError::Unsupported(_) => ProbeOutcome::Unsupported,
        AttemptError::Failed(source) => ProbeOutcome::Failed(source.raw_os_error().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests;
