//! What made headroom worse is undone where its order lets it, and said to be worse where not.

use tidemark_model::action::life::UndoAsked;
use tidemark_model::action::{ActionKind, HostPolicyView, Profile};
use tidemark_model::sample::PortSpaceSample;
use tidemark_model::view::EventView;
use tidemark_model::{PortSpaceKey, Protocol};

use tidemark_controller::remediate::report::take_policy;

use super::*;

const FEW: u32 = 400;
const MANY: u32 = 4_000;

struct Harmed {
    fleet: MadeUp,
    host: HostId,
    lane: Receiver<Kind>,
}

impl Harmed {
    /// A host with an agent that knows undo.
    async fn start() -> Self {
        let rules = RemediationRules {
            hold: Duration::from_secs(5),
            cooldown: Duration::ZERO,
            ..RemediationRules::default()
        };
        let fleet = MadeUp::start_remediating(rules).await;
        let host = fleet.host_with("db-1", "Linux 6.18", BTreeMap::new()).await;
        fleet.connect(host);
        let policy = HostPolicyView {
            profile: Some(Profile::Full),
            allowed: ActionKind::ALL.to_vec(),
            undoes: true,
            ..HostPolicyView::default()
        };
        take_policy(&fleet.started.app, host, &policy)
            .await
            .unwrap();
        let lane = lane(&fleet, host);
        Self { fleet, host, lane }
    }

    /// An action after which many more ports are in use than before.
    async fn harm(&mut self, spec: Value, undo_if_worse: Option<bool>) -> (ActionView, Order) {
        let ann = Person::new(&self.fleet, "ann", Role::Operator).await;
        let bob = Person::new(&self.fleet, "bob", Role::Approver).await;
        let mut body = json!({"host": "db-1", "reason": "try it", "spec": spec});
        if let Some(undo) = undo_if_worse {
            body["undo_if_worse"] = undo.into();
        }
        let asked = ann.propose(&body).await;
        bob.say(&asked, "approve").await;
        let order = run(&self.fleet, &mut self.lane, (FEW, MANY)).await;
        (asked, order)
    }

    async fn ends(&self, action: &ActionView, state: ActionState) -> (ActionDetail, String) {
        let cay = Person::new(&self.fleet, "cay", Role::Viewer).await;
        let detail = cay.until(&action.id, state).await;
        let last = detail.life.iter().find(|step| step.to == state);
        let text = last.unwrap().text.clone();
        (detail, text)
    }

    fn session(&self) -> SessionId {
        let lanes = &self.fleet.started.app.remediation.lanes;
        lanes.session_of(self.host).unwrap()
    }

    /// A setting that was asked for, approved and sent, of which its host has said nothing.
    async fn sent(&mut self) -> (ActionView, Order) {
        let ann = Person::new(&self.fleet, "ann", Role::Operator).await;
        let bob = Person::new(&self.fleet, "bob", Role::Approver).await;
        let body = json!({"host": "db-1", "reason": "try it", "spec": setting()});
        let asked = ann.propose(&body).await;
        bob.say(&asked, "approve").await;
        let Kind::Action(sent) = next(&mut self.lane).await else {
            panic!("an order");
        };
        (asked, Order::from_bytes(&sent.order).unwrap())
    }

    /// An action that its host was to undo ten minutes ago, and was told so over that session; connected to none otherwise.
    async fn overdue(&mut self, told: Option<SessionId>) -> (ActionView, Order) {
        let (asked, order) = self.sent().await;
        let app = &self.fleet.started.app;
        if told.is_none() {
            app.remediation.lanes.close(self.host, self.session());
        }
        let now = app.clock.now();
        tell(&self.fleet, &order, ActionState::Verifying, now).await;
        let mut tx = app.store.begin().await.unwrap();
        let mut action = tx.action_find(order.id).await.unwrap().unwrap();
        action.ask_undo(UndoAsked {
            at_ms: now.saturating_sub(Duration::from_secs(600)),
            session: told.map(SessionId::get),
            why: "headroom got worse".to_owned(),
        });
        tx.action_update(&mut action, &[]).await.unwrap();
        tx.commit().await.unwrap();
        (asked, order)
    }

    /// How often somebody was told to look because of something that holds `part`, once it was.
    async fn escalations(&self, part: &str) -> usize {
        let cay = Person::new(&self.fleet, "cay", Role::Viewer).await;
        let told = async {
            loop {
                let events: Page<EventView> = cay.get("/api/v1/events?kind=action_escalated").await;
                let told = events
                    .items
                    .iter()
                    .filter(|event| event.text.contains(part));
                match told.count() {
                    0 => tokio::task::yield_now().await,
                    count => return count,
                }
            }
        };
        tokio::time::timeout(SOON, told).await.unwrap()
    }

    async fn answer(&self, order: &Order, report: ActionReport) {
        let teller = Teller {
            host: order.host,
            skew_ms: 0,
            opened_at: report.at_ms,
        };
        take_report(&self.fleet.started.app, teller, &report)
            .await
            .unwrap();
    }

    fn report(&self, order: &Order, state: ActionState) -> ActionReport {
        let now = self.fleet.started.app.clock.now();
        ActionReport::new(order.id, state, now, "it is 60 again")
    }
}

fn setting() -> Value {
    json!({"action": "set_tcp_parameter", "parameter": "tcp_fin_timeout", "value": 30})
}

fn is_undo_of(kind: &Kind, order: &Order) -> bool {
    matches!(kind, Kind::ActionUndo(undo) if undo.action_id == order.id.as_bytes())
}

#[tokio::test]
async fn what_made_headroom_worse_is_undone_and_says_so_with_both_figures() {
    let mut harmed = Harmed::start().await;
    let (asked, order) = harmed.harm(setting(), None).await;
    assert!(order.undo_within_s.is_some_and(|seconds| seconds > 5));
    let undo = next(&mut harmed.lane).await;
    assert!(is_undo_of(&undo, &order), "{undo:?}");
    // A host that comes back before it answered is told again.
    harmed.lane = lane(&harmed.fleet, harmed.host);
    let undo = next(&mut harmed.lane).await;
    assert!(is_undo_of(&undo, &order), "{undo:?}");
    let undone = harmed.report(&order, ActionState::RolledBack);
    harmed.answer(&order, undone).await;
    let (detail, text) = harmed.ends(&asked, ActionState::RolledBack).await;
    let figures = format!(
        "headroom was {} before and {} after",
        CAPACITY - FEW,
        CAPACITY - MANY
    );
    assert!(text.contains(&figures), "{text}");
    assert!(text.contains("undone: it is 60 again"), "{text}");
    let effect = detail.action.effect.unwrap();
    assert_eq!(effect.ports_freed, i64::from(FEW) - i64::from(MANY));
    let cay = Person::new(&harmed.fleet, "cay", Role::Viewer).await;
    let page = cay.page(&format!("/hosts/{}", harmed.host)).await;
    assert!(page.contains("rolled back"), "{page}");
    assert!(page.contains(&text), "why it was undone: {page}");
}

#[tokio::test]
async fn what_its_host_does_not_undo_ends_not_effective_and_says_why() {
    let mut harmed = Harmed::start().await;
    let (asked, order) = harmed.harm(setting(), None).await;
    let undo = next(&mut harmed.lane).await;
    assert!(is_undo_of(&undo, &order), "{undo:?}");
    let refused = ActionReport {
        undo_refused: Some("it was changed by somebody else meanwhile".to_owned()),
        ..harmed.report(&order, ActionState::Verifying)
    };
    harmed.answer(&order, refused).await;
    let (_, text) = harmed.ends(&asked, ActionState::NotEffective).await;
    assert!(text.contains("somebody else"), "{text}");
}

#[tokio::test]
async fn what_cannot_or_may_not_be_undone_is_said_to_be_worse() {
    let mut harmed = Harmed::start().await;
    let (kept, order) = harmed.harm(setting(), Some(false)).await;
    assert_eq!(order.undo_within_s, None);
    let (_, text) = harmed.ends(&kept, ActionState::NotEffective).await;
    assert!(text.contains("headroom got worse"), "{text}");
    assert!(text.contains("does not let it be undone"), "{text}");
    let mut harmed = Harmed::start().await;
    let restart = json!({"action": "restart_service", "service": "leaky"});
    let (restarted, order) = harmed.harm(restart, None).await;
    assert_eq!(order.undo_within_s, None);
    let (_, text) = harmed.ends(&restarted, ActionState::NotEffective).await;
    assert!(text.contains("it cannot be undone"), "{text}");
}

#[tokio::test]
async fn a_setting_after_which_headroom_is_as_before_is_verified() {
    let mut harmed = Harmed::start().await;
    let ann = Person::new(&harmed.fleet, "ann", Role::Operator).await;
    let bob = Person::new(&harmed.fleet, "bob", Role::Approver).await;
    let body = json!({"host": "db-1", "reason": "try it", "spec": setting()});
    let asked = ann.propose(&body).await;
    bob.say(&asked, "approve").await;
    run(&harmed.fleet, &mut harmed.lane, (FEW, FEW)).await;
    let (_, text) = harmed.ends(&asked, ActionState::Verified).await;
    assert!(text.contains("headroom is no worse"), "{text}");
    // It was not to free anything: nothing is learnt from it.
    let table: Page<RecoveryView> = ann.get("/api/v1/recoveries").await;
    assert_eq!(table.items, []);
}

#[tokio::test]
async fn an_undo_without_an_answer_ends_says_whether_its_host_was_told_and_escalates() {
    for (is_connected, said) in [
        (true, "its host did not say whether it undid it"),
        (false, "its host could not be told to undo it in time"),
    ] {
        let mut harmed = Harmed::start().await;
        let told = is_connected.then(|| harmed.session());
        let (asked, order) = harmed.overdue(told).await;
        let (_, text) = harmed.ends(&asked, ActionState::TimedOut).await;
        assert!(text.contains(said), "{text}");
        assert_eq!(harmed.escalations(said).await, 1);
        // Its host comes back and refuses: that is told, and nothing is opened again.
        let refused = ActionReport {
            undo_refused: Some("it was changed by somebody else meanwhile".to_owned()),
            ..harmed.report(&order, ActionState::Verifying)
        };
        harmed.answer(&order, refused).await;
        assert_eq!(harmed.escalations("somebody else").await, 1);
        let (detail, _) = harmed.ends(&asked, ActionState::TimedOut).await;
        let last = detail.life.last().unwrap();
        assert!(last.text.contains("somebody else"), "{last:?}");
        // That it was done at all, told again, is no news.
        let again = harmed.report(&order, ActionState::Verifying);
        harmed.answer(&order, again).await;
        let (after, _) = harmed.ends(&asked, ActionState::TimedOut).await;
        assert_eq!(after.life, detail.life);
    }
}

#[tokio::test]
async fn udp_that_got_worse_is_seen_also_where_tcp_got_better() {
    let mut harmed = Harmed::start().await;
    let (asked, order) = harmed.sent().await;
    let now = harmed.fleet.started.app.clock.now();
    let ago = |seconds: u64| now.saturating_sub(Duration::from_secs(seconds));
    let samples = (0..40).map(|second| {
        let (tcp, udp) = if second < 20 {
            (MANY, FEW)
        } else {
            (FEW, MANY)
        };
        let mut both = sample(ago(40 - second), tcp, 0);
        let of_udp = sample(ago(40 - second), udp, 0).port_spaces.remove(0);
        both.port_spaces.push(PortSpaceSample {
            key: PortSpaceKey::own(Protocol::Udp),
            ..of_udp
        });
        both
    });
    harmed.fleet.deliver(order.host, samples.collect()).await;
    tell(&harmed.fleet, &order, ActionState::Accepted, ago(20)).await;
    tell(&harmed.fleet, &order, ActionState::Verifying, ago(18)).await;
    let undo = next(&mut harmed.lane).await;
    assert!(is_undo_of(&undo, &order), "{undo:?}");
    let undone = harmed.report(&order, ActionState::RolledBack);
    harmed.answer(&order, undone).await;
    let (_, text) = harmed.ends(&asked, ActionState::RolledBack).await;
    assert!(text.contains("UDP headroom was"), "{text}");
}
