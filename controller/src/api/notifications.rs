//! `/api/v1/notifications` and `/api/v1/receivers`: what receivers were told, and whether it arrived.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use tidemark_model::view::{NotificationView, Page, Problem, ReceiverTest, ReceiverView};
use tidemark_model::{ErrorCode, Timestamp};
use tidemark_store::{Notification, NotificationQuery, NotificationState, StoreError};

use super::fleet;
use super::guard::Asking;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::app::App;
use crate::notify::message::Message;
use crate::notify::receiver::{Receiver, Sender};

/// Messages, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/notifications",
    tag = "notifications",
    params(
        ("receiver" = Option<String>, Query, description = "Only to this receiver."),
        ("state" = Option<String>, Query, description = "pending, delivered or failed."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of messages.", body = Page<NotificationView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    params: Params,
) -> Answer<Json<Page<NotificationView>>> {
    let params = params.only(&["receiver", "state", "limit", "cursor"])?;
    let limit = params.limit()?;
    let query = NotificationQuery {
        before: params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?,
        receiver: params.one("receiver")?,
        state: params.parsed(
            "state",
            || "pending, delivered or failed".to_owned(),
            NotificationState::from_name,
        )?,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let items = page(&app, &query).await?;
    let next_cursor =
        fleet::cursor_after(&items, limit, |notification| notification.id.to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// Receivers as they are configured, and how their messages fare.
#[utoipa::path(
    get,
    path = "/api/v1/receivers",
    tag = "notifications",
    responses(
        (status = 200, description = "All receivers.", body = Page<ReceiverView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn receivers(
    State(app): State<Arc<App>>,
    params: Params,
) -> Answer<Json<Page<ReceiverView>>> {
    params.only(&[])?;
    Ok(Json(Page {
        items: receiver_views(&app).await?,
        next_cursor: None,
    }))
}

/// Sends a test message to a receiver at once, and says whether it arrived.
#[utoipa::path(
    post,
    path = "/api/v1/receivers/{receiver}/test",
    tag = "notifications",
    params(("receiver" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "How it fared.", body = ReceiverTest),
        (status = 404, description = "There is no such receiver.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn test(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(receiver): Path<String>,
    params: Params,
) -> Answer<Json<ReceiverTest>> {
    params.only(&[])?;
    Ok(Json(send_test(&app, &receiver, asking.name()).await?))
}

/// Sends a test message in the name of `by`.
///
/// # Errors
/// When there is no such receiver. That it does not arrive is an answer.
pub async fn send_test(app: &App, receiver: &str, by: &str) -> Answer<ReceiverTest> {
    let found = app.notify.receiver(receiver).cloned();
    let found = found.ok_or_else(|| unknown(app, receiver))?;
    let name = found.name.clone();
    let message = Message::test(app, &name, by);
    let written = serde_json::to_string(&message)
        .map_err(|error| ApiProblem::internal(&error.to_string()))?;
    let sent = sent(found, &message, &written, app.clock.now()).await;
    if sent.is_err() {
        app.metrics.notification_tries_failed.add(1);
    }
    Ok(ReceiverTest {
        receiver: name,
        delivered: sent.is_ok(),
        error: sent.err(),
    })
}

async fn sent(
    receiver: Receiver,
    message: &Message,
    written: &str,
    now: Timestamp,
) -> Result<(), String> {
    let sender = Sender::new(receiver);
    let sent = sender.send(message, written, now).await;
    sent.map_err(|error| error.text)
}

fn unknown(app: &App, receiver: &str) -> ApiProblem {
    let names: Vec<&str> = app
        .notify
        .receivers
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let name: String = receiver.chars().take(64).collect();
    let title = if names.is_empty() {
        "there are no receivers; add one to the controller's configuration as [[notify.receiver]]"
            .to_owned()
    } else {
        format!(
            "there is no receiver {name:?}; there are: {}",
            names.join(", ")
        )
    };
    ApiProblem::new(ErrorCode::NotFound, title)
}

/// A page of messages as the API shows them.
///
/// # Errors
/// What the database says.
pub async fn page(
    app: &App,
    query: &NotificationQuery<'_>,
) -> Result<Vec<NotificationView>, StoreError> {
    let mut tx = app.store.read().await?;
    let notifications = tx.notifications_page(query).await?;
    Ok(notifications.into_iter().map(view).collect())
}

/// All receivers as the API shows them.
///
/// # Errors
/// What the database says.
pub async fn receiver_views(app: &App) -> Result<Vec<ReceiverView>, StoreError> {
    let mut tx = app.store.read().await?;
    let counts = tx.notification_counts().await?;
    let mut views = Vec::new();
    for receiver in &app.notify.receivers {
        let of = |state: NotificationState| {
            counts
                .iter()
                .find(|count| count.receiver == receiver.name && count.state == state)
        };
        let count = |state| of(state).map_or(0, |count| count.count);
        let mut last_error = None;
        for state in [NotificationState::Pending, NotificationState::Failed] {
            let query = NotificationQuery {
                before: None,
                receiver: Some(&receiver.name),
                state: Some(state),
                limit: 1,
            };
            let newest = tx.notifications_page(&query).await?;
            let error = newest.into_iter().next().and_then(|one| one.last_error);
            last_error = last_error.or(error);
        }
        let routes = app
            .notify
            .routes
            .iter()
            .filter(|route| route.receiver == receiver.name);
        views.push(ReceiverView {
            name: receiver.name.clone(),
            kind: receiver.kind_name().to_owned(),
            routes: routes.count() as u64,
            pending: count(NotificationState::Pending),
            delivered: count(NotificationState::Delivered),
            failed: count(NotificationState::Failed),
            last_delivered_ms: of(NotificationState::Delivered)
                .and_then(|count| count.last_ended_at)
                .map(Timestamp::unix_ms),
            last_error,
        });
    }
    Ok(views)
}

fn view(notification: Notification) -> NotificationView {
    let message: Option<Message> = serde_json::from_str(&notification.message).ok();
    let is_pending = notification.state == NotificationState::Pending;
    NotificationView {
        id: notification.id,
        receiver: notification.receiver,
        subject: message.as_ref().map(Message::subject),
        incidents: message
            .iter()
            .flat_map(Message::told)
            .map(|told| told.id)
            .collect(),
        key: notification.key,
        state: notification.state.as_str().to_owned(),
        attempts: notification.attempts,
        last_error: notification.last_error,
        created_ms: notification.created_at.unix_ms(),
        next_try_ms: is_pending.then(|| notification.next_try_at.unix_ms()),
        ended_ms: notification.ended_at.map(Timestamp::unix_ms),
    }
}
