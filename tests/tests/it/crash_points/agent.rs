//! The agent dies at each write, sync and rename of its journal.

use super::*;

/// More than any action makes.
const NTH_MAX: u32 = 40;

/// Which calls on which files, each swept by itself.
fn sweeps(site: &Site) -> Vec<(&'static str, Vec<PathBuf>)> {
    let journal = site.journal();
    let beside = site.folder.data_dir().join("actions.journal.new");
    vec![
        ("write", vec![journal.clone()]),
        ("fdatasync", vec![journal]),
        ("write", vec![beside.clone()]),
        ("fdatasync", vec![beside.clone()]),
        ("rename", vec![beside]),
        ("fsync", vec![site.folder.data_dir()]),
    ]
}

/// How the action came out whose agent died at one point.
async fn come_out(site: &Site, death: &Mishap, mark: &str) -> anyhow::Result<Option<ActionDetail>> {
    let mut agent = Process::start(
        "web-1",
        death.of(&site.folder.command("run")?),
        &site.test_folder,
    )?;
    let order = site
        .operators
        .order(&site.controller, &site.host, CountedHook::spec(mark));
    let id = order.await?;
    let path = format!("/api/v1/actions/{id}");
    let acked = format!("{{\"record\":\"acked\",\"id\":\"{id}\"}}");
    let has_died = until(
        "the agent's death, or the end of it",
        PATIENCE,
        async || {
            if agent.ended()?.is_some() {
                return Ok(Some(true));
            }
            let journal = fs::read_to_string(site.journal()).unwrap_or_default();
            let detail: ActionDetail = site.controller.get(&path).await?;
            Ok((detail.action.state.is_final() && journal.contains(&acked)).then_some(false))
        },
    )
    .await
    .with_context(|| agent.said())?;
    // What it wrote can be seen a moment before it dies.
    if !site.end(&mut agent).await? && !has_died {
        return Ok(None);
    }
    // What was left behind is taken up, and the agent dies again on it before it is taken up for good.
    let again = Mishap {
        call: "fdatasync",
        nth: 1,
        fate: Fate::Killed,
        files: vec![site.journal()],
    };
    let again = again.of(&site.folder.command("run")?);
    let mut agent = Process::start("web-1", again, &site.test_folder)?;
    until("another death, or the end of it", PATIENCE, async || {
        let detail: ActionDetail = site.controller.get(&path).await?;
        let is_over = agent.ended()?.is_some() || detail.action.state.is_final();
        Ok(is_over.then_some(()))
    })
    .await?;
    site.end(&mut agent).await?;
    let mut agent = site.folder.run()?;
    let detail = action_ended(&site.controller, &id, PATIENCE)
        .await
        .with_context(|| agent.said())?;
    site.end(&mut agent).await?;
    Ok(Some(detail))
}

#[test]
fn an_action_is_done_at_most_once_whenever_its_agent_dies() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        let mut points = BTreeMap::new();
        let mut ends = BTreeMap::new();
        for (call, files) in sweeps(&site) {
            for nth in 1..=NTH_MAX {
                let death = Mishap {
                    call,
                    nth,
                    fate: Fate::Killed,
                    files: files.clone(),
                };
                let file = files.first().context("a file")?.file_name();
                let place = format!("{call} of {}", file.context("a name")?.display());
                let mark = format!("{place} {nth}");
                let came_out = come_out(&site, &death, &mark).await;
                let Some(detail) = came_out.with_context(|| mark.clone())? else {
                    assert_eq!(site.hook.runs(&mark)?, 1, "nobody died: {mark}");
                    points.insert(place, nth - 1);
                    break;
                };
                let (state, runs) = (detail.action.state, site.hook.runs(&mark)?);
                // A failed one says that it may have been done or not.
                let is_as_told = (state == ActionState::Verified && runs == 1)
                    || (state == ActionState::Failed && runs <= 1);
                assert!(is_as_told, "{mark}: ran {runs} times: {detail:#?}");
                *ends.entry((state.as_str(), runs)).or_insert(0) += 1;
            }
        }
        println!("points of death: {points:?}; how they came out: {ends:?}");
        // Taken, running, done, and the end that the controller has stored, at least.
        assert!(points["write of actions.journal"] >= 5, "{points:?}");
        assert!(points["fdatasync of actions.journal"] >= 5, "{points:?}");
        assert_eq!(points.len(), 6);
        assert!(points.values().all(|deaths| *deaths > 0), "{points:?}");
        assert!(ends.contains_key(&("verified", 1)), "{ends:?}");
        assert!(ends.contains_key(&("failed", 1)), "{ends:?}");
        Ok(())
    })
}
