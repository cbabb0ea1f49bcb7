//! What the detector is told of one port space: readings at an instant, and rollups of stored history.
//!
//! Times are on the controller's clock. Knows nothing of where readings come from but the shape of a sample.

use std::net::SocketAddr;
use std::time::Duration;

use tidemark_model::sample::{PortSpaceSample, ProcessIdentity};
use tidemark_model::time::duration_ms;
use tidemark_model::{Sample, Timestamp};

/// One port space at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// When the tables were read, on the controller's clock.
    pub at: Timestamp,
    /// When the host booted, on the controller's clock. A boot is new when it is more than two minutes later.
    pub booted_at: Timestamp,
    /// Ports that can be handed out; 0 when that is unknown.
    pub capacity: u32,
    /// Distinct ports that cannot be handed out: strong plus those of TIME_WAIT alone.
    pub in_use: u32,
    /// Of those, ports held in any state but TIME_WAIT.
    pub strong: u32,
    /// Of those, ports of bound-but-unconnected sockets alone; `None` where the system cannot tell.
    pub bound: Option<u32>,
    /// Highest count of ports in use since the reading before; `None` when no light count ran.
    pub peak: Option<u32>,
    /// Outbound connections opened, in thousandths a second; `None` when unknown.
    pub opens_milli_per_s: Option<u64>,
    /// Events since the reading before that say that a port was refused (4231, 4266).
    pub exhaustion_events: u32,
    /// The processes with the most ports.
    pub owners: &'a [OwnerReading<'a>],
    /// No process that is not listed holds more ports than this.
    pub unlisted_ports_max: u32,
    /// The remote endpoints with the most ports.
    pub destinations: &'a [DestinationReading],
}

/// What one process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerReading<'a> {
    /// Image name or service: what an operator would restart.
    pub name: &'a str,
    /// Changes when the process restarts: its start time or id. `None` where that is not stored: a restart is then what
    /// frees a third of its ports and of its handles at once.
    pub incarnation: Option<i64>,
    /// Distinct dynamic local ports, bound ones included where the system shows them.
    pub ports: u32,
    /// Open handles or file descriptors; `None` when they may not be counted.
    pub handles: Option<u32>,
}

/// What one remote endpoint occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationReading {
    /// The remote endpoint.
    pub remote: SocketAddr,
    /// Distinct local ports used towards it, TIME_WAIT included.
    pub ports: u32,
    /// Of those, held by TIME_WAIT.
    pub time_wait: u32,
}

impl Observation<'_> {
    /// Ports that TIME_WAIT alone holds.
    #[must_use]
    pub const fn time_wait(&self) -> u32 {
        self.in_use.saturating_sub(self.strong)
    }
}

/// The owners and destinations of one port space of a sample, in the detector's form.
#[derive(Clone, Debug)]
pub struct SampleReadings<'a> {
    sample: &'a Sample,
    space: &'a PortSpaceSample,
    owners: Vec<OwnerReading<'a>>,
    destinations: Vec<DestinationReading>,
}

impl<'a> SampleReadings<'a> {
    /// The readings of `space`, which is one of `sample`'s.
    #[must_use]
    pub fn new(sample: &'a Sample, space: &'a PortSpaceSample) -> Self {
        let owners = space.owners.iter().map(|owner| OwnerReading {
            name: culprit_name(&owner.process),
            incarnation: Some(owner.process.started_at.unix_ms()),
            ports: owner.counts.ports,
            handles: owner.handles,
        });
        let destinations = space
            .destinations
            .iter()
            .map(|destination| DestinationReading {
                remote: SocketAddr::new(destination.remote_address, destination.remote_port),
                ports: destination.ports,
                time_wait: destination.time_wait,
            });
        Self {
            sample,
            space,
            owners: owners.collect(),
            destinations: destinations.collect(),
        }
    }

    /// The observation, taken at `at` on the controller's clock. The boot time moves with the host's clock error.
    #[must_use]
    pub fn observation(&self, at: Timestamp, exhaustion_events: u32) -> Observation<'_> {
        let uptime_ms = self.sample.at.ms_since(self.sample.booted_at).max(0);
        let space = self.space;
        let least_listed = self.owners.iter().map(|owner| owner.ports).min();
        Observation {
            at,
            booted_at: Timestamp::from_unix_ms(at.unix_ms().saturating_sub(uptime_ms)),
            capacity: space.capacity,
            in_use: space.in_use(),
            strong: space.strong,
            bound: space.bound,
            peak: space.light.map(|light| light.max),
            opens_milli_per_s: self.sample.rates.tcp_active_opens,
            exhaustion_events,
            owners: &self.owners,
            unlisted_ports_max: least_listed
                .unwrap_or(u32::MAX)
                .min(space.owners_other.ports),
            destinations: &self.destinations,
        }
    }
}

/// What a process is called when it is to blame: its own name, or its service where one program hosts many of them.
fn culprit_name(process: &ProcessIdentity) -> &str {
    let hosts_services = process.name.eq_ignore_ascii_case("svchost.exe");
    match &process.service {
        Some(service) if hosts_services => service,
        Some(_) | None => &process.name,
    }
}

/// A stretch of stored history of one port space: what a tier's row says, replayed in time order after a restart.
#[derive(Clone, Copy, Debug)]
pub struct Rollup<'a> {
    /// Start of the stretch, on the controller's clock.
    pub from: Timestamp,
    /// End of the stretch.
    pub to: Timestamp,
    /// When the host had booted at the end of it; `None` when that is not stored.
    pub booted_at: Option<Timestamp>,
    /// Ports that can be handed out, at the end of it.
    pub capacity: u32,
    /// Ports in use.
    pub in_use: Extent,
    /// Ports held in any state but TIME_WAIT.
    pub strong: Extent,
    /// Ports of bound-but-unconnected sockets; `None` where the system cannot tell.
    pub bound: Option<Extent>,
    /// Events in the stretch that say that a port was refused.
    pub exhaustion_events: u32,
    /// What each stored process held at the end of it, or on average.
    pub owners: &'a [OwnerReading<'a>],
    /// No process that is not listed held more ports than this.
    pub unlisted_ports_max: u32,
}

/// Least, greatest and last of a count over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The least.
    pub least: u32,
    /// The greatest.
    pub greatest: u32,
    /// The last; the average where the last is not stored.
    pub last: u32,
}

/// What the detector must know of a port space beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectorSettings {
    /// How long a closed connection keeps its port.
    pub time_wait_lifetime: Duration,
    /// For how many processes a history is kept.
    pub owners_max: usize,
    /// For how many remote endpoints a history is kept.
    pub destinations_max: usize,
}

impl DetectorSettings {
    /// Linux: TIME_WAIT lasts 60 s (`TCP_TIMEWAIT_LEN` in include/net/tcp.h).
    #[must_use]
    pub const fn linux() -> Self {
        Self::with_time_wait(Duration::from_secs(60))
    }

    /// Windows: TIME_WAIT lasts 120 s unless `TcpTimedWaitDelay` says otherwise.
    #[must_use]
    pub const fn windows() -> Self {
        Self::with_time_wait(Duration::from_secs(120))
    }

    /// Any system whose TIME_WAIT lasts that long.
    #[must_use]
    pub const fn with_time_wait(lifetime: Duration) -> Self {
        Self {
            time_wait_lifetime: lifetime,
            owners_max: 6,
            destinations_max: 4,
        }
    }

    /// The lifetime in milliseconds, at least a second.
    pub(crate) fn lifetime_ms(&self) -> i64 {
        duration_ms(self.time_wait_lifetime).clamp(1_000, 600_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_blamed_by_its_own_name_unless_it_only_hosts_services() {
        let named = |name: &str| ProcessIdentity {
            pid: 1,
            started_at: Timestamp::EPOCH,
            name: name.into(),
            executable: None,
            service: Some("the-service".into()),
        };
        assert_eq!(culprit_name(&named("leaky")), "leaky");
        assert_eq!(culprit_name(&named("svchost.exe")), "the-service");
    }
}
