//! A whole agent against a controller: enrolment, sampling, delivery, stop.

use std::path::Path;

use super::*;
use crate::status::{AgentStatus, LinkState};
use crate::test_controller::TestController;

fn config(folder: &Path, controller: &TestController) -> AgentConfig {
    let token = folder.join("join-token");
    std::fs::write(&token, controller.token().expose_text()).unwrap();
    let file = folder.join("agent.toml");
    let text = format!(
        "controller = '{}'\ntoken_file = '{}'\ndata_dir = '{}'\ninterval = '1s'\nprobes = false\n[labels]\nsite = 'lab'\n",
        controller.address(),
        token.display(),
        folder.display()
    );
    std::fs::write(&file, text).unwrap();
    AgentConfig::load(Some(&file), &crate::config::ConfigFlags::default()).unwrap()
}

#[tokio::test]
async fn an_agent_enrols_samples_delivers_and_stops_cleanly_when_its_parent_goes() {
    let controller = TestController::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &controller);
    let address = config.require_controller().unwrap().clone();
    let stdin_ended = CancellationToken::new();
    let running = serve(
        config,
        address,
        (Supervisor::quiet(stdin_ended.clone()), None),
    );
    let watching = async {
        let world = controller
            .until("a sample", |world| !world.records.is_empty())
            .await;
        stdin_ended.cancel();
        world
    };
    let (outcome, world) = tokio::join!(running, watching);
    assert_eq!(outcome.unwrap(), Outcome::Clean);
    let facts = world.hellos[0].facts.clone().unwrap();
    assert_eq!(facts.labels.get("site").map(String::as_str), Some("lab"));
    let dynamic = crate::link::source_port::dynamic_range();
    assert!(
        world.ports.iter().all(|port| !dynamic.contains(*port)),
        "{:?}",
        world.ports
    );
    let status = AgentStatus::read(folder.path()).unwrap();
    assert_eq!(status.link.state, LinkState::Stopped);
    assert_eq!(status.link.certificate.unwrap().generation, 1);
    assert!(status.spool.acked >= 1, "{:?}", status.spool);
    assert!(status.spool.balances());
}

#[tokio::test]
async fn an_agent_samples_into_its_spool_while_the_controller_is_away() {
    let mut controller = TestController::start().await;
    controller.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &controller);
    let address = config.require_controller().unwrap().clone();
    let stdin_ended = CancellationToken::new();
    let running = serve(
        config.clone(),
        address.clone(),
        (Supervisor::quiet(stdin_ended.clone()), None),
    );
    let watching = async {
        // The first sample is taken at once, the status file is written after the start and at the end.
        while !config.spool_dir().is_dir() {
            tokio::task::yield_now().await;
        }
        stdin_ended.cancel();
    };
    let (outcome, ()) = tokio::join!(running, watching);
    assert_eq!(outcome.unwrap(), Outcome::Clean);
    controller.cut().await;
    let stdin_ended = CancellationToken::new();
    let running = serve(
        config,
        address,
        (Supervisor::quiet(stdin_ended.clone()), None),
    );
    let watching = async {
        controller
            .until("a sample", |world| !world.records.is_empty())
            .await;
        stdin_ended.cancel();
    };
    let (outcome, ()) = tokio::join!(running, watching);
    assert_eq!(outcome.unwrap(), Outcome::Clean);
    assert_eq!(controller.world().enrolled.len(), 1);
}

#[test]
fn two_agents_do_not_share_a_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let lock = DataLock::take(folder.path()).unwrap();
    assert!(DataLock::is_taken(folder.path()));
    let error = DataLock::take(folder.path()).unwrap_err().to_string();
    assert!(error.contains("stop it first"), "{error}");
    drop(lock);
    assert!(!DataLock::is_taken(folder.path()));
}
