//! What breaks beneath the programs: a typing error in a configuration, a damaged database or spool, a disk that is full.
//! Each is named or counted, and ends when its cause does.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::view::HostDetail;
use tidemark_runtime::Clock;
use tidemark_tests::harness::disk::{Filler, on_small_disk, seen_by};
use tidemark_tests::harness::peer::sample;
use tidemark_tests::harness::{
    AgentFolder, Controller, Finished, Peer, Process, SOON, Up, on_own_network, program, until,
};

const STOP_TIMEOUT: Duration = Duration::from_secs(15);

#[test]
fn an_unknown_configuration_key_names_the_nearest_known_one() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let file = machine.folder().join("controller.toml");
        fs::write(
            &file,
            "grcp = \"127.0.0.1:7443\"\nretention.rav = \"14d\"\n",
        )?;
        let mut check = program("tidemark-controller")?;
        check.arg("config-check").arg("--config").arg(&file);
        let checked = Finished::of(check).await?;
        assert_eq!(checked.code, Some(1), "{checked:?}");
        for word in ["grcp", "grpc", "retention.rav", "retention.raw"] {
            assert!(checked.stderr.contains(word), "{word}: {}", checked.stderr);
        }

        let agent = AgentFolder::create(machine, "agent", "127.0.0.1:7443", "")?;
        agent.add_config("intervall = \"1s\"\nspool.byte_max = 5")?;
        let refused = Finished::of(agent.command("run")?).await?;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        for word in ["intervall", "interval", "spool.byte_max", "spool.bytes_max"] {
            assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
        }
        Ok(())
    })
}

#[test]
fn a_damaged_database_is_refused_with_how_to_restore_it_and_left_as_it_is() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::alone();
        let controller = Controller::up(machine, &up).await?;
        let peer = Peer::enrolled(&controller, "host").await?;
        peer.deliver(1, async |mut session| {
            let now = Clock::System.now();
            session.samples(1, &[sample(now, 5)]).await?;
            session.acked(1).await
        })
        .await?;
        assert_eq!(controller.stop().await?.code(), Some(0));

        let path = up.data_dir(machine).join("tidemark.db");
        let whole = fs::read(&path)?;
        let overwrite = |from: usize, bytes: usize| {
            let mut damaged = whole.clone();
            let part = damaged.get_mut(from..from + bytes);
            // What a power cut leaves of blocks that were never written.
            part.context("the database is smaller")?.fill(0);
            fs::write(&path, &damaged)?;
            anyhow::Ok(damaged)
        };
        for (from, bytes) in [(0, 100), (4_096, 8 * 4_096), (whole.len() - 4_096, 4_096)] {
            let damaged = overwrite(from, bytes)?;
            let mut refused = up.start(machine)?;
            let ended = refused.wait(STOP_TIMEOUT).await?;
            assert_eq!(ended.code(), Some(1), "{}", refused.said());
            let said = refused.stderr()?;
            assert!(said.contains("is damaged"), "byte {from}: {said}");
            assert!(said.contains("backup in its place"), "byte {from}: {said}");
            assert!(said.contains("controller repair"), "byte {from}: {said}");
            assert_eq!(fs::read(&path)?, damaged, "it is left as it is");
        }

        // What it tells to do helps.
        fs::write(&path, &whole)?;
        let restored = Controller::up(machine, &up).await?;
        assert_eq!(restored.only_host().await?.name, "host");
        Ok(())
    })
}

#[test]
fn damaged_spool_records_are_skipped_and_counted() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up::alone();
        let mut controller = Controller::up(machine, &up).await?;
        let token = controller.join_token().await?;
        let folder = AgentFolder::create(machine, "agent", &token.controller, &token.token)?;
        let mut agent = folder.run()?;
        controller.first_sample(SOON).await?;
        controller.process.kill().await?;
        let segment = newest_segment(&folder.data_dir().join("spool"))?;
        let before = fs::metadata(&segment)?.len();
        let after = until("four more records in the spool", SOON, async || {
            let bytes = fs::metadata(&segment)?.len();
            Ok((bytes > before + 4 * 300).then_some(bytes))
        })
        .await?;
        agent.kill().await?;
        let mut file = OpenOptions::new().write(true).open(&segment)?;
        file.seek(SeekFrom::Start(before + (after - before) / 2))?;
        file.write_all(&[0xa5; 8])?;
        file.sync_all()?;

        let controller = Controller::up(machine, &up).await?;
        let mut agent = folder.run()?;
        agent.complains_of("spool was damaged", SOON).await?;
        let host = until("the damage is counted", SOON, async || {
            let host = only_detail(&controller).await?;
            Ok(host
                .delivery
                .dropped
                .contains_key("damaged")
                .then_some(host))
        })
        .await?;
        let lost = host.delivery.dropped["damaged"];
        assert!((1..=4).contains(&lost), "{lost} records for 8 bytes");
        let stored = host.delivery.stored;
        until("later samples", SOON, async || {
            let host = only_detail(&controller).await?;
            Ok((host.delivery.stored > stored + 2).then_some(()))
        })
        .await?;
        assert_accounted_for(&controller, &folder, &mut agent).await
    })
}

#[test]
fn a_controller_whose_disk_is_full_keeps_answering_and_takes_everything_when_there_is_room()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let up = Up {
            disk: Some("6m"),
            ..Up::alone()
        };
        let controller = Controller::up(machine, &up).await?;
        let peer = Peer::enrolled(&controller, "host").await?;
        peer.deliver(1, async |mut session| {
            let filler = Filler::fill(controller.data_dir())?;
            let samples = |first: u64| {
                let now = Clock::System.now();
                (first..first + 50).map(move |seq| sample(now, 100 + seq as u32 % 50))
            };
            let mut sent = 0;
            until("the full disk is noticed", SOON, async || {
                let batch: Vec<_> = samples(sent).collect();
                session.samples(sent + 1, &batch).await?;
                sent += 50;
                Ok((!controller.status().await?.database_ready).then_some(()))
            })
            .await?;
            assert!(controller.metric("tidemark_commits_failed_total").await? > 0);
            assert_eq!(controller.hosts().await?.len(), 1, "questions are answered");
            let (alive, _) = controller.get_as_stranger("/healthz").await?;
            let (ready, why) = controller.get_as_stranger("/readyz").await?;
            assert_eq!(
                (alive, ready),
                (200, 503),
                "it lives and says what is wrong"
            );
            assert!(why.contains("disk is full"), "{why}");

            drop(filler);
            session.acked(sent).await?;
            let host = only_detail(&controller).await?;
            assert_eq!(host.delivery.stored, sent);
            assert!(controller.status().await?.database_ready);
            Ok(())
        })
        .await
    })
}

#[test]
fn an_agent_whose_disk_is_full_counts_what_it_cannot_keep_and_goes_on() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let token = controller.join_token().await?;
        let folder = AgentFolder::create(machine, "agent", &token.controller, &token.token)?;
        folder.add_config("spool = { disk_percent_max = 50 }")?;
        let command = on_small_disk(&folder.command("run")?, &folder.data_dir(), "1m")?;
        let mut agent = Process::start("agent", command, machine.folder())?;
        controller.first_sample(SOON).await?;
        let filler = Filler::fill(&seen_by(agent.pid(), &folder.data_dir()))?;
        agent.complains_of("No space left", SOON).await?;
        until("the host to be shown as stale", SOON, async || {
            Ok((controller.only_host().await?.state == "stale").then_some(()))
        })
        .await?;

        drop(filler);
        let lost = until("records that could not be written", SOON, async || {
            let host = only_detail(&controller).await?;
            Ok(host.delivery.dropped.get("write_failed").copied())
        })
        .await?;
        assert!(lost > 0);
        let stored = only_detail(&controller).await?.delivery.stored;
        until("samples again", SOON, async || {
            let host = only_detail(&controller).await?;
            Ok((host.delivery.stored > stored + 3).then_some(()))
        })
        .await?;
        Ok(())
    })
}

async fn only_detail(controller: &Controller) -> anyhow::Result<HostDetail> {
    let id = controller.only_host().await?.id;
    controller.host(&id).await
}

/// produced = stored + dropped + in the spool, by the agent's last word and the controller's.
async fn assert_accounted_for(
    controller: &Controller,
    folder: &AgentFolder,
    agent: &mut Process,
) -> anyhow::Result<()> {
    let spool = folder.end(agent).await?;
    let delivery = only_detail(controller).await?.delivery;
    let dropped: u64 = delivery.dropped.values().sum();
    assert_eq!(
        spool.produced,
        delivery.stored + dropped + spool.held,
        "{delivery:?}, {spool:?}"
    );
    Ok(())
}

fn newest_segment(spool: &Path) -> anyhow::Result<PathBuf> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(spool)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            File::open(&path)?;
            segments.push(path);
        }
    }
    segments.sort();
    segments.pop().context("the spool has no segment")
}
