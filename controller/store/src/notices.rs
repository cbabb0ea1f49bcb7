//! Notices: what happened, for operators' lists.

use std::sync::Arc;

use sqlx::FromRow;
use tidemark_model::notice::{Notice, NoticeKind};
use tidemark_model::{HostId, Timestamp};

use crate::batch::all_rows;
use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// Something that happened, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// When, on the controller's clock.
    pub at: Timestamp,
    /// Which host; `None` for the controller itself.
    pub host: Option<HostId>,
    /// What kind of thing.
    pub kind: NoticeKind,
    /// One sentence for people.
    pub text: Arc<str>,
}

/// Where a page of notices begins, and which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeStart {
    /// With the newest one, going back.
    Newest,
    /// With the one before this id, going back.
    Before(i64),
    /// With the one after this id, going forth: what live views ask for.
    After(i64),
}

/// Which notices.
#[derive(Clone, Copy, Debug)]
pub struct NoticeQuery {
    /// Where the page begins.
    pub start: NoticeStart,
    /// Only of this host.
    pub host: Option<HostId>,
    /// Only of this kind.
    pub kind: Option<NoticeKind>,
    /// Only from this time on.
    pub since: Option<Timestamp>,
    /// At most this many.
    pub limit: u32,
}

const TABLE: Table = Table("notices");

macro_rules! select_notices {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT id, at, host, kind, text FROM notices WHERE ",
            $which,
            " AND (CAST($2 AS TEXT) IS NULL OR kind = $2) AND at >= $3 ORDER BY id ",
            $order,
            " LIMIT $4"
        )
    };
}

statements! {
    APPEND = "INSERT INTO notices (at, host, kind, text) VALUES ($1, $2, $3, $4) RETURNING id",
        postgres "INSERT INTO notices (at, host, kind, text) SELECT at, host, kind, text \
        FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS given (at, host, kind, text, place) \
        ORDER BY place RETURNING id";
    BACK = select_notices!("id < $1", "DESC");
    FORTH = select_notices!("id > $1", "ASC");
    BACK_OF_HOST = select_notices!("id < $1 AND host = $5", "DESC");
    FORTH_OF_HOST = select_notices!("id > $1 AND host = $5", "ASC");
    // Looks at no more than the oldest rows, so that a pass without anything to delete costs nothing.
    DELETE_BEFORE = "DELETE FROM notices WHERE at < $1 AND id IN (SELECT id FROM notices ORDER BY id LIMIT $2)";
}

#[derive(FromRow)]
struct NoticeRow {
    id: i64,
    at: i64,
    host: Option<String>,
    kind: String,
    text: String,
}

impl TryFrom<NoticeRow> for Notice {
    type Error = StoreError;

    fn try_from(row: NoticeRow) -> Result<Self, StoreError> {
        let NoticeRow {
            id,
            at,
            host,
            kind,
            text,
        } = row;
        Ok(Self {
            id,
            at: Timestamp::from_unix_ms(at),
            host: host.map(|id| TABLE.host("host", &id)).transpose()?,
            kind: NoticeKind::from_name(&kind).ok_or_else(|| TABLE.unreadable("kind", kind))?,
            text: text.into(),
        })
    }
}

impl Tx {
    /// Appends notices and answers their ids, in the same order, ascending.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notices_append(&mut self, notices: &[NewNotice]) -> Result<Vec<i64>, StoreError> {
        for notice in notices {
            columns::text("text of a notice", &notice.text)?;
        }
        let ids: Vec<i64> = match self {
            Self::Sqlite(tx) => {
                let mut ids = Vec::with_capacity(notices.len());
                for notice in notices {
                    let query = sqlx::query_scalar(APPEND.sqlite)
                        .bind(notice.at.unix_ms())
                        .bind(notice.host.map(|id| id.to_string()))
                        .bind(notice.kind.as_str())
                        .bind(&*notice.text);
                    ids.push(query.fetch_one(&mut **tx).await?);
                }
                ids
            }
            Self::Postgres(tx) => {
                let times: Vec<_> = notices.iter().map(|one| one.at.unix_ms()).collect();
                let hosts: Vec<_> = notices
                    .iter()
                    .map(|one| one.host.map(|id| id.to_string()))
                    .collect();
                let kinds: Vec<_> = notices.iter().map(|one| one.kind.as_str()).collect();
                let texts: Vec<_> = notices.iter().map(|one| &*one.text).collect();
                let query = sqlx::query_scalar(APPEND.postgres)
                    .bind(times)
                    .bind(hosts)
                    .bind(kinds)
                    .bind(texts);
                query.fetch_all(&mut **tx).await?
            }
        };
        all_rows(
            ids.len() as u64,
            notices.len(),
            StoreError::Stale { what: "notice" },
        )?;
        Ok(ids)
    }

    /// A page of notices.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notices_page(&mut self, query: &NoticeQuery) -> Result<Vec<Notice>, StoreError> {
        let (bound, all, of_host) = match query.start {
            NoticeStart::Newest => (i64::MAX, BACK, BACK_OF_HOST),
            NoticeStart::Before(id) => (id, BACK, BACK_OF_HOST),
            NoticeStart::After(id) => (id, FORTH, FORTH_OF_HOST),
        };
        let kind = query.kind.map(NoticeKind::as_str);
        let since = query.since.map_or(i64::MIN, Timestamp::unix_ms);
        let limit = i64::from(query.limit);
        let rows: Vec<NoticeRow> = match query.host {
            None => on_conn!(self, conn => sqlx::query_as(all)
                .bind(bound).bind(kind).bind(since).bind(limit)
                .fetch_all(conn).await?),
            Some(host) => on_conn!(self, conn => sqlx::query_as(of_host)
                .bind(bound).bind(kind).bind(since).bind(limit).bind(host.to_string())
                .fetch_all(conn).await?),
        };
        rows.into_iter().map(Notice::try_from).collect()
    }

    /// Deletes notices from before `cutoff` among the oldest `limit`. Answers how many; call again while it is `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notices_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}
