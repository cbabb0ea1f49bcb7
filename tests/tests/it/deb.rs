//! The Debian packages on a clean Debian: installed, configured, upgraded, removed, and what they leave behind.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tidemark_tests::harness::process::built;
use tidemark_tests::harness::wine::workspace;
use tidemark_tests::harness::{
    Controller, Debian, Finished, Neighbour, STARTING, Up, on_own_network, until,
};
use tokio::process::Command;

const CONFIG: &str = "/etc/tidemark/agent.toml";
const STATE: &str = "/var/lib/tidemark";

/// Packages the built programs, as the script does with those that are shipped.
async fn package(output: &Path, version: &str) -> anyhow::Result<()> {
    let programs = built("tidemark-agent")?;
    let programs = programs.parent().context("a folder of programs")?;
    let mut script = Command::new(workspace().join("deploy/linux/deb.sh"));
    script.arg("--programs").arg(programs);
    script.args(["--version", version, "--compression", "gzip"]);
    script.arg("--output").arg(output);
    Finished::of(script).await?.succeeded().map(drop)
}

/// What systemd says of the agent, whatever its exit code.
async fn unit_is(host: &Debian, verb: &str) -> anyhow::Result<String> {
    let said = host.run("systemctl", &[verb, "tidemark-agent"]).await?;
    Ok(said.stdout.trim().to_owned())
}

async fn main_pid(host: &Debian) -> anyhow::Result<String> {
    let show = "systemctl show tidemark-agent --value -p MainPID";
    Ok(host.shell(show).await?.trim().to_owned())
}

async fn is_there(host: &Debian, path: &str) -> anyhow::Result<bool> {
    Ok(host.run("test", &["-e", path]).await?.code == Some(0))
}

async fn install(host: &Debian, package: &str) -> anyhow::Result<String> {
    let install = format!("DEBIAN_FRONTEND=noninteractive dpkg --install /packages/{package} 2>&1");
    host.shell(&install).await
}

#[test]
fn the_agents_package_is_installed_upgraded_and_removed_without_a_trace() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let packages = machine.folder().join("packages");
        package(&packages, "1.2.3").await?;
        package(&packages, "1.2.4").await?;
        let up = Up::for_neighbours();
        let controller = Controller::up(machine, &up).await?;
        let network = Neighbour::start(machine, (1, "web-1"), (20_000, 20_999)).await?;
        let here = network.near_address();
        let brought: [(PathBuf, &str); 1] = [(packages, "/packages")];
        let host = Debian::boot(machine, network, &brought).await?;

        // Without a configuration it waits, says what to do, and nothing on the host is failed.
        let said = install(&host, "tidemark-agent_1.2.3_*.deb").await?;
        assert!(said.contains(CONFIG), "{said}");
        assert_eq!(unit_is(&host, "is-enabled").await?, "enabled");
        assert_eq!(unit_is(&host, "is-active").await?, "inactive");
        let state = host.shell("systemctl is-system-running").await?;
        assert_eq!(state.trim(), "running");

        let token = controller.join_token().await?.token;
        let config = format!(
            "controller = \"{here}:{}\"\ntoken_file = \"/etc/tidemark/join-token\"\ninterval = \"1s\"\n",
            up.grpc_port
        );
        host.write(CONFIG, &config).await?;
        host.write("/etc/tidemark/join-token", &token).await?;
        host.shell("chmod 600 /etc/tidemark/join-token; systemctl start tidemark-agent")
            .await?;
        let enrolled = controller.first_sample(STARTING).await?;
        assert_eq!(enrolled.name, "web-1");
        let before = main_pid(&host).await?;

        install(&host, "tidemark-agent_1.2.4_*.deb").await?;
        assert_ne!(main_pid(&host).await?, before);
        assert_eq!(unit_is(&host, "is-active").await?, "active");
        until("a sample after the upgrade", STARTING, async || {
            let host = controller.only_host().await?;
            anyhow::ensure!(host.id == enrolled.id, "it enrolled anew");
            Ok((host.state == "online" && host.sampled_ms > enrolled.sampled_ms).then_some(()))
        })
        .await?;

        // What the administrator switched off stays off.
        host.shell("systemctl disable --now tidemark-agent").await?;
        install(&host, "tidemark-agent_1.2.3_*.deb").await?;
        assert_eq!(unit_is(&host, "is-enabled").await?, "disabled");
        assert_eq!(unit_is(&host, "is-active").await?, "inactive");

        host.shell("dpkg --remove tidemark-agent").await?;
        assert!(!is_there(&host, "/usr/bin/tidemark-agent").await?);
        assert!(is_there(&host, CONFIG).await?);
        assert!(is_there(&host, STATE).await?);
        host.shell("dpkg --purge tidemark-agent").await?;
        assert!(!is_there(&host, "/etc/tidemark").await?);
        assert!(!is_there(&host, STATE).await?);
        let state = host.shell("systemctl is-system-running").await?;
        assert_eq!(state.trim(), "running");

        install(&host, "tidemark_1.2.3_*.deb").await?;
        let help = host.shell("tidemark --help").await?;
        assert!(help.contains("Usage: tidemark"), "{help}");
        Ok(())
    })
}

#[test]
fn the_same_programs_make_the_same_package() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let (one, other) = (machine.folder().join("one"), machine.folder().join("other"));
        package(&one, "1.2.3").await?;
        package(&other, "1.2.3").await?;
        let mut compare = Command::new("diff");
        compare.arg("-r").arg(&one).arg(&other);
        Finished::of(compare).await?.succeeded()?;
        let wrong = package(&one, "1.2").await.err().context("an error")?;
        assert!(wrong.to_string().contains("three numbers"), "{wrong}");
        Ok(())
    })
}
