//! Documents that two people change: what one did is not overwritten by the other who had not read it.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_model::Role;

use crate::api::client;
use crate::made_up::MadeUp;

struct Ann<'a> {
    fleet: &'a MadeUp,
    token: String,
}

impl Ann<'_> {
    async fn send(&self, method: Method, path: &str, expected: Option<(&str, &str)>) -> Response {
        self.send_with(method, path, (expected, None)).await
    }

    async fn apply(&self, names: &[&str], ports: u32, expected: (&str, &str)) -> Response {
        let budgets: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "hosts": ["tier=web"], "process": "x", "allow": {"ports": ports}}))
            .collect();
        let body = json!({"budget": budgets});
        let sent = (Some(expected), Some(body));
        self.send_with(Method::PUT, "/api/v1/budgets", sent).await
    }

    async fn send_with(
        &self,
        method: Method,
        path: &str,
        (expected, body): (Option<(&str, &str)>, Option<Value>),
    ) -> Response {
        let mut request = client()
            .request(method, self.fleet.url(path))
            .bearer_auth(&self.token);
        if let Some((name, value)) = expected {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn tag(&self) -> String {
        let answer = self.send(Method::GET, "/api/v1/budgets/eaters", None).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.headers()["etag"].to_str().unwrap().to_owned()
    }
}

async fn title(answer: Response, status: StatusCode) -> String {
    assert_eq!(answer.status(), status);
    let problem: Value = answer.json().await.unwrap();
    problem["title"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Operator).await;
    let ann = Ann {
        fleet: &fleet,
        token,
    };
    let only_new = ("if-none-match", "*");
    let made = ann.apply(&["eaters"], 100, only_new).await;
    assert_eq!(made.status(), StatusCode::OK);
    let again = ann.apply(&["eaters"], 200, only_new).await;
    let refused = title(again, StatusCode::PRECONDITION_FAILED).await;
    assert!(
        refused.contains("the budget eaters is there already, at version 1"),
        "{refused}"
    );

    let read = ann.tag().await;
    let changed = ann.apply(&["eaters"], 300, ("if-match", &read)).await;
    assert_eq!(changed.status(), StatusCode::OK);
    let late = ann.apply(&["eaters"], 400, ("if-match", &read)).await;
    let refused = title(late, StatusCode::PRECONDITION_FAILED).await;
    assert!(
        refused.contains("is at version 2, and you changed version 1"),
        "{refused}"
    );
    let newer = ann.tag().await;
    assert_ne!(newer, read, "the change counts, and only it");

    let path = "/api/v1/budgets/eaters";
    let late = ann
        .send(Method::DELETE, path, Some(("if-match", &read)))
        .await;
    assert_eq!(late.status(), StatusCode::PRECONDITION_FAILED);
    let gone = ann
        .send(Method::DELETE, path, Some(("if-match", &newer)))
        .await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let late = ann.apply(&["eaters"], 500, ("if-match", &newer)).await;
    let refused = title(late, StatusCode::PRECONDITION_FAILED).await;
    assert!(refused.contains("is not there"), "{refused}");
}

#[tokio::test]
async fn what_is_expected_is_about_one_document() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Operator).await;
    let ann = Ann {
        fleet: &fleet,
        token,
    };
    let two = ann
        .apply(&["one", "two"], 100, ("if-none-match", "*"))
        .await;
    let refused = title(two, StatusCode::BAD_REQUEST).await;
    assert!(
        refused.contains("are about one budget; the body has 2"),
        "{refused}"
    );
    let none = ann.send(Method::GET, "/api/v1/budgets/one", None).await;
    assert_eq!(
        none.status(),
        StatusCode::NOT_FOUND,
        "nothing is stored in part"
    );
    let weak = ann.apply(&["one"], 100, ("if-match", "W/\"1\"")).await;
    let refused = title(weak, StatusCode::BAD_REQUEST).await;
    assert!(refused.starts_with("If-Match must be"), "{refused}");
}
