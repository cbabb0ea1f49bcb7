//! The port spaces of one network namespace: reads its tables and settings on a thread that is in it.

use std::sync::Arc;

use tidemark_model::port::OWN_NAMESPACE;
use tidemark_model::sample::{CountQuality, OwnerCounts, OwnerSample, PortSpaceSample};
use tidemark_model::{PortRange, PortSpaceKey, Protocol, Timestamp};
use tidemark_platform::TableError;
use tidemark_platform::counters::SocketTotals;
use tidemark_platform::ports::PortSettings;
use tidemark_platform::tables::{
    BoundListing, BoundVisibility, DumpReport, SocketTables, TableQuery,
};

use super::capacity::PortPools;
use super::census::{Census, Counting};
use super::light::Unchanged;
use super::owners::{OwnerCache, OwnerIndex};
use super::port_set::PortSet;
use super::top::greatest;
use super::watch::WatchGroups;
use super::{CollectError, CollectSettings};

/// A dump that the kernel calls inconsistent is taken again this often.
const DUMPS_MAX: u32 = 3;

/// What is kept open between samples of one namespace. The tables keep the namespace alive, so this is kept for the
/// agent's own alone and opened anew for the others.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) tables: SocketTables,
    settings: PortSettings,
}

impl Sources {
    /// Opens the sources of the calling thread's network namespace.
    pub(super) fn open() -> Result<Self, CollectError> {
        Ok(Self {
            tables: SocketTables::open()?,
            settings: PortSettings::open()?,
        })
    }
}

/// What a survey needs beside the sources; lent to the thread inside the namespace.
#[derive(Debug)]
pub(super) struct Surveyor {
    pub(super) bound: BoundVisibility,
    /// How the bound sockets of the last dump of TCP were listed.
    listing: BoundListing,
    pub(super) groups: WatchGroups,
    pub(super) top_owners: usize,
    pub(super) top_destinations: usize,
    /// The dynamic ports as the operator states them.
    pub(super) stated_range: Option<PortRange>,
    pub(super) owners: OwnerCache,
    censuses: [Census; 2],
    light: PortSet,
    unchanged: Unchanged,
    own_process: u32,
}

/// Where and when a survey is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) label: &'a Arc<str>,
    pub(super) booted_at: Timestamp,
}

/// What a survey of one namespace found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) port_spaces: Vec<PortSpaceSample>,
    pub(super) own_ports: u32,
    pub(super) own_sockets: u32,
    /// Dumps that stayed inconsistent after every retry.
    pub(super) inconsistent_dumps: u32,
}

impl Survey {
    /// Adds what was found in another namespace.
    pub(super) fn add(&mut self, other: Self) {
        self.port_spaces.extend(other.port_spaces);
        self.own_ports = self.own_ports.saturating_add(other.own_ports);
        self.own_sockets = self.own_sockets.saturating_add(other.own_sockets);
        self.inconsistent_dumps = self
            .inconsistent_dumps
            .saturating_add(other.inconsistent_dumps);
    }
}

impl Surveyor {
    pub(super) fn new(
        bound: BoundVisibility,
        owners: OwnerCache,
        settings: &CollectSettings,
    ) -> Self {
        Self {
            bound,
            listing: BoundListing::Missing,
            groups: WatchGroups::new(&settings.watch_groups),
            top_owners: settings.top_owners,
            top_destinations: settings.top_destinations,
            stated_range: settings.dynamic_range,
            owners,
            censuses: Protocol::ALL.map(Census::new),
            light: PortSet::new(),
            unchanged: Unchanged::default(),
            own_process: std::process::id(),
        }
    }

    /// Reads both protocols' tables, then looks for the processes of new sockets, then reports.
    pub(super) fn survey(
        &mut self,
        sources: &mut Sources,
        place: Place<'_>,
    ) -> Result<Survey, CollectError> {
        let mut survey = Survey::default();
        let totals = SocketTotals::read();
        let pools = PortPools::read(&mut sources.settings, self.stated_range)?;
        let mut present = [true; 2];
        for (census, present) in self.censuses.iter_mut().zip(&mut present) {
            let mut counting = Counting {
                ports: pools.of(census.protocol()),
                groups: &self.groups,
                owners: &mut self.owners,
            };
            match dump(census, &mut sources.tables, self.bound, &mut counting) {
                Ok(report) => {
                    survey.inconsistent_dumps += u32::from(report.interrupted);
                    if census.protocol() == Protocol::Tcp {
                        self.listing = report.bound;
                    }
                }
                // Without the udp_diag module there is no UDP port space; TCP is what must be there.
                Err(TableError::Absent(Protocol::Udp)) => *present = false,
                Err(error) => return Err(error.into()),
            }
        }
        let unattributed = self.censuses.iter().flat_map(Census::unattributed);
        self.owners.resolve(unattributed);
        for (census, present) in self.censuses.iter_mut().zip(present) {
            if !present {
                continue;
            }
            census.attribute(&mut self.owners);
            if let Some(own) = self.owners.of_process(self.own_process) {
                let (own_ports, own_sockets) = census.held_by(own);
                survey.own_ports = survey.own_ports.saturating_add(own_ports);
                survey.own_sockets = survey.own_sockets.saturating_add(own_sockets);
            }
        }
        for (index, _) in present.iter().enumerate().filter(|(_, present)| **present) {
            let space = self.report(index, &pools, place);
            survey.port_spaces.extend(space);
        }
        if let Ok(totals) = totals {
            let spaces = survey.port_spaces.iter();
            let counts = spaces.map(|space| (space.key.protocol, space.in_use()));
            self.unchanged
                .remember(place.label, totals, pools.sizes(), counts.collect());
        }
        Ok(survey)
    }

    /// Counts the dynamic ports in use of each protocol, and nothing else. Nothing is listed when the system's totals
    /// are those of the count before; a system may have none.
    pub(super) fn count_in_use(
        &mut self,
        sources: &mut Sources,
        label: &Arc<str>,
    ) -> Result<Vec<(Protocol, u32)>, CollectError> {
        let totals = SocketTotals::read().ok();
        let pools = PortPools::read(&mut sources.settings, self.stated_range)?;
        let sizes = pools.sizes();
        let same = totals.and_then(|totals| self.unchanged.counts(label, totals, sizes));
        if let Some(counts) = same {
            return Ok(counts);
        }
        let mut counts = Vec::with_capacity(2);
        for protocol in Protocol::ALL {
            self.light.clear();
            let ports = pools.of(protocol);
            let query = TableQuery {
                protocol,
                bound: self.bound,
                local_ports: Some(ports.range),
            };
            let light = &mut self.light;
            let dumped = sources.tables.dump(query, |row| {
                if ports.contains(row.local_port) {
                    light.insert(row.local_port);
                }
            });
            match dumped {
                Ok(_) => {
                    let hidden = self.hidden_ports(protocol, label, totals);
                    let in_use = self.light.len().saturating_add(hidden);
                    counts.push((protocol, in_use.min(ports.capacity)));
                }
                Err(TableError::Absent(Protocol::Udp)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(totals) = totals {
            self.unchanged
                .remember(label, totals, sizes, counts.clone());
        }
        Ok(counts)
    }

    fn report(
        &mut self,
        index: usize,
        pools: &PortPools,
        place: Place<'_>,
    ) -> Option<PortSpaceSample> {
        let (owners, owners_other) = self.report_owners(index, place.booted_at);
        let census = self.censuses.get(index)?;
        let counts = census.port_counts();
        let protocol = census.protocol();
        let ports = pools.of(protocol);
        let (destinations, destinations_other_ports) = census.destinations(self.top_destinations);
        let (quality, hides) = self.quality(protocol);
        let mut sample = PortSpaceSample {
            key: PortSpaceKey {
                protocol,
                namespace: place.label.clone(),
            },
            range: ports.range,
            capacity: ports.capacity,
            strong: counts.strong,
            time_wait_only: counts.time_wait_only,
            bound: (!hides).then_some(counts.bound_only),
            quality,
            light: None,
            states_v4: census.states_v4,
            states_v6: census.states_v6,
            owners,
            owners_other,
            ports_without_owner: census.ports_without_owner(ports),
            destinations,
            destinations_other_ports,
            watch_groups: census.watch_groups(&self.groups),
        };
        if hides {
            let hidden = self.hidden_ports(protocol, place.label, SocketTotals::read().ok());
            sample.strong = sample.strong.saturating_add(hidden.min(sample.headroom()));
        }
        Some(sample)
    }

    /// How the counts of a protocol came about, and whether its bound sockets are in no table.
    fn quality(&self, protocol: Protocol) -> (CountQuality, bool) {
        match (protocol, self.listing) {
            (Protocol::Udp, _) | (Protocol::Tcp, BoundListing::Current) => {
                (CountQuality::Counted, false)
            }
            (Protocol::Tcp, BoundListing::Missing) => (CountQuality::Estimated, true),
            (Protocol::Tcp, BoundListing::Earlier { age, scope }) => {
                let age_ms = u32::try_from(age.as_millis()).unwrap_or(u32::MAX);
                (CountQuality::Earlier { age_ms, scope }, false)
            }
        }
    }

    /// The most ports that sockets in no table may hold. The kernel's total is of the whole host, and ascribed to the
    /// agent's own namespace.
    fn hidden_ports(
        &self,
        protocol: Protocol,
        namespace: &str,
        totals: Option<SocketTotals>,
    ) -> u32 {
        let hides = protocol == Protocol::Tcp && self.bound == BoundVisibility::Hidden;
        match totals {
            Some(totals) if hides && namespace == OWN_NAMESPACE => totals.hidden_tcp(),
            Some(_) | None => 0,
        }
    }

    /// The greatest owners by name, and the sums of all others.
    fn report_owners(
        &mut self,
        index: usize,
        booted_at: Timestamp,
    ) -> (Vec<OwnerSample>, OwnerCounts) {
        let Some(census) = self.censuses.get(index) else {
            return (Vec::new(), OwnerCounts::default());
        };
        let held = census.holdings.owners();
        let by_size = held.map(|(owner, counts)| (counts.ports, counts.sockets, owner));
        let mut named = Vec::with_capacity(self.top_owners);
        for (_, _, owner) in greatest(by_size, self.top_owners) {
            // A process that has ended since its sockets were listed is summed with the others.
            if let Some(process) = self.owners.identity(owner, booted_at) {
                let counts = census.holdings.of(owner);
                let handles = self.owners.descriptors(owner);
                named.push((
                    owner,
                    OwnerSample {
                        process,
                        counts,
                        handles,
                    },
                ));
            }
        }
        let is_named = |owner: OwnerIndex| named.iter().any(|(other, _)| *other == owner);
        let others = census
            .holdings
            .owners()
            .filter(|(owner, _)| !is_named(*owner));
        let other = others.fold(OwnerCounts::default(), |sum, (_, counts)| OwnerCounts {
            ports: sum.ports.saturating_add(counts.ports),
            bound: sum.bound.saturating_add(counts.bound),
            close_wait: sum.close_wait.saturating_add(counts.close_wait),
            sockets: sum.sockets.saturating_add(counts.sockets),
        });
        (named.into_iter().map(|(_, sample)| sample).collect(), other)
    }
}

/// Counts the sockets of a protocol; again when the kernel does not vouch for the dump.
fn dump(
    census: &mut Census,
    tables: &mut SocketTables,
    bound: BoundVisibility,
    counting: &mut Counting<'_>,
) -> Result<DumpReport, TableError> {
    let query = TableQuery {
        protocol: census.protocol(),
        bound,
        local_ports: None,
    };
    let mut report = DumpReport::default();
    for _ in 0..DUMPS_MAX {
        census.clear();
        report = tables.dump(query, |row| census.count(row, counting))?;
        if !report.interrupted {
            break;
        }
    }
    Ok(report)
}
