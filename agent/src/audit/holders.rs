//! Which processes hold most ports, as the newest sample has it: handed from the sampler's thread to the auditor's.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_model::sample::ProcessIdentity;
use tidemark_model::{Sample, Timestamp};

use crate::sampler::SampleSource;

/// Names of processes whose executables are read.
pub const NAMES_MAX: usize = 8;
/// Processes of one name that are looked at; workers of one service mostly run the same file.
pub const PROCESSES_MAX: usize = 8;

/// Processes of one name, those that hold most ports first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What they are called.
    pub name: Arc<str>,
    /// Some of them.
    pub processes: Vec<ProcessIdentity>,
}

/// The holders of the newest sample.
#[derive(Clone, Debug, Default)]
pub struct Holders(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    newest: Mutex<Option<Vec<Holder>>>,
    noted: Condvar,
}

impl Holders {
    /// Takes a sample's.
    pub fn note(&self, sample: &Sample) {
        self.put(holders_in(sample));
    }

    pub(super) fn put(&self, holders: Vec<Holder>) {
        *self.newest() = Some(holders);
        self.0.noted.notify_all();
    }

    /// The newest, after the first sample or when `patience` is at its end; `None` before the first.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Option<Vec<Holder>> {
        let waited = self
            .0
            .noted
            .wait_timeout_while(self.newest(), patience, |newest| newest.is_none());
        let (newest, _) = waited.unwrap_or_else(PoisonError::into_inner);
        newest.clone()
    }

    fn newest(&self) -> MutexGuard<'_, Option<Vec<Holder>>> {
        self.0.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process, and the ports that it holds in all port spaces.
type Held<'a> = (u64, &'a ProcessIdentity);

fn holders_in(sample: &Sample) -> Vec<Holder> {
    let owners = sample.port_spaces.iter().flat_map(|space| &space.owners);
    let mut names: BTreeMap<&str, BTreeMap<(u32, Timestamp), Held<'_>>> = BTreeMap::new();
    for owner in owners {
        let process = &owner.process;
        // A process may call itself nothing at all.
        if process.name.is_empty() || owner.counts.ports == 0 {
            continue;
        }
        let processes = names.entry(&process.name).or_default();
        let key = (process.pid, process.started_at);
        processes.entry(key).or_insert((0, process)).0 += u64::from(owner.counts.ports);
    }
    let mut names: Vec<(u64, Vec<Held<'_>>)> = names
        .into_values()
        .map(|processes| {
            let mut processes: Vec<_> = processes.into_values().collect();
            processes.sort_by_key(|(ports, _)| Reverse(*ports));
            (processes.iter().map(|(ports, _)| ports).sum(), processes)
        })
        .collect();
    // Names that hold as many stay in their order.
    names.sort_by_key(|(ports, _)| Reverse(*ports));
    let holder = |(_, processes): (u64, Vec<Held<'_>>)| {
        let processes = processes.into_iter().map(|(_, process)| process.clone());
        let processes: Vec<ProcessIdentity> = processes.take(PROCESSES_MAX).collect();
        Some(Holder {
            name: Arc::clone(&processes.first()?.name),
            processes,
        })
    };
    names
        .into_iter()
        .take(NAMES_MAX)
        .filter_map(holder)
        .collect()
}

/// A source whose samples are noted as they pass.
#[derive(Debug)]
pub struct Watched<S> {
    source: S,
    holders: Holders,
}

impl<S> Watched<S> {
    /// Notes what `source` samples.
    #[must_use]
    pub const fn new(source: S, holders: Holders) -> Self {
        Self { source, holders }
    }
}

impl<S: SampleSource> SampleSource for Watched<S> {
    type Error = S::Error;

    fn sample(&mut self, now: Timestamp) -> Result<Sample, S::Error> {
        let sample = self.source.sample(now)?;
        self.holders.note(&sample);
        Ok(sample)
    }

    fn light_count(&mut self, now: Timestamp) -> Result<(), S::Error> {
        self.source.light_count(now)
    }

    fn light_interval(&self) -> Duration {
        self.source.light_interval()
    }

    fn hindrance(&self) -> Option<Arc<str>> {
        self.source.hindrance()
    }
}

#[cfg(test)]
mod tests {
    use tidemark_model::sample::{
        AgentCost, CountQuality, CounterRates, OwnerCounts, OwnerSample, PortSpaceSample,
    };
    use tidemark_model::tcp::StateCounts;
    use tidemark_model::{PortRange, PortSpaceKey, Protocol};

    use super::*;

    /// Names, numbers and ports of processes.
    fn space(protocol: Protocol, owners: &[(&str, u32, u32)]) -> PortSpaceSample {
        let owner = |(name, pid, ports): &(&str, u32, u32)| OwnerSample {
            process: ProcessIdentity {
                pid: *pid,
                started_at: Timestamp::EPOCH,
                name: (*name).into(),
                executable: None,
                service: None,
            },
            counts: OwnerCounts {
                ports: *ports,
                ..OwnerCounts::default()
            },
            handles: None,
        };
        PortSpaceSample {
            key: PortSpaceKey::own(protocol),
            range: PortRange::new(49_152, 65_535).unwrap(),
            capacity: 16_384,
            strong: 0,
            time_wait_only: 0,
            bound: None,
            quality: CountQuality::Counted,
            light: None,
            states_v4: StateCounts::default(),
            states_v6: StateCounts::default(),
            owners: owners.iter().map(owner).collect(),
            owners_other: OwnerCounts::default(),
            ports_without_owner: 0,
            destinations: Vec::new(),
            destinations_other_ports: 0,
            watch_groups: Vec::new(),
        }
    }

    fn told(spaces: Vec<PortSpaceSample>) -> Vec<(String, Vec<u32>)> {
        let holders = Holders::default();
        assert_eq!(holders.within(Duration::ZERO), None);
        holders.note(&Sample {
            at: Timestamp::EPOCH,
            booted_at: Timestamp::EPOCH,
            interval_ms: 0,
            port_spaces: spaces,
            rates: CounterRates::default(),
            host_handles: None,
            probes: Vec::new(),
            cost: AgentCost::default(),
        });
        let holders = holders.within(Duration::ZERO).unwrap();
        let numbers =
            |holder: &Holder| holder.processes.iter().map(|process| process.pid).collect();
        holders
            .iter()
            .map(|holder| (holder.name.to_string(), numbers(holder)))
            .collect()
    }

    #[test]
    fn names_are_ranked_by_the_ports_of_all_their_processes_in_all_spaces() {
        let tcp = [
            ("java", 1, 30),
            ("nginx", 2, 20),
            ("nginx", 3, 15),
            ("", 9, 99),
        ];
        let udp = [("dnsmasq", 4, 40), ("nginx", 3, 10), ("idle", 5, 0)];
        let spaces = vec![space(Protocol::Tcp, &tcp), space(Protocol::Udp, &udp)];
        assert_eq!(
            told(spaces),
            [
                ("nginx".to_owned(), vec![3, 2]),
                ("dnsmasq".to_owned(), vec![4]),
                ("java".to_owned(), vec![1])
            ]
        );
    }

    #[test]
    fn a_host_with_very_many_holders_tells_the_greatest() {
        let names: Vec<String> = (0..40).map(|number| format!("job-{number:02}")).collect();
        let mut owners: Vec<(&str, u32, u32)> = Vec::new();
        for (name, number) in names.iter().zip(0_u32..) {
            owners.extend((0..20).map(|worker| (name.as_str(), number * 20 + worker, number + 1)));
        }
        let told = told(vec![space(Protocol::Tcp, &owners)]);
        assert_eq!(told.len(), NAMES_MAX);
        assert_eq!(told[0].0, "job-39");
        assert!(
            told.iter()
                .all(|(_, processes)| processes.len() == PROCESSES_MAX)
        );
    }
}
