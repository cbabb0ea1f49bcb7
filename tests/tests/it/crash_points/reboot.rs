//! A host that restarts on order, as its agent sees it: the same folder, another boot.

use super::*;

/// Gives the agent alone a boot of its own, $1, and a `shutdown` that only notes how it was called, in the folder $2.
const OWN_BOOT: &str = r#"mount --bind "$1" /proc/sys/kernel/random/boot_id && mount --bind "$2" /usr/sbin && shift 2 && exec "$@""#;

impl Site {
    /// An agent in the boot of that name.
    fn boot(&self, boot: &str) -> anyhow::Result<Process> {
        let id = self.test_folder.join(format!("boot-{boot}"));
        fs::write(&id, format!("00000000-0000-4000-8000-00000000000{boot}\n"))?;
        let mut wrapper = Command::new("unshare");
        wrapper
            .args(["--mount", "sh", "-c", OWN_BOOT, "sh"])
            .arg(id)
            .arg(self.test_folder.join("sbin"));
        let command = wrapping(wrapper, &self.folder.command("run")?);
        Process::start("web-1", command, &self.test_folder)
    }

    fn add_shutdown(&self) -> anyhow::Result<()> {
        let sbin = self.test_folder.join("sbin");
        fs::create_dir(&sbin)?;
        let script = format!("#!/bin/sh\necho reboot >> {}\n", self.ran().display());
        fs::write(sbin.join("shutdown"), script)?;
        let mode = fs::Permissions::from_mode(0o755);
        Ok(fs::set_permissions(sbin.join("shutdown"), mode)?)
    }

    async fn reboot(&self) -> anyhow::Result<String> {
        let before = self.runs("reboot");
        let spec = json!({"action": "reboot", "grace_s": 0, "reason": "ports", "force": false});
        let id = self
            .operators
            .order(&self.controller, &self.host, spec)
            .await?;
        self.operators
            .approve_as_third(&self.controller, &id)
            .await?;
        until("the call of shutdown", PATIENCE, async || {
            Ok((self.runs("reboot") > before).then_some(()))
        })
        .await?;
        Ok(id)
    }
}

#[test]
fn a_restart_is_done_once_and_proven_by_another_boot() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        site.add_shutdown()?;
        let mut agent = site.boot("1")?;
        let id = site.reboot().await?;
        agent.kill().await?;
        let mut agent = site.boot("2")?;
        let states = [
            ActionState::Verifying,
            ActionState::Verified,
            ActionState::NotEffective,
        ];
        let detail = action_in(&site.controller, &id, &states, PATIENCE).await?;
        let report = detail.report.context("what its host said")?;
        let boots = report.changes.first().context("two boots")?;
        assert!(
            boots.before.as_deref().is_some_and(|id| id.ends_with('1')),
            "{boots:?}"
        );
        assert!(
            boots.after.as_deref().is_some_and(|id| id.ends_with('2')),
            "{boots:?}"
        );
        assert_eq!(site.runs("reboot"), 1);
        action_ended(&site.controller, &id, PATIENCE * 4).await?;

        // The agent alone was restarted: that is no restart of the host, and it is not ordered again.
        let id = site.reboot().await?;
        agent.kill().await?;
        let _agent = site.boot("2")?;
        let ended = action_ended(&site.controller, &id, PATIENCE).await?;
        assert_eq!(ended.action.state, ActionState::Failed, "{ended:#?}");
        assert_eq!(site.runs("reboot"), 2);
        Ok(())
    })
}
