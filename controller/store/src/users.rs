//! People who sign in. Knows no passwords but their hashes, and no permissions.

use sqlx::FromRow;
use tidemark_model::{HostScope, Role, Secret, Timestamp};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// Somebody at an OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcSubject {
    /// Which provider.
    pub issuer: String,
    /// Who there.
    pub subject: String,
}

/// A user as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their name, which never changes.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// To which hosts.
    pub scope: HostScope,
    /// Hash of their password, as a PHC string; `None` when they have none.
    pub password_hash: Option<Secret<String>>,
    /// Who they are at a provider.
    pub subject: Option<OidcSubject>,
    /// When they were made.
    pub created_at: Timestamp,
    /// Since when they are shut out.
    pub disabled_at: Option<Timestamp>,
    /// Sign-ins that failed since the last that did not, or since the last lock.
    pub failed_attempts: u32,
    /// The first instant at which their password is taken again.
    pub locked_until: Option<Timestamp>,
    /// When they signed in last.
    pub signed_in_at: Option<Timestamp>,
}

/// A user to be stored; enabled.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// To which hosts.
    pub scope: HostScope,
    /// Hash of their password, as a PHC string.
    pub password_hash: Option<Secret<String>>,
    /// Who they are at a provider.
    pub subject: Option<OidcSubject>,
    /// When they are made.
    pub created_at: Timestamp,
}

const TABLE: Table = Table("users");

macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT name, role, scope, password_hash, oidc_issuer, oidc_subject, created_at, disabled_at, failed_attempts, \
             locked_until, signed_in_at FROM users ",
            $rest
        )
    };
}

macro_rules! select_admins {
    ($rest:literal) => {
        concat!(
            "SELECT name FROM users WHERE role = 'admin' AND scope IS NULL AND disabled_at IS NULL \
             AND (password_hash IS NOT NULL OR oidc_subject IS NOT NULL) ORDER BY name",
            $rest
        )
    };
}

statements! {
    INSERT = "INSERT INTO users (name, role, password_hash, oidc_issuer, oidc_subject, created_at, failed_attempts, scope) \
        VALUES ($1, $2, $3, $4, $5, $6, 0, $7)";
    FIND = select_users!("WHERE name = $1");
    // SQLite's write transactions exclude one another anyway.
    HOLD = select_users!("WHERE name = $1"), postgres select_users!("WHERE name = $1 FOR UPDATE");
    FIND_SUBJECT = select_users!("WHERE oidc_issuer = $1 AND oidc_subject = $2");
    PAGE = select_users!("WHERE name > $1 ORDER BY name LIMIT $2");
    COUNT = "SELECT COUNT(*) FROM users";
    ADMINS_LOCK = select_admins!(""), postgres select_admins!(" FOR UPDATE");
    SET_ROLE = "UPDATE users SET role = $2 WHERE name = $1";
    SET_SCOPE = "UPDATE users SET scope = $2 WHERE name = $1";
    SET_PASSWORD = "UPDATE users SET password_hash = $2, failed_attempts = 0, locked_until = NULL WHERE name = $1";
    DISABLE = "UPDATE users SET disabled_at = COALESCE(disabled_at, $2) WHERE name = $1";
    ENABLE = "UPDATE users SET disabled_at = NULL WHERE name = $1";
    UNLOCK = "UPDATE users SET failed_attempts = 0, locked_until = NULL WHERE name = $1";
    FAIL = "UPDATE users SET failed_attempts = failed_attempts + 1 WHERE name = $1 RETURNING failed_attempts";
    LOCK = "UPDATE users SET failed_attempts = 0, locked_until = $2 WHERE name = $1";
    SIGN_IN = "UPDATE users SET failed_attempts = 0, locked_until = NULL, signed_in_at = $2 WHERE name = $1";
    DELETE = "DELETE FROM users WHERE name = $1";
}

#[derive(FromRow)]
struct UserRow {
    name: String,
    role: String,
    scope: Option<String>,
    password_hash: Option<String>,
    oidc_issuer: Option<String>,
    oidc_subject: Option<String>,
    created_at: i64,
    disabled_at: Option<i64>,
    failed_attempts: i64,
    locked_until: Option<i64>,
    signed_in_at: Option<i64>,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let UserRow {
            name,
            role,
            scope,
            password_hash,
            oidc_issuer,
            oidc_subject,
            created_at,
            disabled_at,
            failed_attempts,
            locked_until,
            signed_in_at,
        } = row;
        // What cannot be read is an error: it must not stand for all hosts.
        let scope = HostScope::from_text(scope.as_deref())
            .map_err(|_| TABLE.unreadable("scope", scope.unwrap_or_default()))?;
        Ok(Self {
            name,
            scope,
            role: Role::from_name(&role).ok_or_else(|| TABLE.unreadable("role", role))?,
            password_hash: password_hash.map(Secret::new),
            subject: oidc_issuer
                .zip(oidc_subject)
                .map(|(issuer, subject)| OidcSubject { issuer, subject }),
            created_at: Timestamp::from_unix_ms(created_at),
            disabled_at: columns::optional_at(disabled_at),
            failed_attempts: TABLE.unsigned_32("failed_attempts", failed_attempts)?,
            locked_until: columns::optional_at(locked_until),
            signed_in_at: columns::optional_at(signed_in_at),
        })
    }
}

const MISSING: StoreError = StoreError::NotFound { what: "user" };

impl Tx {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when the name is taken, or whom they are at a provider.
    pub async fn user_insert(&mut self, user: &NewUser) -> Result<(), StoreError> {
        let name = columns::text("name of a user", &user.name)?;
        let (issuer, subject) = match &user.subject {
            None => (None, None),
            Some(who) => (
                Some(columns::text("issuer of a user", &who.issuer)?),
                Some(columns::text("subject of a user", &who.subject)?),
            ),
        };
        let hash = user
            .password_hash
            .as_ref()
            .map(|hash| hash.expose().as_str());
        let inserted = on_conn!(self, conn => sqlx::query(INSERT)
            .bind(name)
            .bind(user.role.as_str())
            .bind(hash)
            .bind(issuer)
            .bind(subject)
            .bind(user.created_at.unix_ms())
            .bind(user.scope.to_text())
            .execute(conn).await.map_err(StoreError::unless_exists("user"))?
            .rows_affected());
        one_row(inserted, StoreError::AlreadyExists { what: "user" })
    }

    /// The user of that name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_find(&mut self, name: &str) -> Result<Option<User>, StoreError> {
        let name = columns::text("name of a user", name)?;
        let row: Option<UserRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(name).fetch_optional(conn).await?);
        row.map(User::try_from).transpose()
    }

    /// The user of that name, whom nobody else changes until this transaction ends.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_hold(&mut self, name: &str) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = match self {
            Self::Sqlite(tx) => {
                let query = sqlx::query_as(HOLD.sqlite).bind(name);
                query.fetch_optional(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let query = sqlx::query_as(HOLD.postgres).bind(name);
                query.fetch_optional(&mut **tx).await?
            }
        };
        row.map(User::try_from).transpose()
    }

    /// The user who is that one at a provider.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_of_subject(&mut self, who: &OidcSubject) -> Result<Option<User>, StoreError> {
        let issuer = columns::text("issuer of a user", &who.issuer)?;
        let subject = columns::text("subject of a user", &who.subject)?;
        let row: Option<UserRow> = on_conn!(self, conn => sqlx::query_as(FIND_SUBJECT)
            .bind(issuer).bind(subject).fetch_optional(conn).await?);
        row.map(User::try_from).transpose()
    }

    /// At most `limit` users by name, those after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn users_page(
        &mut self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let after = columns::text("name of a user", after.unwrap_or_default())?;
        let rows: Vec<UserRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(User::try_from).collect()
    }

    /// How many users there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn users_count(&mut self) -> Result<u64, StoreError> {
        let count: i64 = on_conn!(self, conn => sqlx::query_scalar(COUNT).fetch_one(conn).await?);
        TABLE.unsigned("count", count)
    }

    /// Names of the admins of all hosts who can sign in; nobody else changes them before this transaction ends.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn admins_lock(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => {
                sqlx::query_scalar(ADMINS_LOCK.sqlite)
                    .fetch_all(&mut **tx)
                    .await?
            }
            Self::Postgres(tx) => {
                sqlx::query_scalar(ADMINS_LOCK.postgres)
                    .fetch_all(&mut **tx)
                    .await?
            }
        })
    }

    /// Gives a user another role.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_set_role(&mut self, name: &str, role: Role) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(SET_ROLE)
            .bind(name).bind(role.as_str()).execute(conn).await?.rows_affected());
        one_row(updated, MISSING)
    }

    /// Gives a user other hosts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_set_scope(
        &mut self,
        name: &str,
        scope: &HostScope,
    ) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(SET_SCOPE)
            .bind(name).bind(scope.to_text()).execute(conn).await?.rows_affected());
        one_row(updated, MISSING)
    }

    /// Gives a user another password, and unlocks them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_set_password(
        &mut self,
        name: &str,
        hash: &Secret<String>,
    ) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(SET_PASSWORD)
            .bind(name).bind(hash.expose()).execute(conn).await?.rows_affected());
        one_row(updated, MISSING)
    }

    /// Shuts a user out; one who is shut out stays so since then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_disable(&mut self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(DISABLE)
            .bind(name).bind(at.unix_ms()).execute(conn).await?.rows_affected());
        one_row(updated, MISSING)
    }

    /// Lets a user in again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_enable(&mut self, name: &str) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(ENABLE)
            .bind(name).execute(conn).await?.rows_affected());
        one_row(updated, MISSING)
    }

    /// Forgets that sign-ins failed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_unlock(&mut self, name: &str) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(UNLOCK)
            .bind(name).execute(conn).await?.rows_affected());
        one_row(updated, MISSING)
    }

    /// Counts a sign-in that failed. Answers how many have.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_fail(&mut self, name: &str) -> Result<u32, StoreError> {
        let count: Option<i64> = on_conn!(self, conn => sqlx::query_scalar(FAIL)
            .bind(name).fetch_optional(conn).await?);
        TABLE.unsigned_32("failed_attempts", count.ok_or(MISSING)?)
    }

    /// Takes a user's password no more before `until`, and counts anew.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_lock(&mut self, name: &str, until: Timestamp) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(LOCK)
            .bind(name).bind(until.unix_ms()).execute(conn).await?.rows_affected());
        one_row(updated, MISSING)
    }

    /// Notes that a user signed in.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_signed_in(&mut self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let updated = on_conn!(self, conn => sqlx::query(SIGN_IN)
            .bind(name).bind(at.unix_ms()).execute(conn).await?.rows_affected());
        one_row(updated, MISSING)
    }

    /// Deletes a user with their sessions and tokens.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
    pub async fn user_delete(&mut self, name: &str) -> Result<(), StoreError> {
        let deleted = on_conn!(self, conn => sqlx::query(DELETE)
            .bind(name).execute(conn).await?.rows_affected());
        one_row(deleted, MISSING)
    }
}
