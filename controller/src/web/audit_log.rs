//! `/audit-log`: who did what, newest first, and whether the log of it is as it was written.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use tidemark_model::Timestamp;
use tidemark_model::audit_log::{Deed, Outcome};
use tidemark_model::view::{AuditEntryView, AuditLogStatus};
use tidemark_store::Witness;

use super::{Frame, for_person, page as respond, words};
use crate::api::audit_log as api;
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::app::App;

/// Lines of a page.
const ROWS: usize = 100;
/// Hosts that are named when they contradict the log; the others are counted.
const NAMED_MAX: u32 = 10;

/// `GET /audit-log`.
pub async fn page(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    for_person(audit_log_page(&app, &asking, params).await)
}

async fn audit_log_page(app: &App, asking: &Asking, params: Params) -> Answer<Response> {
    let params = params.only(&["who", "what", "outcome", "host", "cursor"])?;
    let text = |name: &'static str| {
        params
            .one(name)
            .map(|one| one.unwrap_or_default().to_owned())
    };
    let shown = Shown {
        who: text("who")?,
        what: text("what")?,
        outcome: text("outcome")?,
        host: text("host")?,
    };
    let query = api::query_of(app, &params, ROWS)?;
    let now = app.clock.now();
    let entries = api::page(app, &query).await?;
    let older = entries.last().filter(|_| entries.len() >= ROWS);
    let older = older.map(|entry| shown.with_cursor(entry.seq));
    let mut tx = app.store.read().await?;
    let contradicting = tx.audit_contradictions(NAMED_MAX).await?;
    drop(tx);
    let status = api::standing(app);
    Ok(respond(&AuditLogPage {
        frame: Frame::new("audit-log", asking),
        is_newest: query.before.is_none(),
        checked: moment(status.looked_ms, now),
        signed: moment(status.checkpoint_ms, now),
        contradicting: contradicting
            .iter()
            .map(|one| Contradicting::new(app, one))
            .collect(),
        rows: entries
            .into_iter()
            .map(|view| EntryRow::new(view, now))
            .collect(),
        deeds: Deed::ALL.iter().map(|deed| deed.as_str()).collect(),
        outcomes: Outcome::ALL
            .iter()
            .map(|outcome| outcome.as_str())
            .collect(),
        older,
        shown,
        status,
    }))
}

fn moment(at: Option<i64>, now: Timestamp) -> String {
    at.map_or_else(
        || "never".to_owned(),
        |at| words::relative(Timestamp::from_unix_ms(at), now),
    )
}

/// The filters as they were given.
struct Shown {
    who: String,
    what: String,
    outcome: String,
    host: String,
}

impl Shown {
    /// The address of the page of older entries with these filters.
    fn with_cursor(&self, seq: u64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("cursor", &seq.to_string());
        for (name, value) in [
            ("who", &self.who),
            ("what", &self.what),
            ("outcome", &self.outcome),
            ("host", &self.host),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/audit-log?{}", query.finish())
    }
}

/// A host that contradicts the log.
struct Contradicting {
    id: String,
    name: String,
    fault: String,
}

impl Contradicting {
    fn new(app: &App, witness: &Witness) -> Self {
        let id = witness.host.to_string();
        Self {
            name: app.live.name_of(witness.host).unwrap_or_else(|| id.clone()),
            fault: witness.fault.clone().unwrap_or_default(),
            id,
        }
    }
}

/// An entry as a line.
struct EntryRow {
    tone: &'static str,
    at: String,
    who: String,
    /// Role, credential and address, as far as they are known.
    how: String,
    what: String,
    on: String,
    detail: Vec<(String, String)>,
    view: AuditEntryView,
}

impl EntryRow {
    fn new(view: AuditEntryView, now: Timestamp) -> Self {
        let tone = match (view.outcome.as_deref(), &view.fault) {
            (Some("done"), None) => "calm",
            (Some("refused"), None) => "watch",
            _ => "urgent",
        };
        let who = match view.who.as_deref() {
            Some("") => "nobody".to_owned(),
            Some(name) => name.to_owned(),
            None => "?".to_owned(),
        };
        let how = [&view.role, &view.credential, &view.address];
        let how: Vec<&str> = how.into_iter().flatten().map(String::as_str).collect();
        let on = [view.on_kind.as_deref(), view.on_id.as_deref()];
        let on: Vec<&str> = on
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        let at = view.at_ms.map(Timestamp::from_unix_ms);
        Self {
            tone,
            at: at.map_or_else(|| "?".to_owned(), |at| words::moment(at, now)),
            who,
            how: how.join(" · "),
            what: view.what.as_deref().unwrap_or("?").replace('_', " "),
            on: on.join(" "),
            detail: view.detail.clone().into_iter().collect(),
            view,
        }
    }
}

#[derive(Template)]
#[template(path = "audit_log.html")]
struct AuditLogPage {
    frame: Frame,
    status: AuditLogStatus,
    checked: String,
    signed: String,
    contradicting: Vec<Contradicting>,
    shown: Shown,
    deeds: Vec<&'static str>,
    outcomes: Vec<&'static str>,
    rows: Vec<EntryRow>,
    is_newest: bool,
    older: Option<String>,
}
