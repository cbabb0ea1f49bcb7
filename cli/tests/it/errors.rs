//! What goes wrong: the text says what to do next, and the exit code tells scripts apart.

use crate::controller::Controller;

#[test]
fn a_controller_that_is_not_there_is_told_with_how_to_start_one() {
    let mut controller = Controller::start();
    controller.stop();
    let finished = controller.run(&["get", "hosts"]);
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.stdout, "");
    insta::assert_snapshot!(finished.stderr.replace(&controller.url(), "http://ADDRESS"));
}

#[test]
fn without_any_context_it_says_how_to_get_one() {
    let controller = Controller::start();
    std::fs::remove_file(controller.contexts_file()).unwrap();
    let finished = controller.run(&["get", "hosts"]);
    assert_eq!(finished.code, Some(1));
    insta::assert_snapshot!(finished.stderr);
}

#[test]
fn a_token_that_is_not_accepted_leads_to_the_login() {
    let controller = Controller::start();
    controller.write_context("stale-token");
    let finished = controller.run(&["get", "hosts"]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished
            .stderr
            .contains("log in again: tidemark login --server"),
        "{}",
        finished.stderr
    );
    assert!(
        !finished.stderr.contains("stale-token"),
        "a token is never shown"
    );
}

#[test]
fn an_unknown_host_is_answered_with_the_nearest_names_by_every_command() {
    let controller = Controller::start();
    for command in [
        &["describe", "host", "wbe-1"][..],
        &["history", "wbe-1"],
        &["forecast", "wbe-1"],
        &["revoke", "host", "wbe-1", "-y"],
    ] {
        let finished = controller.run(command);
        assert_eq!(finished.code, Some(1), "{command:?}");
        assert!(
            finished.stderr.contains("there is no host `wbe-1`"),
            "{}",
            finished.stderr
        );
        assert!(
            finished.stderr.contains("did you mean web-1"),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn an_ambiguous_name_lists_the_ids() {
    let finished = Controller::start().run(&["describe", "host", "twin"]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("use an id: aaaa, bbbb"),
        "{}",
        finished.stderr
    );
}

#[test]
fn what_policy_refuses_ends_with_4() {
    let controller = Controller::start();
    controller.write_context("viewer");
    let finished = controller.run(&["token", "create"]);
    assert_eq!(finished.code, Some(4));
    assert!(
        finished
            .stderr
            .contains("refused: the role viewer may not change anything"),
        "{}",
        finished.stderr
    );
}

#[test]
fn what_is_done_in_part_ends_with_3_and_names_the_rest() {
    let controller = Controller::start();
    let finished = controller.run(&["revoke", "host", "web-1", "db-1", "--yes"]);
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(
        finished.stdout.contains("revoked host web-1"),
        "{}",
        finished.stdout
    );
    assert!(
        finished.stderr.contains("cannot be revoked") && finished.stderr.contains("1 of 2 done"),
        "{}",
        finished.stderr
    );
    assert_eq!(
        controller.run(&["token", "revoke", "open", "gone"]).code,
        Some(3)
    );
    assert_eq!(controller.run(&["token", "revoke", "open"]).code, Some(0));
    let described = controller.run(&["describe", "host", "db-1", "nobody"]);
    assert_eq!(described.code, Some(3));
    assert!(described.stdout.starts_with("db-1"), "{}", described.stdout);
}

#[test]
fn a_disruptive_command_needs_consent_and_does_nothing_without() {
    let controller = Controller::start();
    let finished = controller.run(&["revoke", "host", "web-1"]);
    assert_eq!(finished.code, Some(2));
    assert!(
        finished
            .stderr
            .contains("shuts out web-1 for good; add --yes"),
        "{}",
        finished.stderr
    );
    assert!(
        controller
            .requests()
            .iter()
            .all(|request| !request.starts_with("POST"))
    );
}

#[test]
fn a_misspelt_host_stops_a_revocation_before_anything_is_done() {
    let controller = Controller::start();
    assert_eq!(
        controller
            .run(&["revoke", "host", "web-1", "nobody", "--yes"])
            .code,
        Some(1)
    );
    assert!(
        controller
            .requests()
            .iter()
            .all(|request| !request.starts_with("POST"))
    );
}

#[test]
fn usage_errors_end_with_2_and_name_the_remedy() {
    let controller = Controller::start();
    for (arguments, words) in [
        (&["get", "hots"][..], "hosts"),
        (&["history", "web-1", "--metric", "in_us"], "in_use"),
        (
            &["history", "web-1", "--since", "yesterday"],
            "2026-11-20T10:00",
        ),
        (
            &["history", "web-1", "--since", "1h", "--until", "2h"],
            "--since must be before",
        ),
        (
            &["history", "web-1", "--step", "10ms"],
            "--step must be 1s or more",
        ),
        (&["get", "hosts", "-o", "chart"], "use -o table"),
        (&["get", "hosts", "--label", "site"], "KEY=VALUE"),
        (&["token", "create", "--ttl", "5s"], "1m to 30d"),
        (&["describe", "host", ".."], "is not a name"),
        (
            &["--server", "localhost:7080", "get", "hosts"],
            "https://HOST:7080",
        ),
        (&["compare", "web-1", "--with", "0s"], "longer than 0"),
        (&["forecast", "-o", "chart"], "one host"),
        (&["login"], "--server"),
    ] {
        let finished = controller.run(arguments);
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(
            finished.stderr.contains(words),
            "{arguments:?}: {}",
            finished.stderr
        );
    }
}

#[test]
fn a_silent_controller_is_not_waited_for_longer_than_asked() {
    let controller = Controller::start();
    controller.write_context("silent");
    let finished = controller.run(&["get", "hosts", "--timeout", "200ms"]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("did not answer within 200ms"),
        "{}",
        finished.stderr
    );
}

#[test]
fn what_is_no_controller_is_told_apart_from_a_bug_in_one() {
    let controller = Controller::start();
    for (token, words) in [
        ("website", "does not answer like a Tidemark controller"),
        ("proxy", "answers with HTTP 502"),
        (
            "bug",
            "internal error\\u{1b}[31m\nhint: the controller's log has the details under c0ffee",
        ),
        ("loop", "a list leads back to the same page"),
    ] {
        controller.write_context(token);
        let finished = controller.run(&["get", "hosts"]);
        assert_eq!(finished.code, Some(1), "{token}");
        assert!(
            finished.stderr.contains(words),
            "{token}: {}",
            finished.stderr
        );
    }
}

#[test]
fn a_broken_contexts_file_is_named() {
    let controller = Controller::start();
    std::fs::write(controller.contexts_file(), "current = [").unwrap();
    let finished = controller.run(&["get", "hosts"]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished
            .stderr
            .contains("contexts.toml is not a valid contexts file"),
        "{}",
        finished.stderr
    );
}
