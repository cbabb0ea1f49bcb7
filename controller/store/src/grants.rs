//! Remediation grants: the bytes that operators signed with their signatures, and how each ended. Decides nothing.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::grant::{GrantId, SignedGrantEnd};
use tidemark_model::signing::{KeyId, Signature};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("grants");

/// A grant as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// Its id.
    pub id: GrantId,
    /// Name of the policy that it is for.
    pub policy: String,
    /// What was signed.
    pub document: String,
    /// By whom.
    pub signatures: Vec<Signature>,
    /// When it was brought.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Until when it holds.
    pub expires_at: Timestamp,
    /// When and by whom it was withdrawn.
    pub withdrawn: Option<(Timestamp, String)>,
    /// Its signed end.
    pub end: Option<SignedGrantEnd>,
}

/// Changes whenever a grant does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantsStamp {
    /// Grants that are kept.
    pub kept: i64,
    withdrawn: i64,
    changed_at: i64,
}

macro_rules! select_grants {
    ($rest:literal) => {
        concat!(
            "SELECT id, policy, document, body, created_at, created_by, expires_at, withdrawn_at, withdrawn_by FROM grants ",
            $rest
        )
    };
}

statements! {
    INSERT = "INSERT INTO grants (id, policy, document, body, created_at, created_by, expires_at, changed_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $5) ON CONFLICT DO NOTHING";
    WITHDRAW = "UPDATE grants SET withdrawn_at = coalesce(withdrawn_at, $2), withdrawn_by = coalesce(withdrawn_by, $3), \
        changed_at = $2 WHERE id = $1";
    BODY = "SELECT body FROM grants WHERE id = $1";
    END = "UPDATE grants SET body = $2 WHERE id = $1 AND body = $3";
    FIND = select_grants!("WHERE id = $1");
    PAGE = select_grants!("ORDER BY created_at DESC, id LIMIT $1");
    LISTED = select_grants!("WHERE expires_at > $1 ORDER BY created_at DESC, id LIMIT $2");
    STAMP = "SELECT count(*) AS kept, count(withdrawn_at) AS withdrawn, coalesce(max(changed_at), 0) AS changed_at FROM grants";
    DELETE_BEFORE = "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
}

#[derive(FromRow)]
struct GrantRow {
    id: String,
    policy: String,
    document: String,
    body: String,
    created_at: i64,
    created_by: String,
    expires_at: i64,
    withdrawn_at: Option<i64>,
    withdrawn_by: Option<String>,
}

#[derive(FromRow)]
struct StampRow {
    kept: i64,
    withdrawn: i64,
    changed_at: i64,
}

/// Signatures as they are kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    signatures: Vec<(KeyId, String)>,
    end: Option<(String, KeyId, String)>,
}

/// An end as it is kept. One that was read is JSON, which is text.
fn written(end: &SignedGrantEnd) -> (String, KeyId, String) {
    let document = String::from_utf8_lossy(&end.bytes).into_owned();
    (document, end.signature.key, end.signature.to_base64())
}

impl Body {
    fn of(record: &GrantRecord) -> Self {
        let signatures = record.signatures.iter();
        Self {
            signatures: signatures.map(|one| (one.key, one.to_base64())).collect(),
            end: record.end.as_ref().map(written),
        }
    }
}

impl TryFrom<GrantRow> for GrantRecord {
    type Error = StoreError;

    fn try_from(row: GrantRow) -> Result<Self, StoreError> {
        let GrantRow {
            id,
            policy,
            document,
            body,
            created_at,
            created_by,
            expires_at,
            withdrawn_at,
            withdrawn_by,
        } = row;
        let body: Body = TABLE.json("body", &body)?;
        let signature = |key: KeyId, text: &str| {
            Signature::from_base64(key, text).map_err(|_| TABLE.unreadable("body", text))
        };
        let end = body.end.map(|(document, key, text)| {
            Ok::<_, StoreError>(SignedGrantEnd {
                bytes: document.into_bytes(),
                signature: signature(key, &text)?,
            })
        });
        Ok(Self {
            id: id.parse().map_err(|_| TABLE.unreadable("id", &id))?,
            policy,
            document,
            signatures: body
                .signatures
                .iter()
                .map(|(key, text)| signature(*key, text))
                .collect::<Result<_, _>>()?,
            created_at: Timestamp::from_unix_ms(created_at),
            created_by,
            expires_at: Timestamp::from_unix_ms(expires_at),
            withdrawn: columns::optional_at(withdrawn_at).zip(withdrawn_by),
            end: end.transpose()?,
        })
    }
}

fn records(rows: Vec<GrantRow>) -> Result<Vec<GrantRecord>, StoreError> {
    rows.into_iter().map(GrantRecord::try_from).collect()
}

impl Tx {
    /// Adds a grant; `false` when one of that id is kept already.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn grant_insert(&mut self, record: &GrantRecord) -> Result<bool, StoreError> {
        let policy = columns::text("policy of a grant", &record.policy)?;
        let document = columns::text("document of a grant", &record.document)?;
        let created_by = columns::text("who brought a grant", &record.created_by)?;
        let body = columns::json("grant", &Body::of(record))?;
        let rows = on_conn!(self, conn => sqlx::query(INSERT)
            .bind(record.id.to_string()).bind(policy).bind(document).bind(body)
            .bind(record.created_at.unix_ms()).bind(created_by).bind(record.expires_at.unix_ms())
            .execute(conn).await?.rows_affected());
        Ok(rows == 1)
    }

    /// Withdraws a grant; `false` when there is none of that id.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn grant_withdraw(
        &mut self,
        id: GrantId,
        (at, by): (Timestamp, &str),
    ) -> Result<bool, StoreError> {
        let by = columns::text("who withdrew a grant", by)?;
        let rows = on_conn!(self, conn => sqlx::query(WITHDRAW)
            .bind(id.to_string()).bind(at.unix_ms()).bind(by)
            .execute(conn).await?.rows_affected());
        Ok(rows == 1)
    }

    /// Keeps the signed end of a grant in place of the one that it was found with. To be told, it is withdrawn with it.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody brought another one meanwhile, or it is gone; or when the database fails.
    pub async fn grant_end(
        &mut self,
        found: &GrantRecord,
        end: &SignedGrantEnd,
    ) -> Result<(), StoreError> {
        let stale = || StoreError::Stale { what: "grant" };
        let id = found.id.to_string();
        let before: Option<String> = on_conn!(self, conn => sqlx::query_scalar(BODY)
            .bind(&id).fetch_optional(conn).await?);
        let before = before.ok_or_else(stale)?;
        let mut body: Body = TABLE.json("body", &before)?;
        if body.end != Body::of(found).end {
            return Err(stale());
        }
        body.end = Some(written(end));
        let body = columns::json("grant", &body)?;
        let rows = on_conn!(self, conn => sqlx::query(END)
            .bind(id).bind(body).bind(before).execute(conn).await?.rows_affected());
        if rows == 1 { Ok(()) } else { Err(stale()) }
    }

    /// The grant of that id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn grant_find(&mut self, id: GrantId) -> Result<Option<GrantRecord>, StoreError> {
        let row: Option<GrantRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(id.to_string()).fetch_optional(conn).await?);
        row.map(GrantRecord::try_from).transpose()
    }

    /// Grants of any state, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn grants_page(&mut self, limit: u32) -> Result<Vec<GrantRecord>, StoreError> {
        let rows: Vec<GrantRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        records(rows)
    }

    /// Grants that have not expired by `now`, withdrawn ones among them, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn grants_unexpired(
        &mut self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        let rows: Vec<GrantRow> = on_conn!(self, conn => sqlx::query_as(LISTED)
            .bind(now.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?);
        records(rows)
    }

    /// What tells whether any grant changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn grants_stamp(&mut self) -> Result<GrantsStamp, StoreError> {
        let row: StampRow = on_conn!(self, conn => sqlx::query_as(STAMP).fetch_one(conn).await?);
        let StampRow {
            kept,
            withdrawn,
            changed_at,
        } = row;
        Ok(GrantsStamp {
            kept,
            withdrawn,
            changed_at,
        })
    }

    /// Deletes grants that expired before `cutoff`; how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn grants_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?.rows_affected()))
    }
}
