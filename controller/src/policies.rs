//! Standing policies of this controller: what holds by the store, what hosts look like to them, and what is done about it.
//! What is done is proposed as anybody would propose it; approvals, limits, lockdown and hosts' own policies stay in force.

pub mod advance;
pub mod escalate;
mod guard;
pub mod replay;
mod rung;
pub mod sight;
pub mod written;

use std::collections::HashSet;

use tidemark_model::policy::{Condition, Policy};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{DocumentKind, DocumentVersion, StoreError, Tx};

use crate::app::App;
use crate::maintain;

/// Policies that a controller keeps, and that one request applies.
pub const POLICIES_MAX: u32 = 200;

/// A policy that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The policy.
    pub policy: Policy,
    /// Counts its changes, from 1.
    pub version: u64,
    /// When that version was applied.
    pub at: Timestamp,
    /// By whom.
    pub author: String,
}

/// The policies that hold, by name.
///
/// # Errors
/// When the database fails.
pub async fn held(tx: &mut Tx) -> Result<Vec<Held>, StoreError> {
    let standing = tx
        .documents_standing(DocumentKind::Policy, POLICIES_MAX)
        .await?;
    Ok(standing.into_iter().filter_map(held_of).collect())
}

/// A version as a policy; `None` for a deletion, and for one that this release cannot read.
#[must_use]
pub fn held_of(version: DocumentVersion) -> Option<Held> {
    Some(Held {
        policy: policy_of(&version)?,
        version: version.version,
        at: version.at,
        author: version.author,
    })
}

/// What a version says; `None` for a deletion, and for one that this release cannot read.
#[must_use]
pub fn policy_of(version: &DocumentVersion) -> Option<Policy> {
    let body = version.body.as_deref()?;
    let read = serde_json::from_str(body)
        .map_err(|error| error.to_string())
        .and_then(|spec| Policy::read(spec).map_err(|problems| problems.join("; ")));
    read.map_err(|error| {
        tracing::error!(
            policy = version.name,
            version = version.version,
            error,
            "a stored policy cannot be read and does not hold; apply it again"
        );
    })
    .ok()
}

/// The hosts that each of these policies is for, of those that were not shut out.
#[must_use]
pub fn hosts_of(app: &App, policies: &[&Policy], now: Timestamp) -> Vec<Vec<HostId>> {
    let mut hosts = vec![Vec::new(); policies.len()];
    for id in app.live.ids() {
        let labels = app.live.read(id, |host| {
            (host.state(now) != "revoked").then(|| host.labels())
        });
        let Some(labels) = labels.flatten() else {
            continue;
        };
        for (policy, hosts) in policies.iter().zip(&mut hosts) {
            if policy.is_for(&labels) {
                hosts.push(id);
            }
        }
    }
    hosts
}

/// The hosts that one policy is for.
#[must_use]
pub fn hosts_of_one(app: &App, policy: &Policy, now: Timestamp) -> Vec<HostId> {
    hosts_of(app, &[policy], now).pop().unwrap_or_default()
}

/// How many of these hosts have no maintenance window.
#[must_use]
pub fn without_window(app: &App, hosts: &[HostId], now: Timestamp) -> u64 {
    let has_none = |id: &&HostId| maintain::standing_of(app, &[**id], now).is_none();
    hosts.iter().filter(has_none).count() as u64
}

/// Budgets that conditions name and that do not hold: a policy would never act on one.
#[must_use]
pub fn missing_budgets(app: &App, policies: &[Policy]) -> HashSet<String> {
    let named = policies
        .iter()
        .filter_map(|policy| match &policy.condition {
            Condition::Budget { name } => Some(name),
            Condition::Level { .. }
            | Condition::EtaWithin { .. }
            | Condition::EtaBeforeWindow { .. }
            | Condition::Finding { .. }
            | Condition::Event { .. }
            | Condition::Incident { .. } => None,
        });
    named
        .filter(|name| app.budgets.find(name).is_none())
        .cloned()
        .collect()
}
