//! What is done about users and sign-ins, by the API and by the page Settings.

use serde_json::{Value, json};
use tidemark_model::view::{ApiTokenCreated, ApiTokenView, JoinTokenView, Page, SessionView};

use super::{Doing, Who, form_of};
use crate::actions::Person;

const FIRST: &str = "first password of joe";
const SECOND: &str = "second password of joe";
const THIRD: &str = "third password of joe";

fn user(name: &str) -> Value {
    json!({"name": name, "role": "viewer", "password": FIRST})
}

/// Users by the API and the page, as an admin makes and ends them.
pub async fn users(doing: &mut Doing<'_>, admin: Who<'_>) {
    doing.sends(admin, "POST /api/v1/users", user("eve")).await;
    for (route, path, body) in [
        (
            "PUT /api/v1/users/{user}/role",
            "/api/v1/users/eve/role",
            json!({"role": "operator"}),
        ),
        (
            "PUT /api/v1/users/{user}/scope",
            "/api/v1/users/eve/scope",
            json!({"scope": "team=pay"}),
        ),
        (
            "PUT /api/v1/users/{user}/password",
            "/api/v1/users/eve/password",
            json!({"password": SECOND}),
        ),
        (
            "POST /api/v1/users/{user}/{deed}",
            "/api/v1/users/eve/disable",
            json!({}),
        ),
        (
            "DELETE /api/v1/users/{user}",
            "/api/v1/users/eve",
            json!({}),
        ),
    ] {
        let body = super::Body::Json(body);
        doing.does(admin, (route, path), body).await;
    }
    let form = form_of(&[("name", "kim"), ("role", "viewer"), ("password", FIRST)]);
    let route = "POST /settings/users";
    doing.does(admin, (route, "/settings/users"), form).await;
    // The question whether somebody is sure is no deed.
    let before = super::entries(doing.fleet).await.len();
    let asked = form_of(&[("do", "disable")]);
    let path = "/settings/users/kim";
    let answer = doing
        .send(admin.1, (&reqwest::Method::POST, path), asked)
        .await;
    assert!(answer.status().is_success());
    assert_eq!(super::entries(doing.fleet).await.len(), before);
    let form = form_of(&[("do", "disable"), ("sure", "yes")]);
    let route = "POST /settings/users/{user}";
    doing.does(admin, (route, path), form).await;
}

/// Tokens by the page.
pub async fn tokens(doing: &mut Doing<'_>, admin: Who<'_>) {
    let form = form_of(&[("name", "lee"), ("role", "viewer"), ("ttl", "1h")]);
    let path = "/settings/api-tokens";
    doing
        .does(admin, ("POST /settings/api-tokens", path), form)
        .await;
    let listed: Page<ApiTokenView> = admin.1.get("/api/v1/api-tokens").await;
    let made = listed.items.iter().find(|token| token.name == "lee");
    let path = format!("/settings/api-tokens/{}", made.unwrap().id);
    let route = "POST /settings/api-tokens/{token}";
    let sure = || form_of(&[("do", "end"), ("sure", "yes")]);
    doing.does(admin, (route, &path), sure()).await;
    let form = || form_of(&[("ttl", "1h"), ("uses", "1"), ("labels", "")]);
    for (route, path) in [
        ("POST /settings/tokens", "/settings/tokens"),
        ("POST /install", "/install"),
    ] {
        doing.does(admin, (route, path), form()).await;
    }
    let listed: Page<JoinTokenView> = admin.1.get("/api/v1/tokens").await;
    let path = format!("/settings/tokens/{}", listed.items[0].id);
    let route = "POST /settings/tokens/{token}";
    doing.does(admin, (route, &path), sure()).await;
}

/// What users do with their own sign-ins.
pub async fn own(doing: &mut Doing<'_>, admin: Who<'_>) {
    doing.sends(admin, "POST /api/v1/users", user("joe")).await;
    let as_joe = ("joe", admin.1);
    let body = json!({"name": "joe", "password": FIRST});
    let answer = doing.sends(as_joe, "POST /api/v1/sign-in", body).await;
    let made: ApiTokenCreated = answer.json().await.unwrap();
    let joe = Person::of_token(doing.fleet, made.token);
    let who = ("joe", &joe);
    let body = json!({"current": FIRST, "new": SECOND});
    doing.sends(who, "PUT /api/v1/me/password", body).await;
    let fields = [("current", SECOND), ("new", THIRD), ("again", THIRD)];
    let path = "/settings/password";
    doing
        .does(who, ("POST /settings/password", path), form_of(&fields))
        .await;
    for route in [
        "DELETE /api/v1/sessions/{session}",
        "POST /settings/sessions/{session}",
    ] {
        let form = form_of(&[("name", "joe"), ("password", THIRD)]);
        doing.does(as_joe, ("POST /login", "/login"), form).await;
        let listed: Page<SessionView> = joe.get("/api/v1/sessions").await;
        let id = &listed.items[0].id;
        let path = super::path_of(route).replace("{session}", id);
        let body = form_of(&[("do", "end"), ("sure", "yes")]);
        doing.does(who, (route, &path), body).await;
    }
}
