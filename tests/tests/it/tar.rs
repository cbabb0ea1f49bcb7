//! The tarballs on a clean Debian: the agent installed without a package manager, upgraded, removed, and what it leaves behind.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tidemark_tests::harness::{
    Controller, Debian, Finished, Neighbour, STARTING, Up, on_own_network, until,
};
use tokio::process::Command;

use crate::deb::{by_a_private_user, is_there, is_well, main_pid, packed, packing, unit_is};

const AGENT: &str = "tidemark-agent";
const CONFIG: &str = "/etc/tidemark/agent.toml";
const STATE: &str = "/var/lib/tidemark";
const PROGRAM: &str = "/usr/local/bin/tidemark-agent";

/// Packs the agent's tarball.
pub(crate) async fn tarball(output: &Path, version: &str) -> anyhow::Result<()> {
    packed(
        packing("deploy/linux/tar.sh", output, version, &[AGENT])?,
        "fast",
    )
    .await
}

/// Runs the installer of a version, unpacked where root works.
async fn installer(host: &Debian, version: &str, arguments: &str) -> anyhow::Result<Finished> {
    let script = format!(
        "cd /root && tar -xzf /packages/tidemark-agent-{version}-linux-$(uname -m).tar.gz \
         && tidemark-agent-{version}-linux-$(uname -m)/install.sh {arguments} 2>&1"
    );
    host.run("sh", &["-ec", &script]).await
}

/// What is wrong is said before anything is written.
async fn refuses_what_is_wrong(host: &Debian, address: &str) -> anyhow::Result<()> {
    let joining = format!("--controller {address} --token-file /dev/null");
    let alone = format!("--controller {address}");
    for (arguments, says) in [
        (
            "--controller 'x:1\"; y' --token-file /dev/null",
            "no HOST:PORT",
        ),
        (&*joining, "no join token"),
        (&*alone, "go together"),
        ("--purge", "goes with --uninstall"),
        ("--prefix /opt", "unknown argument --prefix"),
    ] {
        let refused = installer(host, "1.2.3", arguments).await?;
        assert_ne!(refused.code, Some(0), "{arguments}");
        assert!(refused.stdout.contains(says), "{}", refused.stdout);
    }
    assert!(!is_there(host, PROGRAM).await? && !is_there(host, CONFIG).await?);
    Ok(())
}

#[test]
fn a_tarball_installs_the_agent_upgrades_it_and_removes_it_without_a_trace() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let packages = machine.folder().join("packages");
        tarball(&packages, "1.2.3").await?;
        tarball(&packages, "1.2.4").await?;
        let up = Up::for_neighbours();
        let controller = Controller::up(machine, &up).await?;
        let network = Neighbour::start(machine, (1, "web-1"), (20_000, 20_999)).await?;
        let address = format!("{}:{}", network.near_address(), up.grpc_port);
        let brought: [(PathBuf, &str); 1] = [(packages, "/packages")];
        let host = Debian::boot(machine, network, &brought).await?;

        refuses_what_is_wrong(&host, &address).await?;

        let token = controller.join_token().await?.token;
        host.write("/root/token", &token).await?;
        let join = format!("--controller {address} --token-file - < /root/token");
        let installed = installer(&host, "1.2.3", &join).await?;
        assert!(
            installed.succeeded()?.contains("installed and started"),
            "it says so"
        );
        let enrolled = controller.first_sample(STARTING).await?;
        assert_eq!(enrolled.name, "web-1");
        assert_eq!(unit_is(&host, "is-enabled", AGENT).await?, "enabled");
        is_well(&host).await?;
        // As from the package: the hardened unit, and a token that root alone reads.
        let hardened = "systemctl show tidemark-agent --value -p ProtectSystem -p NoNewPrivileges; stat -c %a /etc/tidemark/join-token";
        assert_eq!(host.shell(hardened).await?, "strict\nyes\n600\n");

        let before = main_pid(&host, AGENT).await?;
        let again = installer(&host, "1.2.3", &join).await?;
        assert!(
            again.stdout.contains("is there already"),
            "{}",
            again.stdout
        );
        assert_eq!(main_pid(&host, AGENT).await?, before);
        installer(&host, "1.2.4", "").await?.succeeded()?;
        assert_ne!(main_pid(&host, AGENT).await?, before);
        until("a sample after the upgrade", STARTING, async || {
            let host = controller.only_host().await?;
            anyhow::ensure!(host.id == enrolled.id, "it enrolled anew");
            Ok((host.state == "online" && host.sampled_ms > enrolled.sampled_ms).then_some(()))
        })
        .await?;

        host.shell("systemctl disable --now tidemark-agent").await?;
        installer(&host, "1.2.3", "").await?.succeeded()?;
        assert_eq!(unit_is(&host, "is-enabled", AGENT).await?, "disabled");
        assert_eq!(unit_is(&host, "is-active", AGENT).await?, "inactive");

        installer(&host, "1.2.4", "--uninstall")
            .await?
            .succeeded()?;
        assert!(!is_there(&host, PROGRAM).await?);
        assert!(is_there(&host, CONFIG).await? && is_there(&host, STATE).await?);
        installer(&host, "1.2.4", "--uninstall --purge")
            .await?
            .succeeded()?;
        assert!(!is_there(&host, "/etc/tidemark").await? && !is_there(&host, STATE).await?);
        let left = "find / -xdev -path /packages -prune -o -path /root -prune -o -name '*tidemark*' -print";
        assert_eq!(host.shell(left).await?, "");
        is_well(&host).await
    })
}

#[test]
fn the_same_programs_make_the_same_tarballs_and_their_sums() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let (one, other) = (machine.folder().join("one"), machine.folder().join("other"));
        let script = |output| packing("deploy/linux/tar.sh", output, "1.2.3", &[]);
        packed(script(&one)?, "fast").await?;
        packed(by_a_private_user(&script(&other)?), "fast").await?;
        let mut compare = Command::new("diff");
        compare.arg("-r").arg(&one).arg(&other);
        Finished::of(compare).await?.succeeded()?;
        let mut check = Command::new("sha256sum");
        check
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(&one);
        let checked = Finished::of(check).await?.succeeded()?;
        assert_eq!(checked.matches(": OK").count(), 2, "{checked}");
        let wrong = tarball(&one, "1.2").await.err().context("an error")?;
        assert!(wrong.to_string().contains("three numbers"), "{wrong}");
        Ok(())
    })
}
