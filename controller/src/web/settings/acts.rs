//! What the forms of `/settings` do. Whatever shuts somebody out is asked once more, with what it ends.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Form};
use tidemark_model::duration::{format_duration, parse_duration};
use tidemark_model::view::{ApiTokenRequest, JoinTokenRequest, OwnPasswordRequest, PasswordText};
use tidemark_model::{ErrorCode, Secret};

use super::{Told, settings_page};
use crate::access::users::{self as access, Deed, Wanted};
use crate::api::connection::Peer;
use crate::api::guard::Asking;
use crate::api::problem::{Answer, ApiProblem};
use crate::api::{api_tokens, me, sessions, tokens, users};
use crate::app::App;
use crate::web::incident::{Fields, field};
use crate::web::{Frame, for_person, page as respond};

type Read = (State<Arc<App>>, Extension<Asking>);

/// Shown before anything is ended.
#[derive(Template)]
#[template(path = "settings_sure.html")]
struct Sure<'a> {
    frame: Frame,
    /// What is asked.
    question: &'a str,
    /// What comes of it.
    effect: &'a str,
    /// Where the form goes.
    action: &'a str,
    /// What is done there.
    deed: &'a str,
    /// The button.
    yes: &'a str,
}

fn is_sure(fields: &[(String, String)]) -> bool {
    field(fields, "sure") == "yes"
}

/// Ends something once somebody is sure, and asks them until then.
async fn ended(
    fields: &[(String, String)],
    sure: &Sure<'_>,
    end: impl Future<Output = Answer<()>>,
) -> Response {
    if !is_sure(fields) {
        return respond(sure);
    }
    for_person(end.await.map(|()| back()))
}

/// `POST /settings/password`: the own one.
pub async fn password(
    (State(app), Extension(asking)): Read,
    Extension(peer): Extension<Peer>,
    Form(fields): Fields,
) -> Response {
    let done = async {
        let text = |name| field(&fields, name).to_owned();
        if text("new") != text("again") {
            return Err(invalid("the two new passwords differ; type the same twice"));
        }
        let request = OwnPasswordRequest {
            current: PasswordText::new(text("current")),
            new: PasswordText::new(text("new")),
        };
        me::change(&app, &asking, peer, &request).await?;
        told(
            &app,
            &asking,
            "Your password is changed. Whatever else was signed in as you ended.",
        )
        .await
    };
    for_person(done.await)
}

/// `POST /settings/sessions/{session}`: signs a browser out.
pub async fn end_session(
    (State(app), Extension(asking)): Read,
    Path(session): Path<String>,
    Form(fields): Fields,
) -> Response {
    let action = format!("/settings/sessions/{session}");
    let sure = Sure {
        frame: Frame::new("settings", &asking),
        question: "Sign this browser out?",
        effect: "Whoever uses it has to sign in again; a page that they have open stops within 5 s.",
        action: &action,
        deed: "end",
        yes: "Sign it out",
    };
    ended(&fields, &sure, sessions::end_one(&app, &asking, &session)).await
}

/// `POST /settings/users`: makes a user.
pub async fn create_user((State(app), Extension(asking)): Read, Form(fields): Fields) -> Response {
    let done = async {
        let by = asking.by();
        let wanted = Wanted {
            scope: by.scope_of(scope_in(&fields).as_deref())?,
            name: field(&fields, "name").trim().to_owned(),
            role: users::role_of(field(&fields, "role"))?,
            password: Secret::new(field(&fields, "password").to_owned()),
        };
        let made = access::create(&app, &by, wanted).await?;
        let text = format!(
            "User {} can sign in as {}, for {}.",
            made.name,
            made.role.as_str(),
            made.scope
        );
        told(&app, &asking, &text).await
    };
    for_person(done.await)
}

/// `POST /settings/users/{user}`: what the buttons of a user do.
pub async fn user(
    (State(app), Extension(asking)): Read,
    Path(user): Path<String>,
    Form(fields): Fields,
) -> Response {
    for_person(act_on_user(&app, &asking, &user, &fields).await)
}

async fn act_on_user(
    app: &Arc<App>,
    asking: &Asking,
    user: &str,
    fields: &[(String, String)],
) -> Answer<Response> {
    let by = &asking.by();
    let deed = field(fields, "do");
    let ends = matches!(deed, "disable" | "delete");
    if ends && !is_sure(fields) {
        let known = access::find(&mut app.store.read().await?, by, user).await?;
        let (question, yes) = match deed {
            "delete" => (format!("Delete user {}?", known.name), "Delete"),
            _ => (format!("Disable user {}?", known.name), "Disable"),
        };
        return Ok(respond(&Sure {
            frame: Frame::new("settings", asking),
            question: &question,
            effect: "Their browsers are signed out and the tokens of their sign-ins end, open pages within 5 s. What they did stays \
                     written down under their name.",
            action: &format!("/settings/users/{}", known.name),
            deed,
            yes,
        }));
    }
    let text = match deed {
        "role" => {
            let role = users::role_of(field(fields, "role"))?;
            let changed = access::set_role(app, by, user, role).await?;
            format!("User {} is {} from here on.", changed.name, role.as_str())
        }
        "scope" => {
            let scope = by.scope_of(scope_in(fields).as_deref())?;
            let changed = access::set_scope(app, by, user, scope).await?;
            let (name, scope) = (&changed.name, &changed.scope);
            format!("User {name} sees and acts on {scope} from here on.")
        }
        "password" => {
            let password = Secret::new(field(fields, "password").to_owned());
            let changed = access::set_password(app, by, user, password).await?;
            format!(
                "User {} has another password. Whatever was signed in as them ended.",
                changed.name
            )
        }
        "delete" => {
            access::delete(app, by, user).await?;
            format!("User {user} is deleted.")
        }
        word => {
            let deed = Deed::from_name(word).ok_or_else(|| {
                invalid("do must be role, scope, password, disable, enable, unlock or delete")
            })?;
            let changed = access::act(app, by, user, deed).await?;
            format!("User {}: {} is done.", changed.name, deed.as_str())
        }
    };
    told(app, asking, &text).await
}

/// `POST /settings/api-tokens`: makes an API token and shows it this once.
pub async fn create_api_token(
    (State(app), Extension(asking)): Read,
    Form(fields): Fields,
) -> Response {
    let done = async {
        let request = ApiTokenRequest {
            name: field(&fields, "name").trim().to_owned(),
            role: field(&fields, "role").to_owned(),
            ttl_s: ttl("ttl", field(&fields, "ttl"))?.map(|ttl| ttl.as_secs()),
            scope: scope_in(&fields),
        };
        let made = api_tokens::make(&app, &asking.scope(), &request).await?;
        let told = Told {
            text: format!(
                "API token {} of {}, as {} for {}. It is shown only this once:",
                made.id,
                made.name,
                made.role,
                made.scope.as_deref().unwrap_or("all hosts")
            ),
            secret: made.token,
            hint: "Its holder logs in with: tidemark login --server URL".to_owned(),
        };
        settings_page(&app, &asking, told).await
    };
    for_person(done.await)
}

/// `POST /settings/api-tokens/{token}`: ends an API token.
pub async fn end_api_token(
    (State(app), Extension(asking)): Read,
    Path(token): Path<String>,
    Form(fields): Fields,
) -> Response {
    let action = format!("/settings/api-tokens/{token}");
    let question = format!("Revoke API token {token}?");
    let sure = Sure {
        frame: Frame::new("settings", &asking),
        question: &question,
        effect: "Its next request is refused, browsers that it signed in are out, and open pages stop within 5 s.",
        action: &action,
        deed: "end",
        yes: "Revoke",
    };
    ended(
        &fields,
        &sure,
        api_tokens::revoke_one(&app, &asking.scope(), &token),
    )
    .await
}

/// `POST /settings/tokens`: makes a join token and shows it this once.
pub async fn create_token((State(app), Extension(asking)): Read, Form(fields): Fields) -> Response {
    let done = async {
        let request = join_token_of(&fields)?;
        let ttl = Duration::from_secs(request.ttl_s);
        let made = tokens::make(&app, request).await?;
        let told = Told {
            text: format!(
                "Join token {} for {} hosts, for {}. It is shown only this once:",
                made.id,
                made.uses,
                format_duration(ttl)
            ),
            hint: format!(
                "On a host: tidemark-agent enroll --controller {} --token-file FILE",
                made.controller
            ),
            secret: made.token,
        };
        settings_page(&app, &asking, told).await
    };
    for_person(done.await)
}

/// What the fields of a form say of a join token that is to be made.
pub(in crate::web) fn join_token_of(fields: &[(String, String)]) -> Answer<JoinTokenRequest> {
    let ttl = ttl("ttl", field(fields, "ttl"))?;
    let ttl = ttl.ok_or_else(|| invalid("ttl is missing; give 1m to 30d, as in 1h"))?;
    let uses = field(fields, "uses")
        .parse()
        .map_err(|_| invalid("uses must be a number of hosts, 1 to 100000"))?;
    let labels = field(fields, "labels")
        .split_whitespace()
        .map(|label| {
            let pair = label.split_once('=').filter(|(key, _)| !key.is_empty());
            pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
                .ok_or_else(|| invalid("labels are written KEY=VALUE, with spaces between"))
        })
        .collect::<Answer<_>>()?;
    Ok(JoinTokenRequest {
        ttl_s: ttl.as_secs(),
        uses,
        labels,
    })
}

/// `POST /settings/tokens/{token}`: ends a join token.
pub async fn end_token(
    (State(app), Extension(asking)): Read,
    Path(token): Path<String>,
    Form(fields): Fields,
) -> Response {
    let action = format!("/settings/tokens/{token}");
    let question = format!("End join token {token}?");
    let sure = Sure {
        frame: Frame::new("settings", &asking),
        question: &question,
        effect: "No other host can enrol with it. Hosts that did stay.",
        action: &action,
        deed: "end",
        yes: "End",
    };
    ended(&fields, &sure, tokens::revoke_one(&app, &token)).await
}

/// The scope in a form; left empty, it is that of whoever sends it.
fn scope_in(fields: &[(String, String)]) -> Option<String> {
    let text = field(fields, "scope").trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn ttl(name: &str, text: &str) -> Answer<Option<Duration>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let ttl = parse_duration(text.trim());
    ttl.map(Some)
        .map_err(|error| invalid(&format!("{name}: {error}")))
}

fn invalid(text: &str) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidArgument, text)
}

async fn told(app: &Arc<App>, asking: &Asking, text: &str) -> Answer<Response> {
    let told = Told {
        text: text.to_owned(),
        ..Told::default()
    };
    settings_page(app, asking, told).await
}

fn back() -> Response {
    Redirect::to("/settings").into_response()
}
