//! What operators notice of actions in a session: orders taken, reports told until they are stored.

use tidemark_model::action::{Profile, SignedOrder};
use tidemark_model::{ActionId, ActionSpec, Order};
use tidemark_proto::convert::action::order_to_wire;
use tidemark_proto::v1::{self, controller_frame};

use super::*;
use crate::actions::policy_file::PolicyFile;
use crate::actions::{Desk, DeskParts};
use crate::collect::CollectSettings;

/// A host that may do everything, and has nothing to do it with.
fn willing_host(host: &Host, folder: &Path) -> Desk {
    Desk::start(DeskParts {
        host: host.vault.identity().host_id(),
        policy: PolicyFile::at(folder.join("policy.toml"), Profile::Full, folder),
        folder: folder.to_owned(),
        hooks: folder.join("hooks"),
        collect: CollectSettings::shipped(Duration::from_secs(30)),
        clock: Clock::System,
        host_name: "web-1".to_owned(),
        witness: crate::actions::Witness::default(),
    })
    .unwrap()
}

/// An order for a hook that the host does not have.
fn order_for(host: &Host) -> (ActionId, controller_frame::Kind) {
    let now = Clock::System.now();
    let order = Order {
        id: ActionId::from_random(7),
        host: host.vault.identity().host_id(),
        spec: ActionSpec::RunHook {
            name: "missing".to_owned(),
            arguments: Default::default(),
        },
        dry_run: false,
        issued_at_ms: now.saturating_add(Duration::from_secs(1)),
        not_before_ms: now.saturating_add(Duration::from_secs(1)),
        expires_at_ms: now.saturating_add(Duration::from_secs(600)),
        requester: "ann".to_owned(),
        reason: "leak".to_owned(),
        undo_within_s: None,
    };
    let wire = order_to_wire(&SignedOrder {
        id: order.id,
        bytes: order.to_bytes(),
        signatures: Vec::new(),
    });
    (order.id, controller_frame::Kind::Action(wire))
}

#[tokio::test]
async fn what_became_of_an_order_is_told_after_each_greeting_until_it_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let mut controller = TestController::start().await;
    let mut host = Host::enrolled(&controller).await;
    let desk = willing_host(&host, folder.path());
    let (id, order) = order_for(&host);
    host.actions = desk.feed();
    controller.set(|knobs| knobs.after_welcome = vec![order]);
    host.start(&controller);
    let refused = |world: &World| {
        let state = i32::from(v1::ActionState::Refused);
        let is_it =
            |update: &&v1::ActionUpdate| update.action_id == id.as_bytes() && update.state == state;
        world.updates.iter().filter(is_it).count()
    };
    let world = controller
        .until("the refusal", |world| refused(world) == 1)
        .await;
    assert!(!world.policies.is_empty());
    controller.set(|knobs| knobs.after_welcome.clear());
    controller.cut().await;
    controller
        .until("the refusal once more", |world| refused(world) == 2)
        .await;
    let ack = v1::ActionAck {
        action_id: id.as_bytes().to_vec(),
        state: v1::ActionState::Refused.into(),
        at_ms: None,
    };
    controller.set(|knobs| knobs.after_welcome = vec![controller_frame::Kind::ActionAck(ack)]);
    controller.cut().await;
    controller
        .until("the refusal a last time", |world| refused(world) == 3)
        .await;
    controller.set(|knobs| knobs.after_welcome.clear());
    controller.cut().await;
    let policies = controller.world().policies.len();
    controller
        .until("the policy of the next session", |world| {
            world.policies.len() > policies
        })
        .await;
    host.append(1..=1);
    let world = controller
        .until("what was said after it", |world| world.records.len() == 1)
        .await;
    assert_eq!(refused(&world), 3);
    host.stop().await;
    desk.stop().await.unwrap();
}

#[tokio::test]
async fn a_controller_that_says_it_sends_no_actions_cannot_send_one() {
    let folder = tempfile::tempdir().unwrap();
    let controller = TestController::start().await;
    let mut host = Host::enrolled(&controller).await;
    let desk = willing_host(&host, folder.path());
    let (_, order) = order_for(&host);
    host.actions = desk.feed();
    controller.set(|knobs| {
        knobs.sends_actions = false;
        knobs.after_welcome = vec![order];
    });
    host.start(&controller);
    host.append(1..=1);
    let world = controller
        .until("a record", |world| world.records.len() == 1)
        .await;
    assert_eq!((world.updates.len(), world.policies.len()), (0, 0));
    host.stop().await;
    desk.stop().await.unwrap();
    let journal = std::fs::read_to_string(folder.path().join("actions.journal")).unwrap();
    assert!(!journal.contains("began"), "{journal}");
}
