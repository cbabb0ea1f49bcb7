//! API tokens of operators. Compares no secrets and knows no permissions.

use sqlx::FromRow;
use tidemark_model::token::TokenId;
use tidemark_model::{HostScope, Role, Timestamp};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// An API token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its public id.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// What its owner called it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// To which hosts.
    pub scope: HostScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// The first instant at which it is not taken any more; `None` when it does not expire.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, as far as it was noted.
    pub last_used_at: Option<Timestamp>,
    /// The user whose sign-in made it, and with whom it ends; `None` when it stands for itself.
    pub owner: Option<String>,
}

/// An API token to be stored; unused and not revoked.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// Its public id.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// To which hosts.
    pub scope: HostScope,
    /// When it is made.
    pub created_at: Timestamp,
    /// The first instant at which it is not taken any more; `None` when it does not expire.
    pub expires_at: Option<Timestamp>,
    /// The user whose sign-in makes it, and with whom it ends; `None` when it stands for itself.
    pub owner: Option<String>,
}

const TABLE: Table = Table("api_tokens");

macro_rules! select_tokens {
    ($rest:literal) => {
        concat!(
            "SELECT id, secret_hash, name, role, scope, created_at, expires_at, revoked_at, last_used_at, owner FROM api_tokens ",
            $rest
        )
    };
}

statements! {
    TOKEN_INSERT = "INSERT INTO api_tokens (id, secret_hash, name, role, scope, created_at, expires_at, owner) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    TOKEN_FIND = select_tokens!("WHERE id = $1");
    TOKENS_PAGE = select_tokens!("WHERE id > $1 ORDER BY id LIMIT $2");
    TOKEN_REVOKE = "UPDATE api_tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";
    TOKENS_REVOKE_OF_OWNER = "UPDATE api_tokens SET revoked_at = $3 \
        WHERE owner = $1 AND id <> $2 AND revoked_at IS NULL";
    TOKENS_DELETE_EXPIRED = "DELETE FROM api_tokens WHERE id IN \
        (SELECT id FROM api_tokens WHERE owner IS NOT NULL AND expires_at < $1 LIMIT $2)";
    TOKEN_TOUCH = "UPDATE api_tokens SET last_used_at = $2 WHERE id = $1";
}

#[derive(FromRow)]
struct TokenRow {
    id: String,
    secret_hash: Vec<u8>,
    name: String,
    role: String,
    scope: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
    owner: Option<String>,
}

impl TryFrom<TokenRow> for ApiToken {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self, StoreError> {
        let TokenRow {
            id,
            secret_hash,
            name,
            role,
            scope,
            created_at,
            expires_at,
            revoked_at,
            last_used_at,
            owner,
        } = row;
        // What cannot be read is an error: it must not stand for all hosts.
        let scope = HostScope::from_text(scope.as_deref())
            .map_err(|_| TABLE.unreadable("scope", scope.unwrap_or_default()))?;
        Ok(Self {
            id: id.parse().map_err(|_| TABLE.unreadable("id", id))?,
            secret_hash: TABLE.hash("secret_hash", secret_hash)?,
            name,
            role: Role::from_name(&role).ok_or_else(|| TABLE.unreadable("role", role))?,
            scope,
            created_at: Timestamp::from_unix_ms(created_at),
            expires_at: columns::optional_at(expires_at),
            revoked_at: columns::optional_at(revoked_at),
            last_used_at: columns::optional_at(last_used_at),
            owner,
        })
    }
}

impl Tx {
    /// Adds an API token.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when the id is taken.
    pub async fn api_token_insert(&mut self, token: &NewApiToken) -> Result<(), StoreError> {
        let name = columns::text("name of an API token", &token.name)?;
        let inserted = on_conn!(self, conn => sqlx::query(TOKEN_INSERT)
            .bind(token.id.to_string())
            .bind(token.secret_hash.as_slice())
            .bind(name)
            .bind(token.role.as_str())
            .bind(token.scope.to_text())
            .bind(token.created_at.unix_ms())
            .bind(columns::optional_ms(token.expires_at))
            .bind(token.owner.as_deref())
            .execute(conn).await.map_err(StoreError::unless_exists("API token"))?
            .rows_affected());
        one_row(inserted, StoreError::AlreadyExists { what: "API token" })
    }

    /// The API token with that id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_token_find(&mut self, id: TokenId) -> Result<Option<ApiToken>, StoreError> {
        let row: Option<TokenRow> = on_conn!(self, conn => sqlx::query_as(TOKEN_FIND)
            .bind(id.to_string()).fetch_optional(conn).await?);
        row.map(ApiToken::try_from).transpose()
    }

    /// At most `limit` API tokens by id, those after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_tokens_page(
        &mut self,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<ApiToken>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<TokenRow> = on_conn!(self, conn => sqlx::query_as(TOKENS_PAGE)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(ApiToken::try_from).collect()
    }

    /// Revokes an API token; one that is revoked stays so since then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such token.
    pub async fn api_token_revoke(&mut self, id: TokenId, at: Timestamp) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(TOKEN_REVOKE)
            .bind(id.to_string()).bind(at.unix_ms()).execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::NotFound { what: "API token" })
    }

    /// Notes that an API token was used.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such token.
    pub async fn api_token_touch(&mut self, id: TokenId, at: Timestamp) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(TOKEN_TOUCH)
            .bind(id.to_string()).bind(at.unix_ms()).execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::NotFound { what: "API token" })
    }

    /// Revokes every token that a user's sign-ins made, but not `except`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_tokens_revoke_of(
        &mut self,
        owner: &str,
        except: Option<TokenId>,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let except = except.map(|id| id.to_string()).unwrap_or_default();
        Ok(on_conn!(self, conn => sqlx::query(TOKENS_REVOKE_OF_OWNER)
            .bind(owner).bind(except).bind(at.unix_ms()).execute(conn).await?
            .rows_affected()))
    }

    /// Deletes tokens that sign-ins made and that expired before `cutoff`, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_tokens_delete_expired(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(TOKENS_DELETE_EXPIRED)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}
