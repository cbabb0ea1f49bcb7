//! Cases of standing policies: what each did on which host. Decides nothing: the caller computes each change, and a stale
//! generation refuses it.

use sqlx::FromRow;
use tidemark_model::policy::{Case, CaseState};
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("policy_cases");

/// Firings of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFirings {
    /// Name of the policy.
    pub policy: String,
    /// How often it fired.
    pub fired: u64,
    /// How often of these a rung helped.
    pub verified: u64,
    /// When it fired last.
    pub last: Timestamp,
}

macro_rules! select_cases {
    ($rest:literal) => {
        concat!(
            "SELECT id, policy, version, host, state, generation, since, fired_at, ended_at, body FROM policy_cases ",
            $rest
        )
    };
}

statements! {
    // A policy that has a case on that host, another controller's perhaps, gets no second one.
    INSERT = "INSERT INTO policy_cases (policy, version, host, state, generation, since, fired_at, ended_at, body) \
        VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id";
    UPDATE = "UPDATE policy_cases SET state = $3, since = $4, fired_at = $5, ended_at = $6, body = $7, generation = generation + 1 \
        WHERE id = $1 AND generation = $2";
    DELETE = "DELETE FROM policy_cases WHERE id = $1 AND generation = $2";
    OPEN = select_cases!("WHERE ended_at IS NULL AND id > $1 ORDER BY id LIMIT $2");
    OPEN_COUNTS = "SELECT policy, state, count(*) FROM policy_cases WHERE ended_at IS NULL GROUP BY policy, state";
    PAGE = select_cases!("WHERE policy = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    NEWEST = select_cases!("ORDER BY id DESC LIMIT $1");
    OF_HOST = select_cases!("WHERE policy = $1 AND host = $2 AND fired_at IS NOT NULL AND (ended_at IS NULL OR ended_at >= $3) \
        ORDER BY id DESC LIMIT $4");
    ACTING = "SELECT count(*) FROM policy_cases WHERE policy = $1 AND state = 'acting' AND ended_at IS NULL";
    FIRINGS = "SELECT policy, count(*) AS fired, count(CASE WHEN state = 'verified' THEN 1 END) AS verified, max(fired_at) AS last \
        FROM policy_cases WHERE fired_at >= $1 GROUP BY policy ORDER BY policy";
    DELETE_BEFORE = "DELETE FROM policy_cases WHERE id IN \
        (SELECT id FROM policy_cases WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)";
}

#[derive(FromRow)]
struct CaseRow {
    id: i64,
    policy: String,
    version: i64,
    host: String,
    state: String,
    generation: i64,
    since: i64,
    fired_at: Option<i64>,
    ended_at: Option<i64>,
    body: String,
}

impl TryFrom<CaseRow> for Case {
    type Error = StoreError;

    fn try_from(row: CaseRow) -> Result<Self, StoreError> {
        let CaseRow {
            id,
            policy,
            version,
            host,
            state,
            generation,
            since,
            fired_at,
            ended_at,
            body,
        } = row;
        Ok(Self {
            id,
            generation: TABLE.unsigned("generation", generation)?,
            policy,
            version: TABLE.unsigned("version", version)?,
            host: TABLE.host("host", &host)?,
            state: CaseState::from_name(&state).ok_or_else(|| TABLE.unreadable("state", &state))?,
            since: Timestamp::from_unix_ms(since),
            fired_at: columns::optional_at(fired_at),
            ended_at: columns::optional_at(ended_at),
            body: TABLE.json("body", &body)?,
        })
    }
}

#[derive(FromRow)]
struct FiringsRow {
    policy: String,
    fired: i64,
    verified: i64,
    last: i64,
}

fn cases(rows: Vec<CaseRow>) -> Result<Vec<Case>, StoreError> {
    rows.into_iter().map(Case::try_from).collect()
}

impl Tx {
    /// Adds a case, in generation 1, and answers its number; `None` when its policy has one on that host.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_case_insert(&mut self, case: &Case) -> Result<Option<i64>, StoreError> {
        let policy = columns::text("name of a policy", &case.policy)?;
        let version = columns::signed("version of a policy", case.version)?;
        let body = columns::json("case of a policy", &case.body)?;
        Ok(on_conn!(self, conn => sqlx::query_scalar(INSERT)
            .bind(policy)
            .bind(version)
            .bind(case.host.to_string())
            .bind(case.state.as_str())
            .bind(case.since.unix_ms())
            .bind(columns::optional_ms(case.fired_at))
            .bind(columns::optional_ms(case.ended_at))
            .bind(body)
            .fetch_optional(conn).await?))
    }

    /// Replaces the case of that number and generation; its generation is one more then.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one.
    pub async fn policy_case_update(&mut self, case: &mut Case) -> Result<(), StoreError> {
        let body = columns::json("case of a policy", &case.body)?;
        let expected = columns::signed("generation of a case", case.generation)?;
        let updated = on_conn!(self, conn => sqlx::query(UPDATE)
            .bind(case.id)
            .bind(expected)
            .bind(case.state.as_str())
            .bind(case.since.unix_ms())
            .bind(columns::optional_ms(case.fired_at))
            .bind(columns::optional_ms(case.ended_at))
            .bind(body)
            .execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::Stale { what: "case" })?;
        case.generation = case.generation.saturating_add(1);
        Ok(())
    }

    /// Takes a case away, of which nothing is to be remembered.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one.
    pub async fn policy_case_delete(&mut self, case: &Case) -> Result<(), StoreError> {
        let expected = columns::signed("generation of a case", case.generation)?;
        let deleted = on_conn!(self, conn => sqlx::query(DELETE)
            .bind(case.id).bind(expected).execute(conn).await?.rows_affected());
        one_row(deleted, StoreError::Stale { what: "case" })
    }

    /// How many cases that have not ended stand where, by policy.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_case_counts(
        &mut self,
    ) -> Result<Vec<(String, CaseState, u64)>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            on_conn!(self, conn => sqlx::query_as(OPEN_COUNTS).fetch_all(conn).await?);
        let count = |(policy, state, count): (String, String, i64)| {
            let state =
                CaseState::from_name(&state).ok_or_else(|| TABLE.unreadable("state", &state))?;
            Ok((policy, state, TABLE.unsigned("count(*)", count)?))
        };
        rows.into_iter().map(count).collect()
    }

    /// Cases of which something may still come, by number, the first of them after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_cases_open(
        &mut self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Case>, StoreError> {
        cases(on_conn!(self, conn => sqlx::query_as(OPEN)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?))
    }

    /// Cases of a policy, the newest first, before the number `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_cases_page(
        &mut self,
        policy: &str,
        before: i64,
        limit: u32,
    ) -> Result<Vec<Case>, StoreError> {
        let policy = columns::text("name of a policy", policy)?;
        cases(on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(policy).bind(before).bind(i64::from(limit)).fetch_all(conn).await?))
    }

    /// Cases of all policies, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_cases_newest(&mut self, limit: u32) -> Result<Vec<Case>, StoreError> {
        cases(on_conn!(self, conn => sqlx::query_as(NEWEST)
            .bind(i64::from(limit)).fetch_all(conn).await?))
    }

    /// Cases of a policy on a host that were begun, and ended since or not at all, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_cases_fired(
        &mut self,
        (policy, host): (&str, HostId),
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Case>, StoreError> {
        let policy = columns::text("name of a policy", policy)?;
        cases(on_conn!(self, conn => sqlx::query_as(OF_HOST)
            .bind(policy).bind(host.to_string()).bind(since.unix_ms()).bind(i64::from(limit))
            .fetch_all(conn).await?))
    }

    /// On how many hosts a policy acts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_cases_acting(&mut self, policy: &str) -> Result<u64, StoreError> {
        let policy = columns::text("name of a policy", policy)?;
        let count: i64 = on_conn!(self, conn => sqlx::query_scalar(ACTING)
            .bind(policy).fetch_one(conn).await?);
        TABLE.unsigned("count(*)", count)
    }

    /// How often each policy fired since, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_firings(
        &mut self,
        since: Timestamp,
    ) -> Result<Vec<PolicyFirings>, StoreError> {
        let rows: Vec<FiringsRow> = on_conn!(self, conn => sqlx::query_as(FIRINGS)
            .bind(since.unix_ms()).fetch_all(conn).await?);
        let read = |row: FiringsRow| {
            Ok(PolicyFirings {
                policy: row.policy,
                fired: TABLE.unsigned("count(*)", row.fired)?,
                verified: TABLE.unsigned("count(*)", row.verified)?,
                last: Timestamp::from_unix_ms(row.last),
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Deletes cases that ended before `cutoff`, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn policy_cases_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}
