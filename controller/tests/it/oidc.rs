//! Signing in at a provider: what is believed, and every forgery that is not. The provider is the test's own; a real one is in
//! the whole-system tests.

mod provider;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::access::oidc::{Given, OidcSettings};
use tidemark_model::audit_log::{Deed, DoerKind};
use tidemark_model::{HostScope, Role, Secret};

use self::provider::{Forge, Provider, Signing};
use crate::api::client;
use crate::audit_log::entries;
use crate::made_up::MadeUp;

const CLIENT: &str = "tidemark";
const SECRET: &str = "the client's secret";

fn gives(value: &str, role: Role, scope: Option<&str>) -> (String, Given) {
    let scope = HostScope::from_text(scope).unwrap();
    (value.to_owned(), Given { role, scope })
}

async fn start() -> (MadeUp, Provider) {
    let provider = Provider::start().await;
    let settings = OidcSettings {
        issuer: provider.issuer(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(Secret::new(SECRET.to_owned())),
        redirect_url: "http://127.0.0.1:7080/login/oidc/callback".to_owned(),
        label: "Example & <b>Sons</b>".to_owned(),
        scopes: vec!["profile".to_owned()],
        name_claim: "preferred_username".to_owned(),
        role_claim: "groups".to_owned(),
        roles: vec![
            gives("ops", Role::Operator, None),
            gives("admins", Role::Admin, None),
            gives("pay", Role::Operator, Some("team=pay")),
            gives("web", Role::Operator, Some("team=web")),
        ],
        clock_skew: std::time::Duration::from_secs(60),
    };
    (MadeUp::start_with_oidc(settings).await, provider)
}

/// A browser that is at the provider.
struct There {
    cookie: String,
    state: String,
}

/// The parameter of an address.
fn param(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?')?.1;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name)?.1;
    Some(found.replace("%3A", ":").replace("%2F", "/"))
}

fn cookies_of(answer: &Response) -> Vec<String> {
    let all = answer.headers().get_all("set-cookie").into_iter();
    all.map(|cookie| cookie.to_str().unwrap().to_owned())
        .collect()
}

async fn begin(fleet: &MadeUp, provider: &Provider) -> There {
    let answer = client().get(fleet.url("/login/oidc")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let url = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(
        url.starts_with(&format!("{}/auth?", provider.issuer())),
        "{url}"
    );
    assert_eq!(param(&url, "response_type").unwrap(), "code");
    assert_eq!(param(&url, "client_id").unwrap(), CLIENT);
    assert_eq!(param(&url, "code_challenge_method").unwrap(), "S256");
    assert!(param(&url, "scope").unwrap().contains("openid"));
    provider.expect(
        &param(&url, "nonce").unwrap(),
        &param(&url, "code_challenge").unwrap(),
    );
    let cookie = cookies_of(&answer).remove(0);
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    There {
        cookie: cookie.split(';').next().unwrap().to_owned(),
        state: param(&url, "state").unwrap(),
    }
}

async fn come_back(fleet: &MadeUp, cookie: &str, query: &str) -> Response {
    let url = fleet.url(&format!("/login/oidc/callback?{query}"));
    let request = client().get(url).header("cookie", cookie);
    request.send().await.unwrap()
}

async fn sign_in(fleet: &MadeUp, provider: &Provider, forge: Forge) -> Response {
    provider.forge(forge);
    let there = begin(fleet, provider).await;
    let query = format!("code=c&state={}&session_state=x", there.state);
    come_back(fleet, &there.cookie, &query).await
}

/// The session of a browser that signed in.
fn session_of(answer: &Response) -> Option<String> {
    let cookies = cookies_of(answer);
    let found = cookies
        .iter()
        .find(|cookie| cookie.starts_with("tidemark-session="))?;
    assert!(found.contains("SameSite=Strict"));
    Some(found.split(';').next().unwrap().to_owned())
}

async fn me(fleet: &MadeUp, session: &str) -> Value {
    let request = client()
        .get(fleet.url("/api/v1/me"))
        .header("cookie", session);
    request.send().await.unwrap().json().await.unwrap()
}

async fn is_refused(answer: Response, part: &str, what: &str) {
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{what}");
    assert_eq!(session_of(&answer), None, "{what}");
    let page = answer.text().await.unwrap();
    assert!(page.contains(part), "{what}: {page}");
}

#[tokio::test]
async fn a_group_gives_a_scope_and_another_one_another_for_every_session_at_once() {
    let (fleet, provider) = start().await;
    let in_pay: Forge = |token| token.claims["groups"] = json!(["pay"]);
    let answer = sign_in(&fleet, &provider, in_pay).await;
    let ann = session_of(&answer).unwrap();
    let who = me(&fleet, &ann).await;
    assert_eq!(
        (&who["role"], &who["scope"]),
        (&json!("operator"), &json!("team=pay"))
    );
    let in_web: Forge = |token| token.claims["groups"] = json!(["web"]);
    sign_in(&fleet, &provider, in_web).await;
    assert_eq!(me(&fleet, &ann).await["scope"], "team=web");
    let recorded = entries(&fleet).await;
    let mut recorded = recorded.iter();
    let change = recorded.find(|entry| entry.what == Deed::UserSetScope);
    let change = change.unwrap();
    assert_eq!(
        (&*change.detail["before"], &*change.detail["scope"]),
        ("team=pay", "team=web")
    );
    // No scope holds both, and nobody guesses which was meant.
    let in_both: Forge = |token| token.claims["groups"] = json!(["web", "pay"]);
    let answer = sign_in(&fleet, &provider, in_both).await;
    is_refused(answer, "for several scopes (team=pay; team=web)", "both").await;
    let request = client().get(fleet.url("/")).header("cookie", &ann);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_provider_signs_people_in_with_the_role_that_it_gives_them_this_time() {
    let (fleet, provider) = start().await;
    let page = client().get(fleet.url("/login")).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("href=\"/login/oidc\"") && !page.contains("<b>Sons"));
    let answer = sign_in(&fleet, &provider, |_| {}).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let ann = session_of(&answer).unwrap();
    let who = me(&fleet, &ann).await;
    assert_eq!(
        (&who["name"], &who["role"]),
        (&json!("ann"), &json!("operator"))
    );
    assert_eq!(
        (&who["is_user"], &who["has_password"]),
        (&json!(true), &json!(false))
    );
    // A name never changes; a role does, for every session at once.
    let raised: Forge = |token| {
        token.claims["preferred_username"] = json!("ann.lee");
        token.claims["groups"] = json!(["staff", "admins", "ops"]);
    };
    let answer = sign_in(&fleet, &provider, raised).await;
    let again = me(&fleet, &session_of(&answer).unwrap()).await;
    assert_eq!(
        (&again["name"], &again["role"]),
        (&json!("ann"), &json!("admin"))
    );
    assert_eq!(me(&fleet, &ann).await["role"], "admin");
    // What the provider did to the user is on record beside the sign-ins.
    let recorded = entries(&fleet).await;
    let changes: Vec<_> = recorded
        .iter()
        .filter(|entry| entry.on.kind == "users" && entry.on.id == "ann")
        .map(|entry| (entry.what, entry.who.kind, &*entry.detail["role"]))
        .collect();
    let by = DoerKind::Controller;
    let made = (Deed::UserCreate, by, "operator");
    assert_eq!(changes, [made, (Deed::UserSetRole, by, "admin")]);
    // Whoever has no role any more is out everywhere.
    let none: Forge = |token| token.claims["groups"] = json!(["staff"]);
    let answer = sign_in(&fleet, &provider, none).await;
    is_refused(answer, "gives you no role here", "no role").await;
    let request = client().get(fleet.url("/")).header("cookie", &ann);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn what_was_not_begun_in_this_browser_signs_nobody_in() {
    let (fleet, provider) = start().await;
    provider.forge(|_| {});
    let (mine, other) = (
        begin(&fleet, &provider).await,
        begin(&fleet, &provider).await,
    );
    let query = |there: &There| format!("code=c&state={}", there.state);
    for (what, cookie, query) in [
        (
            "another browser's state: a forged link",
            &*mine.cookie,
            query(&other),
        ),
        ("no cookie", "", query(&mine)),
        ("no state", &mine.cookie, "code=c".to_owned()),
        ("an empty state", &mine.cookie, "code=c&state=".to_owned()),
        ("a made-up cookie", "tidemark-oidc=x", query(&mine)),
    ] {
        let answer = come_back(&fleet, cookie, &query).await;
        is_refused(answer, "no such sign-in under way", what).await;
    }
    assert_eq!(provider.asked(), 0, "no code was spent");
    let denied = format!("error=access_denied%3Cb%3E&state={}", mine.state);
    let answer = come_back(&fleet, &mine.cookie, &denied).await;
    is_refused(answer, "access_denied&#60;b&#62;", "the provider says no").await;
    let answer = come_back(&fleet, &mine.cookie, &query(&mine)).await;
    is_refused(answer, "no such sign-in under way", "it is over after a no").await;
    let elsewhere = format!("{}&iss=https://evil.example", query(&other));
    let answer = come_back(&fleet, &other.cookie, &elsewhere).await;
    is_refused(answer, "cannot be believed", "another issuer").await;

    let there = begin(&fleet, &provider).await;
    let answer = come_back(&fleet, &there.cookie, &query(&there)).await;
    assert!(session_of(&answer).is_some());
    let answer = come_back(&fleet, &there.cookie, &query(&there)).await;
    is_refused(answer, "no such sign-in under way", "replayed").await;
}

async fn none_is_believed(forgeries: &[(&str, Forge)]) {
    let (fleet, provider) = start().await;
    for (what, forge) in forgeries {
        let answer = sign_in(&fleet, &provider, *forge).await;
        is_refused(answer, "cannot be believed", what).await;
    }
    let answer = sign_in(&fleet, &provider, |_| {}).await;
    assert!(
        session_of(&answer).is_some(),
        "the provider itself is believed"
    );
}

#[tokio::test]
async fn an_id_token_with_wrong_claims_is_not_believed() {
    none_is_believed(&[
        ("another nonce", |token| token.claims["nonce"] = json!("x")),
        ("no nonce", |token| token.remove("nonce")),
        ("another audience", |token| {
            token.claims["aud"] = json!("other")
        }),
        ("another audience beside", |token| {
            token.claims["aud"] = json!([CLIENT, "other"]);
        }),
        ("no audience", |token| token.claims["aud"] = json!([])),
        ("another party", |token| {
            token.claims["azp"] = json!("other")
        }),
        ("another issuer", |token| {
            token.claims["iss"] = json!("https://evil.example");
        }),
        ("expired beyond the skew", |token| {
            token.shift("exp", -300 - 61)
        }),
        ("issued in the future", |token| token.shift("iat", 120)),
        ("issued long ago", |token| token.shift("iat", -86_400)),
        ("another access token", |token| {
            token.claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
        }),
    ])
    .await;
}

#[tokio::test]
async fn an_id_token_that_the_provider_did_not_sign_is_not_believed() {
    none_is_believed(&[
        ("no signature", |token| token.sign_by(Signing::None)),
        ("the client's secret as the key", |token| {
            token.sign_by(Signing::Hmac(SECRET.as_bytes().to_vec()));
        }),
        ("the public key as the secret", |token| {
            let public = token.public_key.clone();
            token.sign_by(Signing::Hmac(public));
        }),
        ("another key of the same name", |token| {
            token.sign_by(Signing::OtherKey)
        }),
        ("a key that nobody knows", |token| {
            token.header["kid"] = json!("k9")
        }),
        ("a path as a key", |token| {
            token.header["kid"] = json!("../../../../etc/passwd");
        }),
        ("a damaged signature", |token| {
            token.sign_by(Signing::Damaged)
        }),
        ("a key that it brings along", |token| {
            token.header["jwk"] = token.other_jwk.clone();
            token.sign_by(Signing::OtherKey);
        }),
    ])
    .await;
}

#[tokio::test]
async fn a_clock_that_is_off_within_the_skew_is_forgiven() {
    let (fleet, provider) = start().await;
    let forges: [Forge; 2] = [
        |token| token.shift("exp", -300 - 30),
        |token| token.shift("iat", 30),
    ];
    for forge in forges {
        let answer = sign_in(&fleet, &provider, forge).await;
        assert!(session_of(&answer).is_some());
    }
}

#[tokio::test]
async fn names_that_are_none_or_somebody_elses_are_refused() {
    let (fleet, provider) = start().await;
    crate::users::user(&fleet, "ann", Role::Viewer).await;
    let answer = sign_in(&fleet, &provider, |_| {}).await;
    is_refused(answer, "who is not this one at the provider", "taken").await;
    let hostile: Forge = |token| token.claims["preferred_username"] = json!("<script>");
    let answer = sign_in(&fleet, &provider, hostile).await;
    is_refused(answer, "is no name for a user here", "hostile").await;
    let missing: Forge = |token| token.remove("preferred_username");
    let answer = sign_in(&fleet, &provider, missing).await;
    is_refused(answer, "preferred_username is no name", "missing").await;
    let bob: Forge = |token| {
        token.claims["preferred_username"] = json!("Bob");
        token.claims["sub"] = json!("4712");
    };
    let answer = sign_in(&fleet, &provider, bob).await;
    let session = session_of(&answer).unwrap();
    assert_eq!(me(&fleet, &session).await["name"], "bob");
    let admin = fleet.token(Role::Admin).await;
    let disable = client()
        .post(fleet.url("/api/v1/users/bob/disable"))
        .bearer_auth(&admin);
    assert_eq!(disable.send().await.unwrap().status(), StatusCode::OK);
    let answer = sign_in(&fleet, &provider, bob).await;
    is_refused(answer, "your user is disabled", "disabled").await;
}

#[tokio::test]
async fn a_provider_that_redirects_or_floods_is_not_followed() {
    for (what, path) in [("redirect", "/elsewhere"), ("flood", "/flood")] {
        let (fleet, provider) = start().await;
        provider.break_keys(path);
        let answer = client().get(fleet.url("/login/oidc")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{what}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("does not answer as it should"), "{page}");
        assert_eq!(provider.followed(), 0, "{what}");
    }
}

#[tokio::test]
async fn without_a_provider_there_is_no_way_to_one() {
    let fleet = MadeUp::start().await;
    for path in ["/login/oidc", "/login/oidc/callback?code=c&state=s"] {
        let answer = client().get(fleet.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let page = client().get(fleet.url("/login")).send().await.unwrap();
    assert!(!page.text().await.unwrap().contains("/login/oidc"));
}
