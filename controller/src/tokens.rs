//! Join tokens: making them, whether an operator asks or the quick start does.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_model::audit_log::Deed;
use tidemark_model::notice::NoticeKind;
use tidemark_model::token::{JoinToken, TokenId};
use tidemark_model::{Secret, Timestamp};
use tidemark_store::{NewJoinToken, StoreError};

use crate::app::App;

/// Shortest and longest life of a join token.
pub const TTL_MIN: Duration = Duration::from_secs(60);
/// See [`TTL_MIN`].
pub const TTL_MAX: Duration = Duration::from_secs(30 * 86_400);

/// A new join token.
#[derive(Debug)]
pub struct MadeToken {
    /// The token with its secret, shown once.
    pub token: JoinToken,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl App {
    /// Makes a join token for `uses` hosts; limits are the caller's to check.
    ///
    /// # Errors
    /// What the database says; no token exists then.
    pub async fn make_join_token(
        &self,
        ttl: Duration,
        uses: u32,
        labels: BTreeMap<String, String>,
    ) -> Result<MadeToken, StoreError> {
        let now = self.clock.now();
        let token = JoinToken {
            id: TokenId::from_bytes(self.entropy.bytes()),
            secret: Secret::new(self.entropy.bytes()),
            ca_pin: self.authority.pin(),
        };
        let expires_at = now.saturating_add(ttl);
        let record = NewJoinToken {
            id: token.id,
            secret_hash: JoinToken::secret_hash(token.secret.expose()),
            created_at: now,
            expires_at,
            uses_max: uses,
            labels,
        };
        let mut tx = self.store.begin().await?;
        tx.join_token_insert(&record).await?;
        self.record(Deed::JoinTokenCreate, "tokens", token.id)
            .with("uses", uses)
            .with("expires_ms", expires_at.unix_ms())
            .keep(&mut tx)
            .await?;
        tx.commit().await?;
        self.note(
            None,
            NoticeKind::TokenCreated,
            format!("join token {} was made, for {uses} host(s)", token.id),
        );
        Ok(MadeToken { token, expires_at })
    }
}
