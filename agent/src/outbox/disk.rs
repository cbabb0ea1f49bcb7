//! The disk spool as an outbox.

use tidemark_model::{Epoch, RecordGap, Seq, SpoolCounts, Timestamp};
use tidemark_spool::{Appended, Item, Spool, SpoolError};

use super::{Bounds, Outbox, OutboxError, ReadLimits, Reading};

impl From<SpoolError> for OutboxError {
    fn from(error: SpoolError) -> Self {
        Self::Storage(Box::new(error))
    }
}

impl Outbox for Spool {
    fn epoch(&self) -> Epoch {
        self.status().epoch
    }

    fn append(&mut self, record: &[u8], now: Timestamp) -> Result<Seq, OutboxError> {
        seq_of(Self::append(self, now, record))
    }

    fn append_lasting(&mut self, record: &[u8], now: Timestamp) -> Result<Seq, OutboxError> {
        seq_of(Self::append_lasting(self, now, record))
    }

    fn read(&mut self, from: Seq, limits: ReadLimits) -> Result<Reading, OutboxError> {
        let items = Self::read(self, from, limits.records_max, limits.bytes_max)?;
        let mut records = Vec::new();
        for item in items {
            match item {
                Item::Record { payload, .. } => records.push(payload),
                // It is read again once the records before it are sent.
                Item::Gap(_) if !records.is_empty() => break,
                Item::Gap(gap) => return Ok(Reading::Gap(gap)),
            }
        }
        Ok(if records.is_empty() {
            Reading::End
        } else {
            Reading::Records(records)
        })
    }

    fn ack(&mut self, through: Seq) -> Result<(), OutboxError> {
        Ok(self.trim(through)?)
    }

    fn give_up(&mut self, gap: RecordGap) -> Result<(), OutboxError> {
        Ok(Self::give_up(self, gap)?)
    }

    fn restart_epoch(&mut self, epoch: Epoch) -> Result<(), OutboxError> {
        Ok(Self::restart_epoch(self, epoch)?)
    }

    fn bounds(&self) -> Bounds {
        let status = self.status();
        Bounds {
            oldest: status.oldest,
            newest: status.newest,
        }
    }

    fn counts(&self) -> SpoolCounts {
        self.status().counts
    }

    fn sync(&mut self) -> Result<(), OutboxError> {
        Ok(self.flush()?)
    }
}

fn seq_of(appended: Appended) -> Result<Seq, OutboxError> {
    if let Some(gap) = appended.dropped {
        tracing::warn!(
            first = gap.first.get(),
            last = gap.last.get(),
            "spool is at its limit: its oldest records are dropped"
        );
    }
    appended.stored?;
    Ok(appended.seq)
}

#[cfg(test)]
mod tests {
    use tidemark_model::GapReason;
    use tidemark_spool::SpoolLimits;

    use super::*;

    const LIMITS: ReadLimits = ReadLimits {
        records_max: 10,
        bytes_max: 1_000,
    };

    #[test]
    fn records_and_gaps_of_the_spool_are_read_one_kind_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_unix_ms(1_000_000);
        let limits = SpoolLimits::default();
        let (mut spool, _) = Spool::open(folder.path(), limits, now, Epoch::new(9)).unwrap();
        let outbox: &mut dyn Outbox = &mut spool;
        for record in 1..=4_u8 {
            outbox.append(&[record], now).unwrap();
        }
        outbox.sync().unwrap();
        let gap = RecordGap {
            first: Seq::new(3),
            last: Seq::new(3),
            reason: GapReason::Refused,
        };
        outbox.give_up(gap).unwrap();
        let read = |outbox: &mut dyn Outbox, seq| outbox.read(Seq::new(seq), LIMITS).unwrap();
        assert_eq!(read(outbox, 1), Reading::Records(vec![vec![1], vec![2]]));
        assert_eq!(read(outbox, 3), Reading::Gap(gap));
        assert_eq!(read(outbox, 4), Reading::Records(vec![vec![4]]));
        assert_eq!(read(outbox, 5), Reading::End);
        outbox.ack(Seq::new(4)).unwrap();
        let counts = outbox.counts();
        assert_eq!((counts.acked, counts.dropped, counts.held), (3, 1, 0));
    }
}
