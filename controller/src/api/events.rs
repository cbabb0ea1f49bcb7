//! `/api/v1/events`: what happened, newest first.

use axum::Json;
use tidemark_model::Timestamp;
use tidemark_model::notice::{Notice, NoticeKind};
use tidemark_model::view::{EventView, Page, Problem};
use tidemark_store::{NoticeQuery, NoticeStart, StoreError};

use super::fleet;
use super::params::{ParamError, Params};
use super::problem::Answer;
use super::seen::SeenPage;
use crate::access::Horizon;
use crate::app::App;

/// Events, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "events",
    params(
        ("host" = Option<String>, Query, description = "Id or name."),
        ("kind" = Option<String>, Query, description = "A kind, as in host_enrolled."),
        ("since_ms" = Option<i64>, Query, description = "Only from this time on, in unix milliseconds."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of events.", body = Page<EventView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(horizon: Horizon, params: Params) -> Answer<Json<Page<EventView>>> {
    let params = params.only(&["host", "kind", "since_ms", "limit", "cursor"])?;
    let limit = params.limit()?;
    let query = NoticeQuery {
        start: params
            .parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?
            .map_or(NoticeStart::Newest, NoticeStart::Before),
        host: params
            .one("host")?
            .map(|name| fleet::find_host(&horizon, name))
            .transpose()?,
        kind: kind_of(&params)?,
        since: params
            .number("since_ms", i64::MIN..=i64::MAX)?
            .map(Timestamp::from_unix_ms),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let (items, next) = page(&horizon, &query).await?;
    let next_cursor = next.map(|id| id.to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// A page of events as the API shows them, of those that the caller sees, and the number that the next page begins before. What is
/// about no host is about the whole fleet.
///
/// # Errors
/// What the database says.
pub async fn page(
    horizon: &Horizon,
    query: &NoticeQuery,
) -> Result<(Vec<EventView>, Option<i64>), StoreError> {
    let app = horizon.app();
    let after = match query.start {
        NoticeStart::Before(id) => Some(id),
        NoticeStart::Newest | NoticeStart::After(_) => None,
    };
    let mut found = SeenPage::new(horizon.scope(), query.limit, after);
    let mut tx = app.store.read().await?;
    while let Some((before, limit)) = found.next_read() {
        let query = NoticeQuery {
            start: before.map_or(NoticeStart::Newest, NoticeStart::Before),
            limit,
            ..*query
        };
        let sees = |notice: &Notice| horizon.sees_what_is_of(notice.host);
        found.take(tx.notices_page(&query).await?, |notice| notice.id, sees);
    }
    let items = found.rows.iter().map(|notice| view(app, notice)).collect();
    Ok((items, found.next))
}

/// An event as the API shows it.
#[must_use]
pub fn view(app: &App, notice: &Notice) -> EventView {
    EventView {
        id: notice.id,
        at_ms: notice.at.unix_ms(),
        host: notice.host.map(|id| id.to_string()),
        host_name: notice.host.and_then(|id| app.live.name_of(id)),
        kind: notice.kind.as_str().to_owned(),
        text: notice.text.to_string(),
    }
}

fn kind_of(params: &Params) -> Result<Option<NoticeKind>, ParamError> {
    let names = || {
        let names: Vec<_> = NoticeKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("one of {}", names.join(", "))
    };
    params.parsed("kind", names, NoticeKind::from_name)
}
