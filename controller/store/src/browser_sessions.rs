//! Browsers that are signed in, and sign-ins that are under way elsewhere. Compares no secrets and knows no permissions.

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::token::TokenId;

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// What a session goes back to; it ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOwner {
    /// A user, by name.
    User(String),
    /// An API token.
    Token(TokenId),
    /// A code that the controller's own machine showed.
    Machine,
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserSession {
    /// Its public id.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// What it goes back to.
    pub owner: SessionOwner,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to a minute.
    pub used_at: Timestamp,
    /// The first instant at which it is over, however much it is used.
    pub expires_at: Timestamp,
    /// Where it began.
    pub address: String,
    /// What the browser calls itself, cut.
    pub user_agent: String,
}

const TABLE: Table = Table("browser_sessions");

macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "SELECT id, secret_hash, user_name, api_token, created_at, used_at, expires_at, address, user_agent \
             FROM browser_sessions ",
            $rest
        )
    };
}

statements! {
    INSERT = "INSERT INTO browser_sessions (id, secret_hash, user_name, api_token, created_at, used_at, expires_at, \
        address, user_agent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    FIND = select_sessions!("WHERE id = $1");
    PAGE = select_sessions!("WHERE id > $1 ORDER BY id LIMIT $2");
    PAGE_OF_USER = select_sessions!("WHERE user_name = $3 AND id > $1 ORDER BY id LIMIT $2");
    COUNT = "SELECT COUNT(*) FROM browser_sessions";
    TOUCH = "UPDATE browser_sessions SET used_at = $2 WHERE id = $1 AND used_at < $2";
    DELETE = "DELETE FROM browser_sessions WHERE id = $1";
    DELETE_OF_USER = "DELETE FROM browser_sessions WHERE user_name = $1 AND id <> $2";
    KEEP_NEWEST = "DELETE FROM browser_sessions WHERE user_name = $1 AND id NOT IN \
        (SELECT id FROM browser_sessions WHERE user_name = $1 ORDER BY created_at DESC, id LIMIT $2)";
    DELETE_OVER = "DELETE FROM browser_sessions WHERE id IN \
        (SELECT id FROM browser_sessions WHERE expires_at <= $1 OR used_at < $2 LIMIT $3)";
    SIGN_IN_BEGIN = "INSERT INTO oidc_sign_ins (cookie_hash, expires_at) VALUES ($1, $2)";
    SIGN_IN_END = "DELETE FROM oidc_sign_ins WHERE cookie_hash = $1 RETURNING expires_at";
    SIGN_INS_COUNT = "SELECT COUNT(*) FROM oidc_sign_ins";
    SIGN_INS_DELETE_OVER = "DELETE FROM oidc_sign_ins WHERE cookie_hash IN \
        (SELECT cookie_hash FROM oidc_sign_ins WHERE expires_at <= $1 LIMIT $2)";
}

#[derive(FromRow)]
struct SessionRow {
    id: String,
    secret_hash: Vec<u8>,
    user_name: Option<String>,
    api_token: Option<String>,
    created_at: i64,
    used_at: i64,
    expires_at: i64,
    address: String,
    user_agent: String,
}

impl TryFrom<SessionRow> for BrowserSession {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let SessionRow {
            id,
            secret_hash,
            user_name,
            api_token,
            created_at,
            used_at,
            expires_at,
            address,
            user_agent,
        } = row;
        let owner = match (user_name, api_token) {
            (Some(name), _) => SessionOwner::User(name),
            (None, Some(token)) => SessionOwner::Token(
                token
                    .parse()
                    .map_err(|_| TABLE.unreadable("api_token", token))?,
            ),
            (None, None) => SessionOwner::Machine,
        };
        Ok(Self {
            id: id.parse().map_err(|_| TABLE.unreadable("id", id))?,
            secret_hash: TABLE.hash("secret_hash", secret_hash)?,
            owner,
            created_at: Timestamp::from_unix_ms(created_at),
            used_at: Timestamp::from_unix_ms(used_at),
            expires_at: Timestamp::from_unix_ms(expires_at),
            address,
            user_agent,
        })
    }
}

impl Tx {
    /// Signs a browser in.
    ///
    /// # Errors
    /// [`StoreError::MissingOwner`] when its user or token is gone.
    pub async fn browser_session_insert(
        &mut self,
        session: &BrowserSession,
    ) -> Result<(), StoreError> {
        let (user, token) = match &session.owner {
            SessionOwner::User(name) => (Some(name.as_str()), None),
            SessionOwner::Token(id) => (None, Some(id.to_string())),
            SessionOwner::Machine => (None, None),
        };
        let user_agent = columns::text("user agent of a browser", &session.user_agent)?;
        let inserted = on_conn!(self, conn => sqlx::query(INSERT)
            .bind(session.id.to_string())
            .bind(session.secret_hash.as_slice())
            .bind(user)
            .bind(token)
            .bind(session.created_at.unix_ms())
            .bind(session.used_at.unix_ms())
            .bind(session.expires_at.unix_ms())
            .bind(&session.address)
            .bind(user_agent)
            .execute(conn).await.map_err(StoreError::unless_exists("session"))?
            .rows_affected());
        one_row(inserted, StoreError::AlreadyExists { what: "session" })
    }

    /// The session with that id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn browser_session_find(
        &mut self,
        id: TokenId,
    ) -> Result<Option<BrowserSession>, StoreError> {
        let row: Option<SessionRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(id.to_string()).fetch_optional(conn).await?);
        row.map(BrowserSession::try_from).transpose()
    }

    /// At most `limit` sessions by id, those after `after`; of one user, or of everybody.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn browser_sessions_page(
        &mut self,
        user: Option<&str>,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<BrowserSession>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<SessionRow> = match user {
            None => on_conn!(self, conn => sqlx::query_as(PAGE)
                .bind(after).bind(i64::from(limit)).fetch_all(conn).await?),
            Some(user) => {
                let user = columns::text("name of a user", user)?;
                on_conn!(self, conn => sqlx::query_as(PAGE_OF_USER)
                    .bind(after).bind(i64::from(limit)).bind(user).fetch_all(conn).await?)
            }
        };
        rows.into_iter().map(BrowserSession::try_from).collect()
    }

    /// How many sessions there are, those included that are over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn browser_sessions_count(&mut self) -> Result<u64, StoreError> {
        let count: i64 = on_conn!(self, conn => sqlx::query_scalar(COUNT).fetch_one(conn).await?);
        TABLE.unsigned("count", count)
    }

    /// Notes that a session was used; one that is gone stays so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn browser_session_touch(
        &mut self,
        id: TokenId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        on_conn!(self, conn => sqlx::query(TOUCH)
            .bind(id.to_string()).bind(at.unix_ms()).execute(conn).await?.rows_affected());
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn browser_session_delete(&mut self, id: TokenId) -> Result<(), StoreError> {
        let deleted = on_conn!(self, conn => sqlx::query(DELETE)
            .bind(id.to_string()).execute(conn).await?.rows_affected());
        one_row(deleted, StoreError::NotFound { what: "session" })
    }

    /// Ends a user's sessions, but not `except`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn browser_sessions_delete_of(
        &mut self,
        user: &str,
        except: Option<TokenId>,
    ) -> Result<u64, StoreError> {
        let except = except.map(|id| id.to_string()).unwrap_or_default();
        Ok(on_conn!(self, conn => sqlx::query(DELETE_OF_USER)
            .bind(user).bind(except).execute(conn).await?.rows_affected()))
    }

    /// Ends a user's oldest sessions beyond `count`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn browser_sessions_keep_newest(
        &mut self,
        user: &str,
        count: u32,
    ) -> Result<(), StoreError> {
        on_conn!(self, conn => sqlx::query(KEEP_NEWEST)
            .bind(user).bind(i64::from(count)).execute(conn).await?.rows_affected());
        Ok(())
    }

    /// Deletes sessions that are over at `now`, or were not used since `idle_since`, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn browser_sessions_delete_over(
        &mut self,
        now: Timestamp,
        idle_since: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_OVER)
            .bind(now.unix_ms()).bind(idle_since.unix_ms()).bind(i64::from(limit))
            .execute(conn).await?.rows_affected()))
    }

    /// Notes that a browser went to a provider to sign in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn oidc_sign_in_begin(
        &mut self,
        cookie_hash: [u8; 32],
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        on_conn!(self, conn => sqlx::query(SIGN_IN_BEGIN)
            .bind(cookie_hash.as_slice()).bind(expires_at.unix_ms()).execute(conn).await?.rows_affected());
        Ok(())
    }

    /// Ends a sign-in that was under way. Answers until when it was valid; `None` when there is none, or it was used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn oidc_sign_in_end(
        &mut self,
        cookie_hash: [u8; 32],
    ) -> Result<Option<Timestamp>, StoreError> {
        let ended: Option<i64> = on_conn!(self, conn => sqlx::query_scalar(SIGN_IN_END)
            .bind(cookie_hash.as_slice()).fetch_optional(conn).await?);
        Ok(columns::optional_at(ended))
    }

    /// How many sign-ins are under way.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn oidc_sign_ins_count(&mut self) -> Result<u64, StoreError> {
        let count: i64 =
            on_conn!(self, conn => sqlx::query_scalar(SIGN_INS_COUNT).fetch_one(conn).await?);
        TABLE.unsigned("count", count)
    }

    /// Deletes sign-ins that are over at `now`, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn oidc_sign_ins_delete_over(
        &mut self,
        now: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(SIGN_INS_DELETE_OVER)
            .bind(now.unix_ms()).bind(i64::from(limit)).execute(conn).await?.rows_affected()))
    }
}
