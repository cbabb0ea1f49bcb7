//! Join tokens of hosts and API tokens of people, as the API answers them and as they are asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a join token is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JoinTokenRequest {
    /// How long it may be used, 60 to 2,592,000 seconds (30 days).
    pub ttl_s: u64,
    /// How many hosts may enrol with it, 1 to 100,000.
    pub uses: u32,
    /// Labels for the hosts that enrol with it; at most 16.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A join token as made: the only time that its secret is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinTokenCreated {
    /// Its public id.
    pub id: String,
    /// The token, for the agent.
    pub token: String,
    /// When it ends.
    pub expires_ms: i64,
    /// How many hosts may enrol with it.
    pub uses: u32,
    /// Address for agents, `host:port`.
    pub controller: String,
}

/// An API token that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiTokenRequest {
    /// Whose it is, 1 to 64 characters; what they do is written down under this name.
    pub name: String,
    /// What they may do: `viewer`, `operator`, `approver` or `admin`.
    pub role: String,
    /// How long it may be used, 60 to 31,536,000 seconds (a year); `null` for one that does not expire.
    #[serde(default)]
    pub ttl_s: Option<u64>,
    /// The hosts that they may see and act on, as matchers over labels of join tokens that must all take a host:
    /// `team=payments,env=prod`, 1 to 8 of them, 512 characters at most. `null` for as many as whoever asks.
    #[serde(default)]
    pub scope: Option<String>,
}

/// An API token as made: the only time that its secret is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiTokenCreated {
    /// Its public id.
    pub id: String,
    /// The token.
    pub token: String,
    /// Whose it is.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// When it ends; `null` when it does not.
    pub expires_ms: Option<i64>,
    /// The hosts that they may see and act on; `null` for all.
    #[serde(default)]
    pub scope: Option<String>,
}

/// An API token as listed, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiTokenView {
    /// Its public id.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it ends; `null` when it does not.
    pub expires_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
    /// Whether a user's sign-in made it: it ends with the user, and has their role when that is lower.
    #[serde(default)]
    pub is_sign_in: bool,
    /// The hosts that they may see and act on; `null` for all.
    #[serde(default)]
    pub scope: Option<String>,
}

/// A join token as listed, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinTokenView {
    /// Its public id.
    pub id: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// How many hosts may enrol with it.
    pub uses_max: u32,
    /// How many did.
    pub used: u32,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Labels for its hosts.
    pub labels: BTreeMap<String, String>,
}
