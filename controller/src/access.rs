//! Who may use the operators' API: users by password or provider, API tokens, and browsers that one of them or a code has
//! signed in. Deny by default.

pub mod browser;
pub mod horizon;
pub mod oidc;
pub mod password;
mod remembered;
pub mod sign_in;
pub mod standing;
pub mod users;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq as _;
use tidemark_model::audit_log::Deed;
use tidemark_model::error_code::ApiError as _;
use tidemark_model::role::Role;
use tidemark_model::token::{JoinToken, TokenId};
use tidemark_model::{ErrorCode, HostScope, Secret, Timestamp};
use tidemark_runtime::Entropy;
use tidemark_store::{NewApiToken, StoreError};

use crate::app::App;

pub use browser::{LoginCodes, SessionCookie};
pub use horizon::Horizon;
pub use remembered::RememberedStandings;
pub use standing::Standing;

const PREFIX: &str = "tma1";
const NAME_CHARS_MAX: usize = 64;
/// Shortest and longest life of an API token that ends.
pub const TTL_LIMITS: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(31_536_000));

/// A session's use is noted at most this often: it costs a write.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// How long one look waits for a database that is known not to answer.
const PATIENCE_WHILE_AWAY: Duration = Duration::from_millis(500);

/// An API token as an operator holds it: `tma1.<id>.<secret>`.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its public id.
    pub id: TokenId,
    /// 256 random bits; the store keeps only a hash.
    pub secret: Secret<[u8; 32]>,
}

/// A text that is not an API token. Never repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an API token has the form {PREFIX}.<id>.<secret>")]
pub struct InvalidApiKey;

/// What a caller proved to be let in; asked again while a live view stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// An API token.
    Token(TokenId),
    /// A browser's session.
    Browser(TokenId),
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name of the user, or of the token's holder.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// To which hosts.
    pub scope: HostScope,
    /// The user that they are; `None` for a token that stands for itself, and for a code of the controller's machine.
    pub user: Option<String>,
    /// The first instant at which they must sign in again; `None` when never.
    pub ends_at: Option<Timestamp>,
    /// Who says so.
    pub vouched: Vouched,
}

/// Whose a new API token is to be.
#[derive(Clone, Debug)]
pub struct Holder<'a> {
    /// Their name, without a [`holder_problem`].
    pub name: &'a str,
    /// What they may do.
    pub role: Role,
    /// To which hosts.
    pub scope: HostScope,
}

impl<'a> Holder<'a> {
    /// Somebody with that role over all hosts.
    #[must_use]
    pub const fn of_all_hosts(name: &'a str, role: Role) -> Self {
        let scope = HostScope::All;
        Self { name, role, scope }
    }
}

/// Who says that a caller is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// The store, at this moment, or this process itself.
    Now,
    /// The store, a short while ago; it does not answer. They may look, whatever their role.
    Before,
}

/// What is wrong with the name of a token's holder; `None` when nothing is.
#[must_use]
pub fn holder_problem(name: &str) -> Option<String> {
    let length = name.chars().count();
    let is_plain = name.trim() == name && !name.chars().any(char::is_control);
    let is_fine = (1..=NAME_CHARS_MAX).contains(&length) && is_plain;
    (!is_fine).then(|| {
        format!(
            "name must be 1 to {NAME_CHARS_MAX} characters without control characters or spaces around them: whose token is it?"
        )
    })
}

impl ApiKey {
    /// A new one.
    #[must_use]
    pub fn generate(entropy: &Entropy) -> Self {
        Self {
            id: TokenId::from_bytes(entropy.bytes()),
            secret: Secret::new(entropy.bytes()),
        }
    }

    /// What the store keeps of it, for a holder and from when until when it is valid.
    #[must_use]
    pub fn record(
        &self,
        holder: Holder<'_>,
        (created_at, expires_at): (Timestamp, Option<Timestamp>),
    ) -> NewApiToken {
        NewApiToken {
            id: self.id,
            secret_hash: JoinToken::secret_hash(self.secret.expose()),
            name: holder.name.to_owned(),
            role: holder.role,
            scope: holder.scope,
            created_at,
            expires_at,
            owner: None,
        }
    }

    /// The whole token, secret included.
    #[must_use]
    pub fn expose_text(&self) -> String {
        let secret = BASE32_NOPAD
            .encode(self.secret.expose())
            .to_ascii_lowercase();
        format!("{PREFIX}.{}.{secret}", self.id)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "API token {}", self.id)
    }
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        let mut parts = text.trim().split('.');
        let (Some(PREFIX), Some(id), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidApiKey);
        };
        Ok(Self {
            id: id.parse().map_err(|_| InvalidApiKey)?,
            secret: secret_of(secret)?,
        })
    }
}

/// Reads 256 bits of a secret.
fn secret_of(text: &str) -> Result<Secret<[u8; 32]>, InvalidApiKey> {
    let secret = BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| InvalidApiKey)?;
    Ok(Secret::new(secret.try_into().map_err(|_| InvalidApiKey)?))
}

impl App {
    /// Makes an API token.
    ///
    /// # Errors
    /// What the database says; no token exists then.
    pub async fn make_api_key(
        &self,
        holder: Holder<'_>,
        expires_at: Option<Timestamp>,
    ) -> Result<ApiKey, StoreError> {
        let key = ApiKey::generate(&self.entropy);
        let mut tx = self.store.begin().await?;
        let now = self.clock.now();
        let Holder { name, role, scope } = holder.clone();
        tx.api_token_insert(&key.record(holder, (now, expires_at)))
            .await?;
        self.record(Deed::ApiTokenCreate, "api-tokens", key.id)
            .with("name", name)
            .with("role", role.as_str())
            .with("scope", scope)
            .keep(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(key)
    }

    /// Who comes with that credential and secret; `None` when it is unknown, wrong, over or revoked. Asks the store each
    /// time, so that whoever is revoked is out at once. While the database is away, a credential that it vouched for a
    /// short while ago is let in to see what this controller knows by itself.
    ///
    /// # Errors
    /// What the database says.
    pub async fn caller_of(
        &self,
        credential: Credential,
        secret: &Secret<[u8; 32]>,
    ) -> Result<Option<Caller>, StoreError> {
        let Some((standing, vouched)) = self.vouched_for(credential).await? else {
            return Ok(None);
        };
        let shown = JoinToken::secret_hash(secret.expose());
        if !bool::from(standing.secret_hash[..].ct_eq(&shown[..])) {
            return Ok(None);
        }
        if let (Credential::Browser(id), Vouched::Now) = (credential, vouched) {
            self.note_use(id, standing.used_at).await;
        }
        Ok(Some(standing.caller(vouched)))
    }

    /// Who stands behind a credential at this moment; `None` when it has ended or was revoked.
    ///
    /// # Errors
    /// What the database says.
    pub async fn standing_of(&self, credential: Credential) -> Result<Option<Caller>, StoreError> {
        let found = self.vouched_for(credential).await?;
        Ok(found.map(|(standing, vouched)| standing.caller(vouched)))
    }

    /// As [`App::standing_of`], with everything that is known of it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn vouched_for(
        &self,
        credential: Credential,
    ) -> Result<Option<(Standing, Vouched)>, StoreError> {
        let now = self.clock.now();
        let found = match self.stored_standing(credential).await {
            Ok(stored) => {
                self.remembered_standings
                    .learn(credential, stored.as_ref(), now);
                stored.map(|standing| (standing, Vouched::Now))
            }
            Err(error) if error.code() == ErrorCode::Unavailable => {
                let Some(standing) = self.remembered_standings.recall(credential, now) else {
                    return Err(error);
                };
                Some((standing, Vouched::Before))
            }
            Err(error) => return Err(error),
        };
        Ok(found.filter(|(standing, _)| standing.holds_at(now)))
    }

    /// Asks the database, but not for as long as it takes to be sure that it is away when that is known already.
    async fn stored_standing(
        &self,
        credential: Credential,
    ) -> Result<Option<Standing>, StoreError> {
        let ask = async {
            let mut tx = self.store.read().await?;
            standing::read(&mut tx, credential).await
        };
        if self.metrics.database_ready.get() > 0 {
            return ask.await;
        }
        tokio::time::timeout(PATIENCE_WHILE_AWAY, ask)
            .await
            .unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    /// Notes that a session is used. One whose use cannot be noted is used all the same.
    async fn note_use(&self, id: TokenId, used_at: Option<Timestamp>) {
        let now = self.clock.now();
        if used_at.is_some_and(|used| now < used.saturating_add(TOUCH_EVERY)) {
            return;
        }
        let note = async {
            let mut tx = self.store.begin().await?;
            tx.browser_session_touch(id, now).await?;
            tx.commit().await
        };
        if let Err(error) = note.await {
            tracing::debug!(%error, "the use of a session is not noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form_and_hides_its_secret() {
        let key = ApiKey {
            id: TokenId::from_bytes([1; 10]),
            secret: Secret::new([2; 32]),
        };
        let again: ApiKey = key.expose_text().parse().unwrap();
        assert_eq!(again.secret.expose(), key.secret.expose());
        assert!(!format!("{key:?} {key}").contains("eaqcaia"));
        for text in [
            "",
            "tma1",
            "tma1.x.y",
            "tm1.a.b",
            &format!("{}.x", key.expose_text()),
        ] {
            assert!(text.parse::<ApiKey>().is_err(), "{text}");
        }
    }
}
