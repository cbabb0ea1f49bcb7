//! Upgrades of real agents by a real controller: signed at the command line, fetched, switched to, watched, and taken back when the
//! new version does not get well.

pub mod page;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use tidemark_model::upgrade::{HostStage, UpgradeState};
use tidemark_model::view::{UpgradeDetail, UpgradeHostView};
use tidemark_tests::harness::process::built;
use tidemark_tests::harness::releases::{PATIENCE, Releases, roll_out};
use tidemark_tests::harness::{
    AgentFolder, Controller, Machine, Process, SOON, STARTING, Up, on_own_network, until,
};

/// A controller and hosts that take what ann and bob sign together.
pub struct Site {
    pub controller: Controller,
    releases: Releases,
    pub folders: Vec<AgentFolder>,
    agents: Vec<Process>,
    pub folder: PathBuf,
    agent: PathBuf,
}

impl Site {
    pub async fn start(machine: &Machine, hosts: usize) -> anyhow::Result<Self> {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let releases = Releases::create(machine, &controller).await?;
        let mut folders = Vec::new();
        for number in 1..=hosts {
            let name = format!("web-{number}");
            let token = ["token", "create", "--label", "tier=web"];
            let made: serde_json::Value = controller.cli_json(&token).await?;
            let token = made["token"].as_str().context("a join token")?;
            let folder = AgentFolder::create(machine, &name, &controller.ready.grpc, token)?;
            folder.allow(releases.policy())?;
            folder.add_config("[upgrades]\ngrace = \"20s\"")?;
            folders.push(folder);
        }
        let mut site = Self {
            releases,
            folders,
            agents: Vec::new(),
            folder: machine.folder().to_owned(),
            agent: built("tidemark-agent")?,
            controller,
        };
        site.start_agents()?;
        until("every host's first sample", STARTING, async || {
            let all = site.controller.hosts().await?;
            let sampled = all.iter().filter(|host| host.sampled_ms.is_some()).count();
            Ok((sampled >= hosts).then_some(()))
        })
        .await?;
        Ok(site)
    }

    /// Starts every host's agent under its supervisor.
    pub fn start_agents(&mut self) -> anyhow::Result<()> {
        for (number, folder) in (1..).zip(&self.folders) {
            let name = format!("web-{number}");
            let command = folder.command("supervise")?;
            self.agents
                .push(Process::start(&name, command, &self.folder)?);
        }
        Ok(())
    }

    /// Ends them in order.
    pub async fn end_agents(&mut self) -> anyhow::Result<()> {
        for mut agent in self.agents.drain(..) {
            agent.interrupt()?;
            agent.wait(SOON).await?;
        }
        Ok(())
    }

    /// Brings a release of a script that stands for a version, signed by these.
    pub async fn release(&self, number: u32, script: &str, keys: &[&str]) -> anyhow::Result<()> {
        let release = (number, script);
        self.releases
            .bring_script(&self.controller, release, keys)
            .await
    }

    /// The one host that went back in a roll-out that halted, which is stopped then.
    async fn failed(&self, release: u32) -> anyhow::Result<UpgradeHostView> {
        let detail = roll_out(&self.controller, release, UpgradeState::Halted).await?;
        let number = detail.upgrade.upgrade.to_string();
        let stop = ["upgrade", "stop", &number];
        self.controller.cli(&stop).await?.succeeded()?;
        let failed = |host: &UpgradeHostView| host.stage != HostStage::Waiting;
        let mut begun = detail.hosts.into_iter().filter(failed);
        let host = begun.next().context("a host that failed")?;
        anyhow::ensure!(begun.next().is_none(), "one host is tried first");
        Ok(host)
    }

    /// What each host says to run, as its last roll-out shows.
    fn running(detail: &UpgradeDetail) -> Vec<Option<u32>> {
        detail.hosts.iter().map(|host| host.running).collect()
    }

    pub fn good(&self) -> String {
        format!("exec {} \"$@\"", self.agent.display())
    }
}

/// Brings release 1, which one key signed, for controllers whose hosts take none.
pub async fn bring_one(machine: &Machine, controller: &Controller) -> anyhow::Result<()> {
    let releases = Releases::create(machine, controller).await?;
    releases
        .bring_script(controller, (1, "exit 3"), &["ann"])
        .await
}

#[test]
fn a_signed_release_reaches_every_host_ring_after_ring() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine, 3).await?;
        site.release(1, &site.good(), &["ann", "bob"]).await?;
        let detail = roll_out(&site.controller, 1, UpgradeState::Done).await?;
        assert_eq!(
            detail.upgrade.stages.get(&HostStage::Healthy),
            Some(&3),
            "{detail:#?}"
        );
        assert_eq!(Site::running(&detail), [Some(1); 3], "{detail:#?}");
        // And from there to the next.
        site.release(2, &site.good(), &["ann", "bob"]).await?;
        let detail = roll_out(&site.controller, 2, UpgradeState::Done).await?;
        assert_eq!(Site::running(&detail), [Some(2); 3], "{detail:#?}");
        for folder in &site.folders {
            let versions = folder.data_dir().join("versions");
            assert!(versions.join("2").is_dir());
        }
        Ok(())
    })
}

#[test]
fn a_version_that_does_not_get_well_is_taken_back_by_its_host_and_halts_the_roll_out()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine, 2).await?;
        site.release(1, &site.good(), &["ann", "bob"]).await?;
        roll_out(&site.controller, 1, UpgradeState::Done).await?;
        let deaf = format!("{} --controller 127.0.0.1:1", site.good());
        for (number, script, part) in [
            (2, "exit 3".to_owned(), "ended by itself"),
            (
                3,
                "exec tail -f /dev/null".to_owned(),
                "not healthy within 20s",
            ),
            (4, deaf, "not healthy within 20s"),
            // Twice as much every 300 ms, without end.
            (
                5,
                "x=$(head -c 1000000 /dev/zero | tr '\\0' x); while :; do x=$x$x; sleep 0.3; done"
                    .to_owned(),
                "MB of memory, more than 96 MB",
            ),
        ] {
            site.release(number, &script, &["ann", "bob"]).await?;
            let host = site.failed(number).await?;
            assert_eq!(host.stage, HostStage::RolledBack, "{host:#?}");
            assert!(host.text.contains(part), "{host:#?}");
            assert_eq!(
                host.running,
                Some(1),
                "the version before it runs: {host:#?}"
            );
        }
        // The hosts are as able as before.
        site.release(6, &site.good(), &["ann", "bob"]).await?;
        let detail = roll_out(&site.controller, 6, UpgradeState::Done).await?;
        assert_eq!(Site::running(&detail), [Some(6); 2], "{detail:#?}");
        Ok(())
    })
}

#[test]
fn a_release_that_too_few_signed_is_installed_nowhere() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine, 1).await?;
        site.release(1, &site.good(), &["ann"]).await?;
        let host = site.failed(1).await?;
        assert_eq!(host.stage, HostStage::Refused, "{host:#?}");
        assert!(host.text.contains("1 of the 2 signatures"), "{host:#?}");
        let versions = site.folders[0].data_dir().join("versions");
        assert!(!fs::exists(versions.join("1"))?, "nothing is installed");
        assert_eq!(host.running, Some(0), "{host:#?}");
        Ok(())
    })
}
