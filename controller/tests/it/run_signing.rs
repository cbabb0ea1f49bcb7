//! Orders of a run that are signed before their hosts' turns: what is kept, what is refused, and what a host is sent.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tidemark_controller::keys::bring::bring;
use tidemark_controller::remediate::report::take_policy;
use tidemark_model::action::{ActionKind, HostKey, HostPolicyView, KeyStanding, Profile, Tier};
use tidemark_model::key_statement::{KeyRevocation, KeyStatement};
use tidemark_model::run::RunState;
use tidemark_model::signing::{PrivateKey, Purpose};
use tidemark_model::view::{ActionDetail, Page, RunDetail, RunOrderView, RunView};
use tidemark_model::{HostId, Order, Role};
use tidemark_proto::v1::controller_frame::Kind;

use crate::actions::{Person, lane, next, title};
use crate::made_up::MadeUp;

const SOON: Duration = Duration::from_secs(20);

fn key() -> PrivateKey {
    PrivateKey::from_seed([5; 32])
}

/// Two hosts of which one takes what that key signed, and one that wants no signatures.
async fn hosts(fleet: &MadeUp) -> [HostId; 3] {
    let mut hosts = Vec::new();
    for (name, keys) in [
        ("web-1", vec![key().public().id()]),
        ("web-2", vec![key().public().id()]),
        ("web-3", vec![]),
    ] {
        let host = fleet.host(name).await;
        let policy = HostPolicyView {
            profile: Some(Profile::Safe),
            allowed: vec![ActionKind::RestartService],
            keys,
            ..HostPolicyView::default()
        };
        take_policy(&fleet.started.app, host, &policy)
            .await
            .unwrap();
        fleet.connect(host);
        hosts.push(host);
    }
    hosts.try_into().unwrap()
}

/// The order for that host.
fn of_host(orders: &[RunOrderView], host: HostId) -> &RunOrderView {
    let is_of = |one: &&RunOrderView| Order::from_bytes(one.order.as_bytes()).unwrap().host == host;
    orders.iter().find(is_of).unwrap()
}

fn restarts() -> Value {
    json!({"name": "weekly", "reason": "patches", "hosts": ["host=web-*"], "concurrency": 3,
        "actions": [{"action": "restart_service", "service": "shop"}],
        "gate_before": [], "gate_after": [], "needs_effect": false})
}

async fn planned(ann: &Person<'_>) -> RunDetail {
    let answer = ann.post("/api/v1/runs", &restarts()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    answer.json().await.unwrap()
}

async fn orders(ann: &Person<'_>, run: &RunDetail) -> Vec<RunOrderView> {
    let path = format!("/api/v1/runs/{}/orders", run.run.number);
    let page: Page<RunOrderView> = ann.get(&path).await;
    page.items
}

/// What somebody brings who signs these orders with that key.
fn signed(run: &RunDetail, orders: &[&RunOrderView], key: &PrivateKey) -> Value {
    let signatures: Vec<Value> = orders
        .iter()
        .map(|one| {
            let signature = key.sign(Purpose::Order, one.order.as_bytes());
            json!({"action": one.action, "signature": signature.to_base64()})
        })
        .collect();
    json!({"plan_hash": run.plan.hash, "public_key": key.public().to_string(), "signatures": signatures})
}

async fn found(ann: &Person<'_>, run: &RunDetail) -> RunDetail {
    ann.get(&format!("/api/v1/runs/{}", run.run.number)).await
}

#[tokio::test]
async fn a_host_is_sent_what_was_signed_ahead_byte_for_byte() {
    let fleet = MadeUp::start().await;
    let [first, second, plain] = hosts(&fleet).await;
    let ann = Person::new(&fleet, "ann", Role::Operator).await;
    let bob = Person::new(&fleet, "bob", Role::Approver).await;
    let run = planned(&ann).await;
    assert_eq!((run.run.orders, run.run.orders_signed), (2, 0));
    let orders = orders(&ann, &run).await;
    let of = |host: HostId| of_host(&orders, host);
    let path = format!("/api/v1/runs/{}/signatures", run.run.number);
    let bytes = signed(&run, &[of(first)], &key());
    assert_eq!(ann.post(&path, &bytes).await.status(), StatusCode::OK);
    let approve = format!("/api/v1/runs/{}/approve", run.run.number);
    let yes = json!({"plan_hash": run.plan.hash});
    assert_eq!(bob.post(&approve, &yes).await.status(), StatusCode::OK);

    let mut lanes = [first, second, plain].map(|host| lane(&fleet, host));
    let Kind::Action(sent) = next(&mut lanes[0]).await else {
        panic!("an order");
    };
    assert_eq!(sent.order, of(first).order.as_bytes());
    let signature = key().sign(Purpose::Order, of(first).order.as_bytes());
    let keys: Vec<&[u8]> = sent.signatures.iter().map(|one| &*one.signature).collect();
    assert_eq!(keys, [&signature.bytes[..]]);
    let Kind::Action(sent) = next(&mut lanes[2]).await else {
        panic!("an order");
    };
    assert_eq!(sent.signatures, []);
    // The other one waits for its signature under the id that was made ahead, and takes it still.
    let waiting = format!("/api/v1/actions/{}", of(second).action);
    let waits = async {
        loop {
            let detail: ActionDetail = ann.get(&waiting).await;
            if let Some(text) = detail.action.waits_for {
                return text;
            }
        }
    };
    let text = tokio::time::timeout(SOON, waits).await.unwrap();
    assert!(text.contains("wants a signature"), "{text}");
    let late = signed(&run, &[of(second)], &key());
    assert_eq!(ann.post(&path, &late).await.status(), StatusCode::OK);
    let Kind::Action(sent) = next(&mut lanes[1]).await else {
        panic!("an order");
    };
    assert_eq!(sent.order, of(second).order.as_bytes());
    let listed: Page<RunView> = ann.get("/api/v1/runs").await;
    let counts = listed.items.first().unwrap();
    assert_eq!((counts.orders, counts.orders_signed), (2, 2));
}

#[tokio::test]
async fn signatures_that_would_be_of_no_use_are_refused_and_none_is_kept() {
    let fleet = MadeUp::start().await;
    hosts(&fleet).await;
    let ann = Person::new(&fleet, "ann", Role::Operator).await;
    let run = planned(&ann).await;
    let orders = orders(&ann, &run).await;
    let both: Vec<&RunOrderView> = orders.iter().collect();
    let path = format!("/api/v1/runs/{}/signatures", run.run.number);
    let good = signed(&run, &both, &key());
    let mut forged = good.clone();
    forged["signatures"][1]["signature"] = good["signatures"][0]["signature"].clone();
    let mut strange = good.clone();
    strange["signatures"][0]["action"] = json!("00".repeat(16));
    let mut none = good.clone();
    none["signatures"] = json!([]);
    let mut garbage = good.clone();
    garbage["signatures"][1]["signature"] = json!("AAAA");
    let foreign = signed(&run, &both, &PrivateKey::from_seed([6; 32]));
    for (body, part) in [
        (forged, "does not match"),
        (strange, "is no order of this run"),
        (none, "must have 1 to 1000"),
        (garbage, "signatures[1].signature: "),
        (foreign, "policy does not list key"),
    ] {
        let (status, text) = title(ann.post(&path, &body).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut other_plan = good.clone();
    other_plan["plan_hash"] = json!("00");
    let answer = ann.post(&path, &other_plan).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert_eq!(found(&ann, &run).await.run.orders_signed, 0);
    // Twice the same is once, and on record once.
    for _ in 0..2 {
        assert_eq!(ann.post(&path, &good).await.status(), StatusCode::OK);
    }
    let run = found(&ann, &run).await;
    assert_eq!(run.run.orders_signed, 2);
    let life: Vec<&str> = run.life.iter().map(|step| &*step.text).collect();
    let said = format!("brought 2 signatures by key {}", key().public().id());
    assert_eq!(life, ["patches", &*said]);
}

#[tokio::test]
async fn a_plan_that_is_made_again_drops_signatures_and_says_so() {
    let fleet = MadeUp::start().await;
    hosts(&fleet).await;
    let ann = Person::new(&fleet, "ann", Role::Operator).await;
    let bob = Person::new(&fleet, "bob", Role::Approver).await;
    let run = planned(&ann).await;
    let before = orders(&ann, &run).await;
    let both: Vec<&RunOrderView> = before.iter().collect();
    let path = format!("/api/v1/runs/{}/signatures", run.run.number);
    let good = signed(&run, &both, &key());
    assert_eq!(ann.post(&path, &good).await.status(), StatusCode::OK);
    fleet.host("web-4").await;
    let approve = format!("/api/v1/runs/{}/approve", run.run.number);
    let yes = json!({"plan_hash": run.plan.hash});
    let (status, text) = title(bob.post(&approve, &yes).await).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(text.contains("was made again"), "{text}");
    let anew = found(&ann, &run).await;
    assert_eq!(anew.run.state, RunState::Planned);
    assert_eq!((anew.run.orders, anew.run.orders_signed), (2, 0));
    let last = &anew.life.last().unwrap().text;
    assert!(
        last.ends_with("2 signatures of its orders were dropped"),
        "{last}"
    );
    assert_eq!(ann.post(&path, &good).await.status(), StatusCode::CONFLICT);
    // Of two orders for one step that were signed a host carries out one: they share their id.
    let after = orders(&ann, &anew).await;
    let ids = |orders: &[RunOrderView]| -> Vec<String> {
        orders.iter().map(|one| one.action.clone()).collect()
    };
    assert_eq!(ids(&before), ids(&after));
}

/// The host tells its keys whole, as agents do.
async fn tells_keys(fleet: &MadeUp, host: HostId, told: HostKey) {
    let policy = HostPolicyView {
        profile: Some(Profile::Safe),
        allowed: vec![ActionKind::RestartService],
        keys: vec![told.public.id()],
        all_keys: vec![told],
        ..HostPolicyView::default()
    };
    take_policy(&fleet.started.app, host, &policy)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_revoked_or_lesser_key_signs_is_not_counted_and_not_taken() {
    let fleet = MadeUp::start().await;
    let [first, second, _] = hosts(&fleet).await;
    let told = |tier_max| HostKey {
        name: "ann".to_owned(),
        public: key().public(),
        tier_max,
        standing: KeyStanding::Holds,
        rotated_from: None,
        why: String::new(),
    };
    tells_keys(&fleet, first, told(Tier::Reboot)).await;
    tells_keys(&fleet, second, told(Tier::ReadOnly)).await;
    let ann = Person::new(&fleet, "ann", Role::Operator).await;
    let run = planned(&ann).await;
    let orders = orders(&ann, &run).await;
    let of = |host: HostId| of_host(&orders, host);
    let path = format!("/api/v1/runs/{}/signatures", run.run.number);
    let lesser = signed(&run, &[of(second)], &key());
    let (status, text) = title(ann.post(&path, &lesser).await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("of ann may sign up to tier 0"), "{text}");
    let good = signed(&run, &[of(first)], &key());
    assert_eq!(ann.post(&path, &good).await.status(), StatusCode::OK);
    assert_eq!(found(&ann, &run).await.run.orders_signed, 1);

    let statement = KeyStatement::Revocation(KeyRevocation {
        key: key().public(),
        since_ms: None,
        issued_at_ms: fleet.started.app.clock.now(),
        reason: "lost".to_owned(),
    });
    let bytes = statement.to_bytes();
    let signature = key().sign(statement.purpose(), &bytes);
    bring(&fleet.started.app, (&bytes, &[signature]), "ann")
        .await
        .unwrap();
    assert_eq!(found(&ann, &run).await.run.orders_signed, 0);
    let listed: Page<RunView> = ann.get("/api/v1/runs").await;
    assert_eq!(listed.items.first().unwrap().orders_signed, 0);
    let again = signed(&run, &[of(first)], &key());
    let (status, text) = title(ann.post(&path, &again).await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("ann was revoked: lost"), "{text}");
}
