//! What ends when a database is brought back, on both databases.

use serde_json::json;
use tidemark_model::HostId;
use tidemark_model::action::{ActionId, ActionSpec, Order};
use tidemark_model::audit_log::{Chain, DoerKind};
use tidemark_model::run::{
    Run, RunBody, RunHost, RunHostBody, RunHostState, RunLifeStep, RunSpec, RunState,
};
use tidemark_store::contract;

use super::*;

contract!(
    an_action_ends_as_what_is_known_of_it_allows,
    runs_end_with_the_hosts_that_had_no_turn,
    policies_stay_and_are_disabled,
    everything_is_on_record_and_an_older_incarnation_is_over,
);

const fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

const NOW: Timestamp = at(1_700_000_000_000);

fn how() -> Retirement {
    Retirement {
        now: NOW,
        command: "tidemark-controller restore",
        from: "the backup of yesterday".to_owned(),
        keep_api_tokens: false,
        hold: Duration::from_secs(60),
        details: vec![("kept_as", "elsewhere".to_owned())],
    }
}

fn action(number: u8, state: ActionState, sent_at: Option<Timestamp>) -> Action {
    let mut action = Action::proposed(Order {
        id: ActionId::from_bytes([number; 16]),
        host: HostId::of_identity_spki(&[number]),
        spec: ActionSpec::RecycleAppPool {
            pool: "Shop".to_owned(),
        },
        dry_run: false,
        issued_at_ms: at(0),
        not_before_ms: at(0),
        expires_at_ms: at(9_000_000),
        requester: "ann".to_owned(),
        reason: "a leak".to_owned(),
        undo_within_s: None,
    });
    action.state = state;
    action.sent_at = sent_at;
    action.deadline = Some(at(9_000_000));
    action
}

async fn an_action_ends_as_what_is_known_of_it_allows(store: Store) {
    use ActionState as S;
    let sent = Some(at(5));
    let cases = [
        (S::Proposed, None, S::Cancelled),
        (S::Approved, None, S::Cancelled),
        (S::Queued, None, S::Cancelled),
        (S::Queued, sent, S::TimedOut),
        (S::Sent, sent, S::TimedOut),
        (S::Accepted, sent, S::TimedOut),
        (S::Running, sent, S::TimedOut),
        (S::Verifying, sent, S::TimedOut),
    ];
    let mut tx = store.begin().await.unwrap();
    for (number, (state, sent_at, _)) in (1..).zip(cases) {
        tx.action_insert(&action(number, state, sent_at))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let retired = retire(&store, &how()).await.unwrap();
    assert_eq!(retired.actions, cases.len() as u64);
    let mut tx = store.read().await.unwrap();
    for (number, (before, _, expected)) in (1..).zip(cases) {
        let id = ActionId::from_bytes([number; 16]);
        let found = tx.action_find(id).await.unwrap().unwrap();
        assert_eq!(found.state, expected, "{before:?}");
        assert_eq!(
            (found.ended_at, found.deadline),
            (Some(NOW), None),
            "{before:?}"
        );
        let last = tx.action_steps(id, 1).await.unwrap().pop().unwrap();
        assert!(
            last.text.contains("restored from the backup of yesterday"),
            "{}",
            last.text
        );
    }
    let again = retire(&store, &how()).await.unwrap();
    assert_eq!(again.actions, 0);
}

fn run_of(state: RunState) -> Run {
    let spec: RunSpec = serde_json::from_value(json!({
        "name": "patch", "reason": "updates", "hosts": ["host=*"], "actions": [{"action": "recycle_app_pool", "pool": "Shop"}],
    }))
    .unwrap();
    let host = |place: u32, state| RunHost {
        place,
        host: HostId::of_identity_spki(&place.to_be_bytes()),
        state,
        body: RunHostBody::default(),
    };
    Run {
        number: 0,
        generation: 1,
        spec,
        state,
        deadline: Some(at(9_000_000)),
        created_at: at(0),
        ended_at: None,
        body: RunBody::default(),
        hosts: vec![host(0, RunHostState::Verified), host(1, RunHostState::Down)],
    }
}

async fn runs_end_with_the_hosts_that_had_no_turn(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let first = RunLifeStep {
        at: at(0),
        to: RunState::Planned,
        by: None,
        text: String::new(),
    };
    let mut numbers = Vec::new();
    for state in [RunState::Planned, RunState::Running, RunState::Finished] {
        let mut run = run_of(state);
        if state.is_final() {
            (run.deadline, run.ended_at) = (None, Some(at(7)));
        }
        numbers.push(tx.run_insert(&run, &first).await.unwrap());
    }
    tx.commit().await.unwrap();
    let retired = retire(&store, &how()).await.unwrap();
    assert_eq!(retired.runs, 2);
    let mut tx = store.read().await.unwrap();
    let mut ends = Vec::new();
    for number in numbers {
        let run = tx.run_find(number).await.unwrap().unwrap();
        let run = tx.run_with_hosts(run).await.unwrap();
        ends.push((run.state, run.ended_at, run.hosts[1].state));
    }
    assert_eq!(
        ends,
        [
            (RunState::Cancelled, Some(NOW), RunHostState::Skipped),
            (RunState::Stopped, Some(NOW), RunHostState::Skipped),
            (RunState::Finished, Some(at(7)), RunHostState::Down),
        ]
    );
}

async fn policies_stay_and_are_disabled(store: Store) {
    let policy = |name: &str, enabled: bool| {
        let spec: PolicySpec = serde_json::from_value(json!({
            "name": name, "hosts": ["host=*"], "condition": {"level": 90}, "enabled": enabled,
            "ladder": [{"action": "collect_evidence", "with": ["seconds=5"]}],
        }))
        .unwrap();
        DocumentVersion {
            name: name.to_owned(),
            version: 1,
            at: at(0),
            author: "ann".to_owned(),
            body: Some(serde_json::to_string(&spec).unwrap()),
        }
    };
    let mut tx = store.begin().await.unwrap();
    for version in [policy("acts", true), policy("rests", false)] {
        tx.document_append(DocumentKind::Policy, &version)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let retired = retire(&store, &how()).await.unwrap();
    assert_eq!(retired.policies, 1);
    let mut tx = store.read().await.unwrap();
    let standing = tx
        .documents_standing(DocumentKind::Policy, 10)
        .await
        .unwrap();
    let now: Vec<_> = standing
        .iter()
        .map(|one| {
            (
                one.name.as_str(),
                one.version,
                one.body.as_deref().unwrap().contains("\"enabled\":false"),
            )
        })
        .collect();
    assert_eq!(now, [("acts", 2, true), ("rests", 1, true)]);
}

async fn everything_is_on_record_and_an_older_incarnation_is_over(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.action_insert(&action(1, ActionState::Proposed, None))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let first = retire(&store, &how()).await.unwrap();
    let second = retire(&store, &how()).await.unwrap();
    assert!(second.incarnation > first.incarnation);
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.incarnation().await.unwrap(), second.incarnation);
    let mut chain = Chain::default();
    let mut deeds = Vec::new();
    for (_, entry) in tx.audit_after(0, 100).await.unwrap() {
        let entry = entry.unwrap();
        chain.take(&entry).unwrap();
        assert_eq!(entry.who.kind, DoerKind::Machine);
        deeds.push(entry.what);
    }
    assert_eq!(deeds, [Deed::ActionEnd, Deed::Restore, Deed::Restore]);
}
