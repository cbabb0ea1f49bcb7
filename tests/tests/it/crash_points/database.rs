//! Whoever brings tables or history further dies at writes and syncs of the database, or has no room for them; the next one finishes,
//! and what it leaves is what one leaves to whom nothing happened.

use tidemark_runtime::Clock;
use tidemark_store::testing::{schema_of, sqlite_as_of};
use tidemark_tests::harness::peer::sample;
use tidemark_tests::harness::{Finished, Peer, program};

use super::*;

/// How many points are tried of each call and fate; see [`spread`].
const POINTS: u32 = 8;
const FATES: [Fate; 3] = [
    Fate::Killed,
    Fate::FailsOnce("ENOSPC"),
    Fate::FailsFromThereOn("ENOSPC"),
];
const CALLS: [&str; 4] = ["pwrite64", "fdatasync", "fsync", "ftruncate"];
const DATABASE: &str = "tidemark.db";
/// Samples of a host, half a minute apart: enough for hours that are whole.
const SAMPLES: u32 = 600;
const DAY_MS: i64 = 86_400_000;

/// Work on a database, as a command; on a copy of `base` each time.
struct Work<'m, C> {
    machine: &'m Machine,
    base: PathBuf,
    command: C,
}

/// How many points of each call were tried, and at how many of them it did not come to its end.
type Tried = BTreeMap<&'static str, (u32, u32)>;

impl<C: Fn(&Path) -> anyhow::Result<Command>> Work<'_, C> {
    /// A new copy of the base in the data folder that the commands are about.
    fn begin(&self) -> anyhow::Result<PathBuf> {
        let folder = self.machine.folder().join("worked-on");
        if fs::exists(&folder)? {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        fs::copy(&self.base, folder.join(DATABASE))?;
        Ok(folder)
    }

    async fn finish(&self, folder: &Path) -> anyhow::Result<()> {
        let finished = Finished::of((self.command)(folder)?).await?;
        finished.succeeded().map(drop)
    }

    fn mishap(folder: &Path, (call, nth): (&'static str, u32), fate: Fate) -> Mishap {
        let files = [DATABASE, "tidemark.db-wal", "tidemark.db-journal"];
        Mishap {
            call,
            nth,
            fate,
            files: files.map(|name| folder.join(name)).to_vec(),
        }
    }

    /// Calls of this kind in all.
    async fn count(&self, call: &'static str) -> anyhow::Result<u32> {
        let folder = self.begin()?;
        let log = self.machine.folder().join("calls.log");
        let never = Self::mishap(&folder, (call, 60_000), Fate::Killed);
        let counted = never.of_logged(&(self.command)(&folder)?, &log);
        Finished::of(counted).await?.succeeded()?;
        calls_in(&log, call)
    }

    /// Meets each fate at points of each call; `left` says what is left once the next one has finished.
    async fn fails_and_is_finished<L: PartialEq + std::fmt::Debug>(
        &self,
        left: impl AsyncFn(&Path) -> anyhow::Result<L>,
    ) -> anyhow::Result<Tried> {
        let folder = self.begin()?;
        self.finish(&folder).await?;
        let wanted = left(&folder).await?;
        let mut points = Tried::new();
        for call in CALLS {
            let calls = self.count(call).await?;
            let tries = spread(calls, POINTS).flat_map(|nth| FATES.map(|fate| (nth, fate)));
            for (nth, fate) in tries {
                let what = format!("{fate:?} at {call} {nth} of {calls}");
                let folder = self.begin()?;
                let mishap = Self::mishap(&folder, (call, nth), fate);
                let failing = mishap.of(&(self.command)(&folder)?);
                let has_failed = Finished::of(failing).await?.succeeded().is_err();
                self.finish(&folder).await.with_context(|| what.clone())?;
                assert_eq!(left(&folder).await?, wanted, "{what}");
                let (tried, failed) = points.entry(call).or_insert((0_u32, 0_u32));
                *tried += 1;
                *failed += u32::from(has_failed);
            }
        }
        Ok(points)
    }
}

fn assert_it_failed(points: &Tried) {
    let failed = points.values().map(|(_, failed)| failed).sum::<u32>();
    assert!(
        failed >= POINTS * 2,
        "points tried, and failures at them: {points:?}"
    );
}

fn controller(verb: &str, folder: &Path) -> anyhow::Result<Command> {
    let mut command = program("tidemark-controller")?;
    command.arg(verb).arg("--data-dir").arg(folder);
    Ok(command)
}

#[test]
fn tables_are_brought_up_to_date_wherever_the_one_before_died_or_had_no_room() -> anyhow::Result<()>
{
    on_own_network(async |machine| {
        let base = machine.folder().join("first.db");
        sqlite_as_of(&base, 1).await;
        let work = Work {
            machine,
            base,
            command: |folder: &Path| controller("migrate", folder),
        };
        let left = async |folder: &Path| Ok(schema_of(&folder.join(DATABASE)).await);
        assert_it_failed(&work.fails_and_is_finished(left).await?);
        Ok(())
    })
}

/// A controller took samples of two hosts, some hours long, and was stopped; where its database is.
async fn with_history(machine: &Machine) -> anyhow::Result<(PathBuf, i64)> {
    let up = Up::alone();
    let controller = Controller::up(machine, &up).await?;
    let now = Clock::System.now();
    for name in ["one", "two"] {
        let peer = Peer::enrolled(&controller, name).await?;
        peer.deliver(1, async |mut session| {
            let mut seq = 1;
            for hundred in 0..SAMPLES / 100 {
                let samples: Vec<_> = (0..100)
                    .map(|nth| {
                        let before = SAMPLES - hundred * 100 - nth;
                        let age = Duration::from_secs(30) * before;
                        sample(now.saturating_sub(age), 500 + nth * 7 % 31)
                    })
                    .collect();
                session.samples(seq, &samples).await?;
                seq += 100;
                session.acked(seq - 1).await?;
            }
            Ok(())
        })
        .await?;
    }
    assert_eq!(controller.stop().await?.code(), Some(0));
    Ok((up.data_dir(machine).join(DATABASE), now.unix_ms()))
}

#[test]
fn history_is_compacted_whole_wherever_the_one_before_died_or_had_no_room() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let (base, now_ms) = with_history(machine).await?;
        let beside = machine.folder().join("beside");
        fs::create_dir(&beside)?;
        let work = Work {
            machine,
            base,
            command: move |folder: &Path| {
                let mut command = program("compactor")?;
                command.arg("--database").arg(folder.join(DATABASE));
                command.arg("--folder").arg(&beside);
                command.args(["--at-ms", &(now_ms + DAY_MS).to_string()]);
                Ok(command)
            },
        };
        let left = async |folder: &Path| {
            // Which also decodes every point.
            let verified = Finished::of(controller("verify", folder)?).await?;
            let said = verified.succeeded()?;
            let history = said.lines().find(|line| line.contains("points"));
            history.map(str::to_owned).context(said.clone())
        };
        assert_it_failed(&work.fails_and_is_finished(left).await?);
        Ok(())
    })
}
