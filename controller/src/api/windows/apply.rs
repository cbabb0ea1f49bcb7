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
use tidemark_store::{Applying, StoredWindow};

use super::{TIMES, WindowLookupError, times_of};
use crate::api::body::{self, Invalid, Request};
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
    params(("dry_run" = Option<bool>, Query, description = "Store nothing; only say what would change, for whom, and when the windows would come.")),
    request_body = WindowsRequest,
    responses(
        (status = 200, description = "What was done.", body = WindowsApplied),
        (status = 400, description = "Windows are not as they must be; every problem is told.", body = Problem, content_type = "application/problem+json"),
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
    let stored = stored(&app, &windows).await?;
    let mut versions = Vec::new();
    if dry_run {
        versions.extend(stored.iter().map(|former| {
            let version = former.as_ref().map_or(0, |former| former.version);
            version.saturating_add(1)
        }));
    } else {
        versions = store(&app, &windows, &stored, asking.name()).await?;
    }
    let borrowed: Vec<&Window> = windows.iter().collect();
    let surveys = maintain::survey(&app, &borrowed, now);
    let changes = windows.iter().zip(&stored).zip(versions).zip(&surveys);
    let changes = changes.map(|(((window, former), version), survey)| {
        let outcome = outcome(window, former.as_ref());
        WindowChange {
            name: window.name().to_owned(),
            outcome: outcome.to_owned(),
            version: match former {
                Some(former) if outcome == "unchanged" => former.version,
                Some(_) | None => version,
            },
            hosts: survey.hosts(),
            times: times_of(window, survey, (TIMES, now)),
        }
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

/// What is stored under the names of these windows.
async fn stored(app: &App, windows: &[Window]) -> Answer<Vec<Option<StoredWindow>>> {
    let mut tx = app.store.read().await?;
    let mut stored = Vec::with_capacity(windows.len());
    for window in windows {
        stored.push(tx.window_find(window.name()).await?);
    }
    let news = stored.iter().filter(|former| former.is_none()).count() as u64;
    let all = tx.windows_count().await?.saturating_add(news);
    if all > u64::from(WINDOWS_MAX) {
        return Err(Invalid(vec![format!(
            "there would be {all} windows; there may be {WINDOWS_MAX}: delete some, or let one stand for more hosts by its matchers"
        )])
        .into());
    }
    Ok(stored)
}

fn outcome(window: &Window, former: Option<&StoredWindow>) -> &'static str {
    match former {
        None => "created",
        Some(former) if former.spec == *window.spec() => "unchanged",
        Some(_) => "changed",
    }
}

/// Stores those that are new or other than before; answers the version of each.
async fn store(
    app: &App,
    windows: &[Window],
    stored: &[Option<StoredWindow>],
    by: &str,
) -> Answer<Vec<u64>> {
    let by = clean(by);
    let applying = Applying {
        by: &by,
        at: app.clock.now(),
    };
    let mut versions = Vec::with_capacity(windows.len());
    let mut told = Vec::new();
    let mut tx = app.store.begin().await?;
    for (window, former) in windows.iter().zip(stored) {
        let former_version = former.as_ref().map(|former| former.version);
        let outcome = outcome(window, former.as_ref());
        if outcome == "unchanged" {
            versions.push(former_version.unwrap_or(0));
            continue;
        }
        let version = tx
            .window_put(window.spec(), former_version, applying)
            .await?;
        versions.push(version);
        let name = window.name();
        told.push(format!(
            "{by} {outcome} the window {name}, version {version}"
        ));
    }
    tx.commit().await?;
    for text in told {
        app.note(None, NoticeKind::WindowApplied, text);
    }
    maintain::refresh(app).await?;
    app.incidents_changed.notify_one();
    Ok(versions)
}

/// Deletes a window in the caller's name; its versions stay.
#[utoipa::path(
    delete,
    path = "/api/v1/windows/{window}",
    tag = "maintenance",
    params(("window" = String, Path, description = "Its name.")),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Somebody else changed it meanwhile.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(window): Path<String>,
    params: Params,
) -> Answer<StatusCode> {
    params.only(&[])?;
    let by = clean(asking.name());
    let applying = Applying {
        by: &by,
        at: app.clock.now(),
    };
    let mut tx = app.store.begin().await?;
    let former = tx.window_find(&window).await?;
    let former = former.ok_or_else(|| WindowLookupError::unknown(&window))?;
    tx.window_delete(&window, former.version, applying).await?;
    tx.commit().await?;
    let text = format!("{by} deleted the window {window}");
    app.note(None, NoticeKind::WindowDeleted, text);
    maintain::refresh(&app).await?;
    app.incidents_changed.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
