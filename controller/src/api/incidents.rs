//! `/api/v1/incidents`: what operators are told about, and what they do with it.

use std::borrow::Cow;

use axum::extract::Path;
use axum::{Extension, Json};
use tidemark_model::incident::{Entry, Incident, IncidentState};
use tidemark_model::notice::NoticeKind;
use tidemark_model::problem::{Severity, Sureness};
use tidemark_model::silence::{Labels, Silence};
use tidemark_model::view::{
    IncidentDetail, IncidentHost, IncidentView, NoteRequest, Page, Problem, TimelineView,
};
use tidemark_model::{ErrorCode, HostId, Timestamp};
use tidemark_store::{
    DriftQuery, EventQuery, IncidentQuery, NoticeQuery, NoticeStart, RecordXml, Standing,
    StoreError, StoredDrift, Tx,
};

use super::body::{self, Request};
use super::fleet;
use super::guard::Asking;
use super::host_events::event_sentence;
use super::params::{Params, invalid};
use super::problem::{Answer, ApiProblem};
use super::seen::SeenPage;
use super::windows;
use crate::access::Horizon;
use crate::access::horizon::Split;
use crate::app::App;
use crate::incidents::labels::SILENCES_MAX;
use crate::incidents::operate::{Deed, operate};
use crate::incidents::{labels, text};
use crate::remediate::proposals::proposals;

/// Hosts of an incident that are listed.
const HOSTS_MAX: usize = 100;
/// Lines of a time line: the incident's own, and of each host what happened around it.
const ENTRIES_MAX: u32 = 500;
/// See [`ENTRIES_MAX`].
const HOST_LINES_MAX: u32 = 50;
/// Hosts whose events are looked at for a time line.
const TIMELINE_HOSTS_MAX: usize = 5;
/// What happened this long before an incident may have to do with it.
const BEFORE: std::time::Duration = std::time::Duration::from_secs(3_600);
/// What was set differently this long before an incident may be what it came from: a leak takes days to be one.
const DRIFT_BEFORE: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

/// Incidents, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/incidents",
    tag = "incidents",
    params(
        ("state" = Option<String>, Query, description = "open, acknowledged, resolved, or active for what is not resolved."),
        ("severity" = Option<String>, Query, description = "info, warning or critical."),
        ("host" = Option<String>, Query, description = "Id or name."),
        ("since_ms" = Option<i64>, Query, description = "Only opened from this time on, in unix milliseconds."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of incidents.", body = Page<IncidentView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(horizon: Horizon, params: Params) -> Answer<Json<Page<IncidentView>>> {
    let params = params.only(&["state", "severity", "host", "since_ms", "limit", "cursor"])?;
    let limit = params.limit()?;
    let (state, standing) = state_of(&params)?;
    let query = IncidentQuery {
        before: params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?,
        state,
        standing,
        severity: params.parsed(
            "severity",
            || "info, warning or critical".to_owned(),
            Severity::from_name,
        )?,
        host: params
            .one("host")?
            .map(|name| fleet::find_host(&horizon, name))
            .transpose()?,
        since: params
            .number("since_ms", i64::MIN..=i64::MAX)?
            .map(Timestamp::from_unix_ms),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let (items, next) = page(&horizon, &query).await?;
    let next_cursor = next.map(|id| id.to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// The state that `state` asks for.
///
/// # Errors
/// When there is no such state.
pub fn state_of(
    params: &Params,
) -> Result<(Option<&'static str>, Standing), super::params::ParamError> {
    let Some(text) = params.one("state")? else {
        return Ok((None, Standing::Any));
    };
    if text == "active" {
        return Ok((None, Standing::NotOver));
    }
    let known = IncidentState::NAMES.into_iter().find(|name| *name == text);
    known
        .map(|name| (Some(name), Standing::Any))
        .ok_or_else(|| invalid("state", text, "one of open, acknowledged, resolved, active"))
}

/// One incident with its time line.
#[utoipa::path(
    get,
    path = "/api/v1/incidents/{incident}",
    tag = "incidents",
    params(("incident" = i64, Path, description = "Its number.")),
    responses(
        (status = 200, description = "The incident.", body = IncidentDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    horizon: Horizon,
    Path(incident): Path<String>,
    params: Params,
) -> Answer<Json<IncidentDetail>> {
    params.only(&[])?;
    Ok(Json(find(&horizon, &incident).await?))
}

/// Does something to an incident: takes care of it (it is not repeated to receivers), says that it is over (while its
/// problem is still there, only that getting worse opens it again), or writes a note into its time line.
#[utoipa::path(
    post,
    path = "/api/v1/incidents/{incident}/{deed}",
    tag = "incidents",
    params(
        ("incident" = i64, Path, description = "Its number."),
        ("deed" = String, Path, description = "acknowledge, resolve or note."),
    ),
    request_body(content = NoteRequest, description = "Only a note must have one."),
    responses(
        (status = 200, description = "The incident as it is then.", body = IncidentView),
        (status = 400, description = "The text is too long, or a note's is empty.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such incident, or nothing of that name is done to one.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is acknowledged or resolved already, or changed meanwhile.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn act(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path((incident, deed)): Path<(String, String)>,
    (params, headers, body): Request,
) -> Answer<Json<IncidentView>> {
    params.only(&[])?;
    let deed = Deed::from_name(&deed).ok_or_else(|| {
        ApiProblem::new(
            ErrorCode::NotFound,
            "what is done to an incident is acknowledge, resolve or note",
        )
    })?;
    let request: NoteRequest = body::json_or_default(&headers, &body, "the body is no note")?;
    let id = number(&incident)?;
    let changed = operate(&horizon, id, (deed, asking.name()), Some(&request.text)).await?;
    let app = horizon.app();
    let mut tx = app.store.read().await?;
    let silences = silences(&mut tx, app.clock.now()).await?;
    Ok(Json(view(&horizon, &changed, &silences)))
}

/// The number of an incident, as an address has it.
///
/// # Errors
/// When it is no number: there is no such incident then.
pub fn number(text: &str) -> Result<i64, ApiProblem> {
    text.parse().map_err(|_| {
        ApiProblem::new(
            ErrorCode::NotFound,
            "there is no such incident; the list of incidents has their numbers",
        )
    })
}

/// A page of incidents as the API shows them, of those with a host that the caller sees, and the number that the next page begins
/// before.
///
/// # Errors
/// What the database says.
pub async fn page(
    horizon: &Horizon,
    query: &IncidentQuery<'_>,
) -> Result<(Vec<IncidentView>, Option<i64>), StoreError> {
    let app = horizon.app();
    let mut found = SeenPage::new(horizon.scope(), query.limit, query.before);
    let mut tx = app.store.read().await?;
    while let Some((before, limit)) = found.next_read() {
        let query = IncidentQuery {
            before,
            limit,
            ..*query
        };
        let sees = |incident: &Incident| horizon.sees_any(&incident.problem.hosts);
        found.take(tx.incidents_page(&query).await?, |one| one.id, sees);
    }
    let silences = silences(&mut tx, app.clock.now()).await?;
    let view = |incident| view(horizon, incident, &silences);
    Ok((found.rows.iter().map(view).collect(), found.next))
}

/// Everything about one incident.
///
/// # Errors
/// When there is none that the caller sees, or the database fails.
pub async fn find(horizon: &Horizon, incident: &str) -> Answer<IncidentDetail> {
    let (app, id) = (horizon.app(), number(incident)?);
    let mut tx = app.store.read().await?;
    let found = tx.incident_find(id).await?;
    let found = found.filter(|found| horizon.sees_any(&found.problem.hosts));
    let found = found.ok_or(crate::incidents::operate::OperateError::Unknown(id))?;
    let silences = silences(&mut tx, app.clock.now()).await?;
    let entries = tx.incident_entries_newest(id, ENTRIES_MAX).await?;
    let Split { seen, hidden } = horizon.split(&found.problem.hosts);
    let mut timeline: Vec<TimelineView> = entries
        .into_iter()
        .map(|entry| of_entry(entry, hidden))
        .collect();
    for host in seen.iter().take(TIMELINE_HOSTS_MAX) {
        timeline.extend(around(app, &mut tx, &found, *host).await?);
    }
    timeline.sort_by_key(|line| line.at_ms);
    drop(tx);
    Ok(IncidentDetail {
        incident: view(horizon, &found, &silences),
        timeline,
        proposals: proposals(horizon, &found).await?,
    })
}

async fn silences(tx: &mut Tx, now: Timestamp) -> Result<Vec<Silence>, StoreError> {
    tx.silences_unexpired(now, SILENCES_MAX).await
}

/// An entry, with its text where no host of the incident is hidden: people write names of hosts into it.
fn of_entry(entry: Entry, hidden: usize) -> TimelineView {
    let text = match hidden {
        0 => entry.text,
        _ => "not shown: the incident has hosts outside of your scope".to_owned(),
    };
    TimelineView {
        at_ms: entry.at.unix_ms(),
        kind: entry.kind.as_str().to_owned(),
        by: entry.by,
        host: None,
        text,
    }
}

/// What happened on a host from shortly before an incident to its end, and what was changed on it in the days before.
async fn around(
    app: &App,
    tx: &mut Tx,
    incident: &Incident,
    host: HostId,
) -> Result<Vec<TimelineView>, StoreError> {
    let began = incident.problem.since.min(incident.opened_at);
    let from = began.saturating_sub(BEFORE);
    let until = incident.state.resolved_at();
    let is_within = |at: Timestamp| until.is_none_or(|until| at <= until);
    let name = Some(text::host_name(app, host));
    let line = |at: Timestamp, kind: &str, text: String| TimelineView {
        at_ms: at.unix_ms(),
        kind: kind.to_owned(),
        by: None,
        host: name.clone(),
        text,
    };
    let events = tx
        .events_page(&EventQuery {
            host,
            before: until.map(|until| (until, i64::MAX)),
            since: Some(from),
            source: None,
            code: None,
            xml: RecordXml::Without,
            limit: HOST_LINES_MAX,
        })
        .await?;
    let mut lines: Vec<TimelineView> = events
        .iter()
        .map(|event| line(event.at, "host_event", event_sentence(&event.hit)))
        .collect();
    let notices = tx
        .notices_page(&NoticeQuery {
            start: NoticeStart::Newest,
            host: Some(host),
            kind: None,
            since: Some(from),
            // Those of no interest are left out below.
            limit: HOST_LINES_MAX.saturating_mul(4),
        })
        .await?;
    let told = notices
        .iter()
        .filter(|notice| is_within(notice.at) && belongs(notice.kind))
        .take(HOST_LINES_MAX as usize);
    lines.extend(told.map(|one| line(one.at, one.kind.as_str(), one.text.to_string())));
    let drifts = tx
        .drift_page(&DriftQuery {
            host: Some(host),
            before: until.map(|until| (until, i64::MAX)),
            since: Some(began.saturating_sub(DRIFT_BEFORE)),
            limit: HOST_LINES_MAX,
        })
        .await?;
    let kind = NoticeKind::ConfigurationChanged.as_str();
    lines.extend(
        drifts
            .iter()
            .map(|drift| line(drift.at, kind, drift_sentence(drift))),
    );
    // Each came newest first; what came in one millisecond stays in its order.
    lines.reverse();
    Ok(lines)
}

/// What was changed, with how it was before and after.
fn drift_sentence(drift: &StoredDrift) -> String {
    let item = drift.item.as_deref().map(text::clean);
    format!(
        "{}{}: {} -> {}",
        text::clean(&drift.fact),
        item.map_or_else(String::new, |item| format!("[{item}]")),
        text::clean(&drift.was),
        text::clean(&drift.became),
    )
}

/// Whether a notice of a host belongs in a time line: what may have caused the problem or blinds us to it.
const fn belongs(kind: NoticeKind) -> bool {
    match kind {
        NoticeKind::HostRebooted
        | NoticeKind::HostConnected
        | NoticeKind::HostDisconnected
        | NoticeKind::HostQuarantined
        | NoticeKind::HostRevoked
        | NoticeKind::SamplesDropped
        | NoticeKind::ActionChanged
        | NoticeKind::ActionEscalated
        | NoticeKind::PolicyFired
        | NoticeKind::ForecastChanged => true,
        // Events come whole from the host's log, and changes from its drift; the incident's own notices are its entries.
        NoticeKind::HostEnrolled
        | NoticeKind::EnrolmentRefused
        | NoticeKind::FrameRefused
        | NoticeKind::HostEvent
        | NoticeKind::ConfigurationChanged
        | NoticeKind::TokenCreated
        | NoticeKind::UserChanged
        | NoticeKind::UserLocked
        | NoticeKind::CauseFound
        | NoticeKind::IncidentOpened
        | NoticeKind::IncidentEscalated
        | NoticeKind::IncidentResolved
        | NoticeKind::NotificationFailed
        | NoticeKind::BudgetApplied
        | NoticeKind::BudgetDeleted
        | NoticeKind::WindowApplied
        | NoticeKind::WindowDeleted
        | NoticeKind::PolicyApplied
        | NoticeKind::PolicyDeleted
        | NoticeKind::Upgrade
        | NoticeKind::GrantMade
        | NoticeKind::GrantEnded
        | NoticeKind::RunChanged
        | NoticeKind::LockdownTurned
        | NoticeKind::KeyStatement
        | NoticeKind::AuditLogContradicted
        | NoticeKind::Controller => false,
    }
}

/// An incident as the API shows it, with those of its hosts that the caller sees.
#[must_use]
pub fn view(horizon: &Horizon, whole: &Incident, silences: &[Silence]) -> IncidentView {
    let app = horizon.app();
    let now = app.clock.now();
    let Split { seen, hidden } = horizon.split(&whole.problem.hosts);
    let mut incident = Cow::Borrowed(whole);
    if hidden > 0 {
        incident.to_mut().problem.hosts = seen;
    }
    let incident = &*incident;
    let problem = &incident.problem;
    let hosts = text::hosts(app, problem);
    // Whether nobody is told of it depends on all of its hosts.
    let on_all: Vec<Labels> = labels::labels_of(app, whole);
    let silence = labels::silence_on(app, whole, &on_all, silences);
    let eta = problem.eta;
    let (acknowledged_by, acknowledged_ms) = match &incident.state {
        IncidentState::Acknowledged { by, at, .. } => (Some(by.clone()), Some(at.unix_ms())),
        IncidentState::Open { .. } | IncidentState::Resolved { .. } => (None, None),
    };
    let resolution = match &incident.state {
        IncidentState::Resolved { how, .. } => Some(text::how_it_ended(how)),
        IncidentState::Open { .. } | IncidentState::Acknowledged { .. } => None,
    };
    IncidentView {
        id: incident.id,
        fingerprint: incident.fingerprint.to_string(),
        state: incident.state.as_str().to_owned(),
        severity: incident.severity.as_str().to_owned(),
        kind: problem.kind.clone(),
        title: text::title(&hosts, incident),
        sentence: text::sentence(&hosts, incident, now, app.notify.public_url.as_deref()),
        hosts: problem
            .hosts
            .iter()
            .take(HOSTS_MAX)
            .map(|id| IncidentHost {
                id: id.to_string(),
                name: app.live.name_of(*id),
            })
            .collect(),
        host_count: problem.hosts.len() as u64,
        hosts_hidden: hidden as u64,
        labels: if hidden == 0 {
            labels::common(&on_all)
        } else {
            labels::common(&labels::labels_of(app, incident))
        },
        culprit: problem.culprit.clone(),
        evidence: problem.evidence.clone(),
        advice: problem.advice.clone(),
        runbook: text::runbook_of(problem),
        since_ms: problem.since.unix_ms(),
        opened_ms: incident.opened_at.unix_ms(),
        seen_ms: incident.seen_at.unix_ms(),
        eta_ms: eta.map(|eta| eta.at.unix_ms()),
        eta_lo_ms: eta.map(|eta| eta.earliest.unix_ms()),
        eta_hi_ms: eta.and_then(|eta| eta.latest).map(Timestamp::unix_ms),
        confidence: match problem.sure {
            Sureness::Percent(percent) => Some(percent),
            Sureness::Measured | Sureness::Interval | Sureness::Unknown => None,
        },
        acknowledged_by,
        acknowledged_ms,
        clear_since_ms: incident.state.clear_since().map(Timestamp::unix_ms),
        resolved_ms: incident.state.resolved_at().map(Timestamp::unix_ms),
        resolution,
        reopened: incident.reopened,
        silenced_by: silence.map(|silence| silence.id),
        silenced_by_window: windows::silence_view(app, whole, now),
        window: windows::standing_view(app, incident, now),
    }
}
