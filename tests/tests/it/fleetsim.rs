//! `fleetsim` as its users run it: a recording with faults in, a report that accounts for every line out.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tidemark_model::view::{HistoryView, JoinTokenCreated};
use tidemark_runtime::contexts::{self, Contexts};
use tidemark_tests::harness::{Controller, Finished, Machine, Up, on_own_network, program};

fn line(host: &str, seq: u64, events: &str) -> String {
    let at_ms = 1_767_571_200_000 + seq * 300_000;
    format!(
        r#"{{"host":"{host}","seq":{seq},"ts_unix_ms":{at_ms},"recv_unix_ms":{},"boot_unix_ms":1767000000000,"in_use":{},"capacity":16384,"established":600,"time_wait":100,"close_wait":5,"bound":40,"procs":[{{"name":"w3wp.exe","pid":812,"ports":500,"bound":20,"handles":900}}],"events":[{events}]}}"#,
        at_ms + 700,
        900 + seq
    )
}

/// Two hosts with three samples each; one line twice, two events, three faults.
fn recording() -> String {
    [
        line("web-1", 0, ""),
        line("web-2", 0, ""),
        "{\"host\":\"web-1\",\"seq\":".to_owned(),
        line(
            "web-1",
            1,
            r#"{"id":4227,"n":3},{"id":"deploy","svc":"orders","ver":"2.1"}"#,
        ),
        line("web-1", 0, ""),
        "not a sample".to_owned(),
        line("web-2", 2, ""),
        line("web-2", 1, ""),
        line("web-1", 2, "").replace("16384", "99999"),
        line("web-1", 3, ""),
    ]
    .join("\n")
}

async fn replay(
    machine: &Machine,
    controller: &Controller,
    token: &JoinTokenCreated,
    file: &Path,
) -> anyhow::Result<Finished> {
    let token_file = machine.folder().join("api-token");
    fs::write(&token_file, api_token(machine, controller)?)?;
    let mut command = program("fleetsim")?;
    command
        .args(["replay", "--speed", "max", "-o", "json", "--samples"])
        .arg(file)
        .args(["--controller", &token.controller, "--token", &token.token])
        .args(["--api", &controller.ready.http, "--api-token-file"])
        .arg(&token_file);
    Finished::of(command).await
}

/// The token that the controller wrote for the command line.
fn api_token(machine: &Machine, controller: &Controller) -> anyhow::Result<String> {
    let data_dir = controller
        .data_dir()
        .file_name()
        .context("no data folder")?;
    let folder = machine.config_dir().join(data_dir);
    let contexts = Contexts::load(&folder.join(contexts::FILE_NAME))?;
    let token = contexts
        .contexts
        .get(&controller.ready.context)
        .and_then(|context| context.token.as_ref());
    Ok(token.context("the context has no token")?.expose().clone())
}

fn figures<const N: usize>(report: &Value, names: [&str; N]) -> [Option<u64>; N] {
    names.map(|name| report.pointer(name).and_then(Value::as_u64))
}

#[test]
fn a_recording_with_faults_is_replayed_and_every_line_is_accounted_for() -> anyhow::Result<()> {
    on_own_network(async |machine: &Machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let token: JoinTokenCreated = controller
            .cli_json(&["token", "create", "--uses", "2"])
            .await?;
        let file = machine.folder().join("samples.jsonl");
        fs::write(&file, recording())?;
        let printed = replay(machine, &controller, &token, &file)
            .await?
            .succeeded()?;
        let report: Value = serde_json::from_str(&printed).context(printed)?;

        let read = figures(
            &report,
            [
                "/replay/lines",
                "/replay/samples",
                "/replay/events",
                "/replay/repeated",
                "/replay/malformed",
            ],
        );
        ensure!(read == [10, 6, 2, 1, 3].map(Some), "{report:#}");
        let named = report
            .pointer("/replay/first_malformed")
            .and_then(Value::as_array)
            .context("no malformed lines are named")?;
        let numbers: Vec<_> = named
            .iter()
            .filter_map(|fault| fault.get("line")?.as_u64())
            .collect();
        ensure!(numbers == [3, 6, 9], "{named:?}");
        let stored = figures(&report, ["/produced", "/acked", "/stored", "/in_spool"]);
        ensure!(stored == [8, 8, 8, 0].map(Some), "{report:#}");
        ensure!(report.pointer("/conserved") == Some(&Value::Bool(true)));

        // Moved in time, the recording has just ended.
        let query = "/api/v1/history?metric=in_use&agg=count&group_by=none&step_ms=3600000";
        let view: HistoryView = controller.get(query).await?;
        let points: f64 = view
            .series
            .iter()
            .flat_map(|series| &series.points)
            .filter_map(|(_, count)| *count)
            .sum();
        ensure!(points == 6.0, "{view:?}");
        Ok(())
    })
}

#[test]
fn what_cannot_be_replayed_is_said_with_what_to_do() -> anyhow::Result<()> {
    on_own_network(async |machine: &Machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let token = controller.join_token().await?;
        let file = machine.folder().join("samples.jsonl");
        fs::write(&file, "nothing\n")?;
        let failed = replay(machine, &controller, &token, &file).await?;
        ensure!(failed.code == Some(1), "{failed:?}");
        ensure!(failed.stderr.contains("there is no sample"), "{failed:?}");
        ensure!(failed.stderr.contains("line 1:"), "{failed:?}");

        // The token is for one host, the recording has two.
        fs::write(&file, recording())?;
        let partly = replay(machine, &controller, &token, &file).await?;
        let report: Value = serde_json::from_str(&partly.stdout).context(partly.stderr)?;
        let refused = figures(&report, ["/agents", "/refused_enrolments"]);
        ensure!(refused == [Some(1), Some(1)], "{report:#}");
        let reason = report.pointer("/refusals/0").and_then(Value::as_str);
        ensure!(
            reason.is_some_and(|reason| reason.contains("--uses")),
            "{report:#}"
        );

        let none = replay(machine, &controller, &token, &file).await?;
        ensure!(none.code == Some(1), "{none:?}");
        ensure!(
            none.stderr.contains("none of 2 hosts could enrol"),
            "{none:?}"
        );
        Ok(())
    })
}
