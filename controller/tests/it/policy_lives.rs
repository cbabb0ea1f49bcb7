//! Lives of policies by a clock that the test moves: what is offered when, what ends it, and what a stop between two steps
//! leaves behind.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidemark_controller::app::identities::profile_of;
use tidemark_controller::incidents::reconcile::Reconciler;
use tidemark_controller::live::{Refusals, SessionClaim};
use tidemark_controller::remediate::decide::{Word, decide};
use tidemark_controller::remediate::lockdown::{Turn, turn};
use tidemark_controller::remediate::{OwnHost, RemediationRules};
use tidemark_controller::tasks::policies::PolicyWatch;
use tidemark_model::action::{Action, ActionId, ActionState as S, Effect};
use tidemark_model::incident::EntryKind;
use tidemark_model::policy::{Case, CaseState};
use tidemark_model::problem::Severity;
use tidemark_model::sample::EventHit;
use tidemark_model::{PortSpaceKey, Protocol, SessionId};
use tidemark_store::{ActionQuery, DocumentKind, DocumentVersion, NewEvent};
use tokio_util::sync::CancellationToken;

use crate::action_lives::{Still, host};
use crate::made_up::{CAPACITY, sample};

/// Ports in use of a host that is full, and of one that is not.
const FULL: u32 = CAPACITY * 95 / 100;
const CALM: u32 = CAPACITY / 10;

/// A controller of which nothing runs by itself, with a policy and hosts 1 and 2 connected.
struct Scene {
    still: Still,
}

impl Scene {
    async fn with(policy: Value) -> Self {
        let rules = RemediationRules {
            own_host: OwnHost::Named("web-2".to_owned()),
            ..RemediationRules::default()
        };
        let still = Still::with(rules).await;
        let app = &still.app;
        for number in 1..=2 {
            let mut tx = app.store.read().await.unwrap();
            let stored = tx.host_find(host(number)).await.unwrap().unwrap();
            app.live.put(profile_of(&stored));
            let claim = SessionClaim {
                id: SessionId::new(u64::from(number)),
                stop: CancellationToken::new(),
            };
            assert!(app.live.open_session(host(number), claim, app.clock.now()));
        }
        let scene = Self { still };
        scene.apply(1, Some(policy)).await;
        scene
    }

    /// A version of the policy, or its deletion.
    async fn apply(&self, version: u64, policy: Option<Value>) {
        self.apply_as("full", version, policy).await;
    }

    async fn apply_as(&self, name: &str, version: u64, policy: Option<Value>) {
        let mut tx = self.still.app.store.begin().await.unwrap();
        let version = DocumentVersion {
            name: name.to_owned(),
            version,
            at: self.still.clock.now(),
            author: "ann".to_owned(),
            body: policy.map(|policy| policy.to_string()),
        };
        tx.document_append(DocumentKind::Policy, &version)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// A minute passes; host 1 has so many ports in use, and everybody looks.
    async fn minute(&self, strong: u32) {
        self.still.clock.advance(Duration::from_secs(60));
        self.feed(1, strong);
        self.incidents().await;
        self.look().await;
    }

    async fn minutes(&self, count: u32, strong: u32) {
        for _ in 0..count {
            self.minute(strong).await;
        }
    }

    fn feed(&self, number: u8, strong: u32) {
        let now = self.still.clock.now();
        let sample = Arc::new(sample(now, strong, 0));
        self.still.app.live.update(host(number), |live| {
            live.observe(now, &sample, Refusals::default());
            live.newest = Some((now, sample));
        });
    }

    /// A task that knows nothing but the store, as after a restart.
    async fn look(&self) {
        let watch = PolicyWatch::new(Arc::clone(&self.still.app));
        watch.activate().await.unwrap();
    }

    /// All actions, oldest first.
    async fn actions(&self) -> Vec<Action> {
        let query = ActionQuery {
            limit: 100,
            ..ActionQuery::default()
        };
        let mut tx = self.still.app.store.read().await.unwrap();
        let mut all = tx.actions_page(&query).await.unwrap();
        all.reverse();
        all
    }

    /// The one action that has not ended.
    async fn open_action(&self) -> Action {
        let mut open = self.actions().await;
        open.retain(|one| !one.state.is_final());
        assert_eq!(open.len(), 1, "one action at a time: {open:#?}");
        open.remove(0)
    }

    /// What became of every action, by its service.
    async fn course(&self) -> Vec<(String, S)> {
        let all = self.actions().await.into_iter();
        all.map(|one| (one.order.spec.subject().to_owned(), one.state))
            .collect()
    }

    /// The newest case.
    async fn case(&self) -> Option<Case> {
        let mut tx = self.still.app.store.read().await.unwrap();
        let page = tx.policy_cases_page("full", i64::MAX, 1).await.unwrap();
        page.into_iter().next()
    }

    async fn state(&self) -> Option<CaseState> {
        self.case().await.map(|case| case.state)
    }

    /// The action that waits for it is approved, done and found to be like that.
    async fn done(&self, state: S, freed: i64) -> Action {
        let mut action = self.open_action().await;
        if action.state == S::Proposed {
            let word = (Word::Approve, "bob");
            action = decide(&self.still.app, action.id(), word, "")
                .await
                .unwrap();
        }
        let now = self.still.clock.now();
        action.sent_at = Some(now);
        action.state = state;
        action.deadline = None;
        action.ended_at = Some(now);
        action.body.done_at_ms = Some(now);
        action.body.effect = Some(Effect {
            port_space: PortSpaceKey::own(Protocol::Tcp),
            headroom_before: 0,
            headroom_after: 0,
            needed: 100,
            ports_freed: freed,
            subject_ports_before: None,
            subject_ports_after: None,
            held_until_ms: Some(now),
            holds: false,
        });
        let mut tx = self.still.app.store.begin().await.unwrap();
        tx.action_update(&mut action, &[]).await.unwrap();
        tx.commit().await.unwrap();
        action
    }

    async fn state_of(&self, number: u8) -> CaseState {
        let mut tx = self.still.app.store.read().await.unwrap();
        let open = tx.policy_cases_open(0, 9).await.unwrap();
        let case = open.into_iter().find(|case| case.host == host(number));
        case.unwrap().state
    }

    async fn incidents(&self) {
        Reconciler::new(Arc::clone(&self.still.app))
            .activate()
            .await
            .unwrap();
    }
}

fn restart(service: &str) -> Value {
    json!({"action": "restart_service", "with": [format!("service={service}")]})
}

/// A policy for two useless or useful services, with what differs.
fn policy(more: Value) -> Value {
    let mut policy = json!({
        "name": "full", "hosts": ["host=web-*"], "condition": {"level": 90}, "for": "3m",
        "ladder": [restart("idle"), restart("leaky")],
        "limits": {"cooldown": "10m", "per_day": 24, "concurrent": 10},
    });
    for (field, value) in more.as_object().unwrap() {
        policy[field] = value.clone();
    }
    policy
}

fn of(service: &str, state: S) -> (String, S) {
    (service.to_owned(), state)
}

#[tokio::test]
async fn a_useless_rung_is_followed_by_the_next_and_what_worked_is_offered_first_from_then_on() {
    let scene = Scene::with(policy(json!({"order": "by_recovery"}))).await;
    scene.minutes(3, FULL).await;
    assert_eq!(scene.course().await, [], "it has not lasted yet");
    scene.minute(FULL).await;
    let first = scene.open_action().await;
    assert_eq!(first.order.requester, "policy:full@1");
    assert!(
        first.order.reason.contains("15,564 of 16,384 ports"),
        "{}",
        first.order.reason
    );
    scene.minutes(5, FULL).await;
    assert_eq!(scene.open_action().await.id(), first.id(), "one at a time");
    scene.done(S::NotEffective, 3).await;
    scene.minute(FULL).await;
    assert_eq!(
        scene.course().await,
        [of("idle", S::NotEffective), of("leaky", S::Proposed)]
    );
    scene.done(S::Verified, 9_000).await;
    scene.minute(CALM).await;
    let case = scene.case().await.unwrap();
    assert_eq!(
        (case.state, case.ended_at.is_some()),
        (CaseState::Verified, true)
    );
    let tried: Vec<_> = case.body.tried.iter().map(|one| one.state).collect();
    assert_eq!(tried, [Some(S::NotEffective), Some(S::Verified)]);

    scene.minutes(4, FULL).await;
    assert_eq!(scene.state().await, Some(CaseState::Holding));
    let waits_for = scene.case().await.unwrap().body.waits_for;
    assert_eq!(
        waits_for.as_deref(),
        Some("it acted on this host less than 10m ago")
    );
    scene.minutes(6, FULL).await;
    assert_eq!(scene.open_action().await.order.spec.subject(), "leaky");
}

#[tokio::test]
async fn a_condition_that_goes_away_takes_back_what_no_host_has() {
    let scene = Scene::with(policy(json!({}))).await;
    scene.minutes(2, FULL).await;
    scene.minute(CALM).await;
    assert_eq!(scene.state().await, None, "it had not lasted");
    scene.minutes(4, FULL).await;
    let asked = scene.open_action().await.id();
    // 95 % of the level is not clearly below it.
    scene.minutes(5, CAPACITY * 88 / 100).await;
    assert_eq!(scene.still.find(asked).await.state, S::Proposed);
    scene.minutes(4, CALM).await;
    assert_eq!(scene.still.find(asked).await.state, S::Cancelled);
    assert_eq!(scene.state().await, Some(CaseState::Cleared));
}

#[tokio::test]
async fn what_was_asked_for_just_before_a_stop_is_not_asked_for_twice() {
    let scene = Scene::with(policy(json!({}))).await;
    scene.minutes(4, FULL).await;
    let asked = scene.open_action().await.id();
    // As if the controller had stopped between the asking and the noting of it.
    let mut case = scene.case().await.unwrap();
    let pending = case.body.pending.as_mut().unwrap();
    assert_eq!(pending.action.take(), Some(asked));
    let mut tx = scene.still.app.store.begin().await.unwrap();
    tx.policy_case_update(&mut case).await.unwrap();
    tx.commit().await.unwrap();
    scene.minutes(2, FULL).await;
    assert_eq!(scene.open_action().await.id(), asked);
    let pending = scene.case().await.unwrap().body.pending.unwrap();
    assert_eq!(pending.action, Some(asked));
}

#[tokio::test]
async fn the_third_fix_in_a_day_is_not_asked_for_and_the_incident_rises() {
    let more = json!({"ladder": [restart("leaky"), restart("other")], "for": "6m", "limits": {"cooldown": "0s", "per_day": 24}});
    let scene = Scene::with(policy(more)).await;
    for _ in 0..2 {
        scene.minutes(7, FULL).await;
        scene.done(S::Verified, 9_000).await;
        scene.minutes(7, CALM).await;
    }
    scene.minutes(8, FULL).await;
    let twice = [of("leaky", S::Verified), of("leaky", S::Verified)];
    assert_eq!(scene.course().await, twice, "nor is anything else tried");
    let case = scene.case().await.unwrap();
    assert_eq!((case.state, case.ended_at), (CaseState::Escalated, None));
    let why = case.body.why.unwrap();
    assert!(why.contains("done 2 times within 24 h"), "{why}");
    let mut tx = scene.still.app.store.read().await.unwrap();
    let id = case.body.incident.unwrap();
    let incident = tx.incident_find(id).await.unwrap().unwrap();
    assert_eq!(incident.severity, Severity::Critical);
    let entries = tx.incident_entries_newest(id, 9).await.unwrap();
    let last = entries.last().unwrap();
    assert_eq!(last.kind, EntryKind::Escalated);
    assert!(
        last.text.starts_with("policy full: the same was done"),
        "{}",
        last.text
    );
    drop(tx);
    scene.minutes(30, FULL).await;
    assert_eq!(scene.course().await, twice, "until the condition was gone");
}

#[tokio::test]
async fn after_its_last_rung_and_after_too_many_firings_somebody_must_look() {
    let more = json!({"limits": {"cooldown": "0s", "per_day": 1}});
    let scene = Scene::with(policy(more)).await;
    scene.minutes(4, FULL).await;
    scene.done(S::Refused, 0).await;
    scene.minute(FULL).await;
    scene.done(S::Failed, 0).await;
    scene.minute(FULL).await;
    let case = scene.case().await.unwrap();
    assert_eq!(case.state, CaseState::Escalated);
    assert_eq!(
        case.body.why.as_deref(),
        Some("nothing of its ladder helped")
    );
    scene.minutes(4, CALM).await;
    assert!(scene.case().await.unwrap().ended_at.is_some());
    scene.minutes(5, FULL).await;
    let case = scene.case().await.unwrap();
    assert_eq!((case.state, case.fired_at), (CaseState::Escalated, None));
    assert!(case.body.why.unwrap().contains("acted 1 times within 24 h"));
    assert_eq!(scene.actions().await.len(), 2);
}

#[tokio::test]
async fn nothing_is_begun_in_a_lockdown_on_its_own_host_or_of_what_is_not_known() {
    let scene = Scene::with(policy(json!({}))).await;
    let app = &scene.still.app;
    turn(app, Turn::Stop, "ann", "stop it").await.unwrap();
    for _ in 0..5 {
        // This controller runs on web-2.
        scene.feed(2, FULL);
        scene.minute(FULL).await;
    }
    assert_eq!(scene.course().await, []);
    let waits_for = |case: Option<Case>| case.unwrap().body.waits_for;
    turn(app, Turn::GoOn, "ann", "go on").await.unwrap();
    scene.feed(2, FULL);
    scene.look().await;
    assert_eq!(scene.open_action().await.order.host, host(1));
    let mut tx = app.store.read().await.unwrap();
    let open = tx.policy_cases_open(0, 9).await.unwrap();
    let own = open.into_iter().find(|case| case.host == host(2));
    assert_eq!(
        waits_for(own).as_deref(),
        Some("this controller runs on its host")
    );
    drop(tx);
    // Web-1 says nothing for longer than is patient: no next rung, and no verdict.
    scene.done(S::NotEffective, 0).await;
    scene.still.clock.advance(Duration::from_secs(600));
    scene.look().await;
    assert_eq!(scene.course().await, [of("idle", S::NotEffective)]);
    assert_eq!(scene.state_of(1).await, CaseState::Acting);
    scene.minute(FULL).await;
    assert_eq!(scene.open_action().await.order.spec.subject(), "leaky");
}

#[tokio::test]
async fn a_policy_may_approve_in_the_name_of_who_applied_it_and_people_may_say_no() {
    let scene = Scene::with(policy(json!({"approval": "by_policy"}))).await;
    scene.minutes(4, FULL).await;
    let action = scene.open_action().await;
    assert_eq!(action.state, S::Approved);
    let mut tx = scene.still.app.store.read().await.unwrap();
    let approvals = tx.action_approvals(action.id()).await.unwrap();
    let approvals: Vec<(&str, &str)> = approvals
        .iter()
        .map(|one| (&*one.approver, &*one.text))
        .collect();
    assert_eq!(
        approvals,
        [("ann", "in advance, with version 1 of policy full")]
    );
    drop(tx);
    let no = (Word::Reject, "bob");
    decide(&scene.still.app, action.id(), no, "not now")
        .await
        .unwrap();
    scene.minutes(9, FULL).await;
    assert_eq!(scene.course().await, [of("idle", S::Rejected)]);
    let case = scene.case().await.unwrap();
    assert_eq!(case.state, CaseState::Stopped);
    assert_eq!(case.body.why.as_deref(), Some("bob said no: not now"));
}

#[tokio::test]
async fn a_policy_that_is_changed_or_deleted_takes_back_what_it_asked_for() {
    let scene = Scene::with(policy(json!({}))).await;
    scene.minutes(4, FULL).await;
    let first = scene.open_action().await.id();
    scene
        .apply(2, Some(policy(json!({"ladder": [restart("other")]}))))
        .await;
    scene.minute(FULL).await;
    assert_eq!(scene.still.find(first).await.state, S::Cancelled);
    scene.minutes(4, FULL).await;
    // The cooldown counts from what the former version did.
    assert_eq!(scene.course().await.len(), 1);
    scene.minutes(7, FULL).await;
    let second = scene.open_action().await;
    assert_eq!(second.order.requester, "policy:full@2");
    scene.apply(3, None).await;
    scene.minute(FULL).await;
    assert_eq!(scene.still.find(second.id()).await.state, S::Cancelled);
    assert_eq!(scene.state().await, Some(CaseState::Withdrawn));
}

#[tokio::test]
async fn one_that_nobody_approves_in_time_is_told_and_nothing_else_is_tried() {
    let scene = Scene::with(policy(json!({"approve_within": "5m"}))).await;
    scene.minutes(4, FULL).await;
    let asked = scene.open_action().await;
    let mut expired = scene.still.find(asked.id()).await;
    assert_eq!(
        expired
            .order
            .expires_at_ms
            .ms_since(expired.order.issued_at_ms),
        300_000
    );
    expired.state = S::Expired;
    expired.ended_at = Some(scene.still.clock.now());
    let mut tx = scene.still.app.store.begin().await.unwrap();
    tx.action_update(&mut expired, &[]).await.unwrap();
    tx.commit().await.unwrap();
    scene.minutes(3, FULL).await;
    assert_eq!(scene.course().await, [of("idle", S::Expired)]);
    assert_eq!(scene.state().await, Some(CaseState::Escalated));
}

#[tokio::test]
async fn a_subject_that_nobody_can_name_is_passed_over() {
    let ladder = json!([{"action": "restart_service", "subject": "culprit"}, restart("leaky")]);
    let scene = Scene::with(policy(json!({"ladder": ladder}))).await;
    scene.minutes(5, FULL).await;
    let tried = scene.case().await.unwrap().body.tried;
    assert_eq!(tried[0].action, None::<ActionId>);
    assert!(tried[0].text.contains("names one culprit"), "{tried:?}");
    assert_eq!(scene.open_action().await.order.spec.subject(), "leaky");
}

#[tokio::test]
async fn it_waits_for_the_hosts_window_where_it_is_told_to() {
    let scene = Scene::with(policy(json!({"when": "window"}))).await;
    scene.minutes(4, FULL).await;
    let case = scene.case().await.unwrap();
    assert_eq!(case.state, CaseState::Holding);
    let waits_for = case.body.waits_for.unwrap();
    assert!(waits_for.contains("no maintenance window"), "{waits_for}");
    let app = &scene.still.app;
    let window = json!({
        "name": "night", "recurrence": "FREQ=DAILY", "start": "2027-01-01T02:00", "duration": "2h",
        "time_zone": "UTC", "hosts": ["host=*"],
    });
    let window = DocumentVersion {
        name: "night".to_owned(),
        version: 1,
        at: scene.still.clock.now(),
        author: "ann".to_owned(),
        body: Some(window.to_string()),
    };
    let mut tx = app.store.begin().await.unwrap();
    tx.document_append(DocumentKind::Window, &window)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    tidemark_controller::maintain::refresh(app).await.unwrap();
    scene.minute(FULL).await;
    let order = scene.open_action().await.order;
    let night = |ms: i64| (ms / 3_600_000) % 24;
    assert_eq!(night(order.not_before_ms.unix_ms()), 2);
    assert_eq!(order.expires_at_ms.ms_since(order.not_before_ms), 7_200_000);
}

#[tokio::test]
async fn an_event_counts_for_each_policy_for_as_long_as_that_one_says() {
    let of_event = |name: &str, within: &str| {
        let condition = json!({"event": "Tcpip/4231", "within": within});
        policy(
            json!({"name": name, "condition": condition, "for": "0s", "limits": {"concurrent": 9}}),
        )
    };
    let scene = Scene::with(of_event("full", "5m")).await;
    scene
        .apply_as("patient", 1, Some(of_event("patient", "1h")))
        .await;
    let app = &scene.still.app;
    let hit = EventHit {
        at: scene.still.clock.now(),
        source: "Tcpip".into(),
        code: 4231,
        count: 1,
        text: "no port".into(),
        log: None,
    };
    let event = NewEvent {
        host: host(1),
        at: hit.at,
        hit: &hit,
    };
    scene.still.clock.advance(Duration::from_secs(600));
    let mut tx = app.store.begin().await.unwrap();
    tx.events_append(&[event]).await.unwrap();
    tx.commit().await.unwrap();
    scene.minute(CALM).await;
    assert_eq!(scene.state().await, None, "ten minutes are too long ago");
    assert_eq!(
        scene.open_action().await.order.requester,
        "policy:patient@1"
    );
}
