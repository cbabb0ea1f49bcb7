//! Actions. Decides nothing: the caller computes each step, which is stored with its record or not at all.

use sqlx::FromRow;
use tidemark_model::action::{
    Action, ActionId, ActionKind, ActionSpec, ActionState, LifeStep, Order,
};
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// Which actions.
#[derive(Clone, Copy, Debug, Default)]
pub struct ActionQuery {
    /// Only those before this place in the list.
    pub before: Option<i64>,
    /// Only in this state; `None` for all.
    pub state: Option<ActionState>,
    /// Only those that have not ended.
    pub only_open: bool,
    /// Only for this host.
    pub host: Option<HostId>,
    /// Only for this incident.
    pub incident: Option<i64>,
    /// Only of this run.
    pub run: Option<i64>,
    /// At most this many.
    pub limit: u32,
}

/// What limits count of an action that was sent. Thousands are read with every action that is to be sent, so it is no more than that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentAction {
    /// Its id.
    pub id: ActionId,
    /// The host.
    pub host: HostId,
    /// What it does.
    pub kind: ActionKind,
    /// What of the host it is done to.
    pub subject: String,
    /// When it was given to the host's session.
    pub sent_at: Timestamp,
}

impl SentAction {
    /// Whether `spec` would do the same to the same.
    #[must_use]
    pub fn is_alike(&self, spec: &ActionSpec) -> bool {
        self.kind == spec.kind() && self.subject == spec.subject()
    }
}

const TABLE: Table = Table("actions");

macro_rules! select_actions {
    ($rest:literal) => {
        concat!(
            "SELECT number, incident, run, request_key, state, generation, deadline, sent_at, ended_at, order_bytes, body \
             FROM actions ",
            $rest
        )
    };
}

statements! {
    INSERT = "INSERT INTO actions (id, host, incident, kind, subject, tier, dry_run, request_key, state, generation, deadline, sent_at, \
        ended_at, holding, order_bytes, body, run) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11, $12, 0, $13, $14, $15) RETURNING number";
    UPDATE = "UPDATE actions SET state = $3, deadline = $4, sent_at = $5, ended_at = $6, holding = $7, body = $8, \
        generation = generation + 1 WHERE id = $1 AND generation = $2";
    FIND = select_actions!("WHERE id = $1");
    OF_REQUEST = select_actions!("WHERE request_key = $1");
    PAGE = select_actions!("WHERE number < $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2) AND (CAST($3 AS TEXT) IS NULL OR host = $3) \
        AND (CAST($4 AS BIGINT) IS NULL OR incident = $4) AND (CAST($5 AS BIGINT) = 0 OR ended_at IS NULL) \
        AND (CAST($7 AS BIGINT) IS NULL OR run = $7) ORDER BY number DESC LIMIT $6");
    IN_STATE = select_actions!("WHERE state = $1 AND number > $2 ORDER BY number LIMIT $3");
    DUE = select_actions!("WHERE deadline <= $1 ORDER BY deadline LIMIT $2");
    HOLDING = select_actions!("WHERE holding = 1 AND number > $1 ORDER BY number LIMIT $2");
    SENT_SINCE = "SELECT id, host, kind, subject, sent_at FROM actions WHERE sent_at >= $1 AND tier > 0 AND dry_run = 0 \
        ORDER BY sent_at DESC LIMIT $2";
    ENDED_SINCE = select_actions!("WHERE ended_at >= $1 AND dry_run = 0 ORDER BY ended_at DESC LIMIT $2");
    ENDED_BEFORE = "SELECT id FROM actions WHERE ended_at < $1 AND holding = 0 ORDER BY ended_at LIMIT $2";
    DELETE = "DELETE FROM actions WHERE id = $1";
    DELETE_STEPS = "DELETE FROM action_steps WHERE action = $1";
    DELETE_APPROVALS = "DELETE FROM action_approvals WHERE action = $1";
    DELETE_SIGNATURES = "DELETE FROM action_signatures WHERE action = $1";
}

#[derive(FromRow)]
struct ActionRow {
    number: i64,
    incident: Option<i64>,
    run: Option<i64>,
    request_key: Option<String>,
    state: String,
    generation: i64,
    deadline: Option<i64>,
    sent_at: Option<i64>,
    ended_at: Option<i64>,
    order_bytes: Vec<u8>,
    body: String,
}

impl TryFrom<ActionRow> for Action {
    type Error = StoreError;

    fn try_from(row: ActionRow) -> Result<Self, StoreError> {
        let ActionRow {
            number,
            incident,
            run,
            request_key,
            state,
            generation,
            deadline,
            sent_at,
            ended_at,
            order_bytes,
            body,
        } = row;
        Ok(Self {
            number,
            generation: TABLE.unsigned("generation", generation)?,
            order: Order::from_bytes(&order_bytes)
                .map_err(|error| TABLE.unreadable("order_bytes", error))?,
            bytes: order_bytes,
            incident,
            run,
            request_key,
            state: ActionState::from_name(&state)
                .ok_or_else(|| TABLE.unreadable("state", &state))?,
            deadline: columns::optional_at(deadline),
            sent_at: columns::optional_at(sent_at),
            ended_at: columns::optional_at(ended_at),
            body: TABLE.json("body", &body)?,
        })
    }
}

#[derive(FromRow)]
struct SentRow {
    id: String,
    host: String,
    kind: String,
    subject: String,
    sent_at: i64,
}

impl TryFrom<SentRow> for SentAction {
    type Error = StoreError;

    fn try_from(row: SentRow) -> Result<Self, StoreError> {
        let SentRow {
            id,
            host,
            kind,
            subject,
            sent_at,
        } = row;
        Ok(Self {
            id: id.parse().map_err(|_| TABLE.unreadable("id", &id))?,
            host: TABLE.host("host", &host)?,
            kind: ActionKind::from_name(&kind).ok_or_else(|| TABLE.unreadable("kind", &kind))?,
            subject,
            sent_at: Timestamp::from_unix_ms(sent_at),
        })
    }
}

fn body_of(action: &Action) -> Result<String, StoreError> {
    columns::json("action", &action.body)
}

fn actions(rows: Vec<ActionRow>) -> Result<Vec<Action>, StoreError> {
    rows.into_iter().map(Action::try_from).collect()
}

impl Tx {
    /// Adds an action, in generation 1, with the first step of its life. Answers its number.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when its id or its request is known.
    pub async fn action_insert(&mut self, action: &Action) -> Result<i64, StoreError> {
        let spec = &action.order.spec;
        let subject = columns::text("subject of an action", spec.subject())?;
        let body = body_of(action)?;
        let number = on_conn!(self, conn => sqlx::query_scalar(INSERT)
            .bind(action.id().to_string())
            .bind(action.order.host.to_string())
            .bind(action.incident)
            .bind(spec.kind().as_str())
            .bind(subject)
            .bind(i64::from(spec.tier().number()))
            .bind(i64::from(action.order.dry_run))
            .bind(action.request_key.as_deref())
            .bind(action.state.as_str())
            .bind(columns::optional_ms(action.deadline))
            .bind(columns::optional_ms(action.sent_at))
            .bind(columns::optional_ms(action.ended_at))
            .bind(&action.bytes)
            .bind(body)
            .bind(action.run)
            .fetch_one(conn).await.map_err(StoreError::unless_exists("action"))?);
        self.action_steps_append(action.id(), &[action.first_step()])
            .await?;
        Ok(number)
    }

    /// Replaces the action of that id and generation, with the record of the steps that made it so; its generation is one
    /// more then.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one.
    pub async fn action_update(
        &mut self,
        action: &mut Action,
        steps: &[LifeStep],
    ) -> Result<(), StoreError> {
        let body = body_of(action)?;
        let expected = columns::signed("generation of an action", action.generation)?;
        let effect = action.body.effect.as_ref();
        let is_holding = effect.is_some_and(|effect| effect.holds);
        let updated = on_conn!(self, conn => sqlx::query(UPDATE)
            .bind(action.id().to_string())
            .bind(expected)
            .bind(action.state.as_str())
            .bind(columns::optional_ms(action.deadline))
            .bind(columns::optional_ms(action.sent_at))
            .bind(columns::optional_ms(action.ended_at))
            .bind(i64::from(is_holding))
            .bind(body)
            .execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::Stale { what: "action" })?;
        self.action_steps_append(action.id(), steps).await?;
        action.generation = action.generation.saturating_add(1);
        Ok(())
    }

    /// The action of that id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn action_find(&mut self, id: ActionId) -> Result<Option<Action>, StoreError> {
        let row: Option<ActionRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(id.to_string()).fetch_optional(conn).await?);
        row.map(Action::try_from).transpose()
    }

    /// The action that a request made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn action_of_request(&mut self, key: &str) -> Result<Option<Action>, StoreError> {
        let key = columns::text("key of a request", key)?;
        let row: Option<ActionRow> = on_conn!(self, conn => sqlx::query_as(OF_REQUEST)
            .bind(key).fetch_optional(conn).await?);
        row.map(Action::try_from).transpose()
    }

    /// A page of actions, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn actions_page(&mut self, query: &ActionQuery) -> Result<Vec<Action>, StoreError> {
        actions(on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(query.before.unwrap_or(i64::MAX))
            .bind(query.state.map(ActionState::as_str))
            .bind(query.host.map(|host| host.to_string()))
            .bind(query.incident)
            .bind(i64::from(query.only_open))
            .bind(i64::from(query.limit))
            .bind(query.run)
            .fetch_all(conn).await?))
    }

    /// Actions in a state, oldest first, the first of them after the number `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn actions_in_state(
        &mut self,
        state: ActionState,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Action>, StoreError> {
        actions(on_conn!(self, conn => sqlx::query_as(IN_STATE)
            .bind(state.as_str()).bind(after).bind(i64::from(limit)).fetch_all(conn).await?))
    }

    /// Actions whose deadline has come, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn actions_due(
        &mut self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Action>, StoreError> {
        actions(on_conn!(self, conn => sqlx::query_as(DUE)
            .bind(now.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?))
    }

    /// Actions that helped and still do, by number, those after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn actions_holding(
        &mut self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Action>, StoreError> {
        actions(on_conn!(self, conn => sqlx::query_as(HOLDING)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?))
    }

    /// Actions of tier 1 and above, dry runs left out, that were sent to their hosts since, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn actions_sent_since(
        &mut self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<SentAction>, StoreError> {
        let rows: Vec<SentRow> = on_conn!(self, conn => sqlx::query_as(SENT_SINCE)
            .bind(since.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(SentAction::try_from).collect()
    }

    /// Actions other than dry runs that ended since, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn actions_ended_since(
        &mut self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Action>, StoreError> {
        actions(on_conn!(self, conn => sqlx::query_as(ENDED_SINCE)
            .bind(since.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?))
    }

    /// Deletes actions that ended before `cutoff` with all that belongs to them, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn actions_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let ids: Vec<String> = on_conn!(self, conn => sqlx::query_scalar(ENDED_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?);
        for id in &ids {
            for statement in [DELETE_STEPS, DELETE_APPROVALS, DELETE_SIGNATURES, DELETE] {
                on_conn!(self, conn => sqlx::query(statement)
                    .bind(id).execute(conn).await?.rows_affected());
            }
        }
        Ok(ids.len() as u64)
    }
}
