//! `/install`: a fresh join token in the exact lines that give a host its agent, for those who may make tokens.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Form};
use tidemark_model::ErrorCode;
use tidemark_model::duration::format_duration;
use tidemark_model::install::{Installation, NoLines, System, Way};
use tidemark_model::view::JoinTokenCreated;

use super::incident::Fields;
use super::settings::acts::join_token_of;
use super::{Frame, for_person, page as respond};
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::ApiProblem;
use crate::api::tokens;
use crate::app::App;

/// `GET /install`: the form.
pub async fn page(Extension(asking): Extension<Asking>, params: Params) -> Response {
    let shown = params.only(&[]).map(|_| {
        respond(&InstallPage {
            frame: Frame::new("settings", &asking),
            made: None,
        })
    });
    for_person(shown.map_err(ApiProblem::from))
}

/// `POST /install`: makes a join token and shows this once what to paste.
pub async fn create(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Form(fields): Fields,
) -> Response {
    let done = async {
        let request = join_token_of(&fields)?;
        let ttl = Duration::from_secs(request.ttl_s);
        // Before there is a token that nobody would see.
        Installation::new(&app.agents_address, "tm1").map_err(no_lines)?;
        let token = tokens::make(&app, request).await?;
        let installation = Installation::new(&token.controller, &token.token).map_err(no_lines)?;
        Ok(respond(&InstallPage {
            frame: Frame::new("settings", &asking),
            made: Some(Made::new(token, ttl, &installation)),
        }))
    };
    for_person(done.await)
}

fn no_lines(error: NoLines) -> ApiProblem {
    ApiProblem::new(ErrorCode::Precondition, error.to_string())
}

#[derive(Template)]
#[template(path = "install.html")]
struct InstallPage {
    frame: Frame,
    made: Option<Made>,
}

/// What is shown once.
struct Made {
    token: JoinTokenCreated,
    ttl: String,
    systems: [(&'static str, Vec<HowTo>); 2],
}

impl Made {
    fn new(token: JoinTokenCreated, ttl: Duration, installation: &Installation) -> Self {
        let of = |system| {
            let ways = Way::ALL.into_iter().filter(move |way| way.is_for(system));
            ways.map(|way| HowTo {
                id: format!("{}-{}", name(system).to_lowercase(), way.as_str()),
                title: way.title(),
                note: way.note(),
                lines: installation.lines(way),
            })
            .collect()
        };
        Self {
            systems: [System::Linux, System::Windows].map(|system| (name(system), of(system))),
            ttl: format_duration(ttl),
            token,
        }
    }
}

const fn name(system: System) -> &'static str {
    match system {
        System::Linux => "Linux",
        System::Windows => "Windows",
    }
}

/// One way to install an agent.
struct HowTo {
    id: String,
    title: &'static str,
    note: &'static str,
    lines: String,
}
