//! Applying and deleting windows: everything is checked first, all are stored or none, each in its applier's name.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_calendar::Window;
use tidemark_model::Timestamp;
use tidemark_model::notice::NoticeKind;
use tidemark_model::view::{Problem, WindowChange, WindowsApplied, WindowsRequest};
use tidemark_model::window::WindowSpec;
use tidemark_store::{DocumentKind, DocumentVersion};

use super::{TIMES, times_of};
use crate::api::body::{self, Invalid, Request};
use crate::api::documents::{self, Applying, Document, Effect};
use crate::api::expected::Expected;
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::app::App;
use crate::incidents::text::clean;
use crate::maintain::{self, WINDOWS_MAX};

/// Sentences about what is wrong after which no more windows are looked at: one that never comes takes longest to see.
const PROBLEMS_MAX: usize = 20;

/// Applies windows in the caller's name, all or none. Windows that are not named stay as they are.
#[utoipa::path(
    put,
    path = "/api/v1/windows",
    tag = "maintenance",
    params(
        ("dry_run" = Option<bool>, Query, description = "Store nothing; only say what would change, for whom, and when the windows would come."),
        ("If-Match" = Option<String>, Header, description = "The ETag that the one document had when it was read, or *: another version is not changed."),
        ("If-None-Match" = Option<String>, Header, description = "* alone: only where none of that name is there."),
    ),
    request_body = WindowsRequest,
    responses(
        (status = 200, description = "What was done.", body = WindowsApplied),
        (status = 400, description = "Windows are not as they must be; every problem is told.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The one that is applied is not what If-Match or If-None-Match expects.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Somebody else changed one of them meanwhile.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn apply(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<Json<WindowsApplied>> {
    let params = params.only(&["dry_run"])?;
    let dry_run = params.flag("dry_run")?;
    let request: WindowsRequest = body::json(&headers, &body, "the body holds no windows")?;
    let now = app.clock.now();
    let windows = checked(request, now)?;
    let effect = Effect::of(dry_run);
    let applying = Applying {
        author: asking.name(),
        effect,
        expected: Expected::of(&headers)?,
    };
    let changes = documents::apply(&app, applying, &windows, |_| Ok(())).await?;
    if effect == Effect::Store {
        take_in(&app).await?;
    }
    let borrowed: Vec<&Window> = windows.iter().collect();
    let surveys = maintain::survey(&app, &borrowed, now);
    let changes = changes.into_iter().zip(&surveys);
    let changes = changes.map(|(change, survey)| WindowChange {
        name: change.wanted.name().to_owned(),
        outcome: change.outcome.to_owned(),
        version: change.version,
        hosts: survey.hosts(),
        times: times_of(change.wanted, survey, (TIMES, now)),
    });
    Ok(Json(WindowsApplied {
        dry_run,
        windows: changes.collect(),
    }))
}

fn checked(request: WindowsRequest, now: Timestamp) -> Result<Vec<Window>, Invalid> {
    let count = request.window.len();
    if !(1..=WINDOWS_MAX as usize).contains(&count) {
        return Err(Invalid(vec![format!(
            "window has {count} entries; it must have 1 to {WINDOWS_MAX}"
        )]));
    }
    let mut windows = Vec::with_capacity(count);
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for spec in request.window {
        let name = clean(&spec.name);
        match Window::new(spec, now) {
            Ok(window) => windows.push(window),
            Err(error) => {
                wrong.extend(
                    error
                        .0
                        .into_iter()
                        .map(|why| format!("window {name:?}: {why}")),
                );
            }
        }
        if !names.insert(name.clone()) {
            wrong.push(format!("window {name:?} is there twice; keep one"));
        }
        if wrong.len() >= PROBLEMS_MAX {
            wrong.push("the windows after it were not looked at".to_owned());
            break;
        }
    }
    if wrong.is_empty() {
        Ok(windows)
    } else {
        Err(Invalid(wrong))
    }
}

impl Document for Window {
    type Spec = WindowSpec;

    const KIND: DocumentKind = DocumentKind::Window;
    const MAX: u32 = WINDOWS_MAX;
    const APPLIED: NoticeKind = NoticeKind::WindowApplied;
    const DELETED: NoticeKind = NoticeKind::WindowDeleted;

    fn name(&self) -> &str {
        Self::name(self)
    }

    fn spec(&self) -> WindowSpec {
        Self::spec(self).clone()
    }

    fn of_version(version: &DocumentVersion) -> Option<Self> {
        maintain::window_of(version)
    }
}

async fn take_in(app: &App) -> Answer<()> {
    maintain::refresh(app).await?;
    app.incidents_changed.notify_one();
    Ok(())
}

/// Deletes a window in the caller's name; its versions stay.
#[utoipa::path(
    delete,
    path = "/api/v1/windows/{window}",
    tag = "maintenance",
    params(
        ("window" = String, Path, description = "Its name."),
        ("If-Match" = Option<String>, Header, description = "The ETag that the one document had when it was read, or *: another version is not changed."),
    ),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 412, description = "It is at another version than If-Match expects.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Somebody else changed it meanwhile.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(window): Path<String>,
    (params, expected): (Params, Expected),
) -> Answer<StatusCode> {
    params.only(&[])?;
    documents::delete::<Window>(&app, (asking.name(), expected), &window).await?;
    take_in(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}
