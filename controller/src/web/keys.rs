//! `/keys`: whose signatures hosts take, what was signed about keys and how far it has come, and grants. Keys never come into a
//! browser, so that the page shows what was signed and says how to sign.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use tidemark_model::Timestamp;
use tidemark_model::action::KeyStanding;
use tidemark_model::key_statement::{KeyStatement, StatementKind};
use tidemark_model::signing::KeyId;
use tidemark_model::view::{FleetKeyView, KeyHostView, KeyStatementView};

use super::grants::{self, GrantRow};
use super::{Frame, for_person, page as respond, words};
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::app::App;
use crate::keys::overview;

/// Keys, and statements, that are listed; the others are counted.
const LISTED_MAX: usize = 200;

/// `GET /keys`.
pub async fn page(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    for_person(keys_page(&app, &asking, params).await)
}

async fn keys_page(app: &App, asking: &Asking, params: Params) -> Answer<Response> {
    params.only(&[])?;
    let now = app.clock.now();
    let mut tx = app.store.read().await?;
    let mut keys = overview::keys(app, &mut tx).await?;
    let mut statements = overview::statements(app, &mut tx).await?;
    let names = Names::of(&keys);
    let grants = grants::rows(app, &mut tx, &names, now).await?;
    drop(tx);
    let keys_left = keys.len().saturating_sub(LISTED_MAX);
    let statements_left = statements.len().saturating_sub(LISTED_MAX);
    keys.sort_by(|one, other| one.names.cmp(&other.names));
    keys.truncate(LISTED_MAX);
    let keys = keys.into_iter();
    let keys = keys.map(|view| KeyRow::new(view, &statements, &names, now));
    let keys = keys.collect();
    statements.truncate(LISTED_MAX);
    let statements = statements.into_iter();
    Ok(respond(&KeysPage {
        frame: Frame::new("keys", asking),
        keys,
        keys_left,
        statements: statements
            .map(|view| StatementRow::new(view, &names, now))
            .collect(),
        statements_left,
        grants,
    }))
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    keys: Vec<KeyRow>,
    keys_left: usize,
    statements: Vec<StatementRow>,
    statements_left: usize,
    grants: Vec<GrantRow>,
}

/// Whose keys they are, by the hosts that list them.
pub(super) struct Names(HashMap<KeyId, String>);

impl Names {
    fn of(keys: &[FleetKeyView]) -> Self {
        let named = keys.iter().filter(|key| !key.names.is_empty());
        Self(named.map(|key| (key.id, key.names.join(", "))).collect())
    }

    /// A key by its name and id; one that no host lists by its id alone.
    pub(super) fn signer(&self, id: KeyId) -> String {
        match self.0.get(&id) {
            Some(name) => format!("{name} ({id})"),
            None => id.to_string(),
        }
    }
}

/// One key as a line.
#[derive(Clone, Debug)]
struct KeyRow {
    view: FleetKeyView,
    tone: &'static str,
    names: String,
    standing: String,
    /// What was signed that ended it, and by whom; empty when nothing was.
    ended: String,
    rotated_from: String,
    hosts: Vec<HostMark>,
    left: u64,
    used: Vec<String>,
}

/// A host that lists a key.
#[derive(Clone, Debug)]
struct HostMark {
    view: KeyHostView,
    name: String,
    /// What it allows; and why it does not believe the key.
    words: String,
}

impl KeyRow {
    fn new(
        view: FleetKeyView,
        statements: &[KeyStatementView],
        names: &Names,
        now: Timestamp,
    ) -> Self {
        let ended = statements.iter().filter(|one| one.key_id == view.id);
        // A revocation says more than a rotation, whichever came last.
        let ended = ended.max_by_key(|one| (one.kind == StatementKind::Revocation, one.at_ms));
        let used = view.used_by.iter().map(|one| {
            let last = words::relative(Timestamp::from_unix_ms(one.last_ms), now);
            format!("{}: {}, last {last}", one.author, one.signed)
        });
        let left = view.hosts.saturating_sub(view.listed_by.len() as u64);
        Self {
            tone: tone(&view),
            names: view.names.join(", "),
            standing: standing(&view),
            ended: ended.map_or_else(String::new, |one| {
                let at = words::relative(Timestamp::from_unix_ms(one.at_ms), now);
                let what = match &one.statement {
                    KeyStatement::Revocation(_) => "revoked".to_owned(),
                    KeyStatement::Rotation(rotation) => {
                        format!("replaced by {}", names.signer(rotation.new.id()))
                    }
                };
                format!("{what} {at}, by {}: {}", one.author, one.statement.reason())
            }),
            rotated_from: view
                .rotated_from
                .map_or_else(String::new, |id| names.signer(id)),
            hosts: view.listed_by.iter().cloned().map(HostMark::new).collect(),
            left,
            used: used.collect(),
            view,
        }
    }
}

impl HostMark {
    fn new(view: KeyHostView) -> Self {
        let profile = view
            .profile
            .map_or("its policy cannot be used", |profile| profile.as_str());
        Self {
            name: view.host_name.clone().unwrap_or_else(|| view.host.clone()),
            words: match view.standing {
                KeyStanding::Holds => profile.to_owned(),
                KeyStanding::Replaced | KeyStanding::Revoked => format!("{profile}; {}", view.why),
            },
            view,
        }
    }
}

/// A key that was revoked here and that a host goes on believing is what somebody must look at.
fn tone(view: &FleetKeyView) -> &'static str {
    if view.is_revocation_brought && view.holds > 0 {
        "urgent"
    } else if view.holds > 0 {
        "calm"
    } else {
        "unknown"
    }
}

fn standing(view: &FleetKeyView) -> String {
    let of = |count: u64| format!("{} of {}", words::count(count), words::hosts(view.hosts));
    let mut parts = Vec::new();
    if view.is_revocation_brought && view.holds > 0 {
        parts.push(format!("revoked, and still believed on {}", of(view.holds)));
    } else if view.holds > 0 {
        parts.push(format!("believed on {}", of(view.holds)));
    }
    for (count, what) in [(view.replaced, "replaced"), (view.revoked, "revoked")] {
        if count > 0 {
            parts.push(format!("{what} on {}", of(count)));
        }
    }
    parts.join(", ")
}

/// One statement as a line.
#[derive(Clone, Debug)]
struct StatementRow {
    view: KeyStatementView,
    tone: &'static str,
    at: String,
    what: String,
    /// Each with who brought the signature.
    signers: Vec<(String, String)>,
    followed: String,
    /// Hosts that do not follow it, or said nothing yet, each with why.
    others: Vec<(String, String, String)>,
    left: u64,
}

impl StatementRow {
    fn new(view: KeyStatementView, names: &Names, now: Timestamp) -> Self {
        let what = match &view.statement {
            KeyStatement::Revocation(_) => names.signer(view.key_id),
            KeyStatement::Rotation(rotation) => format!(
                "{} by {}",
                names.signer(view.key_id),
                names.signer(rotation.new.id())
            ),
        };
        let others: Vec<_> = view
            .refused
            .iter()
            .chain(&view.waiting)
            .map(|one| {
                let name = one.host_name.clone().unwrap_or_else(|| one.host.clone());
                (one.host.clone(), name, one.text.clone())
            })
            .collect();
        let missing = view.hosts.saturating_sub(view.followed);
        Self {
            tone: match (view.refused.is_empty(), missing) {
                (_, 0) => "calm",
                (true, _) => "watch",
                (false, _) => "urgent",
            },
            at: words::moment(Timestamp::from_unix_ms(view.at_ms), now),
            what,
            signers: view
                .signatures
                .iter()
                .map(|one| (names.signer(one.key_id), one.author.clone()))
                .collect(),
            followed: format!(
                "{} of {}",
                words::count(view.followed),
                words::hosts(view.hosts)
            ),
            left: missing.saturating_sub(others.len() as u64),
            others,
            view,
        }
    }
}
