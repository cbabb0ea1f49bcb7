//! The audit log from end to end: a real agent witnesses it, a database restored from a backup is contradicted by that agent, and
//! the command line verifies the log and names what was altered.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tidemark_model::view::{AuditEntryView, AuditLogStatus, JoinTokenView, Page, WitnessView};
use tidemark_tests::harness::{
    AgentFolder, Controller, Finished, Machine, Process, SOON, STARTING, Up, on_own_network, until,
};

const SETTINGS: &str = "[audit_log]\ncheckpoint_every = \"1s\"\n";

/// A controller with one agent.
struct Site {
    up: Up,
    controller: Controller,
    folder: AgentFolder,
    _agent: Process,
}

impl Site {
    async fn up(machine: &Machine) -> anyhow::Result<Self> {
        let up = Up::configured(machine, SETTINGS)?;
        let controller = Controller::up(machine, &up).await?;
        let token = controller.join_token().await?.token;
        let folder = AgentFolder::create(machine, "web-1", &controller.ready.grpc, &token)?;
        let agent = folder.run()?;
        controller.first_sample(STARTING).await?;
        Ok(Self {
            up,
            controller,
            folder,
            _agent: agent,
        })
    }

    /// Adds so many entries, and waits until the agent holds a checkpoint of them.
    async fn grow(&self, entries: usize) -> anyhow::Result<u64> {
        for _ in 0..entries {
            self.controller.join_token().await?;
        }
        let status: AuditLogStatus = self.controller.get("/api/v1/audit-log/status").await?;
        let wanted = status.size.saturating_add(1);
        until("the agent to witness the log", SOON, async || {
            let held = held(&self.folder).await?;
            let size = held["size"].as_u64();
            Ok(size.filter(|size| *size >= wanted))
        })
        .await
    }

    /// Stops the controller, lets something be done to its database, and starts it again.
    async fn restarted(
        self,
        machine: &Machine,
        meanwhile: impl AsyncFnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let Self {
            up,
            controller,
            folder,
            _agent,
        } = self;
        controller.stop().await?;
        meanwhile(&up.data_dir(machine).join("tidemark.db")).await?;
        Ok(Self {
            controller: Controller::up(machine, &up).await?,
            up,
            folder,
            _agent,
        })
    }
}

/// Ends a program as a power cut would.
fn kill(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    Ok(kill_process(pid.context("no process")?, Signal::KILL)?)
}

/// What the agent says to hold of the log.
async fn held(folder: &AgentFolder) -> anyhow::Result<Value> {
    let mut status = folder.command("status")?;
    status.args(["-o", "json"]);
    let status = Finished::of(status).await?.succeeded()?;
    let status: Value = serde_json::from_str(&status)?;
    Ok(status["agent"]["link"]["audit_log"].clone())
}

#[test]
fn a_log_that_was_restored_from_a_backup_is_contradicted_by_a_real_agent() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::up(machine).await?;
        let early = site.grow(2).await?;
        let verified = site
            .controller
            .cli(&["audit", "verify", "--witnesses"])
            .await?;
        let said = verified.succeeded()?;
        anyhow::ensure!(said.contains("is as it was written"), "{said}");
        let backup = machine.folder().join("backup.db");
        let to = backup.clone();
        let site = site
            .restarted(machine, async |database| {
                fs::copy(database, &to).map(drop).context("the backup")
            })
            .await?;
        let late = site.grow(5).await?;
        anyhow::ensure!(late > early);

        let site = site
            .restarted(machine, async |database| {
                fs::copy(&backup, database).map(drop).context("the restore")
            })
            .await?;
        let contradiction = until("the agent to refuse the log", STARTING, async || {
            let held = held(&site.folder).await?;
            Ok(held["contradiction"]["text"].as_str().map(str::to_owned))
        })
        .await?;
        anyhow::ensure!(
            contradiction.contains("entries are missing"),
            "{contradiction}"
        );
        let witness = until("the controller to hear of it", SOON, async || {
            let page: Page<WitnessView> =
                site.controller.get("/api/v1/audit-log/witnesses").await?;
            Ok(page.items.into_iter().find(|one| one.fault.is_some()))
        })
        .await?;
        anyhow::ensure!(witness.size == late, "{witness:?}");
        until("an event that nobody misses", SOON, async || {
            let events = site.controller.events().await?;
            let told = events
                .iter()
                .any(|one| one.kind == "audit_log_contradicted");
            Ok(told.then_some(()))
        })
        .await?;
        let verified = site
            .controller
            .cli(&["audit", "verify", "--witnesses"])
            .await?;
        anyhow::ensure!(verified.code == Some(1), "{verified:?}");
        anyhow::ensure!(
            verified
                .stderr
                .contains(&format!("checkpoint counts {late}")),
            "{verified:?}"
        );
        anyhow::ensure!(
            site.controller
                .metric("tidemark_audit_log_contradictions")
                .await?
                == 1
        );
        let page = site.controller.get_text("/audit-log").await?;
        anyhow::ensure!(page.contains("contradicts this log"), "{page}");
        Ok(())
    })
}

#[test]
fn an_export_is_verified_without_a_controller_and_each_kind_of_tampering_is_named()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::up(machine).await?;
        site.grow(4).await?;
        let cli = async |args: &[&str]| site.controller.cli(args).await;
        let file = machine.folder().join("export.jsonl");
        let path = |path: &Path| path.display().to_string();
        cli(&["audit", "export", "--file", &path(&file)])
            .await?
            .succeeded()?;
        let key = cli(&["audit", "key"]).await?.succeeded()?;
        let note = machine.folder().join("note.txt");
        fs::write(
            &note,
            cli(&["audit", "key", "--checkpoint"]).await?.succeeded()?,
        )?;
        let whole = fs::read_to_string(&file)?;
        let lines: Vec<&str> = whole.lines().collect();
        anyhow::ensure!(lines.len() >= 5, "{whole}");
        let verify = async |lines: &[&str]| {
            fs::write(&file, format!("{}\n", lines.join("\n")))?;
            cli(&[
                "audit",
                "verify",
                "--file",
                &path(&file),
                "--checkpoint",
                &path(&note),
                "--key",
                key.trim(),
            ])
            .await
        };
        verify(&lines).await?.succeeded()?;
        let named = async |what: &str, lines: &[&str], part: &str| {
            let verified = verify(lines).await?;
            anyhow::ensure!(verified.code == Some(1), "{what}: {verified:?}");
            anyhow::ensure!(verified.stderr.contains(part), "{what}: {verified:?}");
            Ok(())
        };
        let mut gone = lines.clone();
        gone.remove(2);
        named("removed", &gone, "entry 3 is missing").await?;
        let mut moved = lines.clone();
        moved.swap(1, 2);
        named("moved", &moved, "entry 2 is missing").await?;
        let mut twice = lines.clone();
        twice.insert(3, lines[1]);
        named("inserted", &twice, "entry 2 is out of place").await?;
        let altered = lines[3].replace("\"outcome\":\"done\"", "\"outcome\":\"failed\"");
        let mut other = lines.clone();
        other[3] = &altered;
        named("altered", &other, "entry 4 was altered").await?;
        named("cut", &lines[..2], "entries 3 to").await?;
        Ok(())
    })
}

#[test]
fn a_controller_that_is_killed_leaves_no_change_without_an_entry_and_no_entry_without_its_change()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::configured(machine, SETTINGS)?;
        let mut made = 0;
        for round in 0..3 {
            let mut controller = Controller::up(machine, &up).await?;
            let admin = controller.token_of("ann", "admin").await?;
            let body = json!({"ttl_s": 600, "uses": 1});
            let posts = async {
                let mut answered = 0;
                // Until the controller is gone.
                while let Ok((201, _)) = controller.post_as(&admin, "/api/v1/tokens", &body).await {
                    answered += 1;
                }
                answered
            };
            let killed = async {
                let token = &controller;
                until("tokens to be made", SOON, async || {
                    let page: Page<Value> = token.get("/api/v1/tokens?limit=1000").await?;
                    Ok((page.items.len() >= made + 20 * (round + 1)).then_some(()))
                })
                .await?;
                kill(controller.ready.pid)
            };
            let (answered, killed) = tokio::join!(posts, killed);
            killed?;
            anyhow::ensure!(answered > 0, "nothing was made in round {round}");
            controller.process.wait(SOON).await?;
            let again = Controller::up(machine, &up).await?;
            let args = [
                "audit",
                "list",
                "--what",
                "join_token_create",
                "--outcome",
                "done",
                "--limit",
                "100000",
            ];
            let entries: Vec<AuditEntryView> = again.cli_json(&args).await?;
            let ids: BTreeSet<String> =
                entries.iter().filter_map(|one| one.on_id.clone()).collect();
            let tokens: Vec<JoinTokenView> = again.cli_json(&["get", "tokens"]).await?;
            let there: BTreeSet<String> = tokens.into_iter().map(|one| one.id).collect();
            anyhow::ensure!(ids == there, "{ids:?} are on record, {there:?} are there");
            made = there.len();
            again.cli(&["audit", "verify"]).await?.succeeded()?;
            again.stop().await?;
        }
        Ok(())
    })
}
