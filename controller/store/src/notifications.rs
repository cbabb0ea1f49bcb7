//! Messages to receivers: a queue that outlives the controller, and what became of each message. Knows no receiver.

use sqlx::FromRow;
use tidemark_model::Timestamp;

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// A message to be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotification {
    /// Name of the receiver.
    pub receiver: String,
    /// Messages of one group go out in order.
    pub group_key: String,
    /// The receiver takes messages with the same key for one.
    pub key: String,
    /// When it is queued.
    pub created_at: Timestamp,
    /// What is told, as JSON.
    pub message: String,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationState {
    /// It is on its way.
    Pending,
    /// Its receiver has it.
    Delivered,
    /// It was given up.
    Failed,
}

impl NotificationState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A message as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its number; ascending in the order in which messages were queued.
    pub id: i64,
    /// Name of the receiver.
    pub receiver: String,
    /// Messages of one group go out in order.
    pub group_key: String,
    /// The receiver takes messages with the same key for one.
    pub key: String,
    /// What became of it.
    pub state: NotificationState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it is tried next, while it is pending.
    pub next_try_at: Timestamp,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// What is told, as JSON.
    pub message: String,
}

/// Which messages.
#[derive(Clone, Copy, Debug)]
pub struct NotificationQuery<'a> {
    /// Only those before this one in the list, by number.
    pub before: Option<i64>,
    /// Only to this receiver.
    pub receiver: Option<&'a str>,
    /// Only in this state.
    pub state: Option<NotificationState>,
    /// At most this many.
    pub limit: u32,
}

/// How many messages of a receiver are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationCount {
    /// Name of the receiver.
    pub receiver: String,
    /// Which state.
    pub state: NotificationState,
    /// How many.
    pub count: u64,
    /// When the last of them ended.
    pub last_ended_at: Option<Timestamp>,
}

const TABLE: Table = Table("notifications");

macro_rules! select_notifications {
    ($rest:literal) => {
        concat!(
            "SELECT id, receiver, group_key, key, state, attempts, created_at, next_try_at, ended_at, last_error, message \
             FROM notifications ",
            $rest
        )
    };
}

statements! {
    INSERT = "INSERT INTO notifications (receiver, group_key, key, state, attempts, created_at, next_try_at, message) \
        VALUES ($1, $2, $3, 'pending', 0, $4, $4, $5) ON CONFLICT DO NOTHING";
    // The first of each group alone: a later one waits for it, so that a receiver hears of things in order.
    DUE = select_notifications!("WHERE receiver = $1 AND state = 'pending' AND next_try_at <= $2 AND id IN \
        (SELECT MIN(id) FROM notifications WHERE receiver = $1 AND state = 'pending' GROUP BY group_key) \
        ORDER BY id LIMIT $3");
    CLAIM = "UPDATE notifications SET attempts = attempts + 1, next_try_at = $3 \
        WHERE id = $1 AND attempts = $2 AND state = 'pending'";
    RETRY = "UPDATE notifications SET next_try_at = $3, last_error = $4 WHERE id = $1 AND attempts = $2 AND state = 'pending'";
    END = "UPDATE notifications SET state = $3, ended_at = $4, last_error = $5 \
        WHERE id = $1 AND attempts = $2 AND state = 'pending'";
    FIND = select_notifications!("WHERE id = $1");
    PAGE = select_notifications!("WHERE id < $1 AND (CAST($2 AS TEXT) IS NULL OR receiver = $2) \
        AND (CAST($3 AS TEXT) IS NULL OR state = $3) ORDER BY id DESC LIMIT $4");
    COUNTS = "SELECT receiver, state, COUNT(*) AS count, MAX(ended_at) AS last_ended_at FROM notifications \
        GROUP BY receiver, state ORDER BY receiver, state";
    DELETE_BEFORE = "DELETE FROM notifications WHERE id IN \
        (SELECT id FROM notifications WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)";
}

#[derive(FromRow)]
struct NotificationRow {
    id: i64,
    receiver: String,
    group_key: String,
    key: String,
    state: String,
    attempts: i64,
    created_at: i64,
    next_try_at: i64,
    ended_at: Option<i64>,
    last_error: Option<String>,
    message: String,
}

fn state_of(state: String) -> Result<NotificationState, StoreError> {
    NotificationState::from_name(&state).ok_or_else(|| TABLE.unreadable("state", state))
}

impl TryFrom<NotificationRow> for Notification {
    type Error = StoreError;

    fn try_from(row: NotificationRow) -> Result<Self, StoreError> {
        let NotificationRow {
            id,
            receiver,
            group_key,
            key,
            state,
            attempts,
            created_at,
            next_try_at,
            ended_at,
            last_error,
            message,
        } = row;
        Ok(Self {
            id,
            receiver,
            group_key,
            key,
            state: state_of(state)?,
            attempts: TABLE.unsigned_32("attempts", attempts)?,
            created_at: Timestamp::from_unix_ms(created_at),
            next_try_at: Timestamp::from_unix_ms(next_try_at),
            ended_at: columns::optional_at(ended_at),
            last_error,
            message,
        })
    }
}

#[derive(FromRow)]
struct CountRow {
    receiver: String,
    state: String,
    count: i64,
    last_ended_at: Option<i64>,
}

impl Tx {
    /// Queues a message; says whether it is new. One with the same key stays as it is.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn notification_insert(
        &mut self,
        notification: &NewNotification,
    ) -> Result<bool, StoreError> {
        let message = columns::text("message", &notification.message)?;
        let inserted = on_conn!(self, conn => sqlx::query(INSERT)
            .bind(&notification.receiver)
            .bind(&notification.group_key)
            .bind(&notification.key)
            .bind(notification.created_at.unix_ms())
            .bind(message)
            .execute(conn).await?
            .rows_affected());
        Ok(inserted > 0)
    }

    /// Messages to `receiver` that are to be tried at `now`: the first of each group, if its time has come.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notifications_due(
        &mut self,
        receiver: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Notification>, StoreError> {
        let rows: Vec<NotificationRow> = on_conn!(self, conn => sqlx::query_as(DUE)
            .bind(receiver).bind(now.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(Notification::try_from).collect()
    }

    /// Claims the next try of a message until `until`; `false` when somebody else did. The claimed one has one attempt
    /// more, and lapses when its outcome is not told.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notification_claim(
        &mut self,
        notification: &Notification,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let claimed = on_conn!(self, conn => sqlx::query(CLAIM)
            .bind(notification.id)
            .bind(i64::from(notification.attempts))
            .bind(until.unix_ms())
            .execute(conn).await?
            .rows_affected());
        Ok(claimed > 0)
    }

    /// A claimed try failed; another is made at `next_try_at`. `attempts` counts the claimed one.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the claim has lapsed.
    pub async fn notification_retry(
        &mut self,
        (id, attempts): (i64, u32),
        next_try_at: Timestamp,
        error: &str,
    ) -> Result<(), StoreError> {
        let error = columns::text("error", error)?;
        let updated = on_conn!(self, conn => sqlx::query(RETRY)
            .bind(id).bind(i64::from(attempts)).bind(next_try_at.unix_ms()).bind(error)
            .execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::Stale { what: "message" })
    }

    /// A claimed message is delivered, or given up with the error.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the claim has lapsed.
    pub async fn notification_end(
        &mut self,
        (id, attempts): (i64, u32),
        at: Timestamp,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let state = match error {
            None => NotificationState::Delivered,
            Some(_) => NotificationState::Failed,
        };
        let error = error
            .map(|error| columns::text("error", error))
            .transpose()?;
        let updated = on_conn!(self, conn => sqlx::query(END)
            .bind(id).bind(i64::from(attempts)).bind(state.as_str()).bind(at.unix_ms()).bind(error)
            .execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::Stale { what: "message" })
    }

    /// The message of that number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notification_find(&mut self, id: i64) -> Result<Option<Notification>, StoreError> {
        let row: Option<NotificationRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(id).fetch_optional(conn).await?);
        row.map(Notification::try_from).transpose()
    }

    /// A page of messages, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notifications_page(
        &mut self,
        query: &NotificationQuery<'_>,
    ) -> Result<Vec<Notification>, StoreError> {
        let rows: Vec<NotificationRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(query.before.unwrap_or(i64::MAX))
            .bind(query.receiver)
            .bind(query.state.map(NotificationState::as_str))
            .bind(i64::from(query.limit))
            .fetch_all(conn).await?);
        rows.into_iter().map(Notification::try_from).collect()
    }

    /// How many messages there are, by receiver and state.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notification_counts(&mut self) -> Result<Vec<NotificationCount>, StoreError> {
        let rows: Vec<CountRow> =
            on_conn!(self, conn => sqlx::query_as(COUNTS).fetch_all(conn).await?);
        rows.into_iter()
            .map(|row| {
                Ok(NotificationCount {
                    receiver: row.receiver,
                    state: state_of(row.state)?,
                    count: TABLE.unsigned("count", row.count)?,
                    last_ended_at: columns::optional_at(row.last_ended_at),
                })
            })
            .collect()
    }

    /// Deletes messages that ended before `cutoff`, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notifications_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}
