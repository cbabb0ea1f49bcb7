//! `/api/v1/budgets`: what may be held of hosts' ports, applied as a whole or not at all, and how hosts stand to it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde_json::Value;
use tidemark_model::budget::Budget;
use tidemark_model::notice::NoticeKind;
use tidemark_model::view::{
    BudgetChange, BudgetDetail, BudgetSpec, BudgetStanding, BudgetVersionView, BudgetView,
    BudgetsApplied, BudgetsRequest, Page, Problem,
};
use tidemark_store::{DocumentKind, DocumentVersion};

use super::body::{self, Request};
use super::documents::{self, Applying, Document, Effect};
use super::expected::{Expected, etag};
use super::fleet;
use super::guard::Asking;
use super::params::Params;
use super::problem::Answer;
use crate::access::Horizon;
use crate::app::App;
use crate::budgets::standing::{self, Board};
use crate::budgets::written::{self, BUDGETS_MAX};
use crate::budgets::{self, Held, budget_of};

/// Largest body that is taken, in bytes: 500 budgets of two thousand characters each.
pub const BODY_BYTES_MAX: usize = 1_024 * 1_024;

/// Standings that a list shows of each budget.
const ROWS_OF_LIST: usize = 100;
/// Standings that one budget or one host shows.
const ROWS_OF_ONE: usize = 1_000;
/// Standings that applying shows of each budget.
const ROWS_OF_CHANGE: usize = 100;

/// Budgets by name, with how hosts stand to them.
#[utoipa::path(
    get,
    path = "/api/v1/budgets",
    tag = "budgets",
    params(
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of budgets.", body = Page<BudgetView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<BudgetView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let after = params.one("cursor")?;
    let all = app.budgets.held();
    let rest = all
        .iter()
        .filter(|held| after.is_none_or(|after| held.budget.name.as_str() > after));
    let page: Vec<Held> = rest.take(limit).cloned().collect();
    let next_cursor = fleet::cursor_after(&page, limit, |held| held.budget.name.clone());
    let boards = standing::of_budgets(&app, &page, app.clock.now(), ROWS_OF_LIST);
    let items = page
        .iter()
        .zip(boards)
        .map(|(held, board)| view(held, board));
    Ok(Json(Page {
        items: items.collect(),
        next_cursor,
    }))
}

/// One budget, how each host stands to it, and its history.
#[utoipa::path(
    get,
    path = "/api/v1/budgets/{budget}",
    tag = "budgets",
    params(("budget" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The budget.", body = BudgetDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    State(app): State<Arc<App>>,
    Path(budget): Path<String>,
    params: Params,
) -> Answer<impl IntoResponse> {
    params.only(&[])?;
    let held = app
        .budgets
        .find(&budget)
        .ok_or_else(|| documents::unknown::<Budget>(&budget))?;
    let mut tx = app.store.read().await?;
    let versions = tx.document_versions(DocumentKind::Budget, &budget).await?;
    let one = std::slice::from_ref(&held);
    let boards = standing::of_budgets(&app, one, app.clock.now(), ROWS_OF_ONE);
    let board = boards.into_iter().next().unwrap_or_else(|| Board::new(0));
    let newest = versions.first().map_or(0, |newest| newest.version);
    let detail = BudgetDetail {
        budget: view(&held, board),
        versions: versions.into_iter().map(version_view).collect(),
    };
    Ok((etag(newest), Json(detail)))
}

/// How one host stands to every budget that is about it.
#[utoipa::path(
    get,
    path = "/api/v1/hosts/{host}/budgets",
    tag = "budgets",
    params(("host" = String, Path, description = "Id or name.")),
    responses(
        (status = 200, description = "Its port spaces, what needs attention first; 1,000 at most.", body = Page<BudgetStanding>),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn of_host(
    horizon: Horizon,
    Path(host): Path<String>,
    params: Params,
) -> Answer<Json<Page<BudgetStanding>>> {
    params.only(&[])?;
    let id = fleet::find_host(&horizon, &host)?;
    let app = horizon.app();
    let (items, _) = standing::of_host(app, id, app.clock.now(), ROWS_OF_ONE).rows();
    Ok(Json(Page {
        items,
        next_cursor: None,
    }))
}

/// Applies budgets in the caller's name, all or none. Budgets that are not named stay as they are.
#[utoipa::path(
    put,
    path = "/api/v1/budgets",
    tag = "budgets",
    params(
        ("dry_run" = Option<bool>, Query, description = "Store nothing; only say what would change, and who is over it at this moment."),
        ("If-Match" = Option<String>, Header, description = "The ETag that the one document had when it was read, or *: another version is not changed."),
        ("If-None-Match" = Option<String>, Header, description = "* alone: only where none of that name is there."),
    ),
    request_body = BudgetsRequest,
    responses(
        (status = 200, description = "What was done.", body = BudgetsApplied),
        (status = 400, description = "Budgets are not as they must be; every problem is told.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The one that is applied is not what If-Match or If-None-Match expects.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Somebody else changed one of them meanwhile.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn apply(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<Json<BudgetsApplied>> {
    let params = params.only(&["dry_run"])?;
    let dry_run = params.flag("dry_run")?;
    let value: Value = body::json(&headers, &body, "the body is no JSON")?;
    let wanted = written::budgets(&value)?;
    let effect = Effect::of(dry_run);
    let applying = Applying {
        author: asking.name(),
        effect,
        expected: Expected::of(&headers)?,
    };
    let changes = documents::apply(&app, applying, &wanted, |_| Ok(())).await?;
    if effect == Effect::Store {
        budgets::refresh(&app).await?;
    }
    let boards = standing::of_new(&app, &wanted, app.clock.now(), ROWS_OF_CHANGE);
    let budgets = changes.into_iter().zip(boards).map(|(change, board)| {
        let counts = board.counts;
        let (rows, _) = board.rows();
        let is_over = |row: &BudgetStanding| row.state == "over" || row.state == "exceeded";
        BudgetChange {
            name: change.wanted.name.clone(),
            outcome: change.outcome.to_owned(),
            version: change.version,
            differences: change.differences(),
            counts,
            over: rows.into_iter().filter(is_over).collect(),
        }
    });
    Ok(Json(BudgetsApplied {
        dry_run,
        budgets: budgets.collect(),
    }))
}

/// Deletes a budget in the caller's name; its history stays.
#[utoipa::path(
    delete,
    path = "/api/v1/budgets/{budget}",
    tag = "budgets",
    params(
        ("budget" = String, Path, description = "Its name."),
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
    Path(budget): Path<String>,
    (params, expected): (Params, Expected),
) -> Answer<StatusCode> {
    params.only(&[])?;
    documents::delete::<Budget>(&app, (asking.name(), expected), &budget).await?;
    budgets::refresh(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Document for Budget {
    type Spec = BudgetSpec;

    const KIND: DocumentKind = DocumentKind::Budget;
    const MAX: u32 = BUDGETS_MAX;
    const APPLIED: NoticeKind = NoticeKind::BudgetApplied;
    const DELETED: NoticeKind = NoticeKind::BudgetDeleted;

    fn name(&self) -> &str {
        &self.name
    }

    fn spec(&self) -> BudgetSpec {
        Self::spec(self)
    }

    fn of_version(version: &DocumentVersion) -> Option<Self> {
        budget_of(version)
    }
}

fn view(held: &Held, board: Board) -> BudgetView {
    let counts = board.counts;
    let (standings, standings_left_out) = board.rows();
    BudgetView {
        spec: held.budget.spec(),
        version: held.version,
        applied_by: held.author.clone(),
        applied_ms: held.at.unix_ms(),
        counts,
        standings,
        standings_left_out,
    }
}

fn version_view(version: DocumentVersion) -> BudgetVersionView {
    let spec: Option<BudgetSpec> = budget_of(&version).map(|budget| budget.spec());
    BudgetVersionView {
        version: version.version,
        at_ms: version.at.unix_ms(),
        by: version.author,
        spec,
    }
}
