//! Lives of actions by a clock that the test moves: what expires, what is sent again, what late and foreign reports do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tidemark_controller::app::App;
use tidemark_controller::boot::{Foundation, assemble};
use tidemark_controller::pki::Authority;
use tidemark_controller::remediate::decide::{Word, decide};
use tidemark_controller::remediate::dispatch::ActionDispatcher;
use tidemark_controller::remediate::effect::EffectMeter;
use tidemark_controller::remediate::lanes::Taking;
use tidemark_controller::remediate::propose::{Asked, propose};
use tidemark_controller::remediate::report::{Next, ReportError, Teller, take_policy, take_report};
use tidemark_controller::remediate::{ActionError, OwnHost, RemediationRules};
use tidemark_model::action::{
    Action, ActionId, ActionKind, ActionReport, ActionState, HostPolicyView, Order, Profile,
    Refusal, Step, StepState,
};
use tidemark_model::signing::{PrivateKey, Purpose};
use tidemark_model::view::ActionRequest;
use tidemark_model::{HostFacts, HostId, SessionId, Timestamp};
use tidemark_proto::v1::controller_frame::Kind;
use tidemark_runtime::{Clock, Entropy};
use tidemark_store::{DatabaseUrl, HostCertificate, NewHost, Store};
use tokio::sync::mpsc::Receiver;

use ActionState as S;

const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// A controller of which nothing runs by itself.
pub struct Still {
    pub app: Arc<App>,
    dispatcher: ActionDispatcher,
    pub clock: Clock,
    _folder: TempDir,
}

pub fn host(number: u8) -> HostId {
    HostId::of_identity_spki(&[number])
}

impl Still {
    pub async fn with(rules: RemediationRules) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::sqlite(folder.path().join("test.db"));
        let clock = Clock::manual(START);
        let store = Store::open(&url).await.unwrap();
        let authority =
            Authority::open(&folder.path().join("pki"), START, &Entropy::System).unwrap();
        let app = assemble(Foundation {
            remediation: rules,
            ..Foundation::unconfigured(store, authority, clock.clone())
        })
        .await
        .unwrap();
        let mut tx = app.store.begin().await.unwrap();
        for number in 1..=2 {
            tx.host_insert(&new_host(number)).await.unwrap();
        }
        tx.commit().await.unwrap();
        Self {
            dispatcher: ActionDispatcher::new(Arc::clone(&app)),
            app,
            clock,
            _folder: folder,
        }
    }

    async fn new() -> Self {
        Self::with(RemediationRules::default()).await
    }

    async fn propose(&self, number: u8, spec: serde_json::Value) -> Result<Action, ActionError> {
        let request = ActionRequest {
            host: String::new(),
            spec,
            dry_run: false,
            reason: "a leak".to_owned(),
            incident: None,
            not_before_ms: None,
            undo_if_worse: None,
            expires_ms: None,
        };
        let asked = Asked {
            horizon: None,
            requester: "ann",
            host: host(number),
            request: &request,
            key: None,
        };
        propose(&self.app, asked).await.map(|(action, _)| action)
    }

    /// A restart that was approved.
    async fn restart(&self, number: u8, service: &str) -> ActionId {
        let spec = json!({"action": "restart_service", "service": service});
        let id = self.propose(number, spec).await.unwrap().id();
        decide(&self.app, id, (Word::Approve, "bob"), "")
            .await
            .unwrap();
        id
    }

    pub fn connect(&self, number: u8, taking: Taking) -> (SessionId, Option<Receiver<Kind>>) {
        let session = SessionId::new(self.app.entropy.u64());
        let lanes = &self.app.remediation.lanes;
        let lane = lanes.open(host(number), session, self.clock.now(), taking);
        (session, lane)
    }

    pub async fn dispatch(&mut self) {
        self.dispatcher.activate().await.unwrap();
    }

    async fn state(&self, id: ActionId) -> S {
        self.find(id).await.state
    }

    pub async fn find(&self, id: ActionId) -> Action {
        let mut tx = self.app.store.read().await.unwrap();
        tx.action_find(id).await.unwrap().unwrap()
    }

    /// The texts of an action's life, oldest first.
    async fn life(&self, id: ActionId) -> Vec<(S, String)> {
        let mut tx = self.app.store.read().await.unwrap();
        let life = tx.action_steps(id, 100).await.unwrap();
        life.into_iter().map(|step| (step.to, step.text)).collect()
    }

    async fn tell(&self, number: u8, report: &ActionReport) -> Result<Next, ReportError> {
        let teller = Teller {
            host: host(number),
            skew_ms: 0,
            opened_at: self.clock.now(),
        };
        take_report(&self.app, teller, report).await
    }

    async fn tell_state(&self, number: u8, id: ActionId, state: S) {
        let report = ActionReport::new(id, state, self.clock.now(), "as told");
        self.tell(number, &report).await.unwrap();
    }
}

fn new_host(number: u8) -> NewHost {
    NewHost {
        id: host(number),
        identity_spki: vec![number],
        facts: HostFacts {
            name: format!("web-{number}").into(),
            os: "Linux".into(),
            agent_version: "0.1.0".into(),
            boot_id: "b1".into(),
            capabilities: vec![],
            labels: BTreeMap::new(),
            time_zone: None,
        },
        token_labels: BTreeMap::new(),
        enrolled_at: START,
        certificate: HostCertificate {
            generation: 1,
            not_after: START,
            spki_hash: [number; 32],
        },
    }
}

pub fn policy(allowed: &[ActionKind]) -> HostPolicyView {
    HostPolicyView {
        profile: Some(Profile::Safe),
        allowed: allowed.to_vec(),
        undoes: true,
        grants: vec![],
        ..HostPolicyView::default()
    }
}

fn order_of(frame: Kind) -> Order {
    let Kind::Action(order) = frame else {
        panic!("{frame:?} instead of an order");
    };
    Order::from_bytes(&order.order).unwrap()
}

#[tokio::test]
async fn what_nobody_approves_or_takes_expires_and_says_why() {
    let mut still = Still::new().await;
    let spec = json!({"action": "restart_service", "service": "leaky"});
    let proposed = still.propose(1, spec).await.unwrap().id();
    let away = still.restart(1, "leaky").await;
    let deaf = still.restart(2, "leaky").await;
    still.connect(2, Taking::Nothing);
    still.dispatch().await;
    assert_eq!(still.state(away).await, S::Queued);
    still.clock.advance(Duration::from_secs(3_600));
    still.dispatch().await;
    for (id, why) in [
        (proposed, "nobody approved it in time"),
        (away, "its host is not connected"),
        (deaf, "the host's agent takes no actions; update it"),
    ] {
        let life = still.life(id).await;
        assert_eq!(life.last(), Some(&(S::Expired, why.to_owned())));
    }
}

#[tokio::test]
async fn a_session_that_ends_gives_its_action_back_and_the_next_gets_the_same() {
    let mut still = Still::new().await;
    let id = still.restart(1, "leaky").await;
    let (session, lane) = still.connect(1, Taking::Actions);
    still.dispatch().await;
    let first = order_of(lane.unwrap().try_recv().unwrap());
    assert_eq!((first.id, still.state(id).await), (id, S::Sent));
    still.app.remediation.lanes.close(host(1), session);
    still.dispatch().await;
    assert_eq!(still.state(id).await, S::Queued);
    let (_, lane) = still.connect(1, Taking::Actions);
    let mut lane = lane.unwrap();
    still.dispatch().await;
    assert_eq!(order_of(lane.try_recv().unwrap()), first);
    still.dispatch().await;
    assert!(lane.try_recv().is_err(), "sent once a session");
    still.tell_state(1, id, S::Accepted).await;
    // The host has it: a session that ends takes nothing with it.
    still.connect(1, Taking::Actions);
    still.dispatch().await;
    assert_eq!(still.state(id).await, S::Accepted);
}

#[tokio::test]
async fn what_a_host_had_from_a_lost_session_is_taken_from_it() {
    let mut still = Still::new().await;
    let id = still.restart(1, "leaky").await;
    let (session, _lane) = still.connect(1, Taking::Actions);
    still.dispatch().await;
    still.app.remediation.lanes.close(host(1), session);
    still.dispatch().await;
    assert_eq!(still.state(id).await, S::Queued);
    let taken_back = decide(&still.app, id, (Word::Cancel, "ann"), "").await;
    assert!(
        matches!(taken_back, Err(ActionError::Sent)),
        "{taken_back:?}"
    );
    still.tell_state(1, id, S::Verifying).await;
    assert_eq!(still.state(id).await, S::Verifying);
    let states: Vec<S> = still.life(id).await.into_iter().map(|(to, _)| to).collect();
    assert_eq!(
        states,
        [
            S::Proposed,
            S::Approved,
            S::Queued,
            S::Sent,
            S::Queued,
            S::Sent,
            S::Verifying
        ]
    );
}

#[tokio::test]
async fn a_host_that_says_nothing_is_waited_for_so_long_and_no_longer() {
    let mut still = Still::new().await;
    let id = still.restart(1, "leaky").await;
    let _lane = still.connect(1, Taking::Actions);
    still.dispatch().await;
    still.clock.advance(Duration::from_secs(119));
    still.dispatch().await;
    assert_eq!(still.state(id).await, S::Sent);
    still.clock.advance(Duration::from_secs(1));
    still.dispatch().await;
    assert_eq!(still.state(id).await, S::TimedOut);
    // What became of it still counts, however late.
    let refused = ActionReport::refused(id, Refusal::TooOften, still.clock.now(), "twice an hour");
    still.tell(1, &refused).await.unwrap();
    let life = still.life(id).await;
    assert_eq!(
        life.last(),
        Some(&(S::Refused, "too_often: twice an hour".to_owned()))
    );
}

#[tokio::test]
async fn an_effect_without_samples_is_unknown_and_no_success() {
    let mut still = Still::new().await;
    let id = still.restart(1, "leaky").await;
    let _lane = still.connect(1, Taking::Actions);
    still.dispatch().await;
    still.tell_state(1, id, S::Accepted).await;
    still.tell_state(1, id, S::Verifying).await;
    let mut meter = EffectMeter::new(Arc::clone(&still.app));
    assert_eq!(meter.activate().await.unwrap(), 0);
    still.clock.advance(Duration::from_secs(300 + 180));
    still.dispatch().await;
    assert_eq!(still.state(id).await, S::TimedOut);
    assert_eq!(still.find(id).await.body.effect, None);
}

#[tokio::test]
async fn late_and_repeated_reports_change_nothing_and_a_foreign_one_is_refused() {
    let mut still = Still::new().await;
    let id = still.restart(1, "leaky").await;
    let _lane = still.connect(1, Taking::Actions);
    still.dispatch().await;
    let accepted = ActionReport::new(id, S::Accepted, START, "taken");
    let foreign = still.tell(2, &accepted).await;
    assert!(matches!(foreign, Err(ReportError::Foreign)), "{foreign:?}");
    assert_eq!(still.state(id).await, S::Sent);
    for _ in 0..2 {
        still.tell(1, &accepted).await.unwrap();
    }
    let failed = ActionReport::new(id, S::Failed, START, "it does not stop");
    for report in [&failed, &accepted, &failed] {
        still.tell(1, report).await.unwrap();
    }
    let states: Vec<S> = still.life(id).await.into_iter().map(|(to, _)| to).collect();
    assert_eq!(
        states,
        [
            S::Proposed,
            S::Approved,
            S::Queued,
            S::Sent,
            S::Accepted,
            S::Failed
        ]
    );
    // A controller that was restored from a backup does not know it; its host is to forget it all the same.
    let unknown = ActionReport::new(ActionId::from_bytes([9; 16]), S::Failed, START, "");
    assert_eq!(still.tell(1, &unknown).await.unwrap(), Next::Ack);
}

#[tokio::test]
async fn what_a_host_does_without_an_order_is_on_record() {
    let still = Still::new().await;
    let spec = json!({"action": "restart_service", "service": "leaky"});
    let id = still.propose(1, spec).await.unwrap().id();
    still.tell_state(1, id, S::Running).await;
    let life = still.life(id).await;
    assert_eq!(
        life.last(),
        Some(&(S::Proposed, "its host says running: as told".to_owned()))
    );
}

#[tokio::test]
async fn a_policy_that_forbids_or_wants_a_signature_holds_the_action_back() {
    let mut still = Still::new().await;
    let id = still.restart(1, "leaky").await;
    let lane = still.connect(1, Taking::Actions).1;
    let mut lane = lane.unwrap();
    let waits = async |still: &mut Still, policy: &HostPolicyView| {
        take_policy(&still.app, host(1), policy).await.unwrap();
        still.dispatch().await;
        let action = still.find(id).await;
        assert_eq!(action.state, S::Approved);
        action.body.waits_for.unwrap()
    };
    let text = waits(&mut still, &policy(&[ActionKind::WriteEvent])).await;
    assert_eq!(text, "the host's policy does not allow restart_service");
    let key = PrivateKey::from_seed([5; 32]);
    let wants = HostPolicyView {
        keys: vec![key.public().id()],
        ..policy(&[ActionKind::RestartService])
    };
    let text = waits(&mut still, &wants).await;
    assert!(text.contains(&key.public().id().to_string()), "{text}");
    let signature = key.sign(Purpose::Order, &still.find(id).await.bytes);
    tidemark_controller::remediate::decide::sign(&still.app, id, signature, "bob")
        .await
        .unwrap();
    still.dispatch().await;
    assert_eq!(order_of(lane.try_recv().unwrap()).id, id);
}

#[tokio::test]
async fn what_wants_two_signatures_is_not_sent_with_one() {
    let mut still = Still::new().await;
    let (key, other) = (
        PrivateKey::from_seed([5; 32]),
        PrivateKey::from_seed([6; 32]),
    );
    let wants = HostPolicyView {
        keys: vec![key.public().id(), other.public().id()],
        ..policy(&[ActionKind::Reboot])
    };
    take_policy(&still.app, host(1), &wants).await.unwrap();
    let spec = json!({"action": "reboot", "grace_s": 60, "reason": "x", "force": false});
    let id = still.propose(1, spec).await.unwrap().id();
    for name in ["bob", "cy"] {
        let yes = (Word::Approve, name);
        decide(&still.app, id, yes, "").await.unwrap();
    }
    let mut lane = still.connect(1, Taking::Actions).1.unwrap();
    let bytes = still.find(id).await.bytes;
    let foreign = PrivateKey::from_seed([9; 32]);
    for (key, given) in [(&foreign, 0), (&key, 1)] {
        let signature = key.sign(Purpose::Order, &bytes);
        tidemark_controller::remediate::decide::sign(&still.app, id, signature, "bob")
            .await
            .unwrap();
        still.dispatch().await;
        assert!(lane.try_recv().is_err(), "it was sent");
        let waits_for = still.find(id).await.body.waits_for.unwrap();
        let part = format!("and has {given} ");
        assert!(waits_for.contains(&part), "{waits_for}");
    }
    let signature = other.sign(Purpose::Order, &bytes);
    tidemark_controller::remediate::decide::sign(&still.app, id, signature, "cy")
        .await
        .unwrap();
    still.dispatch().await;
    let Kind::Action(sent) = lane.try_recv().unwrap() else {
        panic!("no order was sent");
    };
    // With the foreign one the host would refuse the whole order.
    let signed = |key: &PrivateKey| {
        let id = key.public().id();
        sent.signatures
            .iter()
            .any(|one| one.key_id == id.as_bytes())
    };
    assert_eq!(sent.signatures.len(), 2, "{sent:?}");
    assert!(signed(&key) && signed(&other), "{sent:?}");
}

#[tokio::test]
async fn the_third_fix_in_a_day_is_stopped_and_somebody_is_told() {
    let rules = RemediationRules {
        fixes_per_day_max: 2,
        cooldown: Duration::ZERO,
        ..RemediationRules::default()
    };
    let mut still = Still::with(rules).await;
    let _lane = still.connect(1, Taking::Actions);
    let mut last = None;
    for _ in 0..3 {
        let id = still.restart(1, "leaky").await;
        still.dispatch().await;
        if still.state(id).await == S::Sent {
            still.tell_state(1, id, S::Failed).await;
        }
        still.clock.advance(Duration::from_secs(3_600 * 3));
        last = Some(id);
    }
    let life = still.life(last.unwrap()).await;
    let (state, text) = life.last().unwrap();
    assert_eq!(*state, S::Cancelled);
    assert!(text.contains("done 2 times within 24 h"), "{text}");
    let id = still.restart(1, "another").await;
    still.dispatch().await;
    assert_eq!(still.state(id).await, S::Sent);
}

#[tokio::test]
async fn the_controllers_own_host_is_never_disturbed() {
    let rules = RemediationRules {
        own_host: OwnHost::Named("web-1".to_owned()),
        ..RemediationRules::default()
    };
    let still = Still::with(rules).await;
    let restart = json!({"action": "restart_service", "service": "postgresql"});
    let refused = still.propose(1, restart.clone()).await;
    assert!(matches!(refused, Err(ActionError::OwnHost)), "{refused:?}");
    assert!(still.propose(2, restart).await.is_ok());
    let look = json!({"action": "collect_evidence", "seconds": 5});
    assert!(still.propose(1, look).await.is_ok());
}

#[tokio::test]
async fn a_range_is_confirmed_over_a_connection_that_was_made_after_it() {
    let mut still = Still::new().await;
    let spec = json!({"action": "set_dynamic_port_range", "protocol": "tcp", "family": "ipv4",
        "first": 20_000, "last": 60_000, "lasting": "until_reboot"});
    let id = still.propose(1, spec).await.unwrap().id();
    decide(&still.app, id, (Word::Approve, "bob"), "")
        .await
        .unwrap();
    let (session, _lane) = still.connect(1, Taking::Actions);
    still.dispatch().await;
    still.tell_state(1, id, S::Accepted).await;
    let begun = ActionReport::new(id, S::Running, still.clock.now(), "running");
    assert_eq!(still.tell(1, &begun).await.unwrap(), Next::Ack);
    let set = ActionReport {
        steps: vec![Step {
            what: "set the range".to_owned(),
            state: StepState::Done,
            text: String::new(),
        }],
        ..begun
    };
    assert_eq!(still.tell(1, &set).await.unwrap(), Next::ComeBack);
    still.app.remediation.lanes.close(host(1), session);
    still.clock.advance(Duration::from_secs(2));
    let (_, lane) = still.connect(1, Taking::Actions);
    still.dispatch().await;
    let confirmed = lane.unwrap().try_recv().unwrap();
    assert!(
        matches!(&confirmed, Kind::ActionConfirm(confirm) if confirm.action_id == id.as_bytes()),
        "{confirmed:?}"
    );
}

#[tokio::test]
async fn a_host_that_says_more_and_more_fills_no_table() {
    let mut still = Still::new().await;
    let id = still.restart(1, "leaky").await;
    let _lane = still.connect(1, Taking::Actions);
    still.dispatch().await;
    for _ in 0..150 {
        still.clock.advance(Duration::from_millis(1));
        still.tell_state(1, id, S::Running).await;
    }
    let mut tx = still.app.store.read().await.unwrap();
    let steps = tx.action_steps(id, 1_000).await.unwrap().len();
    assert!((100..110).contains(&steps), "{steps}");
    let last = tx.action_find(id).await.unwrap().unwrap().body.report;
    assert_eq!(last.unwrap().at_ms, still.clock.now());
}
