//! Hosts: identity, standing, certificate and what their agents say of them. Knows no rule of enrolment.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::FromRow;
use tidemark_model::host::{Capability, CapabilityReport, CapabilityState};
use tidemark_model::{HostFacts, HostId, HostState, Timestamp};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::host_rows::host_texts;
use crate::tx::{on_conn, statements};
use crate::{News, StoreError, Tx};

/// A host as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// Its long-lived identity key, as DER-encoded `SubjectPublicKeyInfo`.
    pub identity_spki: Vec<u8>,
    /// What its agent said when the last session started.
    pub facts: HostFacts,
    /// Labels that the controller holds of it: those of its join token, as an admin changed them since.
    pub controller_labels: BTreeMap<String, String>,
    /// Counts changes of `controller_labels`; pass it to [`Tx::host_set_labels`].
    pub labels_generation: u64,
    /// Its standing.
    pub state: HostState,
    /// Counts changes of `state`; pass it to [`Tx::host_set_state`].
    pub state_generation: u64,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// When the controller last heard from it; `None` when it never connected.
    pub last_seen_at: Option<Timestamp>,
    /// The certificate it was last given.
    pub certificate: HostCertificate,
}

/// The certificate that a host was last given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCertificate {
    /// Counts certificates; a request with an older one comes from a clone.
    pub generation: u64,
    /// When it ends.
    pub not_after: Timestamp,
    /// SHA-256 of the certified key's SPKI: the same request again gets the same answer.
    pub spki_hash: [u8; 32],
}

/// A host that enrols. Its state is [`HostState::Enrolled`], generation 0.
#[derive(Clone, Debug)]
pub struct NewHost {
    /// Its id.
    pub id: HostId,
    /// Its long-lived identity key, as DER-encoded `SubjectPublicKeyInfo`.
    pub identity_spki: Vec<u8>,
    /// What its agent said.
    pub facts: HostFacts,
    /// Labels from its join token.
    pub token_labels: BTreeMap<String, String>,
    /// When it enrols.
    pub enrolled_at: Timestamp,
    /// Its first certificate.
    pub certificate: HostCertificate,
}

const TABLE: Table = Table("hosts");
/// Hosts read at a time by [`Tx::hosts_each`].
const PAGE_ROWS: u32 = 1_000;

macro_rules! select_hosts {
    ($rest:literal) => {
        concat!(
            "SELECT id, identity_spki, name, os, agent_version, boot_id, time_zone, capabilities, labels, token_labels, \
             labels_generation, state, state_generation, enrolled_at, last_seen_at, certificate_generation, certificate_not_after, \
             certificate_spki_hash FROM hosts ",
            $rest
        )
    };
}

statements! {
    HOST_INSERT = "INSERT INTO hosts (id, identity_spki, name, os, agent_version, boot_id, capabilities, labels, \
        token_labels, state, state_generation, enrolled_at, certificate_generation, certificate_not_after, \
        certificate_spki_hash, time_zone) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13, $14, $15)";
    HOST_FIND = select_hosts!("WHERE id = $1");
    HOSTS_NAMED = select_hosts!("WHERE name = $1 ORDER BY id LIMIT $2");
    HOSTS_PAGE = select_hosts!("WHERE id > $1 ORDER BY id LIMIT $2");
    HOSTS_OF = select_hosts!("WHERE id IN (SELECT value FROM json_each($1))"),
        postgres select_hosts!("WHERE id = ANY($1::text[])");
    HOST_TOUCH = "UPDATE hosts SET last_seen_at = seen.at \
        FROM (SELECT value ->> 0 AS host, max(value ->> 1) AS at FROM json_each($1) GROUP BY 1) AS seen \
        WHERE id = seen.host AND (last_seen_at IS NULL OR last_seen_at < seen.at)",
        postgres "UPDATE hosts SET last_seen_at = seen.at \
        FROM (SELECT host, max(at) AS at FROM UNNEST($1::text[], $2::bigint[]) AS given (host, at) GROUP BY host) AS seen \
        WHERE id = seen.host AND (last_seen_at IS NULL OR last_seen_at < seen.at)";
    HOST_UPDATE_FACTS = "UPDATE hosts SET name = $2, os = $3, agent_version = $4, boot_id = $5, capabilities = $6, \
        labels = $7, time_zone = $8 WHERE id = $1";
    HOST_SET_CERTIFICATE = "UPDATE hosts SET certificate_generation = $5, certificate_not_after = $3, certificate_spki_hash = $4 \
        WHERE id = $1 AND certificate_generation = $2";
    HOST_COUNT = "SELECT count(*) FROM hosts";
}

#[derive(FromRow)]
struct HostRow {
    id: String,
    identity_spki: Vec<u8>,
    name: String,
    os: String,
    agent_version: String,
    boot_id: String,
    time_zone: Option<String>,
    capabilities: String,
    labels: String,
    token_labels: String,
    labels_generation: i64,
    state: String,
    state_generation: i64,
    enrolled_at: i64,
    last_seen_at: Option<i64>,
    certificate_generation: i64,
    certificate_not_after: i64,
    certificate_spki_hash: Vec<u8>,
}

impl TryFrom<HostRow> for Host {
    type Error = StoreError;

    fn try_from(row: HostRow) -> Result<Self, StoreError> {
        let HostRow {
            id,
            identity_spki,
            name,
            os,
            agent_version,
            boot_id,
            time_zone,
            capabilities,
            labels,
            token_labels,
            labels_generation,
            state,
            state_generation,
            enrolled_at,
            last_seen_at,
            certificate_generation,
            certificate_not_after,
            certificate_spki_hash,
        } = row;
        Ok(Self {
            id: TABLE.host("id", &id)?,
            identity_spki,
            facts: HostFacts {
                name: name.into(),
                os: os.into(),
                agent_version: agent_version.into(),
                boot_id: boot_id.into(),
                time_zone: time_zone.map(Into::into),
                capabilities: capabilities_from(&capabilities)
                    .ok_or_else(|| TABLE.unreadable("capabilities", capabilities))?,
                labels: TABLE.json("labels", &labels)?,
            },
            controller_labels: TABLE.json("token_labels", &token_labels)?,
            labels_generation: TABLE.unsigned("labels_generation", labels_generation)?,
            state: HostState::from_name(&state).ok_or_else(|| TABLE.unreadable("state", state))?,
            state_generation: TABLE.unsigned("state_generation", state_generation)?,
            enrolled_at: Timestamp::from_unix_ms(enrolled_at),
            last_seen_at: columns::optional_at(last_seen_at),
            certificate: HostCertificate {
                generation: TABLE.unsigned("certificate_generation", certificate_generation)?,
                not_after: Timestamp::from_unix_ms(certificate_not_after),
                spki_hash: TABLE.hash("certificate_spki_hash", certificate_spki_hash)?,
            },
        })
    }
}

fn capabilities_to(capabilities: &[CapabilityReport]) -> Result<String, StoreError> {
    for text in capabilities
        .iter()
        .flat_map(|report| [&report.how, &report.why])
        .flatten()
    {
        columns::text("capability", text)?;
    }
    Ok(json!(capabilities).to_string())
}

/// Leaves out what this release does not know: a newer one wrote it, and it comes again with each session. Earlier releases
/// wrote the names of what an agent has, with commas between them.
fn capabilities_from(column: &str) -> Option<Vec<CapabilityReport>> {
    if !column.starts_with('[') {
        let known = column.split(',').filter_map(Capability::from_name);
        return Some(
            known
                .map(|capability| CapabilityReport::new(capability, CapabilityState::Yes))
                .collect(),
        );
    }
    let reports: Vec<serde_json::Value> = serde_json::from_str(column).ok()?;
    let known = |report| serde_json::from_value(report).ok();
    Some(reports.into_iter().filter_map(known).collect())
}

/// Facts as their columns hold them.
struct FactColumns<'f> {
    name: &'f str,
    os: &'f str,
    agent_version: &'f str,
    boot_id: &'f str,
    time_zone: Option<&'f str>,
    capabilities: String,
    labels: String,
}

impl<'f> FactColumns<'f> {
    fn of(facts: &'f HostFacts) -> Result<Self, StoreError> {
        Ok(Self {
            name: columns::text("host name", &facts.name)?,
            os: columns::text("operating system", &facts.os)?,
            agent_version: columns::text("agent version", &facts.agent_version)?,
            boot_id: columns::text("boot id", &facts.boot_id)?,
            time_zone: facts
                .time_zone
                .as_deref()
                .map(|name| columns::text("time zone", name))
                .transpose()?,
            capabilities: capabilities_to(&facts.capabilities)?,
            labels: columns::labels_to_json("label", &facts.labels)?,
        })
    }
}

impl Tx {
    /// Adds a host.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when the id is taken.
    pub async fn host_insert(&mut self, host: &NewHost) -> Result<(), StoreError> {
        let facts = FactColumns::of(&host.facts)?;
        let token_labels = columns::labels_to_json("label", &host.token_labels)?;
        let generation = columns::signed("certificate generation", host.certificate.generation)?;
        let inserted = on_conn!(self, conn => sqlx::query(HOST_INSERT)
            .bind(host.id.to_string())
            .bind(host.identity_spki.as_slice())
            .bind(facts.name)
            .bind(facts.os)
            .bind(facts.agent_version)
            .bind(facts.boot_id)
            .bind(facts.capabilities)
            .bind(facts.labels)
            .bind(token_labels)
            .bind(HostState::Enrolled.as_str())
            .bind(host.enrolled_at.unix_ms())
            .bind(generation)
            .bind(host.certificate.not_after.unix_ms())
            .bind(host.certificate.spki_hash.as_slice())
            .bind(facts.time_zone)
            .execute(conn).await.map_err(StoreError::unless_exists("host"))?
            .rows_affected());
        one_row(inserted, StoreError::AlreadyExists { what: "host" })?;
        self.tell(News::Host(host.id)).await
    }

    /// The host with that id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_find(&mut self, id: HostId) -> Result<Option<Host>, StoreError> {
        let row: Option<HostRow> = on_conn!(self, conn => sqlx::query_as(HOST_FIND)
            .bind(id.to_string()).fetch_optional(conn).await?);
        row.map(Host::try_from).transpose()
    }

    /// Those of these hosts that there are, in no order; `Err` stands for one that this release cannot read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_of(
        &mut self,
        ids: &[HostId],
    ) -> Result<Vec<Result<Host, StoreError>>, StoreError> {
        let ids = host_texts(ids);
        let rows: Vec<HostRow> = match self {
            Self::Sqlite(tx) => {
                let of = sqlx::query_as(HOSTS_OF.sqlite).bind(json!(ids).to_string());
                of.fetch_all(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let of = sqlx::query_as(HOSTS_OF.postgres).bind(ids);
                of.fetch_all(&mut **tx).await?
            }
        };
        Ok(rows.into_iter().map(Host::try_from).collect())
    }

    /// The hosts with that name, by id, at most `limit`: names are what hosts call themselves and need not be unique.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_named(&mut self, name: &str, limit: u32) -> Result<Vec<Host>, StoreError> {
        let name = columns::text("host name", name)?;
        let rows: Vec<HostRow> = on_conn!(self, conn => sqlx::query_as(HOSTS_NAMED)
            .bind(name).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(Host::try_from).collect()
    }

    /// At most `limit` hosts by the text of their ids, those after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_page(
        &mut self,
        after: Option<HostId>,
        limit: u32,
    ) -> Result<Vec<Host>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<HostRow> = on_conn!(self, conn => sqlx::query_as(HOSTS_PAGE)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(Host::try_from).collect()
    }

    /// Shows every host to `visit`, by the text of its id, reading a thousand at a time.
    ///
    /// # Errors
    /// When the database fails; some hosts were then shown.
    pub async fn hosts_each(&mut self, mut visit: impl FnMut(Host)) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.hosts_page(after, PAGE_ROWS).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            page.into_iter().for_each(&mut visit);
        }
    }

    /// How many hosts there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_count(&mut self) -> Result<u64, StoreError> {
        let count: i64 =
            on_conn!(self, conn => sqlx::query_scalar(HOST_COUNT).fetch_one(conn).await?);
        TABLE.unsigned("count(*)", count)
    }

    /// Notes when hosts were last heard from; an earlier time than the stored one changes nothing, and so does an
    /// unknown host. Answers how many changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_touch(&mut self, seen: &[(HostId, Timestamp)]) -> Result<u64, StoreError> {
        let pairs = seen
            .iter()
            .map(|(host, at)| (host.to_string(), at.unix_ms()));
        match self {
            Self::Sqlite(tx) => {
                let pairs: Vec<_> = pairs.collect();
                let query = sqlx::query(HOST_TOUCH.sqlite).bind(json!(pairs).to_string());
                Ok(query.execute(&mut **tx).await?.rows_affected())
            }
            Self::Postgres(tx) => {
                let (hosts, times): (Vec<_>, Vec<_>) = pairs.unzip();
                let done = sqlx::query(HOST_TOUCH.postgres)
                    .bind(hosts)
                    .bind(times)
                    .execute(&mut **tx)
                    .await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// Stores what an agent says of its host.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such host.
    pub async fn host_update_facts(
        &mut self,
        id: HostId,
        facts: &HostFacts,
    ) -> Result<(), StoreError> {
        let facts = FactColumns::of(facts)?;
        let updated = on_conn!(self, conn => sqlx::query(HOST_UPDATE_FACTS)
            .bind(id.to_string())
            .bind(facts.name)
            .bind(facts.os)
            .bind(facts.agent_version)
            .bind(facts.boot_id)
            .bind(facts.capabilities)
            .bind(facts.labels)
            .bind(facts.time_zone)
            .execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::NotFound { what: "host" })
    }

    /// Stores a new certificate in place of the one of generation `expected`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one, or there is no such host.
    pub async fn host_set_certificate(
        &mut self,
        id: HostId,
        expected: u64,
        certificate: &HostCertificate,
    ) -> Result<(), StoreError> {
        let expected = columns::signed("certificate generation", expected)?;
        let generation = columns::signed("certificate generation", certificate.generation)?;
        let updated = on_conn!(self, conn => sqlx::query(HOST_SET_CERTIFICATE)
            .bind(id.to_string())
            .bind(expected)
            .bind(certificate.not_after.unix_ms())
            .bind(certificate.spki_hash.as_slice())
            .bind(generation)
            .execute(conn).await?
            .rows_affected());
        one_row(
            updated,
            StoreError::Stale {
                what: "host's certificate",
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_other_releases_are_read_as_far_as_they_are_known() {
        let yes = |capability| CapabilityReport::new(capability, CapabilityState::Yes);
        assert_eq!(
            capabilities_from("bound_sockets,telepathy,events"),
            Some(vec![yes(Capability::BoundSockets), yes(Capability::Events)])
        );
        assert_eq!(capabilities_from(""), Some(Vec::new()));
        let newer = r#"[{"capability":"telepathy","state":"yes","how":null,"why":null},
            {"capability":"wmi","state":"yes","how":null,"why":null,"since":7}]"#;
        assert_eq!(capabilities_from(newer), Some(vec![yes(Capability::Wmi)]));
        assert_eq!(capabilities_from("[{"), None);
    }
}
