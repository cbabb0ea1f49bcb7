//! `check` as a monitoring system runs it: exit code, first line, performance data, whatever happens.

use insta::assert_snapshot;
use tidemark_model::view::{HostView, PortSpaceView};

use crate::controller::{Controller, Finished};
use crate::fixtures::{HOSTILE, HOUR, NOW, host, space};

/// Everything that the canned controller says of every host alike.
const SKIP: [&str; 4] = ["--skip", "incidents", "--skip", "findings"];

fn check(controller: &Controller, host: &str, more: &[&str]) -> Finished {
    let mut arguments = vec!["check", host];
    arguments.extend(SKIP);
    arguments.extend(more);
    controller.run(&arguments)
}

fn one(name: &str, in_use: u32) -> Controller {
    Controller::with_hosts(vec![host(name, vec![space("tcp", in_use, 1_000)])])
}

/// What a monitoring system must be able to do with any output.
fn assert_a_plugin_wrote(finished: &Finished) {
    let first = finished.stdout.lines().next().unwrap();
    assert!(first.starts_with("TIDEMARK "), "{first}");
    assert!(first.matches('|').count() <= 1, "{first}");
    let rest: String = finished.stdout.lines().skip(1).collect();
    assert!(!rest.contains('|'), "{rest}");
    let odd = |c: char| c.is_control() && c != '\n';
    assert!(!finished.stdout.chars().any(odd), "{:?}", finished.stdout);
    if let Some((_, data)) = first.split_once('|') {
        let quotes = data.matches('\'').count();
        assert_eq!(quotes % 2, 0, "{data}");
    }
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_calm_host_is_ok_with_its_figures() {
    let finished = check(&Controller::start(), "db-1", &[]);
    assert_eq!(finished.code, Some(0));
    assert_a_plugin_wrote(&finished);
    assert_snapshot!(finished.stdout);
}

#[test]
fn a_leak_is_critical_and_names_culprit_since_and_what_to_do() {
    let finished = Controller::start().run(&["check", "web-1"]);
    assert_eq!(finished.code, Some(2));
    assert_a_plugin_wrote(&finished);
    assert_snapshot!(finished.stdout);
}

#[test]
fn levels_alert_by_ranges() {
    for (in_use, more, code) in [
        (800, &[][..], 0),
        (801, &[], 1),
        (951, &[], 2),
        (801, &["-w", "90"], 0),
        (300, &["-w", "50:"], 1),
        (300, &["-c", "@20:40"], 2),
        (0, &["-w", "~:-1"], 1),
        (990, &["--skip", "level"], 0),
    ] {
        let finished = check(&one("db-1", in_use), "db-1", more);
        assert_eq!(
            finished.code,
            Some(code),
            "{in_use} {more:?}: {}",
            finished.stdout
        );
        assert_a_plugin_wrote(&finished);
    }
}

#[test]
fn forecasts_alert_within_their_reach() {
    let soon = |hours: i64| PortSpaceView {
        eta_ms: Some(NOW + hours * HOUR),
        ..space("tcp", 300, 1_000)
    };
    for (hours, more, code) in [
        (100, &[][..], 0),
        (72, &[], 1),
        (8, &[], 2),
        (-1, &[], 2),
        (8, &["--critical-eta", "1h"], 1),
        (100, &["--warning-eta", "14d"], 1),
        (1, &["--skip", "forecast"], 0),
    ] {
        let controller = Controller::with_hosts(vec![host("db-1", vec![soon(hours)])]);
        let finished = check(&controller, "db-1", more);
        assert_eq!(
            finished.code,
            Some(code),
            "{hours} {more:?}: {}",
            finished.stdout
        );
    }
}

#[test]
fn budgets_incidents_and_findings_count() {
    let controller = Controller::start();
    let exceeded = check(&one("web-1", 100), "web-1", &[]);
    assert_eq!(exceeded.code, Some(1), "{}", exceeded.stdout);
    assert!(
        exceeded
            .stdout
            .contains("budget billing is exceeded: process billing* holds 2100 of 2000 ports")
    );
    assert!(
        exceeded
            .stdout
            .contains("'budget billing tcp ports'=2100;2000;;0"),
        "{}",
        exceeded.stdout
    );
    assert_a_plugin_wrote(&exceeded);
    let unknown = check(&one("unsure-1", 100), "unsure-1", &[]);
    assert_eq!(unknown.code, Some(3), "what nobody can tell is not ok");
    assert!(
        unknown.stdout.contains("1900 to 2400 of 2000 ports"),
        "{}",
        unknown.stdout
    );
    let skipped = check(&one("unsure-1", 100), "unsure-1", &["--skip", "budgets"]);
    assert_eq!(skipped.code, Some(0));
    for (skip, other) in [("incidents", "findings"), ("findings", "incidents")] {
        let finished = controller.run(&["check", "db-1", "--skip", skip]);
        assert!(
            matches!(finished.code, Some(1 | 2)),
            "{other}: {}",
            finished.stdout
        );
    }
}

#[test]
fn a_host_that_is_silent_is_unknown_whatever_it_said_last() {
    type Change = fn(&mut HostView);
    let silent = |change: Change| {
        let mut one = host("db-1", vec![space("tcp", 990, 1_000)]);
        change(&mut one);
        check(&Controller::with_hosts(vec![one]), "db-1", &[])
    };
    let cases: [(Change, &str); 5] = [
        (
            |host| host.state = "offline".to_owned(),
            "the host is offline, last heard 3 s ago",
        ),
        (|host| host.state = "stale".to_owned(), "the host is stale"),
        (
            |host| host.sampled_ms = Some(NOW - HOUR),
            "the newest sample is 1 h old",
        ),
        (|host| host.sampled_ms = None, "no sample has come yet"),
        (|host| host.port_spaces.clear(), "shows no port space"),
    ];
    for (change, part) in cases {
        let finished = silent(change);
        assert_eq!(finished.code, Some(3), "{}", finished.stdout);
        assert!(finished.stdout.contains(part), "{}", finished.stdout);
        assert!(
            !finished.stdout.contains("tcp_used"),
            "old figures are not drawn"
        );
        assert_a_plugin_wrote(&finished);
    }
    let blind = Controller::with_hosts(vec![host("db-1", vec![space("tcp", 5, 0)])]);
    assert_eq!(
        check(&blind, "db-1", &[]).code,
        Some(3),
        "no capacity, no share"
    );
}

#[test]
fn whatever_keeps_the_controller_from_answering_is_unknown_on_standard_output() {
    let controller = Controller::start();
    let nobody = check(&controller, "wbe-1", &[]);
    assert!(
        nobody
            .stdout
            .starts_with("TIDEMARK UNKNOWN - there is no host `wbe-1`"),
        "{}",
        nobody.stdout
    );
    assert!(
        nobody.stdout.contains("did you mean web-1"),
        "{}",
        nobody.stdout
    );
    let twin = check(&controller, "twin", &[]);
    let mut all = vec![nobody, twin];
    for (token, part) in [
        ("wrong", "does not accept this token"),
        ("website", "does not answer like a Tidemark controller"),
        ("bug", "internal error"),
        ("proxy", "502"),
    ] {
        controller.write_context(token);
        let finished = check(&controller, "web-1", &[]);
        assert!(finished.stdout.contains(part), "{}", finished.stdout);
        all.push(finished);
    }
    let mut stopped = Controller::start();
    stopped.stop();
    all.push(check(&stopped, "web-1", &[]));
    std::fs::remove_file(stopped.contexts_file()).unwrap();
    all.push(check(&stopped, "web-1", &[]));
    for finished in all {
        assert_eq!(finished.code, Some(3), "{}", finished.stdout);
        assert_a_plugin_wrote(&finished);
    }
}

#[test]
fn a_controller_that_does_not_answer_in_time_is_unknown() {
    let controller = Controller::start();
    controller.write_context("silent");
    for timeout in ["-t1", "--timeout=1s"] {
        let finished = check(&controller, "web-1", &[timeout]);
        assert_eq!(finished.code, Some(3), "{}", finished.stdout);
        assert!(finished.stdout.contains("within 1s"), "{}", finished.stdout);
        assert_a_plugin_wrote(&finished);
    }
}

#[test]
fn a_wrong_command_line_is_unknown_and_not_critical() {
    let controller = Controller::start();
    for arguments in [
        &["check"][..],
        &["check", "web-1", "--bogus"],
        &["check", "web-1", "-w", "80%"],
        &["check", "web-1", "-t", "0"],
        &["check", "web-1", "--watch"],
        &["check", "web-1", "-o", "json"],
        &["--context", "other", "check", "web-1", "-w"],
    ] {
        let finished = controller.run(arguments);
        assert_eq!(finished.code, Some(3), "{arguments:?}: {}", finished.stdout);
        assert_a_plugin_wrote(&finished);
    }
    assert_eq!(
        controller.run(&["get", "--bogus"]).code,
        Some(2),
        "others keep theirs"
    );
    assert_eq!(controller.run(&["check", "--help"]).code, Some(0));
}

#[test]
fn hostile_names_break_neither_performance_data_nor_the_terminal() {
    let evil = format!("it's|{HOSTILE}\n'x'=1;2 | 'y'=3");
    let namespace = PortSpaceView {
        namespace: evil.clone(),
        culprit: Some(evil.clone()),
        explanation: evil.clone(),
        eta_ms: Some(NOW + HOUR),
        ..space("tcp", 990, 1_000)
    };
    let mut one = host("evil", vec![namespace]);
    one.name.clone_from(&evil);
    let controller = Controller::with_hosts(vec![one]);
    let finished = check(&controller, &host("evil", Vec::new()).id, &[]);
    assert_eq!(finished.code, Some(2), "{}", finished.stdout);
    assert_a_plugin_wrote(&finished);
    assert!(
        !finished.stdout.contains('\u{202e}'),
        "{:?}",
        finished.stdout
    );
}
