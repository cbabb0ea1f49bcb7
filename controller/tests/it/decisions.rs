//! Two controllers on one Postgres that both see the whole fleet: the one that leads decides what follows, and the other one looks on.

use std::sync::Arc;

use serde_json::json;
use tidemark_controller::access::users::By;
use tidemark_controller::incidents::reconcile::Reconciler;
use tidemark_controller::maintain::run::{self, RunDriver, RunStatus, Word};
use tidemark_controller::remediate::report::take_policy;
use tidemark_controller::tasks::policies::{PolicyStatus, PolicyWatch};
use tidemark_model::action::{ActionKind, HostPolicyView, Profile};
use tidemark_model::run::RunSpec;
use tidemark_model::{HostId, HostScope};
use tidemark_store::testing::on_postgres;
use tidemark_store::{DocumentKind, DocumentVersion, Store};

use crate::company::{Side, online_at_the_first};
use crate::made_up::CAPACITY;

/// Ports in use of a host that is full.
const FULL: u32 = CAPACITY * 95 / 100;

/// A minute in which the host at the first is full, and the other one hears of it.
async fn full_minute((one, other): (&mut Side, &mut Side), host: HostId) {
    for _ in 0..2 {
        one.later(30);
        other.later(30);
        one.deliver(host, FULL).await;
        one.round().await;
        other.round().await;
    }
}

async fn incidents_after(side: &Side) -> u64 {
    let reconciler = Reconciler::new(Arc::clone(&side.app));
    let status = reconciler.activate().await.unwrap();
    status.standing.iter().sum()
}

async fn policies(side: &Side) -> PolicyStatus {
    let watch = PolicyWatch::new(Arc::clone(&side.app));
    watch.activate().await.unwrap()
}

async fn runs(side: &Side) -> RunStatus {
    let driver = RunDriver::new(Arc::clone(&side.app));
    driver.activate().await.unwrap()
}

async fn put_policy(store: &Store, side: &Side) {
    let policy = json!({
        "name": "full", "hosts": ["host=web-*"], "condition": {"level": 90}, "for": "3m",
        "ladder": [{"action": "restart_service", "with": ["service=shop"]}],
        "limits": {"cooldown": "10m", "per_day": 24, "concurrent": 10},
    });
    let version = DocumentVersion {
        name: "full".to_owned(),
        version: 1,
        at: side.app.clock.now(),
        author: "ann".to_owned(),
        body: Some(policy.to_string()),
    };
    let mut tx = store.begin().await.unwrap();
    tx.document_append(DocumentKind::Policy, &version)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// A host that takes orders, as it told the first.
async fn takes_orders(side: &Side, host: HostId) {
    let policy = HostPolicyView {
        profile: Some(Profile::Safe),
        allowed: vec![ActionKind::RestartService],
        ..HostPolicyView::default()
    };
    take_policy(&side.app, host, &policy).await.unwrap();
}

#[tokio::test]
async fn incidents_are_opened_by_the_one_that_leads() {
    on_postgres(async |store| {
        let (mut one, mut other, host) = online_at_the_first(&store).await;
        for _ in 0..5 {
            full_minute((&mut one, &mut other), host).await;
        }
        assert_eq!(incidents_after(&other).await, 0);
        let opened = incidents_after(&one).await;
        assert!(opened > 0, "there is something to open");
        assert_eq!(incidents_after(&other).await, opened, "it shows them");
    })
    .await;
}

#[tokio::test]
async fn policies_act_at_the_one_that_leads() {
    on_postgres(async |store| {
        let (mut one, mut other, host) = online_at_the_first(&store).await;
        takes_orders(&one, host).await;
        put_policy(&store, &one).await;
        for _ in 0..5 {
            full_minute((&mut one, &mut other), host).await;
            let looked = policies(&other).await;
            assert_eq!((looked.policies, looked.acting), (1, 0));
        }
        policies(&one).await;
        for _ in 0..4 {
            full_minute((&mut one, &mut other), host).await;
            policies(&one).await;
        }
        assert_eq!(policies(&other).await.acting, 1, "it shows what acts");
    })
    .await;
}

#[tokio::test]
async fn runs_are_taken_on_by_the_one_that_leads() {
    on_postgres(async |store| {
        let (one, other, host) = online_at_the_first(&store).await;
        takes_orders(&one, host).await;
        let spec = json!({"name": "weekly", "reason": "patches", "hosts": ["host=web-1"],
            "concurrency": 1, "actions": [{"action": "restart_service", "service": "shop"}],
            "gate_before": [], "gate_after": [], "needs_effect": false, "max_failed": 5});
        let spec: RunSpec = serde_json::from_value(spec).unwrap();
        let by = By {
            name: "ann".to_owned(),
            scope: HostScope::All,
        };
        // Whichever of them is asked.
        let planned = run::create(&other.app, spec, &by).await.unwrap();
        let word = (Word::Approve(planned.body.plan.hash.clone()), "bob");
        run::decide(&other.app, planned.number, word, "")
            .await
            .unwrap();
        assert_eq!(runs(&other).await, RunStatus::default());
        let moved = runs(&one).await;
        assert_eq!(moved.moved, 1, "{moved:?}");
    })
    .await;
}
