//! The Ansible role on a clean Debian: installed by either way, run again without a change, changed, upgraded, removed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use tidemark_tests::harness::wine::workspace;
use tidemark_tests::harness::{
    Controller, Debian, Finished, Machine, Neighbour, STARTING, Up, on_own_network,
};

use crate::deb::{is_there, is_well, main_pid, package, unit_is};
use crate::manifests::python;
use crate::tar::tarball;

const AGENT: &str = "tidemark-agent";

/// A machine with Ansible, and a clean host that it reaches.
struct Site {
    controller: Controller,
    host: Debian,
    folder: PathBuf,
    address: String,
    token: String,
}

impl Site {
    async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let up = Up::for_neighbours();
        let controller = Controller::up(machine, &up).await?;
        let network = Neighbour::start(machine, (1, "web-1"), (20_000, 20_999)).await?;
        let address = format!("{}:{}", network.near_address(), up.grpc_port);
        let host = Debian::boot(machine, network, &[]).await?;
        // Ansible's own way over SSH, on a wire that enters the host: whom it calls and how is left out, the command is last.
        let wire = machine.folder().join("ssh");
        let script = format!(
            "#!/bin/sh\nfor last; do :; done\nexec {} -- sh -c \"$last\"\n",
            host.entry().join(" ")
        );
        fs::write(&wire, script)?;
        fs::set_permissions(&wire, fs::Permissions::from_mode(0o755))?;
        let inventory = format!(
            "[tidemark_agents]\nweb-1 ansible_ssh_executable={} ansible_ssh_transfer_method=piped ansible_become=false ansible_python_interpreter=/usr/bin/python3\n",
            wire.display()
        );
        fs::write(machine.folder().join("inventory.ini"), inventory)?;
        Ok(Self {
            token: controller.join_token().await?.token,
            controller,
            host,
            folder: machine.folder().to_owned(),
            address,
        })
    }

    /// Plays the example's play with these variables; how many tasks changed something.
    async fn play(&self, token: &str, variables: &[&str]) -> anyhow::Result<Result<u32, String>> {
        let ansible = workspace().join("deploy/ansible");
        let mut play = python();
        play.arg(workspace().join("target/python/bin/ansible-playbook"))
            .arg("-i")
            .arg(self.folder.join("inventory.ini"))
            .arg(ansible.join("agents.yml"))
            .args(["-e", &format!("tidemark_agent_controller={}", self.address)])
            .args([
                "-e",
                &format!("tidemark_agent_packages={}/packages", self.folder.display()),
            ])
            .env("ANSIBLE_CONFIG", ansible.join("ansible.cfg"))
            .env("ANSIBLE_HOME", self.folder.join("ansible"))
            .env("ANSIBLE_NOCOLOR", "1")
            .env("TIDEMARK_JOIN_TOKEN", token);
        for variable in variables {
            play.args(["-e", variable]);
        }
        let played = Finished::of(play).await?;
        anyhow::ensure!(
            !played.stdout.contains("tm1."),
            "a token is shown: {}",
            played.stdout
        );
        if played.code != Some(0) {
            return Ok(Err(format!("{}{}", played.stdout, played.stderr)));
        }
        let changed = played.stdout.split("changed=").nth(1);
        let changed = changed.and_then(|rest| rest.split_whitespace().next());
        Ok(Ok(changed.context("a recap")?.parse()?))
    }

    /// As [`Self::play`], where it has to succeed.
    async fn plays(&self, token: &str, variables: &[&str]) -> anyhow::Result<u32> {
        let played = self.play(token, variables).await?;
        played.map_err(|said| anyhow::anyhow!(said))
    }
}

fn a_role_installs_changes_and_removes_by(method: &'static str) -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let packages = machine.folder().join("packages");
        for version in ["1.2.3", "1.2.4"] {
            match method {
                "deb" => package(&packages, version, &[AGENT]).await?,
                _ => tarball(&packages, version).await?,
            }
        }
        let site = Site::start(machine).await?;
        let by = format!("tidemark_agent_method={method}");
        let first = [&*by, "tidemark_agent_version=1.2.3"];
        let refused = site.play("", &first).await?.err().context("no token")?;
        assert!(refused.contains("This host is not enrolled"), "{refused}");
        assert!(!is_there(&site.host, "/etc/tidemark").await?);

        assert!(site.plays(&site.token, &first).await? > 0);
        let enrolled = site.controller.first_sample(STARTING).await?;
        assert_eq!(enrolled.name, "web-1");
        is_well(&site.host).await?;
        let before = main_pid(&site.host, AGENT).await?;
        // The same again, also without a token: nothing to change, and nothing starts anew.
        assert_eq!(site.plays(&site.token, &first).await?, 0);
        assert_eq!(site.plays("", &first).await?, 0);
        assert_eq!(main_pid(&site.host, AGENT).await?, before);

        // Another setting is a change of the file and a restart; so is another version.
        let set = r#"{"tidemark_agent_settings": {"interval": "2s"}, "tidemark_agent_labels": {"site": "vie"}}"#;
        assert_eq!(site.plays("", &[first[0], first[1], set]).await?, 2);
        let after = main_pid(&site.host, AGENT).await?;
        assert_ne!(after, before);
        let second = [&*by, "tidemark_agent_version=1.2.4", set];
        assert!(site.plays("", &second).await? > 0);
        assert_ne!(main_pid(&site.host, AGENT).await?, after);
        assert_eq!(site.plays("", &second).await?, 0);
        assert_eq!(unit_is(&site.host, "is-active", AGENT).await?, "active");
        assert_eq!(site.controller.only_host().await?.id, enrolled.id);

        for (state, stays) in [("absent", true), ("purged", false)] {
            let state = format!("tidemark_agent_state={state}");
            let removing = [&*by, "tidemark_agent_version=1.2.4", &state];
            assert!(site.plays("", &removing).await? > 0);
            assert_eq!(site.plays("", &removing).await?, 0);
            assert_eq!(is_there(&site.host, "/var/lib/tidemark").await?, stays);
            assert_eq!(
                is_there(&site.host, "/etc/tidemark/agent.toml").await?,
                stays
            );
        }
        is_well(&site.host).await
    })
}

#[test]
fn the_role_installs_changes_and_removes_by_the_package() -> anyhow::Result<()> {
    a_role_installs_changes_and_removes_by("deb")
}

#[test]
fn the_role_installs_changes_and_removes_by_the_tarball() -> anyhow::Result<()> {
    a_role_installs_changes_and_removes_by("tar")
}
