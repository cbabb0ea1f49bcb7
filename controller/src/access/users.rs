//! What may be done about users: made, given roles and passwords, shut out. Nobody raises their own role, and one admin stays.

use std::sync::Arc;

use tidemark_model::audit_log;
use tidemark_model::error_code::ApiError;
use tidemark_model::notice::NoticeKind;
use tidemark_model::token::TokenId;
use tidemark_model::{ErrorCode, Role, Secret};
use tidemark_store::{NewUser, StoreError, Tx, User};

use super::Credential;
use super::password::{HashError, password_problem};
use super::sign_in::{self, Attempt, SignInError};
use crate::app::App;

/// Users at once.
const USERS_MAX: u64 = 10_000;

/// Characters of a user's name.
const NAME_CHARS_MAX: usize = 64;

/// Why something is not done about a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Values that are not as they must be.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    /// Nobody has that name.
    #[error("there is no such user; the list of users has their names: tidemark user list")]
    Unknown,
    /// Somebody has that name.
    #[error("there is a user of that name already; choose another one")]
    Taken,
    /// Too many.
    #[error("there are {USERS_MAX} users, which is the limit; delete some who are gone")]
    TooMany,
    /// Somebody is about to shut everybody out.
    #[error(
        "{name} is the last enabled admin who can sign in; make another one first: tidemark user create NAME --role admin"
    )]
    LastAdmin {
        /// Who.
        name: String,
    },
    /// Somebody is about to raise themselves.
    #[error("nobody raises their own role; ask another admin")]
    OwnRole,
    /// Somebody sets their own password without showing the one that they have.
    #[error(
        "change your own password with the one that you have: tidemark user set-password, without a name"
    )]
    OwnPassword,
    /// Only users have passwords.
    #[error("only a user has a password to change; you came in with {0}")]
    NoUser(&'static str),
    /// Why the password that somebody has is not taken.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// No place to hash a password.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for UserError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::InvalidArgument,
            Self::Unknown => ErrorCode::NotFound,
            Self::Taken => ErrorCode::Conflict,
            Self::TooMany => ErrorCode::Exhausted,
            Self::LastAdmin { .. } | Self::NoUser(_) => ErrorCode::Precondition,
            Self::OwnRole | Self::OwnPassword => ErrorCode::Forbidden,
            // They are signed in; the password that they typed is what is wrong.
            Self::SignIn(SignInError::Refused) => ErrorCode::Forbidden,
            Self::SignIn(error) => error.code(),
            Self::Hash(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::SignIn(error) => error.retry_after_s(),
            Self::Hash(error) => error.retry_after_s(),
            Self::Invalid(_)
            | Self::Unknown
            | Self::Taken
            | Self::TooMany
            | Self::LastAdmin { .. }
            | Self::OwnRole
            | Self::OwnPassword
            | Self::NoUser(_)
            | Self::Store(_) => None,
        }
    }
}

/// What is done to a user at one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Shuts them out, with their sessions and tokens.
    Disable,
    /// Lets them in again.
    Enable,
    /// Forgets that sign-ins failed.
    Unlock,
}

impl Deed {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Disable, Self::Enable, Self::Unlock];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Unlock => "unlock",
        }
    }

    /// The deed of that word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|deed| deed.as_str() == name)
    }
}

/// What is wrong with a user's name; `None` when nothing is.
#[must_use]
pub fn name_problem(name: &str) -> Option<String> {
    let is_fine = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_@+".contains(c));
    (!is_fine).then(|| {
        format!(
            "name must be 1 to {NAME_CHARS_MAX} of a-z, 0-9 and . - _ @ +, and begin with a letter or digit"
        )
    })
}

/// What a user is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their first password.
    pub password: Secret<String>,
}

/// Makes a user, on behalf of `by`.
///
/// # Errors
/// Why not; there is no such user then.
pub async fn create(app: &App, by: &str, wanted: Wanted) -> Result<User, UserError> {
    let problems = name_problem(&wanted.name).into_iter();
    let problems = problems.chain(password_problem(&wanted.name, wanted.password.expose()));
    let problems: Vec<String> = problems.collect();
    if !problems.is_empty() {
        return Err(UserError::Invalid(problems));
    }
    let hash = app
        .passwords
        .hash((&app.life, &app.entropy), wanted.password)
        .await?;
    let new = NewUser {
        name: wanted.name,
        role: wanted.role,
        password_hash: Some(hash),
        subject: None,
        created_at: app.clock.now(),
    };
    let mut tx = app.store.begin().await?;
    insert(&mut tx, &new).await?;
    let user = tx.user_find(&new.name).await?.ok_or(UserError::Unknown)?;
    app.record(audit_log::Deed::UserCreate, "users", &user.name)
        .with("role", user.role.as_str())
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    told(
        app,
        format!("{by} made user {} as {}", user.name, user.role.as_str()),
    );
    Ok(user)
}

/// Adds a user within the limit.
///
/// # Errors
/// When the name is taken, or there are too many.
pub async fn insert(tx: &mut Tx, new: &NewUser) -> Result<(), UserError> {
    if tx.users_count().await? >= USERS_MAX {
        return Err(UserError::TooMany);
    }
    tx.user_insert(new).await.map_err(|error| {
        if matches!(error, StoreError::AlreadyExists { .. }) {
            UserError::Taken
        } else {
            error.into()
        }
    })
}

/// Gives a user another role; their sessions and tokens have it at once when it is lower.
///
/// # Errors
/// Why not.
pub async fn set_role(app: &App, by: &str, name: &str, role: Role) -> Result<User, UserError> {
    let mut tx = app.store.begin().await?;
    let user = find(&mut tx, name).await?;
    if by == name && role > user.role {
        return Err(UserError::OwnRole);
    }
    if user.role == Role::Admin && role < Role::Admin {
        keep_an_admin(&mut tx, name).await?;
    }
    tx.user_set_role(name, role).await?;
    let changed = find(&mut tx, name).await?;
    app.record(audit_log::Deed::UserSetRole, "users", name)
        .with("role", role.as_str())
        .with("before", user.role.as_str())
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    told(
        app,
        format!(
            "{by} gave user {name} the role {} instead of {}",
            role.as_str(),
            user.role.as_str()
        ),
    );
    Ok(changed)
}

/// Shuts a user out, lets them in again, or unlocks them.
///
/// # Errors
/// Why not.
pub async fn act(app: &App, by: &str, name: &str, deed: Deed) -> Result<User, UserError> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    find(&mut tx, name).await?;
    match deed {
        Deed::Disable => {
            keep_an_admin(&mut tx, name).await?;
            tx.user_disable(name, now).await?;
            end_sign_ins(app, &mut tx, name, None).await?;
        }
        Deed::Enable => tx.user_enable(name).await?,
        Deed::Unlock => tx.user_unlock(name).await?,
    }
    let changed = find(&mut tx, name).await?;
    app.record(audit_log::Deed::UserOperate, "users", name)
        .with("deed", deed.as_str())
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    let done = match deed {
        Deed::Disable => "disabled",
        Deed::Enable => "enabled",
        Deed::Unlock => "unlocked",
    };
    told(app, format!("{by} {done} user {name}"));
    Ok(changed)
}

/// Deletes a user with their sessions and tokens.
///
/// # Errors
/// Why not.
pub async fn delete(app: &App, by: &str, name: &str) -> Result<(), UserError> {
    let mut tx = app.store.begin().await?;
    find(&mut tx, name).await?;
    keep_an_admin(&mut tx, name).await?;
    tx.user_delete(name).await?;
    app.record(audit_log::Deed::UserDelete, "users", name)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    told(app, format!("{by} deleted user {name}"));
    Ok(())
}

/// Gives another user a password, unlocks them, and ends their sessions and tokens.
///
/// # Errors
/// Why not.
pub async fn set_password(
    app: &App,
    by: &str,
    name: &str,
    password: Secret<String>,
) -> Result<User, UserError> {
    if by == name {
        return Err(UserError::OwnPassword);
    }
    find(&mut app.store.read().await?, name).await?;
    let changed = replace_password(app, name, password, None).await?;
    told(app, format!("{by} gave user {name} another password"));
    Ok(changed)
}

/// Somebody gives themselves another password; whatever else is signed in as them ends.
///
/// # Errors
/// Why not.
pub async fn change_own_password(
    app: &Arc<App>,
    credential: Credential,
    current: Attempt,
    password: Secret<String>,
) -> Result<User, UserError> {
    let name = current.name.clone();
    sign_in::check(app, current).await?;
    let changed = replace_password(app, &name, password, Some(credential)).await?;
    told(app, format!("user {name} changed their password"));
    Ok(changed)
}

async fn replace_password(
    app: &App,
    name: &str,
    password: Secret<String>,
    except: Option<Credential>,
) -> Result<User, UserError> {
    if let Some(problem) = password_problem(name, password.expose()) {
        return Err(UserError::Invalid(vec![problem]));
    }
    let hash = app
        .passwords
        .hash((&app.life, &app.entropy), password)
        .await?;
    let mut tx = app.store.begin().await?;
    find(&mut tx, name).await?;
    tx.user_set_password(name, &hash).await?;
    end_sign_ins(app, &mut tx, name, except).await?;
    let changed = find(&mut tx, name).await?;
    app.record(audit_log::Deed::UserSetPassword, "users", name)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    Ok(changed)
}

/// The user of that name.
///
/// # Errors
/// When there is none.
pub async fn find(tx: &mut Tx, name: &str) -> Result<User, UserError> {
    // No user has such a name, and a database may refuse to look for one.
    if name_problem(name).is_some() {
        return Err(UserError::Unknown);
    }
    tx.user_find(name).await?.ok_or(UserError::Unknown)
}

/// Refuses when nobody else could do what only admins may.
async fn keep_an_admin(tx: &mut Tx, name: &str) -> Result<(), UserError> {
    let admins = tx.admins_lock().await?;
    if admins.iter().any(|admin| admin == name) && admins.len() == 1 {
        return Err(UserError::LastAdmin {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// Ends a user's sessions and the tokens of their sign-ins, but not the one that asks.
///
/// # Errors
/// What the database says.
pub async fn end_sign_ins(
    app: &App,
    tx: &mut Tx,
    name: &str,
    except: Option<Credential>,
) -> Result<(), StoreError> {
    let (session, token): (Option<TokenId>, Option<TokenId>) = match except {
        None => (None, None),
        Some(Credential::Browser(id)) => (Some(id), None),
        Some(Credential::Token(id)) => (None, Some(id)),
    };
    tx.browser_sessions_delete_of(name, session).await?;
    tx.api_tokens_revoke_of(name, token, app.clock.now())
        .await?;
    Ok(())
}

/// Says what happened to a user.
pub fn told(app: &App, text: String) {
    app.note(None, NoticeKind::UserChanged, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_cannot_be_mistaken_for_each_other() {
        for name in ["ann", "ann.lee@example.org", "0day", "a", "svc_deploy-2+x"] {
            assert_eq!(name_problem(name), None, "{name}");
        }
        for name in [
            "",
            "Ann",
            "ann ",
            "an n",
            ".ann",
            "@ann",
            "änn",
            "аnn",
            "ann\0",
            "<b>",
            "../x",
            &"a".repeat(65),
        ] {
            assert!(name_problem(name).is_some(), "{name}");
        }
    }
}
