//! What may be done about users: made, given roles and passwords, shut out. Nobody raises their own role or
//! widens their own scope or gives away more than it, and one admin of all hosts stays.

mod error;

use std::sync::Arc;

use tidemark_model::audit_log;
use tidemark_model::notice::NoticeKind;
use tidemark_model::token::TokenId;
use tidemark_model::{HostScope, Role, Secret};
use tidemark_store::{NewUser, StoreError, Tx, User};

use super::Credential;
use super::password::password_problem;
use super::sign_in::{self, Attempt};
use crate::app::App;

pub use self::error::UserError;

/// Users at once.
const USERS_MAX: u64 = 10_000;

/// Characters of a user's name.
const NAME_CHARS_MAX: usize = 64;

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

/// Who does something about users. They know those alone whose hosts are among their own.
#[derive(Clone, Debug)]
pub struct By {
    /// Their name.
    pub name: String,
    /// Their hosts.
    pub scope: HostScope,
}

impl By {
    /// The hosts that a text gives somebody: as many as their own without one.
    ///
    /// # Errors
    /// When it is no scope, or a wider one than their own.
    pub fn scope_of(&self, text: Option<&str>) -> Result<HostScope, UserError> {
        match text {
            None => Ok(self.scope.clone()),
            Some(_) => self.exactly(text),
        }
    }

    /// The hosts that a text names: all without one.
    ///
    /// # Errors
    /// When it is no scope, or a wider one than their own.
    pub fn exactly(&self, text: Option<&str>) -> Result<HostScope, UserError> {
        let invalid = |problem| UserError::Invalid(vec![problem]);
        let scope =
            HostScope::from_text(text).map_err(|error| invalid(format!("scope: {error}")))?;
        match wider_problem(&scope, &self.scope) {
            None => Ok(scope),
            Some(problem) => Err(invalid(problem)),
        }
    }
}

/// Why that scope is not for somebody of the scope `own` to give away; `None` when it is.
#[must_use]
pub fn wider_problem(scope: &HostScope, own: &HostScope) -> Option<String> {
    (!scope.is_within(own)).then(|| {
        format!(
            "scope must have every matcher of yours, {own}, and may have more; wider ones are made by somebody whose scope is wider"
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
    /// To which hosts.
    pub scope: HostScope,
    /// Their first password.
    pub password: Secret<String>,
}

/// Makes a user, on behalf of `by`.
///
/// # Errors
/// Why not; there is no such user then.
pub async fn create(app: &App, by: &By, wanted: Wanted) -> Result<User, UserError> {
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
        scope: wanted.scope,
        password_hash: Some(hash),
        subject: None,
        created_at: app.clock.now(),
    };
    let mut tx = app.store.begin().await?;
    insert(&mut tx, &new).await?;
    let user = tx.user_find(&new.name).await?.ok_or(UserError::Unknown)?;
    app.record(audit_log::Deed::UserCreate, "users", &user.name)
        .with("role", user.role.as_str())
        .with("scope", &user.scope)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    let (by, role) = (&by.name, user.role.as_str());
    told(
        app,
        format!("{by} made user {} as {role}, for {}", user.name, user.scope),
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
pub async fn set_role(app: &App, by: &By, name: &str, role: Role) -> Result<User, UserError> {
    let mut tx = app.store.begin().await?;
    let user = find(&mut tx, by, name).await?;
    if by.name == name && role > user.role {
        return Err(UserError::OwnRole);
    }
    if user.role == Role::Admin && role < Role::Admin {
        keep_an_admin(&mut tx, name).await?;
    }
    tx.user_set_role(name, role).await?;
    let changed = known(&mut tx, name).await?;
    app.record(audit_log::Deed::UserSetRole, "users", name)
        .with("role", role.as_str())
        .with("before", user.role.as_str())
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    told(
        app,
        format!(
            "{} gave user {name} the role {} instead of {}",
            by.name,
            role.as_str(),
            user.role.as_str()
        ),
    );
    Ok(changed)
}

/// Gives a user other hosts; their browsers see those within 5 s, and so do the tokens of their sign-ins when they are fewer.
///
/// # Errors
/// Why not.
pub async fn set_scope(
    app: &App,
    by: &By,
    name: &str,
    scope: HostScope,
) -> Result<User, UserError> {
    let mut tx = app.store.begin().await?;
    let user = find(&mut tx, by, name).await?;
    if by.name == name && !scope.is_within(&user.scope) {
        return Err(UserError::OwnScope);
    }
    if !scope.is_all() {
        keep_an_admin(&mut tx, name).await?;
    }
    tx.user_set_scope(name, &scope).await?;
    let changed = known(&mut tx, name).await?;
    app.record(audit_log::Deed::UserSetScope, "users", name)
        .with("scope", &scope)
        .with("before", &user.scope)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    let (by, before) = (&by.name, &user.scope);
    told(
        app,
        format!("{by} gave user {name} {scope} instead of {before}"),
    );
    Ok(changed)
}

/// Shuts a user out, lets them in again, or unlocks them.
///
/// # Errors
/// Why not.
pub async fn act(app: &App, by: &By, name: &str, deed: Deed) -> Result<User, UserError> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    find(&mut tx, by, name).await?;
    match deed {
        Deed::Disable => {
            keep_an_admin(&mut tx, name).await?;
            tx.user_disable(name, now).await?;
            end_sign_ins(app, &mut tx, name, None).await?;
        }
        Deed::Enable => tx.user_enable(name).await?,
        Deed::Unlock => tx.user_unlock(name).await?,
    }
    let changed = known(&mut tx, name).await?;
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
    told(app, format!("{} {done} user {name}", by.name));
    Ok(changed)
}

/// Deletes a user with their sessions and tokens.
///
/// # Errors
/// Why not.
pub async fn delete(app: &App, by: &By, name: &str) -> Result<(), UserError> {
    let mut tx = app.store.begin().await?;
    find(&mut tx, by, name).await?;
    keep_an_admin(&mut tx, name).await?;
    tx.user_delete(name).await?;
    app.record(audit_log::Deed::UserDelete, "users", name)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    told(app, format!("{} deleted user {name}", by.name));
    Ok(())
}

/// Gives another user a password, unlocks them, and ends their sessions and tokens.
///
/// # Errors
/// Why not.
pub async fn set_password(
    app: &App,
    by: &By,
    name: &str,
    password: Secret<String>,
) -> Result<User, UserError> {
    if by.name == name {
        return Err(UserError::OwnPassword);
    }
    find(&mut app.store.read().await?, by, name).await?;
    let changed = replace_password(app, name, password, None).await?;
    told(
        app,
        format!("{} gave user {name} another password", by.name),
    );
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
    known(&mut tx, name).await?;
    tx.user_set_password(name, &hash).await?;
    end_sign_ins(app, &mut tx, name, except).await?;
    let changed = known(&mut tx, name).await?;
    app.record(audit_log::Deed::UserSetPassword, "users", name)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    Ok(changed)
}

/// The user of that name, as `by` knows them.
///
/// # Errors
/// When there is none, or their hosts are not among those of `by`: who else there is is not said.
pub async fn find(tx: &mut Tx, by: &By, name: &str) -> Result<User, UserError> {
    let found = known(tx, name).await?;
    let is_theirs = found.scope.is_within(&by.scope);
    is_theirs.then_some(found).ok_or(UserError::Unknown)
}

/// The user of that name.
///
/// # Errors
/// When there is none.
pub async fn known(tx: &mut Tx, name: &str) -> Result<User, UserError> {
    // No user has such a name, and a database may refuse to look for one.
    if name_problem(name).is_some() {
        return Err(UserError::Unknown);
    }
    tx.user_find(name).await?.ok_or(UserError::Unknown)
}

/// Refuses when nobody else could do what only admins of all hosts may.
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
