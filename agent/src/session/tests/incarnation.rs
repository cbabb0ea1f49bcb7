//! What operators notice of a restored controller: hosts follow it, and not the copy that was left behind.

use super::*;

#[tokio::test]
async fn a_controller_of_an_incarnation_that_is_over_gets_nothing_and_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut controller = TestController::start().await;
    controller.set(|knobs| knobs.incarnation = 9);
    let mut host = Host::enrolled(&controller).await;
    host.keeps_in = Some(folder.path().to_owned());
    host.start(&controller);
    host.append(1..=1);
    controller
        .until("a record", |world| world.records.len() == 1)
        .await;

    controller.set(|knobs| knobs.incarnation = 8);
    controller.cut().await;
    let is_told = |event: &SessionEvent| matches!(event, SessionEvent::Disconnected { kind: "left_behind", text } if text.contains("incarnation 8"));
    let told = async {
        while !host.has_event(is_told) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told)
        .await
        .expect("the host stays away");
    host.append(2..=2);
    let seen = controller.world().records.len();
    assert_eq!(
        seen, 1,
        "a record went to the controller that was left behind"
    );
    host.stop().await;
}
