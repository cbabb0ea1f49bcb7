//! What operators notice of enrolment, over real TLS.

use super::*;
use crate::test_controller::{TestController, facts};

fn vault(token: &JoinToken) -> Vault {
    Vault::in_memory(token.ca_pin).unwrap()
}

#[tokio::test]
async fn a_host_enrols_and_finds_its_identity_again_after_a_restart() {
    let controller = TestController::start().await;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("identity");
    let token = controller.token();
    let vault = Vault::open_or_create(&folder, token.ca_pin).unwrap();
    let host_id = vault.identity().host_id();
    assert!(!vault.is_enrolled());
    enroll(&controller.dialer(), &vault, &token, &facts())
        .await
        .unwrap();
    drop(vault);
    let again = Vault::open(&folder).unwrap().unwrap();
    assert_eq!(again.identity().host_id(), host_id);
    assert_eq!(again.current().unwrap().generation(), 1);
    let asked = &controller.world().enrolled[0];
    assert_eq!(asked.token_secret, [2; 32]);
    assert_eq!(asked.facts.as_ref().unwrap().name, "host-1");
}

#[tokio::test]
async fn the_key_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let controller = TestController::start().await;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("identity");
    let vault = Vault::open_or_create(&folder, controller.token().ca_pin).unwrap();
    enroll(&controller.dialer(), &vault, &controller.token(), &facts())
        .await
        .unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[tokio::test]
async fn an_identity_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let controller = TestController::start().await;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("identity");
    drop(Vault::open_or_create(&folder, controller.token().ca_pin).unwrap());
    let open_to_all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&folder, open_to_all).unwrap();
    let error = Vault::open(&folder).unwrap_err().to_string();
    assert!(
        error.contains("mode 755") && error.contains("make it 700"),
        "{error}"
    );
}

#[tokio::test]
async fn an_identity_lost_in_both_copies_says_how_to_go_on() {
    let controller = TestController::start().await;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("identity");
    let token = controller.token();
    drop(Vault::open_or_create(&folder, token.ca_pin).unwrap());
    std::fs::write(folder.join("identity.a"), [0; 64]).unwrap();
    assert!(
        Vault::open(&folder).unwrap().is_some(),
        "the other copy is used"
    );
    std::fs::write(folder.join("identity.b"), [0; 64]).unwrap();
    let error = Vault::open(&folder).unwrap_err().to_string();
    assert!(error.contains("reset-identity"), "{error}");
    Vault::reset(&folder).unwrap();
    assert!(Vault::open(&folder).unwrap().is_none());
}

#[tokio::test]
async fn another_controllers_ca_is_refused_before_anything_secret_is_sent() {
    let (own, foreign) = (TestController::start().await, TestController::start().await);
    let token = own.token();
    let error = enroll(&foreign.dialer(), &vault(&token), &token, &facts())
        .await
        .unwrap_err();
    let text = error.to_string();
    for pin in [token.ca_pin, foreign.token().ca_pin] {
        assert!(
            text.contains(&pin.to_string()),
            "{pin} is missing in {text}"
        );
    }
    assert!(
        !error.is_passing(),
        "a foreign CA is not tried again in silence"
    );
    assert!(foreign.world().enrolled.is_empty());
    assert_eq!(foreign.world().ports.len(), 1, "the connection itself came");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_keys_even_after_a_restart() {
    let controller = TestController::start().await;
    controller.set(|knobs| knobs.answers_lost = 1);
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("identity");
    let token = controller.token();
    let vault = Vault::open_or_create(&folder, token.ca_pin).unwrap();
    let error = enroll(&controller.dialer(), &vault, &token, &facts())
        .await
        .unwrap_err();
    assert!(error.is_passing(), "{error}");
    drop(vault);
    let vault = Vault::open_or_create(&folder, token.ca_pin).unwrap();
    enroll(&controller.dialer(), &vault, &token, &facts())
        .await
        .unwrap();
    let asked = controller.world().enrolled;
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].identity_spki_der, asked[1].identity_spki_der);
    let key = |csr: &[u8]| {
        let request = rcgen::CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        rcgen::PublicKeyData::subject_public_key_info(&request.public_key)
    };
    assert_eq!(key(&asked[0].csr_der), key(&asked[1].csr_der));
}

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let controller = TestController::start().await;
    let token = controller.token();
    for (code, message, advice) in [
        (
            Code::Unauthenticated,
            "the token has expired",
            "tidemark token create",
        ),
        (
            Code::FailedPrecondition,
            "the token was used",
            "tidemark token create",
        ),
        (
            Code::PermissionDenied,
            "the host is revoked",
            "reset-identity",
        ),
    ] {
        controller.set(|knobs| knobs.enroll_error = Some((code, message)));
        let error = enroll(&controller.dialer(), &vault(&token), &token, &facts())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains(message) && text.contains(advice), "{text}");
        assert!(!error.is_passing());
        assert!(!text.contains(&token.expose_text()));
    }
}

#[tokio::test]
async fn an_absent_controller_is_told_from_a_foreign_one() {
    let mut controller = TestController::start().await;
    let token = controller.token();
    controller.stop().await;
    let error = enroll(&controller.dialer(), &vault(&token), &token, &facts())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("nothing listens"), "{error}");
    assert!(error.is_passing());
}

#[tokio::test]
async fn a_token_of_another_controller_moves_the_host_and_keeps_its_identity() {
    let (first, second) = (TestController::start().await, TestController::start().await);
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("identity");
    let vault = Vault::open_or_create(&folder, first.token().ca_pin).unwrap();
    enroll(&first.dialer(), &vault, &first.token(), &facts())
        .await
        .unwrap();
    let host_id = vault.identity().host_id();
    let moved = Vault::open_or_create(&folder, second.token().ca_pin).unwrap();
    assert!(!moved.is_enrolled());
    enroll(&second.dialer(), &moved, &second.token(), &facts())
        .await
        .unwrap();
    assert_eq!(moved.identity().host_id(), host_id);
}
