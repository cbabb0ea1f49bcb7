//! Cursors: how far each spool epoch of a host is durable, and what became of its records.

use std::collections::BTreeMap;

use sqlx::FromRow;
use tidemark_model::delivery::GapReason;
use tidemark_model::{Epoch, HostId, Seq, Timestamp};

use crate::batch::{BySize, all_rows, eight_rows, sixty_four_rows};
use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// How far one spool epoch of a host is durable. Counts are totals since the epoch began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The host.
    pub host: HostId,
    /// The life of its spool.
    pub epoch: Epoch,
    /// Everything up to here is stored or counted as dropped.
    pub through_seq: Seq,
    /// Where it stands in the database, as was read or written last; 0 where there is none. It is saved only if it still stands
    /// there.
    pub previous_seq: Seq,
    /// Records stored.
    pub stored: u64,
    /// Records that came more than once.
    pub duplicates: u64,
    /// Records lost for good, by reason; reasons without records may be left out.
    pub dropped: BTreeMap<GapReason, u64>,
    /// When it was last written.
    pub updated_at: Timestamp,
}

const TABLE: Table = Table("cursors");
const DROPS: Table = Table("cursor_drops");
/// Cursors read at a time by [`Tx::cursors_each`].
const PAGE_ROWS: i64 = 1_000;

// A cursor goes on from where it stands: a controller that lost a host to another one, or that was not told that its commit
// is done, learns it here.
macro_rules! save_cursors {
    ($rows:expr) => {
        concat!(
            "INSERT INTO cursors (host, epoch, through_seq, previous_seq, stored, duplicates, updated_at) VALUES ",
            $rows,
            " ON CONFLICT (host, epoch) DO UPDATE SET through_seq = excluded.through_seq, \
             previous_seq = excluded.previous_seq, stored = excluded.stored, \
             duplicates = excluded.duplicates, updated_at = excluded.updated_at \
             WHERE cursors.through_seq = excluded.previous_seq"
        )
    };
}

macro_rules! select_cursors {
    ($rest:literal) => {
        concat!(
            "SELECT host, epoch, through_seq, stored, duplicates, updated_at FROM cursors ",
            $rest
        )
    };
}

statements! {
    SAVE_64 = save_cursors!(sixty_four_rows!("(?, ?, ?, ?, ?, ?, ?)")), postgres SAVE_ARRAYS;
    SAVE_8 = save_cursors!(eight_rows!("(?, ?, ?, ?, ?, ?, ?)")), postgres SAVE_ARRAYS;
    SAVE_1 = save_cursors!("(?, ?, ?, ?, ?, ?, ?)"), postgres SAVE_ARRAYS;
    DROPS_SAVE = "INSERT INTO cursor_drops (host, epoch, reason, records) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (host, epoch, reason) DO UPDATE SET records = excluded.records";
    FIND = select_cursors!("WHERE host = $1 AND epoch = $2");
    LATEST = select_cursors!("WHERE host = $1 ORDER BY updated_at DESC, epoch DESC LIMIT $2");
    PAGE = select_cursors!("WHERE (host, epoch) > ($1, $2) ORDER BY host, epoch LIMIT $3");
    DROPS_OF = "SELECT host, epoch, reason, records FROM cursor_drops WHERE host = $1 AND epoch = $2";
    DROPS_PAGE = "SELECT host, epoch, reason, records FROM cursor_drops \
        WHERE (host, epoch) > ($1, $2) AND (host, epoch) <= ($3, $4)";
}

const SAVE_ARRAYS: &str = "INSERT INTO cursors (host, epoch, through_seq, previous_seq, stored, duplicates, updated_at) \
    SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) \
    ON CONFLICT (host, epoch) DO UPDATE SET through_seq = excluded.through_seq, previous_seq = excluded.previous_seq, \
    stored = excluded.stored, duplicates = excluded.duplicates, updated_at = excluded.updated_at \
    WHERE cursors.through_seq = excluded.previous_seq";

const SAVE: BySize = BySize {
    sixty_four: SAVE_64.sqlite,
    eight: SAVE_8.sqlite,
    one: SAVE_1.sqlite,
};

#[derive(FromRow)]
struct CursorRow {
    host: String,
    epoch: i64,
    through_seq: i64,
    stored: i64,
    duplicates: i64,
    updated_at: i64,
}

impl TryFrom<CursorRow> for Cursor {
    type Error = StoreError;

    fn try_from(row: CursorRow) -> Result<Self, StoreError> {
        let CursorRow {
            host,
            epoch,
            through_seq,
            stored,
            duplicates,
            updated_at,
        } = row;
        Ok(Self {
            host: TABLE.host("host", &host)?,
            epoch: Epoch::new(TABLE.unsigned("epoch", epoch)?),
            through_seq: Seq::new(TABLE.unsigned("through_seq", through_seq)?),
            previous_seq: Seq::new(TABLE.unsigned("through_seq", through_seq)?),
            stored: TABLE.unsigned("stored", stored)?,
            duplicates: TABLE.unsigned("duplicates", duplicates)?,
            dropped: BTreeMap::new(),
            updated_at: Timestamp::from_unix_ms(updated_at),
        })
    }
}

#[derive(FromRow)]
struct DropRow {
    host: String,
    epoch: i64,
    reason: String,
    records: i64,
}

impl DropRow {
    fn place(self, cursors: &mut [Cursor]) -> Result<(), StoreError> {
        let Self {
            host,
            epoch,
            reason,
            records,
        } = self;
        let key = (
            DROPS.host("host", &host)?,
            Epoch::new(DROPS.unsigned("epoch", epoch)?),
        );
        let reason =
            GapReason::from_name(&reason).ok_or_else(|| DROPS.unreadable("reason", reason))?;
        let records = DROPS.unsigned("records", records)?;
        let mut of_key = cursors
            .iter_mut()
            .filter(|cursor| (cursor.host, cursor.epoch) == key);
        if let Some(cursor) = of_key.next() {
            cursor.dropped.insert(reason, records);
        }
        Ok(())
    }
}

/// A cursor's numbers as columns hold them.
struct Numbers {
    host: String,
    epoch: i64,
    through_seq: i64,
    previous_seq: i64,
    stored: i64,
    duplicates: i64,
    updated_at: i64,
}

impl Numbers {
    fn of(cursor: &Cursor) -> Result<Self, StoreError> {
        Ok(Self {
            host: cursor.host.to_string(),
            epoch: columns::signed("epoch", cursor.epoch.get())?,
            through_seq: columns::signed("seq", cursor.through_seq.get())?,
            previous_seq: columns::signed("previous seq", cursor.previous_seq.get())?,
            stored: columns::signed("count of stored records", cursor.stored)?,
            duplicates: columns::signed("count of duplicates", cursor.duplicates)?,
            updated_at: cursor.updated_at.unix_ms(),
        })
    }
}

impl Tx {
    /// Writes cursors, in the transaction of the records they count. Each (host, epoch) may be given once.
    ///
    /// # Errors
    /// [`StoreError::StaleCursors`] when a stored cursor is not where it was: another controller took its host over, or this very
    /// commit is done already; this transaction must be given up. [`StoreError::MissingOwner`] when there is no such host.
    pub async fn cursors_save(&mut self, cursors: &[Cursor]) -> Result<(), StoreError> {
        // In one order everywhere, so that two controllers never wait for each other's rows.
        let in_order: BTreeMap<_, _> = cursors
            .iter()
            .map(|cursor| ((cursor.host, cursor.epoch), cursor))
            .collect();
        if in_order.len() != cursors.len() {
            return Err(StoreError::InvalidValue {
                field: "host and epoch of a cursor",
                limit: "given once in a batch",
            });
        }
        let numbers = in_order
            .into_values()
            .map(Numbers::of)
            .collect::<Result<Vec<_>, _>>()?;
        let saved = self.cursor_numbers_save(&numbers).await?;
        if usize::try_from(saved) != Ok(cursors.len()) {
            return Err(StoreError::StaleCursors);
        }
        for cursor in cursors {
            self.cursor_drops_save(cursor).await?;
        }
        Ok(())
    }

    /// The cursors of a host, the one last written first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cursors_latest(
        &mut self,
        host: HostId,
        limit: u32,
    ) -> Result<Vec<Cursor>, StoreError> {
        let rows: Vec<CursorRow> = on_conn!(self, conn => sqlx::query_as(LATEST)
            .bind(host.to_string()).bind(i64::from(limit)).fetch_all(conn).await?);
        let mut cursors = rows
            .into_iter()
            .map(Cursor::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        for cursor in &mut cursors {
            self.cursor_drops_read(cursor).await?;
        }
        Ok(cursors)
    }

    /// The cursor of one epoch of a host.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cursor_find(
        &mut self,
        host: HostId,
        epoch: Epoch,
    ) -> Result<Option<Cursor>, StoreError> {
        let number = columns::signed("epoch", epoch.get())?;
        let row: Option<CursorRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(host.to_string()).bind(number).fetch_optional(conn).await?);
        let Some(mut cursor) = row.map(Cursor::try_from).transpose()? else {
            return Ok(None);
        };
        self.cursor_drops_read(&mut cursor).await?;
        Ok(Some(cursor))
    }

    /// Shows every cursor to `visit`, by the text of its host's id and by epoch, reading a thousand at a time.
    ///
    /// # Errors
    /// When the database fails; some cursors were then shown.
    pub async fn cursors_each(&mut self, mut visit: impl FnMut(Cursor)) -> Result<(), StoreError> {
        let mut after = (String::new(), 0);
        loop {
            let rows: Vec<CursorRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
                .bind(after.0.as_str()).bind(after.1).bind(PAGE_ROWS).fetch_all(conn).await?);
            let Some(last) = rows.last() else {
                return Ok(());
            };
            let through = (last.host.clone(), last.epoch);
            let drops: Vec<DropRow> = on_conn!(self, conn => sqlx::query_as(DROPS_PAGE)
                .bind(after.0.as_str()).bind(after.1).bind(through.0.as_str()).bind(through.1)
                .fetch_all(conn).await?);
            let mut page = rows
                .into_iter()
                .map(Cursor::try_from)
                .collect::<Result<Vec<_>, _>>()?;
            for row in drops {
                row.place(&mut page)?;
            }
            page.into_iter().for_each(&mut visit);
            after = through;
        }
    }

    async fn cursor_numbers_save(&mut self, numbers: &[Numbers]) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(tx) => {
                let mut saved = 0;
                for (statement, piece) in SAVE.pieces(numbers) {
                    let mut query = sqlx::query(statement);
                    for row in piece {
                        query = query
                            .bind(row.host.as_str())
                            .bind(row.epoch)
                            .bind(row.through_seq)
                            .bind(row.previous_seq)
                            .bind(row.stored)
                            .bind(row.duplicates)
                            .bind(row.updated_at);
                    }
                    saved += query.execute(&mut **tx).await?.rows_affected();
                }
                Ok(saved)
            }
            Self::Postgres(tx) => {
                let column = |of: fn(&Numbers) -> i64| numbers.iter().map(of).collect::<Vec<_>>();
                let hosts: Vec<_> = numbers.iter().map(|row| row.host.as_str()).collect();
                let done = sqlx::query(SAVE_1.postgres)
                    .bind(hosts)
                    .bind(column(|row| row.epoch))
                    .bind(column(|row| row.through_seq))
                    .bind(column(|row| row.previous_seq))
                    .bind(column(|row| row.stored))
                    .bind(column(|row| row.duplicates))
                    .bind(column(|row| row.updated_at))
                    .execute(&mut **tx)
                    .await?;
                Ok(done.rows_affected())
            }
        }
    }

    async fn cursor_drops_save(&mut self, cursor: &Cursor) -> Result<(), StoreError> {
        for (reason, records) in &cursor.dropped {
            let epoch = columns::signed("epoch", cursor.epoch.get())?;
            let records = columns::signed("count of dropped records", *records)?;
            let saved = on_conn!(self, conn => sqlx::query(DROPS_SAVE)
                .bind(cursor.host.to_string())
                .bind(epoch)
                .bind(reason.as_str())
                .bind(records)
                .execute(conn).await?
                .rows_affected());
            all_rows(saved, 1, StoreError::Stale { what: "cursor" })?;
        }
        Ok(())
    }

    async fn cursor_drops_read(&mut self, cursor: &mut Cursor) -> Result<(), StoreError> {
        let epoch = columns::signed("epoch", cursor.epoch.get())?;
        let rows: Vec<DropRow> = on_conn!(self, conn => sqlx::query_as(DROPS_OF)
            .bind(cursor.host.to_string()).bind(epoch).fetch_all(conn).await?);
        for row in rows {
            row.place(std::slice::from_mut(cursor))?;
        }
        Ok(())
    }
}
