//! The pages: rendered here, brought to life by `assets/app.js`, which shows nothing that was not rendered here first.

pub mod assets;
pub mod events;
pub mod fleet;
pub mod host;
pub mod live;
pub mod login;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::api::problem::ApiProblem;

/// A template as a response.
pub(crate) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => ApiProblem::internal(&error.to_string()).into_response(),
    }
}

/// What a person sees instead of a page: the sign-in when nobody is signed in, the problem in words otherwise.
pub fn refusal(problem: &ApiProblem) -> Response {
    let status = problem.status();
    let mut response = if status == StatusCode::UNAUTHORIZED {
        login::sign_in_page(None)
    } else {
        page(&ProblemPage {
            status: status.as_u16(),
            title: problem.title(),
        })
    };
    *response.status_mut() = status;
    response
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    status: u16,
    title: &'a str,
}
