//! Actions, signatures, the lockdown and API tokens at the command line: what is asked of the controller, what is signed,
//! and what a person sees of the answer.

use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path as Segment;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use insta::assert_snapshot;
use serde_json::{Value, json};
use tidemark_model::signing::{KeyId, PublicKey, Purpose, Signature};
use tidemark_model::view::{
    ActionDetail, ActionView, ApiTokenView, HostPolicyAnswer, LockdownView, Page, RecoveryView,
};
use tidemark_model::{ActionSpec, HostId, Order, Timestamp};

use crate::controller::{Controller, Finished};
use crate::fixtures::{self, DAY, HOSTILE, HOUR, NOW};

pub const ACTION: &str = "0190a1b2c3d47e5f8a6b112233445566";
const OTHER: &str = "0190a1b2c3d47e5f8a6b665544332211";

/// What the canned controller serves of remediation. Where a body matters it comes back in the answer.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/api/v1/actions",
            get(async || Json(page(vec![view("sent", None)]))).post(propose),
        )
        .route("/api/v1/actions/{id}", get(async || Json(detail())))
        .route("/api/v1/actions/{id}/order", get(order))
        .route("/api/v1/actions/{id}/signatures", post(take_signature))
        .route("/api/v1/actions/{id}/{verdict}", post(judge))
        .route(
            "/api/v1/recoveries",
            get(async || Json(page(vec![recovery()]))),
        )
        .route("/api/v1/hosts/{host}/policy", get(policy))
        .route("/api/v1/hosts/{host}/unlock", post(unlock))
        .route(
            "/api/v1/lockdown",
            get(async || Json(lockdown(false, "drill"))).post(turn_on),
        )
        .route("/api/v1/lockdown/lift", post(turn_off))
        .route(
            "/api/v1/api-tokens",
            get(async || Json(page(api_tokens()))).post(make_api_token),
        )
        .route(
            "/api/v1/api-tokens/{id}",
            delete(async || StatusCode::NO_CONTENT),
        )
}

fn page<T>(items: Vec<T>) -> Page<T> {
    Page {
        items,
        next_cursor: None,
    }
}

/// Reads a value of the model from its JSON: a test that a field was forgotten in fails here.
fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn view(state: &str, waits_for: Option<&str>) -> ActionView {
    read(json!({
        "id": ACTION, "host": host_id().to_string(), "host_name": HOSTILE,
        "summary": "restart service appsvc", "spec": {"action": "restart_service", "service": "appsvc"},
        "tier": 1, "dry_run": false, "state": state, "state_ms": NOW - HOUR, "requester": "ann",
        "reason": HOSTILE, "incident": 7, "approvals_needed": 1, "issued_ms": NOW - 2 * HOUR,
        "not_before_ms": NOW - 2 * HOUR, "expires_ms": NOW + HOUR, "deadline_ms": NOW + HOUR, "sent_ms": null,
        "begun_ms": null, "done_ms": null, "ended_ms": null, "waits_for": waits_for, "effect": null,
    }))
}

fn detail() -> ActionDetail {
    let mut all = serde_json::to_value(view("refused", Some("the host is offline"))).unwrap();
    let more = json!({
        "approvals": [{"approver": "bob", "at_ms": NOW - HOUR, "text": "fine"}],
        "signatures": [{"key_id": "00112233aabbccdd", "signature": "AA==", "at_ms": NOW - HOUR, "author": "ann"}],
        "report": {
            "id": ACTION, "state": "refused", "at_ms": NOW - HOUR, "refusal": "not_allowed", "text": HOSTILE,
            "steps": [{"what": "stop appsvc", "state": "done", "text": "it took 2 s"}],
            "changes": [{"what": HOSTILE, "before": null, "after": "1"}], "needs_reboot": false, "boot_id": null,
        },
        "life": [
            {"at_ms": NOW - 2 * HOUR, "from": null, "to": "proposed", "by": "ann", "text": "leaks"},
            {"at_ms": NOW - HOUR, "from": "proposed", "to": "queued", "by": null, "text": "approved"},
        ],
    });
    let (Value::Object(all), Value::Object(more)) = (&mut all, more) else {
        panic!("objects");
    };
    all.extend(more);
    read(Value::Object(all.clone()))
}

fn recovery() -> RecoveryView {
    read(json!({
        "action": "restart_service", "subject": "appsvc", "hosts": 4, "tried": 14, "worked": 13,
        "ports_freed_median": 11_240, "held_ms_median": 9 * DAY, "still_hold": 2, "last_ms": NOW - DAY,
    }))
}

/// Says back what was asked for.
async fn propose(body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    if asked["host"] == "db-1" {
        return problem(
            403,
            "forbidden",
            "db-1 is the controller's own host; it is never a target",
        );
    }
    let mut answer = view("proposed", None);
    answer.spec = read(asked["spec"].clone());
    answer.summary = format!(
        "{} on {}: {}",
        answer.spec.summary(),
        asked["host"],
        asked["reason"]
    );
    answer.dry_run = asked["dry_run"] == true;
    (StatusCode::CREATED, Json(answer)).into_response()
}

fn problem(status: u16, kind: &str, title: &str) -> Response {
    let body = json!({"type": kind, "status": status, "title": title});
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn judge(
    Segment((_, verdict)): Segment<(String, String)>,
    body: Bytes,
) -> Json<ActionDetail> {
    let word: Value = serde_json::from_slice(&body).unwrap();
    let mut answer = detail();
    answer.action.summary = format!("{verdict}: {}", word["text"]);
    Json(answer)
}

fn host_id() -> HostId {
    HostId::of_identity_spki(b"web-1")
}

pub fn order_bytes() -> Vec<u8> {
    let order = Order {
        id: ACTION.parse().unwrap(),
        host: host_id(),
        spec: ActionSpec::from_words("restart_service", &["service=appsvc".to_owned()]).unwrap(),
        dry_run: false,
        issued_at_ms: Timestamp::from_unix_ms(NOW - HOUR),
        not_before_ms: Timestamp::from_unix_ms(NOW - HOUR),
        expires_at_ms: Timestamp::from_unix_ms(NOW + HOUR),
        requester: "ann".to_owned(),
        reason: "leaks ports".to_owned(),
        undo_within_s: None,
    };
    order.to_bytes()
}

/// The same order whatever is asked for, as a controller that lies sends it.
async fn order() -> Vec<u8> {
    order_bytes()
}

/// Says back the signature in the place of the summary.
async fn take_signature(body: Bytes) -> Json<ActionDetail> {
    let mut answer = detail();
    answer.action.summary = String::from_utf8(body.to_vec()).unwrap();
    Json(answer)
}

async fn unlock(Segment(host): Segment<String>, body: Bytes) -> Response {
    let signed = String::from_utf8(body.to_vec()).unwrap();
    // A refusal is the one way in which this route can say something.
    problem(409, "precondition", &format!("{host} {signed}"))
}

async fn policy(Segment(host): Segment<String>) -> Response {
    if host != fixtures::host("web-1", Vec::new()).id {
        return problem(404, "not_found", "there is no such route");
    }
    let answer: HostPolicyAnswer = read(json!({
        "host": host, "host_name": "web-1", "takes_actions": true, "told_ms": NOW - HOUR,
        "policy": {
            "profile": "safe", "unusable": null, "allowed": ["collect_evidence", "restart_service"],
            "keys": ["00112233aabbccdd"], "lockdown": true, "digest": "",
        },
    }));
    Json(answer).into_response()
}

fn lockdown(on: bool, reason: &str) -> LockdownView {
    read(json!({
        "on": on, "since_ms": NOW - HOUR, "by": HOSTILE, "reason": reason,
        "turns": [{"at_ms": NOW - HOUR, "on": on, "by": HOSTILE, "reason": reason}],
    }))
}

async fn turn_on(body: Bytes) -> Json<LockdownView> {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    Json(lockdown(true, asked["reason"].as_str().unwrap()))
}

async fn turn_off(body: Bytes) -> Json<LockdownView> {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    Json(lockdown(false, asked["reason"].as_str().unwrap()))
}

fn api_tokens() -> Vec<ApiTokenView> {
    let token = |name: &str,
                 (expires_ms, revoked_ms): (Option<i64>, Option<i64>),
                 scope: Option<&str>| {
        read(json!({
            "id": "k7", "name": name, "role": "operator", "created_ms": NOW - DAY, "expires_ms": expires_ms,
            "revoked_ms": revoked_ms, "scope": scope,
        }))
    };
    vec![
        token("ann", (None, None), Some("env=prod,team=payments")),
        token("old", (Some(NOW - HOUR), None), None),
        token(HOSTILE, (Some(NOW + DAY), Some(NOW - HOUR)), None),
    ]
}

async fn make_api_token(body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let expires_ms = asked["ttl_s"].as_i64().map(|ttl_s| NOW + ttl_s * 1_000);
    let made = json!({
        "id": "k7", "token": "tk1.k7.secret", "name": asked["name"], "role": asked["role"], "expires_ms": expires_ms,
        "scope": asked["scope"],
    });
    (StatusCode::CREATED, Json(made)).into_response()
}

const PASSPHRASE: &str = "correct horse battery staple";

/// A key of this name, made with the command line; answers its public half and the file with its passphrase.
fn make_key(controller: &Controller, name: &str) -> (PublicKey, String) {
    let file = controller.home.path().join("passphrase");
    write_private(&file, PASSPHRASE);
    let file = file.to_str().unwrap().to_owned();
    let made = controller.stdout(&["key", "new", name, "--passphrase-file", &file, "-o", "json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    (made["public"].as_str().unwrap().parse().unwrap(), file)
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

pub fn signature_of(said: &Value) -> (KeyId, Signature) {
    let key: KeyId = said["key_id"].as_str().unwrap().parse().unwrap();
    let signature = said["signature"].as_str().unwrap();
    (key, Signature::from_base64(key, signature).unwrap())
}

#[track_caller]
fn assert_usage(finished: &Finished, says: &str) {
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains(says), "{}", finished.stderr);
}

#[test]
fn actions_are_listed_and_described_with_what_their_host_said() {
    let controller = Controller::start();
    let text = controller.stdout(&["get", "actions"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_snapshot!(text);
    let text = controller.stdout(&["describe", "action", ACTION]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_snapshot!(text);
    assert_snapshot!(controller.stdout(&["get", "recoveries"]));
}

#[test]
fn an_action_is_asked_for_as_it_was_written() {
    let controller = Controller::start();
    let asked = |more: &[&str]| {
        let mut words = vec![
            "action",
            "propose",
            "web-1",
            "restart_service",
            "service=appsvc",
        ];
        words.extend(["--reason", "leaks ports"]);
        words.extend(more);
        controller.stdout(&words)
    };
    assert_snapshot!(asked(&[]));
    assert!(asked(&["--dry-run"]).contains("asked what it would do"));
}

#[test]
fn an_action_that_cannot_be_is_refused_before_anybody_is_asked() {
    let controller = Controller::start();
    for (words, says) in [
        (&["restart_servise", "service=x"][..], "restart_service"),
        (&["restart_service"][..], "service"),
        (&["restart_service", "service=x", "force=1"][..], "force"),
        (
            &["set_dynamic_port_range", "protocol=tcp", "count=-5"][..],
            "count",
        ),
    ] {
        let all = [
            &["action", "propose", "web-1"][..],
            words,
            &["--reason", "x"],
        ]
        .concat();
        assert_usage(&controller.run(&all), says);
    }
    assert_eq!(controller.requests(), Vec::<String>::new());
    let refused = controller.run(&[
        "action",
        "propose",
        "db-1",
        "collect_evidence",
        "seconds=30",
        "--reason",
        "look",
    ]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("never a target"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_persons_word_reaches_the_action() {
    let controller = Controller::start();
    for verdict in ["approve", "reject", "cancel"] {
        let said = controller.stdout(&["action", verdict, ACTION, "--text", "not today"]);
        assert!(
            said.starts_with(&format!("{verdict}: \"not today\"")),
            "{said}"
        );
    }
}

#[test]
fn what_is_signed_is_shown_from_the_very_bytes_and_verifies() {
    let controller = Controller::start();
    let (public, file) = make_key(&controller, "ann");
    let sign = |more: &[&str]| {
        let words = [
            "action",
            "sign",
            ACTION,
            "--key",
            "ann",
            "--passphrase-file",
            &file,
        ];
        controller.run(&[&words[..], more].concat())
    };
    let refused = sign(&[]);
    assert_usage(&refused, "add --yes");
    assert!(refused.stdout.contains("until    "), "{}", refused.stdout);

    let signed = sign(&["--yes"]);
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    for part in [
        "restart service appsvc",
        "asked by ann, because: leaks ports",
        "undo     not without another signature",
        r#"service="appsvc""#,
    ] {
        assert!(signed.stdout.contains(part), "{part}: {}", signed.stdout);
    }
    let said = signed
        .stdout
        .lines()
        .find(|line| line.starts_with("{\"key_id\""));
    let said = said.unwrap().split(" on ").next().unwrap();
    let (key, signature) = signature_of(&serde_json::from_str(said).unwrap());
    assert_eq!(key, public.id());
    public
        .verify(Purpose::Order, &order_bytes(), &signature)
        .unwrap();
}

#[test]
fn another_order_than_was_asked_for_is_not_signed() {
    let controller = Controller::start();
    let (_, file) = make_key(&controller, "ann");
    let lied = controller.run(&[
        "action",
        "sign",
        OTHER,
        "--key",
        "ann",
        "--yes",
        "--passphrase-file",
        &file,
    ]);
    assert_usage(&lied, "another order than was asked for");
    let asked = controller.requests();
    assert!(
        !asked.iter().any(|one| one.starts_with("POST")),
        "{asked:?}"
    );
}

#[test]
fn the_lockdown_is_turned_with_its_reason_and_shown() {
    let controller = Controller::start();
    assert_snapshot!(controller.stdout(&["lockdown", "on", "--reason", "drill"]));
    let off = controller.stdout(&["lockdown", "off", "--reason", "drill is over"]);
    assert!(off.contains("drill is over"), "{off}");
    let status = controller.stdout(&["lockdown", "status"]);
    assert!(status.starts_with("● actions may be done"), "{status}");
    assert_usage(&controller.run(&["lockdown", "on"]), "--reason");
    assert_eq!(
        controller.requests(),
        [
            "POST /api/v1/lockdown",
            "POST /api/v1/lockdown/lift",
            "GET /api/v1/lockdown"
        ]
    );
}

#[test]
fn the_end_of_a_hosts_lockdown_is_signed_for_that_host() {
    let controller = Controller::start();
    let (public, file) = make_key(&controller, "ann");
    let end = |more: &[&str]| {
        let words = [
            "lockdown",
            "end",
            "web-1",
            "--key",
            "ann",
            "--passphrase-file",
            &file,
        ];
        controller.run(&[&words[..], more].concat())
    };
    assert_usage(&end(&[]), "lets actions go on on web-1");
    let brought = end(&["--yes"]).stderr;
    let host = fixtures::host("web-1", Vec::new()).id;
    let (_, said) = brought.split_once(&format!("{host} ")).unwrap();
    let (said, _) = said.split_once('}').unwrap();
    let said: Value = serde_json::from_str(&format!("{said}}}")).unwrap();
    let bytes = format!("{{\"host\":\"{host}\",\"issued_at_ms\":{NOW}}}");
    let (_, signature) = signature_of(&said);
    public
        .verify(Purpose::Unlock, bytes.as_bytes(), &signature)
        .unwrap();
    public
        .verify(Purpose::Order, bytes.as_bytes(), &signature)
        .unwrap_err();
}

#[test]
fn api_tokens_are_made_listed_and_ended() {
    let controller = Controller::start();
    let made = controller.stdout(&[
        "api-token",
        "create",
        "ann",
        "--role",
        "approver",
        "--ttl",
        "90d",
        "--scope",
        "team=payments,env=prod",
    ]);
    assert_snapshot!(made);
    let listed = controller.stdout(&["get", "api-tokens"]);
    assert!(!listed.contains('\u{1b}'), "{listed:?}");
    assert_snapshot!(listed);
    let ended = controller.stdout(&["api-token", "revoke", "k7", "k8"]);
    assert_eq!(ended, "revoked API token k7\nrevoked API token k8\n");
    let never = [
        "api-token",
        "create",
        "ann",
        "--role",
        "viewer",
        "--ttl",
        "10s",
    ];
    assert_usage(&controller.run(&never), "1m to 365d");
    let everywhere = [
        "api-token",
        "create",
        "ann",
        "--role",
        "viewer",
        "--scope",
        "",
    ];
    assert_usage(&controller.run(&everywhere), "must have a matcher");
    assert_usage(
        &controller.run(&["api-token", "create", "ann", "--role", "root"]),
        "viewer",
    );
}

#[test]
fn a_host_is_described_with_what_it_allows() {
    let text = Controller::start().stdout(&["describe", "host", "web-1"]);
    let lines = text.lines().skip_while(|line| !line.starts_with("Actions"));
    let section: Vec<&str> = lines.take(5).collect();
    assert_snapshot!(section.join("\n"));
}
