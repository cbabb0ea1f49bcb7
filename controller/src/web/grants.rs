//! Grants as lines of the page of keys: what hosts may do without a signature of its own, where, how often, and until when.

use std::collections::{HashMap, HashSet};

use tidemark_model::grant::{Grant, GrantId};
use tidemark_model::view::{GrantState, GrantView};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{StoreError, Tx};

use super::keys::Names;
use super::words;
use crate::api::grants::views;
use crate::app::App;
use crate::keys::each_policy;

/// Grants that are listed: those that stand, then the newest others.
const LISTED_MAX: usize = 100;
/// Hosts that one grant names.
const HOSTS_MAX: usize = 20;

/// One grant as a line.
#[derive(Clone, Debug)]
pub(super) struct GrantRow {
    pub(super) view: GrantView,
    pub(super) tone: &'static str,
    /// `rung 2`; empty when its policy has none any more that was signed for.
    pub(super) rung: String,
    /// What is to be done about it, or who ended it; empty when it stands.
    pub(super) ended: String,
    /// The patterns and ids that it names.
    pub(super) scope: String,
    pub(super) holds_on: Vec<String>,
    pub(super) not_on: Vec<String>,
    /// Hosts of either that are not named.
    pub(super) left: usize,
    pub(super) hourly: String,
    pub(super) daily: String,
    pub(super) used: String,
    pub(super) expires: String,
    pub(super) signers: Vec<String>,
    /// Why and by whom it was made.
    pub(super) reason: String,
}

/// The grants, those that stand first.
///
/// # Errors
/// When the database fails.
pub(super) async fn rows(
    app: &App,
    tx: &mut Tx,
    names: &Names,
    now: Timestamp,
) -> Result<Vec<GrantRow>, StoreError> {
    let mut views = views(tx, now).await?;
    views.sort_by_key(|(_, view)| view.state != GrantState::Standing);
    views.truncate(LISTED_MAX);
    let mut holding: HashMap<GrantId, HashSet<HostId>> = HashMap::new();
    if !views.is_empty() {
        each_policy(tx, |told| {
            for grant in &told.policy.grants {
                holding.entry(*grant).or_default().insert(told.host);
            }
        })
        .await?;
    }
    let none = HashSet::new();
    Ok(views
        .into_iter()
        .map(|(record, view)| {
            let mut row = GrantRow::new(view, now);
            row.signers = record
                .signatures
                .iter()
                .map(|one| names.signer(one.key))
                .collect();
            if let Ok(grant) = Grant::from_bytes(record.document.as_bytes()) {
                row.look_into(&grant);
                row.look_around(app, &grant, holding.get(&record.id).unwrap_or(&none));
            }
            row
        })
        .collect())
}

impl GrantRow {
    fn new(view: GrantView, now: Timestamp) -> Self {
        let at = |ms: i64| words::relative(Timestamp::from_unix_ms(ms), now);
        let ended = match view.state {
            GrantState::Standing => String::new(),
            GrantState::Outdated => {
                "its policy was changed or deleted since: sign a new one".to_owned()
            }
            GrantState::Expired => "its time is over: sign a new one".to_owned(),
            GrantState::Withdrawn => {
                let when = view.withdrawn_ms.map_or_else(String::new, at);
                let by = view.withdrawn_by.as_deref().unwrap_or("nobody known");
                let signed = if view.has_signed_end {
                    "with a signature, for good"
                } else {
                    "without a signature: a stolen controller could list it again"
                };
                format!("{when} by {by}, {signed}")
            }
        };
        Self {
            tone: match view.state {
                GrantState::Standing => "calm",
                GrantState::Outdated => "watch",
                GrantState::Withdrawn | GrantState::Expired => "unknown",
            },
            rung: view
                .rung
                .map_or_else(String::new, |rung| format!("rung {rung}")),
            ended,
            scope: String::new(),
            holds_on: Vec::new(),
            not_on: Vec::new(),
            left: 0,
            hourly: String::new(),
            daily: String::new(),
            used: match view.last_used_ms {
                Some(last) => format!("{}, last {}", words::count(view.used), at(last)),
                None => "not yet".to_owned(),
            },
            expires: at(view.expires_ms),
            signers: Vec::new(),
            reason: String::new(),
            view,
        }
    }

    /// What was signed.
    fn look_into(&mut self, grant: &Grant) {
        let ids = grant.hosts.ids.iter().map(ToString::to_string);
        let names = grant.hosts.names.iter().cloned();
        self.scope = names.chain(ids).collect::<Vec<_>>().join(" ");
        self.hourly = format!("{} an hour", grant.per_hour);
        self.daily = format!("{} a day", grant.per_day);
        self.reason = format!("{}: {}", grant.issuer, grant.reason);
    }

    /// Where it holds, and where it is to hold and does not.
    fn look_around(&mut self, app: &App, grant: &Grant, holding: &HashSet<HostId>) {
        let stands = self.view.state == GrantState::Standing;
        for host in app.live.ids() {
            let holds = holding.contains(&host);
            let name = app.live.name_of(host);
            let Some(name) = name.filter(|name| holds || (stands && grant.hosts.takes(host, name)))
            else {
                continue;
            };
            let hosts = if holds {
                &mut self.holds_on
            } else {
                &mut self.not_on
            };
            if hosts.len() < HOSTS_MAX {
                hosts.push(name);
            } else {
                self.left = self.left.saturating_add(1);
            }
        }
    }
}
