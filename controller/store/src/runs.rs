//! Maintenance runs with their hosts, approvals and lives. Decides nothing: the caller computes each step, which is stored
//! with its record or not at all.

use std::ops::RangeInclusive;

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::action::Approval;
use tidemark_model::run::{Run, RunHost, RunHostState, RunLifeStep, RunState};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// Which runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunQuery {
    /// Only those before this place in the list.
    pub before: Option<i64>,
    /// Only in this state; `None` for all.
    pub state: Option<RunState>,
    /// Only those that have not ended.
    pub only_open: bool,
    /// At most this many.
    pub limit: u32,
}

/// An approval of one plan of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunApproval {
    /// Hash of the plan that was approved.
    pub plan_hash: String,
    /// Who, when, and in which words.
    pub approval: Approval,
}

const RUNS: Table = Table("runs");
const HOSTS: Table = Table("run_hosts");
const STEPS: Table = Table("run_steps");

statements! {
    INSERT = "INSERT INTO runs (state, generation, deadline, created_at, ended_at, spec, body) \
        VALUES ($1, 1, $2, $3, $4, $5, $6) RETURNING number";
    UPDATE = "UPDATE runs SET state = $3, deadline = $4, ended_at = $5, body = $6, generation = generation + 1 \
        WHERE number = $1 AND generation = $2";
    FIND = "SELECT number, state, generation, deadline, created_at, ended_at, spec, body FROM runs WHERE number = $1";
    PAGE = "SELECT number, state, generation, deadline, created_at, ended_at, spec, body FROM runs WHERE number < $1 \
        AND (CAST($2 AS TEXT) IS NULL OR state = $2) AND (CAST($3 AS BIGINT) = 0 OR ended_at IS NULL) \
        ORDER BY number DESC LIMIT $4";
    HOST_PUT = "INSERT INTO run_hosts (run, place, host, state, body) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (run, place) DO UPDATE SET host = excluded.host, state = excluded.state, body = excluded.body";
    HOSTS_OF = "SELECT place, host, state, body FROM run_hosts WHERE run = $1 ORDER BY place";
    HOST_COUNTS = "SELECT run, state, count(*) FROM run_hosts WHERE run BETWEEN $1 AND $2 GROUP BY run, state";
    APPROVE = "INSERT INTO run_approvals (run, plan_hash, approver, at, text) VALUES ($1, $2, $3, $4, $5)";
    APPROVALS = "SELECT plan_hash, approver, at, text FROM run_approvals WHERE run = $1 ORDER BY at, approver";
    STEP_APPEND = "INSERT INTO run_steps (run, at, to_state, author, text) VALUES ($1, $2, $3, $4, $5)";
    STEPS_NEWEST = "SELECT at, to_state, author, text FROM run_steps WHERE run = $1 ORDER BY id DESC LIMIT $2";
    ENDED_BEFORE = "SELECT number FROM runs WHERE ended_at < $1 ORDER BY ended_at LIMIT $2";
    DELETE = "DELETE FROM runs WHERE number = $1";
    DELETE_HOSTS = "DELETE FROM run_hosts WHERE run = $1";
    DELETE_APPROVALS = "DELETE FROM run_approvals WHERE run = $1";
    DELETE_STEPS = "DELETE FROM run_steps WHERE run = $1";
}

#[derive(FromRow)]
struct RunRow {
    number: i64,
    state: String,
    generation: i64,
    deadline: Option<i64>,
    created_at: i64,
    ended_at: Option<i64>,
    spec: String,
    body: String,
}

impl TryFrom<RunRow> for Run {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Self, StoreError> {
        let RunRow {
            number,
            state,
            generation,
            deadline,
            created_at,
            ended_at,
            spec,
            body,
        } = row;
        Ok(Self {
            number,
            generation: RUNS.unsigned("generation", generation)?,
            spec: RUNS.json("spec", &spec)?,
            state: RunState::from_name(&state).ok_or_else(|| RUNS.unreadable("state", &state))?,
            deadline: columns::optional_at(deadline),
            created_at: Timestamp::from_unix_ms(created_at),
            ended_at: columns::optional_at(ended_at),
            body: RUNS.json("body", &body)?,
            hosts: Vec::new(),
        })
    }
}

#[derive(FromRow)]
struct HostRow {
    place: i64,
    host: String,
    state: String,
    body: String,
}

impl TryFrom<HostRow> for RunHost {
    type Error = StoreError;

    fn try_from(row: HostRow) -> Result<Self, StoreError> {
        let HostRow {
            place,
            host,
            state,
            body,
        } = row;
        Ok(Self {
            place: HOSTS.unsigned_32("place", place)?,
            host: HOSTS.host("host", &host)?,
            state: RunHostState::from_name(&state)
                .ok_or_else(|| HOSTS.unreadable("state", &state))?,
            body: HOSTS.json("body", &body)?,
        })
    }
}

#[derive(FromRow)]
struct ApprovalRow {
    plan_hash: String,
    approver: String,
    at: i64,
    text: String,
}

impl From<ApprovalRow> for RunApproval {
    fn from(row: ApprovalRow) -> Self {
        let ApprovalRow {
            plan_hash,
            approver,
            at,
            text,
        } = row;
        Self {
            plan_hash,
            approval: Approval {
                approver,
                at: Timestamp::from_unix_ms(at),
                text,
            },
        }
    }
}

#[derive(FromRow)]
struct StepRow {
    at: i64,
    to_state: String,
    author: Option<String>,
    text: String,
}

impl TryFrom<StepRow> for RunLifeStep {
    type Error = StoreError;

    fn try_from(row: StepRow) -> Result<Self, StoreError> {
        let StepRow {
            at,
            to_state,
            author,
            text,
        } = row;
        Ok(Self {
            at: Timestamp::from_unix_ms(at),
            to: RunState::from_name(&to_state)
                .ok_or_else(|| STEPS.unreadable("to_state", &to_state))?,
            by: author,
            text,
        })
    }
}

impl Tx {
    /// Adds a run with its hosts, in generation 1, with the first step of its life. Answers its number.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn run_insert(&mut self, run: &Run, first: &RunLifeStep) -> Result<i64, StoreError> {
        let (spec, body) = (
            columns::json("run", &run.spec)?,
            columns::json("run", &run.body)?,
        );
        let number: i64 = on_conn!(self, conn => sqlx::query_scalar(INSERT)
            .bind(run.state.as_str())
            .bind(columns::optional_ms(run.deadline))
            .bind(run.created_at.unix_ms())
            .bind(columns::optional_ms(run.ended_at))
            .bind(spec)
            .bind(body)
            .fetch_one(conn).await?);
        for host in &run.hosts {
            self.run_host_put(number, host).await?;
        }
        self.run_step_append(number, first).await?;
        Ok(number)
    }

    /// Replaces the run of that number and generation, its hosts left as they are, with the record of the steps that made
    /// it so; its generation is one more then.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one.
    pub async fn run_update(
        &mut self,
        run: &mut Run,
        steps: &[RunLifeStep],
    ) -> Result<(), StoreError> {
        let body = columns::json("run", &run.body)?;
        let expected = columns::signed("generation of a run", run.generation)?;
        let updated = on_conn!(self, conn => sqlx::query(UPDATE)
            .bind(run.number)
            .bind(expected)
            .bind(run.state.as_str())
            .bind(columns::optional_ms(run.deadline))
            .bind(columns::optional_ms(run.ended_at))
            .bind(body)
            .execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::Stale { what: "run" })?;
        for step in steps {
            self.run_step_append(run.number, step).await?;
        }
        run.generation = run.generation.saturating_add(1);
        Ok(())
    }

    /// Puts a host of a run in its place.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_host_put(&mut self, run: i64, host: &RunHost) -> Result<(), StoreError> {
        let body = columns::json("host of a run", &host.body)?;
        on_conn!(self, conn => sqlx::query(HOST_PUT)
            .bind(run)
            .bind(i64::from(host.place))
            .bind(host.host.to_string())
            .bind(host.state.as_str())
            .bind(body)
            .execute(conn).await?.rows_affected());
        Ok(())
    }

    /// Takes the hosts of a run away, for those of another plan.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_hosts_clear(&mut self, run: i64) -> Result<(), StoreError> {
        on_conn!(self, conn => sqlx::query(DELETE_HOSTS)
            .bind(run).execute(conn).await?.rows_affected());
        Ok(())
    }

    /// The run of that number with its hosts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_find(&mut self, number: i64) -> Result<Option<Run>, StoreError> {
        let row: Option<RunRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(number).fetch_optional(conn).await?);
        match row {
            Some(row) => self.run_with_hosts(row.try_into()?).await.map(Some),
            None => Ok(None),
        }
    }

    /// A run of a page, with its hosts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_with_hosts(&mut self, mut run: Run) -> Result<Run, StoreError> {
        let rows: Vec<HostRow> = on_conn!(self, conn => sqlx::query_as(HOSTS_OF)
            .bind(run.number).fetch_all(conn).await?);
        let hosts: Result<Vec<RunHost>, StoreError> =
            rows.into_iter().map(RunHost::try_from).collect();
        run.hosts = hosts?;
        Ok(run)
    }

    /// A page of runs without their hosts, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_page(&mut self, query: &RunQuery) -> Result<Vec<Run>, StoreError> {
        let rows: Vec<RunRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(query.before.unwrap_or(i64::MAX))
            .bind(query.state.map(RunState::as_str))
            .bind(i64::from(query.only_open))
            .bind(i64::from(query.limit))
            .fetch_all(conn).await?);
        rows.into_iter().map(Run::try_from).collect()
    }

    /// How many hosts stand where, of each run of these numbers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_host_counts(
        &mut self,
        numbers: RangeInclusive<i64>,
    ) -> Result<Vec<(i64, RunHostState, u64)>, StoreError> {
        let rows: Vec<(i64, String, i64)> = on_conn!(self, conn => sqlx::query_as(HOST_COUNTS)
            .bind(numbers.start()).bind(numbers.end()).fetch_all(conn).await?);
        let count = |(run, state, count): (i64, String, i64)| {
            let state =
                RunHostState::from_name(&state).ok_or_else(|| HOSTS.unreadable("state", &state))?;
            Ok((run, state, HOSTS.unsigned("count(*)", count)?))
        };
        rows.into_iter().map(count).collect()
    }

    /// Keeps an approval of a run's plan.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when that person approved that plan before.
    pub async fn run_approve(
        &mut self,
        number: i64,
        approved: &RunApproval,
    ) -> Result<(), StoreError> {
        let approval = &approved.approval;
        let approver = columns::text("approver of a run", &approval.approver)?;
        let text = columns::text("words of an approval", &approval.text)?;
        on_conn!(self, conn => sqlx::query(APPROVE)
            .bind(number)
            .bind(approved.plan_hash.as_str())
            .bind(approver)
            .bind(approval.at.unix_ms())
            .bind(text)
            .execute(conn).await.map_err(StoreError::unless_exists("approval"))?
            .rows_affected());
        Ok(())
    }

    /// Every approval of a run's plans, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_approvals(&mut self, number: i64) -> Result<Vec<RunApproval>, StoreError> {
        let rows: Vec<ApprovalRow> = on_conn!(self, conn => sqlx::query_as(APPROVALS)
            .bind(number).fetch_all(conn).await?);
        Ok(rows.into_iter().map(RunApproval::from).collect())
    }

    /// The newest steps of a run's life, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_steps(
        &mut self,
        number: i64,
        limit: u32,
    ) -> Result<Vec<RunLifeStep>, StoreError> {
        let rows: Vec<StepRow> = on_conn!(self, conn => sqlx::query_as(STEPS_NEWEST)
            .bind(number).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().rev().map(RunLifeStep::try_from).collect()
    }

    async fn run_step_append(&mut self, run: i64, step: &RunLifeStep) -> Result<(), StoreError> {
        let author = step.by.as_deref();
        let author = author
            .map(|author| columns::text("author of a step", author))
            .transpose()?;
        on_conn!(self, conn => sqlx::query(STEP_APPEND)
            .bind(run)
            .bind(step.at.unix_ms())
            .bind(step.to.as_str())
            .bind(author)
            .bind(columns::text("text of a step", &step.text)?)
            .execute(conn).await?.rows_affected());
        Ok(())
    }

    /// Deletes runs that ended before `cutoff` with all that belongs to them, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let numbers: Vec<i64> = on_conn!(self, conn => sqlx::query_scalar(ENDED_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?);
        for number in &numbers {
            self.run_orders_clear(*number).await?;
            for statement in [DELETE_STEPS, DELETE_APPROVALS, DELETE_HOSTS, DELETE] {
                on_conn!(self, conn => sqlx::query(statement)
                    .bind(number).execute(conn).await?.rows_affected());
            }
        }
        Ok(numbers.len() as u64)
    }
}
