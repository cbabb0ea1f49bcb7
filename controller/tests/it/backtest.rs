//! `tidemark-controller backtest` as a program: a file, a stream in lock step, the own history; and what it says of bad
//! lines.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;
use tidemark_model::audit::{
    AuditFact, FactKey, FactName, FactState, FactValue, Topic, TopicState,
};
use tidemark_model::{HostAudit, Sample, Timestamp};

use crate::made_up::{MadeUp, sample};

/// Midnight of a Monday.
const START_MS: i64 = 1_767_571_200_000;
const TICK_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;

fn backtest() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark-controller"));
    command.arg("backtest").env_remove("TIDEMARK_CONFIG");
    command
}

/// A week of two hosts: `leaky` gains 100 ports an hour from the third day on, `calm` has only its days.
fn week() -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..7 * 288 {
        let at = START_MS + number * 300_000;
        let hour = (number % 288) as f64 / 12.0;
        let work = 900.0 + 600.0 * (1.0 - (std::f64::consts::TAU * hour / 24.0).cos());
        let jitter = (number * 7_919 % 97) as f64;
        let leaked = 100.0 / 12.0 * (number - 2 * 288).max(0) as f64;
        for (host, leaked) in [("leaky", leaked), ("calm", 0.0)] {
            let held = (work + jitter + leaked) as u32;
            lines.push(format!(
                r#"{{"host":"{host}","seq":{number},"ts_unix_ms":{at},"recv_unix_ms":{received},"boot_unix_ms":{START_MS},"in_use":{in_use},"capacity":16384,"established":{held},"time_wait":200,"close_wait":0,"bound":0,"procs":[{{"name":"web.exe","pid":7,"ports":{web},"bound":0,"handles":900}},{{"name":"leak.exe","pid":8,"ports":{leak},"bound":0,"handles":500}}],"events":[]}}"#,
                received = at + 500,
                in_use = held + 200,
                web = (work + jitter) as u32,
                leak = leaked as u32 + 2,
            ));
        }
    }
    lines
}

fn written(folder: &TempDir, name: &str, lines: &[String]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    let text = lines.join("\n");
    if name.ends_with(".gz") {
        let file = std::fs::File::create(&path).unwrap();
        let mut packed = GzEncoder::new(file, Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap();
    } else {
        std::fs::write(&path, text).unwrap();
    }
    path
}

fn replay(samples: &Path, folder: &TempDir) -> Vec<Value> {
    let predictions = folder.path().join("predictions.jsonl");
    let output = backtest()
        .arg("--samples")
        .arg(samples)
        .arg("--predictions")
        .arg(&predictions)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let text = std::fs::read_to_string(predictions).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Plays the other side of the lock step, and gives what was answered.
fn lock_step(lines: &[String]) -> Vec<Value> {
    let mut child = backtest()
        .arg("--stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let mut answers = Vec::new();
    let mut next = START_MS + TICK_MS;
    let mut tick = |to: &mut std::process::ChildStdin, at: i64| {
        writeln!(to, "{{\"tick_unix_ms\":{at}}}").unwrap();
        to.flush().unwrap();
        loop {
            let mut line = String::new();
            // Without a flush at each tick this would wait for ever.
            assert!(
                from.read_line(&mut line).unwrap() > 0,
                "it ended at tick {at}"
            );
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer["tick_done"] == at {
                return;
            }
            answers.push(answer);
        }
    };
    writeln!(
        to,
        r#"{{"inventory":{{"host":"leaky","attrs":{{"role":"web"}}}}}}"#
    )
    .unwrap();
    for line in lines {
        let sample: Value = serde_json::from_str(line).unwrap();
        while sample["recv_unix_ms"].as_i64().unwrap() >= next {
            tick(&mut to, next);
            next += TICK_MS;
        }
        writeln!(to, "{line}").unwrap();
    }
    tick(&mut to, next);
    drop(to);
    assert!(child.wait().unwrap().success());
    answers
}

#[test]
fn a_file_and_a_stream_in_lock_step_give_the_same_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let week = week();
    let from_file = replay(&written(&folder, "week.jsonl.gz", &week), &folder);
    let raised = from_file.iter().find(|line| line["alert"] == true).unwrap();
    assert_eq!(raised["host"], "leaky");
    assert_eq!(raised["culprit"], "leak.exe");
    assert_eq!(raised["road"], "leak");
    assert!(raised["eta_lo"].as_i64() <= raised["eta_unix_ms"].as_i64());
    assert!(raised["eta_unix_ms"].as_i64() <= raised["eta_hi"].as_i64());
    assert!(
        from_file.iter().all(|line| line["host"] == "leaky"),
        "calm stays quiet"
    );
    assert_eq!(
        from_file,
        replay(&written(&folder, "week.jsonl", &week), &folder)
    );
    assert_eq!(from_file, lock_step(&week));
}

#[test]
fn an_account_says_with_figures_why_a_host_was_reported_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let samples = written(&folder, "week.jsonl", &week());
    let explain = |host: &str, at: &str| {
        let output = backtest()
            .arg("--samples")
            .arg(&samples)
            .args(["--explain", host, "--at", at])
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout.clone()).unwrap(),
            said(&output),
        )
    };
    let (_, leaky, _) = explain("leaky", "2026-01-11T06:00:00Z");
    assert!(leaky.contains("reported (leak): ports run out"), "{leaky}");
    assert!(
        leaky.contains("leak.exe") && leaky.contains("a leak stands since"),
        "{leaky}"
    );
    let (_, calm, _) = explain("calm", &(START_MS + 5 * DAY_MS).to_string());
    assert!(calm.contains("not reported"), "{calm}");
    assert!(
        calm.contains("6 blocks of 4 h") && calm.contains("counts for nothing"),
        "{calm}"
    );
    let (is_success, _, problem) = explain("nobody", "2026-01-11T06:00:00Z");
    assert!(
        !is_success && problem.contains("no sample of host \"nobody\""),
        "{problem}"
    );
}

#[test]
fn a_bad_line_is_named_with_its_number_field_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let good = week();
    let broken = |from: &str, to: &str| {
        let mut lines: Vec<String> = good.iter().take(4).cloned().collect();
        lines[2] = lines[2].replacen(from, to, 1);
        lines
    };
    for (lines, parts) in [
        (
            broken("\"capacity\":16384", "\"capacity\":-3"),
            ["line 3: capacity: ", "leave the line out"],
        ),
        (
            broken("\"capacity\":16384", "\"capacity\":99999"),
            ["line 3: capacity is 99999", "0 to 65536"],
        ),
        (
            broken("\"capacity\":16384,", ""),
            ["line 3: ", "missing field `capacity`"],
        ),
        (
            broken("\"time_wait\":200", "\"time_wait\":60000"),
            ["line 3: time_wait is 60000", "a part of in_use"],
        ),
        (
            broken("\"host\":\"leaky\"", "\"host\":\"\""),
            ["line 3: host", "name the host"],
        ),
        (broken("}", ""), ["line 3: ", "one whole JSON object"]),
        (
            good.iter().take(4).rev().cloned().collect(),
            ["line 3: recv_unix_ms", "sort the lines"],
        ),
    ] {
        let output = backtest()
            .arg("--samples")
            .arg(written(&folder, "bad.jsonl", &lines))
            .arg("--predictions")
            .arg(folder.path().join("none.jsonl"))
            .output()
            .unwrap();
        assert!(!output.status.success(), "{parts:?}");
        for part in parts {
            assert!(said(&output).contains(part), "{part}: {}", said(&output));
        }
    }
}

#[test]
fn hosts_that_leak_with_one_deploy_are_told_as_one_group() {
    let folder = tempfile::tempdir().unwrap();
    let mut samples = Vec::new();
    let mut inventory = String::new();
    for (position, line) in week().into_iter().enumerate() {
        let is_leaky = position.is_multiple_of(2);
        for number in 0..6 {
            let host = if is_leaky {
                format!("new-{number}")
            } else {
                format!("old-{number}")
            };
            let line = line.replacen(if is_leaky { "leaky" } else { "calm" }, &host, 1);
            let deploy = r#""events":[{"id":"deploy","svc":"orders","ver":"2.3"}]"#;
            let is_deployed = is_leaky && position / 2 == 2 * 288;
            samples.push(if is_deployed {
                line.replace(r#""events":[]"#, deploy)
            } else {
                line
            });
            if position < 2 {
                writeln!(
                    inventory,
                    r#"{{"host":"{host}","attrs":{{"role":"web","svc:orders":"2.2"}}}}"#
                )
                .unwrap();
            }
        }
    }
    let known = folder.path().join("hosts.jsonl");
    std::fs::write(&known, inventory).unwrap();
    let predictions = folder.path().join("predictions.jsonl");
    let output = backtest()
        .arg("--samples")
        .arg(written(&folder, "fleet.jsonl", &samples))
        .arg("--inventory")
        .arg(&known)
        .arg("--predictions")
        .arg(&predictions)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let text = std::fs::read_to_string(predictions).unwrap();
    let groups: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line.get("group").is_some())
        .collect();
    let group = &groups.last().unwrap()["group"];
    assert_eq!(group["attribute"], "svc:orders");
    assert_eq!(group["value"], "2.3");
    assert_eq!(group["hosts"].as_array().unwrap().len(), 6);
    assert!(
        groups.iter().all(|line| line["group"]["value"] == "2.3"),
        "{groups:?}"
    );
}

/// Four days that end at this moment, with a leak of 150 ports an hour in the last three.
pub async fn leaky_history(fleet: &MadeUp, name: &str) -> tidemark_model::HostId {
    let host = fleet.host(name).await;
    let now = fleet.started.app.clock.now();
    fleet.deliver(host, leaky_samples(now)).await;
    host
}

/// Four days until `now` of which the last three leak.
pub fn leaky_samples(now: Timestamp) -> Vec<Sample> {
    let now = now.unix_ms();
    (0..4 * 288)
        .map(|number: i64| {
            let at = Timestamp::from_unix_ms(now - (4 * 288 - number) * 300_000);
            let hour = at.unix_ms().rem_euclid(DAY_MS) as f64 / 3_600_000.0;
            let work = 700.0 + 400.0 * (1.0 - (std::f64::consts::TAU * hour / 24.0).cos());
            let leaked = 150.0 / 12.0 * (number - 288).max(0) as f64;
            sample(at, (work + leaked) as u32 + (number % 7) as u32, 150)
        })
        .collect()
}

#[tokio::test]
async fn the_own_history_gives_the_verdict_that_stands() {
    let fleet = MadeUp::start().await;
    let host = leaky_history(&fleet, "db-1").await;
    let culprit = fleet.started.app.live.read(host, |live| {
        let space = live.spaces.values().next().unwrap();
        space.forecast.culprit.as_ref().map(ToString::to_string)
    });
    assert_eq!(culprit.flatten().as_deref(), Some("w3wp.exe"));
    let predictions = fleet.folder().join("predictions.jsonl");
    let run = |args: &[&str]| {
        let folder = fleet.folder().display().to_string();
        let mut command = backtest();
        command
            .args(["--from-history", "--data-dir", &folder])
            .args(args);
        command.output().unwrap()
    };
    let path = predictions.display().to_string();
    let output = run(&["--predictions", &path]);
    assert!(output.status.success(), "{}", said(&output));
    let text = std::fs::read_to_string(&predictions).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["host"], "db-1");
    assert_eq!(last["alert"], true, "{last}");
    assert_eq!(last["culprit"], "w3wp.exe");
    let now = fleet.started.app.clock.now().unix_ms().to_string();
    let explained = run(&["--explain", "db-1", "--at", &now]);
    let account = String::from_utf8(explained.stdout.clone()).unwrap();
    assert!(
        account.contains("reported (leak)"),
        "{account}{}",
        said(&explained)
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let nothing = backtest()
        .args(["--from-history", "--predictions", &path, "--data-dir"])
        .arg(elsewhere.path())
        .output()
        .unwrap();
    assert!(!nothing.status.success());
    assert!(
        said(&nothing).contains("cannot be opened"),
        "{}",
        said(&nothing)
    );
}

/// An audit that says what the kernel's release is, and nothing else.
fn audit(at: Timestamp, release: &str) -> HostAudit {
    let mut audit = HostAudit::empty(at);
    audit.topics.insert(Topic::System, TopicState::Read);
    audit.facts.push(AuditFact {
        key: FactKey::of(FactName::KernelRelease),
        state: FactState::Known(FactValue::text(release)),
    });
    audit
}

#[tokio::test]
async fn the_own_history_is_compared_by_what_the_audits_said() {
    let fleet = MadeUp::start().await;
    let now = fleet.started.app.clock.now();
    let hosts = (0..21).map(async |number| {
        let name = format!("db-{number:02}");
        let (host, release) = if number < 7 {
            (leaky_history(&fleet, &name).await, "6.1.0-19")
        } else {
            let host = fleet.host(&name).await;
            fleet.deliver(host, vec![sample(now, 700, 150)]).await;
            (host, "6.1.0-18")
        };
        let audited = fleet.started.app.take_audit(host, audit(now, release), 0);
        audited.await.unwrap();
    });
    futures::future::join_all(hosts).await;
    let predictions = fleet.folder().join("predictions.jsonl");
    let output = backtest()
        .args(["--from-history", "--predictions"])
        .arg(&predictions)
        .arg("--data-dir")
        .arg(fleet.folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let text = std::fs::read_to_string(predictions).unwrap();
    let mut groups = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line.get("group").is_some());
    let group = groups.next_back().expect("a common cause");
    assert_eq!(group["group"]["attribute"], "kernel_release", "{group}");
    assert_eq!(group["group"]["value"], "6.1.0-19", "{group}");
    assert_eq!(group["group"]["having"], 7, "{group}");
}
