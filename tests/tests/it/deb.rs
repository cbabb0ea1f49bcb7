//! The Debian packages on a clean Debian: installed, configured, upgraded, removed, and what they leave behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tidemark_tests::harness::process::{built, wrapping};
use tidemark_tests::harness::wine::workspace;
use tidemark_tests::harness::{
    Controller, Debian, Finished, Neighbour, STARTING, Up, on_own_network, until,
};
use tokio::process::Command;

const AGENT: &str = "tidemark-agent";
const CONTROLLER: &str = "tidemark-controller";
const CONFIG: &str = "/etc/tidemark/agent.toml";
const STATE: &str = "/var/lib/tidemark";
/// Programs for debuggers are large, and the machine may be busy with others.
pub(crate) const PACKING: Duration = Duration::from_secs(180);

/// Packages the built programs, as the script does with those that are shipped.
pub(crate) async fn package(output: &Path, version: &str, only: &[&str]) -> anyhow::Result<()> {
    let script = packing("deploy/linux/deb.sh", output, version, only)?;
    packed(script, "gzip").await
}

/// A script that is to pack the built programs, of its packages only these.
pub(crate) fn packing(
    script: &str,
    output: &Path,
    version: &str,
    only: &[&str],
) -> anyhow::Result<Command> {
    let programs = built("tidemark-agent")?;
    let programs = programs.parent().context("a folder of programs")?;
    let mut command = Command::new(workspace().join(script));
    command.arg("--programs").arg(programs);
    command.args(["--version", version]);
    command.args(only.iter().flat_map(|package| ["--only", package]));
    command.arg("--output").arg(output);
    Ok(command)
}

pub(crate) async fn packed(mut script: Command, compression: &str) -> anyhow::Result<()> {
    script.args(["--compression", compression]);
    let packed = Finished::within(script, PACKING).await?;
    packed.succeeded().map(drop)
}

/// The same where new files and folders are their owner's alone.
pub(crate) fn by_a_private_user(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"umask 077 && exec "$@""#, "sh"]);
    wrapping(shell, command)
}

/// What systemd says of a unit, whatever its exit code.
pub(crate) async fn unit_is(host: &Debian, verb: &str, unit: &str) -> anyhow::Result<String> {
    let said = host.run("systemctl", &[verb, unit]).await?;
    Ok(said.stdout.trim().to_owned())
}

pub(crate) async fn main_pid(host: &Debian, unit: &str) -> anyhow::Result<String> {
    let show = format!("systemctl show {unit} --value -p MainPID");
    Ok(host.shell(&show).await?.trim().to_owned())
}

/// That nothing on the host has failed.
pub(crate) async fn is_well(host: &Debian) -> anyhow::Result<()> {
    let state = host.run("systemctl", &["is-system-running"]).await?.stdout;
    let failed = host.shell("systemctl --failed --no-legend").await?;
    anyhow::ensure!(state.trim() == "running", "{state}: {failed}");
    Ok(())
}

pub(crate) async fn is_there(host: &Debian, path: &str) -> anyhow::Result<bool> {
    Ok(host.run("test", &["-e", path]).await?.code == Some(0))
}

pub(crate) async fn install(host: &Debian, package: &str) -> anyhow::Result<String> {
    let install = format!("DEBIAN_FRONTEND=noninteractive dpkg --install /packages/{package} 2>&1");
    host.shell(&install).await
}

#[test]
fn the_agents_package_is_installed_upgraded_and_removed_without_a_trace() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let packages = machine.folder().join("packages");
        package(&packages, "1.2.3", &[AGENT]).await?;
        package(&packages, "1.2.4", &[AGENT]).await?;
        let up = Up::for_neighbours();
        let controller = Controller::up(machine, &up).await?;
        let network = Neighbour::start(machine, (1, "web-1"), (20_000, 20_999)).await?;
        let here = network.near_address();
        let brought: [(PathBuf, &str); 1] = [(packages, "/packages")];
        let host = Debian::boot(machine, network, &brought).await?;

        // Without a configuration it waits, says what to do, and nothing on the host is failed.
        let said = install(&host, "tidemark-agent_1.2.3_*.deb").await?;
        assert!(said.contains(CONFIG), "{said}");
        assert_eq!(unit_is(&host, "is-enabled", AGENT).await?, "enabled");
        assert_eq!(unit_is(&host, "is-active", AGENT).await?, "inactive");
        is_well(&host).await?;

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
        let before = main_pid(&host, AGENT).await?;

        install(&host, "tidemark-agent_1.2.4_*.deb").await?;
        assert_ne!(main_pid(&host, AGENT).await?, before);
        assert_eq!(unit_is(&host, "is-active", AGENT).await?, "active");
        until("a sample after the upgrade", STARTING, async || {
            let host = controller.only_host().await?;
            anyhow::ensure!(host.id == enrolled.id, "it enrolled anew");
            Ok((host.state == "online" && host.sampled_ms > enrolled.sampled_ms).then_some(()))
        })
        .await?;

        // What the administrator switched off stays off.
        host.shell("systemctl disable --now tidemark-agent").await?;
        install(&host, "tidemark-agent_1.2.3_*.deb").await?;
        assert_eq!(unit_is(&host, "is-enabled", AGENT).await?, "disabled");
        assert_eq!(unit_is(&host, "is-active", AGENT).await?, "inactive");

        host.shell("dpkg --remove tidemark-agent").await?;
        assert!(!is_there(&host, "/usr/bin/tidemark-agent").await?);
        assert!(is_there(&host, CONFIG).await?);
        assert!(is_there(&host, STATE).await?);
        host.shell("dpkg --purge tidemark-agent").await?;
        assert!(!is_there(&host, "/etc/tidemark").await?);
        assert!(!is_there(&host, STATE).await?);
        is_well(&host).await?;
        Ok(())
    })
}

/// The hosts that the command line knows of on that machine.
async fn hosts(host: &Debian) -> anyhow::Result<Vec<serde_json::Value>> {
    let listed = host.shell("tidemark get hosts -o json").await?;
    Ok(serde_json::from_str(&listed)?)
}

/// That each package brings the bill of materials of its own program, and manual pages.
async fn assert_documented(host: &Debian) -> anyhow::Result<()> {
    for package in ["tidemark", AGENT, CONTROLLER] {
        let bill = format!("/usr/share/doc/{package}/{package}.cdx.json");
        let bill: serde_json::Value =
            serde_json::from_str(&host.shell(&format!("cat {bill}")).await?)?;
        let digest = host.shell(&format!("sha256sum /usr/bin/{package}")).await?;
        let listed = &bill["metadata"]["component"]["hashes"][0]["content"];
        let listed = listed.as_str().context("the program's digest")?;
        assert!(digest.starts_with(listed), "{package}: {listed} {digest}");
    }
    for page in ["tidemark-get-hosts", "tidemark-controller-serve"] {
        let path = format!("/usr/share/man/man1/{page}.1.gz");
        let manual = host.shell(&format!("gzip -dc {path}")).await?;
        assert!(manual.contains(".SH SYNOPSIS"), "{page}: {manual}");
    }
    Ok(())
}

#[test]
fn a_machine_is_set_up_from_packages_alone() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let packages = machine.folder().join("packages");
        package(&packages, "1.2.3", &[]).await?;
        package(&packages, "1.2.4", &[CONTROLLER]).await?;
        let network = Neighbour::start(machine, (1, "tide-1"), (20_000, 20_999)).await?;
        let brought: [(PathBuf, &str); 1] = [(packages, "/packages")];
        let host = Debian::boot(machine, network, &brought).await?;

        let said = install(&host, "tidemark*_1.2.3_*.deb").await?;
        assert!(said.contains("admin-token"), "{said}");
        until("the controller", STARTING, async || {
            let ready = "cat < /dev/null > /dev/tcp/127.0.0.1/7080";
            Ok((host.run("bash", &["-c", ready]).await?.code == Some(0)).then_some(()))
        })
        .await?;
        is_well(&host).await?;
        assert_documented(&host).await?;
        let owner = host
            .shell("ps -o user= -p $(systemctl show tidemark-controller --value -p MainPID)")
            .await?;
        assert_eq!(owner.trim(), "tidemark");

        // As the package says after its installation.
        host.shell(
            "tidemark-controller admin-token --config /etc/tidemark/controller.toml --name ann \
             | tidemark login --server http://127.0.0.1:7080 --token-file -",
        )
        .await?;
        let events = host.shell("tidemark get events -o json").await?;
        assert!(events.contains("was made for ann as admin"), "{events}");
        host.shell(
            "umask 077; tidemark token create --uses 1 --ttl 1h -o json | sed -n 's/.*\"token\": *\"\\([^\"]*\\)\".*/\\1/p' > /etc/tidemark/join-token; \
             printf 'controller = \"127.0.0.1:7443\"\ntoken_file = \"/etc/tidemark/join-token\"\ninterval = \"1s\"\n' > /etc/tidemark/agent.toml; \
             systemctl start tidemark-agent",
        )
        .await?;
        until("the host's first sample", STARTING, async || {
            let hosts = hosts(&host).await?;
            Ok(hosts
                .iter()
                .any(|host| host["state"] == "online")
                .then_some(()))
        })
        .await?;

        let before = main_pid(&host, CONTROLLER).await?;
        install(&host, "tidemark-controller_1.2.4_*.deb").await?;
        assert_ne!(main_pid(&host, CONTROLLER).await?, before);
        until("the same host after the upgrade", STARTING, async || {
            let asked = host
                .run("tidemark", &["get", "hosts", "-o", "json"])
                .await?;
            let is_up = asked.code == Some(0) && asked.stdout.contains("\"online\"");
            Ok(is_up.then_some(()))
        })
        .await?;
        assert_eq!(hosts(&host).await?.len(), 1);

        host.shell("dpkg --remove tidemark-controller").await?;
        assert_eq!(unit_is(&host, "is-active", CONTROLLER).await?, "inactive");
        assert!(is_there(&host, "/var/lib/tidemark-controller/pki").await?);
        host.shell("dpkg --purge tidemark-controller").await?;
        assert!(!is_there(&host, "/var/lib/tidemark-controller").await?);
        assert!(!is_there(&host, "/etc/tidemark/controller.toml").await?);
        assert!(is_there(&host, CONFIG).await?);
        is_well(&host).await
    })
}

#[test]
fn the_same_programs_make_the_same_package() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let (one, other) = (machine.folder().join("one"), machine.folder().join("other"));
        package(&one, "1.2.3", &[AGENT]).await?;
        let script = packing("deploy/linux/deb.sh", &other, "1.2.3", &[AGENT])?;
        packed(by_a_private_user(&script), "gzip").await?;
        let mut compare = Command::new("diff");
        compare.arg("-r").arg(&one).arg(&other);
        Finished::of(compare).await?.succeeded()?;
        for (version, only, says) in [
            ("1.2", AGENT, "three numbers"),
            ("1.2.3", "fleetsim", "there is no package fleetsim"),
        ] {
            let wrong = package(&one, version, &[only]).await.err();
            let wrong = wrong.context("an error")?.to_string();
            assert!(wrong.contains(says), "{wrong}");
        }
        Ok(())
    })
}
