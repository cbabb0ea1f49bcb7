//! Every route against the table of roles, and the table against the API's description.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tidemark_controller::api::reach::answers;
use tidemark_controller::api::routes::{Access, ROUTES, Reader};
use tidemark_model::{HostScope, Role};

use crate::api::client;
use crate::made_up::MadeUp;

fn filled(path: &str) -> String {
    path.replace("{host}", "nobody")
        .replace("{id}", "nothing")
        .replace("{budget}", "nothing")
        .replace("{incident}", "1")
        .replace("{window}", "nothing")
        .replace("{silence}", "1")
        .replace("{user}", "nobody")
        .replace("{session}", "nothing")
        .replace("{action}", "00000000000000000000000000000000")
        .replace("{policy}", "nothing")
        .replace("{grant}", "nothing")
        .replace("{receiver}", "nobody")
        .replace("{name}", "app.css")
        .replace("{*page}", "runbooks/leak.html")
}

#[tokio::test]
async fn every_route_asks_for_exactly_its_role_and_reach() {
    let fleet = MadeUp::start().await;
    let team = HostScope::from_text(Some("team=pay")).unwrap();
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push((role, HostScope::All, fleet.token(role).await));
        let scoped = fleet.scoped_token(role, "team=pay").await;
        tokens.push((role, team.clone(), scoped));
    }
    for route in &ROUTES {
        let url = fleet.url(&filled(route.path));
        let method: Method = route.method.as_str().parse().unwrap();
        let what = format!("{method} {}", route.path);
        let request = || {
            client()
                .request(method.clone(), &url)
                .header("origin", fleet.url(""))
        };
        let nobody = request().send().await.unwrap().status();
        match route.access {
            Access::Open | Access::LoopbackOr(_) => {
                // The sign-in itself answers a wrong token like this.
                let is_sign_in = what == "POST /login";
                assert_eq!(nobody == StatusCode::UNAUTHORIZED, is_sign_in, "{what}");
            }
            Access::Role(role) => {
                assert_eq!(nobody, StatusCode::UNAUTHORIZED, "{what}");
                for (has, scope, token) in &tokens {
                    let answer = request().bearer_auth(token).send().await.unwrap();
                    let known = answer.status();
                    let refused = known == StatusCode::FORBIDDEN;
                    let answers = answers(scope, (&route.method, route.path));
                    let is_for_them = *has >= role && answers;
                    assert_eq!(
                        refused, !is_for_them,
                        "{what} as {has:?} of {scope}: {known}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_in_no_table_does_not_exist() {
    let fleet = MadeUp::start().await;
    let unknown = client()
        .get(fleet.url("/api/v1/secrets"))
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        unknown.headers()["content-type"],
        "application/problem+json"
    );
    let method = client()
        .put(fleet.url("/api/v1/hosts"))
        .send()
        .await
        .unwrap();
    assert_eq!(method.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_description_lists_every_route_of_the_api() {
    let fleet = MadeUp::start().await;
    let answer = client()
        .get(fleet.url("/api/v1/openapi.json"))
        .send()
        .await
        .unwrap();
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let served: BTreeSet<String> = ROUTES
        .iter()
        .filter(|route| route.reader == Reader::Program && !route.path.starts_with("/assets"))
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(described, served);
    insta::assert_snapshot!(described.into_iter().collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn the_description_is_a_page_too_with_who_may_ask() {
    let fleet = MadeUp::start().await;
    let viewer = fleet.token(Role::Viewer).await;
    let request = client().get(fleet.url("/api")).bearer_auth(viewer);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.text().await.unwrap();
    for route in ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/api/v1"))
    {
        let shown = format!(">{}</code> <code>{}</code>", route.method, route.path);
        assert!(page.contains(&shown), "{shown}");
    }
    // Who may ask, what a body is and its limits, each name leading to where it is told.
    let row = |of: &str| {
        let rows = page.split("</details>");
        rows.into_iter().find(|row| row.contains(of)).unwrap()
    };
    let create = row(">POST</code> <code>/api/v1/api-tokens</code>");
    assert!(create.contains("<small>admin</small>"), "{create}");
    assert!(
        create.contains("href=\"#schema-ApiTokenRequest\""),
        "{create}"
    );
    let request = row("id=\"schema-ApiTokenRequest\"");
    assert!(request.contains("60 to 31536000"), "{request}");
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_never_repeated() {
    let fleet = MadeUp::start().await;
    let right = fleet.token(Role::Viewer).await;
    let mut wrong = right.clone();
    wrong.pop();
    wrong.push(if right.ends_with('a') { 'q' } else { 'a' });
    for token in [&*wrong, "tma1.x.y", ""] {
        let request = client().get(fleet.url("/api/v1/hosts")).bearer_auth(token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            answer.headers()["www-authenticate"],
            "Bearer realm=\"tidemark\""
        );
        let body = answer.text().await.unwrap();
        assert!(token.is_empty() || !body.contains(token), "{body}");
    }
}

#[tokio::test]
async fn a_foreign_host_name_does_not_reach_a_loopback_listener() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    for path in ["/api/v1/hosts", "/", "/healthz", "/assets/app.css"] {
        let request = client().get(fleet.url(path)).bearer_auth(&token);
        let answer = request.header("host", "evil.example").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
    }
}
