//! Power cuts on an action's way, and on that of tables and history: agent and controller are killed at each of the calls that make
//! something durable. What was ordered is done at most once, ends, and is not lost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Signal, kill_process_group};
use serde_json::json;
use tidemark_model::ActionState;
use tidemark_model::view::ActionDetail;
use tidemark_tests::harness::counted::{TIRELESS_POLICY, TIRELESS_SETTINGS, write_script};
use tidemark_tests::harness::process::wrapping;
use tidemark_tests::harness::{
    AgentFolder, Controller, CountedHook, Fate, Machine, Mishap, Operators, Process, SOON,
    STARTING, Up, action_ended, action_in, on_own_network, until,
};
use tokio::process::Command;

mod agent;
mod controller;
mod database;
mod range;
mod reboot;
mod refused;
mod upgrade;

/// For an action whose host or controller dies on its way and comes back.
const PATIENCE: Duration = Duration::from_secs(60);
/// With it in the environment every point is tried.
const ALL: &str = "TIDEMARK_TEST_ALL_CRASH_POINTS";

/// Which of so many calls are died at: so many, evenly spread, or every one with [`ALL`] in the environment.
fn spread(calls: u32, points: u32) -> impl Iterator<Item = u32> {
    let stride = if std::env::var_os(ALL).is_some() {
        1
    } else {
        calls.div_ceil(points).max(1)
    };
    (1..=calls).step_by(stride as usize)
}

/// Calls of this kind in a log of `strace`.
fn calls_in(log: &Path, call: &str) -> anyhow::Result<u32> {
    let text = fs::read_to_string(log)?;
    let calls = text.lines().filter(|line| line.contains(call)).count();
    Ok(u32::try_from(calls)?)
}

/// A controller, and a host with a hook that leaves a line each time it runs.
struct Site {
    up: Up,
    controller: Controller,
    operators: Operators,
    folder: AgentFolder,
    test_folder: PathBuf,
    host: String,
    hook: CountedHook,
}

impl Site {
    async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let up = Up::configured(machine, TIRELESS_SETTINGS)?;
        let controller = Controller::up(machine, &up).await?;
        let token = controller.join_token().await?.token;
        let folder = AgentFolder::create(machine, "web-1", &controller.ready.grpc, &token)?;
        folder.allow(TIRELESS_POLICY)?;
        let hook = CountedHook::add_to(&folder, machine.folder().join("ran"), "")?;
        let site = Self {
            operators: Operators::of(&controller).await?,
            test_folder: machine.folder().to_owned(),
            host: String::new(),
            hook,
            up,
            controller,
            folder,
        };
        let mut agent = site.folder.run()?;
        let host = site.controller.first_sample(STARTING).await?.id;
        site.end(&mut agent).await?;
        Ok(Self { host, ..site })
    }

    fn journal(&self) -> PathBuf {
        self.folder.data_dir().join("actions.journal")
    }

    async fn end(&self, agent: &mut Process) -> anyhow::Result<bool> {
        // It may have died by itself.
        kill_process_group(agent.pid(), Signal::INT).ok();
        let status = agent.wait(SOON).await?;
        Ok(status.signal() == Some(Signal::KILL.as_raw()))
    }
}
