//! `silence add|list|remove`, `notify test`, `get receivers` and `get notifications`: who is told, and when not.

use serde::{Serialize, Serializer};
use tidemark_model::view::{
    NotificationView, Problem, ReceiverTest, ReceiverView, SilenceRequest, SilenceView,
};

use super::Ctx;
use super::one_by_one::one_by_one;
use super::show::{show, show_once};
use crate::api::Query;
use crate::args::{NotificationsArgs, SilenceAddArgs};
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Makes a silence.
pub async fn add_silence(ctx: &Ctx<'_>, wanted: &SilenceAddArgs) -> Result<(), Failure> {
    let request = SilenceRequest {
        matchers: wanted.matchers.clone(),
        starts_ms: None,
        duration_s: wanted.duration.as_secs(),
        reason: wanted.reason.clone(),
    };
    let silence = ctx.api()?.create_silence(&request).await?;
    show_once(ctx, &Silences(vec![silence]))
}

/// Lists silences.
pub async fn list_silences(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.silences().await.map(Silences)).await
}

/// Ends silences.
pub async fn remove_silences(ctx: &Ctx<'_>, ids: &[i64]) -> Result<(), Failure> {
    let api = ctx.api()?;
    let said = |id: &i64| format!("ended silence {id}");
    one_by_one(ctx, ids, said, async |id| api.end_silence(*id).await).await
}

/// Sends a test message, and fails when it does not arrive.
pub async fn test(ctx: &Ctx<'_>, receiver: &str) -> Result<(), Failure> {
    let tested = ctx.api()?.test_receiver(receiver).await?;
    if tested.delivered {
        return show_once(ctx, &Tested(tested));
    }
    let why = tested
        .error
        .unwrap_or_else(|| "it does not say why".to_owned());
    Err(Failure::Problem(Problem {
        kind: "not_delivered".to_owned(),
        status: 200,
        title: format!("{receiver} did not take the test message: {why}"),
        correlation_id: None,
    }))
}

/// Lists receivers.
pub async fn receivers(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.receivers().await.map(Receivers)).await
}

/// Lists messages.
pub async fn notifications(ctx: &Ctx<'_>, wanted: &NotificationsArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let mut query = Query::new();
    query.extend(wanted.receiver.clone().map(|name| ("receiver", name)));
    let state = wanted.state.map(|state| state.as_str().to_owned());
    query.extend(state.map(|state| ("state", state)));
    let rows = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    show(ctx, async || {
        api.notifications(query.clone(), rows)
            .await
            .map(Notifications)
    })
    .await
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Tested(ReceiverTest);

impl Report for Tested {
    fn table(&self, _screen: &Screen) -> String {
        format!("{} took the test message\n", visible(&self.0.receiver))
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec!["receiver", "delivered"],
            rows: vec![vec![
                Value::text(&self.0.receiver),
                Value::number(self.0.delivered),
            ]],
        }
    }
}

macro_rules! list {
    ($name:ident, $view:ty) => {
        #[derive(Debug)]
        struct $name(Vec<$view>);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(to)
            }
        }
    };
}

list!(Silences, SilenceView);
list!(Receivers, ReceiverView);
list!(Notifications, NotificationView);

impl Report for Silences {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No silences. Make one: tidemark silence add --for 2h --reason WHY host=NAME\n"
                .to_owned();
        }
        // Where everybody sees all hosts the column says nothing.
        let has_scopes = self.0.iter().any(|silence| silence.scope.is_some());
        let left = |name| (name, Align::Left);
        let mut columns = vec![
            ("ID", Align::Right),
            ("STATE", Align::Whole),
            left("ENDS"),
            left("MATCHES"),
        ];
        columns.extend(has_scopes.then_some(left("SCOPE")));
        columns.extend([left("AUTHOR"), left("WHY")]);
        let mut table = Table::new(&columns);
        for silence in &self.0 {
            let tone = match silence.state.as_str() {
                "active" => Tone::Watch,
                "expired" => Tone::Muted,
                _ => Tone::Plain,
            };
            let mut cells = vec![
                Cell::from(silence.id.to_string()),
                Cell::toned(&silence.state, tone),
                words::relative(silence.ends_ms, screen.now).into(),
                silence.matchers.join(" ").into(),
            ];
            let scope = silence.scope.as_deref().unwrap_or("all hosts");
            cells.extend(has_scopes.then(|| Cell::from(scope)));
            cells.push(silence.author.as_str().into());
            cells.push(silence.reason.as_str().into());
            table.row(cells);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |silence: &SilenceView| {
            vec![
                Value::number(silence.id),
                Value::text(&silence.state),
                Value::text(silence.matchers.join(" ")),
                Value::maybe_text(silence.scope.as_deref()),
                Value::number(silence.starts_ms),
                Value::number(silence.ends_ms),
                Value::text(&silence.author),
                Value::text(&silence.reason),
            ]
        };
        Sheet {
            header: vec![
                "id",
                "state",
                "matchers",
                "scope",
                "starts_ms",
                "ends_ms",
                "author",
                "reason",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}

impl Report for Receivers {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No receivers. They are [[notify.receiver]] in the controller's configuration.\n"
                .to_owned();
        }
        let right = |name| (name, Align::Right);
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("TYPE", Align::Left),
            right("ROUTES"),
            right("PENDING"),
            right("DELIVERED"),
            right("GIVEN UP"),
            ("LAST DELIVERED", Align::Left),
            ("LAST ERROR", Align::Left),
        ]);
        for receiver in &self.0 {
            let last = receiver.last_delivered_ms;
            table.row([
                receiver.name.as_str().into(),
                receiver.kind.as_str().into(),
                receiver.routes.into(),
                receiver.pending.into(),
                receiver.delivered.into(),
                receiver.failed.into(),
                last.map_or_else(|| "never".to_owned(), |at| words::relative(at, screen.now))
                    .into(),
                receiver.last_error.as_deref().unwrap_or("-").into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |receiver: &ReceiverView| {
            vec![
                Value::text(&receiver.name),
                Value::text(&receiver.kind),
                Value::number(receiver.routes),
                Value::number(receiver.pending),
                Value::number(receiver.delivered),
                Value::number(receiver.failed),
                Value::maybe(receiver.last_delivered_ms),
                Value::maybe_text(receiver.last_error.as_deref()),
            ]
        };
        Sheet {
            header: vec![
                "name",
                "kind",
                "routes",
                "pending",
                "delivered",
                "failed",
                "last_delivered_ms",
                "last_error",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}

impl Report for Notifications {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No messages were sent. Try a receiver: tidemark notify test NAME\n".to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            ("ID", Align::Right),
            ("QUEUED", Align::Whole),
            left("RECEIVER"),
            ("STATE", Align::Whole),
            ("TRIES", Align::Right),
            left("WHAT"),
            left("LAST ERROR"),
        ]);
        for message in &self.0 {
            let tone = match message.state.as_str() {
                "delivered" => Tone::Good,
                "failed" => Tone::Bad,
                _ => Tone::Watch,
            };
            table.row([
                Cell::from(message.id.to_string()),
                Cell::toned(
                    words::date_time(message.created_ms, &screen.zone, screen.now),
                    Tone::Muted,
                ),
                message.receiver.as_str().into(),
                Cell::toned(&message.state, tone),
                message.attempts.into(),
                message.subject.as_deref().unwrap_or("?").into(),
                message.last_error.as_deref().unwrap_or("-").into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |message: &NotificationView| {
            vec![
                Value::number(message.id),
                Value::number(message.created_ms),
                Value::text(&message.receiver),
                Value::text(&message.state),
                Value::number(message.attempts),
                Value::maybe_text(message.subject.as_deref()),
                Value::maybe(message.ended_ms),
                Value::maybe_text(message.last_error.as_deref()),
            ]
        };
        Sheet {
            header: vec![
                "id",
                "created_ms",
                "receiver",
                "state",
                "attempts",
                "subject",
                "ended_ms",
                "last_error",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}
