//! A host that restarts on order, as its agent sees it: the same folder, another boot.

use tidemark_model::run::RunHostState;
use tidemark_model::view::RunDetail;

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
        write_script(&sbin.join("shutdown"), &self.hook.leaving("reboot"))
    }

    async fn reboot(&self) -> anyhow::Result<String> {
        let before = self.hook.runs("reboot")?;
        let spec = json!({"action": "reboot", "grace_s": 0, "reason": "ports", "force": false});
        let id = self
            .operators
            .order(&self.controller, &self.host, spec)
            .await?;
        self.operators
            .approve_as_third(&self.controller, &id)
            .await?;
        until("the call of shutdown", PATIENCE, async || {
            Ok((self.hook.runs("reboot")? > before).then_some(()))
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
        assert_eq!(site.hook.runs("reboot")?, 1);
        action_ended(&site.controller, &id, PATIENCE * 4).await?;

        // The agent alone was restarted: that is no restart of the host, and it is not ordered again.
        let id = site.reboot().await?;
        agent.kill().await?;
        let _agent = site.boot("2")?;
        let ended = action_ended(&site.controller, &id, PATIENCE).await?;
        assert_eq!(ended.action.state, ActionState::Failed, "{ended:#?}");
        assert_eq!(site.hook.runs("reboot")?, 2);
        Ok(())
    })
}

/// Plans a run that restarts the host, and has it approved by two others.
async fn restarting_run(site: &Site) -> anyhow::Result<String> {
    let controller = &site.controller;
    let spec = json!({"name": "restart", "reason": "patches", "list": [site.host], "needs_effect": false,
        "actions": [{"action": "reboot", "grace_s": 0, "reason": "patches", "force": false}]});
    let ann = controller.token_of("dan", "operator").await?;
    let (status, run) = controller.post_as(&ann, "/api/v1/runs", &spec).await?;
    anyhow::ensure!(status == 201, "{status}: {run}");
    let path = format!("/api/v1/runs/{}", run["number"]);
    for name in ["eve", "fay"] {
        let token = controller.token_of(name, "approver").await?;
        let yes = json!({"plan_hash": run["plan"]["hash"]});
        let approve = format!("{path}/approve");
        let (status, answer) = controller.post_as(&token, &approve, &yes).await?;
        anyhow::ensure!(status == 200, "{status}: {answer}");
    }
    Ok(path)
}

/// States of the run's one host that it goes through, each seen once, up to the last of these.
async fn seen(
    site: &Site,
    path: &str,
    until_one_of: &[RunHostState],
) -> anyhow::Result<Vec<RunHostState>> {
    let mut states = Vec::new();
    let ended = until("the host's state", PATIENCE, async || {
        let run: RunDetail = site.controller.get(path).await?;
        let state = run.hosts.first().context("a host")?.state;
        if states.last() != Some(&state) {
            states.push(state);
        }
        Ok(until_one_of.contains(&state).then_some(()))
    })
    .await;
    ended.with_context(|| format!("it went through {states:?}"))?;
    Ok(states)
}

#[test]
fn a_run_tells_a_restart_from_outside_and_fails_without_another_boot() -> anyhow::Result<()> {
    use RunHostState as S;
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        site.add_shutdown()?;
        let mut agent = site.boot("1")?;
        let path = restarting_run(&site).await?;
        let called = async |times| {
            until("the call of shutdown", PATIENCE, async || {
                Ok((site.hook.runs("reboot")? == times).then_some(()))
            })
            .await
        };
        called(1).await?;
        assert_eq!(seen(&site, &path, &[S::Sent]).await?.last(), Some(&S::Sent));
        agent.kill().await?;
        let down = seen(&site, &path, &[S::Down]).await?;
        assert!(!down.contains(&S::Up), "{down:?}");
        let mut agent = site.boot("2")?;
        let back = seen(&site, &path, &[S::Verified, S::Failed, S::Skipped]).await?;
        assert_eq!(back, [S::Down, S::Up, S::Verifying, S::Verified]);

        // The agent is back in the boot that it was in: the host was not restarted.
        let path = restarting_run(&site).await?;
        called(2).await?;
        agent.kill().await?;
        let _agent = site.boot("2")?;
        let back = seen(&site, &path, &[S::Verified, S::Failed, S::Skipped]).await?;
        assert_eq!(back.last(), Some(&S::Failed), "{back:?}");
        assert!(!back.contains(&S::Up), "{back:?}");
        Ok(())
    })
}
