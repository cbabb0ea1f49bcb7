//! `session`: browsers that are signed in.

use serde::Serialize;
use tidemark_model::view::SessionView;

use super::Ctx;
use super::one_by_one::one_by_one;
use super::show::show;
use crate::args::Session;
use crate::failure::Failure;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Does what was asked.
pub async fn run(ctx: &Ctx<'_>, wanted: &Session) -> Result<(), Failure> {
    match wanted {
        Session::List { user } => list(ctx, user.as_deref()).await,
        Session::End { ids } => {
            let api = ctx.api()?;
            let said = |id: &String| format!("signed out session {}", visible(id));
            one_by_one(ctx, ids, said, async |id| api.end_session(id).await).await
        }
    }
}

/// Lists browsers that are signed in.
pub async fn list(ctx: &Ctx<'_>, user: Option<&str>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.sessions(user).await.map(SessionList)).await
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct SessionList(Vec<SessionView>);

/// Whose a session is, in words.
fn whose(session: &SessionView) -> String {
    match (session.by.as_str(), &session.of) {
        ("user", Some(name)) => visible(name),
        ("api_token", Some(id)) => format!("API token {}", visible(id)),
        ("machine", _) => "the controller's machine".to_owned(),
        _ => visible(&session.by),
    }
}

impl Report for SessionList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No browser is signed in.\n".to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            left("ID"),
            left("WHOSE"),
            left("FROM"),
            left("USED"),
            left("ENDS"),
            left("BROWSER"),
        ]);
        for session in &self.0 {
            table.row([
                session.id.as_str().into(),
                whose(session).into(),
                session.address.as_str().into(),
                words::relative(session.used_ms, screen.now).into(),
                words::relative(session.expires_ms, screen.now).into(),
                session.user_agent.as_str().into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |session: &SessionView| {
            vec![
                Value::text(&session.id),
                Value::text(&session.by),
                Value::maybe_text(session.of.as_deref()),
                Value::text(&session.address),
                Value::text(&session.user_agent),
                Value::number(session.created_ms),
                Value::number(session.used_ms),
                Value::number(session.expires_ms),
                Value::number(session.is_current),
            ]
        };
        Sheet {
            header: vec![
                "id",
                "by",
                "of",
                "address",
                "user_agent",
                "created_ms",
                "used_ms",
                "expires_ms",
                "is_current",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}
