//! Runs of those who see a part of the fleet: over their hosts alone, whatever hosts say of themselves and however labels change.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tidemark_controller::remediate::report::take_policy;
use tidemark_model::action::{ActionKind, HostPolicyView, Profile};
use tidemark_model::run::RunHostState;
use tidemark_model::view::{Page, RunDetail, RunView};
use tidemark_model::{HostId, Role};

use crate::made_up::MadeUp;
use crate::scopes::ask;

/// How long something may take to be seen; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host that takes orders and claims to be of the team `pay`.
async fn claiming(fleet: &MadeUp, name: &str) -> HostId {
    let claims = BTreeMap::from([("team".to_owned(), "pay".to_owned())]);
    let host = fleet.host_with(name, "Linux", claims).await;
    let policy = HostPolicyView {
        profile: Some(Profile::Safe),
        allowed: vec![ActionKind::RestartService],
        ..HostPolicyView::default()
    };
    let app = &fleet.started.app;
    take_policy(app, host, &policy).await.unwrap();
    fleet.connect(host);
    host
}

fn restarts(hosts: &Value) -> Value {
    json!({"name": "weekly", "reason": "patches", "hosts": hosts, "concurrency": 1,
        "actions": [{"action": "restart_service", "service": "shop"}],
        "gate_before": [], "gate_after": [], "needs_effect": false, "max_failed": 5})
}

struct Team<'f> {
    fleet: &'f MadeUp,
    token: String,
}

impl Team<'_> {
    async fn post(&self, path: &str, body: Value) -> (StatusCode, String) {
        let answer = ask(self.fleet, &self.token, Method::POST, path, Some(body)).await;
        (answer.status(), answer.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = ask(self.fleet, &self.token, Method::GET, path, None).await;
        (answer.status(), answer.text().await.unwrap())
    }

    async fn planned(&self) -> RunDetail {
        let (status, said) = self
            .post("/api/v1/runs", restarts(&json!(["team=pay"])))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{said}");
        serde_json::from_str(&said).unwrap()
    }

    async fn found(&self, number: i64) -> RunDetail {
        let (status, said) = self.get(&format!("/api/v1/runs/{number}")).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        serde_json::from_str(&said).unwrap()
    }
}

fn names(run: &RunDetail) -> Vec<&str> {
    let mut names: Vec<&str> = run.hosts.iter().map(|host| &*host.name).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_run_of_a_team_works_on_its_hosts_and_no_other() {
    let fleet = MadeUp::start().await;
    let own = claiming(&fleet, "pay-1").await;
    let leaves = claiming(&fleet, "pay-2").await;
    claiming(&fleet, "canary-9q7").await;
    for host in [own, leaves] {
        fleet.label(host, "team", "pay").await;
    }
    let team = async |scope: &str, role: Role| {
        let token = fleet.scoped_token(role, scope).await;
        Team {
            fleet: &fleet,
            token,
        }
    };
    let ann = team("team=pay", Role::Operator).await;
    let web = team("team=web", Role::Approver).await;

    // By name a host of others is as unknown as one that does not exist.
    let mut said = Vec::new();
    for name in ["canary-9q7", "nobody-9q7"] {
        let mut run = restarts(&json!([]));
        run["list"] = json!([name]);
        let (status, text) = ann.post("/api/v1/runs", run).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        said.push(text.replace(name, ""));
    }
    assert_eq!(said[0], said[1]);
    let run = ann.planned().await;
    assert_eq!(names(&run), ["pay-1", "pay-2"]);
    assert_eq!(run.run.scope.as_deref(), Some("team=pay"));

    knows_nothing_of(&web, &run).await;
    let number = run.run.number;
    let path = format!("/api/v1/runs/{number}");

    // One more claims to be of the team, which changes nothing of the plan.
    claiming(&fleet, "canary-2").await;
    let bob = Team {
        fleet: &fleet,
        token: fleet
            .scoped_token_of("bob", Role::Approver, "team=pay")
            .await,
    };
    let yes = json!({"plan_hash": run.plan.hash});
    let (status, said) = bob.post(&format!("{path}/approve"), yes).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let everybody = Team {
        fleet: &fleet,
        token: fleet.token(Role::Viewer).await,
    };
    let host = async |id: HostId| {
        let run = everybody.found(number).await;
        let mut hosts = run.hosts.into_iter();
        hosts.find(|host| host.host == id.to_string()).unwrap()
    };
    let asked = until(async || host(own).await.action).await;

    // The other host leaves the team before its turn: it is left alone, and not shown to the team.
    fleet.label(leaves, "team", "web").await;
    let (status, said) = ann
        .post(&format!("/api/v1/actions/{asked}/cancel"), json!({}))
        .await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let left = until(async || Some(host(leaves).await).filter(|one| one.state.is_final())).await;
    assert_eq!(left.state, RunHostState::Skipped, "{left:?}");
    assert!(left.why.contains("left the scope"), "{}", left.why);
    assert_eq!(left.action, None);
    assert_eq!(names(&ann.found(number).await), ["pay-1"]);
}

/// Another team is told of a run as if there were none.
async fn knows_nothing_of(web: &Team<'_>, run: &RunDetail) {
    let number = run.run.number;
    let unknown = web.get("/api/v1/runs/4711").await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    let path = format!("/api/v1/runs/{number}");
    assert_eq!(web.get(&path).await, unknown);
    for word in ["approve", "stop"] {
        let body = json!({"plan_hash": run.plan.hash});
        let refused = web.post(&format!("{path}/{word}"), body).await;
        assert_eq!(refused, unknown, "{word}");
    }
    assert_eq!(web.get(&format!("{path}/orders")).await, unknown);
    let (_, listed) = web.get("/api/v1/runs").await;
    let listed: Page<RunView> = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.items, []);
    assert_eq!(
        web.get(&format!("/runs/{number}")).await.0,
        StatusCode::NOT_FOUND
    );
}

/// Waits until there is something.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("it comes")
}
