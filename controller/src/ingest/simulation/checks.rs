//! What must hold: at every step of a host, at every trim, and at the end, when the database is read as its users read it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;

use tidemark_agent_core::DisconnectCause;
use tidemark_history::decode_recent;
use tidemark_model::port::{PortRange, PortSpaceKey, Protocol};
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, EventHit, OwnerCounts, OwnerSample, PortSpaceSample,
    ProcessIdentity,
};
use tidemark_model::tcp::StateCounts;
use tidemark_model::{Entity, HostId, Metric, Sample, Seq, Timestamp};
use tidemark_proto::convert::record::Record;
use tidemark_store::testing::new_host;
use tidemark_store::{Cursor, EventQuery, RecordXml, Span, Tx};

use super::agent::Host;
use super::fleet::{Broken, Fleet};
use super::plan::Trouble;

/// Names of processes that take turns in samples, so that ids of entities matter.
const NAMES: u64 = 7;
/// Makes records of small spools so large that some have to go.
const PADDING_BYTES: usize = 900;

/// What happened in a life.
#[derive(Clone, Debug, Default)]
pub(super) struct Happened {
    pub(super) troubles: BTreeMap<Trouble, u64>,
    pub(super) sessions: u64,
    pub(super) sessions_refused: u64,
    pub(super) epochs_restarted: u64,
    pub(super) commits_refused: u64,
    pub(super) outcomes_lost: u64,
    pub(super) put_back: u64,
    pub(super) stored: u64,
    pub(super) dropped: u64,
    pub(super) duplicates: u64,
}

/// What happened in many lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    lives: u64,
    sum: Happened,
}

impl Told {
    pub(super) fn add(&mut self, life: &Happened) {
        self.lives += 1;
        for (trouble, times) in &life.troubles {
            *self.sum.troubles.entry(*trouble).or_default() += times;
        }
        let sum = &mut self.sum;
        for (sum, of_life) in [
            (&mut sum.sessions, life.sessions),
            (&mut sum.sessions_refused, life.sessions_refused),
            (&mut sum.epochs_restarted, life.epochs_restarted),
            (&mut sum.commits_refused, life.commits_refused),
            (&mut sum.outcomes_lost, life.outcomes_lost),
            (&mut sum.put_back, life.put_back),
            (&mut sum.stored, life.stored),
            (&mut sum.dropped, life.dropped),
            (&mut sum.duplicates, life.duplicates),
        ] {
            *sum += of_life;
        }
    }

    /// A simulation in which something never happens shows nothing about it.
    pub(super) fn assert_everything_happened(&self) {
        let sum = &self.sum;
        for trouble in Trouble::ALL {
            assert!(sum.troubles.contains_key(&trouble), "never: {trouble:?}");
        }
        for (what, times) in [
            ("epochs restarted", sum.epochs_restarted),
            ("commits refused", sum.commits_refused),
            ("outcomes lost", sum.outcomes_lost),
            ("put back", sum.put_back),
            ("dropped", sum.dropped),
        ] {
            assert!(times > 0, "never: {what}");
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lives: {:?}", self.lives, self.sum)
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sample,
    /// A sample that no controller takes.
    Nonsense,
    Event,
}

/// The record of that number.
pub(super) fn record(number: u64, at: Timestamp, kind: Kind, is_padded: bool) -> Record {
    let padding = if is_padded { PADDING_BYTES } else { 0 };
    if kind == Kind::Event {
        return Record::Event(EventHit {
            at,
            source: "simulated".into(),
            code: 1,
            count: 1,
            text: format!("{number} {}", ".".repeat(padding)).into(),
            log: None,
        });
    }
    let process = ProcessIdentity {
        pid: 7,
        started_at: Timestamp::EPOCH,
        name: name_of(number).into(),
        executable: is_padded.then(|| format!("/{number}/{}", "x".repeat(padding)).into()),
        service: None,
    };
    Record::Sample(Sample {
        at,
        booted_at: Timestamp::EPOCH,
        // More than a controller takes.
        interval_ms: if kind == Kind::Nonsense {
            u32::MAX
        } else {
            1_000
        },
        port_spaces: vec![space(OwnerSample {
            process,
            counts: OwnerCounts {
                ports: 9,
                ..OwnerCounts::default()
            },
            handles: u32::try_from(number).ok(),
        })],
        rates: CounterRates::default(),
        host_handles: None,
        probes: Vec::new(),
        cost: AgentCost::default(),
    })
}

fn name_of(number: u64) -> String {
    format!("process-{}", number % NAMES)
}

fn space(owner: OwnerSample) -> PortSpaceSample {
    PortSpaceSample {
        key: PortSpaceKey::own(Protocol::Tcp),
        range: PortRange::new(49_152, 65_535).unwrap(),
        capacity: 16_384,
        strong: 100,
        time_wait_only: 0,
        bound: None,
        quality: CountQuality::Counted,
        light: None,
        states_v4: StateCounts::default(),
        states_v6: StateCounts::default(),
        owners: vec![owner],
        owners_other: OwnerCounts::default(),
        ports_without_owner: 0,
        destinations: Vec::new(),
        destinations_other_ports: 0,
        watch_groups: Vec::new(),
    }
}

impl Fleet {
    pub(super) async fn add_host(&mut self, number: usize) {
        let spki = [self.seed.to_be_bytes(), (number as u64).to_be_bytes()].concat();
        let host = new_host(&spki, &format!("host-{number}"));
        let id = host.id;
        let mut tx = self.store.begin().await.unwrap();
        tx.host_insert(&host).await.unwrap();
        tx.commit().await.unwrap();
        let seed = self.chance.number();
        self.hosts.push(Host::new(id, seed));
    }
}

/// A host's counts add up at every step.
pub(super) fn of_host(host: &Host) -> Result<(), Broken> {
    match host.counts() {
        Some(counts) if !counts.balances() => Err(format!("counts do not add up: {counts:?}")),
        Some(_) | None => Ok(()),
    }
}

/// Honest ends never break the protocol.
pub(super) fn of_cause(cause: DisconnectCause) -> Result<(), Broken> {
    match cause {
        DisconnectCause::Drained
        | DisconnectCause::ConnectTimeout
        | DisconnectCause::WelcomeTimeout
        | DisconnectCause::AckTimeout
        | DisconnectCause::EpochRestart => Ok(()),
        DisconnectCause::Protocol(_) | DisconnectCause::Disagreement => {
            Err(format!("an honest controller is left: {cause:?}"))
        }
    }
}

/// Only what is durable at the controllers is trimmed.
pub(super) async fn of_trim(fleet: &Fleet, host: usize, through: Seq) -> Result<(), Broken> {
    let host = &fleet.hosts[host];
    let Some(epoch) = host.epoch() else {
        return Ok(());
    };
    let mut tx = fleet.store.read().await.unwrap();
    let cursor = tx.cursor_find(host.id, epoch).await.unwrap();
    let durable = cursor.map_or(Seq::ZERO, |cursor| cursor.through_seq);
    if durable < through {
        return Err(format!("{through} is trimmed, {durable} is durable"));
    }
    Ok(())
}

/// What the database holds of a host.
struct Stored {
    /// Numbers of records in the order of their times.
    samples: Vec<(Timestamp, u64)>,
    events: Vec<u64>,
    cursors: Vec<Cursor>,
}

pub(super) async fn at_the_end(fleet: &mut Fleet) -> Result<(), Broken> {
    for number in 0..fleet.hosts.len() {
        let mut tx = fleet.store.read().await.unwrap();
        let stored = Stored::read(&mut tx, fleet.hosts[number].id).await?;
        drop(tx);
        let host = &fleet.hosts[number];
        let said = stored.check(host, fleet.plan.has(Trouble::ControllerClock));
        said.map_err(|broken| format!("host {number}: {broken}; {}", host.standing()))?;
        fleet.happened.stored += (stored.samples.len() + stored.events.len()) as u64;
        fleet.happened.dropped += stored.dropped();
        fleet.happened.duplicates += stored
            .cursors
            .iter()
            .map(|cursor| cursor.duplicates)
            .sum::<u64>();
    }
    Ok(())
}

impl Stored {
    async fn read(tx: &mut Tx, host: HostId) -> Result<Self, Broken> {
        let entities: BTreeMap<u32, String> = tx
            .entities_of(host)
            .await
            .unwrap()
            .into_iter()
            .map(|row| (row.number, row.text))
            .collect();
        let mut rows = Vec::new();
        let span = Span {
            from: Timestamp::EPOCH,
            to: Timestamp::from_unix_ms(i64::MAX),
        };
        tx.recent_each(host, span, |batch| {
            rows.extend(decode_recent(&batch.body).unwrap());
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
        let mut samples = Vec::new();
        for row in rows {
            let mut handles = row
                .points
                .iter()
                .filter(|point| point.key.metric == Metric::Handles.code());
            let point = handles.next().ok_or("a row without its number")?;
            let number = point.value.cast_unsigned();
            let entity = entities.get(&point.key.entity.get()).map(String::as_str);
            let process = entity.and_then(Entity::from_text);
            if !matches!(&process, Some(Entity::Process { name, .. }) if **name == *name_of(number))
            {
                return Err(format!("record {number} is of {process:?}"));
            }
            samples.push((row.at, number));
        }
        samples.sort_unstable();
        let query = EventQuery {
            host,
            before: None,
            since: None,
            source: None,
            code: None,
            xml: RecordXml::Without,
            limit: 1_000_000,
        };
        let events = tx.events_page(&query).await.unwrap();
        let events = events
            .iter()
            .map(|event| event.hit.text.split(' ').next()?.parse().ok())
            .collect::<Option<Vec<u64>>>()
            .ok_or("an event without its number")?;
        let cursors = tx.cursors_latest(host, 1_000).await.unwrap();
        Ok(Self {
            samples,
            events,
            cursors,
        })
    }

    /// Records that the controllers count as lost, whatever the reason.
    fn dropped(&self) -> u64 {
        let reasons = self
            .cursors
            .iter()
            .flat_map(|cursor| cursor.dropped.values());
        reasons.sum()
    }

    fn check(&self, host: &Host, clocks_jump: bool) -> Result<(), Broken> {
        let numbers = self.samples.iter().map(|(_, number)| *number);
        let all: Vec<u64> = numbers.chain(self.events.iter().copied()).collect();
        let stored: BTreeSet<u64> = all.iter().copied().collect();
        let mut seen = BTreeSet::new();
        let again = all.iter().filter(|number| !seen.insert(**number));
        let twice: Vec<_> = again
            .filter(|number| **number > host.may_repeat_through)
            .collect();
        if !twice.is_empty() {
            return Err(format!("stored twice: {twice:?}"));
        }
        if let Some(nonsense) = host.nonsense.intersection(&stored).next() {
            return Err(format!(
                "record {nonsense} is stored, which none should take"
            ));
        }
        self.check_order(clocks_jump)?;
        self.check_counts(host, &stored)?;
        self.check_cursors(host, all.len() as u64)
    }

    fn check_order(&self, clocks_jump: bool) -> Result<(), Broken> {
        let disorder = self
            .samples
            .windows(2)
            .find(|pair| pair[0].1 >= pair[1].1 || pair[0].0 == pair[1].0);
        match disorder {
            Some(pair) if !clocks_jump => Err(format!("samples in disorder: {pair:?}")),
            Some(_) | None => Ok(()),
        }
    }

    /// What is not stored is counted as lost, and nothing else is.
    fn check_counts(&self, host: &Host, stored: &BTreeSet<u64>) -> Result<(), Broken> {
        let lost: Vec<u64> = host.kept.difference(stored).copied().collect();
        let unsure = host.unsure.difference(stored).count() as u64;
        let dropped = self.dropped();
        let fewest = lost.len() as u64;
        let most = fewest + unsure + host.counted_too_much;
        if (fewest..=most).contains(&dropped) {
            return Ok(());
        }
        Err(format!(
            "{dropped} records count as lost, {fewest} to {most} are: {lost:?}; cursors {:?}",
            self.cursors
        ))
    }

    fn check_cursors(&self, host: &Host, stored: u64) -> Result<(), Broken> {
        for cursor in &self.cursors {
            let dropped: u64 = cursor.dropped.values().sum();
            if cursor.through_seq.get() != cursor.stored + dropped {
                return Err(format!("a cursor does not add up: {cursor:?}"));
            }
        }
        let counted: u64 = self.cursors.iter().map(|cursor| cursor.stored).sum();
        if counted != stored {
            return Err(format!(
                "{stored} records are stored, {counted} are counted: {:?}",
                self.cursors
            ));
        }
        let (Some(epoch), Some(counts)) = (host.epoch(), host.counts()) else {
            return Err("a host is down".to_owned());
        };
        let of_epoch = self.cursors.iter().find(|cursor| cursor.epoch == epoch);
        let through = of_epoch.map_or(0, |cursor| cursor.through_seq.get());
        if through != counts.produced {
            return Err(format!(
                "{counts:?} were produced, {through} are accounted for"
            ));
        }
        Ok(())
    }
}
