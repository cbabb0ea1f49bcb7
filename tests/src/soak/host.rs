//! A host: a real agent with a hook that leaves a line each time it runs, through all the lives of the agent.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tidemark_agent::status::{AgentStatus, LinkState};
use tidemark_agent_core::actions::JournalRecord;
use tidemark_model::{ActionState, HostId, SpoolCounts};
use tokio::process::Command;

use crate::harness::counted::TIRELESS_POLICY;
use crate::harness::process::wrapping;
use crate::harness::{AgentFolder, CountedHook, Machine, Process, until};
use crate::herd::field::Field;

/// For an agent that enrols.
const ENROL_PATIENCE: Duration = Duration::from_secs(60);
/// After controllers that were away agents wait up to a minute before they try again.
const IN_SESSION_PATIENCE: Duration = Duration::from_secs(180);
/// The hook takes a moment, in which its agent may die.
const TAKING_A_MOMENT: &str = "sleep 0.3";

/// A host and its agent, if that lives.
#[derive(Debug)]
pub struct Host {
    /// Names its files.
    pub name: String,
    /// Its id.
    pub id: HostId,
    hook: CountedHook,
    site: Site,
    agent: Option<Process>,
    lives: u32,
}

/// Where its agent runs.
#[derive(Debug)]
struct Site {
    folder: AgentFolder,
    network: String,
    machine: PathBuf,
}

/// What a host's journal holds.
#[derive(Clone, Debug, Default)]
pub struct JournalWord {
    /// Where each action stood last.
    pub stands: BTreeMap<String, ActionState>,
    /// How often it took each action.
    pub began: BTreeMap<String, u32>,
}

impl Host {
    /// Sets one up and lets it enrol.
    ///
    /// # Errors
    /// When something does not start, or it is not let in.
    pub async fn join(
        machine: &Machine,
        field: &Field<'_>,
        (name, token): (String, &str),
    ) -> anyhow::Result<Self> {
        let folder = AgentFolder::create(machine, &name, &field.agents_address(), token)?;
        folder.allow(TIRELESS_POLICY)?;
        let ran = folder.path().join("ran");
        let hook = CountedHook::add_to(&folder, ran, TAKING_A_MOMENT)?;
        let site = Site {
            folder,
            network: field.neighbour().network(),
            machine: machine.folder().to_owned(),
        };
        let agent = site.start(&name, 1)?;
        let enrolled = until("an agent to be let in", ENROL_PATIENCE, async || {
            let link = AgentStatus::read(&site.folder.data_dir()).map(|status| status.link);
            let link = link.ok().filter(|link| link.certificate.is_some());
            Ok(link.and_then(|link| link.host_id))
        });
        Ok(Self {
            id: enrolled.await.with_context(|| agent.said())?,
            name,
            hook,
            site,
            agent: Some(agent),
            lives: 1,
        })
    }

    /// Begins another life of its agent.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.lives += 1;
        self.agent = Some(self.site.start(&self.name, self.lives)?);
        Ok(())
    }

    /// Ends its agent as a power cut would.
    ///
    /// # Errors
    /// When it had ended by itself, or does not end.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut agent = self.agent.take().context("the agent is down")?;
        if let Some(status) = agent.ended()? {
            anyhow::bail!("{} ended by itself: {status}: {}", self.name, agent.said());
        }
        agent.kill().await
    }

    /// Ends its agent in order; what became of its records, by its own last word.
    ///
    /// # Errors
    /// When it had ended by itself, does not get through to a controller, or does not end well.
    pub async fn end(&mut self) -> anyhow::Result<SpoolCounts> {
        let mut agent = self.agent.take().context("the agent is down")?;
        // A file of the life before says nothing of this one.
        let pid = agent.pid().as_raw_pid().unsigned_abs();
        until("an agent in session", IN_SESSION_PATIENCE, async || {
            anyhow::ensure!(agent.ended()?.is_none(), "it ended by itself");
            let status = AgentStatus::read(&self.site.folder.data_dir()).ok();
            let is_there = |status: &AgentStatus| {
                status.pid == pid && status.link.state == LinkState::Connected
            };
            Ok(status.filter(is_there).map(drop))
        })
        .await
        .with_context(|| agent.said())?;
        let counts = self.site.folder.end(&mut agent).await?;
        let status = agent.ended()?.context("it was waited for")?;
        anyhow::ensure!(status.success(), "{status}: {}", agent.said());
        Ok(counts)
    }

    /// Lives of its agent so far.
    #[must_use]
    pub const fn lives(&self) -> u32 {
        self.lives
    }

    /// How often the hook ran, by mark.
    ///
    /// # Errors
    /// When its lines cannot be read.
    pub fn ran(&self) -> anyhow::Result<BTreeMap<String, u32>> {
        let mut runs = BTreeMap::new();
        for mark in self.hook.marks()? {
            *runs.entry(mark).or_insert(0) += 1;
        }
        Ok(runs)
    }

    /// Journals that the agent set aside because they were damaged, which no kill may do to them.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn damage(&self) -> anyhow::Result<Vec<String>> {
        let mut damage = Vec::new();
        for entry in fs::read_dir(self.site.folder.data_dir())? {
            let file = entry?.file_name().to_string_lossy().into_owned();
            if file.contains("damaged") {
                damage.push(format!("{}: {file}", self.name));
            }
        }
        Ok(damage)
    }

    /// What its journal says.
    ///
    /// # Errors
    /// When it cannot be read, or holds what no journal holds.
    pub fn journal(&self) -> anyhow::Result<JournalWord> {
        let text = fs::read_to_string(self.site.folder.data_dir().join("actions.journal"))?;
        let mut word = JournalWord::default();
        for line in text.lines() {
            let (_, json) = line.split_once(' ').context("a checksum")?;
            match serde_json::from_str(json)? {
                JournalRecord::Began { order, .. } => {
                    *word.began.entry(order.id.to_string()).or_insert(0) += 1;
                }
                JournalRecord::Reported { report } => {
                    word.stands.insert(report.id.to_string(), report.state);
                }
                JournalRecord::Undoing { .. }
                | JournalRecord::Acked { .. }
                | JournalRecord::Floor { .. }
                | JournalRecord::Forgotten { .. } => {}
            }
        }
        Ok(word)
    }
}

impl Site {
    fn start(&self, name: &str, life: u32) -> anyhow::Result<Process> {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net={}", self.network)).arg("--");
        let agent = wrapping(inside, &self.folder.command("run")?);
        Process::start(&format!("{name}-life-{life}"), agent, &self.machine)
    }
}
