//! What a legal run is, and what is said of one that is not.

use super::*;

fn spec(json: &str) -> RunSpec {
    serde_json::from_str(json).unwrap()
}

const LEAST: &str = r#"{"name":"weekly","reason":"patches","hosts":["host=*"],
    "actions":[{"action":"reboot","grace_s":0,"reason":"patches","force":true}]}"#;

#[test]
fn what_is_left_out_is_careful() {
    let run = spec(LEAST);
    let rules = run.check().unwrap();
    assert_eq!(
        (rules.concurrency, rules.max_failed, rules.max_retries),
        (1, 1, 0)
    );
    assert_eq!(rules.waves, [Wave::Rest]);
    assert!(!rules.is_windowed && rules.needs_effect);
    assert_eq!(run.gate_before, GateCheck::ALL);
    assert_eq!(run.tier(), Tier::Reboot);
}

#[test]
fn waves_take_counts_shares_and_what_is_left() {
    let mut run = spec(LEAST);
    run.waves = vec!["1".to_owned(), "10%".to_owned(), "rest".to_owned()];
    let waves = run.check().unwrap().waves;
    let mut left = 500;
    let sizes: Vec<usize> = waves
        .iter()
        .map(|wave| {
            let size = wave.size(500, left);
            left -= size;
            size
        })
        .collect();
    assert_eq!(sizes, [1, 50, 449]);
    assert_eq!(Wave::Percent(10).size(5, 5), 1, "a share is never nothing");
    assert_eq!(Wave::Count(9).size(5, 3), 3);
}

#[test]
fn every_wrong_value_is_named_with_its_limit() {
    let run = RunSpec {
        name: "Weekly!".to_owned(),
        reason: String::new(),
        hosts: vec!["nonsense".to_owned()],
        list: vec!["web-1".to_owned()],
        waves: ["0", "rest", "110%"].map(str::to_owned).to_vec(),
        concurrency: 0,
        max_failed: 0,
        max_retries_per_host: 9,
        reboot_timeout: "1s".to_owned(),
        gate_timeout: "soon".to_owned(),
        stop_after: "8d".to_owned(),
        spread: Some(String::new()),
        before: vec![ActionSpec::CollectEvidence { seconds: 5 }],
        after: vec![],
        actions: vec![ActionSpec::CollectEvidence { seconds: 600 }],
        window: "Saturday".to_owned(),
        ..spec(LEAST)
    };
    let text = run.check().unwrap_err().join("\n");
    for part in [
        "name is \"Weekly!\"; it must be 1 to 63",
        "reason must be 1 to 500",
        "both hosts and list are given",
        "hosts: \"nonsense\" is no matcher",
        "waves[0] is \"0\"",
        "waves[2] is \"110%\"",
        "concurrency is 0; it must be 1 to 1000",
        "max_failed is 0; it must be 1 to 10000",
        "max_retries_per_host is 9; it must be 0 to 5",
        "reboot_timeout is \"1s\"; it must be 1m to 45m",
        "gate_timeout is \"soon\"; it must be 1s to 1d",
        "stop_after is \"8d\"; it must be 1m to 7d",
        "spread must name a label",
        "before[0] is collect_evidence; only run_hook",
        "actions[0].seconds",
        "window is \"Saturday\"",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let mut rest_first = spec(LEAST);
    rest_first.waves = vec!["rest".to_owned(), "1".to_owned()];
    assert!(rest_first.check().unwrap_err()[0].contains("put it last"));
}

#[test]
fn a_field_that_does_not_exist_is_refused() {
    let text = LEAST.replace("\"hosts\"", "\"selector\"");
    let error = serde_json::from_str::<RunSpec>(&text).unwrap_err();
    assert!(error.to_string().contains("selector"), "{error}");
}
