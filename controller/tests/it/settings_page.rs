//! The page Settings as rendered: who sees what, what is asked once more, and hostile texts that stay texts.

use reqwest::{Response, StatusCode};
use tidemark_model::Role;

use crate::api::client;
use crate::made_up::MadeUp;
use crate::users::{PASSWORD, browser_of, encoded, user};

const HOSTILE: &str = "</td><script>alert(1)</script>\" onclick=\"x";

async fn get(fleet: &MadeUp, cookie: &str, path: &str) -> String {
    let request = client().get(fleet.url(path)).header("cookie", cookie);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    answer.text().await.unwrap()
}

async fn send(fleet: &MadeUp, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Response {
    let request = client()
        .post(fleet.url(path))
        .header("cookie", cookie)
        .header("origin", fleet.url(""))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encoded(fields));
    request.send().await.unwrap()
}

/// The admin's own browser.
async fn admin(fleet: &MadeUp) -> String {
    user(fleet, "root", Role::Admin).await;
    browser_of(fleet, "root").await
}

#[tokio::test]
async fn everybody_sees_themselves_and_admins_who_may_sign_in() {
    let fleet = MadeUp::start().await;
    let root = admin(&fleet).await;
    user(&fleet, "ann", Role::Approver).await;
    let ann = browser_of(&fleet, "ann").await;
    let page = get(&fleet, &ann, "/settings").await;
    for part in [
        "<bdi>ann</bdi>",
        "approver",
        "Your browsers",
        "this one",
        "Change your password",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for part in ["root", "API tokens", "Join tokens", "Make a user"] {
        assert!(!page.contains(part), "{part}: {page}");
    }
    let page = get(&fleet, &root, "/settings").await;
    for part in [
        "ann",
        "API tokens",
        "Join tokens",
        "Make a user",
        "Browsers that are signed in",
        "This controller leads; term 1, begun ",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let link = fleet.token(Role::Viewer).await;
    let request = client().get(fleet.url("/settings")).bearer_auth(link);
    let page = request.send().await.unwrap().text().await.unwrap();
    assert!(
        !page.contains("Change your password"),
        "a token has none: {page}"
    );
}

#[tokio::test]
async fn whoever_is_shut_out_is_asked_about_once_more() {
    let fleet = MadeUp::start().await;
    let root = admin(&fleet).await;
    user(&fleet, "ann", Role::Viewer).await;
    let ann = browser_of(&fleet, "ann").await;
    let id = ann.split_once('=').unwrap().1.split_once('.').unwrap().0;
    let session = format!("/settings/sessions/{id}");
    for (path, deed, question) in [
        ("/settings/users/ann", "disable", "Disable user ann?"),
        ("/settings/users/ann", "delete", "Delete user ann?"),
        (&*session, "end", "Sign this browser out?"),
    ] {
        let asked = send(&fleet, &root, path, &[("do", deed)]).await;
        assert_eq!(asked.status(), StatusCode::OK);
        let page = asked.text().await.unwrap();
        assert!(
            page.contains(question) && page.contains("name=\"sure\""),
            "{page}"
        );
        get(&fleet, &ann, "/").await;
    }
    let done = send(&fleet, &root, &session, &[("do", "end"), ("sure", "yes")]).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    let request = client().get(fleet.url("/")).header("cookie", &ann);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let fields = [("do", "delete"), ("sure", "yes")];
    let done = send(&fleet, &root, "/settings/users/ann", &fields).await;
    assert!(done.text().await.unwrap().contains("User ann is deleted."));
    // The last admin stays, on the page too.
    let done = send(&fleet, &root, "/settings/users/root", &fields).await;
    assert_eq!(done.status(), StatusCode::CONFLICT);
    assert!(
        done.text()
            .await
            .unwrap()
            .contains("root is the last enabled admin")
    );
}

#[tokio::test]
async fn forms_make_users_and_tokens_and_change_roles_and_passwords() {
    let fleet = MadeUp::start().await;
    let root = admin(&fleet).await;
    let fields = [("name", "ann"), ("role", "viewer"), ("password", PASSWORD)];
    let made = send(&fleet, &root, "/settings/users", &fields).await;
    assert!(
        made.text()
            .await
            .unwrap()
            .contains("User ann can sign in as viewer, for all hosts.")
    );
    let ann = browser_of(&fleet, "ann").await;
    let fields = [("do", "role"), ("role", "operator")];
    send(&fleet, &root, "/settings/users/ann", &fields).await;
    assert!(get(&fleet, &ann, "/settings").await.contains("operator"));
    let other = "quite another battery";
    let fields = [("current", PASSWORD), ("new", other), ("again", "x")];
    let differ = send(&fleet, &ann, "/settings/password", &fields).await;
    assert_eq!(differ.status(), StatusCode::BAD_REQUEST);
    let fields = [("current", PASSWORD), ("new", other), ("again", other)];
    let changed = send(&fleet, &ann, "/settings/password", &fields).await;
    assert!(
        changed
            .text()
            .await
            .unwrap()
            .contains("Your password is changed.")
    );
    let fields = [("name", "ci"), ("role", "viewer"), ("ttl", "90d")];
    let made = send(&fleet, &root, "/settings/api-tokens", &fields).await;
    assert!(
        made.text()
            .await
            .unwrap()
            .contains("<code class=\"secret\">tma1.")
    );
    let fields = [
        ("ttl", "1h"),
        ("uses", "3"),
        ("labels", "site=vie role=web"),
    ];
    let made = send(&fleet, &root, "/settings/tokens", &fields).await;
    assert!(
        made.text()
            .await
            .unwrap()
            .contains("<code class=\"secret\">tm1.")
    );
    let page = get(&fleet, &root, "/settings").await;
    assert!(
        page.contains("role=web site=vie") && page.contains("0 of 3"),
        "{page}"
    );
    assert!(!page.contains("class=\"secret\""), "a secret is shown once");
    // An operator has no such forms.
    let refused = send(&fleet, &ann, "/settings/users", &[("name", "eve")]).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn admins_get_the_lines_that_install_an_agent_and_nobody_else_does() {
    let fleet = MadeUp::start().await;
    let root = admin(&fleet).await;
    let page = get(&fleet, &root, "/install").await;
    assert!(
        page.contains("name=\"uses\"") && !page.contains("tm1."),
        "{page}"
    );
    let fields = [("ttl", "2h"), ("uses", "3"), ("labels", "site=vie")];
    let made = send(&fleet, &root, "/install", &fields).await;
    let made = made.text().await.unwrap();
    let address = fleet.started.grpc.to_string();
    for part in [
        "for 3 hosts, for 2h",
        "apt-get install -y",
        "install.sh",
        "msiexec",
        "Set-GPPrefRegistryValue",
        "ansible-playbook",
        &address,
    ] {
        assert!(made.contains(part), "{part}: {made}");
    }
    let listed = get(&fleet, &root, "/settings").await;
    assert!(
        listed.contains("site=vie") && listed.contains("0 of 3"),
        "{listed}"
    );
    assert!(
        !get(&fleet, &root, "/install").await.contains("tm1."),
        "a secret is shown once"
    );

    let wrong = send(&fleet, &root, "/install", &[("ttl", "1s"), ("uses", "1")]).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert!(wrong.text().await.unwrap().contains("ttl_s is 1"));
    user(&fleet, "ann", Role::Approver).await;
    let ann = browser_of(&fleet, "ann").await;
    let request = client().get(fleet.url("/install")).header("cookie", &ann);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    let refused = send(&fleet, &ann, "/install", &fields).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn hostile_texts_are_texts() {
    let fleet = MadeUp::start().await;
    let root = admin(&fleet).await;
    fleet.token_of(HOSTILE, Role::Viewer).await;
    let request = client()
        .post(fleet.url("/login"))
        .header("origin", fleet.url(""))
        .header("user-agent", HOSTILE)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encoded(&[("name", "root"), ("password", PASSWORD)]));
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::SEE_OTHER
    );
    let fields = [("name", HOSTILE), ("role", HOSTILE), ("password", HOSTILE)];
    let refused = send(&fleet, &root, "/settings/users", &fields).await;
    let refused = refused.text().await.unwrap();
    let page = get(&fleet, &root, "/settings").await;
    for html in [refused, page] {
        assert!(
            !html.contains("<script>alert") && !html.contains("\" onclick"),
            "{html}"
        );
    }
}
