//! The audit log over a whole controller: every route that changes something leaves one record, refusals are recorded and
//! bounded, and what is altered behind the controller's back is found.

mod people;
pub mod upgrades;

use std::collections::BTreeSet;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::api::routes::ROUTES;
use tidemark_controller::audit_log::{By, Keeper, deed_of};
use tidemark_controller::remediate::report::take_policy;
use tidemark_model::action::{ActionKind, ActionSpec, HostPolicyView, Profile, Tier};
use tidemark_model::audit_log::{Chain, Deed, DoerKind, Entry, Outcome};
use tidemark_model::grant::{GrantEnd, rule_hash};
use tidemark_model::incident::Incident;
use tidemark_model::key_statement::{KeyRotation, KeyStatement};
use tidemark_model::problem::{Problem, ProblemKey, Severity, Sureness};
use tidemark_model::signing::{Purpose, Signature};
use tidemark_model::view::{ActionView, PolicyDetail, RunDetail, RunOrderView};
use tidemark_model::{HostId, PortSpaceKey, Protocol, Role, Timestamp};
use tidemark_store::testing::execute;

use crate::actions::{Person, lane};
use crate::api::client;
use crate::grants::{grant, key, told};
use crate::incidents::nobody;
use crate::made_up::MadeUp;

/// Every entry, each following the one before.
pub async fn entries(fleet: &MadeUp) -> Vec<Entry> {
    let mut tx = fleet.started.app.store.read().await.unwrap();
    let kept = tx.audit_after(0, 100_000).await.unwrap();
    let mut chain = Chain::default();
    let entry = |(_, entry): tidemark_store::Kept| {
        let entry = entry.unwrap();
        chain.take(&entry).unwrap();
        entry
    };
    kept.into_iter().map(entry).collect()
}

/// Somebody who does one thing after the other, each of which must leave one record.
struct Doing<'a> {
    fleet: &'a MadeUp,
    client: Client,
    done: BTreeSet<String>,
}

/// Somebody by name.
type Who<'a> = (&'a str, &'a Person<'a>);

/// The address of a route without parameters.
fn path_of(route: &str) -> &str {
    route.split_once(' ').unwrap().1
}

fn form_of(fields: &[(&'static str, &str)]) -> Body {
    let fields = fields
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Body::Form(fields.collect())
}

/// What is sent with a request.
enum Body {
    Nothing,
    Json(Value),
    Form(Vec<(&'static str, String)>),
    Bytes(Vec<u8>),
}

impl Doing<'_> {
    async fn send(&self, person: &Person<'_>, what: (&Method, &str), body: Body) -> Response {
        let request = self
            .client
            .request(what.0.clone(), self.fleet.url(what.1))
            .bearer_auth(&person.token)
            .header("origin", self.fleet.url(""));
        let request = match body {
            Body::Nothing => request,
            Body::Json(body) => request.json(&body),
            Body::Bytes(body) => request.body(body),
            Body::Form(form) => {
                let encoded = reqwest::Url::parse_with_params("http://form", form).unwrap();
                request
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(encoded.query().unwrap_or_default().to_owned())
            }
        };
        request.send().await.unwrap()
    }

    /// The same by a route without parameters.
    async fn sends(&mut self, who: Who<'_>, route: &str, body: Value) -> Response {
        self.does(who, (route, path_of(route)), Body::Json(body))
            .await
    }

    /// Does it by a route of that name and holds what it left against the table.
    async fn does(
        &mut self,
        (name, person): (&str, &Person<'_>),
        (route, path): (&str, &str),
        body: Body,
    ) -> Response {
        let (method, template) = route.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let before = entries(self.fleet).await.len();
        let answer = self.send(person, (&method, path), body).await;
        let status = answer.status();
        if !(status.is_success() || status.is_redirection()) {
            panic!("{route}: {status} {}", answer.text().await.unwrap());
        }
        let (deed, by) = deed_of(&method, template).unwrap();
        let all = entries(self.fleet).await;
        // The controller's own deeds may follow at once.
        let own: Vec<&Entry> = all[before..]
            .iter()
            .filter(|entry| entry.who.kind == DoerKind::Operator)
            .collect();
        let [entry] = own.as_slice() else {
            panic!("{route} left {own:#?}");
        };
        let is_deed = entry.what == deed || deed == Deed::RunDecide;
        assert!(is_deed, "{route}: {entry:?}");
        assert_eq!(entry.outcome, Outcome::Done, "{route}");
        assert_eq!(entry.who.name, name, "{route}: {entry:?}");
        assert!(entry.who.address.is_some() && entry.who.role.is_some());
        let is_change = !entry.detail.contains_key("change");
        assert_eq!(is_change, by != By::Guard, "{route}: {entry:?}");
        assert!(
            !entry.to_line().contains("tma1.") && !entry.to_line().contains("tm1."),
            "{entry:?}"
        );
        self.done.insert(route.to_owned());
        answer
    }
}

fn brought(signature: &Signature) -> Value {
    json!({"key_id": signature.key.to_string(), "signature": signature.to_base64()})
}

/// A host whose policy lists keys 1 and 2.
async fn listed_host(fleet: &MadeUp, name: &str) -> HostId {
    let host = fleet.host(name).await;
    let policy = HostPolicyView {
        profile: Some(Profile::Safe),
        allowed: vec![ActionKind::RestartService],
        keys: vec![key(1).public().id(), key(2).public().id()],
        all_keys: vec![told(1), told(2)],
        ..HostPolicyView::default()
    };
    take_policy(&fleet.started.app, host, &policy)
        .await
        .unwrap();
    fleet.connect(host);
    host
}

async fn incident(fleet: &MadeUp, host: HostId) -> i64 {
    let now = fleet.started.app.clock.now();
    let problem = Problem {
        key: ProblemKey::Ports {
            host,
            space: PortSpaceKey::own(Protocol::Tcp),
        },
        kind: "leak".to_owned(),
        hosts: vec![host],
        culprit: None,
        cause: "it leaks".to_owned(),
        evidence: vec![],
        advice: vec![],
        since: now,
        is_exhausted: false,
        eta: None,
        at_least: Severity::Info,
        sure: Sureness::Percent(80),
        reason: None,
    };
    let mut tx = fleet.started.app.store.begin().await.unwrap();
    let incident = Incident::open(problem, Severity::Warning, now);
    let id = tx.incident_insert(&incident).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    id
}

async fn json_of(answer: Response) -> Value {
    answer.json().await.unwrap()
}

fn nothing() -> Body {
    Body::Json(json!({}))
}

async fn tokens(doing: &mut Doing<'_>, who: Who<'_>) {
    for (route, body) in [
        ("POST /api/v1/tokens", json!({"ttl_s": 60, "uses": 1})),
        (
            "POST /api/v1/api-tokens",
            json!({"name": "eve", "role": "viewer", "ttl_s": 60}),
        ),
    ] {
        let made: Value = doing.sends(who, route, body).await.json().await.unwrap();
        let id = made["token"].as_str().unwrap().split('.').nth(1).unwrap();
        let path = format!("{}/{id}", path_of(route));
        let route = format!("DELETE {}/{{id}}", path_of(route));
        doing.does(who, (&route, &path), Body::Nothing).await;
    }
}

async fn silences(doing: &mut Doing<'_>, who: Who<'_>) {
    let silence = json!({"matchers": ["tier=db"], "duration_s": 600, "reason": "patches"});
    let made = doing.sends(who, "POST /api/v1/silences", silence).await;
    let id = json_of(made).await["id"].as_i64().unwrap();
    let path = format!("/api/v1/silences/{id}");
    let route = "DELETE /api/v1/silences/{silence}";
    doing.does(who, (route, &path), Body::Nothing).await;
    let form = [
        ("matchers", "tier=db"),
        ("duration", "10m"),
        ("reason", "patches"),
    ];
    doing
        .does(who, ("POST /silences", "/silences"), form_of(&form))
        .await;
    let path = format!("/silences/{}/end", id + 1);
    let route = "POST /silences/{silence}/end";
    doing.does(who, (route, &path), form_of(&[])).await;
    let (route, path) = (
        "POST /api/v1/receivers/{receiver}/test",
        "/api/v1/receivers/hook/test",
    );
    doing.does(who, (route, path), nothing()).await;
    let (route, path) = ("POST /notifications/test", "/notifications/test");
    doing
        .does(who, (route, path), form_of(&[("receiver", "hook")]))
        .await;
}

async fn documents(doing: &mut Doing<'_>, who: Who<'_>) {
    let budget = json!({"budget": [{"name": "iis", "hosts": ["tier=web"], "service": "W3SVC",
        "allow": {"ports": 5}, "for": "5m", "severity": "critical", "advice": "recycle"}]});
    doing.sends(who, "PUT /api/v1/budgets", budget).await;
    let (route, path) = ("DELETE /api/v1/budgets/{budget}", "/api/v1/budgets/iis");
    doing.does(who, (route, path), Body::Nothing).await;
    let window = json!({"window": [{"name": "night", "recurrence": "FREQ=WEEKLY", "start": "2030-01-01T00:00:00",
        "duration": "1h", "time_zone": "UTC", "hosts": ["tier=db"]}]});
    doing.sends(who, "PUT /api/v1/windows", window).await;
    let (route, path) = ("DELETE /api/v1/windows/{window}", "/api/v1/windows/night");
    doing.does(who, (route, path), Body::Nothing).await;
}

async fn lockdown(doing: &mut Doing<'_>, who: (&str, &Person<'_>), host: HostId) {
    let why = || Body::Json(json!({"reason": "a drill"}));
    doing
        .does(who, ("POST /api/v1/lockdown", "/api/v1/lockdown"), why())
        .await;
    doing
        .does(
            who,
            ("POST /api/v1/lockdown/lift", "/api/v1/lockdown/lift"),
            why(),
        )
        .await;
    let _lane = lane(doing.fleet, host);
    let unlock = json!({"issued_at_ms": 5, "key_id": key(1).public().id().to_string(),
        "signature": key(1).sign(Purpose::Unlock, b"x").to_base64()});
    let path = format!("/api/v1/hosts/{host}/unlock");
    doing
        .does(
            who,
            ("POST /api/v1/hosts/{host}/unlock", &path),
            Body::Json(unlock),
        )
        .await;
}

async fn statements(doing: &mut Doing<'_>, who: (&str, &Person<'_>), now: Timestamp) {
    let statement = KeyStatement::Rotation(KeyRotation {
        old: key(1).public(),
        new: key(3).public(),
        tier_max: Tier::Reboot,
        issued_at_ms: now,
        reason: "a new card".to_owned(),
    });
    let bytes = statement.to_bytes();
    let sign = |seed: u8| brought(&key(seed).sign(Purpose::KeyRotation, &bytes));
    let body = json!({"statement": String::from_utf8(bytes.clone()).unwrap(), "signatures": [sign(1), sign(3)]});
    let made = doing
        .does(
            who,
            ("POST /api/v1/key-statements", "/api/v1/key-statements"),
            Body::Json(body),
        )
        .await;
    let id = json_of(made).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/key-statements/{id}/signatures");
    let route = "POST /api/v1/key-statements/{statement}/signatures";
    doing.does(who, (route, &path), Body::Json(sign(2))).await;
}

async fn policies(doing: &mut Doing<'_>, who: Who<'_>, host: HostId) {
    let policy = json!({"policy": [{"name": "full", "hosts": ["tier=web"], "condition": {"level": 90}, "for": "5m",
        "ladder": [{"action": "restart_service", "with": ["service=W3SVC"]}]}]});
    doing.sends(who, "PUT /api/v1/policies", policy).await;
    let (route, path) = (
        "POST /api/v1/policies/{policy}/dry-run",
        "/api/v1/policies/full/dry-run",
    );
    doing.does(who, (route, path), nothing()).await;
    grants(doing, who, host).await;
    let (route, path) = ("DELETE /api/v1/policies/{policy}", "/api/v1/policies/full");
    doing.does(who, (route, path), Body::Nothing).await;
}

async fn grants(doing: &mut Doing<'_>, who: Who<'_>, host: HostId) {
    let spec = json!({"action": "restart_service", "service": "W3SVC"});
    let spec: ActionSpec = serde_json::from_value(spec).unwrap();
    let detail: PolicyDetail = who.1.get("/api/v1/policies/full").await;
    let rule = rule_hash(&detail.policy.unwrap().spec, 0).unwrap();
    let now = doing.fleet.started.app.clock.now();
    let mut ids = Vec::new();
    for number in [1, 2] {
        let grant = grant(number, &spec, (&rule, host), now);
        let bytes = grant.to_bytes();
        let signatures = [brought(&key(1).sign(Purpose::Grant, &bytes))];
        let body = json!({"document": String::from_utf8(bytes).unwrap(), "signatures": signatures});
        doing.sends(who, "POST /api/v1/grants", body).await;
        ids.push(grant.id);
    }
    let path = format!("/api/v1/grants/{}", ids[0]);
    doing
        .does(who, ("DELETE /api/v1/grants/{grant}", &path), Body::Nothing)
        .await;
    let end = GrantEnd {
        grant: ids[1],
        issued_at_ms: now,
    };
    let bytes = end.to_bytes();
    let signature = brought(&key(1).sign(Purpose::GrantEnd, &bytes));
    let body = json!({"document": String::from_utf8(bytes).unwrap(), "signature": signature});
    let path = format!("/api/v1/grants/{}/end", ids[1]);
    doing
        .does(
            who,
            ("POST /api/v1/grants/{grant}/end", &path),
            Body::Json(body),
        )
        .await;
}

async fn actions(
    doing: &mut Doing<'_>,
    (asks, judges): ((&str, &Person<'_>), (&str, &Person<'_>)),
    host: &str,
) {
    let mut made = Vec::new();
    for service in ["one", "two", "three"] {
        let body = json!({"host": host, "reason": "a leak", "spec": {"action": "restart_service", "service": service}});
        let answer = doing
            .does(
                asks,
                ("POST /api/v1/actions", "/api/v1/actions"),
                Body::Json(body),
            )
            .await;
        let action: ActionView = answer.json().await.unwrap();
        made.push(action.id);
    }
    let path = |place: usize, word: &str| format!("/api/v1/actions/{}/{word}", made[place]);
    let said = || Body::Json(json!({"text": "so be it"}));
    let route = |word: &str| format!("POST /api/v1/actions/{{action}}/{word}");
    let order = doing
        .send(asks.1, (&Method::GET, &path(0, "order")), Body::Nothing)
        .await;
    let signature = brought(&key(1).sign(Purpose::Order, &order.bytes().await.unwrap()));
    doing
        .does(
            asks,
            (&route("signatures"), &path(0, "signatures")),
            Body::Json(signature),
        )
        .await;
    doing
        .does(judges, (&route("approve"), &path(0, "approve")), said())
        .await;
    doing
        .does(judges, (&route("reject"), &path(1, "reject")), said())
        .await;
    doing
        .does(asks, (&route("cancel"), &path(2, "cancel")), said())
        .await;
}

async fn runs(doing: &mut Doing<'_>, (asks, judges): ((&str, &Person<'_>), (&str, &Person<'_>))) {
    let spec = json!({"name": "weekly", "reason": "patches", "hosts": ["host=web-*"], "concurrency": 3,
        "actions": [{"action": "restart_service", "service": "shop"}],
        "gate_before": [], "gate_after": [], "needs_effect": false});
    let mut made: Vec<RunDetail> = Vec::new();
    for _ in 0..2 {
        let answer = doing
            .does(
                asks,
                ("POST /api/v1/runs", "/api/v1/runs"),
                Body::Json(spec.clone()),
            )
            .await;
        made.push(answer.json().await.unwrap());
    }
    let path = |place: usize, word: &str| format!("/api/v1/runs/{}/{word}", made[place].run.number);
    let route = |word: &str| format!("POST /api/v1/runs/{{run}}/{word}");
    let orders: tidemark_model::view::Page<RunOrderView> = asks.1.get(&path(0, "orders")).await;
    let order = &orders.items[0];
    let signature = key(1).sign(Purpose::Order, order.order.as_bytes());
    let body = json!({"plan_hash": made[0].plan.hash, "public_key": key(1).public().to_string(),
        "signatures": [{"action": order.action, "signature": signature.to_base64()}]});
    doing
        .does(
            asks,
            (&route("signatures"), &path(0, "signatures")),
            Body::Json(body),
        )
        .await;
    let yes = json!({"plan_hash": made[0].plan.hash});
    doing
        .does(
            judges,
            (&route("approve"), &path(0, "approve")),
            Body::Json(yes),
        )
        .await;
    let why = || Body::Json(json!({"text": "too many alarms"}));
    doing
        .does(judges, (&route("reject"), &path(1, "reject")), why())
        .await;
    doing
        .does(asks, (&route("stop"), &path(0, "stop")), why())
        .await;
    let form = [
        ("name", "weekly"),
        ("reason", "patches"),
        ("hosts", "host=web-*"),
        ("action", "restart_service"),
        ("parameters", "service=shop"),
        ("window", "now"),
        ("waves", "1 rest"),
        ("concurrency", "2"),
        ("max_failed", "1"),
    ];
    let form = form.map(|(name, value)| (name, value.to_owned())).to_vec();
    let planned = doing
        .does(
            asks,
            ("POST /maintenance", "/maintenance"),
            Body::Form(form),
        )
        .await;
    let path = planned.headers()["location"].to_str().unwrap().to_owned();
    let no = vec![("do", "reject".to_owned()), ("text", "not now".to_owned())];
    doing
        .does(judges, ("POST /runs/{run}", &path), Body::Form(no))
        .await;
}

/// Signing in and out again, with the token in the form and the session in a cookie.
async fn browser(doing: &mut Doing<'_>, name: &str, person: &Person<'_>) {
    let form = vec![("token", person.token.clone())];
    let answer = doing
        .does((name, person), ("POST /login", "/login"), Body::Form(form))
        .await;
    assert!(answer.headers().contains_key("set-cookie"));
    doing
        .does(
            (name, person),
            ("POST /logout", "/logout"),
            Body::Form(vec![]),
        )
        .await;
}

#[tokio::test]
async fn every_route_that_changes_something_leaves_one_record_that_says_who() {
    let fleet = MadeUp::start_with(nobody()).await;
    let host = listed_host(&fleet, "web-1").await;
    let ann = Person::new(&fleet, "ann", Role::Admin).await;
    let bob = Person::new(&fleet, "bob", Role::Approver).await;
    let mut doing = Doing {
        fleet: &fleet,
        client: client(),
        done: BTreeSet::new(),
    };
    let (asks, judges) = (("ann", &ann), ("bob", &bob));
    tokens(&mut doing, asks).await;
    silences(&mut doing, asks).await;
    documents(&mut doing, asks).await;
    let number = incident(&fleet, host).await;
    let path = format!("/api/v1/incidents/{number}/acknowledge");
    let route = "POST /api/v1/incidents/{incident}/{deed}";
    doing.does(asks, (route, &path), nothing()).await;
    let form = vec![("do", "note".to_owned()), ("text", "looking".to_owned())];
    let path = format!("/incidents/{number}");
    doing
        .does(
            asks,
            ("POST /incidents/{incident}", &path),
            Body::Form(form),
        )
        .await;
    statements(&mut doing, asks, fleet.started.app.clock.now()).await;
    policies(&mut doing, asks, host).await;
    actions(&mut doing, (asks, judges), "web-1").await;
    runs(&mut doing, (asks, judges)).await;
    lockdown(&mut doing, asks, host).await;
    browser(&mut doing, "ann", &ann).await;
    upgrades::upgrades(&mut doing, asks, fleet.started.app.clock.now()).await;
    people::users(&mut doing, asks).await;
    people::tokens(&mut doing, asks).await;
    people::own(&mut doing, asks).await;
    let path = format!("/api/v1/hosts/{host}");
    let labels = Body::Json(json!({"labels": {"team": "pay"}}));
    doing
        .does(asks, ("PATCH /api/v1/hosts/{host}", &path), labels)
        .await;
    let path = format!("/hosts/{host}/labels");
    let form = form_of(&[("labels", "env=prod team-"), ("version", "1")]);
    doing
        .does(asks, ("POST /hosts/{host}/labels", &path), form)
        .await;
    let path = format!("/api/v1/hosts/{host}/revoke");
    doing
        .does(
            asks,
            ("POST /api/v1/hosts/{host}/revoke", &path),
            Body::Nothing,
        )
        .await;

    for route in &ROUTES {
        let name = format!("{} {}", route.method, route.path);
        let changes = !matches!(route.method, Method::GET | Method::HEAD);
        assert!(
            !changes || doing.done.contains(&name),
            "{name} is not shown to leave a record: add it to this test"
        );
    }
}

#[tokio::test]
async fn refusals_are_recorded_and_a_flood_of_them_is_counted() {
    let fleet = MadeUp::start().await;
    let viewer = Person::new(&fleet, "vic", Role::Viewer).await;
    let before = entries(&fleet).await.len();
    let body = json!({"reason": "mine"});
    let answer = viewer.post("/api/v1/lockdown", &body).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let all = entries(&fleet).await;
    let [refused] = &all[before..] else {
        panic!("one record: {:#?}", &all[before..]);
    };
    assert_eq!(
        (refused.what, refused.outcome),
        (Deed::LockdownImpose, Outcome::Refused)
    );
    assert_eq!(
        (&*refused.who.name, &*refused.detail["status"]),
        ("vic", "403")
    );

    for _ in 0..300 {
        let request = client()
            .post(fleet.url("/api/v1/lockdown"))
            .bearer_auth("tma1.x.y");
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let all = entries(&fleet).await;
    assert!(
        all.len() < before + 20,
        "{} records of one flood",
        all.len() - before
    );
    Keeper::new(fleet.started.app.clone())
        .activate()
        .await
        .unwrap();
    let all = entries(&fleet).await;
    let counts = all
        .iter()
        .rfind(|one| one.what == Deed::RefusalsCount)
        .unwrap();
    assert_eq!(counts.detail["401 lockdown_impose"], "291");
}

#[tokio::test]
async fn an_effect_whose_record_cannot_be_kept_does_not_happen() {
    let fleet = MadeUp::start().await;
    let ann = Person::new(&fleet, "ann", Role::Admin).await;
    let spoilt =
        "CREATE TRIGGER spoilt BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'no'); END";
    execute(&fleet.started.app.store, spoilt).await;
    let silence = json!({"matchers": ["tier=db"], "duration_s": 600, "reason": "patches"});
    let answer = ann.post("/api/v1/silences", &silence).await;
    assert!(answer.status().is_server_error(), "{}", answer.status());
    let all: Value = ann.get("/api/v1/silences").await;
    assert_eq!(
        all["items"],
        json!([]),
        "there is a silence that nobody made"
    );
}

#[tokio::test]
async fn what_is_altered_behind_the_controllers_back_is_found_at_the_next_start() {
    let fleet = MadeUp::start().await;
    let ann = Person::new(&fleet, "ann", Role::Admin).await;
    for _ in 0..3 {
        let silence = json!({"matchers": ["tier=db"], "duration_s": 600, "reason": "patches"});
        assert_eq!(
            ann.post("/api/v1/silences", &silence).await.status(),
            StatusCode::CREATED
        );
    }
    let mut keeper = Keeper::new(fleet.started.app.clone());
    keeper.activate().await.unwrap();
    let log = &fleet.started.app.audit_log;
    assert_eq!(log.standing().fault, None);
    let signed = log.checkpoint().unwrap();
    assert_eq!(signed.checkpoint.size, 4);

    let cut = "DROP TRIGGER audit_log_keeps_entries; DELETE FROM audit_log WHERE seq = 4";
    execute(&fleet.started.app.store, cut).await;
    let fleet = fleet.restart().await;
    Keeper::new(fleet.started.app.clone())
        .activate()
        .await
        .unwrap();
    let (seq, why) = fleet
        .started
        .app
        .audit_log
        .standing()
        .fault
        .clone()
        .unwrap();
    assert_eq!(seq, 4, "{why}");
    assert!(why.contains("entries 4 to 4 are missing"), "{why}");
}
