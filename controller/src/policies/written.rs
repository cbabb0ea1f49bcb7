//! Reads policies as files and requests write them: everything is checked, and every problem is told at once.

use serde_json::Value;
use tidemark_model::policy::{Policy, PolicySpec};

use crate::api::body::Invalid;
use crate::api::documents;

/// Reads `{"policy": [...]}`.
///
/// # Errors
/// [`Invalid`] with every problem of every policy, 50 at most.
pub fn policies(body: &Value) -> Result<Vec<Policy>, Invalid> {
    documents::listed(body, |value, at, problems| {
        let read = policy(value);
        let why = read.as_ref().err().into_iter().flatten();
        problems.extend(why.map(|why| format!("{at}: {why}")));
        read.ok()
    })
}

fn policy(value: &Value) -> Result<Policy, Vec<String>> {
    let spec: PolicySpec = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner();
        vec![if path == "." {
            why.to_string()
        } else {
            format!("{path}: {why}")
        }]
    })?;
    Policy::read(spec)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::documents::PROBLEMS_MAX;
    use crate::policies::POLICIES_MAX;

    #[test]
    fn every_problem_of_every_policy_is_told_at_once_with_its_field() {
        let good = json!({
            "name": "a", "hosts": ["host=*"], "condition": {"level": 90},
            "ladder": [{"action": "collect_evidence", "with": ["seconds=5"]}],
        });
        let with = |field: &str, value: Value| {
            let mut policy = good.clone();
            policy[field] = value;
            policy
        };
        let body = json!({"policy": [
            with("for", json!("8d")),
            with("condition", json!({"level": "much"})),
            with("ladder", json!([{"action": "run_hook", "wait": 5}])),
            with("rungs", json!([])),
            7,
        ], "policies": []});
        let problems = policies(&body).unwrap_err().0;
        for part in [
            "there is no field \"policies\"; the only one is `policy`",
            "policy \"a\": for is \"8d\"",
            "policy \"a\": two have this name",
            "policy \"a\": condition.level: invalid type: string \"much\"",
            "policy \"a\": ladder[0].wait: invalid type: integer `5`",
            "policy \"a\": rungs: unknown field `rungs`",
            "policy 5: invalid type: integer `7`",
        ] {
            let told = problems.iter().any(|problem| problem.starts_with(part));
            assert!(told, "{part}: {problems:#?}");
        }
        assert_eq!(policies(&json!({"policy": [good]})).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_list_of_policies_is_refused() {
        for body in [
            json!(null),
            json!({}),
            json!({"policy": 1}),
            json!({"policy": []}),
        ] {
            assert!(policies(&body).is_err(), "{body}");
        }
        let wrong = vec![json!(1); POLICIES_MAX as usize];
        let problems = policies(&json!({ "policy": wrong })).unwrap_err().0;
        assert_eq!(problems.len(), PROBLEMS_MAX + 1, "bounded");
        let many = vec![json!(1); POLICIES_MAX as usize + 1];
        assert!(policies(&json!({ "policy": many })).is_err());
    }
}
