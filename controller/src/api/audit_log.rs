//! `/api/v1/audit-log`: who did what, how the log stands, and the log word for word for whoever verifies it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use tidemark_model::audit_log::{Deed, Outcome};
use tidemark_model::view::{
    AuditEntryView, AuditExportView, AuditLogStatus, Page, Problem, WitnessView,
};
use tidemark_model::{ErrorCode, HostId, Timestamp};
use tidemark_store::{AuditQuery, Kept, StoreError};

use super::fleet;
use super::params::{ParamError, Params};
use super::problem::{Answer, ApiProblem};
use crate::app::App;
use crate::audit_log::ExportStanding;

/// Entries, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/audit-log",
    tag = "audit log",
    params(
        ("who" = Option<String>, Query, description = "Only deeds of whoever is called so."),
        ("what" = Option<String>, Query, description = "A deed, as in action_approve."),
        ("outcome" = Option<String>, Query, description = "done, refused or failed."),
        ("host" = Option<String>, Query, description = "Id or name."),
        ("since_ms" = Option<i64>, Query, description = "Only from this time on, in unix milliseconds."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of entries.", body = Page<AuditEntryView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    params: Params,
) -> Answer<Json<Page<AuditEntryView>>> {
    let params = params.only(&[
        "who", "what", "outcome", "host", "since_ms", "limit", "cursor",
    ])?;
    let limit = params.limit()?;
    let query = query_of(&app, &params, limit)?;
    let items = page(&app, &query).await?;
    let next_cursor = fleet::cursor_after(&items, limit, |entry| entry.seq.to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// Which entries parameters ask for.
///
/// # Errors
/// When one of them is wrong, or names no host.
pub fn query_of(app: &App, params: &Params, limit: usize) -> Answer<AuditQuery> {
    let names = |names: &mut dyn Iterator<Item = &'static str>| {
        format!("one of {}", names.collect::<Vec<_>>().join(", "))
    };
    let deeds = || names(&mut Deed::ALL.iter().map(|deed| deed.as_str()));
    let outcomes = || names(&mut Outcome::ALL.iter().map(|outcome| outcome.as_str()));
    let what: Result<_, ParamError> = params.parsed("what", deeds, Deed::from_name);
    Ok(AuditQuery {
        before: params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?,
        who: params.one("who")?.map(str::to_owned),
        what: what?,
        outcome: params.parsed("outcome", outcomes, Outcome::from_name)?,
        host: params
            .one("host")?
            .map(|name| fleet::find_in_fleet(app, name))
            .transpose()?,
        since: params
            .number("since_ms", i64::MIN..=i64::MAX)?
            .map(Timestamp::from_unix_ms),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    })
}

/// A page of entries as the API shows them.
///
/// # Errors
/// What the database says.
pub async fn page(app: &App, query: &AuditQuery) -> Result<Vec<AuditEntryView>, StoreError> {
    let kept = app.store.read().await?.audit_page(query).await?;
    Ok(kept.into_iter().map(|one| view(app, one)).collect())
}

/// One entry.
#[utoipa::path(
    get,
    path = "/api/v1/audit-log/{seq}",
    tag = "audit log",
    params(("seq" = u64, Path, description = "Its place.")),
    responses(
        (status = 200, description = "The entry.", body = AuditEntryView),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    State(app): State<Arc<App>>,
    Path(seq): Path<String>,
    params: Params,
) -> Answer<Json<AuditEntryView>> {
    params.only(&[])?;
    let unknown = || {
        let title = "there is no such entry; the list of the audit log has their numbers";
        ApiProblem::new(ErrorCode::NotFound, title)
    };
    let seq: u64 = seq.parse().map_err(|_| unknown())?;
    let mut tx = app.store.read().await?;
    let kept = tx.audit_after(seq.saturating_sub(1), 1).await?;
    let found = kept.into_iter().find(|(found, _)| *found == seq);
    Ok(Json(view(&app, found.ok_or_else(unknown)?)))
}

/// Entries word for word, in their order, one a line as they are hashed.
#[utoipa::path(
    get,
    path = "/api/v1/audit-log/entries",
    tag = "audit log",
    params(
        ("after" = Option<u64>, Query, description = "Only those after this place."),
        ("limit" = Option<usize>, Query, description = "Lines, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "Lines of JSON; none after the last entry.", body = String, content_type = "application/jsonl"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn entries(State(app): State<Arc<App>>, params: Params) -> Answer<Response> {
    let params = params.only(&["after", "limit"])?;
    let after = params.number("after", 0..=u64::MAX >> 1)?.unwrap_or(0);
    let limit = u32::try_from(params.limit()?).unwrap_or(u32::MAX);
    let kept = app.store.read().await?.audit_after(after, limit).await?;
    let lines: String = kept.iter().map(line).collect();
    let kind = [(header::CONTENT_TYPE, "application/jsonl")];
    Ok((kind, lines).into_response())
}

/// The line of an entry; of one that was altered so that it cannot be read, a line that is no entry.
pub(crate) fn line((seq, entry): &Kept) -> String {
    match entry {
        Ok(entry) => format!("{}\n", entry.to_line()),
        Err(error) => format!(
            "{}\n",
            serde_json::json!({"seq": seq, "unreadable": error.to_string()})
        ),
    }
}

/// How the log stands.
#[utoipa::path(
    get,
    path = "/api/v1/audit-log/status",
    tag = "audit log",
    responses(
        (status = 200, description = "How it stands.", body = AuditLogStatus),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn status(State(app): State<Arc<App>>, params: Params) -> Answer<Json<AuditLogStatus>> {
    params.only(&[])?;
    Ok(Json(standing(&app)))
}

/// How the log stands, as the API shows it.
#[must_use]
pub fn standing(app: &App) -> AuditLogStatus {
    let standing = app.audit_log.standing();
    let signed = app.audit_log.checkpoint();
    let checkpoint = signed.as_ref().map(|signed| &signed.checkpoint);
    let fault = standing.fault.clone();
    let exports = app.audit_log.exports.standings();
    AuditLogStatus {
        size: standing.size,
        looked_ms: standing.looked_at.map(Timestamp::unix_ms),
        followed_ms: standing.followed_at.map(Timestamp::unix_ms),
        fault_seq: fault.as_ref().map(|(seq, _)| *seq),
        fault: fault.map(|(_, why)| why),
        unsigned: standing.unsigned.clone(),
        key: app.audit_log.key().map(ToString::to_string),
        checkpoint_size: checkpoint.map(|one| one.size),
        checkpoint_ms: checkpoint.map(|one| one.at.unix_ms()),
        checkpoint: signed.as_ref().map(|signed| signed.note.clone()),
        witnesses: standing.hosts,
        contradictions: standing.contradicting,
        exports: exports.into_iter().map(export_view).collect(),
    }
}

fn export_view((to, standing): (String, ExportStanding)) -> AuditExportView {
    AuditExportView {
        to,
        position: standing.position,
        lag: standing.lag,
        error: standing.error,
    }
}

/// What hosts hold of the log, by host.
#[utoipa::path(
    get,
    path = "/api/v1/audit-log/witnesses",
    tag = "audit log",
    params(
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of what hosts hold.", body = Page<WitnessView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn witnesses(
    State(app): State<Arc<App>>,
    params: Params,
) -> Answer<Json<Page<WitnessView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let after: Option<HostId> =
        params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let rows = u32::try_from(limit).unwrap_or(u32::MAX);
    let kept = app.store.read().await?.audit_witnesses(after, rows).await?;
    let next_cursor = fleet::cursor_after(&kept, limit, |witness| witness.host.to_string());
    let shown = |witness: tidemark_store::Witness| WitnessView {
        host_name: app.live.name_of(witness.host),
        host: witness.host.to_string(),
        at_ms: witness.at.unix_ms(),
        size: witness.size,
        note: witness.note,
        fault: witness.fault,
    };
    Ok(Json(Page {
        items: kept.into_iter().map(shown).collect(),
        next_cursor,
    }))
}

/// An entry as the API shows it.
fn view(app: &App, (seq, entry): Kept) -> AuditEntryView {
    let mut view = AuditEntryView {
        seq,
        at_ms: None,
        who_kind: None,
        who: None,
        role: None,
        credential: None,
        address: None,
        what: None,
        on_kind: None,
        on_id: None,
        host: None,
        host_name: None,
        outcome: None,
        detail: Default::default(),
        hash: None,
        fault: None,
    };
    match entry {
        Ok(entry) => {
            view.at_ms = Some(entry.at_ms.unix_ms());
            view.who_kind = Some(entry.who.kind.as_str().to_owned());
            view.who = Some(entry.who.name);
            view.role = entry.who.role.map(|role| role.as_str().to_owned());
            view.credential = entry.who.credential;
            view.address = entry.who.address;
            view.what = Some(entry.what.as_str().to_owned());
            view.on_kind = Some(entry.on.kind);
            view.on_id = Some(entry.on.id);
            view.host_name = entry.on.host.and_then(|host| app.live.name_of(host));
            view.host = entry.on.host.map(|host| host.to_string());
            view.outcome = Some(entry.outcome.as_str().to_owned());
            view.detail = entry.detail;
            view.hash = Some(entry.hash.to_string());
        }
        Err(error) => view.fault = Some(error.to_string()),
    }
    view
}
