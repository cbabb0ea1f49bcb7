//! Actions over the API: asking, approving, signing, stopping; and what the samples say of one, up to what is proposed next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::incidents::reconcile::Reconciler;
use tidemark_controller::remediate::RemediationRules;
use tidemark_controller::remediate::lanes::Taking;
use tidemark_controller::remediate::report::{Teller, take_report};
use tidemark_model::action::{ActionId, ActionReport, ActionState, Order};
use tidemark_model::signing::{PrivateKey, Purpose};
use tidemark_model::view::{
    ActionDetail, ActionView, HostPolicyAnswer, IncidentDetail, IncidentView, LockdownView, Page,
    RecoveryView,
};
use tidemark_model::{HostId, Role, SessionId, Timestamp};
use tidemark_proto::v1::controller_frame::Kind;
use tokio::sync::mpsc::Receiver;

mod undo;

use crate::api::client;
use crate::made_up::{CAPACITY, MadeUp, sample};

const SOON: Duration = Duration::from_secs(20);

/// Somebody at a command line.
pub struct Person<'a> {
    fleet: &'a MadeUp,
    pub token: String,
}

impl<'a> Person<'a> {
    pub async fn new(fleet: &'a MadeUp, name: &str, role: Role) -> Self {
        let token = fleet.token_of(name, role).await;
        Self { fleet, token }
    }

    pub const fn of_token(fleet: &'a MadeUp, token: String) -> Self {
        Self { fleet, token }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let request = client().post(self.fleet.url(path)).bearer_auth(&self.token);
        request.json(body).send().await.unwrap()
    }

    pub async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let request = client().get(self.fleet.url(path)).bearer_auth(&self.token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    async fn propose(&self, body: &Value) -> ActionView {
        let answer = self.post("/api/v1/actions", body).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{body}");
        answer.json().await.unwrap()
    }

    async fn say(&self, action: &ActionView, word: &str) -> Response {
        let path = format!("/api/v1/actions/{}/{word}", action.id);
        self.post(&path, &json!({"text": "said so"})).await
    }

    async fn page(&self, path: &str) -> String {
        let request = client().get(self.fleet.url(path)).bearer_auth(&self.token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    /// Pages that show what came of an action.
    async fn sees_effects_on(&self, pages: &[String]) {
        for page in pages {
            let html = self.page(page).await;
            assert!(
                html.contains("headroom 0 before, 15,984 after"),
                "{page}: {html}"
            );
        }
    }

    /// The action, once it stands there.
    async fn until(&self, id: &str, state: ActionState) -> ActionDetail {
        let path = format!("/api/v1/actions/{id}");
        let stands = async {
            loop {
                let detail: ActionDetail = self.get(&path).await;
                if detail.action.state == state {
                    return detail;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, stands)
            .await
            .unwrap_or_else(|_| panic!("the action is not {}", state.as_str()))
    }
}

fn restart(host: &str, service: &str) -> Value {
    json!({"host": host, "reason": "a leak", "spec": {"action": "restart_service", "service": service}})
}

pub async fn title(answer: Response) -> (StatusCode, String) {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    (status, body["title"].as_str().unwrap().to_owned())
}

/// The way to a host's agent.
pub fn lane(fleet: &MadeUp, host: HostId) -> Receiver<Kind> {
    let remediation = &fleet.started.app.remediation;
    let session = SessionId::new(fleet.started.app.entropy.u64());
    let opened_at = fleet.started.app.clock.now();
    let lane = remediation
        .lanes
        .open(host, session, opened_at, Taking::Actions);
    remediation.changed.notify_one();
    lane.unwrap()
}

pub async fn next(lane: &mut Receiver<Kind>) -> Kind {
    tokio::time::timeout(SOON, lane.recv())
        .await
        .unwrap()
        .unwrap()
}

/// The host reports.
async fn tell(fleet: &MadeUp, order: &Order, state: ActionState, at: Timestamp) {
    let teller = Teller {
        host: order.host,
        skew_ms: 0,
        opened_at: at,
    };
    let report = ActionReport::new(order.id, state, at, "as told");
    take_report(&fleet.started.app, teller, &report)
        .await
        .unwrap();
}

#[tokio::test]
async fn every_wrong_value_of_a_request_is_named_at_once() {
    let fleet = MadeUp::start().await;
    fleet.host("web-1").await;
    let ann = Person::new(&fleet, "ann", Role::Operator).await;
    let body = json!({
        "host": "web-1", "reason": "", "incident": 4711, "expires_ms": 5,
        "spec": {"action": "restart_service", "service": "", "stop_timeout_s": 1},
    });
    let (status, title) = title(ann.post("/api/v1/actions", &body).await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    for part in [
        "spec.service: ",
        "spec.stop_timeout_s: ",
        "reason must be 1 to 500",
        "expires_ms is 5",
        "incident is 4711; there is no such incident",
    ] {
        assert!(title.contains(part), "{part}: {title}");
    }
    for (spec, part) in [
        (
            json!({"action": "format_disk"}),
            "spec: unknown variant `format_disk`",
        ),
        (
            json!({"action": "collect_evidence", "seconds": 5, "shell": "x"}),
            "unknown field `shell`",
        ),
    ] {
        let body = json!({"host": "web-1", "reason": "x", "spec": spec});
        let (status, title) = self::title(ann.post("/api/v1/actions", &body).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(title.contains(part), "{title}");
    }
    let all: Page<ActionView> = ann.get("/api/v1/actions").await;
    assert_eq!(all.items, []);
}

#[tokio::test]
async fn asking_twice_with_one_key_makes_one_action() {
    let fleet = MadeUp::start().await;
    fleet.host("web-1").await;
    let ann = Person::new(&fleet, "ann", Role::Operator).await;
    let ask = async |person: &Person<'_>, body: Value| {
        let request = client().post(fleet.url("/api/v1/actions"));
        let request = request.header("idempotency-key", "k-1");
        let request = request.bearer_auth(&person.token).json(&body);
        request.send().await.unwrap()
    };
    let first = ask(&ann, restart("web-1", "leaky")).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    let again = ask(&ann, restart("web-1", "leaky")).await;
    assert_eq!(again.status(), StatusCode::OK);
    let (first, again): (ActionView, ActionView) =
        (first.json().await.unwrap(), again.json().await.unwrap());
    assert_eq!(first.id, again.id);
    let other = ask(&ann, restart("web-1", "other")).await;
    assert_eq!(other.status(), StatusCode::CONFLICT);
    // Somebody else's key of the same name is another key.
    let bob = Person::new(&fleet, "bob", Role::Operator).await;
    let of_bob = ask(&bob, restart("web-1", "other")).await;
    assert_eq!(of_bob.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn nobody_approves_what_they_asked_for_and_a_reboot_takes_two() {
    let fleet = MadeUp::start().await;
    fleet.host("web-1").await;
    let ann = Person::new(&fleet, "ann", Role::Approver).await;
    let bob = Person::new(&fleet, "bob", Role::Approver).await;
    let eve = Person::new(&fleet, "eve", Role::Operator).await;
    let reboot = json!({"host": "web-1", "reason": "stack is wedged",
        "spec": {"action": "reboot", "grace_s": 60, "reason": "x", "force": false}});
    let asked = ann.propose(&reboot).await;
    assert_eq!(
        (asked.state, asked.approvals_needed),
        (ActionState::Proposed, 2)
    );
    // A second token of the same person is the same person.
    let ann_again = Person::new(&fleet, "ann", Role::Admin).await;
    for own in [&ann, &ann_again] {
        let (status, text) = title(own.say(&asked, "approve").await).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(text.contains("somebody else must approve"), "{text}");
    }
    assert_eq!(
        eve.say(&asked, "approve").await.status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(bob.say(&asked, "approve").await.status(), StatusCode::OK);
    let (status, text) = title(bob.say(&asked, "approve").await).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(text.contains("one more person"), "{text}");
    let detail: ActionDetail = bob.get(&format!("/api/v1/actions/{}", asked.id)).await;
    assert_eq!(detail.action.state, ActionState::Proposed);
    let joe = Person::new(&fleet, "joe", Role::Approver).await;
    assert_eq!(joe.say(&asked, "approve").await.status(), StatusCode::OK);
    let detail = bob.until(&asked.id, ActionState::Queued).await;
    let people: Vec<&str> = detail.approvals.iter().map(|one| &*one.approver).collect();
    assert_eq!(people, ["bob", "joe"]);
    let lives: Vec<(ActionState, Option<&str>)> = detail
        .life
        .iter()
        .map(|step| (step.to, step.by.as_deref()))
        .collect();
    assert_eq!(
        lives,
        [
            (ActionState::Proposed, Some("ann")),
            (ActionState::Proposed, Some("bob")),
            (ActionState::Approved, Some("joe")),
            (ActionState::Queued, None),
        ]
    );
    // It is for its host now; a word comes too late for it.
    assert_eq!(
        bob.say(&asked, "reject").await.status(),
        StatusCode::CONFLICT
    );
    assert_eq!(eve.say(&asked, "cancel").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_order_is_signed_as_it_is_and_by_each_key_once() {
    let fleet = MadeUp::start().await;
    let host = fleet.host("web-1").await;
    let ann = Person::new(&fleet, "ann", Role::Operator).await;
    let bob = Person::new(&fleet, "bob", Role::Approver).await;
    let asked = ann.propose(&restart("web-1", "leaky")).await;
    let path = format!("/api/v1/actions/{}", asked.id);
    let request = client().get(fleet.url(&format!("{path}/order")));
    let answer = request.bearer_auth(&ann.token).send().await.unwrap();
    let bytes = answer.bytes().await.unwrap();
    let order = Order::from_bytes(&bytes).unwrap();
    assert_eq!((order.host, &*order.requester), (host, "ann"));
    let key = PrivateKey::from_seed([3; 32]);
    let signed = key.sign(Purpose::Order, &bytes);
    let good = json!({"key_id": signed.key.to_string(), "signature": signed.to_base64()});
    let bad = json!({"key_id": "xyz", "signature": "AAAA"});
    let (status, text) = title(ann.post(&format!("{path}/signatures"), &bad).await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        text.contains("key_id: ") && text.contains("signature: "),
        "{text}"
    );
    let signatures = format!("{path}/signatures");
    assert_eq!(ann.post(&signatures, &good).await.status(), StatusCode::OK);
    assert_eq!(
        bob.post(&signatures, &good).await.status(),
        StatusCode::CONFLICT
    );
    assert_eq!(bob.say(&asked, "approve").await.status(), StatusCode::OK);
    let mut lane = lane(&fleet, host);
    let Kind::Action(sent) = next(&mut lane).await else {
        panic!("an order");
    };
    assert_eq!(sent.order, bytes);
    assert_eq!(sent.signatures.len(), 1);
    assert_eq!(sent.signatures[0].signature, signed.bytes);
    // It is with its host: nothing may be added or taken back.
    let late = json!({"key_id": "00".repeat(8), "signature": signed.to_base64()});
    assert_eq!(
        ann.post(&signatures, &late).await.status(),
        StatusCode::CONFLICT
    );
    assert_eq!(
        ann.say(&asked, "cancel").await.status(),
        StatusCode::CONFLICT
    );
    let policy: HostPolicyAnswer = ann.get("/api/v1/hosts/web-1/policy").await;
    assert_eq!((policy.takes_actions, policy.policy), (Some(true), None));
}

#[tokio::test]
async fn a_lockdown_holds_everything_back_and_outlives_a_restart() {
    let fleet = MadeUp::start().await;
    let host = fleet.host("web-1").await;
    let ann = Person::new(&fleet, "ann", Role::Operator).await;
    let mut lane_before = lane(&fleet, host);
    let none = ann.post("/api/v1/lockdown", &json!({"reason": " "})).await;
    assert_eq!(none.status(), StatusCode::BAD_REQUEST);
    let locked = ann
        .post("/api/v1/lockdown", &json!({"reason": "an attack"}))
        .await;
    assert_eq!(locked.status(), StatusCode::OK);
    assert!(matches!(next(&mut lane_before).await, Kind::Lockdown(told) if told.stop));
    let evidence = json!({"host": "web-1", "reason": "look", "spec": {"action": "collect_evidence", "seconds": 5}});
    let asked = ann.propose(&evidence).await;
    assert_eq!(asked.state, ActionState::Approved);
    assert!(asked.waits_for.unwrap().contains("lockdown"));
    assert_eq!(
        ann.post("/api/v1/lockdown/lift", &json!({"reason": "over"}))
            .await
            .status(),
        StatusCode::FORBIDDEN
    );
    drop(ann);
    let fleet = fleet.restart().await;
    let root = Person::new(&fleet, "root", Role::Admin).await;
    let stands: LockdownView = root.get("/api/v1/lockdown").await;
    assert_eq!((stands.on, stands.by.as_deref()), (true, Some("ann")));
    let mut lane = lane(&fleet, host);
    assert!(matches!(next(&mut lane).await, Kind::Lockdown(told) if told.stop));
    let lifted = root
        .post("/api/v1/lockdown/lift", &json!({"reason": "over"}))
        .await;
    assert_eq!(lifted.status(), StatusCode::OK);
    assert!(matches!(next(&mut lane).await, Kind::Lockdown(told) if !told.stop));
    assert!(matches!(next(&mut lane).await, Kind::Action(_)));
}

/// Takes an action that was sent to its end, with `strong` ports in use before and after.
async fn run(fleet: &MadeUp, lane: &mut Receiver<Kind>, (before, after): (u32, u32)) -> Order {
    let Kind::Action(sent) = next(lane).await else {
        panic!("an order");
    };
    let order = Order::from_bytes(&sent.order).unwrap();
    let now = fleet.started.app.clock.now();
    let ago = |seconds: u64| now.saturating_sub(Duration::from_secs(seconds));
    let samples = (0..40)
        .map(|second| {
            let ports = if second < 20 { before } else { after };
            sample(ago(40 - second), ports, 0)
        })
        .collect();
    fleet.deliver(order.host, samples).await;
    tell(fleet, &order, ActionState::Accepted, ago(20)).await;
    tell(fleet, &order, ActionState::Verifying, ago(18)).await;
    order
}

#[tokio::test]
async fn what_helped_is_verified_by_samples_and_proposed_first_next_time() {
    let rules = RemediationRules {
        hold: Duration::from_secs(5),
        cooldown: Duration::ZERO,
        ..RemediationRules::default()
    };
    let fleet = MadeUp::start_remediating(rules).await;
    let [one, other] = [
        fleet.host_with("db-1", "Linux 6.18", BTreeMap::new()).await,
        fleet.host_with("db-2", "Linux 6.18", BTreeMap::new()).await,
    ];
    fleet.connect(one);
    let (mut lane_of_one, mut lane_of_other) = (lane(&fleet, one), lane(&fleet, other));
    let ann = Person::new(&fleet, "ann", Role::Operator).await;
    let bob = Person::new(&fleet, "bob", Role::Approver).await;
    let useless = ann.propose(&restart("db-2", "innocent")).await;
    bob.say(&useless, "approve").await;
    run(&fleet, &mut lane_of_other, (CAPACITY, CAPACITY)).await;
    let ended = ann.until(&useless.id, ActionState::NotEffective).await;
    assert_eq!(ended.action.effect.unwrap().ports_freed, 0);
    let now = fleet.started.app.clock.now();
    let exhausted = sample(now.saturating_sub(Duration::from_secs(60)), CAPACITY, 0);
    fleet.deliver(one, vec![exhausted]).await;
    Reconciler::new(Arc::clone(&fleet.started.app))
        .activate()
        .await
        .unwrap();
    let incidents: Page<IncidentView> = ann.get("/api/v1/incidents?host=db-1").await;
    let path = format!("/api/v1/incidents/{}", incidents.items[0].id);
    let incident: IncidentDetail = ann.get(&path).await;
    let widen = incident
        .proposals
        .iter()
        .position(|one| one.spec.is_some() && one.tier == 1)
        .unwrap();
    assert!(
        widen > 0,
        "what disturbs less comes first: {:#?}",
        incident.proposals
    );
    let spec = serde_json::to_value(&incident.proposals[widen].spec).unwrap();
    let body = json!({"host": "db-1", "reason": "exhausted", "incident": incidents.items[0].id, "spec": spec});
    let useful = ann.propose(&body).await;
    bob.say(&useful, "approve").await;
    run(&fleet, &mut lane_of_one, (CAPACITY, 400)).await;
    let ended = ann.until(&useful.id, ActionState::Verified).await;
    let effect = ended.action.effect.unwrap();
    assert_eq!(effect.ports_freed, i64::from(CAPACITY - 400));
    assert!(effect.holds && effect.held_until_ms.is_some());
    let table: Page<RecoveryView> = ann.get("/api/v1/recoveries").await;
    let rows: Vec<(u64, u64)> = table
        .items
        .iter()
        .map(|row| (row.tried, row.worked))
        .collect();
    assert_eq!(rows, [(1, 0), (1, 1)], "{table:#?}");
    let incident: IncidentDetail = ann.get(&path).await;
    let first = &incident.proposals[0];
    assert_eq!(serde_json::to_value(&first.spec).unwrap(), spec);
    assert_eq!(first.recovery.as_ref().unwrap().worked, 1);
    let of_incident = format!("/api/v1/actions?incident={}", incidents.items[0].id);
    let actions: Page<ActionView> = ann.get(&of_incident).await;
    assert_eq!(actions.items.len(), 1);
    assert_eq!(
        actions.items[0].id.parse::<ActionId>().unwrap().to_string(),
        useful.id
    );
    let pages = [path.replace("/api/v1", ""), format!("/hosts/{one}")];
    ann.sees_effects_on(&pages).await;
}
