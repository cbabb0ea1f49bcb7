//! Events of hosts: what their logs and agents reported, each record of a log once.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::FromRow;
use sqlx::Transaction;
use sqlx::postgres::Postgres;
use sqlx::sqlite::Sqlite;
use tidemark_model::event::LogRecord;
use tidemark_model::sample::EventHit;
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// An event to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// Whose.
    pub host: HostId,
    /// When it happened, on the controller's clock.
    pub at: Timestamp,
    /// What the host said; its time is on the host's clock.
    pub hit: &'a EventHit,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number; ascending in the order of arrival.
    pub id: i64,
    /// When it happened, on the controller's clock.
    pub at: Timestamp,
    /// What the host said; without the record's XML unless that was asked for.
    pub hit: EventHit,
}

/// Whether a page holds the records as hosts' systems rendered them, up to 32 KiB each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordXml {
    /// It does.
    With,
    /// It does not.
    Without,
}

/// Which events of a host.
#[derive(Clone, Copy, Debug)]
pub struct EventQuery<'a> {
    /// Whose.
    pub host: HostId,
    /// Only those before this one in the list: its time and its id.
    pub before: Option<(Timestamp, i64)>,
    /// Only from this time on.
    pub since: Option<Timestamp>,
    /// Only of this source.
    pub source: Option<&'a str>,
    /// Only of this id in its source.
    pub code: Option<u32>,
    /// With the rendered records or without.
    pub xml: RecordXml,
    /// At most this many.
    pub limit: u32,
}

const TABLE: Table = Table("events");

statements! {
    // A record that is told again changes nothing. Without a record the key holds NULLs, which are never equal.
    APPEND = "INSERT INTO events (host, at, host_at, source, code, times, text, channel, log_epoch, record_id, detail, xml) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
        postgres "INSERT INTO events (host, at, host_at, source, code, times, text, channel, log_epoch, record_id, detail, xml) \
        SELECT host, at, host_at, source, code, times, text, channel, log_epoch, record_id, detail, xml \
        FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], \
        $9::bigint[], $10::bigint[], $11::text[], $12::text[]) WITH ORDINALITY \
        AS given (host, at, host_at, source, code, times, text, channel, log_epoch, record_id, detail, xml, place) \
        ORDER BY place ON CONFLICT DO NOTHING RETURNING host, channel, log_epoch, record_id, host_at";
    PAGE = "SELECT id, at, host_at, source, code, times, text, detail, CASE WHEN CAST($7 AS BIGINT) = 1 THEN xml END AS xml \
        FROM events WHERE host = $1 AND (at, id) < ($2, $3) AND at >= $4 \
        AND (CAST($5 AS TEXT) IS NULL OR source = $5) AND (CAST($6 AS BIGINT) IS NULL OR code = $6) \
        ORDER BY at DESC, id DESC LIMIT $8";
    OF_KIND = "SELECT host, at, text FROM events WHERE at >= $1 AND source = $2 AND code = $3 ORDER BY at DESC LIMIT $4";
    DELETE_BEFORE = "DELETE FROM events WHERE (host, at, id) IN \
        (SELECT host, at, id FROM events WHERE at < $1 ORDER BY at LIMIT $2)";
}

/// A row to be written.
struct NewRow<'a> {
    host: String,
    at: i64,
    host_at: i64,
    source: &'a str,
    code: i64,
    times: i64,
    text: &'a str,
    place: Option<Place<'a>>,
    detail: Option<String>,
    xml: Option<&'a str>,
}

/// A record's place in its host's log.
#[derive(Clone, Copy)]
struct Place<'a> {
    channel: &'a str,
    log_epoch: i64,
    record_id: i64,
}

/// What tells a record from every other one.
type RecordKey = (String, String, i64, i64, i64);

/// The same as Postgres says it of each row that was written; NULLs where it is of no record.
type WrittenRow = (String, Option<String>, Option<i64>, Option<i64>, i64);

impl<'a> NewRow<'a> {
    fn new(event: &NewEvent<'a>) -> Result<Self, StoreError> {
        let hit = event.hit;
        let log = hit.log.as_deref();
        let place = match log.and_then(|log| Some((log, log.channel.as_deref()?, log.record_id?))) {
            Some((log, channel, record_id)) => Some(Place {
                channel: columns::text("channel of an event", channel)?,
                log_epoch: log.log_epoch,
                record_id: columns::signed("record id of an event", record_id)?,
            }),
            None => None,
        };
        let xml = log.and_then(|log| log.xml.as_deref());
        Ok(Self {
            host: event.host.to_string(),
            at: event.at.unix_ms(),
            host_at: hit.at.unix_ms(),
            source: columns::text("source of an event", &hit.source)?,
            code: hit.code.into(),
            times: hit.count.into(),
            text: columns::text("text of an event", &hit.text)?,
            place,
            detail: log.map(detail_of).transpose()?,
            xml: xml
                .map(|xml| columns::text("record of an event", xml))
                .transpose()?,
        })
    }

    fn key(&self) -> Option<RecordKey> {
        let place = self.place?;
        Some((
            self.host.clone(),
            place.channel.to_owned(),
            place.log_epoch,
            place.record_id,
            self.host_at,
        ))
    }
}

/// A record's parts as JSON, which escapes what columns cannot hold. The rendered record has a column of its own.
fn detail_of(log: &LogRecord) -> Result<String, StoreError> {
    let without_xml = LogRecord {
        xml: None,
        ..log.clone()
    };
    columns::json("record of an event", &without_xml)
}

#[derive(FromRow)]
struct EventRow {
    id: i64,
    at: i64,
    host_at: i64,
    source: String,
    code: i64,
    times: i64,
    text: String,
    detail: Option<String>,
    xml: Option<String>,
}

impl TryFrom<EventRow> for StoredEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let EventRow {
            id,
            at,
            host_at,
            source,
            code,
            times,
            text,
            detail,
            xml,
        } = row;
        let log = match detail {
            Some(detail) => {
                let mut log: LogRecord = TABLE.json("detail", &detail)?;
                log.xml = xml.map(Arc::from);
                Some(Box::new(log))
            }
            None => None,
        };
        Ok(Self {
            id,
            at: Timestamp::from_unix_ms(at),
            hit: EventHit {
                at: Timestamp::from_unix_ms(host_at),
                source: source.into(),
                code: TABLE.unsigned_32("code", code)?,
                count: TABLE.unsigned_32("times", times)?,
                text: text.into(),
                log,
            },
        })
    }
}

impl Tx {
    /// Appends events and says of each, in the same order, whether it was new; a record of a host's log that is stored
    /// already stays as it is.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn events_append(
        &mut self,
        events: &[NewEvent<'_>],
    ) -> Result<Vec<bool>, StoreError> {
        let rows: Vec<NewRow<'_>> = events.iter().map(NewRow::new).collect::<Result<_, _>>()?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Sqlite(tx) => append_to_sqlite(tx, &rows).await,
            Self::Postgres(tx) => append_to_postgres(tx, &rows).await,
        }
    }

    /// A page of a host's events, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_page(
        &mut self,
        query: &EventQuery<'_>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let (before_at, before_id) = query
            .before
            .map_or((i64::MAX, i64::MAX), |(at, id)| (at.unix_ms(), id));
        let since = query.since.map_or(i64::MIN, Timestamp::unix_ms);
        let with_xml = i64::from(query.xml == RecordXml::With);
        let rows: Vec<EventRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(query.host.to_string())
            .bind(before_at)
            .bind(before_id)
            .bind(since)
            .bind(query.source)
            .bind(query.code.map(i64::from))
            .bind(with_xml)
            .bind(i64::from(query.limit))
            .fetch_all(conn).await?);
        rows.into_iter().map(StoredEvent::try_from).collect()
    }

    /// When hosts told events of one kind since, the newest first: the host, the time on the controller's clock, the text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_of_kind(
        &mut self,
        (source, code): (&str, u32),
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(HostId, Timestamp, String)>, StoreError> {
        let source = columns::text("source of an event", source)?;
        let rows: Vec<(String, i64, String)> = on_conn!(self, conn => sqlx::query_as(OF_KIND)
            .bind(since.unix_ms()).bind(source).bind(i64::from(code)).bind(i64::from(limit))
            .fetch_all(conn).await?);
        let read = |(host, at, text): (String, i64, String)| {
            Ok((
                TABLE.host("host", &host)?,
                Timestamp::from_unix_ms(at),
                text,
            ))
        };
        rows.into_iter().map(read).collect()
    }

    /// Deletes the oldest events from before `cutoff`, at most `limit`. Answers how many; call again while it is `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}

async fn append_to_sqlite(
    tx: &mut Transaction<'static, Sqlite>,
    rows: &[NewRow<'_>],
) -> Result<Vec<bool>, StoreError> {
    let mut new = Vec::with_capacity(rows.len());
    for row in rows {
        let written = sqlx::query(APPEND.sqlite)
            .bind(&row.host)
            .bind(row.at)
            .bind(row.host_at)
            .bind(row.source)
            .bind(row.code)
            .bind(row.times)
            .bind(row.text)
            .bind(row.place.map(|place| place.channel))
            .bind(row.place.map(|place| place.log_epoch))
            .bind(row.place.map(|place| place.record_id))
            .bind(row.detail.as_deref())
            .bind(row.xml)
            .execute(&mut **tx)
            .await?;
        new.push(written.rows_affected() > 0);
    }
    Ok(new)
}

async fn append_to_postgres(
    tx: &mut Transaction<'static, Postgres>,
    rows: &[NewRow<'_>],
) -> Result<Vec<bool>, StoreError> {
    fn column<'r, T>(rows: &'r [NewRow<'_>], of: impl Fn(&'r NewRow<'_>) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    let places = column(rows, |row| row.place);
    let of_place = |of: fn(Place<'_>) -> i64| -> Vec<Option<i64>> {
        places.iter().map(|place| place.map(of)).collect()
    };
    let written: Vec<WrittenRow> = sqlx::query_as(APPEND.postgres)
        .bind(column(rows, |row| row.host.as_str()))
        .bind(column(rows, |row| row.at))
        .bind(column(rows, |row| row.host_at))
        .bind(column(rows, |row| row.source))
        .bind(column(rows, |row| row.code))
        .bind(column(rows, |row| row.times))
        .bind(column(rows, |row| row.text))
        .bind(column(rows, |row| row.place.map(|place| place.channel)))
        .bind(of_place(|place| place.log_epoch))
        .bind(of_place(|place| place.record_id))
        .bind(column(rows, |row| row.detail.as_deref()))
        .bind(column(rows, |row| row.xml))
        .fetch_all(&mut **tx)
        .await?;
    let mut fresh: HashSet<RecordKey> = written
        .into_iter()
        .filter_map(|(host, channel, log_epoch, record_id, host_at)| {
            Some((host, channel?, log_epoch?, record_id?, host_at))
        })
        .collect();
    // The first of several with one key is the one that was written.
    Ok(rows
        .iter()
        .map(|row| row.key().is_none_or(|key| fresh.remove(&key)))
        .collect())
}
