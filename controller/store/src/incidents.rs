//! Incidents. Decides nothing: the caller computes the change, and a stale generation refuses it.

use sqlx::FromRow;
use tidemark_model::incident::Incident;
use tidemark_model::problem::{Fingerprint, Severity};
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// Which incidents.
#[derive(Clone, Copy, Debug)]
pub struct IncidentQuery<'a> {
    /// Only those before this one in the list, by number.
    pub before: Option<i64>,
    /// Only in this state; `None` for all.
    pub state: Option<&'a str>,
    /// Only those that are not over.
    pub standing: Standing,
    /// Only of this severity.
    pub severity: Option<Severity>,
    /// Only with this host.
    pub host: Option<HostId>,
    /// Only opened from this time on.
    pub since: Option<Timestamp>,
    /// At most this many.
    pub limit: u32,
}

/// Whether a list holds what is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Any,
    /// It does not.
    NotOver,
}

const TABLE: Table = Table("incidents");

statements! {
    // A problem that has an incident already, another controller's perhaps, gets no second one.
    INSERT = "INSERT INTO incidents (fingerprint, state, severity, opened_at, resolved_at, watched, generation, body) \
        VALUES ($1, $2, $3, $4, $5, $6, 1, $7) ON CONFLICT DO NOTHING RETURNING id";
    UPDATE = "UPDATE incidents SET state = $3, severity = $4, resolved_at = $5, watched = $6, body = $7, \
        generation = generation + 1 WHERE id = $1 AND generation = $2";
    HOST_INSERT = "INSERT INTO incident_hosts (host, incident) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    FIND = "SELECT id, generation, body FROM incidents WHERE id = $1";
    NEWEST_OF = "SELECT id, generation, body FROM incidents WHERE fingerprint = $1 ORDER BY id DESC LIMIT 1";
    WATCHED = "SELECT id, generation, body FROM incidents WHERE watched = 1 AND id > $1 ORDER BY id LIMIT $2";
    ENDED_SINCE = "SELECT id, generation, body FROM incidents WHERE resolved_at >= $1 ORDER BY resolved_at DESC LIMIT $2";
    PAGE = "SELECT id, generation, body FROM incidents WHERE id < $1 \
        AND (CAST($2 AS TEXT) IS NULL OR state = $2) AND (CAST($3 AS TEXT) IS NULL OR severity = $3) \
        AND opened_at >= $4 AND (CAST($5 AS BIGINT) = 0 OR resolved_at IS NULL) ORDER BY id DESC LIMIT $6";
    PAGE_OF_HOST = "SELECT id, generation, body FROM incidents WHERE id < $1 \
        AND (CAST($2 AS TEXT) IS NULL OR state = $2) AND (CAST($3 AS TEXT) IS NULL OR severity = $3) \
        AND opened_at >= $4 AND (CAST($5 AS BIGINT) = 0 OR resolved_at IS NULL) \
        AND id IN (SELECT incident FROM incident_hosts WHERE host = $7) ORDER BY id DESC LIMIT $6";
    ENDED_BEFORE = "SELECT id FROM incidents WHERE resolved_at < $1 AND watched = 0 ORDER BY resolved_at LIMIT $2";
    DELETE = "DELETE FROM incidents WHERE id = $1";
    DELETE_HOSTS = "DELETE FROM incident_hosts WHERE incident = $1";
    DELETE_ENTRIES = "DELETE FROM incident_entries WHERE incident = $1";
}

#[derive(FromRow)]
struct IncidentRow {
    id: i64,
    generation: i64,
    body: String,
}

impl TryFrom<IncidentRow> for Incident {
    type Error = StoreError;

    fn try_from(row: IncidentRow) -> Result<Self, StoreError> {
        let IncidentRow {
            id,
            generation,
            body,
        } = row;
        let read: Self = TABLE.json("body", &body)?;
        Ok(Self {
            id,
            generation: TABLE.unsigned("generation", generation)?,
            ..read
        })
    }
}

fn body_of(incident: &Incident) -> Result<String, StoreError> {
    columns::json("incident", incident)
}

fn incidents(rows: Vec<IncidentRow>) -> Result<Vec<Incident>, StoreError> {
    rows.into_iter().map(Incident::try_from).collect()
}

impl Tx {
    /// Adds an incident, in generation 1, and answers its number; `None` when its problem has one that is not over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incident_insert(
        &mut self,
        incident: &Incident,
    ) -> Result<Option<i64>, StoreError> {
        let body = body_of(incident)?;
        let id: Option<i64> = on_conn!(self, conn => sqlx::query_scalar(INSERT)
            .bind(incident.fingerprint.to_string())
            .bind(incident.state.as_str())
            .bind(incident.severity.as_str())
            .bind(incident.opened_at.unix_ms())
            .bind(columns::optional_ms(incident.state.resolved_at()))
            .bind(i64::from(incident.state.is_watched()))
            .bind(body)
            .fetch_optional(conn).await?);
        if let Some(id) = id {
            self.incident_add_hosts(id, incident).await?;
        }
        Ok(id)
    }

    /// Replaces the incident of that number and generation; the new one's is one more.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one, or there is no such incident.
    pub async fn incident_update(&mut self, incident: &Incident) -> Result<(), StoreError> {
        let body = body_of(incident)?;
        let expected = columns::signed("generation of an incident", incident.generation)?;
        let updated = on_conn!(self, conn => sqlx::query(UPDATE)
            .bind(incident.id)
            .bind(expected)
            .bind(incident.state.as_str())
            .bind(incident.severity.as_str())
            .bind(columns::optional_ms(incident.state.resolved_at()))
            .bind(i64::from(incident.state.is_watched()))
            .bind(body)
            .execute(conn).await.map_err(StoreError::unless_exists("incident"))?
            .rows_affected());
        one_row(updated, StoreError::Stale { what: "incident" })?;
        self.incident_add_hosts(incident.id, incident).await
    }

    async fn incident_add_hosts(&mut self, id: i64, incident: &Incident) -> Result<(), StoreError> {
        for host in &incident.problem.hosts {
            on_conn!(self, conn => sqlx::query(HOST_INSERT)
                .bind(host.to_string()).bind(id).execute(conn).await?.rows_affected());
        }
        Ok(())
    }

    /// The incident of that number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incident_find(&mut self, id: i64) -> Result<Option<Incident>, StoreError> {
        let row: Option<IncidentRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(id).fetch_optional(conn).await?);
        row.map(Incident::try_from).transpose()
    }

    /// The newest incident of a problem, over or not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incident_newest_of(
        &mut self,
        fingerprint: Fingerprint,
    ) -> Result<Option<Incident>, StoreError> {
        let row: Option<IncidentRow> = on_conn!(self, conn => sqlx::query_as(NEWEST_OF)
            .bind(fingerprint.to_string()).fetch_optional(conn).await?);
        row.map(Incident::try_from).transpose()
    }

    /// Incidents that must be looked after, by number, the first of them after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incidents_watched(
        &mut self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Incident>, StoreError> {
        let rows = on_conn!(self, conn => sqlx::query_as(WATCHED)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        incidents(rows)
    }

    /// Incidents that ended since, the newest end first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incidents_ended_since(
        &mut self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Incident>, StoreError> {
        let rows = on_conn!(self, conn => sqlx::query_as(ENDED_SINCE)
            .bind(since.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?);
        incidents(rows)
    }

    /// A page of incidents, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incidents_page(
        &mut self,
        query: &IncidentQuery<'_>,
    ) -> Result<Vec<Incident>, StoreError> {
        let before = query.before.unwrap_or(i64::MAX);
        let severity = query.severity.map(Severity::as_str);
        let since = query.since.map_or(i64::MIN, Timestamp::unix_ms);
        let is_not_over = i64::from(query.standing == Standing::NotOver);
        let limit = i64::from(query.limit);
        let rows = match query.host {
            None => on_conn!(self, conn => sqlx::query_as(PAGE)
                .bind(before).bind(query.state).bind(severity).bind(since).bind(is_not_over).bind(limit)
                .fetch_all(conn).await?),
            Some(host) => on_conn!(self, conn => sqlx::query_as(PAGE_OF_HOST)
                .bind(before).bind(query.state).bind(severity).bind(since).bind(is_not_over).bind(limit)
                .bind(host.to_string())
                .fetch_all(conn).await?),
        };
        incidents(rows)
    }

    /// Deletes the incidents that ended first before `cutoff`, at most `limit`, with their time lines. Answers how many;
    /// call again while it is `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incidents_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let ids: Vec<i64> = on_conn!(self, conn => sqlx::query_scalar(ENDED_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?);
        for id in &ids {
            for statement in [DELETE_HOSTS, DELETE_ENTRIES, DELETE] {
                on_conn!(self, conn => sqlx::query(statement)
                    .bind(id).execute(conn).await?.rows_affected());
            }
        }
        Ok(ids.len() as u64)
    }
}
