//! Users, their browsers and sign-ins, as the API answers them and as they are asked for.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::Secret;

/// A password on its way: hidden from `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct PasswordText(String);

impl PasswordText {
    /// Takes one that somebody typed.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The password as a secret.
    #[must_use]
    pub fn secret(&self) -> Secret<String> {
        Secret::new(self.0.clone())
    }
}

impl fmt::Debug for PasswordText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordText(..)")
    }
}

impl Drop for PasswordText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A user that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// Their name, 1 to 64 of a-z, 0-9 and `. - _ @ +`; it never changes, and what they do is written down under it.
    pub name: String,
    /// What they may do: `viewer`, `operator`, `approver` or `admin`.
    pub role: String,
    /// Their first password, 12 to 256 characters.
    pub password: PasswordText,
    /// The hosts that they may see and act on, as matchers over labels that the controller holds, which must all take a host:
    /// `team=payments,env=prod`, 1 to 8 of them, 512 characters at most. `null` for as many as whoever asks.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Another role for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoleRequest {
    /// `viewer`, `operator`, `approver` or `admin`.
    pub role: String,
}

/// Other hosts for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScopeRequest {
    /// The hosts that they may see and act on, as in `team=payments,env=prod`; `null` for all. It must be there: what somebody
    /// forgot is not all hosts.
    #[serde(deserialize_with = "Option::deserialize")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub scope: Option<String>,
}

/// Another password for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// 12 to 256 characters.
    pub password: PasswordText,
}

/// Another password for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OwnPasswordRequest {
    /// The one that they have.
    pub current: PasswordText,
    /// The one that they want, 12 to 256 characters.
    pub new: PasswordText,
}

/// Name and password, for a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignInRequest {
    /// Name of the user.
    pub name: String,
    /// Their password.
    pub password: PasswordText,
}

/// A user as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserView {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// `enabled`, `locked` (their password is not taken for a while) or `disabled`.
    pub state: String,
    /// Whether they have a password.
    pub has_password: bool,
    /// Issuer of the provider that they sign in at; `null` when they do not.
    pub provider: Option<String>,
    /// When they were made.
    pub created_ms: i64,
    /// When they signed in last; `null` when they never did.
    pub signed_in_ms: Option<i64>,
    /// Since when they are disabled.
    pub disabled_ms: Option<i64>,
    /// Until when their password is not taken.
    pub locked_until_ms: Option<i64>,
    /// Sign-ins that failed since the last that did not.
    pub failed_attempts: u32,
    /// The hosts that they may see and act on; `null` for all.
    #[serde(default)]
    pub scope: Option<String>,
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// Its public id.
    pub id: String,
    /// What signed it in: `user`, `api_token`, or `machine` for a code of the controller's own machine.
    pub by: String,
    /// Name of the user; public id of the API token; `null` for the machine.
    pub of: Option<String>,
    /// Where it began.
    pub address: String,
    /// What the browser calls itself, at most 200 characters.
    pub user_agent: String,
    /// When it began.
    pub created_ms: i64,
    /// When it was last used, to a minute.
    pub used_ms: i64,
    /// When it ends at the latest; two hours after its last use it ends anyway.
    pub expires_ms: i64,
    /// Whether it is the one that asks.
    pub is_current: bool,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeView {
    /// Under which name what they do is written down.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// What let them in: `api_token` or `session`.
    pub by: String,
    /// Public id of that.
    pub id: String,
    /// Whether they are a user.
    pub is_user: bool,
    /// Whether they have a password to change.
    pub has_password: bool,
    /// When they must sign in again; `null` when never. A session that is not used ends sooner.
    pub expires_ms: Option<i64>,
    /// The hosts that they may see and act on; `null` for all.
    #[serde(default)]
    pub scope: Option<String>,
    /// How many hosts that is at this moment; `null` where a controller does not say.
    #[serde(default)]
    pub hosts: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_is_left_out_is_not_all_hosts() {
        let read = |text: &str| serde_json::from_str::<ScopeRequest>(text);
        assert_eq!(read(r#"{"scope":null}"#).unwrap().scope, None);
        assert!(read("{}").unwrap_err().to_string().contains("scope"));
    }

    #[test]
    fn a_password_is_in_no_debug_output() {
        let request = SignInRequest {
            name: "ann".to_owned(),
            password: PasswordText::new("correct horse".to_owned()),
        };
        let shown = format!("{request:?}");
        assert!(!shown.contains("horse"), "{shown}");
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(json, r#"{"name":"ann","password":"correct horse"}"#);
    }
}
