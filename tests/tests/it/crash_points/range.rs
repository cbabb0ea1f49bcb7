//! The agent dies on the way of a dynamic range that reverts unless it is confirmed: what holds, what is kept for the next
//! starts and what is told are one thing.

use super::*;

const BEFORE: &str = "20000 20999";
const AFTER: &str = "20000 21999";
/// More than any action makes.
const NTH_MAX: u32 = 40;
/// Puts a folder of the test in place of the machine's, for the agent alone.
const OWN_SYSCTLS: &str =
    r#"mkdir -p /etc/sysctl.d && mount --bind "$1" /etc/sysctl.d && shift && exec "$@""#;

impl Site {
    fn sysctls(&self) -> PathBuf {
        self.test_folder.join("sysctl.d")
    }

    fn kept(&self) -> String {
        fs::read_to_string(self.sysctls().join("90-tidemark.conf")).unwrap_or_default()
    }

    fn run_with_own_sysctls(&self, command: &Command) -> anyhow::Result<Process> {
        let mut wrapper = Command::new("unshare");
        wrapper
            .args(["--mount", "sh", "-c", OWN_SYSCTLS, "sh"])
            .arg(self.sysctls());
        Process::start("web-1", wrapping(wrapper, command), &self.test_folder)
    }

    /// Sets the range up to `last`; whether the agent died on it at the `nth` record of its journal, and how it ended.
    async fn set(&self, last: u16, nth: u32) -> anyhow::Result<(bool, ActionDetail)> {
        let death = Mishap {
            // What was written is not lost with the process: only before it is there nothing.
            call: "write",
            nth,
            fate: Fate::Killed,
            files: vec![self.journal()],
        };
        let command = self.folder.command("run")?;
        let mut agent = self.run_with_own_sysctls(&death.of(&command))?;
        let spec = json!({"action": "set_dynamic_port_range", "protocol": "tcp", "family": "ipv4",
            "first": 20_000, "last": last, "lasting": "always", "confirm_within_s": 60});
        let order = self.operators.order(&self.controller, &self.host, spec);
        let id = order.await?;
        let path = format!("/api/v1/actions/{id}");
        let has_died = until(
            "the agent's death, or the end of it",
            PATIENCE,
            async || {
                if agent.ended()?.is_some() {
                    return Ok(Some(true));
                }
                let detail: ActionDetail = self.controller.get(&path).await?;
                Ok(detail.action.state.is_final().then_some(false))
            },
        )
        .await?;
        if has_died {
            agent = self.run_with_own_sysctls(&command)?;
        }
        let detail = action_ended(&self.controller, &id, PATIENCE).await?;
        self.end(&mut agent).await?;
        Ok((has_died, detail))
    }
}

#[test]
fn a_range_and_what_is_kept_of_it_are_one_whenever_its_agent_dies() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(20_000, 20_999)?;
        let site = Site::start(machine).await?;
        fs::create_dir(site.sysctls())?;
        let mut ends = BTreeMap::new();
        for nth in 1..=NTH_MAX {
            machine.set_dynamic_ports(20_000, 20_999)?;
            fs::remove_file(site.sysctls().join("90-tidemark.conf")).ok();
            let (has_died, detail) = site
                .set(21_999, nth)
                .await
                .with_context(|| nth.to_string())?;
            let holds = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
            let holds = holds?.split_whitespace().collect::<Vec<_>>().join(" ");
            let is_kept = site.kept().contains(AFTER);
            let state = detail.action.state;
            // Whether a range that stays helped, its samples say.
            let stays = [
                ActionState::Verified,
                ActionState::NotEffective,
                ActionState::TimedOut,
            ];
            let (range, kept) = if state == ActionState::RolledBack {
                (BEFORE, false)
            } else {
                assert!(stays.contains(&state), "{nth}: {detail:#?}");
                (AFTER, true)
            };
            assert_eq!(
                (holds.as_str(), is_kept),
                (range, kept),
                "{nth}: {detail:#?}"
            );
            *ends.entry(state.as_str()).or_insert(0) += 1;
            if !has_died {
                break;
            }
        }
        println!("how they came out: {ends:?}");
        assert!(ends.contains_key("rolled_back"), "{ends:?}");
        assert!(ends.values().sum::<u32>() >= 6, "{ends:?}");
        Ok(())
    })
}

#[test]
fn a_range_that_made_it_worse_is_undone_whenever_its_agent_dies() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(20_000, 20_999)?;
        let site = Site::start(machine).await?;
        fs::create_dir(site.sysctls())?;
        let (mut deaths, mut undone) = (0, 0);
        // What is behind its confirmation: that it is done, that it is undone, and what came of that.
        for (turn, nth) in (5..=NTH_MAX).enumerate() {
            machine.set_dynamic_ports(20_000, 20_999)?;
            fs::remove_file(site.sysctls().join("90-tidemark.conf")).ok();
            // Smaller each time: samples of the turns before are among those from before it.
            let last = 20_930 - 70 * u16::try_from(turn)?;
            let set = site.set(last, nth).await;
            let (has_died, detail) = set.with_context(|| nth.to_string())?;
            let holds = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
            let holds = holds?.split_whitespace().collect::<Vec<_>>().join(" ");
            let state = detail.action.state;
            let small = format!("20000 {last}");
            let (range, is_kept) = if state == ActionState::RolledBack {
                (BEFORE, false)
            } else {
                // Samples of the watched time were missing.
                assert_eq!(state, ActionState::TimedOut, "{nth}: {detail:#?}");
                (small.as_str(), true)
            };
            assert_eq!(
                (holds.as_str(), site.kept().contains(&small)),
                (range, is_kept),
                "{nth}: {detail:#?}"
            );
            undone += u32::from(state == ActionState::RolledBack);
            deaths += u32::from(has_died);
            if !has_died {
                break;
            }
        }
        println!("deaths: {deaths}, undone: {undone}");
        assert!(deaths >= 3 && undone >= 3, "{deaths} {undone}");
        Ok(())
    })
}
