//! What the commands print, in every format.

use insta::assert_snapshot;
use serde_json::Value;
use tidemark_model::view::{CausesView, HistoryView, HostFindings, HostView};

use crate::controller::Controller;
use crate::fixtures::{self, HOSTILE};

#[test]
fn hosts_are_a_table_of_one_line_each() {
    assert_snapshot!(Controller::start().stdout(&["get", "hosts"]));
}

#[test]
fn hosts_can_be_sorted_by_what_needs_attention_and_shown_by_port_space() {
    assert_snapshot!(Controller::start().stdout(&[
        "get",
        "hosts",
        "--sort",
        "eta",
        "--all-spaces"
    ]));
}

#[test]
fn a_narrow_screen_cuts_columns_and_keeps_one_line_a_host() {
    let controller = Controller::start();
    let output = controller
        .command(&["get", "hosts"])
        .env("COLUMNS", "72")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1 + fixtures::hosts().len());
    assert!(
        text.lines().all(|line| line.chars().count() <= 72),
        "{text}"
    );
}

#[test]
fn hosts_as_json_are_a_plain_array_of_all_pages() {
    let controller = Controller::start();
    let text = controller.stdout(&["--context", "local", "get", "hosts", "-o", "json"]);
    let hosts: Vec<HostView> = serde_json::from_str(&text).unwrap();
    let mut expected = fixtures::hosts();
    expected.sort_by(|left, right| left.name.cmp(&right.name));
    assert_eq!(hosts, expected, "hostile names survive a program's reading");
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{202e}'),
        "and do nothing to a terminal"
    );
    assert_snapshot!(text);
}

#[test]
fn hosts_as_yaml_are_the_same_array() {
    let text = Controller::start().stdout(&["get", "hosts", "web", "-o", "yaml"]);
    let hosts: Vec<HostView> = serde_yaml_ng::from_str(&text).unwrap();
    assert_eq!(hosts.len(), fixtures::hosts().len());
    assert!(text.starts_with("- id:"), "{text}");
}

#[test]
fn hosts_as_csv_have_a_row_for_each_port_space_and_no_formulas() {
    let text = Controller::start().stdout(&["get", "hosts", "-o", "csv"]);
    assert!(text.contains(&format!("'{HOSTILE}")), "{text}");
    assert_snapshot!(text.replace('\u{1b}', "<ESC>").replace('\u{202e}', "<RLO>"));
}

#[test]
fn filters_go_to_the_controller() {
    let controller = Controller::start();
    controller.stdout(&[
        "get",
        "hosts",
        "web",
        "--state",
        "stale",
        "-l",
        "site=berlin",
        "-l",
        "tier=a=b",
    ]);
    let parameters = controller.parameters("hosts");
    for (name, value) in [
        ("text", "web"),
        ("state", "stale"),
        ("label", "site%3Dberlin"),
        ("label", "tier%3Da%3Db"),
    ] {
        assert!(
            parameters.contains(&(name.to_owned(), value.to_owned())),
            "{parameters:?}"
        );
    }
}

#[test]
fn events_and_tokens_are_listed() {
    let controller = Controller::start();
    assert_snapshot!("events", controller.stdout(&["get", "events"]));
    assert_snapshot!(
        "events_csv",
        controller
            .stdout(&["get", "events", "-o", "csv"])
            .replace('\u{1b}', "<ESC>")
    );
    assert_snapshot!("tokens", controller.stdout(&["token", "list"]));
}

#[test]
fn a_hosts_log_is_listed_with_its_records() {
    let controller = Controller::start();
    let log = ["get", "events", "--host", "web-1", "--log"];
    assert_snapshot!("host_log", controller.stdout(&log));
    let csv = [
        &log[..],
        &["--source", "Tcpip", "--code", "4231", "-o", "csv"],
    ]
    .concat();
    assert_snapshot!(
        "host_log_csv",
        controller.stdout(&csv).replace('\u{1b}', "<ESC>")
    );
    let asked = controller.requests();
    let asked = asked.last().unwrap();
    assert!(
        asked.contains("/hosts/web-1/events?source=Tcpip&code=4231&"),
        "{asked}"
    );
}

#[test]
fn a_host_is_described_with_who_holds_its_ports() {
    assert_snapshot!(Controller::start().stdout(&["describe", "host", "web-1"]));
}

#[test]
fn a_host_without_a_sample_is_described_with_what_is_known() {
    assert_snapshot!(Controller::start().stdout(&["describe", "host", "new-1"]));
}

#[test]
fn one_described_host_is_an_object_and_two_are_an_array() {
    let controller = Controller::start();
    let one: Value =
        serde_json::from_str(&controller.stdout(&["describe", "host", "web-1", "-o", "json"]))
            .unwrap();
    assert_eq!(one["name"], "web-1");
    let two = controller.stdout(&["describe", "host", "web-1", "db-1", "-o", "json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&two)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn history_is_json_csv_or_a_table_for_scripts() {
    let controller = Controller::start();
    let arguments = [
        "history", "web-1", "--metric", "in_use", "--since", "1h", "--step", "1m", "--agg", "max",
    ];
    let with = |format: &str| controller.stdout(&[&arguments[..], &["-o", format]].concat());
    let view: HistoryView = serde_json::from_str(&with("json")).unwrap();
    assert_eq!(
        view,
        fixtures::history(vec![fixtures::series("tcp/default", 9_100.0, 195.0)])
    );
    let csv = with("csv");
    assert!(
        csv.starts_with(
            "time_ms,time,series,value\n1795399200000,2026-11-23T02:00:00+00:00,tcp/default,9100\n"
        ),
        "{csv}"
    );
    assert!(
        csv.contains("1795400400000,2026-11-23T02:20:00+00:00,tcp/default,\n"),
        "a gap is empty, not zero: {csv}"
    );
    assert!(
        with("table").contains("Mon 23 Nov 02:20            ?"),
        "{}",
        with("table")
    );
    assert_eq!(
        controller.stdout(&arguments),
        with("table"),
        "a pipe gets the table"
    );
}

#[test]
fn history_asks_for_what_was_meant() {
    let controller = Controller::start();
    let arguments = [
        "history",
        "web-1",
        "-m",
        "ports",
        "--since",
        "2026-11-23T02:00",
        "--until",
        "30m",
        "--step",
        "5m",
        "--agg",
        "p95",
        "--group-by",
        "label:site",
        "--top",
        "3",
        "--entity",
        "mailer",
        "--kind",
        "process",
        "--protocol",
        "udp",
        "--namespace",
        "blue",
        "-l",
        "site=berlin",
    ];
    controller.stdout(&arguments);
    let query: Vec<String> = controller
        .parameters("history")
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_snapshot!(query.join("\n"));
}

#[test]
fn rates_are_asked_for_without_a_protocol() {
    let controller = Controller::start();
    controller.stdout(&["history", "web-1", "-m", "tcp_active_opens"]);
    assert!(
        controller
            .parameters("history")
            .iter()
            .all(|(name, _)| name != "protocol")
    );
}

#[test]
fn history_is_drawn_with_its_capacity_a_gap_and_local_times() {
    let controller = Controller::start();
    let output = controller
        .command(&["history", "web-1", "-o", "chart"])
        .env("COLUMNS", "76")
        .env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        .output()
        .unwrap();
    assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn many_hosts_are_drawn_with_letters_and_visible_names() {
    let controller = Controller::start();
    let output = controller
        .command(&["history", "-o", "chart"])
        .env("COLUMNS", "76")
        .output()
        .unwrap();
    assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn series_that_are_left_out_are_said_so_beside_the_output() {
    let finished = Controller::start().run(&["history", "--top", "1", "-o", "json"]);
    assert_eq!(finished.code, Some(0));
    serde_json::from_str::<HistoryView>(&finished.stdout).unwrap();
    assert!(
        finished.stderr.contains("12 more series are left out"),
        "{}",
        finished.stderr
    );
}

#[test]
fn an_approximated_aggregate_is_said_to_be_one() {
    let controller = Controller::start();
    let exact = controller.run(&["history", "--agg", "max", "-o", "json"]);
    assert!(!exact.stderr.contains("approximated"), "{}", exact.stderr);
    let finished = controller.run(&["history", "--agg", "p95", "-o", "json"]);
    let view: HistoryView = serde_json::from_str(&finished.stdout).unwrap();
    assert!(view.approximate);
    assert!(
        finished.stderr.contains("is approximated"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_comparison_shows_both_periods_and_the_change() {
    let controller = Controller::start();
    let output = controller
        .command(&["compare", "web-1", "-o", "chart"])
        .env("COLUMNS", "76")
        .output()
        .unwrap();
    assert_snapshot!("compare_chart", String::from_utf8(output.stdout).unwrap());
    let csv = controller.stdout(&["compare", "web-1", "--with", "7d", "-o", "csv"]);
    assert!(
        csv.starts_with("time_ms,time,series,value,value_before\n"),
        "{csv}"
    );
    assert!(csv.contains(",tcp/default,9295,4010\n"), "{csv}");
}

#[test]
fn a_forecast_is_a_table_for_many_and_a_fan_for_one() {
    let controller = Controller::start();
    assert_snapshot!("forecast_table", controller.stdout(&["forecast"]));
    let output = controller
        .command(&["forecast", "web-1", "-o", "chart"])
        .env("COLUMNS", "76")
        .output()
        .unwrap();
    assert_snapshot!("forecast_chart", String::from_utf8(output.stdout).unwrap());
    let json: Vec<HostView> =
        serde_json::from_str(&controller.stdout(&["forecast", "-o", "json"])).unwrap();
    assert_eq!(json.len(), fixtures::hosts().len());
}

#[test]
fn a_join_token_comes_with_the_commands_for_the_other_host() {
    let controller = Controller::start();
    assert_snapshot!(controller.stdout(&[
        "token",
        "create",
        "--ttl",
        "2h",
        "--uses",
        "3",
        "--label",
        "site=berlin"
    ]));
    let json: Value =
        serde_json::from_str(&controller.stdout(&["token", "create", "-o", "json"])).unwrap();
    assert_eq!(json["token"], "tm1.k7.secret.pin");
}

#[test]
fn a_host_is_installed_by_lines_that_hold_a_fresh_token() {
    let controller = Controller::start();
    let words = [
        "install",
        "--os",
        "linux",
        "--ttl",
        "2h",
        "--label",
        "site=berlin",
    ];
    assert_snapshot!("install_linux", controller.stdout(&words));
    let text = controller.stdout(&["install", "--os", "windows", "--uses", "40", "-o", "json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["token"], "tm1.k7.secret.pin");
    let ways = json["ways"].as_array().unwrap();
    let names: Vec<_> = ways
        .iter()
        .map(|how| how["way"].as_str().unwrap())
        .collect();
    let windows = [
        "power_shell",
        "cmd",
        "group_policy",
        "config_mgr",
        "ansible",
    ];
    assert_eq!(names, windows);
    let all: Value = serde_json::from_str(&controller.stdout(&["install", "-o", "json"])).unwrap();
    assert_eq!(all["ways"].as_array().unwrap().len(), 7);
}

#[test]
fn a_controller_puts_no_commands_into_what_is_pasted() {
    let controller = Controller::start();
    let done = controller.run(&["install", "--label", "hostile=x:1'; reboot #"]);
    assert_eq!((done.code, &*done.stdout), (Some(1), ""));
    for part in ["the address for agents is not", "tidemark token revoke k7"] {
        assert!(done.stderr.contains(part), "{}", done.stderr);
    }
    assert!(!done.stderr.contains("reboot"), "{}", done.stderr);
}

#[test]
fn the_status_says_how_the_controller_is() {
    let controller = Controller::start();
    assert_snapshot!(
        controller
            .stdout(&["status"])
            .replace(&controller.url(), "http://ADDRESS")
    );
}

#[test]
fn top_in_a_pipe_is_the_list_with_the_worst_first() {
    let text = Controller::start().stdout(&["top", "--filter", "BERLIN"]);
    assert!(text.lines().nth(1).unwrap().starts_with("web-1"), "{text}");
}

#[test]
fn completions_know_the_commands() {
    let controller = Controller::start();
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef tidemark"),
        ("fish", "complete -c tidemark"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let script = controller.stdout(&["completion", shell]);
        assert!(
            script.contains(sign) && script.contains("forecast"),
            "{shell}"
        );
    }
}

#[test]
fn the_version_is_said_with_and_without_a_controller() {
    let mut controller = Controller::start();
    assert!(
        controller
            .stdout(&["version"])
            .contains("controller  0.1.0")
    );
    controller.stop();
    assert!(
        controller
            .stdout(&["version"])
            .contains("controller  does not answer")
    );
}

#[test]
fn changed_settings_are_a_table_newest_first() {
    let controller = Controller::start();
    assert_snapshot!(controller.stdout(&["get", "drift", "web-1", "--since", "7d"]));
    let asked = controller.requests().join("\n");
    assert!(
        asked.contains("/api/v1/hosts/web-1/drift?since_ms="),
        "{asked}"
    );
    let csv = controller.stdout(&["get", "drift", "-o", "csv"]);
    assert!(
        csv.starts_with("id,at_ms,time,host,host_name,fact,item,from,to\n"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 3);
}

#[test]
fn a_described_host_tells_its_configuration_as_json_too() {
    let controller = Controller::start();
    let text = controller.stdout(&["describe", "host", "web-1", "-o", "json"]);
    let described: Value = serde_json::from_str(&text).unwrap();
    let facts = described["configuration"]["facts"].as_array().unwrap();
    assert_eq!(facts.len(), 5);
    assert_eq!(facts[2]["last_read"], "30");
}

#[test]
fn findings_are_a_line_each_and_whole_as_json() {
    let controller = Controller::start();
    let table = controller.stdout(&["get", "findings"]);
    for words in [
        "web-1",
        "critical",
        "95 %",
        "bound_leak",
        "Restart the service AppSvc",
        "/docs/runbooks/bound_leak.html",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(
        !table.contains('\u{1b}') && !table.contains('\u{202e}'),
        "{table}"
    );
    let text = controller.stdout(&["get", "findings", "-o", "json"]);
    let hosts: Vec<HostFindings> = serde_json::from_str(&text).unwrap();
    assert_eq!(hosts, [fixtures::findings()]);
}

#[test]
fn causes_say_the_counts_both_ways_and_when_none_is_known() {
    let controller = Controller::start();
    let table = controller.stdout(&["get", "causes"]);
    assert!(
        table.contains("12 of 14") && table.contains("1 of 40") && table.contains("11 of 12"),
        "{table}"
    );
    assert!(
        !table.contains('\u{1b}') && !table.contains('\u{202e}'),
        "{table}"
    );
    let json = controller.stdout(&["get", "causes", "-o", "json"]);
    let causes: CausesView = serde_json::from_str(&json).unwrap();
    assert_eq!(causes, fixtures::causes());
    assert_snapshot!(table);
}
