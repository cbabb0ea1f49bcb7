//! The form of a host's page that changes the labels which the controller holds of it.

use axum::Form;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use tidemark_model::view::LabelsRequest;

use crate::access::Horizon;
use crate::api::body::Invalid;
use crate::api::expected::Expected;
use crate::api::{fleet, labels};
use crate::web::for_person;
use crate::web::incident::{Fields, field};

/// `POST /hosts/{host}/labels`.
pub async fn change(horizon: Horizon, Path(host): Path<String>, Form(fields): Fields) -> Response {
    let done = async {
        let id = fleet::find_host(&horizon, &host)?;
        let request = asked(field(&fields, "labels"))?;
        // As they were when the page was made.
        let expected = field(&fields, "version")
            .parse()
            .map_or(Expected::Anything, Expected::Version);
        labels::relabel(horizon.app(), id, expected, request).await?;
        Ok(Redirect::to(&format!("/hosts/{id}")).into_response())
    };
    for_person(done.await)
}

fn asked(text: &str) -> Result<LabelsRequest, Invalid> {
    let change = |word: &str| {
        match (word.split_once('='), word.strip_suffix('-')) {
        (Some((key, value)), _) if !key.is_empty() => Ok((key.to_owned(), Some(value.to_owned()))),
        (None, Some(key)) if !key.is_empty() => Ok((key.to_owned(), None)),
        _ => Err(Invalid(vec![
            "labels are written KEY=VALUE to set one and KEY- to take one away, with spaces between".to_owned(),
        ])),
    }
    };
    let labels = text
        .split_whitespace()
        .map(change)
        .collect::<Result<_, _>>()?;
    Ok(LabelsRequest { labels })
}
