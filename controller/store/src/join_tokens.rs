//! Join tokens and who used them. Compares no secrets: that is the caller's, in constant time.

use std::collections::BTreeMap;

use sqlx::FromRow;
use tidemark_model::token::TokenId;
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// A join token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinTokenRecord {
    /// Its public id.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// The first instant at which it cannot be used any more.
    pub expires_at: Timestamp,
    /// How many identities may use it, at least 1.
    pub uses_max: u32,
    /// How many did.
    pub uses: u32,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Labels for the hosts that enrol with it.
    pub labels: BTreeMap<String, String>,
}

/// A join token to be stored; unused and not revoked.
#[derive(Clone, Debug)]
pub struct NewJoinToken {
    /// Its public id.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// When it is made.
    pub created_at: Timestamp,
    /// The first instant at which it cannot be used any more.
    pub expires_at: Timestamp,
    /// How many identities may use it, at least 1.
    pub uses_max: u32,
    /// Labels for the hosts that enrol with it.
    pub labels: BTreeMap<String, String>,
}

/// One identity that wants to use a join token.
#[derive(Clone, Copy, Debug)]
pub struct JoinTokenUse {
    /// The token.
    pub token: TokenId,
    /// SHA-256 of the identity key's SPKI.
    pub identity_hash: [u8; 32],
    /// The host that enrols.
    pub host: HostId,
    /// When.
    pub at: Timestamp,
}

/// What became of a wish to use a join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum BurnOutcome {
    /// It was used by this identity for the first time.
    Burned,
    /// This identity has used it before, for this host: a lost answer is asked for again. Nothing was counted.
    BurnedBefore {
        /// The host that enrolled then.
        host: HostId,
    },
    /// There is no such token.
    Unknown,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
    /// As many identities used it as may.
    UsedUp,
}

const TABLE: Table = Table("join_tokens");

macro_rules! select_tokens {
    ($rest:literal) => {
        concat!(
            "SELECT id, secret_hash, created_at, expires_at, uses_max, uses, revoked_at, labels FROM join_tokens ",
            $rest
        )
    };
}

statements! {
    TOKEN_INSERT = "INSERT INTO join_tokens (id, secret_hash, created_at, expires_at, uses_max, uses, labels) \
        VALUES ($1, $2, $3, $4, $5, 0, $6)";
    TOKEN_FIND = select_tokens!("WHERE id = $1");
    // SQLite's write transactions exclude one another anyway.
    TOKEN_LOCK = select_tokens!("WHERE id = $1"), postgres select_tokens!("WHERE id = $1 FOR UPDATE");
    TOKENS_PAGE = select_tokens!("WHERE id > $1 ORDER BY id LIMIT $2");
    TOKEN_REVOKE = "UPDATE join_tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";
    TOKEN_COUNT_USE = "UPDATE join_tokens SET uses = uses + 1 WHERE id = $1 AND uses < uses_max";
    USE_FIND = "SELECT host FROM join_token_uses WHERE token = $1 AND identity_hash = $2";
    USE_INSERT = "INSERT INTO join_token_uses (token, identity_hash, host, used_at) VALUES ($1, $2, $3, $4)";
    TOKENS_DELETE_EXPIRED = "DELETE FROM join_tokens WHERE id IN \
        (SELECT id FROM join_tokens WHERE expires_at < $1 ORDER BY id LIMIT $2)";
}

#[derive(FromRow)]
struct TokenRow {
    id: String,
    secret_hash: Vec<u8>,
    created_at: i64,
    expires_at: i64,
    uses_max: i64,
    uses: i64,
    revoked_at: Option<i64>,
    labels: String,
}

impl TryFrom<TokenRow> for JoinTokenRecord {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self, StoreError> {
        let TokenRow {
            id,
            secret_hash,
            created_at,
            expires_at,
            uses_max,
            uses,
            revoked_at,
            labels,
        } = row;
        Ok(Self {
            id: id.parse().map_err(|_| TABLE.unreadable("id", id))?,
            secret_hash: TABLE.hash("secret_hash", secret_hash)?,
            created_at: Timestamp::from_unix_ms(created_at),
            expires_at: Timestamp::from_unix_ms(expires_at),
            uses_max: TABLE.unsigned_32("uses_max", uses_max)?,
            uses: TABLE.unsigned_32("uses", uses)?,
            revoked_at: columns::optional_at(revoked_at),
            labels: TABLE.json("labels", &labels)?,
        })
    }
}

impl Tx {
    /// Adds a join token.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when the id is taken; [`StoreError::InvalidValue`] for no uses.
    pub async fn join_token_insert(&mut self, token: &NewJoinToken) -> Result<(), StoreError> {
        if token.uses_max == 0 {
            return Err(StoreError::InvalidValue {
                field: "uses of a join token",
                limit: "at least 1",
            });
        }
        let labels = columns::labels_to_json("label", &token.labels)?;
        let inserted = on_conn!(self, conn => sqlx::query(TOKEN_INSERT)
            .bind(token.id.to_string())
            .bind(token.secret_hash.as_slice())
            .bind(token.created_at.unix_ms())
            .bind(token.expires_at.unix_ms())
            .bind(i64::from(token.uses_max))
            .bind(labels)
            .execute(conn).await.map_err(StoreError::unless_exists("join token"))?
            .rows_affected());
        one_row(inserted, StoreError::AlreadyExists { what: "join token" })
    }

    /// The join token with that id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn join_token_find(
        &mut self,
        id: TokenId,
    ) -> Result<Option<JoinTokenRecord>, StoreError> {
        let row: Option<TokenRow> = on_conn!(self, conn => sqlx::query_as(TOKEN_FIND)
            .bind(id.to_string()).fetch_optional(conn).await?);
        row.map(JoinTokenRecord::try_from).transpose()
    }

    /// At most `limit` join tokens by id, those after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn join_tokens_page(
        &mut self,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<JoinTokenRecord>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<TokenRow> = on_conn!(self, conn => sqlx::query_as(TOKENS_PAGE)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(JoinTokenRecord::try_from).collect()
    }

    /// Revokes a join token; one that is revoked stays so since then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such token.
    pub async fn join_token_revoke(
        &mut self,
        id: TokenId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(TOKEN_REVOKE)
            .bind(id.to_string()).bind(at.unix_ms()).execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::NotFound { what: "join token" })
    }

    /// Uses a join token for an identity, unless it may not. The secret must have been compared before.
    ///
    /// A revoked token serves nobody. An identity that used it before is answered so even after the token expired:
    /// it asks again for an answer that was lost.
    ///
    /// # Errors
    /// When the database fails; a refusal is an outcome.
    pub async fn join_token_burn(
        &mut self,
        wish: &JoinTokenUse,
    ) -> Result<BurnOutcome, StoreError> {
        let Some(token) = self.join_token_lock(wish.token).await? else {
            return Ok(BurnOutcome::Unknown);
        };
        let outcome = self.join_token_foresee(&token, wish).await?;
        if outcome != BurnOutcome::Burned {
            return Ok(outcome);
        }
        let counted = on_conn!(self, conn => sqlx::query(TOKEN_COUNT_USE)
            .bind(wish.token.to_string()).execute(conn).await?
            .rows_affected());
        one_row(counted, StoreError::Stale { what: "join token" })?;
        let inserted = on_conn!(self, conn => sqlx::query(USE_INSERT)
            .bind(wish.token.to_string())
            .bind(wish.identity_hash.as_slice())
            .bind(wish.host.to_string())
            .bind(wish.at.unix_ms())
            .execute(conn).await.map_err(StoreError::unless_exists("use of the join token"))?
            .rows_affected());
        one_row(inserted, StoreError::Stale { what: "join token" })?;
        Ok(BurnOutcome::Burned)
    }

    /// What [`Tx::join_token_burn`] would answer while the token is as it was read. Reads alone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn join_token_foresee(
        &mut self,
        token: &JoinTokenRecord,
        wish: &JoinTokenUse,
    ) -> Result<BurnOutcome, StoreError> {
        if token.revoked_at.is_some() {
            return Ok(BurnOutcome::Revoked);
        }
        if let Some(host) = self.join_token_use_find(wish).await? {
            return Ok(BurnOutcome::BurnedBefore { host });
        }
        if token.expires_at <= wish.at {
            return Ok(BurnOutcome::Expired);
        }
        if token.uses >= token.uses_max {
            return Ok(BurnOutcome::UsedUp);
        }
        Ok(BurnOutcome::Burned)
    }

    /// Forgets at most `limit` join tokens that expired before `cutoff`, and who used them. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn join_tokens_delete_expired(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(TOKENS_DELETE_EXPIRED)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }

    async fn join_token_lock(
        &mut self,
        id: TokenId,
    ) -> Result<Option<JoinTokenRecord>, StoreError> {
        let row: Option<TokenRow> = match self {
            Self::Sqlite(tx) => {
                let query = sqlx::query_as(TOKEN_LOCK.sqlite).bind(id.to_string());
                query.fetch_optional(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let query = sqlx::query_as(TOKEN_LOCK.postgres).bind(id.to_string());
                query.fetch_optional(&mut **tx).await?
            }
        };
        row.map(JoinTokenRecord::try_from).transpose()
    }

    async fn join_token_use_find(
        &mut self,
        wish: &JoinTokenUse,
    ) -> Result<Option<HostId>, StoreError> {
        let host: Option<String> = on_conn!(self, conn => sqlx::query_scalar(USE_FIND)
            .bind(wish.token.to_string())
            .bind(wish.identity_hash.as_slice())
            .fetch_optional(conn).await?);
        host.map(|text| Table("join_token_uses").host("host", &text))
            .transpose()
    }
}
