//! The form of the page Maintenance that plans a run. What it leaves out is as in a file that leaves it out.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Form};
use serde_json::{Map, Value, json};
use tidemark_model::action::ActionSpec;
use tidemark_model::run::{Run, RunSpec};

use super::incident::{Fields, field};
use super::{for_person, maintenance, refusal};
use crate::access::Horizon;
use crate::api::guard::Asking;
use crate::api::problem::{Answer, ApiProblem};
use crate::maintain::run::{self, RunError};

/// What is in the form when it is shown.
#[derive(Clone, Debug, Default)]
pub struct PlanForm {
    pub(super) fields: Vec<(String, String)>,
    /// Why it was not done so; empty when nobody tried.
    pub problem: String,
}

impl PlanForm {
    /// What is in a field: what was typed into a form that was refused, otherwise what it begins with.
    #[must_use]
    pub fn text<'f>(&'f self, name: &str, at_first: &'f str) -> &'f str {
        if self.problem.is_empty() {
            return at_first;
        }
        field(&self.fields, name)
    }

    /// Whether that choice is made.
    #[must_use]
    pub fn is(&self, name: &str, choice: &str) -> bool {
        self.text(name, "") == choice
    }
}

/// Answers a form that was refused: the page comes again with the form as it was typed and with what is wrong, where typing
/// something else may help.
pub async fn shown_again<P: Future<Output = Answer<Response>>>(
    refused: ApiProblem,
    fields: Vec<(String, String)>,
    page: impl FnOnce(PlanForm) -> P,
) -> Response {
    if !matches!(
        refused.status(),
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::NOT_FOUND
    ) {
        return refusal(&refused);
    }
    let problem = refused.title().to_owned();
    let mut response = for_person(page(PlanForm { fields, problem }).await);
    *response.status_mut() = refused.status();
    response
}

/// `POST /maintenance`. A form that is refused comes again as it was typed, with what is wrong.
pub async fn plan(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Form(fields): Fields,
) -> Response {
    let done: Answer<Run> = async {
        let spec = spec_of(&fields)?;
        Ok(run::create(horizon.app(), spec, &asking.by()).await?)
    }
    .await;
    match done {
        Ok(run) => Redirect::to(&format!("/runs/{}", run.number)).into_response(),
        Err(refused) => {
            let page = |form| maintenance::with_form(&horizon, &asking, form);
            shown_again(refused, fields, page).await
        }
    }
}

fn spec_of(fields: &[(String, String)]) -> Result<RunSpec, RunError> {
    let text = |name: &str| field(fields, name).trim();
    let mut problems = Vec::new();
    let words = words(text("parameters"));
    let action = ActionSpec::from_words(text("action"), &words);
    if let Err(error) = &action {
        problems.push(format!("action: {error}"));
    }
    let mut spec = Map::new();
    for name in ["name", "reason", "window"] {
        spec.insert(name.to_owned(), text(name).into());
    }
    for name in ["hosts", "waves"] {
        let parts: Vec<&str> = text(name).split_whitespace().collect();
        spec.insert(name.to_owned(), json!(parts));
    }
    for name in ["concurrency", "max_failed"] {
        match text(name).parse::<u32>() {
            Ok(number) => {
                spec.insert(name.to_owned(), number.into());
            }
            Err(_) => problems.push(format!("{name} must be a whole number, as in 1")),
        }
    }
    let needs_effect = !text("needs_effect").is_empty();
    spec.insert("needs_effect".to_owned(), needs_effect.into());
    if !text("spread").is_empty() {
        spec.insert("spread".to_owned(), text("spread").into());
    }
    let Ok(action) = action else {
        return Err(RunError::Limits(problems));
    };
    spec.insert("actions".to_owned(), json!([action]));
    match serde_json::from_value(Value::Object(spec)) {
        Ok(spec) if problems.is_empty() => Ok(spec),
        Ok(_) => Err(RunError::Limits(problems)),
        Err(error) => Err(RunError::Limits(vec![error.to_string()])),
    }
}

/// Words as people type them; between double quotes a blank belongs to its word.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            blank if blank.is_whitespace() && !is_quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(changed: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut fields = vec![
            ("name", "weekly"),
            ("reason", "patches"),
            ("hosts", "tier=web host!=web-9*"),
            ("action", "reboot"),
            (
                "parameters",
                "grace_s=60 reason=\"patches of December\" force=true",
            ),
            ("window", "now"),
            ("waves", "1 10%"),
            ("concurrency", "5"),
            ("max_failed", "3"),
        ];
        fields.retain(|(name, _)| changed.iter().all(|(other, _)| other != name));
        fields.extend_from_slice(changed);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        fields.iter().map(owned).collect()
    }

    #[test]
    fn a_form_is_the_run_that_a_file_would_be() {
        let spec = spec_of(&form(&[])).unwrap();
        assert_eq!(spec.check().map(drop), Ok(()));
        assert_eq!(spec.hosts, ["tier=web", "host!=web-9*"]);
        assert_eq!(spec.waves, ["1", "10%"]);
        assert_eq!(
            (spec.concurrency, spec.max_failed, spec.needs_effect),
            (5, 3, false)
        );
        let reboot = ActionSpec::Reboot {
            grace_s: 60,
            reason: "patches of December".to_owned(),
            force: true,
        };
        assert_eq!(spec.actions, [reboot]);
        let effect = spec_of(&form(&[("needs_effect", "yes"), ("spread", "cluster")])).unwrap();
        assert!(effect.needs_effect);
        assert_eq!(effect.spread.as_deref(), Some("cluster"));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let wrong = form(&[("action", "format_disk"), ("concurrency", "many")]);
        let text = spec_of(&wrong).unwrap_err().to_string();
        for part in ["format_disk", "concurrency must be a whole number"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
