//! Which keys hosts list, who uses them, and how far each statement about them has come.

use std::collections::BTreeMap;

use tidemark_model::HostId;
use tidemark_model::action::{HostKey, KeyStanding};
use tidemark_model::key_statement::{KeyStatement, StatementId};
use tidemark_model::signing::KeyId;
use tidemark_model::view::{
    FleetKeyView, KeyHostView, KeyStatementView, KeyUseView, StatementHostView,
};
use tidemark_store::{StoreError, StoredKeyStatement, ToldPolicy, Tx};

use super::bring::newest;
use super::{each_policy, signature_view};
use crate::app::App;

/// Most keys that are shown.
const KEYS_MAX: usize = 4_096;
/// Names and users of a key that are shown.
const NAMES_MAX: usize = 8;
/// Pairs of key and user that are looked at.
const USES_MAX: u32 = 4_096;
/// Hosts whose refusal of a statement is shown.
const REFUSALS_MAX: usize = 100;
/// Hosts of a key that are shown.
const LISTED_BY_MAX: usize = 20;
/// Hosts of which a statement shows that they said nothing.
const WAITING_MAX: usize = 100;

/// Every key that hosts list, by id.
///
/// # Errors
/// When the database fails.
pub async fn keys(app: &App, tx: &mut Tx) -> Result<Vec<FleetKeyView>, StoreError> {
    let mut keys: BTreeMap<KeyId, FleetKeyView> = BTreeMap::new();
    each_policy(tx, |told| {
        for key in &told.policy.all_keys {
            let id = key.public.id();
            if keys.len() < KEYS_MAX || keys.contains_key(&id) {
                let view = keys.entry(id).or_insert_with(|| empty(key));
                count(app, view, (told, key));
            }
        }
    })
    .await?;
    for stored in newest(tx).await? {
        if let KeyStatement::Revocation(revocation) = &stored.statement
            && let Some(key) = keys.get_mut(&revocation.key.id())
        {
            key.is_revocation_brought = true;
        }
    }
    for used in tx.key_uses(USES_MAX).await? {
        if let Some(key) = keys.get_mut(&used.key)
            && key.used_by.len() < NAMES_MAX
        {
            key.used_by.push(KeyUseView {
                author: used.author,
                signed: used.signed,
                last_ms: used.last_at.unix_ms(),
            });
        }
    }
    Ok(keys.into_values().collect())
}

fn empty(key: &HostKey) -> FleetKeyView {
    FleetKeyView {
        id: key.public.id(),
        public: key.public,
        names: Vec::new(),
        tier_max: key.tier_max,
        hosts: 0,
        holds: 0,
        replaced: 0,
        revoked: 0,
        is_revocation_brought: false,
        rotated_from: None,
        used_by: Vec::new(),
        listed_by: Vec::new(),
    }
}

fn count(app: &App, view: &mut FleetKeyView, (told, key): (&ToldPolicy, &HostKey)) {
    if view.listed_by.len() < LISTED_BY_MAX {
        view.listed_by.push(KeyHostView {
            host: told.host.to_string(),
            host_name: app.live.name_of(told.host),
            profile: told.policy.profile,
            standing: key.standing,
            why: key.why.clone(),
        });
    }
    if view.names.len() < NAMES_MAX && !view.names.contains(&key.name) {
        view.names.push(key.name.clone());
    }
    view.tier_max = view.tier_max.max(key.tier_max);
    view.rotated_from = view.rotated_from.or(key.rotated_from);
    view.hosts = view.hosts.saturating_add(1);
    let counted = match key.standing {
        KeyStanding::Holds => &mut view.holds,
        KeyStanding::Replaced => &mut view.replaced,
        KeyStanding::Revoked => &mut view.revoked,
    };
    *counted = counted.saturating_add(1);
}

/// The statements, the newest first, with what hosts made of them.
///
/// # Errors
/// When the database fails.
pub async fn statements(app: &App, tx: &mut Tx) -> Result<Vec<KeyStatementView>, StoreError> {
    let stored = newest(tx).await?;
    with_hosts(app, tx, &stored).await
}

/// One statement; `None` when there is none.
///
/// # Errors
/// When the database fails.
pub async fn statement(
    app: &App,
    tx: &mut Tx,
    id: StatementId,
) -> Result<Option<KeyStatementView>, StoreError> {
    let stored = tx.key_statement(id).await?;
    let views = with_hosts(app, tx, stored.as_slice()).await?;
    Ok(views.into_iter().next())
}

async fn with_hosts(
    app: &App,
    tx: &mut Tx,
    stored: &[StoredKeyStatement],
) -> Result<Vec<KeyStatementView>, StoreError> {
    let mut views: Vec<_> = stored.iter().map(view).collect();
    if !views.is_empty() {
        each_policy(tx, |told| {
            for view in &mut views {
                look(app, view, told);
            }
        })
        .await?;
    }
    Ok(views)
}

fn view(stored: &StoredKeyStatement) -> KeyStatementView {
    KeyStatementView {
        id: stored.signed.id(),
        kind: stored.statement.kind(),
        key_id: stored.statement.key().id(),
        key_name: None,
        statement: stored.statement.clone(),
        // A statement is JSON, which is text.
        bytes: String::from_utf8_lossy(&stored.signed.bytes).into_owned(),
        signatures: stored.brought.iter().map(signature_view).collect(),
        at_ms: stored.at.unix_ms(),
        author: stored.author.clone(),
        hosts: 0,
        followed: 0,
        refused: Vec::new(),
        waiting: Vec::new(),
    }
}

fn look(app: &App, view: &mut KeyStatementView, told: &ToldPolicy) {
    let Some(key) = told.policy.key(view.key_id) else {
        return;
    };
    view.hosts = view.hosts.saturating_add(1);
    view.key_name.get_or_insert_with(|| key.name.clone());
    let is_followed = match &view.statement {
        KeyStatement::Revocation(_) => key.standing == KeyStanding::Revoked,
        KeyStatement::Rotation(rotation) => told.policy.key(rotation.new.id()).is_some(),
    };
    if is_followed {
        view.followed = view.followed.saturating_add(1);
        return;
    }
    let mut refused = told.policy.refused_statements.iter();
    let refused = refused.find(|one| one.id == view.id);
    let (others, most, text) = match refused {
        Some(refused) => (&mut view.refused, REFUSALS_MAX, refused.text.clone()),
        None => (&mut view.waiting, WAITING_MAX, unheard(app, told.host)),
    };
    if others.len() < most {
        others.push(StatementHostView {
            host: told.host.to_string(),
            host_name: app.live.name_of(told.host),
            text,
        });
    }
}

/// Why a host has said nothing about a statement.
fn unheard(app: &App, host: HostId) -> String {
    let now = app.clock.now();
    match app.live.read(host, |host| host.state(now)) {
        Some("online") => "it was told, and has not answered yet".to_owned(),
        Some("offline") => "it is offline, and is told when it connects".to_owned(),
        Some(state) => format!("it is {state}"),
        None => "it is not known any more".to_owned(),
    }
}
