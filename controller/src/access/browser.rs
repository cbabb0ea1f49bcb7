//! Browsers: codes that sign one in, and the sessions that follow, which are in the store and so outlast a restart.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};
use tidemark_model::token::{JoinToken, TokenId};
use tidemark_model::{ErrorCode, Secret, Timestamp, error_code::ApiError};
use tidemark_runtime::Entropy;
use tidemark_store::{BrowserSession, SessionOwner, StoreError, Tx};

use super::standing::SESSION_IDLE;
use super::{InvalidApiKey, secret_of};

/// How long a browser stays signed in at most: a working day.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 3_600);

/// Browsers signed in at once, over all operators.
const SESSIONS_MAX: u64 = 10_000;

/// Browsers of one user signed in at once; beyond them the one that signed in longest ago ends.
pub const SESSIONS_OF_USER_MAX: u32 = 20;

/// Rows deleted at once to make room.
const ROWS_MAX: u32 = 5_000;

/// Characters of what a browser calls itself that are kept.
const USER_AGENT_CHARS_MAX: usize = 200;

/// Codes that are valid at once; the quick start makes one.
const CODES_MAX: usize = 16;

/// A secret's SHA-256: what is kept of codes.
type Hashed = [u8; 32];

/// Codes that sign a browser in as admin, for whoever can read the terminal that shows them. Valid until the process
/// ends.
#[derive(Debug)]
pub struct LoginCodes {
    entropy: Entropy,
    codes: Mutex<VecDeque<Hashed>>,
}

impl LoginCodes {
    /// None is valid yet.
    #[must_use]
    pub fn new(entropy: Entropy) -> Self {
        Self {
            entropy,
            codes: Mutex::default(),
        }
    }

    /// Makes a code of 256 random bits. Beyond 16 the oldest ends.
    #[must_use]
    pub fn make_code(&self) -> String {
        let code = encoded(&self.entropy.bytes::<32>());
        let mut codes = lock(&self.codes);
        if codes.len() >= CODES_MAX {
            codes.pop_front();
        }
        codes.push_back(hash(&code));
        code
    }

    /// Whether that code was made here.
    #[must_use]
    pub fn is_valid(&self, code: &str) -> bool {
        lock(&self.codes).contains(&hash(code))
    }
}

/// The value of a session's cookie: `<id>.<secret>`.
#[derive(Clone, Debug)]
pub struct SessionCookie {
    /// Public id of the session.
    pub id: TokenId,
    /// 256 random bits; the store keeps only a hash.
    pub secret: Secret<[u8; 32]>,
}

impl SessionCookie {
    fn generate(entropy: &Entropy) -> Self {
        Self {
            id: TokenId::from_bytes(entropy.bytes()),
            secret: Secret::new(entropy.bytes()),
        }
    }

    /// The whole value, secret included.
    #[must_use]
    pub fn expose_text(&self) -> String {
        format!("{}.{}", self.id, encoded(self.secret.expose()))
    }
}

impl fmt::Display for SessionCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.id)
    }
}

impl FromStr for SessionCookie {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        let (id, secret) = text.split_once('.').ok_or(InvalidApiKey)?;
        Ok(Self {
            id: id.parse().map_err(|_| InvalidApiKey)?,
            secret: secret_of(secret)?,
        })
    }
}

/// Where a browser that signs in comes from, for the list of sessions.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its address.
    pub address: IpAddr,
    /// What it calls itself.
    pub user_agent: String,
    /// The session that it has at this moment, which the new one replaces.
    pub replaces: Option<TokenId>,
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Too many browsers are signed in.
    #[error("{SESSIONS_MAX} browsers are signed in, which is the limit; sign out on one of them")]
    TooMany,
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for SessionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany => ErrorCode::Exhausted,
            Self::Store(error) => error.code(),
        }
    }
}

/// Signs a browser in until [`SESSION_LIFE`] from `now`, always with a new cookie: one that somebody planted before the
/// sign-in never becomes a session.
///
/// # Errors
/// When too many are signed in, or the database fails.
pub async fn open_session(
    tx: &mut Tx,
    entropy: &Entropy,
    owner: SessionOwner,
    arrival: &Arrival,
    now: Timestamp,
) -> Result<SessionCookie, SessionError> {
    let cookie = SessionCookie::generate(entropy);
    if let Some(replaced) = arrival.replaces {
        match tx.browser_session_delete(replaced).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if tx.browser_sessions_count().await? >= SESSIONS_MAX {
        let idle_since = now.saturating_sub(SESSION_IDLE);
        tx.browser_sessions_delete_over(now, idle_since, ROWS_MAX)
            .await?;
        if tx.browser_sessions_count().await? >= SESSIONS_MAX {
            return Err(SessionError::TooMany);
        }
    }
    let user = match &owner {
        SessionOwner::User(name) => Some(name.clone()),
        SessionOwner::Token(_) | SessionOwner::Machine => None,
    };
    let session = BrowserSession {
        id: cookie.id,
        secret_hash: JoinToken::secret_hash(cookie.secret.expose()),
        owner,
        created_at: now,
        used_at: now,
        expires_at: now.saturating_add(SESSION_LIFE),
        address: arrival.address.to_canonical().to_string(),
        user_agent: plain(&arrival.user_agent),
    };
    tx.browser_session_insert(&session).await?;
    if let Some(user) = user {
        tx.browser_sessions_keep_newest(&user, SESSIONS_OF_USER_MAX)
            .await?;
    }
    Ok(cookie)
}

/// What a browser calls itself, without control characters and cut.
fn plain(user_agent: &str) -> String {
    user_agent
        .chars()
        .filter(|c| !c.is_control())
        .take(USER_AGENT_CHARS_MAX)
        .collect()
}

fn encoded(secret: &[u8]) -> String {
    BASE32_NOPAD.encode(secret).to_ascii_lowercase()
}

fn hash(secret: &str) -> Hashed {
    Sha256::digest(secret.as_bytes()).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_made_here_are_valid_and_the_oldest_ends_first() {
        let codes = LoginCodes::new(Entropy::seeded(1));
        let first = codes.make_code();
        assert!(codes.is_valid(&first));
        assert!(!codes.is_valid(""));
        assert!(!codes.is_valid(&first.to_uppercase()));
        for _ in 0..CODES_MAX {
            assert_ne!(codes.make_code(), first);
        }
        assert!(!codes.is_valid(&first));
    }

    #[test]
    fn a_cookie_survives_its_text_form_and_hides_its_secret() {
        let cookie = SessionCookie::generate(&Entropy::seeded(2));
        let text = cookie.expose_text();
        let again: SessionCookie = text.parse().unwrap();
        assert_eq!(again.secret.expose(), cookie.secret.expose());
        let secret = text.split_once('.').unwrap().1;
        assert!(!format!("{cookie:?} {cookie}").contains(secret));
        for text in ["", ".", "x.y", &format!("{text}a"), &format!("{text}.a")] {
            assert!(text.parse::<SessionCookie>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_browser_calls_itself_is_cut_and_plain() {
        let long = format!("a\r\n\u{1b}[31m{}", "b".repeat(1_000));
        let kept = plain(&long);
        assert_eq!(kept.chars().count(), USER_AGENT_CHARS_MAX);
        assert!(kept.starts_with("a[31mb"));
    }
}
