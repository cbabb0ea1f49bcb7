//! A transaction on either database, and how a query body is written once for both.

use sqlx::{Postgres, Sqlite, Transaction};

use crate::StoreError;

/// A transaction. Dropped without [`Tx::commit`] it is rolled back.
pub enum Tx {
    /// On SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// On Postgres.
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Makes everything done in it durable.
    ///
    /// # Errors
    /// When the database refuses or is away; whether it is durable is then unknown.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Undoes everything done in it.
    ///
    /// # Errors
    /// When the database is away; it then undoes by itself.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

/// Runs one query body against whichever driver the transaction holds.
macro_rules! on_conn {
    ($tx:expr, $conn:ident => $body:expr) => {
        match $tx {
            $crate::Tx::Sqlite(tx) => {
                let $conn = &mut **tx;
                $body
            }
            $crate::Tx::Postgres(tx) => {
                let $conn = &mut **tx;
                $body
            }
        }
    };
}
pub(crate) use on_conn;

/// One statement's texts, where the dialects differ.
#[derive(Clone, Copy)]
pub(crate) struct TwoArmed {
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

/// Declares a file's statements as constants and lists them all in `STATEMENTS`, which a test prepares on both
/// databases.
macro_rules! statements {
    ($($name:ident = $sqlite:expr $(, postgres $postgres:expr)?;)*) => {
        $($crate::tx::statements!(@const $name $sqlite $(, $postgres)?);)*

        /// Every statement of this file: name, SQLite's text, Postgres's text.
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[(&str, &str, &str)] =
            &[$($crate::tx::statements!(@entry $name $sqlite $(, $postgres)?),)*];
    };
    (@const $name:ident $both:expr) => { const $name: &str = $both; };
    (@const $name:ident $sqlite:expr, $postgres:expr) => {
        const $name: $crate::tx::TwoArmed = $crate::tx::TwoArmed { sqlite: $sqlite, postgres: $postgres };
    };
    (@entry $name:ident $both:expr) => { (stringify!($name), $both, $both) };
    (@entry $name:ident $sqlite:expr, $postgres:expr) => { (stringify!($name), $sqlite, $postgres) };
}
pub(crate) use statements;
