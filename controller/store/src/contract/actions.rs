//! Actions: every step is stored with its record or not at all; approvals and signatures count once; lockdowns last.

use std::collections::HashMap;

use tidemark_model::action::{
    Action, ActionId, ActionKind, ActionReport, ActionSpec, ActionState, Approval,
    BroughtSignature, Effect, HostPolicyView, LifeStep, Order, Profile,
};
use tidemark_model::signing::{KeyId, Signature};
use tidemark_model::{PortSpaceKey, Protocol};

use super::*;
use crate::{ActionQuery, LockdownTurn, SentAction, StoreError, Tx};

contract!(
    an_action_comes_back_byte_for_byte,
    a_stale_step_leaves_no_record,
    a_request_makes_one_action,
    actions_are_paged_and_filtered,
    what_is_due_comes_oldest_first,
    people_and_keys_count_once,
    the_last_word_of_a_host_policy_stands,
    the_last_turn_of_the_lockdown_stands,
    retention_takes_actions_with_all_that_belongs_to_them,
    what_was_sent_for_a_reason_is_counted_once_an_action,
);

const HOLD: std::time::Duration = std::time::Duration::from_secs(300);

fn action(number: u8, host: u32) -> Action {
    Action::proposed(Order {
        id: ActionId::from_bytes([number; 16]),
        host: host_id(host),
        spec: ActionSpec::RecycleAppPool {
            pool: "DefaultAppPool".to_owned(),
        },
        dry_run: false,
        issued_at_ms: at(100),
        not_before_ms: at(100),
        expires_at_ms: at(1_000 + i64::from(number)),
        requester: "ann".to_owned(),
        reason: "'; DROP TABLE actions; --".to_owned(),
        undo_within_s: None,
    })
}

pub(super) async fn insert(tx: &mut Tx, number: u8, host: u32) -> Action {
    let mut made = action(number, host);
    made.number = tx.action_insert(&made).await.unwrap();
    made
}

/// Takes an action along these states, from 200 ms on.
async fn take(tx: &mut Tx, action: &mut Action, states: &[ActionState]) {
    for (number, state) in (0..).zip(states) {
        let step = action.go(*state, at(200 + number), HOLD).unwrap();
        tx.action_update(action, &[step]).await.unwrap();
    }
}

async fn an_action_comes_back_byte_for_byte(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut made = insert(&mut tx, 1, 0).await;
    assert_eq!(tx.action_find(made.id()).await.unwrap(), Some(made.clone()));
    use ActionState as S;
    take(&mut tx, &mut made, &[S::Approved, S::Queued, S::Sent]).await;
    made.sent_at = Some(at(202));
    made.body.session = Some(u64::MAX);
    let id = made.id();
    made.body.report = Some(ActionReport::new(id, S::Accepted, at(9), "taken"));
    made.body.effect = Some(Effect {
        port_space: PortSpaceKey::own(Protocol::Tcp),
        headroom_before: 1,
        headroom_after: 900,
        needed: 10,
        ports_freed: 899,
        subject_ports_before: None,
        subject_ports_after: Some(3),
        held_until_ms: Some(at(999)),
        holds: true,
    });
    tx.action_update(&mut made, &[]).await.unwrap();
    assert_eq!(tx.action_find(id).await.unwrap(), Some(made.clone()));
    assert_eq!(tx.actions_holding(0, 9).await.unwrap(), [made.clone()]);
    let after = tx.actions_holding(made.number, 9).await.unwrap();
    assert_eq!(after, [], "the next page is empty");
    let sent = SentAction {
        id,
        host: made.order.host,
        kind: made.order.spec.kind(),
        subject: made.order.spec.subject().to_owned(),
        sent_at: at(202),
    };
    assert_eq!(tx.actions_sent_since(at(202), 9).await.unwrap(), [sent]);
    assert_eq!(tx.actions_sent_since(at(203), 9).await.unwrap(), []);
    let states: Vec<_> = tx
        .action_steps(id, 9)
        .await
        .unwrap()
        .into_iter()
        .map(|step| (step.from, step.to, step.by.is_some()))
        .collect();
    assert_eq!(
        states,
        [
            (None, S::Proposed, true),
            (Some(S::Proposed), S::Approved, false),
            (Some(S::Approved), S::Queued, false),
            (Some(S::Queued), S::Sent, false),
        ]
    );
}

async fn a_stale_step_leaves_no_record(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let made = insert(&mut tx, 1, 0).await;
    tx.commit().await.unwrap();
    let (mut one, mut other) = (made.clone(), made);
    let mut tx = store.begin().await.unwrap();
    take(&mut tx, &mut one, &[ActionState::Approved]).await;
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let step = other.go(ActionState::Rejected, at(300), HOLD).unwrap();
    let stale = tx.action_update(&mut other, &[step]).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
    tx.rollback().await.unwrap();
    let mut tx = store.read().await.unwrap();
    let found = tx.action_find(one.id()).await.unwrap().unwrap();
    assert_eq!(found.state, ActionState::Approved);
    assert_eq!(tx.action_steps(one.id(), 9).await.unwrap().len(), 2);
}

async fn a_request_makes_one_action(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut first = action(1, 0);
    first.request_key = Some("ann/1".to_owned());
    first.number = tx.action_insert(&first).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let mut second = action(2, 0);
    second.request_key = first.request_key.clone();
    let twice = tx.action_insert(&second).await;
    assert!(
        matches!(twice, Err(StoreError::AlreadyExists { .. })),
        "{twice:?}"
    );
    tx.rollback().await.unwrap();
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.action_of_request("ann/1").await.unwrap(), Some(first));
    assert_eq!(tx.action_of_request("bob/1").await.unwrap(), None);
}

async fn actions_are_paged_and_filtered(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut all = Vec::new();
    for number in 1..=4 {
        let mut made = action(number, u32::from(number % 2));
        made.incident = (number == 4).then_some(7);
        made.number = tx.action_insert(&made).await.unwrap();
        all.push(made);
    }
    take(&mut tx, &mut all[0], &[ActionState::Cancelled]).await;
    let numbers = async |tx: &mut Tx, query: ActionQuery| -> Vec<u8> {
        let page = tx.actions_page(&query).await.unwrap();
        page.iter().map(|one| one.id().as_bytes()[0]).collect()
    };
    let query = ActionQuery {
        limit: 9,
        ..ActionQuery::default()
    };
    assert_eq!(numbers(&mut tx, query).await, [4, 3, 2, 1]);
    let page = ActionQuery {
        before: Some(all[3].number),
        limit: 2,
        ..query
    };
    assert_eq!(numbers(&mut tx, page).await, [3, 2]);
    let of_host = ActionQuery {
        host: Some(host_id(1)),
        ..query
    };
    assert_eq!(numbers(&mut tx, of_host).await, [3, 1]);
    let open = ActionQuery {
        only_open: true,
        ..of_host
    };
    assert_eq!(numbers(&mut tx, open).await, [3]);
    let cancelled = ActionQuery {
        state: Some(ActionState::Cancelled),
        ..query
    };
    assert_eq!(numbers(&mut tx, cancelled).await, [1]);
    let of_incident = ActionQuery {
        incident: Some(7),
        ..query
    };
    assert_eq!(numbers(&mut tx, of_incident).await, [4]);
    let proposed = tx.actions_in_state(ActionState::Proposed, all[1].number, 9);
    assert_eq!(proposed.await.unwrap().len(), 2);
}

async fn what_is_due_comes_oldest_first(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for number in [3, 1, 2] {
        insert(&mut tx, number, 0).await;
    }
    let due = tx.actions_due(at(1_002), 9).await.unwrap();
    let ids: Vec<u8> = due.iter().map(|one| one.id().as_bytes()[0]).collect();
    assert_eq!(ids, [1, 2]);
}

async fn people_and_keys_count_once(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let made = insert(&mut tx, 1, 0).await;
    let approval = Approval {
        approver: "bob".to_owned(),
        at: at(5),
        text: String::new(),
    };
    let signature = BroughtSignature {
        signature: Signature {
            key: KeyId::from_bytes([0xAB; 8]),
            bytes: [7; 64],
        },
        at: at(6),
        author: "bob".to_owned(),
    };
    tx.action_approve(made.id(), &approval).await.unwrap();
    tx.actions_sign(&[(made.id(), signature.clone())])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let twice = tx.action_approve(made.id(), &approval).await;
    assert!(matches!(twice, Err(StoreError::AlreadyExists { .. })));
    tx.rollback().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let twice = tx.actions_sign(&[(made.id(), signature.clone())]).await;
    assert!(matches!(twice, Err(StoreError::AlreadyExists { .. })));
    tx.rollback().await.unwrap();
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.action_approvals(made.id()).await.unwrap(), [approval]);
    assert_eq!(tx.action_signatures(made.id()).await.unwrap(), [signature]);
}

async fn the_last_word_of_a_host_policy_stands(store: Store) {
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.host_policy(host_id(0)).await.unwrap(), None);
    let mut policy = HostPolicyView {
        profile: Some(Profile::Observe),
        allowed: vec![ActionKind::WriteEvent],
        keys: vec![KeyId::from_bytes([1; 8])],
        digest: "00".repeat(32),
        undoes: true,
        grants: vec![],
        ..HostPolicyView::default()
    };
    for told_at in [10, 20] {
        policy.lockdown = told_at == 20;
        tx.host_policy_put(host_id(0), at(told_at), &policy)
            .await
            .unwrap();
    }
    let stands = tx.host_policy(host_id(0)).await.unwrap();
    assert_eq!(stands, Some((at(20), policy.clone())));
    let both = [host_id(0), host_id(1)];
    let known = tx.host_policies_of(&both).await.unwrap();
    assert_eq!(known, HashMap::from([(host_id(0), policy)]));
    let others = tx.host_policies_of(&both[1..]).await.unwrap();
    assert_eq!(others, HashMap::new());
    assert_eq!(tx.host_policy(host_id(1)).await.unwrap(), None);
}

async fn the_last_turn_of_the_lockdown_stands(store: Store) {
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.lockdown_turns(1).await.unwrap(), []);
    // Two turns in one millisecond keep their order.
    for (at_ms, is_stop) in [(10, true), (10, false), (5, true)] {
        let turn = LockdownTurn {
            at: at(at_ms),
            is_stop,
            author: "ann".to_owned(),
            reason: "an attack".to_owned(),
        };
        tx.lockdown_turn(&turn).await.unwrap();
    }
    let turns = tx.lockdown_turns(2).await.unwrap();
    assert_eq!((turns[0].at, turns[0].is_stop), (at(5), true));
    assert_eq!((turns[1].at, turns[1].is_stop), (at(10), false));
}

async fn retention_takes_actions_with_all_that_belongs_to_them(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let mut old = insert(&mut tx, 1, 0).await;
    insert(&mut tx, 2, 0).await;
    take(&mut tx, &mut old, &[ActionState::Cancelled]).await;
    assert_eq!(tx.actions_ended_since(at(200), 9).await.unwrap().len(), 1);
    assert_eq!(tx.actions_delete_before(at(200), 9).await.unwrap(), 0);
    assert_eq!(tx.actions_delete_before(at(201), 9).await.unwrap(), 1);
    assert_eq!(tx.action_find(old.id()).await.unwrap(), None);
    assert_eq!(tx.action_steps(old.id(), 9).await.unwrap(), []);
    let query = ActionQuery {
        limit: 9,
        ..ActionQuery::default()
    };
    assert_eq!(tx.actions_page(&query).await.unwrap().len(), 1);
}

async fn what_was_sent_for_a_reason_is_counted_once_an_action(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for (number, sent_at, text) in [
        (1, 200, "under grant a"),
        (2, 300, "under grant a"),
        (3, 400, "under grant b"),
        (4, 400, ""),
        (5, 100, "under grant b"),
    ] {
        let mut made = action(number, 1);
        made.sent_at = Some(at(sent_at));
        tx.action_insert(&made).await.unwrap();
        // Sent again, over another session.
        for at_ms in [sent_at, sent_at + 5] {
            let step = LifeStep {
                at: at(at_ms),
                from: None,
                to: ActionState::Sent,
                by: None,
                text: text.to_owned(),
            };
            tx.action_steps_append(made.id(), &[step]).await.unwrap();
        }
    }
    let counted = tx.actions_sent_for("under grant ", at(150), 10).await;
    let counted: Vec<_> = counted
        .unwrap()
        .into_iter()
        .map(|one| (one.text, one.sent, one.last_at))
        .collect();
    let expected = [
        ("under grant b".to_owned(), 1, at(405)),
        ("under grant a".to_owned(), 2, at(305)),
    ];
    assert_eq!(counted, expected);
}
