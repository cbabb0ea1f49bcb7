//! Signing a browser in and out.

use reqwest::{Response, StatusCode};
use tidemark_controller::access::Holder;
use tidemark_model::Role;

use crate::api::client;
use crate::made_up::MadeUp;

fn cookie_of(response: &Response) -> Option<String> {
    let cookie = response.headers().get("set-cookie")?.to_str().unwrap();
    Some(cookie.split(';').next().unwrap().to_owned())
}

async fn status_with(fleet: &MadeUp, cookie: &str, path: &str) -> StatusCode {
    let request = client().get(fleet.url(path)).header("cookie", cookie);
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn the_link_of_the_quick_start_signs_in_and_signing_out_ends_it() {
    let fleet = MadeUp::start().await;
    let code = fleet.started.app.login_codes.make_code();
    let path = format!("/login?code={code}");
    let answer = client().get(fleet.url(&path)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/");
    let flags = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        flags.contains("HttpOnly") && flags.contains("SameSite=Strict"),
        "{flags}"
    );
    let cookie = cookie_of(&answer).unwrap();
    assert_eq!(status_with(&fleet, &cookie, "/").await, StatusCode::OK);
    assert_eq!(
        status_with(&fleet, &cookie, "/api/v1/tokens").await,
        StatusCode::OK
    );

    let out = |origin: String| {
        let request = client()
            .post(fleet.url("/logout"))
            .header("cookie", &cookie);
        request.header("origin", origin).send()
    };
    let forged = out("http://evil.example".to_owned()).await.unwrap();
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    assert_eq!(status_with(&fleet, &cookie, "/").await, StatusCode::OK);
    let answer = out(fleet.url("")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(
        status_with(&fleet, &cookie, "/").await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_wrong_code_signs_nobody_in() {
    let fleet = MadeUp::start().await;
    let answer = client()
        .get(fleet.url("/login?code=guess"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(cookie_of(&answer).is_none());
    assert!(answer.text().await.unwrap().contains("not valid any more"));
}

#[tokio::test]
async fn a_pasted_token_signs_in_with_its_role_and_ends_with_its_revocation() {
    let fleet = MadeUp::start().await;
    let app = &fleet.started.app;
    let key = app
        .make_api_key(Holder::of_all_hosts("night shift", Role::Viewer), None)
        .await
        .unwrap();
    let request = client()
        .post(fleet.url("/login"))
        .header("origin", fleet.url(""))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={}", key.expose_text()));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = cookie_of(&answer).unwrap();
    assert_eq!(
        status_with(&fleet, &cookie, "/api/v1/hosts").await,
        StatusCode::OK
    );
    assert_eq!(
        status_with(&fleet, &cookie, "/api/v1/tokens").await,
        StatusCode::FORBIDDEN
    );
    let mut tx = app.store.begin().await.unwrap();
    tx.api_token_revoke(key.id, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        status_with(&fleet, &cookie, "/api/v1/hosts").await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn without_a_session_the_fleet_is_a_sign_in_page() {
    let fleet = MadeUp::start().await;
    fleet.host("secret-name").await;
    let answer = client().get(fleet.url("/")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let csp = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        csp.contains("default-src 'none'") && !csp.contains("unsafe"),
        "{csp}"
    );
    assert_eq!(answer.headers()["x-frame-options"], "DENY");
    let body = answer.text().await.unwrap();
    assert!(body.contains("Sign in") && body.contains("tidemark-controller up"));
    assert!(!body.contains("secret-name"));
}
