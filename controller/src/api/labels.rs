//! Labels that the controller holds of a host. Scopes choose by them, so that no agent changes them, and of callers only those who
//! see all hosts.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::response::IntoResponse;
use tidemark_model::HostId;
use tidemark_model::audit_log::Deed;
use tidemark_model::view::{HostDetail, LabelsRequest, Problem};
use tidemark_proto::convert::facts::{LABEL_KEY_CHARS_MAX, LABEL_VALUE_CHARS_MAX};
use tidemark_store::{Host, StoreError};

use super::body::{self, Invalid, Request};
use super::expected::Expected;
use super::problem::Answer;
use super::{fleet, hosts};
use crate::access::Horizon;
use crate::app::App;
use crate::app::identities::profile_of;

/// Labels that the controller holds of a host, at most.
pub const LABELS_MAX: usize = 16;

/// Sets and takes away labels that the controller holds of a host. Callers whose scope it enters see it at once, and those whose
/// scope it leaves no more.
#[utoipa::path(
    patch,
    path = "/api/v1/hosts/{host}",
    tag = "hosts",
    params(
        ("host" = String, Path, description = "Id or name."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the host as it was read; with it, labels that somebody else changed meanwhile are not overwritten."),
    ),
    request_body = LabelsRequest,
    responses(
        (status = 200, description = "The host with its labels.", body = HostDetail),
        (status = 400, description = "A value is out of limits.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller's scope is not all hosts.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "More than one has that name; the title names their ids.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Somebody else changed its labels meanwhile.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn change(
    horizon: Horizon,
    Path(host): Path<String>,
    expected: Expected,
    (params, headers, body): Request,
) -> Answer<impl IntoResponse> {
    params.only(&[])?;
    let request: LabelsRequest = body::json(&headers, &body, "the body is no change of labels")?;
    let id = fleet::find_host(&horizon, &host)?;
    relabel(horizon.app(), id, expected, request).await?;
    hosts::detail_of(&horizon, id, &host)
}

/// Changes labels of a host.
///
/// # Errors
/// [`Invalid`]; when the labels are not in the version that was expected, or the database fails. Nothing is stored then.
pub async fn relabel(
    app: &App,
    id: HostId,
    expected: Expected,
    request: LabelsRequest,
) -> Answer<()> {
    let mut tx = app.store.begin().await?;
    let found = tx.host_find(id).await?;
    let host = found.ok_or(StoreError::NotFound { what: "host" })?;
    let generation = host.labels_generation;
    expected.check(Some(generation), "the set of labels of this host")?;
    let changed = changed(&host.controller_labels, request)?;
    if changed == host.controller_labels {
        return Ok(());
    }
    tx.host_set_labels(id, generation, &changed).await?;
    let mut record = app.record(Deed::HostLabel, "hosts", id).about(id);
    record = record.with("name", &host.facts.name);
    for (key, words) in differences(&host.controller_labels, &changed) {
        record = record.with(&format!("label {key}"), words);
    }
    record.keep(&mut tx).await?;
    tx.commit().await?;
    app.live.put(profile_of(&Host {
        controller_labels: changed,
        labels_generation: generation.saturating_add(1),
        ..host
    }));
    // Routes and silences choose by labels.
    app.incidents_changed.notify_one();
    Ok(())
}

fn changed(
    before: &BTreeMap<String, String>,
    request: LabelsRequest,
) -> Result<BTreeMap<String, String>, Invalid> {
    if request.labels.is_empty() {
        return Err(Invalid(vec![
            "labels is empty; it must name the labels that are to change, as in {\"team\": \"payments\", \"old\": null}".to_owned(),
        ]));
    }
    let mut labels = before.clone();
    for (key, value) in request.labels {
        match value {
            Some(value) => labels.insert(key, value),
            None => labels.remove(&key),
        };
    }
    match problems(&labels) {
        problems if problems.is_empty() => Ok(labels),
        problems => Err(Invalid(problems)),
    }
}

/// What became of each label that is another one than before.
fn differences<'l>(
    before: &'l BTreeMap<String, String>,
    after: &'l BTreeMap<String, String>,
) -> Vec<(&'l str, String)> {
    let set = after.iter().filter_map(|(key, value)| {
        let words = match before.get(key) {
            Some(former) if former == value => return None,
            Some(former) => format!("{value}, formerly {former}"),
            None => value.clone(),
        };
        Some((key.as_str(), words))
    });
    let taken = before.iter().filter(|(key, _)| !after.contains_key(*key));
    set.chain(taken.map(|(key, former)| (key.as_str(), format!("taken away, formerly {former}"))))
        .collect()
}

/// What is wrong with labels that the controller is to hold of a host.
#[must_use]
pub fn problems(labels: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    if labels.len() > LABELS_MAX {
        problems.push(format!(
            "labels has {} entries; it must be {LABELS_MAX} or fewer",
            labels.len()
        ));
    }
    for (key, value) in labels {
        if !is_label_key(key) {
            problems.push(format!(
                "labels has the key {key:?}; a key must be 1 to {LABEL_KEY_CHARS_MAX} letters, digits and . _ - /"
            ));
        }
        if value.chars().count() > LABEL_VALUE_CHARS_MAX || value.chars().any(char::is_control) {
            problems.push(format!(
                "labels.{key} must be {LABEL_VALUE_CHARS_MAX} characters or fewer, without control characters"
            ));
        }
    }
    problems
}

fn is_label_key(key: &str) -> bool {
    (1..=LABEL_KEY_CHARS_MAX).contains(&key.len())
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'))
}
