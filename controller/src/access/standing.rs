//! What the store says at this moment of whoever shows a credential. Knows no permissions and compares no secrets.

use std::time::Duration;

use tidemark_model::token::TokenId;
use tidemark_model::{HostScope, Role, Timestamp};
use tidemark_store::{SessionOwner, StoreError, Tx};

use super::{Caller, Credential, Vouched};

/// A browser that asked for nothing for so long is signed out; a live view alone does not count as asking.
pub const SESSION_IDLE: Duration = Duration::from_secs(2 * 3_600);

/// Name of whoever signed in with a code of the controller's own machine.
pub const MACHINE: &str = "this machine";

/// Somebody who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// SHA-256 of the secret that goes with the credential.
    pub secret_hash: [u8; 32],
    /// Whose it is; a user's own name when it goes back to one.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// To which hosts.
    pub scope: HostScope,
    /// The user that it goes back to, with whom it ends.
    pub user: Option<String>,
    /// The first instant at which it is over; `None` when it has no end.
    pub ends_at: Option<Timestamp>,
    /// When a browser's session was last used, to a minute.
    pub used_at: Option<Timestamp>,
}

impl Standing {
    /// The caller that they are.
    #[must_use]
    pub fn caller(self, vouched: Vouched) -> Caller {
        Caller {
            name: self.name,
            role: self.role,
            scope: self.scope,
            user: self.user,
            ends_at: self.ends_at,
            vouched,
        }
    }

    /// Whether it is not over yet.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.ends_at.is_none_or(|end| end > now)
    }
}

/// Who stands behind a credential; `None` when it is unknown or revoked, or its user is disabled.
///
/// # Errors
/// What the database says.
pub async fn read(tx: &mut Tx, credential: Credential) -> Result<Option<Standing>, StoreError> {
    let id = match credential {
        Credential::Token(id) => return of_token(tx, id).await,
        Credential::Browser(id) => id,
    };
    let Some(session) = tx.browser_session_find(id).await? else {
        return Ok(None);
    };
    let base = match &session.owner {
        SessionOwner::Machine => Some(Standing {
            secret_hash: session.secret_hash,
            name: MACHINE.to_owned(),
            role: Role::Admin,
            scope: HostScope::All,
            user: None,
            ends_at: None,
            used_at: None,
        }),
        SessionOwner::Token(token) => of_token(tx, *token).await?,
        SessionOwner::User(name) => of_user(tx, name).await?,
    };
    Ok(base.map(|base| {
        let idle_end = session.used_at.saturating_add(SESSION_IDLE);
        let end = session.expires_at.min(idle_end);
        Standing {
            secret_hash: session.secret_hash,
            ends_at: Some(base.ends_at.map_or(end, |sooner| sooner.min(end))),
            used_at: Some(session.used_at),
            ..base
        }
    }))
}

async fn of_token(tx: &mut Tx, id: TokenId) -> Result<Option<Standing>, StoreError> {
    let found = tx.api_token_find(id).await?;
    let Some(token) = found.filter(|token| token.revoked_at.is_none()) else {
        return Ok(None);
    };
    let alone = Standing {
        secret_hash: token.secret_hash,
        name: token.name,
        role: token.role,
        scope: token.scope,
        user: None,
        ends_at: token.expires_at,
        used_at: None,
    };
    let Some(owner) = token.owner else {
        return Ok(Some(alone));
    };
    let user = of_user(tx, &owner).await?;
    Ok(user.and_then(|user| signed_in(alone, user)))
}

/// A token of a sign-in, as its user stands. A role that was raised since, and a scope that was widened, ask for a new sign-in;
/// what was lowered or narrowed holds at once. With other hosts than before nothing of it is left.
fn signed_in(token: Standing, user: Standing) -> Option<Standing> {
    let scope = if user.scope.is_within(&token.scope) {
        user.scope
    } else if token.scope.is_within(&user.scope) {
        token.scope
    } else {
        return None;
    };
    Some(Standing {
        role: token.role.min(user.role),
        scope,
        user: user.user,
        ..token
    })
}

async fn of_user(tx: &mut Tx, name: &str) -> Result<Option<Standing>, StoreError> {
    let found = tx.user_find(name).await?;
    let enabled = found.filter(|user| user.disabled_at.is_none());
    Ok(enabled.map(|user| Standing {
        secret_hash: [0; 32],
        name: user.name.clone(),
        role: user.role,
        scope: user.scope,
        user: Some(user.name),
        ends_at: None,
        used_at: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scope: &str) -> Standing {
        let text = (!scope.is_empty()).then_some(scope);
        Standing {
            secret_hash: [0; 32],
            name: "ann".to_owned(),
            role: Role::Operator,
            scope: HostScope::from_text(text).unwrap(),
            user: Some("ann".to_owned()),
            ends_at: None,
            used_at: None,
        }
    }

    #[test]
    fn a_sign_in_never_reaches_further_than_it_did_or_than_its_user_does() {
        for (token, user, reaches) in [
            ("", "team=pay", Some("team=pay")),
            ("team=pay", "", Some("team=pay")),
            ("team=pay", "env=prod,team=pay", Some("env=prod,team=pay")),
            ("env=prod,team=pay", "team=pay", Some("env=prod,team=pay")),
            ("team=pay", "team=web", None),
            ("team=pay", "env=prod", None),
        ] {
            let left = signed_in(of(token), of(user));
            let scope = left.map(|left| left.scope.to_string());
            assert_eq!(scope.as_deref(), reaches, "{token} of {user}");
        }
        assert_eq!(signed_in(of(""), of("")), Some(of("")));
    }
}
