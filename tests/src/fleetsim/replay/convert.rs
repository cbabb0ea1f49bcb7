//! A recorded line as the records that an agent on that host would have produced.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_model::Timestamp;
use tidemark_model::port::{PortRange, PortSpaceKey, Protocol};
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, EventHit, OwnerCounts, OwnerSample, PortSpaceSample,
    ProcessIdentity, Sample,
};
use tidemark_model::tcp::{StateCounts, TcpState};
use tidemark_proto::convert::record::Record;

use super::line::{EventId, EventLine, ProcessLine, SampleLine};

/// Processes of one host that are remembered with their start.
const PROCESSES_MAX: usize = 256;
/// Longest interval that is told, in milliseconds: a week.
const INTERVAL_MS_MAX: i64 = 7 * 86_400_000;

/// One host's recording, line by line.
#[derive(Debug)]
pub(super) struct Recording {
    /// Added to every time.
    shift_ms: i64,
    /// The newest sample so far, as recorded.
    newest_ms: Option<i64>,
    /// When each process was seen first, as recorded: the recording does not say when it started.
    first_seen_ms: BTreeMap<(u32, String), i64>,
}

impl Recording {
    pub(super) const fn new(shift_ms: i64) -> Self {
        Self {
            shift_ms,
            newest_ms: None,
            first_seen_ms: BTreeMap::new(),
        }
    }

    /// The sample of a line, and its events.
    pub(super) fn records(&mut self, line: SampleLine) -> (Record, Vec<Record>) {
        let at = self.shifted(line.ts_unix_ms);
        let interval_ms = self
            .newest_ms
            .map(|newest| line.ts_unix_ms.saturating_sub(newest))
            .filter(|ms| (1..=INTERVAL_MS_MAX).contains(ms))
            .and_then(|ms| u32::try_from(ms).ok())
            .unwrap_or(0);
        self.newest_ms = self.newest_ms.max(Some(line.ts_unix_ms));
        let owners: Vec<OwnerSample> = line
            .procs
            .iter()
            .map(|process| self.owner(&line, process))
            .collect();
        self.forget_processes(&line);
        let events = line
            .events
            .iter()
            .filter_map(|event| event_hit(event, at))
            .map(Record::Event)
            .collect();
        let sample = Sample {
            at,
            booted_at: self.shifted(line.boot_unix_ms),
            interval_ms,
            port_spaces: vec![port_space(&line, owners)],
            rates: CounterRates::default(),
            host_handles: None,
            probes: vec![],
            cost: AgentCost::default(),
        };
        (Record::Sample(sample), events)
    }

    fn shifted(&self, unix_ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(unix_ms.saturating_add(self.shift_ms))
    }

    fn owner(&mut self, line: &SampleLine, process: &ProcessLine) -> OwnerSample {
        let is_first = self.newest_ms == Some(line.ts_unix_ms) && self.first_seen_ms.is_empty();
        let seen_ms = if is_first {
            line.boot_unix_ms
        } else {
            line.ts_unix_ms
        };
        let key = (process.pid, process.name.clone());
        let started_ms = *self.first_seen_ms.entry(key).or_insert(seen_ms);
        let ports = process.ports.min(65_536);
        OwnerSample {
            process: ProcessIdentity {
                pid: process.pid,
                started_at: self.shifted(started_ms),
                name: Arc::from(process.name.as_str()),
                executable: None,
                service: None,
            },
            counts: OwnerCounts {
                ports,
                bound: process.bound.unwrap_or(0).min(ports),
                close_wait: 0,
                sockets: ports,
            },
            handles: process.handles,
        }
    }

    /// Keeps the processes of this line when there are too many to remember.
    fn forget_processes(&mut self, line: &SampleLine) {
        if self.first_seen_ms.len() > PROCESSES_MAX {
            self.first_seen_ms.retain(|(pid, name), _| {
                line.procs
                    .iter()
                    .any(|process| process.pid == *pid && process.name == *name)
            });
        }
    }
}

fn port_space(line: &SampleLine, owners: Vec<OwnerSample>) -> PortSpaceSample {
    let time_wait_only = line.time_wait.min(line.in_use);
    let strong = line.in_use - time_wait_only;
    let owned = owners
        .iter()
        .fold(0_u32, |sum, owner| sum.saturating_add(owner.counts.ports));
    let others = strong.saturating_sub(owned);
    // Programs may hold reserved ports of the range by number: in use can then be above the capacity.
    let size = line.capacity.max(line.in_use).clamp(1, 65_536);
    let first = u16::try_from(65_536 - size).unwrap_or(u16::MAX);
    PortSpaceSample {
        key: PortSpaceKey::own(Protocol::Tcp),
        range: PortRange {
            first,
            last: u16::MAX,
        },
        capacity: line.capacity,
        strong,
        time_wait_only,
        bound: line.bound.map(|bound| bound.min(strong)),
        quality: CountQuality::Counted,
        light: None,
        states_v4: states(line),
        states_v6: StateCounts::default(),
        owners,
        owners_other: OwnerCounts {
            ports: others,
            bound: 0,
            close_wait: 0,
            sockets: others,
        },
        ports_without_owner: time_wait_only,
        destinations: vec![],
        destinations_other_ports: 0,
        watch_groups: vec![],
    }
}

fn states(line: &SampleLine) -> StateCounts {
    let mut states = StateCounts::default();
    states.set(TcpState::Established, line.established);
    states.set(TcpState::TimeWait, line.time_wait);
    states.set(TcpState::CloseWait, line.close_wait);
    states.set(TcpState::Bound, line.bound.unwrap_or(0));
    states
}

/// `None` for an event that was seen no time at all.
fn event_hit(event: &EventLine, at: Timestamp) -> Option<EventHit> {
    let count = event.n.unwrap_or(1);
    if count == 0 {
        return None;
    }
    let hit = match &event.id {
        EventId::Number(code) => EventHit {
            at,
            source: "Tcpip".into(),
            code: *code,
            count,
            text: meaning(*code).into(),
            log: None,
        },
        EventId::Name(name) => EventHit {
            at,
            source: name.chars().take(64).collect::<String>().into(),
            code: 0,
            count,
            text: format!("{} {}", event.svc, event.ver).trim().into(),
            log: None,
        },
    };
    Some(hit)
}

const fn meaning(code: u32) -> &'static str {
    match code {
        4227 => {
            "TCP/IP failed to establish an outgoing connection: the endpoint was used too recently"
        }
        4231 => "no ephemeral TCP port could be had: all of them are in use",
        4266 => "no ephemeral UDP port could be had: all of them are in use",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemark_proto::convert::record::{decode_stored, encode_stored};

    use super::super::line::tests::LINE;
    use super::*;

    fn line() -> SampleLine {
        SampleLine::parse(LINE.as_bytes()).unwrap()
    }

    fn sample(record: Record) -> Sample {
        match record {
            Record::Sample(sample) => sample,
            Record::Event(event) => panic!("not a sample: {event:?}"),
        }
    }

    #[test]
    fn a_line_becomes_what_an_agent_would_have_seen() {
        let (record, events) = Recording::new(1_000).records(line());
        let sample = sample(record);
        let tcp = &sample.port_spaces[0];
        assert_eq!(sample.at.unix_ms(), 1_767_571_201_500);
        assert_eq!(
            (tcp.in_use(), tcp.capacity, tcp.bound),
            (900, 16_384, Some(40))
        );
        assert_eq!(tcp.range.size(), 16_384);
        assert_eq!(tcp.owners_other.ports, 180);
        let codes: Vec<_> = events
            .into_iter()
            .map(|event| match event {
                Record::Event(event) => (event.code, event.count, event.source.to_string()),
                Record::Sample(_) => panic!("not an event"),
            })
            .collect();
        assert_eq!(
            codes,
            [(4227, 3, "Tcpip".to_owned()), (0, 1, "deploy".to_owned())]
        );
    }

    #[test]
    fn a_process_keeps_its_start_until_its_pid_changes() {
        let mut recording = Recording::new(0);
        let started = |record| {
            let sample = sample(record);
            sample.port_spaces[0].owners[0].process.started_at.unix_ms()
        };
        let first = started(recording.records(line()).0);
        assert_eq!(first, line().boot_unix_ms);
        let mut later = line();
        later.ts_unix_ms += 300_000;
        assert_eq!(started(recording.records(later.clone()).0), first);
        later.procs[0].pid = 999;
        assert_eq!(
            started(recording.records(later.clone()).0),
            later.ts_unix_ms
        );
    }

    proptest! {
        #[test]
        fn every_legal_line_is_a_legal_record(
            in_use in 0..=65_536_u32,
            capacity in 1..=65_536_u32,
            time_wait: u32,
            bound: Option<u32>,
            ports: u32,
            shift_ms in -1_000_000_000_000..1_000_000_000_000_i64,
        ) {
            let mut line = line();
            (line.in_use, line.capacity, line.time_wait, line.bound) =
                (in_use, capacity, time_wait, bound);
            line.procs[0].ports = ports;
            let (sample, events) = Recording::new(shift_ms).records(line);
            for record in std::iter::once(sample).chain(events) {
                prop_assert_eq!(decode_stored(&encode_stored(&record)).unwrap(), record);
            }
        }
    }
}
