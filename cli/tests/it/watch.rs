//! What goes on until it is stopped, and readers that go away.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::controller::Controller;
use crate::fixtures;

fn interrupt(child: &mut Child) -> (Option<i32>, String) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    (child.wait().unwrap().code(), stderr)
}

#[test]
fn a_watch_prints_a_document_a_line_and_ends_cleanly() {
    let controller = Controller::start();
    let mut child = controller.spawn(&["get", "hosts", "--watch", "-o", "json"]);
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let hosts: Vec<serde_json::Value> = serde_json::from_str(&line).unwrap();
    assert_eq!(hosts.len(), fixtures::hosts().len());
    assert_eq!(interrupt(&mut child), (Some(0), String::new()));
}

#[test]
fn watched_events_come_oldest_first_and_then_as_they_happen_each_once() {
    let controller = Controller::start();
    let mut child = controller.spawn(&["get", "events", "--watch"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let printed: Vec<String> = lines.by_ref().take(4).collect();
    insta::assert_snapshot!(printed.join("\n"));
    assert_eq!(interrupt(&mut child), (Some(0), String::new()));
    assert_eq!(lines.next(), None);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let hosts = (0..5_000).map(|number| {
        fixtures::host(
            &format!("host-{number}"),
            vec![fixtures::space("tcp", 1, 2)],
        )
    });
    let controller = Controller::with_hosts(hosts.collect());
    let mut child = controller.spawn(&["get", "hosts"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), stderr.as_str()),
        (Some(0), "")
    );
    assert!(line.starts_with("NAME"));
}

#[test]
fn a_watch_waits_out_a_controller_that_restarts() {
    let mut controller = Controller::start();
    controller.stop();
    let mut child = controller.spawn(&["get", "hosts", "--watch"]);
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("cannot reach the controller"), "{line}");
    assert_eq!(child.try_wait().unwrap(), None, "it goes on");
    assert_eq!(interrupt(&mut child).0, Some(0));
}
