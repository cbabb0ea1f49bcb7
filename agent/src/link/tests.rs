//! Which of several controllers a host ends up at.

use tidemark_runtime::tls::{Trust, client_config};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::test_controller::TestController;

#[tokio::test]
async fn a_controller_that_takes_connections_and_does_not_answer_is_left_for_the_next() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let controller = TestController::start().await;
    let addresses = [deaf.local_addr().unwrap(), controller.address()];
    let mut hanging = JoinSet::new();
    hanging.spawn(async move { while deaf.accept().await.is_ok() {} });
    let dialer = Dialer::new(
        ControllerAddress::of_name(addresses),
        SourcePorts::KernelChoice,
        Entropy::System,
    );
    let pin = controller.token().ca_pin;
    let config = || client_config(Trust::Pin(pin), None).unwrap();
    assert!(dialer.dial(config()).await.is_err());
    for _ in 0..2 {
        let link = dialer.dial(config()).await.unwrap();
        assert!(link.local_address().port() > 0);
    }
    let ports = controller.until("both connections", |world| world.ports.len() == 2);
    ports.await;
}
