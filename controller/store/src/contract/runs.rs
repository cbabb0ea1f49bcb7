//! Runs: stored with their hosts, stepped by generation, approved by plan, and taken with all that belongs to them.

use tidemark_model::action::{ActionId, Approval, BroughtSignature};
use tidemark_model::run::{
    Run, RunBody, RunHost, RunHostBody, RunHostState, RunLifeStep, RunSpec, RunState,
};
use tidemark_model::signing::{KeyId, Signature};

use super::*;
use crate::{RunApproval, RunOrder, RunOrderCount, RunQuery, StoreError};

contract!(
    a_run_comes_back_with_its_hosts_in_their_order,
    a_stale_step_of_a_run_leaves_no_record,
    a_person_approves_each_plan_once,
    runs_are_paged_and_filtered,
    retention_takes_runs_with_all_that_belongs_to_them,
    orders_of_a_run_are_counted_as_signed_with_as_many_signatures_as_are_wanted,
    orders_are_taken_with_signatures_that_no_action_has,
);

fn spec() -> RunSpec {
    let text = r#"{"name":"weekly","reason":"'; DROP TABLE runs; --","hosts":["host=*"],
        "actions":[{"action":"recycle_app_pool","pool":"Shop"}]}"#;
    serde_json::from_str(text).unwrap()
}

fn host(place: u32, state: RunHostState) -> RunHost {
    RunHost {
        place,
        host: host_id(place),
        state,
        body: RunHostBody {
            wave: place / 2,
            spread: Some("c".to_owned()),
            ..RunHostBody::default()
        },
    }
}

fn run(count: u32) -> Run {
    Run {
        number: 0,
        generation: 1,
        spec: spec(),
        state: RunState::Planned,
        deadline: Some(at(900)),
        created_at: at(100),
        ended_at: None,
        body: RunBody {
            requester: "ann".to_owned(),
            ..RunBody::default()
        },
        hosts: (0..count)
            .map(|place| host(place, RunHostState::Pending))
            .collect(),
    }
}

fn life(to: RunState, text: &str) -> RunLifeStep {
    RunLifeStep {
        at: at(100),
        to,
        by: Some("ann".to_owned()),
        text: text.to_owned(),
    }
}

async fn inserted(tx: &mut crate::Tx, count: u32) -> Run {
    let run = run(count);
    let number = tx.run_insert(&run, &life(run.state, "asked for")).await;
    Run {
        number: number.unwrap(),
        ..run
    }
}

async fn a_run_comes_back_with_its_hosts_in_their_order(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let stored = inserted(&mut tx, 12).await;
    assert_eq!(
        tx.run_find(stored.number).await.unwrap(),
        Some(stored.clone())
    );
    tx.run_host_put(stored.number, &host(7, RunHostState::Failed))
        .await
        .unwrap();
    let counts = tx
        .run_host_counts(stored.number..=stored.number)
        .await
        .unwrap();
    let mut counts: Vec<_> = counts
        .iter()
        .map(|(_, state, n)| (state.as_str(), *n))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [("failed", 1), ("pending", 11)]);
    tx.run_hosts_clear(stored.number).await.unwrap();
    let empty = tx.run_find(stored.number).await.unwrap().unwrap();
    assert_eq!(empty.hosts, []);
    assert_eq!(tx.run_find(4_711).await.unwrap(), None);
}

async fn a_stale_step_of_a_run_leaves_no_record(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut run = inserted(&mut tx, 1).await;
    let mut stale = run.clone();
    run.state = RunState::Approved;
    let approved = life(RunState::Approved, "yes");
    tx.run_update(&mut run, &[approved]).await.unwrap();
    assert_eq!(run.generation, 2);
    stale.state = RunState::Cancelled;
    let cancelled = life(RunState::Cancelled, "no");
    let result = tx.run_update(&mut stale, &[cancelled]).await;
    assert!(matches!(result, Err(StoreError::Stale { .. })));
    let steps = tx.run_steps(run.number, 10).await.unwrap();
    let words: Vec<&str> = steps.iter().map(|step| &*step.text).collect();
    assert_eq!(words, ["asked for", "yes"]);
    assert_eq!(tx.run_find(run.number).await.unwrap(), Some(run));
}

async fn a_person_approves_each_plan_once(store: Store) {
    let approval = |plan: &str| RunApproval {
        plan_hash: plan.to_owned(),
        approval: Approval {
            approver: "bob".to_owned(),
            at: at(5),
            text: String::new(),
        },
    };
    let mut tx = store.begin().await.unwrap();
    let run = inserted(&mut tx, 1).await;
    for plan in ["a", "b"] {
        tx.run_approve(run.number, &approval(plan)).await.unwrap();
    }
    let approvals = tx.run_approvals(run.number).await.unwrap();
    assert_eq!(approvals, [approval("a"), approval("b")]);
    let again = tx.run_approve(run.number, &approval("a")).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })));
}

async fn runs_are_paged_and_filtered(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut first = inserted(&mut tx, 0).await;
    let second = inserted(&mut tx, 0).await;
    first.state = RunState::Finished;
    first.ended_at = Some(at(500));
    first.deadline = None;
    tx.run_update(&mut first, &[]).await.unwrap();
    let query = RunQuery {
        limit: 10,
        ..RunQuery::default()
    };
    let mut numbers = async |query| {
        let page = tx.runs_page(&query).await.unwrap();
        page.iter().map(|run| run.number).collect::<Vec<_>>()
    };
    let both = [second.number, first.number];
    assert_eq!(numbers(query).await, both);
    let only_open = RunQuery {
        only_open: true,
        ..query
    };
    assert_eq!(numbers(only_open).await, [second.number]);
    let finished = RunQuery {
        state: Some(RunState::Finished),
        ..query
    };
    assert_eq!(numbers(finished).await, [first.number]);
    let before = RunQuery {
        before: Some(second.number),
        ..query
    };
    assert_eq!(numbers(before).await, [first.number]);
}

async fn retention_takes_runs_with_all_that_belongs_to_them(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut old = inserted(&mut tx, 3).await;
    let young = inserted(&mut tx, 3).await;
    old.state = RunState::Stopped;
    old.ended_at = Some(at(500));
    tx.run_update(&mut old, &[]).await.unwrap();
    assert_eq!(tx.runs_delete_before(at(500), 10).await.unwrap(), 0);
    assert_eq!(tx.runs_delete_before(at(501), 10).await.unwrap(), 1);
    assert_eq!(tx.run_find(old.number).await.unwrap(), None);
    assert_eq!(
        tx.run_host_counts(old.number..=old.number).await.unwrap(),
        []
    );
    assert_eq!(tx.run_steps(old.number, 9).await.unwrap(), []);
    let kept = tx.run_find(young.number).await.unwrap().unwrap();
    assert_eq!(kept.hosts.len(), 3);
}

fn order(number: u8) -> RunOrder {
    RunOrder {
        id: ActionId::from_bytes([number; 16]),
        wanted: 2,
        bytes: vec![number, 0, 255],
    }
}

fn signature(key: u8) -> BroughtSignature {
    BroughtSignature {
        signature: Signature {
            key: KeyId::from_bytes([key; 8]),
            bytes: [key; 64],
        },
        at: at(5),
        author: "ann".to_owned(),
    }
}

async fn orders_of_a_run_are_counted_as_signed_with_as_many_signatures_as_are_wanted(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let (one, other) = (inserted(&mut tx, 1).await, inserted(&mut tx, 1).await);
    let orders = [order(1), order(2), order(3)];
    tx.run_orders_put(one.number, &orders).await.unwrap();
    for (id, key) in [(1, 7), (1, 8), (2, 7)] {
        let id = order(id).id;
        tx.actions_sign(&[(id, signature(key))]).await.unwrap();
    }
    let counts = tx.run_order_counts(one.number..=other.number).await;
    let count = RunOrderCount {
        orders: 3,
        signed: 1,
    };
    assert_eq!(counts.unwrap(), [(one.number, count)]);
    let mut signers = tx
        .run_order_signers(one.number, order(1).id..=order(3).id)
        .await
        .unwrap();
    signers.sort_unstable();
    let by = |id, key| (order(id).id, signature(key).signature.key);
    assert_eq!(signers, [by(1, 7), by(1, 8), by(2, 7)]);
    let ids = order(2).id..=order(3).id;
    let some = tx.run_order_signers(one.number, ids).await.unwrap();
    assert_eq!(some, [by(2, 7)]);
    let first = tx.run_orders_page(one.number, None, 2).await.unwrap();
    assert_eq!(first, [order(1), order(2)]);
    let after = Some(order(2).id);
    let rest = tx.run_orders_page(one.number, after, 2).await.unwrap();
    assert_eq!(rest, [order(3)]);
    let found = tx.run_order(one.number, order(2).id).await.unwrap();
    assert_eq!(found, Some(order(2)));
    let of_other = tx.run_order(other.number, order(2).id).await.unwrap();
    assert_eq!(of_other, None);
    let twice = tx.run_orders_put(one.number, &orders).await;
    assert!(matches!(twice, Err(StoreError::AlreadyExists { .. })));
}

async fn orders_are_taken_with_signatures_that_no_action_has(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let run = inserted(&mut tx, 1).await;
    let became = actions::insert(&mut tx, 9, 0).await.id();
    let asked = RunOrder {
        id: became,
        ..order(2)
    };
    tx.run_orders_put(run.number, &[order(1), asked])
        .await
        .unwrap();
    for id in [order(1).id, became] {
        tx.actions_sign(&[(id, signature(7))]).await.unwrap();
    }
    tx.run_orders_clear(run.number).await.unwrap();
    let left = tx.run_orders_page(run.number, None, 9).await.unwrap();
    assert_eq!(left, []);
    assert_eq!(tx.action_signatures(order(1).id).await.unwrap(), []);
    assert_eq!(tx.action_signatures(became).await.unwrap().len(), 1);
}
