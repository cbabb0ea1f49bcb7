//! A life: hosts, controllers, one database, and a queue of what happens when.

use std::collections::BTreeMap;

use tidemark_disk::Chance;
use tidemark_store::Store;

use super::agent::Host;
use super::checks::{self, Happened};
use super::network::{Connection, Event};
use super::plan::{Plan, Trouble};
use super::side::Side;

/// When lives begin, in Unix milliseconds.
pub(super) const BEGAN_MS: i64 = 1_790_000_000_000;
/// How long everything may take to be delivered once faults have ended.
const HEALED_MS: u64 = 3 * 3_600_000;
/// Samples go on for so long after the last fault.
const SAMPLED_MS: u64 = 30_000;
/// A dead connection is noticed after this at the latest (HTTP/2 pings).
pub(super) const NOTICED_MS: u64 = 45_000;

/// A promise that was broken.
pub(super) type Broken = String;

pub(super) struct Fleet {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) chance: Chance,
    pub(super) store: Store,
    pub(super) now_ms: u64,
    pub(super) hosts: Vec<Host>,
    pub(super) sides: Vec<Side>,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) happened: Happened,
    queue: BTreeMap<(u64, u64), Event>,
    events: u64,
    connections_made: u64,
    /// The database answers nobody until then.
    pub(super) away_until_ms: u64,
    /// The next commit is done and told to have failed.
    pub(super) loses_outcome: bool,
    /// Tells every step.
    is_traced: bool,
}

impl Fleet {
    /// Lives a life to its end; says what happened in it.
    pub(super) async fn live(seed: u64, store: Store) -> Result<Happened, Broken> {
        let mut chance = Chance::new(seed);
        let plan = Plan::draw(&mut chance);
        let mut fleet = Self {
            seed,
            plan,
            chance,
            store,
            now_ms: 0,
            hosts: Vec::new(),
            sides: Vec::new(),
            connections: BTreeMap::new(),
            happened: Happened::default(),
            queue: BTreeMap::new(),
            events: 0,
            connections_made: 0,
            away_until_ms: 0,
            loses_outcome: false,
            is_traced: std::env::var_os("SIMULATE_TRACE").is_some(),
        };
        fleet.begin().await;
        let lived = match fleet.run().await {
            Ok(()) => checks::at_the_end(&mut fleet).await,
            broken => broken,
        };
        let troubles = &fleet.happened.troubles;
        lived.map_err(|broken| format!("{broken}\n{troubles:?}\n{:?}", fleet.plan))?;
        Ok(fleet.happened)
    }

    async fn begin(&mut self) {
        for number in 0..self.plan.hosts {
            self.add_host(number).await;
            self.at(0, Event::HostUp(number));
            self.at(1, Event::Sample(number));
        }
        for number in 0..self.plan.controllers {
            self.sides.push(Side::default());
            self.at(0, Event::SideUp(number));
        }
        for index in 0..self.plan.troubles.len() {
            self.plan_trouble(index);
        }
    }

    /// Whether faults still come.
    pub(super) fn is_troubled(&self) -> bool {
        self.now_ms < self.plan.troubled_ms
    }

    pub(super) fn is_sampled(&self) -> bool {
        self.now_ms < self.plan.troubled_ms + SAMPLED_MS
    }

    async fn run(&mut self) -> Result<(), Broken> {
        let mut is_mended = false;
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            self.now_ms = at_ms;
            if !self.is_troubled() && !is_mended {
                is_mended = true;
                self.mend();
            }
            self.happen(event).await?;
            if !self.is_sampled() && self.is_delivered() {
                return Ok(());
            }
            if self.now_ms > self.plan.troubled_ms + HEALED_MS {
                break;
            }
        }
        Err(format!(
            "not everything is delivered 3 hours after the last fault: {}",
            self.standing()
        ))
    }

    async fn happen(&mut self, event: Event) -> Result<(), Broken> {
        self.trace(&event);
        match event {
            Event::Sample(host) => self.sample(host).await?,
            Event::Timer(host, process) => self.look_at_time(host, process).await?,
            Event::HostUp(host) => self.start_agent(host).await?,
            Event::Connected(connection) => self.connected(connection).await?,
            Event::HostLoses(connection) => self.host_loses(connection).await?,
            Event::ToHost(connection, incoming) => self.heard(connection, incoming).await?,
            Event::ToSide(connection, frame) => self.take(connection, frame).await,
            Event::SideLoses(connection) => self.side_loses(connection),
            Event::Commit(side, life) => self.commit(side, life).await?,
            Event::Heartbeat(side, life) => self.heartbeat(side, life),
            Event::SideUp(side) => self.start_side(side).await,
            Event::Drained(side, life) => self.drained(side, life).await?,
            Event::Trouble(index) => self.trouble(index),
            Event::DiskMended(host) => self.hosts[host].mend_disk(),
        }
        Ok(())
    }

    fn trace(&self, what: &dyn std::fmt::Debug) {
        if self.is_traced {
            eprintln!("{} ms: {what:?} | {}", self.now_ms, self.standing());
        }
    }

    /// Has an event happen so many milliseconds from now.
    pub(super) fn after(&mut self, ms: u64, event: Event) {
        self.at(self.now_ms + ms, event);
    }

    pub(super) fn at(&mut self, at_ms: u64, event: Event) {
        self.events += 1;
        self.queue.insert((at_ms, self.events), event);
    }

    pub(super) fn connection_number(&mut self) -> u64 {
        self.connections_made += 1;
        self.connections_made
    }

    pub(super) fn latency_ms(&mut self) -> u64 {
        let (low, high) = self.plan.latency_ms;
        self.chance.between(low, high)
    }

    /// How long an end takes to notice that its connection is gone.
    pub(super) fn notice_ms(&mut self) -> u64 {
        if self.chance.percent(70) {
            self.chance.between(0, 200)
        } else {
            self.chance.between(200, NOTICED_MS)
        }
    }

    pub(super) fn is_database_away(&self) -> bool {
        self.now_ms < self.away_until_ms
    }

    fn mend(&mut self) {
        self.away_until_ms = 0;
        self.loses_outcome = false;
        self.hosts.iter_mut().for_each(Host::mend_disk);
    }

    fn is_delivered(&self) -> bool {
        self.hosts.iter().all(Host::is_delivered)
    }

    fn standing(&self) -> String {
        let hosts = self.hosts.iter().map(Host::standing);
        hosts.collect::<Vec<_>>().join("; ")
    }

    fn plan_trouble(&mut self, index: usize) {
        let Some((_, mean_ms)) = self.plan.troubles.get(index).copied() else {
            return;
        };
        let wait_ms = self.chance.between(mean_ms / 4, mean_ms * 2);
        if self.now_ms + wait_ms < self.plan.troubled_ms {
            self.after(wait_ms, Event::Trouble(index));
        }
    }

    fn trouble(&mut self, index: usize) {
        let Some((trouble, _)) = self.plan.troubles.get(index).copied() else {
            return;
        };
        self.plan_trouble(index);
        let host = self.chance.index(self.hosts.len());
        let side = self.chance.index(self.sides.len());
        *self.happened.troubles.entry(trouble).or_default() += 1;
        match trouble {
            Trouble::Break => self.break_connection_of(host),
            Trouble::Partition => self.partition(host),
            Trouble::KillController => self.kill_side(side),
            Trouble::Drain => self.drain_side(side),
            Trouble::DatabaseAway => {
                self.away_until_ms = self.now_ms + self.chance.between(500, 40_000);
            }
            Trouble::OutcomeLost => self.loses_outcome = true,
            Trouble::KillAgent
            | Trouble::StopAgent
            | Trouble::CutPower
            | Trouble::DiskFull
            | Trouble::DiskFails
            | Trouble::DiskBusy
            | Trouble::Snapshot
            | Trouble::HostClock
            | Trouble::Refused => self.trouble_host(host, trouble),
            Trouble::ControllerClock => {
                let jump_ms = self.chance.between(0, 1_200_000).cast_signed() - 600_000;
                self.sides[side].offset_ms += jump_ms;
            }
        }
    }

    fn break_connection_of(&mut self, host: usize) {
        if let Some(connection) = self.hosts[host].connection() {
            let until = [self.latency_ms(), self.latency_ms()].map(|ms| self.now_ms + ms);
            self.lose(connection, until);
        }
    }

    fn partition(&mut self, host: usize) {
        let lasts_ms = self.chance.between(1_000, 120_000);
        self.hosts[host].cut_off_until_ms = self.now_ms + lasts_ms;
        if let Some(connection) = self.hosts[host].connection() {
            self.lose(connection, [self.now_ms; 2]);
        }
    }

    /// A connection is lost; both ends notice in their time.
    pub(super) fn lose(&mut self, connection: u64, [to_side, to_host]: [u64; 2]) {
        if let Some(held) = self.connections.get_mut(&connection) {
            held.cut(to_side, to_host);
        }
        let notices = [self.notice_ms(), self.notice_ms()];
        self.after(notices[0], Event::HostLoses(connection));
        self.after(notices[1], Event::SideLoses(connection));
    }
}
