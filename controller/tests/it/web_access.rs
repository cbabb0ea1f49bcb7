//! Pages and API as other machines reach them: by TLS of the controller's own, and through proxies.

use std::fs;

use reqwest::{Certificate, Client, RequestBuilder, StatusCode};
use tempfile::TempDir;
use tidemark_controller::access::Holder;
use tidemark_controller::api::certificate::CertificateFiles;
use tidemark_controller::api::proxies::Proxies;
use tidemark_controller::ready;
use tidemark_controller::settings::WebSettings;
use tidemark_model::Role;

use crate::api::client;
use crate::made_up::MadeUp;

const NAME: &str = "tidemark.example";

/// A controller with a certificate for [`NAME`], the folder that holds it, and a client that trusts it and finds it there.
async fn with_tls() -> (MadeUp, WebSettings, TempDir, Client) {
    tidemark_runtime::tls::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let files = CertificateFiles {
        certificate: folder.path().join("chain.pem"),
        key: folder.path().join("key.pem"),
    };
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    fs::write(&files.certificate, made.cert.pem()).unwrap();
    fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let web = WebSettings {
        certificate: Some(files),
        proxies: Proxies::default(),
    };
    let fleet = MadeUp::start_with_web(web.clone()).await;
    let trusted = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([trusted])
        .resolve("localhost", fleet.started.http)
        .resolve(NAME, fleet.started.http)
        .build()
        .unwrap();
    (fleet, web, folder, client)
}

async fn sign_in(fleet: &MadeUp, request: RequestBuilder) -> String {
    let holder = Holder::of_all_hosts("night shift", Role::Viewer);
    let key = fleet.started.app.make_api_key(holder, None).await.unwrap();
    let form = format!("token={}", key.expose_text());
    let answer = request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{answer:?}");
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    cookie.to_owned()
}

#[tokio::test]
async fn a_controller_with_a_certificate_speaks_tls_and_nothing_else() {
    let (fleet, web, _folder, client) = with_tls().await;
    let port = fleet.started.http.port();
    // It listens for this machine alone, so it answers to names of this machine alone; the certificate is for another one.
    let named = client.get(format!("https://{NAME}:{port}/healthz"));
    let named = named.send().await.unwrap();
    assert_eq!(named.status(), StatusCode::MISDIRECTED_REQUEST);
    let healthy = client
        .get(format!("https://{NAME}:{port}/healthz"))
        .header("host", "localhost");
    assert_eq!(healthy.send().await.unwrap().status(), StatusCode::OK);
    let request = client
        .post(format!("https://{NAME}:{port}/login"))
        .header("host", "localhost")
        .header("origin", "https://localhost");
    let cookie = sign_in(&fleet, request).await;
    assert!(cookie.starts_with("__Host-tidemark-session="), "{cookie}");
    assert!(cookie.contains("; Secure"), "{cookie}");
    let plain = crate::api::client().get(fleet.url("/healthz")).send().await;
    assert!(plain.is_err(), "nothing is said without TLS: {plain:?}");
    let unknown = crate::api::client().get(format!("https://localhost:{port}/healthz"));
    assert!(unknown.send().await.is_err(), "nobody vouches for it");
    ready::ask(fleet.started.http, &web).await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_is_named_says_who_asks_and_any_other_does_not() {
    let web = WebSettings {
        proxies: Proxies::new(vec!["127.0.0.1/32".parse().unwrap()]),
        certificate: None,
    };
    let fleet = MadeUp::start_with_web(web).await;
    let through_proxy = |request: RequestBuilder| {
        request
            .header("host", NAME)
            .header("origin", format!("https://{NAME}"))
            .header("x-forwarded-for", "192.0.2.7")
            .header("x-forwarded-proto", "https")
    };
    let request = through_proxy(client().post(fleet.url("/login")));
    let cookie = sign_in(&fleet, request).await;
    assert!(cookie.starts_with("__Host-tidemark-session="), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let me = through_proxy(client().get(fleet.url("/api/v1/sessions"))).header("cookie", &cookie);
    let sessions = me.send().await.unwrap().text().await.unwrap();
    assert!(sessions.contains("192.0.2.7"), "{sessions}");
    // What anybody on this machine may ask is not for whoever asks through a proxy on it.
    let metrics = || client().get(fleet.url("/metrics"));
    assert_eq!(metrics().send().await.unwrap().status(), StatusCode::OK);
    let through = through_proxy(metrics()).send().await.unwrap();
    assert_eq!(through.status(), StatusCode::UNAUTHORIZED);

    let nobody_named = MadeUp::start().await;
    let through = through_proxy(client().get(nobody_named.url("/healthz")));
    let through = through.send().await.unwrap();
    assert_eq!(through.status(), StatusCode::MISDIRECTED_REQUEST);
    let hidden = client()
        .get(nobody_named.url("/metrics"))
        .header("x-forwarded-for", "192.0.2.7");
    let hidden = hidden.send().await.unwrap();
    assert_eq!(hidden.status(), StatusCode::UNAUTHORIZED);
}
