//! Users: signing in with a password, what ends a sign-in, and what nobody may do to themselves or to the last admin.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::access::standing::SESSION_IDLE;
use tidemark_model::Role;
use tidemark_model::token::{JoinToken, TokenId};
use tidemark_store::{BrowserSession, SessionOwner};

use crate::api::client;
use crate::made_up::MadeUp;

pub const PASSWORD: &str = "correct horse battery";

/// How long it may take until somebody who was shut out is out.
const OUT_WITHIN: Duration = Duration::from_secs(5);

/// A condition that is not met within this is not met.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks as the holder of a token.
pub async fn ask(fleet: &MadeUp, token: &str, what: (Method, &str), body: Value) -> Response {
    let (method, path) = what;
    let mut request = client().request(method, fleet.url(path)).bearer_auth(token);
    if !body.is_null() {
        request = request.json(&body);
    }
    request.send().await.unwrap()
}

/// Makes a user with [`PASSWORD`].
pub async fn user(fleet: &MadeUp, name: &str, role: Role) {
    let admin = fleet.token(Role::Admin).await;
    let body = json!({"name": name, "role": role.as_str(), "password": PASSWORD});
    let made = ask(fleet, &admin, (Method::POST, "/api/v1/users"), body).await;
    assert_eq!(made.status(), StatusCode::CREATED);
}

pub async fn sign_in(fleet: &MadeUp, name: &str, password: &str) -> Response {
    let body = json!({"name": name, "password": password});
    let request = client().post(fleet.url("/api/v1/sign-in")).json(&body);
    request.send().await.unwrap()
}

/// The token of a user who signs in.
pub async fn token_of(fleet: &MadeUp, name: &str) -> String {
    let answer = sign_in(fleet, name, PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let made: Value = answer.json().await.unwrap();
    made["token"].as_str().unwrap().to_owned()
}

fn form(fleet: &MadeUp, name: &str, password: &str) -> RequestBuilder {
    client()
        .post(fleet.url("/login"))
        .header("origin", fleet.url(""))
        .header("user-agent", "Mozilla/5.0 (<b>test</b>)")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encoded(&[("name", name), ("password", password)]))
}

/// Fields as a form sends them.
pub fn encoded(fields: &[(&str, &str)]) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let field = |(name, value): &(&str, &str)| {
        let value: String = value.bytes().map(byte).collect();
        format!("{name}={value}")
    };
    fields.iter().map(field).collect::<Vec<_>>().join("&")
}

fn cookie_of(answer: &Response) -> Option<String> {
    let cookie = answer.headers().get("set-cookie")?.to_str().unwrap();
    Some(cookie.split(';').next().unwrap().to_owned())
}

/// The cookie of a browser that signs in.
pub async fn browser_of(fleet: &MadeUp, name: &str) -> String {
    let answer = form(fleet, name, PASSWORD).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    cookie_of(&answer).unwrap()
}

async fn status_with(fleet: &MadeUp, cookie: &str, path: &str) -> StatusCode {
    let request = client().get(fleet.url(path)).header("cookie", cookie);
    request.send().await.unwrap().status()
}

/// A live view of a browser.
pub async fn live_view(fleet: &MadeUp, cookie: &str) -> Response {
    let request = client()
        .get(fleet.url("/live"))
        .header("cookie", cookie)
        .timeout(PATIENCE * 2);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer
}

pub async fn ends_soon(live: Response) {
    let mut chunks = live.bytes_stream();
    let end = async { while let Some(Ok(_)) = chunks.next().await {} };
    tokio::time::timeout(OUT_WITHIN, end)
        .await
        .expect("the live view ends within 5 s");
}

#[tokio::test]
async fn a_browser_signs_in_with_a_name_and_a_password() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Operator).await;
    let cookie = browser_of(&fleet, "ann").await;
    assert_eq!(status_with(&fleet, &cookie, "/").await, StatusCode::OK);
    assert_eq!(
        status_with(&fleet, &cookie, "/api/v1/users").await,
        StatusCode::FORBIDDEN
    );
    let page = client().get(fleet.url("/")).header("cookie", &cookie);
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("signed in as ann"));
    let me = client()
        .get(fleet.url("/api/v1/me"))
        .header("cookie", &cookie);
    let me: Value = me.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&me["name"], &me["role"]),
        (&json!("ann"), &json!("operator"))
    );
    assert_eq!(
        (&me["by"], &me["is_user"]),
        (&json!("session"), &json!(true))
    );
}

#[tokio::test]
async fn who_does_not_exist_cannot_be_told_from_a_wrong_password() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Viewer).await;
    user(&fleet, "off", Role::Viewer).await;
    let admin = fleet.token(Role::Admin).await;
    let off = (Method::POST, "/api/v1/users/off/disable");
    let disabled = ask(&fleet, &admin, off, Value::Null).await;
    assert_eq!(disabled.status(), StatusCode::OK);
    let mut answers = Vec::new();
    for (name, password) in [
        ("ann", "wrong horse battery"),
        ("nobody", "wrong horse battery"),
        ("off", PASSWORD),
        ("nul\0", PASSWORD),
        ("", ""),
    ] {
        let answer = sign_in(&fleet, name, password).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{name:?}");
        answers.push(answer.text().await.unwrap());
        let page = form(&fleet, name, password).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::UNAUTHORIZED, "{name:?}");
        assert!(cookie_of(&page).is_none());
        assert!(page.text().await.unwrap().contains("do not let anybody in"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_cookie_that_was_planted_before_the_sign_in_never_becomes_a_session() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Viewer).await;
    user(&fleet, "eve", Role::Viewer).await;
    let planted = browser_of(&fleet, "eve").await;
    let answer = form(&fleet, "ann", PASSWORD)
        .header("cookie", &planted)
        .send()
        .await
        .unwrap();
    let cookie = cookie_of(&answer).unwrap();
    assert_ne!(cookie, planted);
    // The session that the browser had ends, so that nobody waits with it.
    assert_eq!(
        status_with(&fleet, &planted, "/").await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(status_with(&fleet, &cookie, "/").await, StatusCode::OK);
    // Somebody else's id alone ends nothing.
    let id = cookie.split_once('.').unwrap().0.to_owned();
    let forged = format!("{id}.{}", "a".repeat(52));
    let request = form(&fleet, "eve", PASSWORD).header("cookie", forged);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::SEE_OTHER
    );
    assert_eq!(status_with(&fleet, &cookie, "/").await, StatusCode::OK);
}

#[tokio::test]
async fn another_sites_page_cannot_sign_anybody_in() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Viewer).await;
    for (path, kind) in [
        ("/login", "application/x-www-form-urlencoded"),
        ("/api/v1/sign-in", "application/json"),
    ] {
        let request = client()
            .post(fleet.url(path))
            .header("origin", "https://evil.example")
            .header("content-type", kind)
            .body("{}");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let request = client()
        .post(fleet.url("/api/v1/sign-in"))
        .header("content-type", "text/plain")
        .body(json!({"name": "ann", "password": PASSWORD}).to_string());
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[tokio::test]
async fn too_many_failures_lock_a_user_until_an_admin_unlocks_them() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Viewer).await;
    let before = token_of(&fleet, "ann").await;
    let admin = fleet.token(Role::Admin).await;
    let state = async || {
        let found = ask(
            &fleet,
            &admin,
            (Method::GET, "/api/v1/users/ann"),
            Value::Null,
        )
        .await;
        let found: Value = found.json().await.unwrap();
        (found["state"].clone(), found["failed_attempts"].clone())
    };
    for failures in 1..=8 {
        let answer = sign_in(&fleet, "ann", "wrong horse battery").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let counted = async {
            let wanted = match failures {
                8 => (json!("locked"), json!(0)),
                _ => (json!("enabled"), json!(failures)),
            };
            while state().await != wanted {}
        };
        tokio::time::timeout(PATIENCE, counted).await.unwrap();
    }
    let right = sign_in(&fleet, "ann", PASSWORD).await;
    assert_eq!(right.status(), StatusCode::UNAUTHORIZED);
    // Who is signed in stays so: locking somebody out is not for strangers to do.
    let me = ask(&fleet, &before, (Method::GET, "/api/v1/me"), Value::Null).await;
    assert_eq!(me.status(), StatusCode::OK);
    let told = async {
        loop {
            let events = ask(
                &fleet,
                &admin,
                (Method::GET, "/api/v1/events?kind=user_locked"),
                Value::Null,
            );
            let text = events.await.text().await.unwrap();
            if text.contains("user ann cannot sign in with a password for 15 minutes") {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    let unlock = (Method::POST, "/api/v1/users/ann/unlock");
    let unlocked: Value = ask(&fleet, &admin, unlock, Value::Null)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(unlocked["state"], "enabled");
    token_of(&fleet, "ann").await;
}

#[tokio::test]
async fn who_tries_too_often_is_told_when_to_come_again() {
    let fleet = MadeUp::start().await;
    let mut statuses = Vec::new();
    for _ in 0..16 {
        let answer = sign_in(&fleet, "nobody", "wrong horse battery").await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            let wait: u64 = answer.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
            let body: Value = answer.json().await.unwrap();
            assert!(body["title"].as_str().unwrap().contains("wait"));
            statuses.push(StatusCode::TOO_MANY_REQUESTS);
        } else {
            statuses.push(answer.status());
        }
    }
    assert_eq!(statuses[0], StatusCode::UNAUTHORIZED);
    assert_eq!(statuses[15], StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_session_outlasts_a_restart() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Viewer).await;
    let cookie = browser_of(&fleet, "ann").await;
    let code = fleet.started.app.login_codes.make_code();
    let link = client().get(fleet.url(&format!("/login?code={code}")));
    let by_link = cookie_of(&link.send().await.unwrap()).unwrap();
    let fleet = fleet.restart().await;
    assert_eq!(status_with(&fleet, &cookie, "/").await, StatusCode::OK);
    assert_eq!(status_with(&fleet, &by_link, "/").await, StatusCode::OK);
}

#[tokio::test]
async fn a_session_ends_after_a_working_day_and_when_it_is_not_used() {
    let fleet = MadeUp::start().await;
    let app = &fleet.started.app;
    let now = app.clock.now();
    let hour = Duration::from_secs(3_600);
    for (number, used_ago, left, stays) in [
        (1, SESSION_IDLE.saturating_sub(hour / 60), hour, true),
        (2, SESSION_IDLE, hour, false),
        (3, Duration::ZERO, Duration::ZERO, false),
    ] {
        let (id, secret) = (TokenId::from_bytes([number; 10]), [number; 32]);
        let session = BrowserSession {
            id,
            secret_hash: JoinToken::secret_hash(&secret),
            owner: SessionOwner::Machine,
            created_at: now.saturating_sub(hour * 11),
            used_at: now.saturating_sub(used_ago),
            expires_at: now.saturating_add(left),
            address: "127.0.0.1".to_owned(),
            user_agent: String::new(),
        };
        let mut tx = app.store.begin().await.unwrap();
        tx.browser_session_insert(&session).await.unwrap();
        tx.commit().await.unwrap();
        let text = data_encoding::BASE32_NOPAD
            .encode(&secret)
            .to_ascii_lowercase();
        let cookie = format!("tidemark-session={id}.{text}");
        let status = status_with(&fleet, &cookie, "/").await;
        assert_eq!(status == StatusCode::OK, stays, "{number}: {status}");
        if stays {
            // Using it is what keeps it.
            let mut tx = app.store.read().await.unwrap();
            let found = tx.browser_session_find(id).await.unwrap().unwrap();
            assert!(found.used_at >= now);
        }
    }
}

#[tokio::test]
async fn whatever_ends_a_sign_in_ends_its_live_views_within_5_s() {
    let fleet = MadeUp::start().await;
    let admin = fleet.token(Role::Admin).await;
    user(&fleet, "boss", Role::Admin).await;
    for (number, what) in ["disable", "delete", "session", "password"]
        .into_iter()
        .enumerate()
    {
        let name = format!("user{number}");
        user(&fleet, &name, Role::Viewer).await;
        let cookie = browser_of(&fleet, &name).await;
        let token = token_of(&fleet, &name).await;
        let live = live_view(&fleet, &cookie).await;
        let path = format!("/api/v1/users/{name}");
        let done = match what {
            "disable" => {
                let path = format!("{path}/disable");
                ask(&fleet, &admin, (Method::POST, &path), Value::Null).await
            }
            "delete" => ask(&fleet, &admin, (Method::DELETE, &path), Value::Null).await,
            "session" => {
                let id = cookie.split_once('=').unwrap().1.split_once('.').unwrap().0;
                let path = format!("/api/v1/sessions/{id}");
                ask(&fleet, &admin, (Method::DELETE, &path), Value::Null).await
            }
            _ => {
                let path = format!("{path}/password");
                let body = json!({"password": "another horse battery"});
                ask(&fleet, &admin, (Method::PUT, &path), body).await
            }
        };
        assert!(done.status().is_success(), "{what}: {}", done.status());
        assert_eq!(
            status_with(&fleet, &cookie, "/").await,
            StatusCode::UNAUTHORIZED,
            "{what}"
        );
        let me = ask(&fleet, &token, (Method::GET, "/api/v1/me"), Value::Null).await;
        let stays = what == "session";
        assert_eq!(me.status() == StatusCode::OK, stays, "{what}");
        ends_soon(live).await;
    }
}

#[tokio::test]
async fn a_token_of_a_sign_in_has_the_users_role_and_loses_it_with_them() {
    let fleet = MadeUp::start().await;
    let admin = fleet.token(Role::Admin).await;
    user(&fleet, "ann", Role::Approver).await;
    let token = token_of(&fleet, "ann").await;
    let role = async |token: &str| {
        let me = ask(&fleet, token, (Method::GET, "/api/v1/me"), Value::Null).await;
        let me: Value = me.json().await.unwrap();
        assert_eq!(me["name"], "ann");
        let ms = me["expires_ms"].as_i64().unwrap() - fleet.started.app.clock.now().unix_ms();
        assert!((1..=12 * 3_600_000).contains(&ms), "{ms}");
        me["role"].as_str().unwrap().to_owned()
    };
    assert_eq!(role(&token).await, "approver");
    let set = async |name: &str| {
        let what = (Method::PUT, "/api/v1/users/ann/role");
        let done = ask(&fleet, &admin, what, json!({"role": name})).await;
        assert_eq!(done.status(), StatusCode::OK);
    };
    set("viewer").await;
    assert_eq!(role(&token).await, "viewer");
    // A token does not grow: what a raised role allows, a new sign-in brings.
    set("admin").await;
    assert_eq!(role(&token).await, "approver");
    assert_eq!(role(&token_of(&fleet, "ann").await).await, "admin");
    let disable = (Method::POST, "/api/v1/users/ann/disable");
    user(&fleet, "boss", Role::Admin).await;
    ask(&fleet, &admin, disable, Value::Null).await;
    let enable = (Method::POST, "/api/v1/users/ann/enable");
    ask(&fleet, &admin, enable, Value::Null).await;
    let me = ask(&fleet, &token, (Method::GET, "/api/v1/me"), Value::Null).await;
    assert_eq!(me.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn changing_the_own_password_needs_the_current_one_and_ends_other_sign_ins() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Viewer).await;
    let (here, elsewhere) = (
        browser_of(&fleet, "ann").await,
        browser_of(&fleet, "ann").await,
    );
    let token = token_of(&fleet, "ann").await;
    let change = async |current: &str, new: &str| {
        let request = client()
            .put(fleet.url("/api/v1/me/password"))
            .header("cookie", &here)
            .header("origin", fleet.url(""))
            .json(&json!({"current": current, "new": new}));
        request.send().await.unwrap().status()
    };
    let better = "quite another battery";
    assert_eq!(change("wrong horse", better).await, StatusCode::FORBIDDEN);
    assert_eq!(
        change(PASSWORD, "ann-password").await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(status_with(&fleet, &elsewhere, "/").await, StatusCode::OK);
    assert_eq!(change(PASSWORD, better).await, StatusCode::NO_CONTENT);
    assert_eq!(status_with(&fleet, &here, "/").await, StatusCode::OK);
    assert_eq!(
        status_with(&fleet, &elsewhere, "/").await,
        StatusCode::UNAUTHORIZED
    );
    let me = ask(&fleet, &token, (Method::GET, "/api/v1/me"), Value::Null).await;
    assert_eq!(me.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        sign_in(&fleet, "ann", PASSWORD).await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        sign_in(&fleet, "ann", better).await.status(),
        StatusCode::CREATED
    );
    // A token that stands for itself has no password.
    let own = fleet.token_of("ann", Role::Viewer).await;
    let body = json!({"current": better, "new": PASSWORD});
    let refused = ask(&fleet, &own, (Method::PUT, "/api/v1/me/password"), body).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn nobody_raises_themselves_and_one_admin_stays() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Admin).await;
    user(&fleet, "bob", Role::Viewer).await;
    let ann = token_of(&fleet, "ann").await;
    for what in [
        (Method::PUT, "/api/v1/users/ann/role"),
        (Method::POST, "/api/v1/users/ann/disable"),
        (Method::DELETE, "/api/v1/users/ann"),
    ] {
        let body = match what.1.ends_with("role") {
            true => json!({"role": "viewer"}),
            false => Value::Null,
        };
        let refused = ask(&fleet, &ann, what.clone(), body).await;
        assert_eq!(refused.status(), StatusCode::CONFLICT, "{what:?}");
        let text = refused.text().await.unwrap();
        assert!(
            text.contains("ann is the last enabled admin of all hosts")
                && text.contains("user create")
        );
    }
    // Who holds an admin's token in the name of bob is bob.
    let bob = fleet.token_of("bob", Role::Admin).await;
    let raise = (Method::PUT, "/api/v1/users/bob/role");
    let refused = ask(&fleet, &bob, raise.clone(), json!({"role": "operator"})).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let raised = ask(&fleet, &ann, raise, json!({"role": "admin"})).await;
    assert_eq!(raised.status(), StatusCode::OK);
    let lower = (Method::PUT, "/api/v1/users/ann/role");
    let lowered = ask(&fleet, &ann, lower, json!({"role": "viewer"})).await;
    assert_eq!(lowered.status(), StatusCode::OK);
    let users = ask(&fleet, &ann, (Method::GET, "/api/v1/users"), Value::Null).await;
    assert_eq!(users.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn two_admins_cannot_shut_each_other_out_at_once() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Admin).await;
    user(&fleet, "bob", Role::Admin).await;
    let (ann, bob) = (token_of(&fleet, "ann").await, token_of(&fleet, "bob").await);
    let (one, other) = tokio::join!(
        ask(
            &fleet,
            &ann,
            (Method::DELETE, "/api/v1/users/bob"),
            Value::Null
        ),
        ask(
            &fleet,
            &bob,
            (Method::DELETE, "/api/v1/users/ann"),
            Value::Null
        ),
    );
    let mut statuses = [one.status(), other.status()];
    statuses.sort_unstable();
    assert_eq!(statuses[0], StatusCode::NO_CONTENT, "{statuses:?}");
    assert_ne!(statuses[1], StatusCode::NO_CONTENT, "{statuses:?}");
}

#[tokio::test]
async fn everybody_sees_and_ends_their_own_sessions_alone() {
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Viewer).await;
    user(&fleet, "eve", Role::Approver).await;
    let (ann, eve) = (
        browser_of(&fleet, "ann").await,
        browser_of(&fleet, "eve").await,
    );
    let list = async |token: &str, query: &str| -> Vec<Value> {
        let path = format!("/api/v1/sessions{query}");
        let page: Value = ask(&fleet, token, (Method::GET, &path), Value::Null)
            .await
            .json()
            .await
            .unwrap();
        page["items"].as_array().unwrap().clone()
    };
    let of = |name: &str| json!(name);
    let anns = list(&token_of(&fleet, "ann").await, "").await;
    assert_eq!(anns.len(), 1);
    assert_eq!(anns[0]["of"], of("ann"));
    assert_eq!(anns[0]["address"], "127.0.0.1");
    assert_eq!(anns[0]["user_agent"], "Mozilla/5.0 (<b>test</b>)");
    let id = anns[0]["id"].as_str().unwrap();
    assert!(ann.contains(id));
    assert!(!anns[0].to_string().contains(ann.split_once('.').unwrap().1));
    let eves = token_of(&fleet, "eve").await;
    assert!(list(&eves, "?user=ann").await.is_empty());
    let end = (Method::DELETE, format!("/api/v1/sessions/{id}"));
    let refused = ask(&fleet, &eves, (end.0.clone(), &end.1), Value::Null).await;
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    let admin = fleet.token(Role::Admin).await;
    assert_eq!(list(&admin, "").await.len(), 2);
    assert_eq!(list(&admin, "?user=eve").await[0]["of"], of("eve"));
    let alone = fleet.token_of("ann", Role::Viewer).await;
    assert!(list(&alone, "").await.is_empty());
    let ended = ask(&fleet, &admin, (end.0, &end.1), Value::Null).await;
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        status_with(&fleet, &ann, "/").await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(status_with(&fleet, &eve, "/").await, StatusCode::OK);
}

#[tokio::test]
async fn bad_input_is_named_with_its_limit() {
    let fleet = MadeUp::start().await;
    let admin = fleet.token(Role::Admin).await;
    user(&fleet, "ann", Role::Viewer).await;
    let good = json!({"name": "bob", "role": "viewer", "password": PASSWORD});
    for (field, value, status, part) in [
        ("name", "<b>Bob</b>", 400, "name must be 1 to 64 of a-z"),
        ("name", "ann", 409, "a user of that name already"),
        (
            "role",
            "root",
            400,
            "must be one of viewer, operator, approver, admin",
        ),
        ("password", "short", 400, "it must have 12 to 256"),
        ("password", "Password1234", 400, "too easy to guess"),
        ("nickname", "x", 400, "unknown field"),
    ] {
        let mut body = good.clone();
        body[field] = json!(value);
        let refused = ask(&fleet, &admin, (Method::POST, "/api/v1/users"), body).await;
        assert_eq!(refused.status().as_u16(), status, "{field} {value}");
        let text = refused.text().await.unwrap();
        assert!(text.contains(part), "{text}");
        assert!(field != "password" || !text.contains(value), "{text}");
    }
    for path in [
        "/api/v1/users/nobody",
        "/api/v1/users/%00",
        "/api/v1/users/a%2Fb",
    ] {
        let refused = ask(&fleet, &admin, (Method::GET, path), Value::Null).await;
        assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn no_password_token_or_cookie_is_logged() {
    let log = crate::logged::Log::default();
    let _logging = log.start();
    let fleet = MadeUp::start().await;
    user(&fleet, "ann", Role::Viewer).await;
    let (cookie, token) = (
        browser_of(&fleet, "ann").await,
        token_of(&fleet, "ann").await,
    );
    sign_in(&fleet, "ann", "wrong horse battery").await;
    sign_in(&fleet, "typed password as name", "x").await;
    assert_eq!(status_with(&fleet, &cookie, "/").await, StatusCode::OK);
    let text = log.text();
    assert!(text.contains("a browser signed in"), "{text}");
    let secret = |text: &str| text.rsplit_once('.').unwrap().1.to_owned();
    for hidden in [
        PASSWORD.to_owned(),
        "wrong horse".to_owned(),
        "typed password".to_owned(),
        secret(&cookie),
        secret(&token),
        "$argon2id".to_owned(),
    ] {
        assert!(!text.contains(&hidden), "{hidden}");
    }
}
