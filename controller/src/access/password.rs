//! Passwords: which are taken, and their hashes. Hashing is dear on purpose, so few run at once and few wait for it.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use tidemark_model::error_code::ApiError;
use tidemark_model::{ErrorCode, Secret};
use tidemark_runtime::{Entropy, Lifecycle};
use tokio::sync::Semaphore;

/// Characters of a password. Beyond the upper limit nothing is gained, and somebody pasted something else.
pub const CHARS_LIMITS: (usize, usize) = (12, 256);

/// Memory in KiB, passes and lanes of Argon2id: the second of the settings that OWASP's cheat sheet on password storage
/// lists as equally strong, 19 MiB and about 40 ms of one core.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// Hashes computed at once: they are pure work for a core and memory.
const PLACES: usize = 2;

/// Hashes computed or waited for at once; beyond them a caller is told to come again.
const QUEUE: usize = 10;

/// Longest wait for a place.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hash of a password that nobody knows, of the same cost as everybody's: an unknown name takes as long as a known one.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$dGlkZW1hcmtub2JvZHlzcw$\
                       6T0yq3wq1nVtW3ZlVwY5u7mXx0n2dQk8c4bJr1sHf9A";

/// Words that many a password is made of.
const OBVIOUS: [&str; 19] = [
    "administrator",
    "iloveyou",
    "password",
    "passwort",
    "tidemark",
    "asdfghjkl",
    "changeme",
    "qwertyuiop",
    "qwertzuiop",
    "letmein",
    "welcome",
    "willkommen",
    "monkey",
    "dragon",
    "secret",
    "qwerty",
    "qwertz",
    "summer",
    "admin",
];

/// Characters that must be left of a password without its obvious parts, and that must differ from each other.
const OWN_CHARS_MIN: usize = 6;

/// Why no hash was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already.
    #[error("too many people sign in at this moment; try again in some seconds")]
    Busy,
    /// The hash is none, or the machine has no memory for it.
    #[error("a password cannot be hashed")]
    Failed,
}

impl ApiError for HashError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Busy => ErrorCode::Exhausted,
            Self::Failed => ErrorCode::Internal,
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Busy => Some(PATIENCE.as_secs()),
            Self::Failed => None,
        }
    }
}

/// Computes hashes, few at once, on threads that block nobody.
#[derive(Debug)]
pub struct PasswordHasher {
    places: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Default for PasswordHasher {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(PLACES)),
            queue: Arc::new(Semaphore::new(QUEUE)),
        }
    }
}

impl PasswordHasher {
    /// Hash of a new password, as a PHC string.
    ///
    /// # Errors
    /// [`HashError::Busy`] when too many wait.
    pub async fn hash(
        &self,
        (life, entropy): (&Lifecycle, &Entropy),
        password: Secret<String>,
    ) -> Result<Secret<String>, HashError> {
        let salt = entropy.bytes::<16>();
        self.run(life, move || {
            let hashed: PasswordHash = argon2()?
                .hash_password_with_salt(password.expose().as_bytes(), &salt)
                .map_err(|_| HashError::Failed)?;
            Ok(Secret::new(hashed.to_string()))
        })
        .await
    }

    /// Whether that is the password of that hash. Takes as long when there is no hash, and is false then.
    ///
    /// # Errors
    /// [`HashError::Busy`] when too many wait.
    pub async fn verify(
        &self,
        life: &Lifecycle,
        password: Secret<String>,
        hash: Option<Secret<String>>,
    ) -> Result<bool, HashError> {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| Secret::new(NOBODYS.to_owned()));
        let fits = self
            .run(life, move || {
                let hash = PasswordHash::new(hash.expose()).map_err(|_| HashError::Failed)?;
                let bytes = password.expose().as_bytes();
                Ok(argon2()?.verify_password(bytes, &hash).is_ok())
            })
            .await?;
        Ok(fits && is_known)
    }

    async fn run<T: Send + 'static>(
        &self,
        life: &Lifecycle,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let queued = Arc::clone(&self.queue)
            .try_acquire_owned()
            .map_err(|_| HashError::Busy)?;
        let waited = tokio::time::timeout(PATIENCE, Arc::clone(&self.places).acquire_owned());
        let place = waited
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(HashError::Busy)?;
        // The places go along: a caller who hangs up does not make room for another while the work goes on.
        let done = life.spawn_blocking(move || {
            let _places = (queued, place);
            work()
        });
        done.await.map_err(|_| HashError::Failed)?
    }
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let (memory_kib, passes, lanes) = COST;
    let params = Params::new(memory_kib, passes, lanes, None).map_err(|_| HashError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// What is wrong with a new password of a user of that name; `None` when nothing is. Never repeats it.
#[must_use]
pub fn password_problem(name: &str, password: &str) -> Option<String> {
    let chars = password.chars().count();
    let (least, most) = CHARS_LIMITS;
    if !(least..=most).contains(&chars) {
        return Some(format!(
            "password has {chars} characters; it must have {least} to {most}, as four words that nobody would guess together have"
        ));
    }
    if password.chars().any(char::is_control) {
        return Some("password has control characters; it must have none".to_owned());
    }
    is_obvious(name, password).then(|| {
        format!(
            "password is too easy to guess: without the user's name, obvious words, runs of keys and digits at its ends, at least \
             {OWN_CHARS_MIN} different characters must be left"
        )
    })
}

fn is_obvious(name: &str, password: &str) -> bool {
    let mut rest: String = password.to_lowercase().chars().map(as_letter).collect();
    let name: String = name.to_lowercase().chars().map(as_letter).collect();
    let words = name
        .split(['@', '.', '-', '_', '+'])
        .chain([name.as_str()])
        .filter(|word| word.chars().count() >= 3)
        .chain(OBVIOUS);
    for word in words {
        rest = rest.replace(word, " ");
    }
    let rest = rest.trim_matches(|c: char| !c.is_alphabetic());
    let digits_too: Vec<char> = password.chars().collect();
    let steps = digits_too
        .windows(2)
        .filter(|pair| {
            let [one, next] = **pair else { return false };
            (i64::from(u32::from(next)) - i64::from(u32::from(one))).abs() <= 1
        })
        .count();
    let is_run = steps * 3 >= digits_too.len() * 2;
    let mut own: Vec<char> = rest.chars().filter(|c| !c.is_whitespace()).collect();
    own.sort_unstable();
    own.dedup();
    is_run || own.len() < OWN_CHARS_MIN
}

/// The letter that a digit or a sign often stands for.
const fn as_letter(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let (life, entropy) = (Lifecycle::new(Duration::from_secs(1)), Entropy::seeded(1));
        let hasher = PasswordHasher::default();
        let hash = hasher
            .hash((&life, &entropy), secret("correct horse"))
            .await;
        let hash = hash.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let again = hasher
            .hash((&life, &entropy), secret("correct horse"))
            .await;
        assert_ne!(hash, again.unwrap());
        for (shown, fits) in [
            ("correct horse", true),
            ("correct hors", false),
            ("", false),
        ] {
            let hash = Some(hash.clone());
            let verified = hasher.verify(&life, secret(shown), hash).await;
            assert_eq!(verified, Ok(fits), "{shown}");
        }
    }

    #[tokio::test]
    async fn an_unknown_name_costs_what_a_known_one_does() {
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        let params = Params::try_from(&nobodys).unwrap();
        let (memory_kib, passes, lanes) = COST;
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (memory_kib, passes, lanes)
        );
        assert_eq!(nobodys.hash.map(|hash| hash.len()), Some(32));
        let life = Lifecycle::new(Duration::from_secs(1));
        let hasher = PasswordHasher::default();
        let verified = hasher.verify(&life, secret("anything at all"), None).await;
        assert_eq!(verified, Ok(false));
    }

    #[tokio::test]
    async fn a_storm_is_turned_away_and_does_not_queue_up() {
        let life = Lifecycle::new(Duration::from_secs(1));
        let hasher = PasswordHasher::default();
        let tries = (0..100).map(|_| hasher.verify(&life, secret("anything at all"), None));
        let outcomes = futures::future::join_all(tries).await;
        let busy = outcomes
            .iter()
            .filter(|outcome| **outcome == Err(HashError::Busy));
        assert_eq!(busy.count(), 100 - QUEUE);
        let after = hasher.verify(&life, secret("anything at all"), None).await;
        assert_eq!(after, Ok(false));
    }

    #[test]
    fn passwords_that_are_easy_to_guess_are_refused() {
        for password in [
            "short",
            "elevenchars",
            "Password1234!",
            "P4ssw0rd!2026",
            "tidemark-tidemark",
            "123456789012",
            "abcdefghijklmnop",
            "aaaaaaaaaaaaaaaa",
            "qwertyuiop12345",
            "ann.lee.2026!!",
            "administrator1!",
            "line\nbreak and more",
            &"x7Kq".repeat(65),
        ] {
            let problem = password_problem("ann.lee@example.org", password);
            let problem = problem.unwrap_or_else(|| panic!("{password} is taken"));
            assert!(!problem.contains(password), "{problem}");
        }
        for password in [
            "correct horse battery",
            "Zf7#kQ9!vLm2",
            "grüne Äpfel fallen leise",
            &"x7Kq. vbnw".repeat(25),
        ] {
            assert_eq!(password_problem("ann", password), None, "{password}");
        }
    }
}
