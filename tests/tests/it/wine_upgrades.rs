//! The Windows agent takes releases: its service is its supervisor as soon as the host's policy takes them.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use tidemark_model::upgrade::{HostStage, UpgradeState};
use tidemark_model::view::UpgradeHostView;
use tidemark_tests::harness::releases::{Releases, roll_out};
use tidemark_tests::harness::wine::stripped;
use tidemark_tests::harness::{Controller, Machine, STARTING, Up, on_own_network, until};

use crate::wine_service::Server;

struct Site {
    server: Server,
    controller: Controller,
    releases: Releases,
    folder: PathBuf,
}

impl Site {
    /// A server whose service was installed by hand, with a policy that takes what ann and bob sign.
    async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let server = Server::prepare(machine).await?;
        let controller = Controller::up(machine, &Up::alone()).await?;
        let releases = Releases::create(machine, &controller).await?;
        let token = ["token", "create", "--label", "tier=web"];
        let made: serde_json::Value = controller.cli_json(&token).await?;
        let token = made["token"].as_str().context("a join token")?;
        let install = [
            "service",
            "install",
            "--controller",
            &controller.ready.grpc,
            "--token",
            token,
            "--interval",
            "1s",
            "--upgrades-grace",
            "40s",
        ];
        server.told(&install).await?;
        let config = server.wine.drive().join("ProgramData/Tidemark/config");
        let policy = config.join("policy.toml");
        fs::write(&policy, releases.policy())?;
        fs::set_permissions(&policy, Permissions::from_mode(0o600))?;
        let site = Self {
            server,
            controller,
            releases,
            folder: machine.folder().to_owned(),
        };
        site.start_service().await?;
        Ok(site)
    }

    async fn start_service(&self) -> anyhow::Result<()> {
        let started = self.server.told(&["service", "start"]).await;
        started.with_context(|| self.logs())?;
        let found = self.controller.first_sample(STARTING).await;
        found.with_context(|| self.logs())?;
        Ok(())
    }

    fn logs(&self) -> String {
        let supervisor = self.server.state().join("supervisor.log");
        let supervisor = fs::read_to_string(supervisor).unwrap_or_default();
        format!("{supervisor}\n{}", self.server.log())
    }

    /// Brings a release and rolls it out until that state; the host, then.
    async fn release(
        &self,
        number: u32,
        file: &[u8],
        state: UpgradeState,
    ) -> anyhow::Result<UpgradeHostView> {
        let path = self.folder.join(format!("agent-{number}.exe"));
        fs::write(&path, file)?;
        let made_for = ("windows", &*path);
        self.releases
            .bring(&self.controller, number, made_for, &["ann", "bob"])
            .await?;
        let rolled = roll_out(&self.controller, number, state).await;
        let detail = rolled.with_context(|| self.logs())?;
        if state == UpgradeState::Halted {
            let number = detail.upgrade.upgrade.to_string();
            let stop = ["upgrade", "stop", &number];
            self.controller.cli(&stop).await?.succeeded()?;
        }
        detail.hosts.into_iter().next().context("a host")
    }

    /// Waits until the agent that runs is that program.
    async fn runs(&self, what: &str, program: &str) -> anyhow::Result<()> {
        let found = until(what, STARTING, async || {
            let started = format!("program={program}");
            let last = self.logs();
            let last = last
                .lines()
                .rfind(|line| line.contains("agent started by its supervisor"));
            Ok(last
                .is_some_and(|line| line.contains(&started))
                .then_some(()))
        });
        found.await.with_context(|| self.logs())
    }
}

#[test]
fn a_service_of_windows_switches_to_a_release_and_goes_back_from_one_that_does_not_run()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        // With what is for debuggers it is larger than a release may be.
        let installed = stripped(&site.server.program, machine.folder()).await?;
        // What follows the end of a program is no part of it: the same agent, and another file.
        let good = [&installed[..], b"1"].concat();
        let host = site.release(1, &good, UpgradeState::Done).await?;
        ensure!(host.stage == HostStage::Healthy, "{host:#?}");
        ensure!(host.running == Some(1), "{host:#?}");
        let host = site
            .release(2, b"MZ is all that is right here", UpgradeState::Halted)
            .await?;
        ensure!(host.stage == HostStage::RolledBack, "{host:#?}");
        ensure!(host.text.contains("cannot be started"), "{host:#?}");
        ensure!(
            host.running == Some(1),
            "the version before it runs: {host:#?}"
        );

        let service = site.server.json(&["service", "status"]).await?;
        let agent = site.server.json(&["status"]).await?;
        ensure!(agent["answers"] == true, "{agent}");
        ensure!(
            agent["agent"]["pid"] != service["process"],
            "the service is the agent's supervisor: {agent}, {service}"
        );
        site.server.told(&["service", "stop"]).await?;
        let status = site.server.json(&["service", "status"]).await?;
        ensure!(status["exit_code"] == 0, "{status}");
        ensure!(
            site.server.log().contains("agent stopped outcome=Clean"),
            "{}",
            site.logs()
        );
        site.server.told(&["service", "start"]).await?;
        site.runs(
            "the release after a restart",
            r"C:\ProgramData\Tidemark\state\versions\1\tidemark-agent.exe",
        )
        .await?;
        site.server.told(&["service", "stop"]).await?;
        // An administrator installs another program by hand.
        OpenOptions::new()
            .append(true)
            .open(&site.server.program)?
            .write_all(b"2")?;
        site.server.told(&["service", "start"]).await?;
        site.runs(
            "what was installed by hand",
            r"C:\Program Files\Tidemark\tidemark-agent.exe",
        )
        .await?;
        Ok(())
    })
}
