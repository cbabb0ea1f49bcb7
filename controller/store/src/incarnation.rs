//! Which incarnation of its fleet a database is, and what ends when a restored one begins another: a backup knows nothing of
//! what was used, revoked or done since it was made.

use tidemark_model::Timestamp;

use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const KEY: &str = "incarnation";
/// What a database is of that was never restored.
const FIRST: u64 = 1;
/// Largest that is taken: a JSON number still holds it.
const MAX: u64 = 1 << 53;

statements! {
    END_JOIN_TOKENS = "UPDATE join_tokens SET revoked_at = $1 WHERE revoked_at IS NULL AND expires_at > $1 AND uses < uses_max";
    END_API_TOKENS = "UPDATE api_tokens SET revoked_at = $1 WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)";
    END_SESSIONS = "DELETE FROM browser_sessions";
    END_SIGN_INS = "DELETE FROM oidc_sign_ins";
    END_MESSAGES = "UPDATE notifications SET state = 'failed', ended_at = $1, last_error = $2 WHERE state = 'pending'";
}

/// Credentials and messages that ended with an incarnation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Join tokens that could have been used.
    pub join_tokens: u64,
    /// API tokens that were valid.
    pub api_tokens: u64,
    /// Browsers that were signed in.
    pub sessions: u64,
    /// Messages that were on their way to receivers.
    pub messages: u64,
}

impl Tx {
    /// Which incarnation the database is of: 1, unless it was restored.
    ///
    /// # Errors
    /// When the database fails, or what it holds is no number.
    pub async fn incarnation(&mut self) -> Result<u64, StoreError> {
        let Some(stored) = self.setting_find(KEY).await? else {
            return Ok(FIRST);
        };
        let number: Option<u64> = stored.value.parse().ok();
        number
            .filter(|number| (FIRST..=MAX).contains(number))
            .ok_or_else(|| {
                crate::columns::Table("settings").unreadable("incarnation", stored.value)
            })
    }

    /// Begins another incarnation at `now` and answers its number: the seconds since 1970, so that two restores of one backup are
    /// two, and more than the one before in any case.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incarnation_begin(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let before = self.incarnation().await?;
        let seconds = u64::try_from(now.unix_ms() / 1_000).unwrap_or_default();
        let number = before.saturating_add(1).max(seconds);
        if number > MAX {
            return Err(StoreError::InvalidValue {
                field: "incarnation",
                limit: "2^53",
            });
        }
        let value = number.to_string();
        match self.setting_find(KEY).await? {
            Some(stored) => self.setting_replace(KEY, stored.generation, &value).await?,
            None => self.setting_insert(KEY, &value).await?,
        }
        Ok(number)
    }

    /// Ends every credential that may have been used up or revoked since a backup was made, and every message that may have been
    /// delivered; API tokens only when `with_api_tokens`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incarnation_end_credentials(
        &mut self,
        now: Timestamp,
        with_api_tokens: bool,
    ) -> Result<Ended, StoreError> {
        let at = now.unix_ms();
        let join_tokens = on_conn!(self, conn => sqlx::query(END_JOIN_TOKENS).bind(at)
            .execute(conn).await?.rows_affected());
        let sessions = on_conn!(self, conn => sqlx::query(END_SESSIONS)
            .execute(conn).await?.rows_affected());
        on_conn!(self, conn => sqlx::query(END_SIGN_INS).execute(conn).await?.rows_affected());
        let api_tokens = if with_api_tokens {
            on_conn!(self, conn => sqlx::query(END_API_TOKENS).bind(at)
                .execute(conn).await?.rows_affected())
        } else {
            0
        };
        let messages = on_conn!(self, conn => sqlx::query(END_MESSAGES)
            .bind(at).bind("the controller's database was brought back; it may have been delivered since")
            .execute(conn).await?.rows_affected());
        Ok(Ended {
            join_tokens,
            api_tokens,
            sessions,
            messages,
        })
    }
}
