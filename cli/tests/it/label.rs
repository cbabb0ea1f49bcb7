//! Labels of hosts, and lists of a part of the fleet, at the command line.

use serde_json::{Value, json};

use crate::controller::Controller;

/// The bodies of changes of labels so far.
fn changes(controller: &Controller) -> usize {
    let requests = controller.requests();
    let patches = requests.iter().filter(|one| one.starts_with("PATCH "));
    patches.count()
}

#[test]
fn labels_are_set_and_taken_away_in_the_version_that_was_read() {
    let controller = Controller::start();
    let said = controller.stdout(&["label", "web-1", "team=pay", "env=prod"]);
    assert_eq!(said, "labelled web-1: env=prod site=berlin team=pay\n");
    let text = controller.stdout(&["label", "web-1", "site-", "-o", "json"]);
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["controller_labels"], json!({}));
    assert_eq!(shown["labels_version"], 4);
    assert_eq!(changes(&controller), 2);
}

#[test]
fn what_is_there_is_not_changed_unasked() {
    let controller = Controller::start();
    let refused = controller.run(&["label", "web-1", "site=vienna"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("site=berlin already") && refused.stderr.contains("--overwrite"),
        "{}",
        refused.stderr
    );
    let own = controller.run(&["label", "web-1", "rack-"]);
    assert_eq!(own.code, Some(2));
    assert!(own.stderr.contains("agent's own"), "{}", own.stderr);
    for words in [
        &["label", "web-1", "team"][..],
        &["label", "web-1", "a=1", "a-"],
        &["label", "web-1"],
    ] {
        assert_eq!(controller.run(words).code, Some(2), "{words:?}");
    }
    assert_eq!(changes(&controller), 0);
    let said = controller.stdout(&["label", "web-1", "site=vienna", "--overwrite"]);
    assert_eq!(said, "labelled web-1: site=vienna\n");
}

#[test]
fn a_list_of_a_part_of_the_fleet_says_so_beside_the_output() {
    let controller = Controller::start();
    let all = controller.run(&["get", "hosts"]);
    assert!(!all.stderr.contains("scope"), "{}", all.stderr);
    controller.write_context("team");
    for list in [
        &["get", "hosts"][..],
        &["get", "hosts", "-o", "json"],
        &["get", "incidents"],
        &["get", "silences"],
    ] {
        let part = controller.run(list);
        assert_eq!(part.code, Some(0), "{}", part.stderr);
        assert!(
            part.stderr.contains("note: 4 hosts in your scope team=pay"),
            "{list:?}: {}",
            part.stderr
        );
        assert!(!part.stdout.contains("your scope"), "{}", part.stdout);
    }
    let one = controller.run(&["describe", "host", "web-1"]);
    assert!(!one.stderr.contains("in your scope"), "{}", one.stderr);
}
