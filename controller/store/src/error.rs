//! What can go wrong with the database, by what a caller can do about it. Knows the drivers' codes; nobody else does.

use tidemark_model::error_code::{ApiError, ErrorCode};

/// Why a database operation failed. Give up the transaction it happened in: Postgres takes nothing more in it, and
/// SQLite may have rolled it back already.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, starting or shutting down: retry with backoff.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// Somebody else holds what this needs: retry the whole transaction.
    #[error("the database is busy with another transaction")]
    Contended(#[source] sqlx::Error),
    /// No room: refuse samples, keep control; retry after room was made.
    #[error("the database's disk is full: free space, or lower the retention")]
    DiskFull(#[source] sqlx::Error),
    /// The database is damaged: stop, and restore a backup or repair it.
    #[error("the database is damaged: stop the controller, and restore a backup or repair it")]
    Corrupt(#[source] sqlx::Error),
    /// A row that this release cannot read.
    #[error("the column {column} of table {table} holds what this release cannot read: {found}")]
    Unreadable {
        /// Table of the row.
        table: &'static str,
        /// Column of the row.
        column: &'static str,
        /// What was found, cut to 64 characters.
        found: String,
    },
    /// A value that a column cannot hold.
    #[error("{field} must be {limit}")]
    InvalidValue {
        /// What was refused.
        field: &'static str,
        /// What is allowed.
        limit: &'static str,
    },
    /// The row exists already.
    #[error("the {what} exists already")]
    AlreadyExists {
        /// Which kind of row.
        what: &'static str,
    },
    /// There is no such row.
    #[error("there is no such {what}")]
    NotFound {
        /// Which kind of row.
        what: &'static str,
    },
    /// The row has changed since it was read: read again, then decide.
    #[error("the {what} has changed since it was read")]
    Stale {
        /// Which kind of row.
        what: &'static str,
    },
    /// A host's cursor is not where it was: another controller has stored records of it, or the same ones are stored already.
    #[error("a host's records were stored by another controller, or are stored already")]
    StaleCursors,
    /// Another controller leads: what was to be written is its to write.
    #[error("the term {epoch} as the leader is over")]
    Fenced {
        /// The term that was to be written in.
        epoch: u64,
    },
    /// The row belongs to a host or token that does not exist.
    #[error("the row belongs to a host or token that does not exist")]
    MissingOwner(#[source] sqlx::Error),
    /// A bug in a query or a driver.
    #[error("a database query failed")]
    Query(#[source] sqlx::Error),
}

impl ApiError for StoreError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) | Self::Contended(_) => ErrorCode::Unavailable,
            Self::DiskFull(_) => ErrorCode::Exhausted,
            Self::InvalidValue { .. } => ErrorCode::InvalidArgument,
            Self::AlreadyExists { .. } => ErrorCode::Conflict,
            Self::NotFound { .. } | Self::MissingOwner(_) => ErrorCode::NotFound,
            Self::Stale { .. } | Self::StaleCursors | Self::Fenced { .. } => {
                ErrorCode::Precondition
            }
            Self::Corrupt(_) | Self::Unreadable { .. } | Self::Query(_) => ErrorCode::Internal,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match Cause::of(&error) {
            Cause::Unavailable => Self::Unavailable(error),
            Cause::Contended => Self::Contended(error),
            Cause::DiskFull => Self::DiskFull(error),
            Cause::Corrupt => Self::Corrupt(error),
            Cause::MissingOwner => Self::MissingOwner(error),
            Cause::Other => Self::Query(error),
        }
    }
}

impl StoreError {
    /// For a caller whose own patience with the database has ended.
    #[must_use]
    pub const fn timed_out() -> Self {
        Self::Unavailable(sqlx::Error::PoolTimedOut)
    }

    /// Like `From`, but a violated unique key becomes [`StoreError::AlreadyExists`].
    pub(crate) fn unless_exists(what: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |error| {
            let exists = error
                .as_database_error()
                .is_some_and(|error| error.is_unique_violation());
            if exists {
                Self::AlreadyExists { what }
            } else {
                error.into()
            }
        }
    }
}

/// Refuses a write that did not touch the one row it was for.
pub(crate) fn one_row(rows_affected: u64, otherwise: StoreError) -> Result<(), StoreError> {
    if rows_affected == 1 {
        Ok(())
    } else {
        Err(otherwise)
    }
}

enum Cause {
    Unavailable,
    Contended,
    DiskFull,
    Corrupt,
    MissingOwner,
    Other,
}

impl Cause {
    fn of(error: &sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            let away = matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
            );
            return if away { Self::Unavailable } else { Self::Other };
        };
        if database.is_foreign_key_violation() {
            return Self::MissingOwner;
        }
        let code = database.code().unwrap_or_default();
        match database.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
            Some(_) => Self::of_sqlite(code.parse().unwrap_or_default()),
            None => Self::of_postgres(&code),
        }
    }

    /// By primary result code, the low byte of the extended one: <https://www.sqlite.org/rescode.html>.
    const fn of_sqlite(extended: i32) -> Self {
        match extended & 0xff {
            // BUSY, LOCKED
            5 | 6 => Self::Contended,
            // CORRUPT, NOTADB
            11 | 26 => Self::Corrupt,
            // FULL
            13 => Self::DiskFull,
            // READONLY, IOERR, CANTOPEN
            8 | 10 | 14 => Self::Unavailable,
            _ => Self::Other,
        }
    }

    /// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn of_postgres(state: &str) -> Self {
        match state {
            "53100" => Self::DiskFull,
            "40001" | "40P01" | "55P03" => Self::Contended,
            "XX001" | "XX002" => Self::Corrupt,
            // A failover leaves a connection to what is a read-only standby.
            "25006" => Self::Unavailable,
            _ if ["08", "53", "57", "58"]
                .iter()
                .any(|class| state.starts_with(class)) =>
            {
                Self::Unavailable
            }
            _ => Self::Other,
        }
    }
}
