//! Collection: reads the host's socket tables, processes and counters into one `Sample`.
//!
//! Blocking by design; the caller gives it a thread of its own. Knows nothing of the spool, the session or the wire.

mod boot;
mod capacity;
mod census;
mod destinations;
mod holdings;
mod light;
mod owners;
mod port_set;
mod rates;
mod survey;
mod targets;
mod top;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::sample::{AgentCost, CounterRates};
use tidemark_model::watch::WatchGroup;
use tidemark_model::{PortRange, PortSpaceKey, Sample, Timestamp};
use tidemark_platform::counters::ProtocolCounters;
use tidemark_platform::tables::{
    BoundStanding, BoundVisibility, bound_visibility, later_bound_visibility,
};
use tidemark_platform::{NamespaceError, ReadError, TableError, host, own, tables};

use self::boot::BootClock;
use self::light::LightCounts;
use self::owners::OwnerCache;
use self::rates::Reading;
use self::survey::{Place, Sources, Survey, Surveyor};
use self::targets::{Target, Targets};
use crate::probe::Probes;

/// What to collect, and how much of it to report.
#[derive(Clone, Debug)]
pub struct CollectSettings {
    /// Time between samples, 1 to 300 s.
    pub interval: Duration,
    /// Which network namespaces are sampled.
    pub namespaces: Namespaces,
    /// The dynamic ports as the operator states them, for every namespace; `None` asks the system. For a system that
    /// does not tell, as Wine, whose ports are those of the Linux below it.
    pub dynamic_range: Option<PortRange>,
    /// Remote ports that are counted by name, at most 32 groups.
    pub watch_groups: Vec<WatchGroup>,
    /// How many processes a port space names, 1 to 64; the rest is summed.
    pub top_owners: usize,
    /// How many remote endpoints a port space names, 1 to 64; the rest is summed.
    pub top_destinations: usize,
    /// Time between rounds of active probes, at least 15 s; `None` turns them off.
    pub probe_interval: Option<Duration>,
}

impl CollectSettings {
    /// The shipped settings for an interval: the agent's own namespace, the shipped watch groups, ten of each top
    /// list, probes every 30 s.
    #[must_use]
    pub fn shipped(interval: Duration) -> Self {
        Self {
            interval,
            namespaces: Namespaces::Own,
            dynamic_range: None,
            watch_groups: WatchGroup::shipped(),
            top_owners: 10,
            top_destinations: 10,
            probe_interval: Some(Duration::from_secs(30)),
        }
    }
}

/// Which network namespaces are sampled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// The agent's own.
    #[default]
    Own,
    /// Every one that has a process or a name under `/run/netns`, at most 256.
    All,
    /// These, by label: `default`, a `/run/netns` name, or `net-<inode>`.
    List(Vec<Arc<str>>),
}

/// Why nothing could be collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// A setting is outside its limits.
    #[error("{field} is {value}, outside {limits}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        limits: &'static str,
    },
    /// The socket tables could not be read.
    #[error("cannot read the socket tables")]
    Tables(#[from] TableError),
    /// A setting or counter of the system could not be read.
    #[error("cannot read the system's settings")]
    System(#[from] ReadError),
    /// A network namespace could not be entered.
    #[error("cannot sample a network namespace")]
    Namespace(#[from] NamespaceError),
}

/// Takes samples of one host.
#[derive(Debug)]
pub struct Collector {
    surveyor: Surveyor,
    own: Option<Sources>,
    /// Why the socket tables are left alone, where they are.
    hazard: Option<TableError>,
    targets: Targets,
    boot: BootClock,
    light: LightCounts,
    probes: Option<Probes>,
    before: Before,
}

/// What the sample before left behind.
#[derive(Debug)]
struct Before {
    /// Time since boot at the start of that sample; `None` before the first.
    started: Option<Duration>,
    cpu_time: Duration,
    counters: Option<Reading>,
}

impl Collector {
    /// Opens the socket tables and finds out what this kernel can tell.
    ///
    /// # Errors
    /// When a setting is out of range or the tables cannot be opened.
    pub fn new(settings: CollectSettings) -> Result<Self, CollectError> {
        settings.check()?;
        let mut own_sources = Sources::open()?;
        let bound = bound_visibility(&mut own_sources.tables)?;
        let standing = tables::bound_standing(bound);
        tracing::info!(
            how = standing.method.as_str(),
            reason = standing.why,
            "bound sockets"
        );
        let surveyor = Surveyor::new(bound, OwnerCache::open()?, &settings);
        Ok(Self {
            surveyor,
            own: Some(own_sources),
            hazard: tables::hazard(),
            targets: Targets::new(settings.namespaces)?,
            boot: BootClock::read(Timestamp::EPOCH)?,
            light: LightCounts::default(),
            probes: settings.probe_interval.map(Probes::new),
            before: Before {
                started: None,
                cpu_time: own::cpu_time(),
                counters: None,
            },
        })
    }

    /// Why samples have no port spaces on this host; `None` when they have.
    #[must_use]
    pub const fn hazard(&self) -> Option<&TableError> {
        self.hazard.as_ref()
    }

    /// By which means bound-but-unconnected sockets are counted on this host, and why by no better.
    #[must_use]
    pub fn bound_standing(&self) -> BoundStanding {
        tables::bound_standing(self.surveyor.bound)
    }

    /// Takes one sample. Blocks for as long as the tables take to read, about 1 us a socket, and runs the probes that
    /// are due.
    ///
    /// # Errors
    /// When the tables of the agent's own namespace cannot be read; the next call tries anew.
    pub fn sample(&mut self, now: Timestamp) -> Result<Sample, CollectError> {
        let started = own::time_since_boot();
        if self.boot.was_set(now, started) {
            self.boot = BootClock::read(now)?;
        }
        if self.surveyor.bound == BoundVisibility::Hidden {
            self.surveyor.bound = later_bound_visibility();
        }
        self.surveyor.owners.begin();
        let surveyed = self.survey_all(started);
        self.surveyor.owners.finish();
        let mut survey = surveyed?;
        let mut light = self.light.take();
        for space in &mut survey.port_spaces {
            space.light = light.remove(&space.key);
        }
        survey.port_spaces.sort_by(|a, b| a.key.cmp(&b.key));
        let rates = self.rates();
        let host_handles = host::open_files().ok();
        let collected = own::time_since_boot();
        let interval = self
            .before
            .started
            .map(|before| started.saturating_sub(before));
        self.before.started = Some(started);
        let probes = self.probes.as_mut().map(|probes| probes.run_due(collected));
        Ok(Sample {
            at: now,
            booted_at: self.boot.booted_at(),
            interval_ms: interval.map_or(0, saturating_ms),
            rates,
            host_handles,
            probes: probes.unwrap_or_default(),
            cost: self.cost(&survey, collected.saturating_sub(started)),
            port_spaces: survey.port_spaces,
        })
    }

    /// Counts ports in use without owners; the lowest, highest and last count go into the next sample. Costs about
    /// as much as the kernel takes to list the sockets of the dynamic range, and next to nothing when its totals of
    /// sockets are those of the count before.
    ///
    /// # Errors
    /// When the tables of the agent's own namespace cannot be read.
    pub fn light_count(&mut self, _now: Timestamp) -> Result<(), CollectError> {
        if self.hazard.is_some() {
            return Ok(());
        }
        let cpu_before = own::cpu_time();
        let started = own::time_since_boot();
        for target in self.targets.current(started)?.to_vec() {
            let counted = match &target {
                Target::Own(label) => {
                    self.in_own(|surveyor, sources| surveyor.count_in_use(sources, label))?
                }
                Target::Foreign(label, namespace) => {
                    let surveyor = &mut self.surveyor;
                    let counted =
                        namespace.run(|| surveyor.count_in_use(&mut Sources::open()?, label));
                    // It may have ended; the next sample lists anew and says so if not.
                    let Ok(Ok(counted)) = counted else { continue };
                    counted
                }
            };
            let label = target.label();
            for (protocol, in_use) in counted {
                let namespace = label.clone();
                self.light.add(
                    PortSpaceKey {
                        protocol,
                        namespace,
                    },
                    in_use,
                );
            }
        }
        self.light
            .note_cost(own::cpu_time().saturating_sub(cpu_before));
        Ok(())
    }

    /// How long to wait between light counts so that they cost about 1 % of a core: 1 to 5 s.
    #[must_use]
    pub fn light_interval(&self) -> Duration {
        self.light.interval()
    }

    fn survey_all(&mut self, started: Duration) -> Result<Survey, CollectError> {
        let booted_at = self.boot.booted_at();
        let mut all = Survey::default();
        if self.hazard.is_some() {
            return Ok(all);
        }
        for target in self.targets.current(started)?.to_vec() {
            let place = Place {
                label: target.label(),
                booted_at,
            };
            let found = match &target {
                Target::Own(_) => {
                    self.in_own(|surveyor, sources| surveyor.survey(sources, place))?
                }
                Target::Foreign(_, namespace) => {
                    let surveyor = &mut self.surveyor;
                    let entered = namespace.run(|| surveyor.survey(&mut Sources::open()?, place));
                    match entered.map_err(CollectError::from).flatten() {
                        Ok(found) => found,
                        // Containers end between two lists of namespaces.
                        Err(CollectError::Namespace(NamespaceError::Open { .. })) => {
                            self.targets.expire();
                            continue;
                        }
                        Err(error) => {
                            tracing::warn!(
                                namespace = %place.label,
                                error = &error as &dyn std::error::Error,
                                "a namespace is not sampled"
                            );
                            continue;
                        }
                    }
                }
            };
            all.add(found);
        }
        if all.inconsistent_dumps > 0 {
            tracing::warn!(
                dumps = all.inconsistent_dumps,
                "socket tables changed while they were read"
            );
        }
        Ok(all)
    }

    /// Works on the tables of the agent's own namespace, which are opened anew after an error.
    fn in_own<R>(
        &mut self,
        work: impl FnOnce(&mut Surveyor, &mut Sources) -> Result<R, CollectError>,
    ) -> Result<R, CollectError> {
        let mut sources = match self.own.take() {
            Some(sources) => sources,
            None => Sources::open()?,
        };
        let result = work(&mut self.surveyor, &mut sources)?;
        self.own = Some(sources);
        Ok(result)
    }

    fn rates(&mut self) -> CounterRates {
        let Ok(counters) = ProtocolCounters::read() else {
            self.before.counters = None;
            return CounterRates::default();
        };
        let reading = Reading {
            counters,
            since_boot: own::time_since_boot(),
        };
        let before = self.before.counters.replace(reading);
        before.map_or_else(CounterRates::default, |before| {
            rates::rates(&before, &reading)
        })
    }

    fn cost(&mut self, survey: &Survey, collecting: Duration) -> AgentCost {
        let cpu_time = own::cpu_time();
        let used = cpu_time.saturating_sub(self.before.cpu_time);
        self.before.cpu_time = cpu_time;
        AgentCost {
            cpu_us: u64::try_from(used.as_micros()).unwrap_or(u64::MAX),
            resident_bytes: own::resident_bytes().unwrap_or(0),
            collect_us: u32::try_from(collecting.as_micros()).unwrap_or(u32::MAX),
            own_ports: survey.own_ports,
            own_sockets: survey.own_sockets,
        }
    }
}

impl CollectSettings {
    fn check(&self) -> Result<(), CollectError> {
        let setting = |field, value: String, limits| {
            Err(CollectError::Setting {
                field,
                value,
                limits,
            })
        };
        let seconds = Duration::from_secs(1)..=Duration::from_mins(5);
        let tops = 1..=64;
        if !seconds.contains(&self.interval) {
            return setting("interval", format!("{:?}", self.interval), "1 s to 300 s");
        }
        if self.watch_groups.len() > watch::GROUPS_MAX {
            return setting(
                "watch_groups",
                self.watch_groups.len().to_string(),
                "0 to 32",
            );
        }
        if !tops.contains(&self.top_owners) {
            return setting("top_owners", self.top_owners.to_string(), "1 to 64");
        }
        if !tops.contains(&self.top_destinations) {
            return setting(
                "top_destinations",
                self.top_destinations.to_string(),
                "1 to 64",
            );
        }
        match self.probe_interval {
            Some(interval) if interval < Duration::from_secs(15) => {
                setting("probe_interval", format!("{interval:?}"), "15 s and more")
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn saturating_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
