//! `/api/v1/policies`: what is done by itself when, applied as a whole or not at all, what it did, and what it would have done.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde_json::Value;
use tidemark_model::notice::NoticeKind;
use tidemark_model::policy::{Case, CaseState, Policy, PolicyApproval, PolicySpec};
use tidemark_model::view::{
    CaseView, Page, PoliciesApplied, PoliciesRequest, PolicyChange, PolicyDetail, PolicyReplay,
    PolicyVersionView, PolicyView, Problem, TriedView,
};
use tidemark_model::{ErrorCode, HostId, Role, Timestamp};
use tidemark_store::{DocumentKind, DocumentVersion, PolicyFirings, StoreError, Tx};

use super::body::{self, Invalid, Request};
use super::documents::{self, Applying, Change, Document, Effect};
use super::expected::{Expected, etag};
use super::guard::Asking;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::app::App;
use crate::incidents::text::clean;
use crate::policies::{
    Held, POLICIES_MAX, held, held_of, hosts_of, hosts_of_one, missing_budgets, policy_of, replay,
    without_window, written,
};

/// Largest body that is taken, in bytes: 200 policies of five thousand characters each.
pub const BODY_BYTES_MAX: usize = 1_024 * 1_024;

/// Firings are counted over this time.
const FIRED_WITHIN: Duration = Duration::from_secs(30 * 86_400);
/// Cases that one policy shows.
const CASES_OF_ONE: u32 = 50;
/// Policies of one dry run that are played over history.
const REPLAYS_MAX: usize = 5;

/// Policies by name, with what they do.
#[utoipa::path(
    get,
    path = "/api/v1/policies",
    tag = "policies",
    responses(
        (status = 200, description = "All policies, on one page.", body = Page<PolicyView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<PolicyView>>> {
    params.only(&["limit", "cursor"])?;
    Ok(Json(Page {
        items: views(&app).await?,
        next_cursor: None,
    }))
}

/// All policies as the API and the page show them.
///
/// # Errors
/// When the database fails.
pub async fn views(app: &App) -> Result<Vec<PolicyView>, StoreError> {
    let mut tx = app.store.read().await?;
    let all = held(&mut tx).await?;
    let deeds = Deeds::read(&mut tx, app.clock.now()).await?;
    let policies: Vec<&Policy> = all.iter().map(|held| &held.policy).collect();
    let hosts = hosts_of(app, &policies, deeds.now);
    let views = all.iter().zip(&hosts);
    Ok(views
        .map(|(held, hosts)| view(held, hosts.len(), &deeds))
        .collect())
}

/// One policy with what it did and its history.
#[utoipa::path(
    get,
    path = "/api/v1/policies/{policy}",
    tag = "policies",
    params(("policy" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The policy.", body = PolicyDetail),
        (status = 404, description = "There was never one.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    State(app): State<Arc<App>>,
    Path(policy): Path<String>,
    params: Params,
) -> Answer<impl IntoResponse> {
    params.only(&[])?;
    let mut tx = app.store.read().await?;
    let versions = tx.document_versions(DocumentKind::Policy, &policy).await?;
    let newest = versions
        .first()
        .ok_or_else(|| documents::unknown::<Policy>(&policy))?
        .clone();
    let deeds = Deeds::read(&mut tx, app.clock.now()).await?;
    let cases = tx
        .policy_cases_page(&policy, i64::MAX, CASES_OF_ONE)
        .await?;
    drop(tx);
    let tag = etag(newest.version);
    let detail = PolicyDetail {
        policy: held_of(newest).map(|held| {
            let hosts = hosts_of_one(&app, &held.policy, deeds.now).len();
            view(&held, hosts, &deeds)
        }),
        cases: cases
            .into_iter()
            .map(|case| case_view(&app, case))
            .collect(),
        versions: versions.into_iter().map(version_view).collect(),
    };
    Ok((tag, Json(detail)))
}

/// Applies policies in the caller's name, all or none. Policies that are not named stay as they are.
#[utoipa::path(
    put,
    path = "/api/v1/policies",
    tag = "policies",
    params(
        ("dry_run" = Option<bool>, Query, description = "Store nothing; only say what would change, and what the first five policies would have done in the last 30 days."),
        ("If-Match" = Option<String>, Header, description = "The ETag that the one document had when it was read, or *: another version is not changed."),
        ("If-None-Match" = Option<String>, Header, description = "* alone: only where none of that name is there."),
    ),
    request_body = PoliciesRequest,
    responses(
        (status = 200, description = "What was done.", body = PoliciesApplied),
        (status = 400, description = "Policies are not as they must be; every problem is told.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "A policy that approves in advance, applied by somebody who may not approve.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The one that is applied is not what If-Match or If-None-Match expects.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Somebody else changed one of them meanwhile.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn apply(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<Json<PoliciesApplied>> {
    let params = params.only(&["dry_run"])?;
    let dry_run = params.flag("dry_run")?;
    let value: Value = body::json(&headers, &body, "the body is no JSON")?;
    let wanted = written::policies(&value)?;
    check_budgets(&app, &wanted)?;
    let applying = Applying {
        author: asking.name(),
        effect: Effect::of(dry_run),
        expected: Expected::of(&headers)?,
    };
    let check = |changes: &[Change<'_, Policy>]| check_approver(&asking, changes);
    let changes = documents::apply(&app, applying, &wanted, check).await?;
    let now = app.clock.now();
    let mut policies = Vec::with_capacity(changes.len());
    let hosts = hosts_of(&app, &wanted.iter().collect::<Vec<_>>(), now);
    for (index, (change, hosts)) in changes.into_iter().zip(hosts).enumerate() {
        let replay = if dry_run && index < REPLAYS_MAX {
            Some(replay::replay(&app, change.wanted, replay::DAYS).await?)
        } else {
            None
        };
        policies.push(PolicyChange {
            name: change.wanted.name().to_owned(),
            outcome: change.outcome.to_owned(),
            version: change.version,
            differences: change.differences(),
            hosts: hosts.len() as u64,
            hosts_without_window: without_window(&app, &hosts, now),
            replay,
        });
    }
    Ok(Json(PoliciesApplied { dry_run, policies }))
}

/// What a policy would have done over history, as it is applied.
#[utoipa::path(
    post,
    path = "/api/v1/policies/{policy}/dry-run",
    tag = "policies",
    params(
        ("policy" = String, Path, description = "Its name."),
        ("days" = Option<u64>, Query, description = "So many days back, 1 to 90; 30 without it.", minimum = 1, maximum = 90),
    ),
    responses(
        (status = 200, description = "When it would have fired, or why nobody can tell.", body = PolicyReplay),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn dry_run(
    State(app): State<Arc<App>>,
    Path(policy): Path<String>,
    params: Params,
) -> Answer<Json<PolicyReplay>> {
    let params = params.only(&["days"])?;
    let days = params.number("days", 1..=replay::DAYS_MAX)?;
    let mut tx = app.store.read().await?;
    let newest = tx.document_newest(DocumentKind::Policy, &policy).await?;
    drop(tx);
    let held = newest
        .and_then(held_of)
        .ok_or_else(|| documents::unknown::<Policy>(&policy))?;
    let days = days.unwrap_or(replay::DAYS);
    Ok(Json(replay::replay(&app, &held.policy, days).await?))
}

/// Deletes a policy in the caller's name; its history stays. What it asked for and no host has is taken back.
#[utoipa::path(
    delete,
    path = "/api/v1/policies/{policy}",
    tag = "policies",
    params(
        ("policy" = String, Path, description = "Its name."),
        ("If-Match" = Option<String>, Header, description = "The ETag that the one document had when it was read, or *: another version is not changed."),
    ),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 412, description = "It is at another version than If-Match expects.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(policy): Path<String>,
    (params, expected): (Params, Expected),
) -> Answer<StatusCode> {
    params.only(&[])?;
    documents::delete::<Policy>(&app, (asking.name(), expected), &policy).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_budgets(app: &App, wanted: &[Policy]) -> Result<(), Invalid> {
    let missing: BTreeSet<String> = missing_budgets(app, wanted).into_iter().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let problem = |name: String| {
        format!(
            "condition.budget: there is no budget {name:?}; apply it first, or correct its name"
        )
    };
    Err(Invalid(missing.into_iter().map(problem).collect()))
}

/// Who may not approve an action may not approve all of them in advance.
fn check_approver(asking: &Asking, changes: &[Change<'_, Policy>]) -> Answer<()> {
    let may = asking.may(Role::Approver);
    let approves = changes.iter().find(|change| {
        change.outcome != "unchanged" && change.wanted.spec.approval == PolicyApproval::ByPolicy
    });
    match approves {
        Some(change) if !may => Err(ApiProblem::new(
            ErrorCode::Forbidden,
            format!(
                "policy {:?} approves its actions in advance, which takes the role approver; let an approver apply it, or write approval = \"required\"",
                change.wanted.name()
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

impl Document for Policy {
    type Spec = PolicySpec;

    const KIND: DocumentKind = DocumentKind::Policy;
    const MAX: u32 = POLICIES_MAX;
    const APPLIED: NoticeKind = NoticeKind::PolicyApplied;
    const DELETED: NoticeKind = NoticeKind::PolicyDeleted;

    fn name(&self) -> &str {
        Self::name(self)
    }

    fn spec(&self) -> PolicySpec {
        self.spec.clone()
    }

    fn of_version(version: &DocumentVersion) -> Option<Self> {
        policy_of(version)
    }
}

/// What all policies do and did.
struct Deeds {
    now: Timestamp,
    /// Of each policy: hosts on which it holds, acts, and gave up.
    open: HashMap<String, [u64; 3]>,
    fired: HashMap<String, PolicyFirings>,
}

impl Deeds {
    async fn read(tx: &mut Tx, now: Timestamp) -> Result<Self, StoreError> {
        let mut open: HashMap<String, [u64; 3]> = HashMap::new();
        for (policy, state, count) in tx.policy_case_counts().await? {
            let [holding, acting, escalated] = open.entry(policy).or_default();
            match state {
                CaseState::Holding => *holding = count,
                CaseState::Acting => *acting = count,
                CaseState::Escalated => *escalated = count,
                CaseState::Verified
                | CaseState::Done
                | CaseState::Stopped
                | CaseState::Cleared
                | CaseState::Withdrawn => {}
            }
        }
        let fired = tx.policy_firings(now.saturating_sub(FIRED_WITHIN)).await?;
        let fired = fired.into_iter().map(|one| (one.policy.clone(), one));
        Ok(Self {
            now,
            open,
            fired: fired.collect(),
        })
    }
}

fn view(held: &Held, hosts: usize, deeds: &Deeds) -> PolicyView {
    let policy = &held.policy;
    let of_policy = deeds.open.get(policy.name()).copied();
    let [holding, acting, escalated] = of_policy.unwrap_or_default();
    let fired = deeds.fired.get(policy.name());
    let state = match (policy.spec.enabled, escalated, acting, holding) {
        (false, ..) => "disabled",
        (true, 1.., _, _) => "escalated",
        (true, 0, 1.., _) => "acting",
        (true, 0, 0, 1..) => "holding",
        (true, 0, 0, 0) => "idle",
    };
    PolicyView {
        spec: policy.spec.clone(),
        version: held.version,
        applied_by: held.author.clone(),
        applied_ms: held.at.unix_ms(),
        condition: policy.condition.to_string(),
        hosts: hosts as u64,
        state: state.to_owned(),
        holding,
        acting,
        escalated,
        fired: fired.map_or(0, |fired| fired.fired),
        verified: fired.map_or(0, |fired| fired.verified),
        fired_ms: fired.map(|fired| fired.last.unix_ms()),
    }
}

/// A case as the API and the page show it.
#[must_use]
pub fn case_view(app: &App, case: Case) -> CaseView {
    let name = |id: HostId| app.live.read(id, |host| clean(&host.profile.name));
    let body = case.body;
    CaseView {
        id: case.id,
        version: case.version,
        host: case.host.to_string(),
        host_name: name(case.host),
        state: case.state,
        since_ms: case.since.unix_ms(),
        fired_ms: case.fired_at.map(Timestamp::unix_ms),
        ended_ms: case.ended_at.map(Timestamp::unix_ms),
        seen: body.seen,
        waits_for: body.waits_for,
        incident: body.incident,
        action: body
            .pending
            .and_then(|pending| pending.action)
            .map(|id| id.to_string()),
        tried: body
            .tried
            .into_iter()
            .map(|tried| TriedView {
                rung: tried.rung,
                summary: tried.summary,
                action: tried.action.map(|id| id.to_string()),
                state: tried.state,
                at_ms: tried.at_ms.unix_ms(),
                text: tried.text,
            })
            .collect(),
        why: body.why,
    }
}

fn version_view(version: DocumentVersion) -> PolicyVersionView {
    let spec = policy_of(&version).map(|policy| policy.spec);
    PolicyVersionView {
        version: version.version,
        applied_ms: version.at.unix_ms(),
        applied_by: version.author,
        spec,
    }
}
