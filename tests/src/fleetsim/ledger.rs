//! What one simulated agent knows of its own records, counted apart from its outbox so that the two can be compared.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemark_agent::outbox::OutboxHandle;
use tidemark_agent::session::SessionEvent;
use tidemark_model::{GapReason, Seq, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::meter::Meter;

/// One agent's own account.
#[derive(Debug)]
pub struct Ledger {
    meter: Arc<Meter>,
    account: Mutex<Account>,
    acked: Notify,
}

/// The figures of an account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Records that were handed to the outbox.
    pub produced: u64,
    /// Connections that the controller welcomed.
    pub sessions: u64,
    /// Records given up, by reason; what the outbox dropped for want of room is not among them.
    pub given_up: BTreeMap<GapReason, u64>,
    is_connected: bool,
    /// Records that wait for their ack, oldest first.
    waiting: VecDeque<(Seq, Instant)>,
}

impl Ledger {
    /// An account without records.
    #[must_use]
    pub fn new(meter: Arc<Meter>) -> Self {
        Self {
            meter,
            account: Mutex::default(),
            acked: Notify::new(),
        }
    }

    /// Hands a stored record to the outbox and notes when.
    pub fn produce(&self, outbox: &OutboxHandle, stored: &[u8], now: Timestamp) {
        // Held across the append, so that an ack cannot come before the record is noted.
        let mut account = self.account();
        account.produced = account.produced.saturating_add(1);
        self.meter.produced.add(1);
        match outbox.append(stored, now) {
            Ok(seq) => account.waiting.push_back((seq, Instant::now())),
            Err(error) => {
                tracing::warn!(%error, "a record was dropped at once");
                account.give_up(GapReason::WriteFailed, 1);
            }
        }
        let held = usize::try_from(outbox.counts().held).unwrap_or(usize::MAX);
        while account.waiting.len() > held {
            account.waiting.pop_front();
        }
    }

    /// Takes what the session tells.
    pub fn take(&self, event: &SessionEvent) {
        let mut account = self.account();
        match event {
            SessionEvent::Connected { .. } => {
                account.sessions = account.sessions.saturating_add(1);
                if !std::mem::replace(&mut account.is_connected, true) {
                    self.meter.connected.add(1);
                }
                if account.sessions > 1 {
                    self.meter.reconnects.add(1);
                }
            }
            SessionEvent::Acked { through } => {
                let produced: Vec<Instant> = account.acked(*through).collect();
                self.meter.acked(Instant::now(), &produced);
                self.acked.notify_one();
            }
            SessionEvent::GaveUp(gap) => {
                account.give_up(gap.reason, gap.records());
                account
                    .waiting
                    .retain(|(seq, _)| *seq < gap.first || *seq > gap.last);
                self.acked.notify_one();
            }
            SessionEvent::Disconnected { kind, text } => {
                if std::mem::replace(&mut account.is_connected, false) {
                    self.meter.connected.sub(1);
                }
                self.meter.disconnected(kind, text);
            }
            SessionEvent::RenewalFailed { kind, text } => self.meter.disconnected(kind, text),
            SessionEvent::Witnessed(_)
            | SessionEvent::SampleInterval(_)
            | SessionEvent::Renewed { .. } => {}
        }
    }

    /// Waits until fewer than `limit` records wait for their ack. For one waiter only.
    pub async fn room(&self, limit: usize) {
        while self.account().waiting.len() >= limit {
            self.acked.notified().await;
        }
    }

    /// The figures so far.
    #[must_use]
    pub fn figures(&self) -> Account {
        self.account().clone()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn give_up(&mut self, reason: GapReason, records: u64) {
        let sum = self.given_up.entry(reason).or_default();
        *sum = sum.saturating_add(records);
    }

    /// Takes out what an ack accounts for; says when each was produced.
    fn acked(&mut self, through: Seq) -> impl Iterator<Item = Instant> + '_ {
        let count = self.waiting.partition_point(|(seq, _)| *seq <= through);
        self.waiting
            .drain(..count)
            .map(|(_, produced_at)| produced_at)
    }
}

#[cfg(test)]
mod tests {
    use tidemark_agent::outbox::{MemoryLimits, MemoryOutbox};
    use tidemark_model::{Epoch, RecordGap};

    use super::*;

    fn parts(records_max: usize) -> (Ledger, Arc<Meter>, OutboxHandle) {
        let meter = Arc::new(Meter::default());
        let limits = MemoryLimits {
            records_max,
            bytes_max: 1_000,
        };
        let outbox = OutboxHandle::new(MemoryOutbox::new(Epoch::new(1), limits));
        (Ledger::new(Arc::clone(&meter)), meter, outbox)
    }

    #[test]
    fn an_ack_counts_each_record_once_and_only_those_that_were_kept() {
        let (ledger, meter, outbox) = parts(3);
        for _ in 0..5 {
            ledger.produce(&outbox, b"record", Timestamp::EPOCH);
        }
        for through in [4, 4, 5] {
            let through = Seq::new(through);
            ledger.take(&SessionEvent::Acked { through });
        }
        assert_eq!(ledger.figures().produced, 5);
        assert_eq!(meter.acked.get(), 3, "two were dropped for want of room");
    }

    #[test]
    fn what_is_given_up_is_counted_by_reason() {
        let (ledger, meter, outbox) = parts(10);
        for record in [&b"a"[..], b"b", &[0; 2_000]] {
            ledger.produce(&outbox, record, Timestamp::EPOCH);
        }
        let gap = RecordGap {
            first: Seq::new(1),
            last: Seq::new(1),
            reason: GapReason::Refused,
        };
        ledger.take(&SessionEvent::GaveUp(gap));
        let through = Seq::new(3);
        ledger.take(&SessionEvent::Acked { through });
        let expected = BTreeMap::from([(GapReason::Refused, 1), (GapReason::WriteFailed, 1)]);
        assert_eq!(ledger.figures().given_up, expected);
        assert_eq!(meter.acked.get(), 1);
    }

    #[test]
    fn only_a_session_that_was_open_ends() {
        let (ledger, meter, _) = parts(1);
        let lost = SessionEvent::Disconnected {
            kind: "refused",
            text: "no".into(),
        };
        ledger.take(&lost);
        ledger.take(&lost);
        assert_eq!((meter.connected.get(), meter.reconnects.get()), (0, 0));
        assert_eq!(meter.disconnects().get("refused"), Some(&2));
    }
}
