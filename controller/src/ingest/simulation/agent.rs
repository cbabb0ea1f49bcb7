//! The hosts: the agent's own spool, records and session, on a disk that fails.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidemark_agent::outbox::OutboxHandle;
use tidemark_agent::session::RecordFlow;
use tidemark_agent_core::{
    Action, DisconnectReason, Incoming, Sent, Session, SessionConfig, SessionState,
};
use tidemark_disk::{Chance, MemoryDisk};
use tidemark_model::{Epoch, HostId, Seq, Timestamp};
use tidemark_proto::PROTOCOL_VERSION;
use tidemark_proto::convert::delivery::gap_to_wire;
use tidemark_proto::convert::record::encode_stored;
use tidemark_proto::v1::{AgentFrame, agent_frame};
use tidemark_spool::{Spool, SpoolLimits};

use super::checks::{self, Kind, record};
use super::fleet::{BEGAN_MS, Broken, Fleet};
use super::network::{Connection, Event, Frame};
use super::plan::Trouble;

mod troubles;

const SPOOL: &str = "/spool";

pub(super) struct Host {
    pub(super) id: HostId,
    disk: MemoryDisk,
    process: Option<Process>,
    processes: u64,
    /// The host's clock less the true time.
    clock_ms: i64,
    /// Reaches nobody until then.
    pub(super) cut_off_until_ms: u64,
    snapshot: Option<(MemoryDisk, u64)>,
    /// Was put back, and has not been welcomed since.
    is_put_back: bool,
    /// Tells something next that no controller takes.
    tells_nonsense: bool,
    /// The last record's number.
    pub(super) numbered: u64,
    /// Records that the agent was told to be kept.
    pub(super) kept: BTreeSet<u64>,
    /// Records that may be kept, counted as lost, or neither: power went, the disk refused, or a snapshot took them back.
    pub(super) unsure: BTreeSet<u64>,
    /// Records that no controller takes.
    pub(super) nonsense: BTreeSet<u64>,
    /// Records up to here may be stored twice: the end of the spool could not be read, and what it held began a new epoch.
    pub(super) may_repeat_through: u64,
    /// Records that were counted as damaged without being any: the end of a segment that could not be read.
    pub(super) counted_too_much: u64,
}

struct Process {
    number: u64,
    began_ms: u64,
    outbox: OutboxHandle,
    flow: RecordFlow,
    core: Session,
    connection: Option<u64>,
    timer_ms: Option<u64>,
}

impl Host {
    pub(super) fn new(id: HostId, seed: u64) -> Self {
        Self {
            id,
            disk: MemoryDisk::new(seed),
            process: None,
            processes: 0,
            clock_ms: 0,
            cut_off_until_ms: 0,
            snapshot: None,
            is_put_back: false,
            tells_nonsense: false,
            numbered: 0,
            kept: BTreeSet::new(),
            unsure: BTreeSet::new(),
            nonsense: BTreeSet::new(),
            may_repeat_through: 0,
            counted_too_much: 0,
        }
    }

    pub(super) fn connection(&self) -> Option<u64> {
        self.process.as_ref()?.connection
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        Some(self.process.as_ref()?.outbox.lock().epoch())
    }

    pub(super) fn counts(&self) -> Option<tidemark_model::SpoolCounts> {
        Some(self.process.as_ref()?.outbox.counts())
    }

    pub(super) fn mend_disk(&mut self) {
        self.disk.mend();
        self.disk.set_room(None);
    }

    /// Whether everything is acked.
    pub(super) fn is_delivered(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let bounds = process.outbox.lock().bounds();
            is_open(process) && bounds.oldest > bounds.newest
        })
    }

    pub(super) fn standing(&self) -> String {
        self.process.as_ref().map_or_else(
            || "a host is down".to_owned(),
            |process| {
                let (state, bounds) = (process.core.state(), process.outbox.lock().bounds());
                format!("{state:?}, {bounds:?}, {:?}", process.outbox.counts())
            },
        )
    }

    /// The end of its spool cannot be read: what it held begins a new epoch, acked or not, and how many records there were in
    /// what cannot be read, nobody knows. They count as one at least.
    fn begins_anew(&mut self) {
        self.counted_too_much += 1;
        self.may_repeat_through = self.numbered;
        let kept = std::mem::take(&mut self.kept);
        self.unsure.extend(kept);
    }

    fn time(&self, now_ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(BEGAN_MS + now_ms.cast_signed() + self.clock_ms)
    }
}

fn is_open(process: &Process) -> bool {
    matches!(process.core.state(), SessionState::Open { .. })
}

impl Process {
    fn now(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms - self.began_ms)
    }
}

impl Fleet {
    /// Starts a host's agent; one that cannot open its spool is started again.
    pub(super) async fn start_agent(&mut self, number: usize) -> Result<(), Broken> {
        let is_gentle = !self.plan.troubles.iter().any(|(trouble, _)| {
            matches!(
                trouble,
                Trouble::DiskFull | Trouble::DiskFails | Trouble::DiskBusy
            )
        });
        let epoch = Epoch::from_random(self.chance.number());
        let seed = self.chance.number();
        let (now_ms, limits) = (self.now_ms, self.limits());
        let host = &mut self.hosts[number];
        if host.process.is_some() {
            return Ok(());
        }
        if !host.disk.is_on() {
            host.disk.power_up();
        }
        let disk = Arc::new(host.disk.for_process());
        let opened = Spool::open_on(disk, Path::new(SPOOL), limits, host.time(now_ms), epoch);
        let (spool, recovery) = match opened {
            Ok(opened) => opened,
            Err(error) if is_gentle && host.disk.is_on() => {
                return Err(format!("a spool cannot be opened: {error:?}"));
            }
            Err(_) => {
                // It may have begun a new epoch before it failed.
                host.begins_anew();
                self.after(5_000, Event::HostUp(number));
                return Ok(());
            }
        };
        let damaged = recovery.records_damaged + u64::from(recovery.state_files_lost);
        if is_gentle && (damaged > 0 || recovery.epoch_restarted) {
            return Err(format!("a crash looks like damage: {recovery:?}"));
        }
        if recovery.epoch_restarted {
            host.begins_anew();
        }
        self.happened.epochs_restarted += u64::from(recovery.epoch_restarted);
        host.processes += 1;
        let outbox = OutboxHandle::new(spool);
        let flow = RecordFlow::new(outbox.clone());
        let mut chance = Chance::new(seed);
        host.process = Some(Process {
            number: host.processes,
            began_ms: now_ms,
            core: Session::new(
                SessionConfig::for_protocol(PROTOCOL_VERSION),
                flow.view(),
                Box::new(move || chance.number()),
                Duration::ZERO,
            ),
            outbox,
            flow,
            connection: None,
            timer_ms: None,
        });
        self.act(number).await
    }

    fn limits(&self) -> SpoolLimits {
        SpoolLimits {
            bytes_max: if self.plan.small_spools {
                64 * 1024
            } else {
                SpoolLimits::default().bytes_max
            },
            segment_bytes: 4 * 1024,
            ..SpoolLimits::default()
        }
    }

    /// A host takes a sample, or sees an event.
    pub(super) async fn sample(&mut self, number: usize) -> Result<(), Broken> {
        if !self.is_sampled() {
            return Ok(());
        }
        let interval_ms = self.plan.interval_ms;
        self.after(interval_ms, Event::Sample(number));
        let is_padded = self.plan.small_spools;
        let now_ms = self.now_ms;
        let host = &mut self.hosts[number];
        let at = host.time(now_ms);
        let Some(process) = &mut host.process else {
            return Ok(());
        };
        host.numbered += 1;
        let numbered = host.numbered;
        let kind = if std::mem::take(&mut host.tells_nonsense) {
            host.nonsense.insert(numbered);
            Kind::Nonsense
        } else if numbered.is_multiple_of(5) {
            Kind::Event
        } else {
            Kind::Sample
        };
        let stored = encode_stored(&record(numbered, at, kind, is_padded));
        let appended = match kind {
            Kind::Event => process.outbox.append_lasting(&stored, at),
            Kind::Sample | Kind::Nonsense => process.outbox.append(&stored, at),
        };
        match appended {
            Ok(_) if host.disk.is_on() => host.kept.insert(numbered),
            Ok(_) | Err(_) => host.unsure.insert(numbered),
        };
        let newest = process.outbox.lock().bounds().newest;
        process.core.handle_appended(newest);
        self.act(number).await
    }

    pub(super) async fn look_at_time(&mut self, number: usize, process: u64) -> Result<(), Broken> {
        let now_ms = self.now_ms;
        let Some(process) = self.process_of(number, process) else {
            return Ok(());
        };
        process.timer_ms = None;
        let now = process.now(now_ms);
        process.core.handle_timeout(now);
        self.act(number).await
    }

    fn process_of(&mut self, number: usize, process: u64) -> Option<&mut Process> {
        let running = self.hosts[number].process.as_mut();
        running.filter(|running| running.number == process)
    }

    /// The process at the host's end of a connection, while it holds it.
    fn holder(&mut self, connection: u64) -> Option<(usize, &mut Process)> {
        let held = self.connections.get(&connection)?;
        let (host, process) = (held.host, held.process);
        let process = self.process_of(host, process)?;
        (process.connection == Some(connection)).then_some((host, process))
    }

    pub(super) async fn connected(&mut self, connection: u64) -> Result<(), Broken> {
        let now_ms = self.now_ms;
        let Some((host, process)) = self.holder(connection) else {
            return Ok(());
        };
        let now = process.now(now_ms);
        process.core.handle_connected(now);
        self.act(host).await
    }

    pub(super) async fn host_loses(&mut self, connection: u64) -> Result<(), Broken> {
        let now_ms = self.now_ms;
        let Some((host, process)) = self.holder(connection) else {
            return Ok(());
        };
        process.connection = None;
        let now = process.now(now_ms);
        process
            .core
            .handle_disconnected(now, DisconnectReason::Lost);
        self.act(host).await
    }

    pub(super) async fn heard(
        &mut self,
        connection: u64,
        incoming: Incoming,
    ) -> Result<(), Broken> {
        let now_ms = self.now_ms;
        let is_lost = self
            .connections
            .get(&connection)
            .is_none_or(|held| now_ms > held.to_host_until);
        let Some((host, process)) = self.holder(connection).filter(|_| !is_lost) else {
            return Ok(());
        };
        let now = process.now(now_ms);
        let was_open = is_open(process);
        process.core.handle_incoming(now, incoming);
        if !was_open && is_open(process) {
            self.happened.sessions += 1;
            self.hosts[host].is_put_back = false;
        }
        self.act(host).await
    }

    /// Does what the session asks for, and has it look at the time again.
    async fn act(&mut self, number: usize) -> Result<(), Broken> {
        loop {
            if !self.hosts[number].disk.is_on() {
                self.agent_dies(number);
                let back_ms = self.chance.between(500, 60_000);
                self.after(back_ms, Event::HostUp(number));
                return Ok(());
            }
            let Some(process) = &mut self.hosts[number].process else {
                return Ok(());
            };
            let Some(action) = process.core.poll_action() else {
                break;
            };
            self.perform(number, action).await?;
        }
        checks::of_host(&self.hosts[number])?;
        self.set_timer(number);
        Ok(())
    }

    fn set_timer(&mut self, number: usize) {
        let Some(process) = &mut self.hosts[number].process else {
            return;
        };
        let Some(timeout) = process.core.poll_timeout() else {
            return;
        };
        let at_ms = process.began_ms + u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX) + 1;
        let at_ms = at_ms.max(self.now_ms);
        if process.timer_ms.is_none_or(|timer_ms| timer_ms > at_ms) {
            process.timer_ms = Some(at_ms);
            let timer = Event::Timer(number, process.number);
            self.at(at_ms, timer);
        }
    }

    async fn perform(&mut self, number: usize, action: Action) -> Result<(), Broken> {
        let epoch = Epoch::from_random(self.chance.number());
        let now_ms = self.now_ms;
        let time = self.hosts[number].time(now_ms);
        let Some(process) = &mut self.hosts[number].process else {
            return Ok(());
        };
        let now = process.now(now_ms);
        match action {
            Action::Connect => self.connect(number),
            Action::SendHello(view) => {
                process.flow.begin();
                let hello = Frame::Hello {
                    epoch: view.epoch,
                    clock: time,
                };
                self.send(number, hello);
            }
            Action::SendRecords {
                from,
                records_max,
                bytes_max,
            } => match process.flow.next_frame(from, records_max, bytes_max) {
                Some(outgoing) => {
                    process.core.handle_sent(now, outgoing.sent);
                    self.send(number, Frame::Agent(Box::new(outgoing.frame)));
                }
                None => process.core.handle_sent(now, Sent::Nothing),
            },
            Action::SendGap(gap) => {
                let kind = agent_frame::Kind::Gap(gap_to_wire(gap));
                let frame = AgentFrame { kind: Some(kind) };
                self.send(number, Frame::Agent(Box::new(frame)));
            }
            Action::Trim { through } => self.trim(number, through).await?,
            Action::GiveUp(gap) => process.flow.give_up(gap),
            Action::RestartEpoch => {
                let view = process.flow.restart_epoch(epoch);
                process.core.handle_epoch_restarted(now, view);
                self.happened.epochs_restarted += 1;
            }
            Action::Disconnect(cause) => {
                checks::of_cause(cause)?;
                if let Some(connection) = process.connection.take() {
                    self.after(1, Event::SideLoses(connection));
                }
            }
            Action::SendStatus | Action::ApplySettings(_) => {}
        }
        Ok(())
    }

    /// What is trimmed must be durable at the controllers.
    async fn trim(&mut self, number: usize, through: Seq) -> Result<(), Broken> {
        checks::of_trim(self, number, through).await?;
        if let Some(process) = &mut self.hosts[number].process {
            process.flow.trim(through);
        }
        Ok(())
    }

    fn connect(&mut self, number: usize) {
        let side = self.chance.index(self.sides.len());
        let connection = self.connection_number();
        let way_ms = self.latency_ms() + self.latency_ms() + 1;
        let Some(process) = &mut self.hosts[number].process else {
            return;
        };
        process.connection = Some(connection);
        let life = self.sides[side].life;
        let held = Connection::new(number, process.number, side, life);
        self.connections.insert(connection, held);
        if self.now_ms < self.hosts[number].cut_off_until_ms {
            return;
        }
        if self.sides[side].accepts() {
            self.after(way_ms, Event::Connected(connection));
        } else {
            self.after(way_ms, Event::HostLoses(connection));
        }
    }

    fn send(&mut self, number: usize, frame: Frame) {
        let at_ms = self.now_ms + self.latency_ms();
        let Some(connection) = self.hosts[number].connection() else {
            return;
        };
        if let Some(held) = self.connections.get_mut(&connection) {
            held.to_side_at = held.to_side_at.max(at_ms);
            let at_ms = held.to_side_at;
            self.at(at_ms, Event::ToSide(connection, frame));
        }
    }

    /// The process is gone; the controller notices in its time.
    fn agent_dies(&mut self, number: usize) {
        let Some(process) = self.hosts[number].process.take() else {
            return;
        };
        if let Some(connection) = process.connection {
            let notice_ms = self.notice_ms();
            self.after(notice_ms, Event::SideLoses(connection));
        }
    }
}
