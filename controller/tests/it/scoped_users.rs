//! Users who see a part of the fleet: what a change of it does to what they have open, and what they can give away.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tidemark_model::Role;

use crate::api::client;
use crate::made_up::MadeUp;
use crate::users::{PASSWORD, ask, browser_of, ends_soon, live_view, sign_in, token_of, user};

/// Does it, and says the status and what came of it.
async fn does(
    fleet: &MadeUp,
    token: &str,
    (method, path): (Method, &str),
    body: Value,
) -> (StatusCode, String) {
    let answer = ask(fleet, token, (method, path), body).await;
    (answer.status(), answer.text().await.unwrap())
}

async fn give(fleet: &MadeUp, token: &str, name: &str, scope: Value) -> (StatusCode, String) {
    let path = format!("/api/v1/users/{name}/scope");
    does(
        fleet,
        token,
        (Method::PUT, &path),
        json!({ "scope": scope }),
    )
    .await
}

async fn make(
    fleet: &MadeUp,
    token: &str,
    (name, role): (&str, &str),
    scope: Value,
) -> (StatusCode, String) {
    let body = json!({"name": name, "role": role, "password": PASSWORD, "scope": scope});
    does(fleet, token, (Method::POST, "/api/v1/users"), body).await
}

/// A host of each of two teams.
async fn two_teams(fleet: &MadeUp) {
    for team in ["pay", "web"] {
        let id = fleet.host(&format!("{team}-1")).await;
        fleet.label(id, "team", team).await;
    }
}

async fn page_of(fleet: &MadeUp, cookie: &str, path: &str) -> String {
    let request = client().get(fleet.url(path)).header("cookie", cookie);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    answer.text().await.unwrap()
}

#[tokio::test]
async fn a_user_sees_the_hosts_of_their_scope_and_a_change_holds_on_what_is_open() {
    let fleet = MadeUp::start().await;
    two_teams(&fleet).await;
    let admin = fleet.token(Role::Admin).await;
    let (status, said) = make(&fleet, &admin, ("ann", "operator"), json!("team=pay")).await;
    assert_eq!(status, StatusCode::CREATED, "{said}");
    let cookie = browser_of(&fleet, "ann").await;
    let token = token_of(&fleet, "ann").await;
    let me = does(&fleet, &token, (Method::GET, "/api/v1/me"), Value::Null).await;
    let me: Value = serde_json::from_str(&me.1).unwrap();
    assert_eq!(
        (&me["scope"], &me["hosts"]),
        (&json!("team=pay"), &json!(1))
    );
    let page = page_of(&fleet, &cookie, "/").await;
    assert!(page.contains("pay-1") && !page.contains("web-1"), "{page}");
    assert!(
        page.contains("1 host of your scope <bdi>team=pay</bdi>"),
        "{page}"
    );
    let live = live_view(&fleet, &cookie).await;
    let (status, said) = give(&fleet, &admin, "ann", json!("team=web")).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert!(said.contains("\"scope\":\"team=web\""), "{said}");
    let page = page_of(&fleet, &cookie, "/").await;
    assert!(page.contains("web-1") && !page.contains("pay-1"), "{page}");
    ends_soon(live).await;
    // What a token of a sign-in was made for is no part of what its user has now.
    let me = does(&fleet, &token, (Method::GET, "/api/v1/me"), Value::Null).await;
    assert_eq!(me.0, StatusCode::UNAUTHORIZED);
    // A wider scope asks for a new sign-in; a narrower one holds at once.
    let token = token_of(&fleet, "ann").await;
    let scope = async |token: &str| {
        let me = does(&fleet, token, (Method::GET, "/api/v1/me"), Value::Null).await;
        let me: Value = serde_json::from_str(&me.1).unwrap();
        me["scope"].clone()
    };
    give(&fleet, &admin, "ann", Value::Null).await;
    assert_eq!(scope(&token).await, json!("team=web"));
    assert_eq!(scope(&token_of(&fleet, "ann").await).await, Value::Null);
    give(&fleet, &admin, "ann", json!("team=web,env=prod")).await;
    assert_eq!(scope(&token).await, json!("env=prod,team=web"));
}

#[tokio::test]
async fn an_admin_of_a_scope_gives_no_more_than_it_and_knows_nobody_beyond_it() {
    let fleet = MadeUp::start().await;
    let everybody = fleet.token(Role::Admin).await;
    user(&fleet, "root", Role::Admin).await;
    make(&fleet, &everybody, ("web", "viewer"), json!("team=web")).await;
    let admin = fleet.scoped_token(Role::Admin, "team=pay").await;
    for wider in ["team=web", "team=p*", "env=prod"] {
        let (status, said) = make(&fleet, &admin, ("ann", "viewer"), json!(wider)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wider}");
        assert!(said.contains("every matcher of yours, team=pay"), "{said}");
    }
    for (name, asked, given) in [
        ("ann", Value::Null, "team=pay"),
        ("bob", json!("team=pay,env=prod"), "env=prod,team=pay"),
    ] {
        let (status, said) = make(&fleet, &admin, (name, "admin"), asked).await;
        assert_eq!(status, StatusCode::CREATED, "{said}");
        assert!(said.contains(&format!("\"scope\":\"{given}\"")), "{said}");
    }
    let (_, listed) = does(&fleet, &admin, (Method::GET, "/api/v1/users"), Value::Null).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let names: Vec<&Value> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["name"])
        .collect();
    assert_eq!(names, ["ann", "bob"]);
    for (method, path, body) in [
        (Method::GET, "", Value::Null),
        (Method::PUT, "/role", json!({"role": "viewer"})),
        (Method::PUT, "/scope", json!({"scope": "team=pay"})),
        (
            Method::PUT,
            "/password",
            json!({"password": "another horse battery"}),
        ),
        (Method::POST, "/disable", Value::Null),
        (Method::DELETE, "", Value::Null),
    ] {
        let mut said = Vec::new();
        for name in ["root", "web", "nobody"] {
            let path = format!("/api/v1/users/{name}{path}");
            said.push(does(&fleet, &admin, (method.clone(), &path), body.clone()).await);
        }
        assert_eq!(said[0].0, StatusCode::NOT_FOUND, "{method} {path}");
        assert!(said[0] == said[2] && said[1] == said[2], "{method} {path}");
    }
    let (status, said) = give(&fleet, &admin, "bob", Value::Null).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(said.contains("every matcher of yours"), "{said}");
    let (status, said) = give(&fleet, &admin, "bob", json!("team=pay")).await;
    assert_eq!(status, StatusCode::OK, "{said}");
}

#[tokio::test]
async fn nobody_widens_themselves_and_one_admin_of_all_hosts_stays() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Admin).await;
    let ann = token_of(&fleet, "ann").await;
    make(&fleet, &ann, ("kim", "admin"), json!("team=pay")).await;
    for what in [
        (Method::PUT, "/api/v1/users/ann/scope"),
        (Method::POST, "/api/v1/users/ann/disable"),
        (Method::DELETE, "/api/v1/users/ann"),
    ] {
        let body = match what.1.ends_with("scope") {
            true => json!({"scope": "team=pay"}),
            false => Value::Null,
        };
        let (status, said) = does(&fleet, &ann, what, body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{said}");
        assert!(
            said.contains("the last enabled admin of all hosts"),
            "{said}"
        );
    }
    // Who holds an admin's token in the name of kim is kim.
    let kim = fleet.token_of("kim", Role::Admin).await;
    for wider in [Value::Null, json!("env=prod")] {
        let (status, said) = give(&fleet, &kim, "kim", wider).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{said}");
        assert!(said.contains("nobody widens their own scope"), "{said}");
    }
    let left_out = (Method::PUT, "/api/v1/users/kim/scope");
    let (status, said) = does(&fleet, &ann, left_out, json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(said.contains("scope"), "{said}");
    let (status, said) = give(&fleet, &ann, "kim", json!("team!=web")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(said.contains("hosts without any label"), "{said}");
}

#[tokio::test]
async fn pages_lead_those_of_a_scope_only_where_they_are_answered() {
    let fleet = MadeUp::start().await;
    two_teams(&fleet).await;
    let admin = fleet.token(Role::Admin).await;
    user(&fleet, "root", Role::Admin).await;
    make(&fleet, &admin, ("ann", "admin"), json!("team=pay")).await;
    let cookie = browser_of(&fleet, "ann").await;
    let fleet_page = page_of(&fleet, &cookie, "/").await;
    let nav = fleet_page.split("<nav").nth(1).unwrap();
    let nav = nav.split("</nav>").next().unwrap();
    let paths: Vec<&str> = nav
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(paths.len() > 4 && !paths.contains(&"/keys"), "{paths:?}");
    for path in paths {
        let page = page_of(&fleet, &cookie, path).await;
        assert!(page.contains("1 host of your scope"), "{path}: {page}");
        assert!(!page.contains("web-1"), "{path}: {page}");
    }
    let settings = page_of(&fleet, &cookie, "/settings").await;
    for part in ["Change your password", "Make a user", "Users of your scope"] {
        assert!(settings.contains(part), "{part}: {settings}");
    }
    for part in ["root", "Join tokens"] {
        assert!(!settings.contains(part), "{part}: {settings}");
    }
}

#[tokio::test]
async fn who_tries_too_often_on_the_page_is_told_so_on_a_page() {
    let fleet = MadeUp::start().await;
    let mut last = None;
    for _ in 0..48 {
        let request = client()
            .post(fleet.url("/login"))
            .header("origin", fleet.url(""))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("token=nonsense");
        last = Some(request.send().await.unwrap());
    }
    let answer = last.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/html"), "{kind}");
    assert!(answer.headers().contains_key("retry-after"));
    let page = answer.text().await.unwrap();
    assert!(page.contains("too many tries to sign in"), "{page}");
    // The API goes on speaking to programs.
    let answer = sign_in(&fleet, "nobody", PASSWORD).await;
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], 429);
}
