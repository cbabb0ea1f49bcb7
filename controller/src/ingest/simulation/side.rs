//! The controllers: the gateway's order of records and the one writer, step by step, over the database that they share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tidemark_agent_core::{Incoming, Welcome};
use tidemark_model::{Seq, SessionId, Timestamp};
use tidemark_proto::PROTOCOL_VERSION;
use tidemark_proto::convert::delivery::gap_from_wire;
use tidemark_proto::v1::{AgentFrame, RecordBatch, Refused, agent_frame};
use tidemark_runtime::Clock;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::batch::Batch;
use super::super::writer::{COMMIT_INTERVAL, Mended};
use super::super::{
    Delivered, IngestError, IngestHandle, Item, Lane, OpenLane, Opened, Writer, WriterParts, queue,
};
use super::fleet::{BEGAN_MS, Broken, Fleet};
use super::network::{Event, Frame};
use crate::app::identities::profile_of;
use crate::gateway::session::inflow::{Inflow, refused_batch, refused_records};
use crate::gateway::session::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, CREDIT_RECORDS, HEARTBEAT};
use crate::live::{Live, SessionClaim};
use crate::metrics::Metrics;

mod ends;

const COMMIT_MS: u64 = COMMIT_INTERVAL.as_millis() as u64;
const HEARTBEAT_MS: u64 = HEARTBEAT.as_millis() as u64;

#[derive(Default)]
pub(super) struct Side {
    /// Counts its processes.
    pub(super) life: u64,
    /// Its clock less the true time.
    pub(super) offset_ms: i64,
    running: Option<Running>,
}

/// One process of a controller.
struct Running {
    writer: Writer,
    /// Keeps the queue open, which lanes are made for.
    _handle: IngestHandle,
    live: Live,
    clock: Clock,
    is_draining: bool,
    /// Takes what comes, until it is committed.
    open: Option<Batch>,
    committing: Option<Batch>,
    /// The queue, while the writer commits.
    waiting: VecDeque<Item>,
    sessions: BTreeMap<u64, Desk>,
}

/// A session's end here.
enum Desk {
    Opening {
        host: usize,
        answer: oneshot::Receiver<Result<Opened, IngestError>>,
    },
    Open(OpenDesk),
}

struct OpenDesk {
    host: usize,
    id: SessionId,
    lane: Lane,
    inflow: Inflow,
    acked: Seq,
    cut: CancellationToken,
}

impl Side {
    /// Whether it takes connections.
    pub(super) fn accepts(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| !running.is_draining)
    }
}

impl Fleet {
    pub(super) async fn start_side(&mut self, number: usize) {
        if self.sides[number].running.is_some() {
            return;
        }
        let (handle, queue) = queue();
        let (_, notices) = mpsc::channel(1);
        let (notices_tx, _) = mpsc::channel(1);
        let live = Live::default();
        let mut tx = self.store.read().await.unwrap();
        for host in &self.hosts {
            let stored = tx.host_find(host.id).await.unwrap().unwrap();
            live.put(profile_of(&stored));
        }
        drop(tx);
        let clock = Clock::manual(Timestamp::EPOCH);
        let parts = WriterParts {
            store: self.store.clone(),
            clock: clock.clone(),
            live: live.clone(),
            metrics: Arc::new(Metrics::default()),
            notices,
            notices_tx,
        };
        let side = &mut self.sides[number];
        side.life += 1;
        side.running = Some(Running {
            writer: Writer::new(parts, queue),
            _handle: handle,
            live,
            clock,
            is_draining: false,
            open: None,
            committing: None,
            waiting: VecDeque::new(),
            sessions: BTreeMap::new(),
        });
        let heartbeat = Event::Heartbeat(number, side.life);
        self.after(HEARTBEAT_MS, heartbeat);
        self.set_clock(number);
    }

    fn set_clock(&mut self, number: usize) {
        let side = &self.sides[number];
        let now_ms = BEGAN_MS + self.now_ms.cast_signed() + side.offset_ms;
        if let Some(Running {
            clock: Clock::Manual(hands),
            ..
        }) = &side.running
        {
            hands.store(now_ms, std::sync::atomic::Ordering::Release);
        }
    }

    /// A frame arrives, if its connection still is one.
    pub(super) async fn take(&mut self, connection: u64, frame: Frame) {
        let now_ms = self.now_ms;
        let Some(held) = self.connections.get(&connection) else {
            return;
        };
        let (number, host) = (held.side, held.host);
        if now_ms > held.to_side_until || held.life != self.sides[number].life {
            return;
        }
        self.set_clock(number);
        match frame {
            Frame::Hello { epoch, clock } => self.greet(connection, host, epoch, clock).await,
            Frame::Agent(frame) => self.take_frame(number, connection, *frame).await,
        }
    }

    async fn greet(
        &mut self,
        connection: u64,
        host: usize,
        epoch: tidemark_model::Epoch,
        clock: Timestamp,
    ) {
        let number = self.connections[&connection].side;
        if self.is_database_away() {
            self.close(number, connection);
            return;
        }
        let id = self.hosts[host].id;
        let Some(running) = &mut self.sides[number].running else {
            return;
        };
        let (answer_tx, answer) = oneshot::channel();
        running
            .sessions
            .insert(connection, Desk::Opening { host, answer });
        let wish = OpenLane {
            host: id,
            epoch,
            skew_ms: clock.ms_since(running.clock.now()),
        };
        self.stage(number, Item::Open(wish, answer_tx)).await;
    }

    async fn take_frame(&mut self, number: usize, connection: u64, frame: AgentFrame) {
        let Some(running) = &mut self.sides[number].running else {
            return;
        };
        let Some(Desk::Open(desk)) = running.sessions.get_mut(&connection) else {
            return;
        };
        if desk.cut.is_cancelled() {
            self.close(number, connection);
            return;
        }
        let key = desk.lane.key;
        let (delivered, refused) = if let Some(agent_frame::Kind::Records(batch)) = &frame.kind {
            take_records(desk, batch)
        } else {
            (take_gap(desk, &frame), Vec::new())
        };
        for refused in refused {
            self.refuse(connection, &refused);
        }
        match delivered {
            Some(delivered) => self.stage(number, Item::Records(key, delivered)).await,
            None => {
                self.happened.sessions_refused += 1;
                self.close(number, connection);
            }
        }
    }

    fn refuse(&mut self, connection: u64, refused: &Refused) {
        self.say(
            connection,
            Incoming::Refused {
                first: Seq::new(refused.first_seq),
                last: Seq::new(refused.last_seq),
                reason: refused.reason.as_str().into(),
            },
        );
    }

    /// Puts an item into the open batch, or into the queue while another is being committed.
    async fn stage(&mut self, number: usize, item: Item) {
        let life = self.sides[number].life;
        let Some(running) = &mut self.sides[number].running else {
            return;
        };
        if running.committing.is_some() {
            running.waiting.push_back(item);
            return;
        }
        let begins = running.open.is_none();
        let batch = running.open.get_or_insert_default();
        running.writer.stage(batch, item).await;
        if begins {
            self.after(COMMIT_MS, Event::Commit(number, life));
        }
    }

    pub(super) async fn commit(&mut self, number: usize, life: u64) -> Result<(), Broken> {
        if self.sides[number].life != life {
            return Ok(());
        }
        self.set_clock(number);
        let (is_away, loses_outcome) = (self.is_database_away(), self.loses_outcome);
        let Some(running) = &mut self.sides[number].running else {
            return Ok(());
        };
        if running.committing.is_none() {
            let mut batch = running.open.take().unwrap_or_default();
            running.writer.seal(&mut batch);
            running.committing = Some(batch);
        }
        let again_ms = if is_away { 1_000 } else { 200 };
        let is_committed = !is_away && self.try_commit(number).await?;
        if is_committed && loses_outcome {
            // It is done, and the writer hears that the database is away.
            self.loses_outcome = false;
            self.happened.outcomes_lost += 1;
        }
        if !is_committed || loses_outcome {
            self.after(again_ms, Event::Commit(number, life));
            return Ok(());
        }
        self.committed(number).await;
        Ok(())
    }

    async fn try_commit(&mut self, number: usize) -> Result<bool, Broken> {
        loop {
            let Some(running) = &mut self.sides[number].running else {
                return Ok(false);
            };
            let Some(batch) = &mut running.committing else {
                return Ok(false);
            };
            let Err(error) = running.writer.try_commit(batch).await else {
                return Ok(true);
            };
            self.happened.commits_refused += 1;
            match running.writer.mend(batch, error).await {
                Ok(Mended::LeftOut) => {}
                Ok(Mended::Unchanged) => return Ok(false),
                Err(error) => return Err(format!("the database is damaged: {error:?}")),
            }
        }
    }

    /// Lets acks and welcomes out, and takes what waited.
    async fn committed(&mut self, number: usize) {
        let Some(running) = &mut self.sides[number].running else {
            return;
        };
        if let Some(batch) = running.committing.take() {
            running.writer.committed(batch, Instant::now());
        }
        let sessions: Vec<u64> = running.sessions.keys().copied().collect();
        for connection in sessions {
            self.look_after(number, connection);
        }
        let Some(running) = &mut self.sides[number].running else {
            return;
        };
        for item in std::mem::take(&mut running.waiting) {
            self.stage(number, item).await;
        }
    }

    /// Tells a session what a commit made of it.
    fn look_after(&mut self, number: usize, connection: u64) {
        let session = self.chance.number();
        let now = self.sides[number].time(self.now_ms);
        let Some(running) = &mut self.sides[number].running else {
            return;
        };
        match running.sessions.get_mut(&connection) {
            Some(Desk::Opening { host, answer }) => match answer.try_recv() {
                Ok(Ok(opened)) => {
                    let host = *host;
                    let id = SessionId::new(session);
                    let cut = CancellationToken::new();
                    let stop = cut.clone();
                    let claim = SessionClaim { id, stop };
                    running.live.open_session(self.hosts[host].id, claim, now);
                    let acked = opened.acked;
                    let desk = OpenDesk {
                        host,
                        id,
                        inflow: Inflow::from(acked.next().get()),
                        lane: opened.lane,
                        acked,
                        cut,
                    };
                    running.sessions.insert(connection, Desk::Open(desk));
                    self.say(connection, welcome(id, acked));
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
                Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => {
                    self.close(number, connection);
                }
            },
            Some(Desk::Open(desk)) if desk.cut.is_cancelled() => self.close(number, connection),
            Some(Desk::Open(desk)) if desk.lane.acked.has_changed().unwrap_or(false) => {
                desk.acked = *desk.lane.acked.borrow_and_update();
                let through = desk.acked;
                self.say(connection, ack(through));
            }
            Some(Desk::Open(_)) | None => {}
        }
    }

    pub(super) fn heartbeat(&mut self, number: usize, life: u64) {
        if self.sides[number].life != life {
            return;
        }
        let Some(running) = &self.sides[number].running else {
            return;
        };
        let acks: Vec<_> = running
            .sessions
            .iter()
            .filter_map(|(connection, desk)| match desk {
                Desk::Open(desk) => Some((*connection, desk.acked)),
                Desk::Opening { .. } => None,
            })
            .collect();
        for (connection, through) in acks {
            self.say(connection, ack(through));
        }
        self.after(HEARTBEAT_MS, Event::Heartbeat(number, life));
    }

    fn say(&mut self, connection: u64, incoming: Incoming) {
        let at_ms = self.now_ms + self.latency_ms();
        if let Some(held) = self.connections.get_mut(&connection) {
            held.to_host_at = held.to_host_at.max(at_ms);
            let at_ms = held.to_host_at;
            self.at(at_ms, Event::ToHost(connection, incoming));
        }
    }

    /// Ends a session from here.
    fn close(&mut self, number: usize, connection: u64) {
        self.forget(number, connection);
        let at_ms = self.now_ms + self.latency_ms();
        if let Some(held) = self.connections.get(&connection) {
            let at_ms = held.to_host_at.max(at_ms);
            self.at(at_ms, Event::HostLoses(connection));
        }
    }

    fn forget(&mut self, number: usize, connection: u64) {
        let hosts = &self.hosts;
        let Some(running) = &mut self.sides[number].running else {
            return;
        };
        if let Some(Desk::Open(desk)) = running.sessions.remove(&connection) {
            running.live.close_session(hosts[desk.host].id, desk.id);
        }
    }

    pub(super) fn side_loses(&mut self, connection: u64) {
        let Some(held) = self.connections.get(&connection) else {
            return;
        };
        let (number, life) = (held.side, held.life);
        if self.sides[number].life == life {
            self.forget(number, connection);
        }
    }
}

impl Side {
    fn time(&self, now_ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(BEGAN_MS + now_ms.cast_signed() + self.offset_ms)
    }
}

/// As the gateway's session takes a batch: what is delivered, and what is refused. Without anything delivered it ends.
fn take_records(desk: &mut OpenDesk, batch: &RecordBatch) -> (Option<Delivered>, Vec<Refused>) {
    match desk.inflow.decode(batch) {
        Ok(decoded) if desk.inflow.expect_records(batch).is_ok() => {
            let refused = refused_records(&decoded);
            (Some(Delivered::Records(decoded)), refused)
        }
        Ok(_) => (None, Vec::new()),
        Err(error) => (None, vec![refused_batch(batch, &error)]),
    }
}

fn take_gap(desk: &mut OpenDesk, frame: &AgentFrame) -> Option<Delivered> {
    let Some(agent_frame::Kind::Gap(gap)) = &frame.kind else {
        return None;
    };
    let gap = gap_from_wire(gap).ok()?;
    desk.inflow.expect_gap(gap).ok()?;
    Some(Delivered::Gap(gap))
}

fn ack(through: Seq) -> Incoming {
    Incoming::Ack {
        through,
        credit: CREDIT_RECORDS,
    }
}

fn welcome(session: SessionId, acked: Seq) -> Incoming {
    Incoming::Welcome(Welcome {
        protocol: PROTOCOL_VERSION,
        session,
        acked,
        credit: CREDIT_RECORDS,
        batch_records_max: BATCH_RECORDS_MAX,
        batch_bytes_max: BATCH_BYTES_MAX,
        settings: None,
    })
}
