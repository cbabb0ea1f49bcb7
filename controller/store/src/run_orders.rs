//! Orders that were made with a run's plan, to be signed before their hosts' turns. Signatures of them are kept as those of
//! the actions that they become.

use std::ops::RangeInclusive;

use sqlx::FromRow;
use tidemark_model::action::ActionId;
use tidemark_model::signing::KeyId;

use crate::columns::Table;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("run_orders");
const SIGNATURES: Table = Table("action_signatures");

/// An order of a run that waits for its host's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOrder {
    /// Its id.
    pub id: ActionId,
    /// How many signatures its host wants.
    pub wanted: u32,
    /// What is signed.
    pub bytes: Vec<u8>,
}

/// How far the orders of one run are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOrderCount {
    /// All of them.
    pub orders: u64,
    /// Those with as many signatures as their hosts want.
    pub signed: u64,
}

statements! {
    PUT = "INSERT INTO run_orders (run, action, wanted, order_bytes) VALUES ($1, $2, $3, $4)";
    FIND = "SELECT action, wanted, order_bytes FROM run_orders WHERE run = $1 AND action = $2";
    PAGE = "SELECT action, wanted, order_bytes FROM run_orders WHERE run = $1 AND action > $2 ORDER BY action LIMIT $3";
    SIGNERS = "SELECT s.action, s.key_id FROM run_orders o JOIN action_signatures s ON s.action = o.action \
        WHERE o.run = $1 AND o.action BETWEEN $2 AND $3";
    COUNTS = "SELECT o.run, count(*), count(CASE WHEN (SELECT count(*) FROM action_signatures s WHERE s.action = o.action) >= o.wanted \
        THEN 1 END) FROM run_orders o WHERE o.run BETWEEN $1 AND $2 GROUP BY o.run";
    CLEAR_SIGNATURES = "DELETE FROM action_signatures WHERE action IN (SELECT action FROM run_orders WHERE run = $1) \
        AND NOT EXISTS (SELECT 1 FROM actions WHERE actions.id = action_signatures.action)";
    CLEAR = "DELETE FROM run_orders WHERE run = $1";
}

#[derive(FromRow)]
struct OrderRow {
    action: String,
    wanted: i64,
    order_bytes: Vec<u8>,
}

fn action_of(table: Table, text: &str) -> Result<ActionId, StoreError> {
    text.parse().map_err(|_| table.unreadable("action", text))
}

impl TryFrom<OrderRow> for RunOrder {
    type Error = StoreError;

    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let OrderRow {
            action,
            wanted,
            order_bytes,
        } = row;
        Ok(Self {
            id: action_of(TABLE, &action)?,
            wanted: TABLE.unsigned_32("wanted", wanted)?,
            bytes: order_bytes,
        })
    }
}

impl Tx {
    /// Adds orders of a run.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when the run has one of these ids.
    pub async fn run_orders_put(
        &mut self,
        run: i64,
        orders: &[RunOrder],
    ) -> Result<(), StoreError> {
        for order in orders {
            on_conn!(self, conn => sqlx::query(PUT)
                .bind(run)
                .bind(order.id.to_string())
                .bind(i64::from(order.wanted))
                .bind(&order.bytes)
                .execute(conn).await.map_err(StoreError::unless_exists("order of a run"))?
                .rows_affected());
        }
        Ok(())
    }

    /// The order of that id, of that run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_order(
        &mut self,
        run: i64,
        id: ActionId,
    ) -> Result<Option<RunOrder>, StoreError> {
        let row: Option<OrderRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(run).bind(id.to_string()).fetch_optional(conn).await?);
        row.map(RunOrder::try_from).transpose()
    }

    /// Orders of a run by id, those after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_orders_page(
        &mut self,
        run: i64,
        after: Option<ActionId>,
        limit: u32,
    ) -> Result<Vec<RunOrder>, StoreError> {
        let after = after.map_or_else(String::new, |id| id.to_string());
        let rows: Vec<OrderRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(run).bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(RunOrder::try_from).collect()
    }

    /// Which keys signed which of a run's orders with these ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_order_signers(
        &mut self,
        run: i64,
        ids: RangeInclusive<ActionId>,
    ) -> Result<Vec<(ActionId, KeyId)>, StoreError> {
        let (first, last) = (ids.start().to_string(), ids.end().to_string());
        let rows: Vec<(String, String)> = on_conn!(self, conn => sqlx::query_as(SIGNERS)
            .bind(run).bind(first).bind(last).fetch_all(conn).await?);
        let read = |(action, key): (String, String)| {
            let key_id = key
                .parse()
                .map_err(|_| SIGNATURES.unreadable("key_id", &key))?;
            Ok((action_of(SIGNATURES, &action)?, key_id))
        };
        rows.into_iter().map(read).collect()
    }

    /// How far the orders of each run of these numbers are signed; runs without such orders are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_order_counts(
        &mut self,
        numbers: RangeInclusive<i64>,
    ) -> Result<Vec<(i64, RunOrderCount)>, StoreError> {
        let rows: Vec<(i64, i64, i64)> = on_conn!(self, conn => sqlx::query_as(COUNTS)
            .bind(numbers.start()).bind(numbers.end()).fetch_all(conn).await?);
        let read = |(run, orders, signed): (i64, i64, i64)| {
            let count = RunOrderCount {
                orders: TABLE.unsigned("count(*)", orders)?,
                signed: TABLE.unsigned("count(*)", signed)?,
            };
            Ok((run, count))
        };
        rows.into_iter().map(read).collect()
    }

    /// Takes the orders of a run away, with the signatures of those that became no action; how many signatures.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_orders_clear(&mut self, run: i64) -> Result<u64, StoreError> {
        let dropped = on_conn!(self, conn => sqlx::query(CLEAR_SIGNATURES)
            .bind(run).execute(conn).await?.rows_affected());
        on_conn!(self, conn => sqlx::query(CLEAR)
            .bind(run).execute(conn).await?.rows_affected());
        Ok(dropped)
    }
}
