//! The page Keys as rendered: empty with what to do, and with what a hostile host tells.

use tidemark_model::action::{HostKey, HostPolicyView, KeyStanding, Profile, Tier};
use tidemark_model::signing::PrivateKey;
use tidemark_model::{HostId, Role};

use crate::api::client;
use crate::made_up::MadeUp;

const HOSTILE: &str = "</td><script>alert(1)</script>\" onclick=\"x";

async fn page(fleet: &MadeUp) -> String {
    let token = fleet.token(Role::Viewer).await;
    let request = client().get(fleet.url("/keys")).bearer_auth(token);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    answer.text().await.unwrap()
}

/// The host tells of a key of that name, which it does not believe for that reason.
async fn tell(fleet: &MadeUp, host: HostId, name: &str, why: &str) {
    let policy = HostPolicyView {
        profile: Some(Profile::Safe),
        all_keys: vec![HostKey {
            name: name.to_owned(),
            public: PrivateKey::from_seed([1; 32]).public(),
            tier_max: Tier::Reversible,
            standing: KeyStanding::Revoked,
            rotated_from: None,
            why: why.to_owned(),
        }],
        undoes: true,
        ..HostPolicyView::default()
    };
    let app = &fleet.started.app;
    let mut tx = app.store.begin().await.unwrap();
    tx.host_policy_put(host, app.clock.now(), &policy)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_empty_page_says_how_to_begin_with_keys() {
    let fleet = MadeUp::start().await;
    let html = page(&fleet).await;
    for part in [
        "No host told of a key",
        "tidemark key new NAME",
        "tidemark key show NAME",
        "tidemark-agent policy show",
        "tidemark key revoke NAME --key OTHER --reason WHY",
        "tidemark grant new POLICY --host HOST --reason WHY --key NAME",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
}

#[tokio::test]
async fn what_a_host_tells_of_its_keys_is_text() {
    let fleet = MadeUp::start().await;
    let host = fleet.host(HOSTILE).await;
    tell(&fleet, host, HOSTILE, HOSTILE).await;
    let html = page(&fleet).await;
    assert!(html.contains("revoked on 1 of 1 host"), "{html}");
    assert!(html.contains("safe; &#60;/td&#62;"), "{html}");
    assert!(!html.contains("<script>alert"), "{html}");
    assert!(!html.contains("\" onclick"), "{html}");
}
