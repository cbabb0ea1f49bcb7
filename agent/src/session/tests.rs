//! What operators notice of a session: delivery, gaps, reconnects, certificates.

mod actions;
mod checkpoints;
mod incarnation;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tidemark_agent_core::BackoffConfig;
use tidemark_model::audit::{AuditFact, FactKey, FactName, FactState, FactValue, TopicState};
use tidemark_model::sample::EventHit;
use tidemark_model::{Epoch, GapReason, HostAudit, PortRange};
use tidemark_proto::convert::record::{Record, encode_stored};
use tokio::task::JoinSet;

use super::*;
use crate::checkpoints::CheckpointBook;
use crate::enroll::enroll;
use crate::incarnation::IncarnationBook;
use crate::outbox::{MemoryLimits, MemoryOutbox};
use crate::test_controller::{TestController, World, facts};
use crate::upgrades::UpgradeFeed;

/// A host with its session running.
struct Host {
    vault: Arc<Vault>,
    outbox: OutboxHandle,
    /// Where it keeps checkpoints, when it does.
    keeps_in: Option<PathBuf>,
    audits: AuditFeed,
    actions: ActionFeed,
    events: Arc<Mutex<Vec<SessionEvent>>>,
    stop: CancellationToken,
    running: JoinSet<SessionEnd>,
}

impl Host {
    async fn enrolled(controller: &TestController) -> Self {
        let vault = Vault::in_memory(controller.token().ca_pin).unwrap();
        enroll(&controller.dialer(), &vault, &controller.token(), &facts())
            .await
            .unwrap();
        Self::with_vault(vault)
    }

    fn with_vault(vault: Vault) -> Self {
        let limits = MemoryLimits {
            records_max: 8,
            bytes_max: 1024 * 1024,
        };
        Self {
            vault: Arc::new(vault),
            outbox: OutboxHandle::new(MemoryOutbox::new(Epoch::new(5), limits)),
            keeps_in: None,
            audits: AuditFeed::none(),
            actions: ActionFeed::none(),
            events: Arc::default(),
            stop: CancellationToken::new(),
            running: JoinSet::new(),
        }
    }

    fn start(&mut self, controller: &TestController) {
        let mut settings = SessionSettings::shipped(facts());
        settings.core.backoff = BackoffConfig {
            base: Duration::from_millis(10),
            cap: Duration::from_millis(50),
            loss_spread: Duration::from_millis(10),
            ..settings.core.backoff
        };
        let events = Arc::clone(&self.events);
        let parts = SessionParts {
            settings,
            dialer: controller.dialer(),
            vault: Arc::clone(&self.vault),
            outbox: self.outbox.clone(),
            checkpoints: match &self.keeps_in {
                Some(folder) => CheckpointBook::open(folder, Clock::System),
                None => CheckpointBook::none(Clock::System),
            },
            incarnation: match &self.keeps_in {
                Some(folder) => IncarnationBook::open(folder),
                None => IncarnationBook::none(),
            },
            upgrades: UpgradeFeed::none(),
            audits: self.audits.clone(),
            actions: self.actions.clone(),
            clock: Clock::System,
            entropy: Entropy::System,
            events: Box::new(move |event| events.lock().unwrap().push(event)),
        };
        self.running.spawn(run(parts, self.stop.clone()));
    }

    fn append(&self, numbers: std::ops::RangeInclusive<u32>) {
        for code in numbers {
            let record = Record::Event(EventHit {
                at: Timestamp::from_unix_ms(1),
                source: "test".into(),
                code,
                count: 1,
                text: "x".into(),
                log: None,
            });
            self.outbox
                .append(&encode_stored(&record), Timestamp::EPOCH)
                .unwrap();
        }
    }

    async fn stop(mut self) -> SessionEnd {
        self.stop.cancel();
        self.running.join_next().await.unwrap().unwrap()
    }

    fn has_event(&self, is_it: impl Fn(&SessionEvent) -> bool) -> bool {
        self.events.lock().unwrap().iter().any(is_it)
    }
}

fn codes(world: &World) -> Vec<u32> {
    let code = |record: &Record| match record {
        Record::Event(event) => event.code,
        Record::Sample(_) => 0,
    };
    world
        .records
        .iter()
        .map(|(_, record)| code(record))
        .collect()
}

#[tokio::test]
async fn records_are_delivered_in_order_and_trimmed_after_their_ack() {
    let controller = TestController::start().await;
    let mut host = Host::enrolled(&controller).await;
    host.append(1..=6);
    host.start(&controller);
    controller
        .until("six records", |world| world.records.len() == 6)
        .await;
    host.append(7..=7);
    let world = controller
        .until("the seventh", |world| world.records.len() == 7)
        .await;
    assert_eq!(codes(&world), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(world.hellos[0].epoch, 5);
    assert_eq!(world.hellos[0].certificate_generation, 1);
    let end = host.stop().await;
    assert_eq!((end.counts.acked, end.counts.held), (7, 0));
    controller
        .until("a half-closed stream", |world| world.half_closed == 1)
        .await;
}

#[tokio::test]
async fn what_was_not_acked_is_sent_again_after_a_cut() {
    let mut controller = TestController::start().await;
    controller.set(|knobs| knobs.acks = false);
    let mut host = Host::enrolled(&controller).await;
    host.append(1..=3);
    host.start(&controller);
    controller
        .until("three records", |world| world.records.len() == 3)
        .await;
    // The records reached the controller, but it lost them before they were durable.
    controller.set(|knobs| knobs.acks = true);
    controller.world.send_modify(|world| world.records.clear());
    controller.cut().await;
    let world = controller
        .until("all three again", |world| world.records.len() == 3)
        .await;
    assert_eq!(codes(&world), [1, 2, 3]);
    let end = host.stop().await;
    assert_eq!((end.counts.acked, end.counts.held, end.sessions), (3, 0, 2));
}

#[tokio::test]
async fn a_controller_that_comes_late_is_found_and_the_failure_is_named() {
    let mut controller = TestController::start().await;
    let mut host = Host::enrolled(&controller).await;
    controller.stop().await;
    host.append(1..=2);
    host.start(&controller);
    let named = |event: &SessionEvent| {
        matches!(
            event,
            SessionEvent::Disconnected {
                kind: "not_listening",
                ..
            }
        )
    };
    while !host.has_event(named) {
        tokio::task::yield_now().await;
    }
    controller.cut().await;
    controller
        .until("both records", |world| world.records.len() == 2)
        .await;
    assert_eq!(host.stop().await.counts.acked, 2);
}

#[tokio::test]
async fn a_refused_record_is_told_as_a_gap_and_the_rest_goes_on() {
    let controller = TestController::start().await;
    controller.set(|knobs| {
        knobs.refuses = Some(2);
        knobs.acks = false;
    });
    let mut host = Host::enrolled(&controller).await;
    host.append(1..=3);
    host.start(&controller);
    let world = controller
        .until("the gap", |world| !world.gaps.is_empty())
        .await;
    assert_eq!((world.gaps[0].first_seq, world.gaps[0].last_seq), (2, 2));
    assert_eq!(codes(&world), [1, 3]);
    controller.set(|knobs| {
        knobs.acks = true;
        knobs.refuses = None;
    });
    host.append(4..=4);
    controller
        .until("the fourth", |world| codes(world).contains(&4))
        .await;
    assert!(host.has_event(
        |event| matches!(event, SessionEvent::GaveUp(gap) if gap.reason == GapReason::Refused)
    ));
    let end = host.stop().await;
    assert_eq!(
        (end.counts.acked, end.counts.dropped, end.counts.held),
        (3, 1, 0)
    );
}

#[tokio::test]
async fn what_the_outbox_dropped_is_told_as_a_gap() {
    let controller = TestController::start().await;
    let mut host = Host::enrolled(&controller).await;
    host.append(1..=10);
    host.start(&controller);
    let world = controller
        .until("eight records", |world| world.records.len() == 8)
        .await;
    assert_eq!((world.gaps[0].first_seq, world.gaps[0].last_seq), (1, 2));
    let end = host.stop().await;
    assert_eq!((end.counts.acked, end.counts.dropped), (8, 2));
}

#[tokio::test]
async fn a_controller_that_knows_more_than_the_spool_gets_a_new_epoch() {
    let controller = TestController::start().await;
    controller.set(|knobs| knobs.claims_acked = Some(1_000));
    let mut host = Host::enrolled(&controller).await;
    host.append(1..=2);
    host.start(&controller);
    controller
        .until("a greeting", |world| !world.hellos.is_empty())
        .await;
    controller.set(|knobs| knobs.claims_acked = None);
    let world = controller
        .until("both records", |world| world.records.len() == 2)
        .await;
    assert_ne!(world.hellos.last().unwrap().epoch, 5);
    assert_eq!(host.stop().await.counts.acked, 2);
}

#[tokio::test]
async fn the_controllers_interval_and_the_clock_skew_are_passed_on() {
    let controller = TestController::start().await;
    controller.set(|knobs| {
        knobs.sample_interval_ms = 5_000;
        knobs.clock_ahead_ms = 100_000;
    });
    let mut host = Host::enrolled(&controller).await;
    host.start(&controller);
    host.append(1..=1);
    controller
        .until("the record", |world| world.records.len() == 1)
        .await;
    let wish = SessionEvent::SampleInterval(Some(Duration::from_secs(5)));
    assert!(host.has_event(|event| *event == wish));
    assert!(host.has_event(|event| {
        matches!(event, SessionEvent::Connected { clock_skew_ms, .. } if (-110_000..=-90_000).contains(clock_skew_ms))
    }));
    host.stop().await;
}

#[tokio::test]
async fn an_ended_certificate_is_replaced_by_the_identity_proof_before_the_session() {
    let controller = TestController::start().await;
    controller.set(|knobs| knobs.life_ms = 1_000);
    let mut host = Host::enrolled(&controller).await;
    controller.set(|knobs| knobs.life_ms = 72 * 3_600_000);
    host.append(1..=1);
    host.start(&controller);
    let world = controller
        .until("the record", |world| world.records.len() == 1)
        .await;
    assert_eq!(world.renewed.len(), 1);
    assert_eq!(world.renewed[0].generation, 1);
    assert_eq!(world.hellos[0].certificate_generation, 2);
    host.stop().await;
}

#[tokio::test]
async fn a_certificate_past_its_half_life_is_renewed_and_put_to_use() {
    let controller = TestController::start().await;
    // An hour of it is over already, which is more than 60 % of a life of 90 minutes.
    controller.set(|knobs| knobs.life_ms = 90 * 60_000);
    let mut host = Host::enrolled(&controller).await;
    controller.set(|knobs| knobs.life_ms = 72 * 3_600_000);
    host.start(&controller);
    let world = controller
        .until("a session with the new certificate", |world| {
            world
                .hellos
                .iter()
                .any(|hello| hello.certificate_generation == 2)
        })
        .await;
    let mut keys = world.session_keys.clone();
    keys.dedup();
    assert_eq!(world.renewed.len(), 1);
    assert!(host.has_event(|event| matches!(event, SessionEvent::Renewed { generation: 2, .. })));
    assert!(keys.len() <= 2, "one certificate after the other: {keys:?}");
    host.stop().await;
}

#[tokio::test]
async fn a_refused_certificate_is_replaced_by_the_identity_proof_once() {
    let controller = TestController::start().await;
    controller.set(|knobs| {
        knobs.session_error = Some((tonic::Code::Unauthenticated, "unknown certificate"))
    });
    let mut host = Host::enrolled(&controller).await;
    host.start(&controller);
    controller
        .until("several attempts", |world| world.session_keys.len() >= 4)
        .await;
    assert_eq!(controller.world().renewed.len(), 1);
    controller.set(|knobs| knobs.session_error = None);
    controller
        .until("a session", |world| !world.hellos.is_empty())
        .await;
    host.stop().await;
}

#[tokio::test]
async fn a_host_whose_newest_certificate_is_damaged_falls_back_and_is_no_clone() {
    let controller = TestController::start().await;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("identity");
    let (dialer, token) = (controller.dialer(), controller.token());
    let vault = Vault::open_or_create(&folder, token.ca_pin).unwrap();
    enroll(&dialer, &vault, &token, &facts()).await.unwrap();
    crate::renew::renew(&dialer, &vault).await.unwrap();
    drop(vault);
    // The second write went to the other slot.
    damage(&folder, "credentials.a");
    let vault = Vault::open(&folder).unwrap().unwrap();
    assert_eq!(vault.current().unwrap().generation(), 1);
    assert_eq!(vault.generation(), 2, "the proof states what was held last");
    damage(&folder, "credentials.b");
    let vault = Vault::open(&folder).unwrap().unwrap();
    assert!(vault.current().is_none());
    assert!(vault.is_enrolled());
    let mut host = Host::with_vault(vault);
    host.append(1..=1);
    host.start(&controller);
    let world = controller
        .until("the record", |world| world.records.len() == 1)
        .await;
    assert_eq!(world.renewed.last().unwrap().generation, 2);
    host.stop().await;
}

fn damage(folder: &Path, name: &str) {
    let path = folder.join(name);
    let length = std::fs::read(&path).unwrap().len();
    std::fs::write(path, vec![0; length]).unwrap();
}

#[tokio::test]
async fn a_stop_without_a_controller_does_not_wait_for_the_drain() {
    let mut controller = TestController::start().await;
    let mut host = Host::enrolled(&controller).await;
    controller.stop().await;
    host.append(1..=2);
    host.start(&controller);
    let end = tokio::time::timeout(Duration::from_secs(4), host.stop())
        .await
        .unwrap();
    assert_eq!((end.counts.acked, end.counts.held), (0, 2));
}

/// Audits of a host whose range ends at `last`, at different times.
fn audit(last: u16) -> Arc<HostAudit> {
    let name = FactName::DynamicRange;
    let range = PortRange::new(1, last).unwrap();
    let mut audit = HostAudit::empty(Timestamp::from_unix_ms(i64::from(last)));
    audit.topics.insert(name.topic(), TopicState::Read);
    audit.facts.push(AuditFact {
        key: FactKey::of(name),
        state: FactState::Known(FactValue::Range(range)),
    });
    Arc::new(audit)
}

#[tokio::test]
async fn the_configuration_is_told_after_each_greeting_and_when_it_changes() {
    let (newest, feed) = AuditFeed::channel();
    let mut controller = TestController::start().await;
    let mut host = Host::enrolled(&controller).await;
    host.audits = feed;
    newest.send_replace(Some(audit(10)));
    host.start(&controller);
    controller
        .until("the first audit", |world| world.audits.len() == 1)
        .await;
    newest.send_replace(Some(audit(20)));
    controller
        .until("a changed audit", |world| world.audits.len() == 2)
        .await;
    controller.cut().await;
    let world = controller
        .until("the audit after the next greeting", |world| {
            world.audits.len() == 3
        })
        .await;
    let times: Vec<i64> = world.audits.iter().map(|audit| audit.taken_at_ms).collect();
    assert_eq!(times, [10, 20, 20]);
    host.stop().await;
}

#[tokio::test]
async fn a_controller_that_does_not_take_audits_gets_none() {
    let (newest, feed) = AuditFeed::channel();
    let controller = TestController::start().await;
    controller.set(|knobs| knobs.takes_audits = false);
    let mut host = Host::enrolled(&controller).await;
    host.audits = feed;
    newest.send_replace(Some(audit(10)));
    host.start(&controller);
    host.append(1..=1);
    controller
        .until("a record", |world| world.records.len() == 1)
        .await;
    newest.send_replace(Some(audit(20)));
    host.append(2..=2);
    let world = controller
        .until("another record", |world| world.records.len() == 2)
        .await;
    assert_eq!((world.audits.len(), world.hellos.len()), (0, 1));
    host.stop().await;
}
