//! The supervisor and its agent die at each rename that an upgrade is made of: the host always comes back with an agent, and
//! ends at the new version.

use anyhow::Context as _;
use tidemark_model::upgrade::UpgradeState;
use tidemark_model::view::UpgradeDetail;

use super::*;
use tidemark_tests::harness::releases::{described, start_roll_out};

use crate::upgrades::Site as UpgradeSite;

/// More than any upgrade makes.
const NTH_MAX: u32 = 20;

/// Which files, each swept by itself; `number` is the release's.
fn sweeps(folder: &AgentFolder, number: u32) -> Vec<(&'static str, Vec<PathBuf>)> {
    let data = folder.data_dir();
    let both = |name: &str| {
        let slots = ["a", "b"].map(|slot| data.join(format!("{name}.{slot}.new")));
        Vec::from(slots)
    };
    let part = data.join("versions").join(format!("{number}.part"));
    vec![
        ("the file of the release", vec![part]),
        ("what the host has seen", both("upgrade-seen")),
        ("which version runs", both("upgrade-switch")),
    ]
}

/// Rolls a release out to a host that dies at one point on the way and comes back; whether it died.
async fn dies(site: &mut UpgradeSite, number: u32, death: &Mishap) -> anyhow::Result<bool> {
    site.end_agents().await?;
    let folder = site.folders[0].clone();
    let command = death.of(&folder.command("supervise")?);
    let mut agent = Process::start("web-1", command, &site.folder)?;
    site.release(number, &site.good(), &["ann", "bob"]).await?;
    let upgrade = start_roll_out(&site.controller, number).await?;
    let mut last = None;
    let has_died = until("a death, or the end of it", PATIENCE, async || {
        let is_dead = agent.ended()?.is_some();
        let detail: UpgradeDetail = described(&site.controller, upgrade).await?;
        let is_over = detail.upgrade.state != UpgradeState::Running;
        last = Some(detail);
        Ok((is_dead || is_over).then_some(is_dead))
    });
    let has_died = has_died.await.with_context(|| format!("{last:#?}"))?;
    kill_process_group(agent.pid(), Signal::INT).ok();
    agent.wait(SOON).await?;
    site.start_agents()?;
    let ended = until("the end of it", PATIENCE, async || {
        let detail: UpgradeDetail = described(&site.controller, upgrade).await?;
        let is_healthy = detail.upgrade.state == UpgradeState::Done
            && detail.hosts.iter().all(|host| host.running == Some(number));
        last = Some(detail);
        Ok(is_healthy.then_some(()))
    });
    ended.await.with_context(|| format!("{last:#?}"))?;
    Ok(has_died)
}

#[test]
fn a_host_ends_at_the_new_version_whenever_it_dies_on_the_way() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = UpgradeSite::start(machine, 1).await?;
        let mut number = 0;
        let mut points = BTreeMap::new();
        for sweep in 0..3 {
            for nth in 1..=NTH_MAX {
                number += 1;
                let mut sweeps = sweeps(&site.folders[0], number);
                let (what, files) = sweeps.swap_remove(sweep);
                let death = Mishap {
                    call: "rename",
                    nth,
                    fate: Fate::Killed,
                    files,
                };
                let died = dies(&mut site, number, &death).await;
                if !died.with_context(|| format!("{what} {nth}"))? {
                    points.insert(what, nth - 1);
                    break;
                }
            }
        }
        println!("points of death: {points:?}");
        assert!(points["the file of the release"] >= 1, "{points:?}");
        assert!(points["what the host has seen"] >= 4, "{points:?}");
        assert!(points["which version runs"] >= 6, "{points:?}");
        Ok(())
    })
}
