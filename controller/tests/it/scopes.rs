//! Callers who see a part of the fleet: what they are shown, what they can do, what they can give away.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::access::Holder;
use tidemark_model::Role;
use tidemark_model::view::{ApiTokenCreated, ApiTokenView, Page};

use crate::api::client;
use crate::made_up::MadeUp;

async fn ask(
    fleet: &MadeUp,
    token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Response {
    let request = client().request(method, fleet.url(path)).bearer_auth(token);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.unwrap()
}

#[tokio::test]
async fn nobody_makes_sees_or_ends_a_token_wider_than_their_own() {
    let fleet = MadeUp::start().await;
    let app = &fleet.started.app;
    let admin = fleet.scoped_token(Role::Admin, "team=pay").await;
    let path = "/api/v1/api-tokens";
    let make = async |scope: Value| {
        let body = json!({"name": "ann", "role": "viewer", "scope": scope});
        ask(&fleet, &admin, Method::POST, path, Some(body)).await
    };
    for wider in ["team=web", "team=p*", "env=prod"] {
        let refused = make(json!(wider)).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{wider}");
        let said = refused.text().await.unwrap();
        assert!(said.contains("every matcher of yours, team=pay"), "{said}");
    }
    for (asked, given) in [
        (json!("team=pay,env=prod"), "env=prod,team=pay"),
        (Value::Null, "team=pay"),
    ] {
        let made = make(asked).await;
        assert_eq!(made.status(), StatusCode::CREATED);
        let made: ApiTokenCreated = made.json().await.unwrap();
        assert_eq!(made.scope.as_deref(), Some(given));
    }
    let everybodys = Holder::of_all_hosts("all", Role::Viewer);
    let wide = app.make_api_key(everybodys, None).await.unwrap();
    fleet.scoped_token(Role::Viewer, "team=web").await;
    let listed = ask(&fleet, &admin, Method::GET, path, None).await;
    let listed: Page<ApiTokenView> = listed.json().await.unwrap();
    let scopes = listed.items.iter().map(|token| token.scope.as_deref());
    let mut scopes: Vec<_> = scopes.collect();
    scopes.sort_unstable();
    let own = Some("team=pay");
    assert_eq!(scopes, [Some("env=prod,team=pay"), own, own]);
    let one = format!("{path}?limit=1");
    let first: Page<ApiTokenView> = ask(&fleet, &admin, Method::GET, &one, None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!((first.items.len(), first.next_cursor.is_some()), (1, true));
    let end = async |id: &str| {
        let path = format!("{path}/{id}");
        let answer = ask(&fleet, &admin, Method::DELETE, &path, None).await;
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, said) = end(&wide.id.to_string()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(end("nothing").await.1, said, "as if there were none");
    assert_eq!(end(&first.items[0].id).await.0, StatusCode::NO_CONTENT);
}
