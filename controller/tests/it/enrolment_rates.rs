//! Who asks to be enrolled more often than anybody needs to is put off, and takes neither the enrolments of others nor hosts' renewals.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tidemark_agent::enroll::enroll_request;
use tidemark_agent::identity::Vault;
use tidemark_agent::renew::renew_request;
use tidemark_controller::gateway::connection::Peer;
use tidemark_controller::gateway::enrolment::Enrolment;
use tidemark_controller::pki::peer::AgentHeld;
use tidemark_model::JoinToken;
use tidemark_model::token::TokenId;
use tidemark_proto::v1::EnrollRequest;
use tidemark_proto::v1::enrollment_server::Enrollment as _;
use tidemark_store::testing::new_host;
use tonic::{Code, Request};

use crate::made_up::MadeUp;

/// More than one network may ask at once and in the seconds that a slow machine takes for them.
const TRIES: usize = 600;
/// For an answer that waits for nobody.
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    made_up: MadeUp,
    enrolment: Enrolment,
    token: JoinToken,
}

impl Scene {
    async fn begin() -> Self {
        let made_up = MadeUp::start().await;
        let app = &made_up.started.app;
        let made = app.make_join_token(Duration::from_secs(3_600), 10, BTreeMap::new());
        let token = made.await.unwrap().token;
        Self {
            enrolment: Enrolment::new(Arc::clone(app)),
            token,
            made_up,
        }
    }

    fn host(&self) -> Vault {
        Vault::in_memory(self.token.ca_pin).unwrap()
    }

    fn request(&self, host: &Vault) -> EnrollRequest {
        enroll_request(host, &self.token, &new_host(&[], "app-1").facts).unwrap()
    }

    /// A request with a token that nobody made.
    fn guess(&self) -> EnrollRequest {
        let id = TokenId::from_bytes([7; 10]);
        EnrollRequest {
            token_id: id.to_string(),
            ..self.request(&self.host())
        }
    }

    async fn enrol(&self, request: EnrollRequest, network: u8) -> Code {
        let asked = self.enrolment.enroll(from(request, network, None)).await;
        asked.map_or_else(|status| status.code(), |_| Code::Ok)
    }

    /// So many guesses from that network, begun before anything else is.
    fn guesses(&self, network: u8) -> Vec<impl Future<Output = Code>> {
        let guess = self.guess();
        (0..TRIES)
            .map(|_| self.enrol(guess.clone(), network))
            .collect()
    }
}

fn from<T>(message: T, network: u8, agent: Option<AgentHeld>) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Peer {
        address: SocketAddr::from((Ipv4Addr::new(192, 0, 2, network), 40_000)),
        agent: agent.map(Ok),
    });
    request
}

fn count(codes: &[Code], wanted: Code) -> usize {
    codes.iter().filter(|code| **code == wanted).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_tries_tokens_leaves_enrolments_to_others() {
    let scene = Scene::begin().await;
    let request = scene.request(&scene.host());
    let (tried, other) = futures::join!(join_all(scene.guesses(66)), scene.enrol(request, 2));
    assert_eq!(other, Code::Ok);
    assert!(count(&tried, Code::Unauthenticated) >= 100, "{tried:?}");
    assert!(count(&tried, Code::ResourceExhausted) >= 1, "{tried:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_of_many_networks_take_no_renewals_of_hosts() {
    let scene = Scene::begin().await;
    let host = scene.host();
    let enrolled = scene
        .enrolment
        .enroll(from(scene.request(&host), 1, None))
        .await;
    let credentials = enrolled.unwrap().into_inner().credentials.unwrap();
    host.accept(credentials).unwrap();
    let held = AgentHeld {
        host: host.identity().host_id(),
        key_hash: [0; 32],
        not_after: scene.made_up.started.app.clock.now(),
    };
    let request = renew_request(&host).unwrap();
    let (one, two, renewed) = futures::join!(
        join_all(scene.guesses(66)),
        join_all(scene.guesses(67)),
        scene.enrolment.renew(from(request, 1, Some(held)))
    );
    let exhausted = count(&one, Code::ResourceExhausted) + count(&two, Code::ResourceExhausted);
    assert!(exhausted > TRIES / 2, "{exhausted}");
    let credentials = renewed.unwrap().into_inner().credentials.unwrap();
    assert_eq!(host.accept(credentials).unwrap().generation(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_lets_nobody_in_takes_nobodys_turn_to_write() {
    let scene = Scene::begin().await;
    let app = &scene.made_up.started.app;
    let made = async |uses| {
        let made = app.make_join_token(Duration::from_secs(3_600), uses, BTreeMap::new());
        made.await.unwrap().token
    };
    let of = |token: &JoinToken| {
        enroll_request(&scene.host(), token, &new_host(&[], "app-2").facts).unwrap()
    };
    let (used_up, revoked) = (made(1).await, made(1).await);
    assert_eq!(scene.enrol(of(&used_up), 1).await, Code::Ok);
    let mut writing = app.store.begin().await.unwrap();
    let revoking = writing.join_token_revoke(revoked.id, app.clock.now());
    revoking.await.unwrap();
    writing.commit().await.unwrap();
    // Somebody writes for as long as it likes.
    let _writing = app.store.begin().await.unwrap();
    for token in [&used_up, &revoked] {
        let answer = tokio::time::timeout(PATIENCE, scene.enrol(of(token), 2));
        assert_eq!(
            answer.await.expect("it waits to write"),
            Code::Unauthenticated
        );
    }
}
