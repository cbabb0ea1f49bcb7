//! The controller dies at writes and syncs of its database, from the asking to the end.

use super::*;

/// How many points are tried of each call; see [`spread`].
const POINTS: u32 = 6;

impl Site {
    fn death(&self, call: &'static str, nth: u32) -> Mishap {
        let file = |name: &str| self.controller.data_dir().join(name);
        Mishap {
            call,
            nth,
            fate: Fate::Killed,
            files: vec![file("tidemark.db"), file("tidemark.db-wal")],
        }
    }

    /// Asks, approves and waits as an operator does who tries again when nobody answers.
    async fn drive(&mut self, machine: &Machine, mark: &str) -> anyhow::Result<ActionDetail> {
        loop {
            match self.try_to(mark).await {
                Ok(detail) => return Ok(detail),
                Err(error) => {
                    // An answer that breaks off may be seen before its end.
                    let end = self.controller.process.wait(SOON).await;
                    end.with_context(|| format!("{error:#}"))?;
                    self.controller = Controller::up(machine, &self.up).await?;
                }
            }
        }
    }

    async fn try_to(&self, mark: &str) -> anyhow::Result<ActionDetail> {
        let (controller, operators) = (&self.controller, &self.operators);
        let key = mark.replace(' ', "-");
        let asked = operators.ask_once(controller, (&self.host, &key), CountedHook::spec(mark));
        let id = asked.await?;
        let detail: ActionDetail = controller.get(&format!("/api/v1/actions/{id}")).await?;
        if detail.action.state == ActionState::Proposed {
            operators.approve(controller, &id).await?;
        }
        action_ended(controller, &id, PATIENCE).await
    }
}

/// Calls of this kind on the way of one action.
async fn count(site: &mut Site, machine: &Machine, call: &'static str) -> anyhow::Result<u32> {
    let log = machine.folder().join(format!("{call}.log"));
    let never = site.death(call, 60_000);
    let mut agent = site.folder.run()?;
    let mut strace = never.attach(site.controller.process.pid(), &log).await?;
    site.drive(machine, &format!("count {call}")).await?;
    site.end(&mut agent).await?;
    strace.interrupt()?;
    strace.wait(SOON).await?;
    calls_in(&log, call)
}

#[test]
fn an_action_is_done_once_whenever_its_controller_dies() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::start(machine).await?;
        let mut points = BTreeMap::new();
        for call in ["pwrite64", "fdatasync", "fsync"] {
            let calls = count(&mut site, machine, call).await?;
            for nth in spread(calls, POINTS) {
                let mark = format!("{call} {nth}");
                // One that has lost many sessions would take its time to come back.
                let mut agent = site.folder.run()?;
                let death = site.death(call, nth);
                let log = machine.folder().join("strace.log");
                let mut strace = death.attach(site.controller.process.pid(), &log).await?;
                let detail = site
                    .drive(machine, &mark)
                    .await
                    .with_context(|| mark.clone())?;
                assert_eq!(
                    detail.action.state,
                    ActionState::Verified,
                    "{mark}: {detail:#?}"
                );
                assert_eq!(site.hook.runs(&mark)?, 1, "{mark}: {detail:#?}");
                let has_died = strace.ended()?.is_some();
                if !has_died {
                    strace.interrupt()?;
                    strace.wait(SOON).await?;
                }
                site.end(&mut agent).await?;
                let (tried, died) = points.entry(call).or_insert((0_u32, 0_u32));
                *tried += 1;
                *died += u32::from(has_died);
            }
        }
        println!("points tried, and deaths at them: {points:?}");
        assert!(
            points.values().map(|(_, died)| died).sum::<u32>() >= POINTS,
            "{points:?}"
        );
        Ok(())
    })
}
