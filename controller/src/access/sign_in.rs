//! Signing in with a name and a password. A name that nobody has takes the same way, as long, to the same answer.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tidemark_model::error_code::ApiError;
use tidemark_model::notice::NoticeKind;
use tidemark_model::{ErrorCode, Secret, Timestamp};
use tidemark_store::{SessionOwner, StoreError, Tx, User};

use super::browser::{Arrival, SessionError, open_session};
use super::password::HashError;
use super::{ApiKey, Holder, SessionCookie};
use crate::app::App;
use crate::fair::rates::{Wait, quota};
use crate::fair::{Rates, network_of};
use crate::gateway::outcome::chain;

/// How long a token is valid that a sign-in makes: a working day.
pub const TOKEN_LIFE: Duration = Duration::from_secs(12 * 3_600);

/// Failures in a row after which a user's password is not taken for a while.
pub const FAILURES_MAX: u32 = 8;

/// How long it is not taken then; an admin can end it sooner.
pub const LOCKED_FOR: Duration = Duration::from_secs(15 * 60);

/// Tries a minute of one name, and at once: more than [`FAILURES_MAX`], so that the lock comes first.
const NAME_RATE: (NonZeroU32, NonZeroU32) = quota(5, 12);

/// Tries a minute from one address, and at once.
const ADDRESS_RATE: (NonZeroU32, NonZeroU32) = quota(20, 40);

/// How often somebody may try to sign in.
#[derive(Debug)]
pub struct SignInLimits {
    /// By hash: a name may be of any length.
    names: Rates<[u8; 32]>,
    addresses: Rates<IpAddr>,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self {
            names: Rates::per_minute(NAME_RATE),
            addresses: Rates::per_minute(ADDRESS_RATE),
        }
    }
}

impl SignInLimits {
    /// Counts a try from an address.
    ///
    /// # Errors
    /// [`SignInError::TooOften`] when there were too many.
    pub fn pass_address(&self, address: IpAddr) -> Result<(), SignInError> {
        pass(&self.addresses, &network_of(address))
    }

    fn pass_name(&self, name: &str) -> Result<(), SignInError> {
        pass(&self.names, &Sha256::digest(name.as_bytes()).into())
    }
}

fn pass<K: Clone + Eq + std::hash::Hash>(rates: &Rates<K>, key: &K) -> Result<(), SignInError> {
    rates.pass(key).map_err(|Wait(wait)| SignInError::TooOften {
        seconds: wait.as_secs().saturating_add(1),
    })
}

/// A try to sign in.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who they say they are.
    pub name: String,
    /// What is to prove it.
    pub password: Secret<String>,
    /// Where from.
    pub address: IpAddr,
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Name and password do not go together, or the user may not come in. Which of these is not said: it would tell who
    /// exists.
    #[error(
        "this name and password do not let anybody in: one of them is wrong, or the user is disabled, or locked for {} minutes \
         after {FAILURES_MAX} failures; an admin can unlock: tidemark user unlock NAME", LOCKED_FOR.as_secs() / 60
    )]
    Refused,
    /// Too many tries.
    #[error("too many tries to sign in; wait {seconds} s and try again")]
    TooOften {
        /// After how long the next try is taken.
        seconds: u64,
    },
    /// No place to hash a password.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// No session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for SignInError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Refused => ErrorCode::Unauthenticated,
            Self::TooOften { .. } => ErrorCode::Exhausted,
            Self::Hash(error) => error.code(),
            Self::Session(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooOften { seconds } => Some(*seconds),
            Self::Hash(error) => error.retry_after_s(),
            Self::Refused | Self::Session(_) | Self::Store(_) => None,
        }
    }
}

/// Signs a browser in.
///
/// # Errors
/// Why not.
pub async fn by_browser(
    app: &Arc<App>,
    attempt: Attempt,
    arrival: &Arrival,
) -> Result<SessionCookie, SignInError> {
    let user = check(app, attempt).await?;
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    admit(&mut tx, &user, now).await?;
    let owner = SessionOwner::User(user.name.clone());
    let cookie = open_session(&mut tx, &app.entropy, owner, arrival, now).await?;
    app.record_sign_in((&user.name, user.role), "password", arrival.address)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    tracing::info!(caller = user.name, role = user.role.as_str(), address = %arrival.address, "a browser signed in");
    Ok(cookie)
}

/// Makes an API token of the user's own role and scope, which ends after [`TOKEN_LIFE`] and with the user.
///
/// # Errors
/// Why not.
pub async fn for_token(
    app: &Arc<App>,
    attempt: Attempt,
) -> Result<(ApiKey, User, Timestamp), SignInError> {
    let address = attempt.address;
    let user = check(app, attempt).await?;
    let now = app.clock.now();
    let expires_at = now.saturating_add(TOKEN_LIFE);
    let key = ApiKey::generate(&app.entropy);
    let holder = Holder {
        name: &user.name,
        role: user.role,
        scope: user.scope.clone(),
    };
    let mut token = key.record(holder, (now, Some(expires_at)));
    token.owner = Some(user.name.clone());
    let mut tx = app.store.begin().await?;
    admit(&mut tx, &user, now).await?;
    tx.api_token_insert(&token).await?;
    app.record_sign_in((&user.name, user.role), "password", address)
        .with("token", key.id)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    tracing::info!(caller = user.name, role = user.role.as_str(), %address, "a command line signed in");
    Ok((key, user, expires_at))
}

/// The user whose password that is.
///
/// # Errors
/// Why they are not let in.
pub async fn check(app: &Arc<App>, attempt: Attempt) -> Result<User, SignInError> {
    app.sign_in_limits.pass_address(attempt.address)?;
    app.sign_in_limits.pass_name(&attempt.name)?;
    let found = match attempt.name.contains('\0') {
        true => None,
        false => app.store.read().await?.user_find(&attempt.name).await?,
    };
    let hash = found.as_ref().and_then(|user| user.password_hash.clone());
    let fits = app
        .passwords
        .verify(&app.life, attempt.password, hash)
        .await?;
    let now = app.clock.now();
    match found.filter(|user| fits && may_enter(user, now)) {
        Some(user) => Ok(user),
        None => {
            // Counted beside the answer, which so takes as long for a name that nobody has.
            let counting = count_failure(Arc::clone(app), attempt.name, attempt.address);
            app.life.spawn("sign-in failure", counting);
            Err(SignInError::Refused)
        }
    }
}

fn may_enter(user: &User, now: Timestamp) -> bool {
    user.disabled_at.is_none() && user.locked_until.is_none_or(|until| until <= now)
}

/// Lets a user in whose password was right, unless they were disabled, locked or given another one meanwhile.
async fn admit(tx: &mut Tx, user: &User, now: Timestamp) -> Result<(), SignInError> {
    // Their row is held from here on: nobody shuts them out between this look and their session.
    let found = tx.user_hold(&user.name).await?;
    let is_theirs = |found: User| {
        may_enter(&found, now)
            && found.password_hash == user.password_hash
            && found.role == user.role
            && found.scope == user.scope
    };
    if !found.is_some_and(is_theirs) {
        return Err(SignInError::Refused);
    }
    tx.user_signed_in(&user.name, now).await?;
    Ok(())
}

async fn count_failure(app: Arc<App>, name: String, address: IpAddr) {
    match failed(&app, &name).await {
        Ok(Locks::No) => {}
        Ok(Locks::Yes) => {
            // Only here is it sure that the name is a user's, and not a password in the wrong field.
            tracing::warn!(caller = name, %address, "a user is locked");
            app.note(
                None,
                NoticeKind::UserLocked,
                format!(
                    "user {name} cannot sign in with a password for {} minutes: {FAILURES_MAX} tries failed, the last from {}. \
                     An admin can unlock: tidemark user unlock {name}",
                    LOCKED_FOR.as_secs() / 60,
                    address.to_canonical()
                ),
            );
        }
        Err(error) => tracing::warn!(
            error = chain(&error),
            "a sign-in that failed is not counted"
        ),
    }
}

/// Whether a failure locks its user.
enum Locks {
    Yes,
    No,
}

async fn failed(app: &App, name: &str) -> Result<Locks, StoreError> {
    if name.contains('\0') {
        return Ok(Locks::No);
    }
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let Some(user) = tx.user_find(name).await? else {
        return Ok(Locks::No);
    };
    // A lock has an end: tries meanwhile do not move it.
    if user.password_hash.is_none() || !may_enter(&user, now) {
        return Ok(Locks::No);
    }
    let failures = tx.user_fail(name).await?;
    let locks = failures >= FAILURES_MAX;
    if locks {
        tx.user_lock(name, now.saturating_add(LOCKED_FOR)).await?;
    }
    tx.commit().await?;
    Ok(if locks { Locks::Yes } else { Locks::No })
}
