//! Browsers: codes that sign one in, and the sessions that follow. In memory alone: a restart signs everybody out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};
use tidemark_model::token::TokenId;
use tidemark_model::{ErrorCode, Timestamp, error_code::ApiError};
use tidemark_runtime::Entropy;

use super::Caller;

/// How long a browser stays signed in: a working day.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 3_600);

/// Browsers signed in at once, over all operators.
const SESSIONS_MAX: usize = 10_000;

/// Codes that are valid at once; the quick start makes one.
const CODES_MAX: usize = 16;

/// A secret's SHA-256: what is kept of codes and cookies.
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
        let code = secret_text(&self.entropy);
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

/// What a session goes back to; it ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedInBy {
    /// A code of this process.
    Code,
    /// An API token, which may be revoked meanwhile.
    Token(TokenId),
}

/// Names a session without being able to continue it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey(Hashed);

/// One browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserSession {
    /// Whose it is and what they may do.
    pub caller: Caller,
    /// What it goes back to.
    pub by: SignedInBy,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Every browser that is signed in.
#[derive(Debug)]
pub struct BrowserSessions {
    entropy: Entropy,
    sessions: Mutex<HashMap<SessionKey, BrowserSession>>,
}

/// Too many browsers are signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{SESSIONS_MAX} browsers are signed in, which is the limit; sign out on one of them")]
pub struct TooManySessions;

impl ApiError for TooManySessions {
    fn code(&self) -> ErrorCode {
        ErrorCode::Exhausted
    }
}

impl BrowserSessions {
    /// Nobody is signed in.
    #[must_use]
    pub fn new(entropy: Entropy) -> Self {
        Self {
            entropy,
            sessions: Mutex::default(),
        }
    }

    /// Signs a browser in until [`SESSION_LIFE`] from `now`; answers the cookie's value.
    ///
    /// # Errors
    /// [`TooManySessions`] when the limit is reached.
    pub fn open(
        &self,
        caller: Caller,
        by: SignedInBy,
        now: Timestamp,
    ) -> Result<String, TooManySessions> {
        let cookie = secret_text(&self.entropy);
        let session = BrowserSession {
            caller,
            by,
            expires_at: now.saturating_add(SESSION_LIFE),
        };
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, session| session.expires_at > now);
        }
        if sessions.len() >= SESSIONS_MAX {
            return Err(TooManySessions);
        }
        sessions.insert(SessionKey(hash(&cookie)), session);
        Ok(cookie)
    }

    /// The session that a cookie's value continues.
    #[must_use]
    pub fn key_of(cookie: &str) -> SessionKey {
        SessionKey(hash(cookie))
    }

    /// The session of that key, unless it has ended.
    #[must_use]
    pub fn find(&self, key: SessionKey, now: Timestamp) -> Option<BrowserSession> {
        let found = lock(&self.sessions).get(&key).cloned();
        found.filter(|session| session.expires_at > now)
    }

    /// Signs a browser out.
    pub fn close(&self, key: SessionKey) {
        lock(&self.sessions).remove(&key);
    }
}

fn secret_text(entropy: &Entropy) -> String {
    BASE32_NOPAD
        .encode(&entropy.bytes::<32>())
        .to_ascii_lowercase()
}

fn hash(secret: &str) -> Hashed {
    Sha256::digest(secret.as_bytes()).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tidemark_model::{HostScope, Role};

    use super::super::Vouched;
    use super::*;

    fn caller() -> Caller {
        Caller {
            name: "quick start".to_owned(),
            role: Role::Admin,
            scope: HostScope::All,
            vouched: Vouched::Now,
        }
    }

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
    fn a_session_lasts_until_its_end_or_its_sign_out() {
        let sessions = BrowserSessions::new(Entropy::seeded(2));
        let now = Timestamp::from_unix_ms(1_000);
        let cookie = sessions.open(caller(), SignedInBy::Code, now).unwrap();
        let key = BrowserSessions::key_of(&cookie);
        assert_eq!(
            sessions.find(key, now).map(|session| session.caller),
            Some(caller())
        );
        assert_eq!(sessions.find(key, now.saturating_add(SESSION_LIFE)), None);
        sessions.close(key);
        assert_eq!(sessions.find(key, now), None);
        assert_eq!(sessions.find(BrowserSessions::key_of("x"), now), None);
    }
}
