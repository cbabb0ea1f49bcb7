//! `/notifications`: receivers and how they fare, silences, and messages that were sent or are on their way.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Form};
use tidemark_model::duration::parse_duration;
use tidemark_model::view::{
    NotificationView, ReceiverTest, ReceiverView, SilenceRequest, SilenceView,
};
use tidemark_model::{ErrorCode, Role, Timestamp};
use tidemark_store::NotificationQuery;

use super::incident::{Fields, field};
use super::{Frame, for_person, page as respond, words};
use crate::api::guard::Asking;
use crate::api::notifications as api;
use crate::api::params::Params;
use crate::api::problem::{Answer, ApiProblem};
use crate::api::silences;
use crate::app::App;

/// Messages and silences of a page.
const ROWS: u32 = 50;

/// `GET /notifications`.
pub async fn page(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    let shown = async {
        params.only(&[])?;
        notifications_page(&app, &asking, None).await
    };
    for_person(shown.await)
}

/// `POST /notifications/test`: sends a test message and says how it fared.
pub async fn test(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Form(fields): Fields,
) -> Response {
    let done = async {
        let receiver = field(&fields, "receiver");
        let tested = api::send_test(&app, receiver, asking.name()).await?;
        notifications_page(&app, &asking, Some(tested)).await
    };
    for_person(done.await)
}

/// `POST /silences`: makes a silence.
pub async fn silence(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Form(fields): Fields,
) -> Response {
    let done = async {
        let duration = parse_duration(field(&fields, "duration")).map_err(|error| {
            ApiProblem::new(ErrorCode::InvalidArgument, format!("duration: {error}"))
        })?;
        let request = SilenceRequest {
            matchers: field(&fields, "matchers")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            starts_ms: None,
            duration_s: duration.as_secs(),
            reason: field(&fields, "reason").to_owned(),
        };
        silences::make(&app, asking.by(), &request).await?;
        Ok(Redirect::to("/notifications").into_response())
    };
    for_person(done.await)
}

/// `POST /silences/{silence}/end`.
pub async fn end_silence(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(silence): Path<String>,
) -> Response {
    let done = async {
        silences::end_one(&app, &asking.scope(), &silence).await?;
        Ok(Redirect::to("/notifications").into_response())
    };
    for_person(done.await)
}

async fn notifications_page(
    app: &App,
    asking: &Asking,
    tested: Option<ReceiverTest>,
) -> Answer<Response> {
    let now = app.clock.now();
    let query = NotificationQuery {
        before: None,
        receiver: None,
        state: None,
        limit: ROWS,
    };
    let (silences, _) = silences::page(app, &asking.scope(), (None, ROWS)).await?;
    // Receivers are told of all hosts.
    let told = match asking.scope().is_all() {
        false => None,
        true => Some(Told {
            receivers: api::receiver_views(app)
                .await?
                .into_iter()
                .map(|view| ReceiverRow::new(view, now))
                .collect(),
            messages: api::page(app, &query)
                .await?
                .into_iter()
                .map(|view| MessageRow::new(view, now))
                .collect(),
        }),
    };
    Ok(respond(&NotificationsPage {
        frame: Frame::new("notifications", asking),
        told,
        silences: silences
            .into_iter()
            .map(|silence| SilenceRow::new(silence, now))
            .collect(),
        can_act: asking.may(Role::Operator),
        tested,
    }))
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct NotificationsPage {
    frame: Frame,
    /// `None` for whoever sees a part of the fleet.
    told: Option<Told>,
    silences: Vec<SilenceRow>,
    can_act: bool,
    tested: Option<ReceiverTest>,
}

/// Who is told of incidents, and what they were told.
struct Told {
    receivers: Vec<ReceiverRow>,
    messages: Vec<MessageRow>,
}

#[derive(Clone, Debug)]
struct ReceiverRow {
    view: ReceiverView,
    tone: &'static str,
    last: String,
}

impl ReceiverRow {
    fn new(view: ReceiverView, now: Timestamp) -> Self {
        let tone = match (&view.last_error, view.pending) {
            (None, _) => "calm",
            (Some(_), 0) => "watch",
            (Some(_), _) => "urgent",
        };
        let last = view.last_delivered_ms.map(Timestamp::from_unix_ms);
        Self {
            tone,
            last: last.map_or_else(|| "never".to_owned(), |last| words::relative(last, now)),
            view,
        }
    }
}

#[derive(Clone, Debug)]
struct SilenceRow {
    matchers: String,
    /// Of which hosts alone; empty for all.
    scope: String,
    end: String,
    is_over: bool,
    view: SilenceView,
}

impl SilenceRow {
    fn new(view: SilenceView, now: Timestamp) -> Self {
        let end = Timestamp::from_unix_ms(view.ends_ms);
        Self {
            matchers: view.matchers.join(" "),
            scope: view.scope.clone().unwrap_or_default(),
            end: words::relative(end, now),
            is_over: view.state == "expired",
            view,
        }
    }
}

#[derive(Clone, Debug)]
struct MessageRow {
    view: NotificationView,
    at: String,
    tone: &'static str,
    subject: String,
    next: String,
}

impl MessageRow {
    fn new(view: NotificationView, now: Timestamp) -> Self {
        let tone = match (view.state.as_str(), &view.last_error) {
            ("failed", _) => "urgent",
            ("pending", Some(_)) => "watch",
            (_, _) => "calm",
        };
        let next = view
            .next_try_ms
            .filter(|_| view.attempts > 0)
            .map(|at| words::relative(Timestamp::from_unix_ms(at), now));
        Self {
            at: words::moment(Timestamp::from_unix_ms(view.created_ms), now),
            tone,
            subject: view
                .subject
                .clone()
                .unwrap_or_else(|| "a message that cannot be read any more".to_owned()),
            next: next.map_or_else(String::new, |next| format!("next try {next}")),
            view,
        }
    }
}
