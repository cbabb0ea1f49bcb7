//! Logging in, and choosing among controllers.

use std::io::Write as _;
use std::process::Stdio;

use crate::controller::{Controller, finished};

fn fresh() -> Controller {
    let controller = Controller::start();
    std::fs::remove_file(controller.contexts_file()).unwrap();
    controller
}

#[test]
fn a_login_is_remembered_and_used() {
    let controller = fresh();
    let token = controller.home.path().join("token");
    std::fs::write(&token, "good\n").unwrap();
    let url = controller.url();
    let text = controller.stdout(&[
        "login",
        "--server",
        &url,
        "--token-file",
        token.to_str().unwrap(),
        "--context",
        "prod",
    ]);
    assert!(
        text.contains("version 0.1.0") && text.contains("context prod"),
        "{text}"
    );
    std::fs::remove_file(&token).unwrap();
    assert!(controller.stdout(&["get", "hosts"]).contains("web-1"));
    let shown = controller.stdout(&["context", "show"]);
    assert!(shown.contains("prod") && !shown.contains("good"), "{shown}");
}

#[test]
fn the_token_may_come_from_standard_input() {
    let controller = fresh();
    let url = controller.url();
    let mut login = controller
        .command(&["login", "--server", &url])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    login.stdin.take().unwrap().write_all(b"good\n").unwrap();
    let finished = finished(login.wait_with_output().unwrap());
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(controller.stdout(&["context", "list"]).contains("local"));
}

#[test]
fn a_machine_without_authorities_reaches_what_needs_none_and_is_told_what_https_needs() {
    let controller = Controller::start();
    let run = |args: &[&str]| {
        let mut command = controller.command(args);
        command
            .env("SSL_CERT_FILE", "/dev/null")
            .env("SSL_CERT_DIR", "/dev/null");
        finished(command.output().unwrap())
    };
    let listed = run(&["get", "hosts"]);
    assert!(listed.stdout.contains("web-1"), "{}", listed.stderr);
    let refused = run(&["get", "hosts", "--server", "https://127.0.0.1:1"]);
    assert_eq!(refused.code, Some(1));
    for part in ["ca-certificates", "--ca-file"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}

#[test]
fn a_refused_token_is_not_remembered() {
    let controller = fresh();
    let token = controller.home.path().join("token");
    std::fs::write(&token, "wrong").unwrap();
    let finished = controller.run(&[
        "login",
        "--server",
        &controller.url(),
        "--token-file",
        token.to_str().unwrap(),
    ]);
    assert_eq!(finished.code, Some(1));
    assert!(std::fs::read(controller.contexts_file()).is_err());
}

#[test]
fn controllers_are_listed_and_chosen() {
    let controller = Controller::start();
    let url = controller.url();
    let more = format!("[contexts.lab]\nserver = \"{url}\"\ntoken = \"viewer\"\n");
    std::fs::OpenOptions::new()
        .append(true)
        .open(controller.contexts_file())
        .unwrap()
        .write_all(more.as_bytes())
        .unwrap();
    controller.stdout(&["context", "use", "lab"]);
    let list = controller
        .stdout(&["context", "list"])
        .replace(&url, "http://ADDRESS");
    insta::assert_snapshot!(list);
    assert_eq!(
        controller.run(&["token", "create"]).code,
        Some(4),
        "lab is the viewer's"
    );
    assert_eq!(
        controller
            .run(&["--context", "local", "token", "create"])
            .code,
        Some(0)
    );
    let unknown = controller.run(&["context", "use", "prod"]);
    assert!(
        unknown.stderr.contains("known contexts: lab, local"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn a_token_goes_only_to_the_server_that_it_is_for() {
    let (mine, other) = (Controller::start(), Controller::start());
    let finished = mine.run(&["--server", &other.url(), "get", "hosts"]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("does not accept") && finished.stderr.contains("log in: "),
        "{}",
        finished.stderr
    );
    assert_eq!(
        mine.run(&["--server", &mine.url(), "get", "hosts"]).code,
        Some(0),
        "its own server is known"
    );
}
