//! What operators notice of the controller's audit log in a session: what a host holds is told, and a log that was cut is
//! refused and told of.

use tidemark_model::audit_log::{Checkpoint, Digest, LogSigner};
use tidemark_proto::v1::{self, controller_frame};

use super::*;

fn checkpoint(size: u64) -> controller_frame::Kind {
    let signer = LogSigner::from_seed("tidemark/test", [7; 32]).unwrap();
    let checkpoint = Checkpoint {
        origin: signer.key().name().to_owned(),
        size,
        root: Digest::from_bytes([1; 32]),
        at: Timestamp::from_unix_ms(7),
    };
    controller_frame::Kind::Checkpoint(v1::Checkpoint {
        note: checkpoint.sign(&signer),
        key: signer.key().to_string(),
        proof: Vec::new(),
    })
}

fn told(events: &Mutex<Vec<SessionEvent>>) -> Vec<(u64, bool)> {
    let events = events.lock().unwrap();
    let told = events.iter().filter_map(|event| {
        let SessionEvent::Witnessed(held) = event else {
            return None;
        };
        Some((held.size, held.contradiction.is_some()))
    });
    told.collect()
}

#[tokio::test]
async fn a_host_tells_what_it_holds_and_refuses_a_log_that_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut controller = TestController::start().await;
    controller.set(|knobs| knobs.after_welcome = vec![checkpoint(9)]);
    let mut host = Host::enrolled(&controller).await;
    host.keeps_in = Some(folder.path().to_owned());
    host.start(&controller);
    let world = controller
        .until("what the host took", |world| world.checkpoints.len() == 2)
        .await;
    assert_eq!(world.checkpoints[0].note, "", "it held nothing at first");
    assert!(world.checkpoints[1].note.contains("\n9\n"));

    controller.set(|knobs| knobs.after_welcome = vec![checkpoint(8)]);
    controller.cut().await;
    let world = controller
        .until("that the host refuses", |world| {
            world
                .checkpoints
                .last()
                .is_some_and(|last| !last.refused.is_empty())
        })
        .await;
    let last = world.checkpoints.last().unwrap();
    assert!(last.note.contains("\n9\n"), "it holds on to what it saw");
    assert!(
        last.refused.contains("has 8 entries, and had 9"),
        "{}",
        last.refused
    );
    let events = Arc::clone(&host.events);
    host.stop().await;
    assert_eq!(told(&events), [(9, false), (9, true)]);
}

#[tokio::test]
async fn a_controller_that_takes_no_checkpoints_is_told_of_none() {
    let folder = tempfile::tempdir().unwrap();
    let controller = TestController::start().await;
    controller.set(|knobs| {
        knobs.takes_checkpoints = false;
        knobs.after_welcome = vec![checkpoint(9)];
    });
    let mut host = Host::enrolled(&controller).await;
    host.keeps_in = Some(folder.path().to_owned());
    host.start(&controller);
    host.append(1..=1);
    let world = controller
        .until("a record", |world| world.records.len() == 1)
        .await;
    assert!(world.checkpoints.is_empty());
    let events = Arc::clone(&host.events);
    host.stop().await;
    assert_eq!(told(&events), []);
}
