//! Whoever brings tables or history further dies at writes and syncs of the database; the next one finishes, and what it leaves is
//! what one leaves that did not die.

use tidemark_runtime::Clock;
use tidemark_store::testing::{schema_of, sqlite_as_of};
use tidemark_tests::harness::peer::sample;
use tidemark_tests::harness::{Finished, Peer, program};

use super::*;

/// How many points are tried of each call; see [`spread`].
const POINTS: u32 = 8;
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

/// How many points of each call were tried, and at how many of them it died.
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

    fn death(folder: &Path, call: &'static str, nth: u32) -> Death {
        let files = [DATABASE, "tidemark.db-wal", "tidemark.db-journal"];
        Death {
            call,
            nth,
            files: files.map(|name| folder.join(name)).to_vec(),
        }
    }

    /// Calls of this kind in all.
    async fn count(&self, call: &'static str) -> anyhow::Result<u32> {
        let folder = self.begin()?;
        let log = self.machine.folder().join("calls.log");
        let death = Self::death(&folder, call, 60_000);
        let counted = death.of_logged(&(self.command)(&folder)?, &log);
        Finished::of(counted).await?.succeeded()?;
        calls_in(&log, call)
    }

    /// Dies at points of each call; `left` says what is left once the next one has finished.
    async fn dies_and_is_finished<L: PartialEq + std::fmt::Debug>(
        &self,
        left: impl AsyncFn(&Path) -> anyhow::Result<L>,
    ) -> anyhow::Result<Tried> {
        let folder = self.begin()?;
        self.finish(&folder).await?;
        let wanted = left(&folder).await?;
        let mut points = Tried::new();
        for call in CALLS {
            let calls = self.count(call).await?;
            for nth in spread(calls, POINTS) {
                let folder = self.begin()?;
                let dying = Self::death(&folder, call, nth).of(&(self.command)(&folder)?);
                let has_died = Finished::of(dying).await?.succeeded().is_err();
                self.finish(&folder)
                    .await
                    .with_context(|| format!("after a death at {call} {nth} of {calls}"))?;
                assert_eq!(left(&folder).await?, wanted, "{call} {nth} of {calls}");
                let (tried, died) = points.entry(call).or_insert((0_u32, 0_u32));
                *tried += 1;
                *died += u32::from(has_died);
            }
        }
        Ok(points)
    }
}

fn assert_it_died(points: &Tried) {
    let died = points.values().map(|(_, died)| died).sum::<u32>();
    assert!(
        died >= POINTS,
        "points tried, and deaths at them: {points:?}"
    );
}

fn controller(verb: &str, folder: &Path) -> anyhow::Result<Command> {
    let mut command = program("tidemark-controller")?;
    command.arg(verb).arg("--data-dir").arg(folder);
    Ok(command)
}

#[test]
fn tables_are_brought_up_to_date_whenever_the_one_before_died() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let base = machine.folder().join("first.db");
        sqlite_as_of(&base, 1).await;
        let work = Work {
            machine,
            base,
            command: |folder: &Path| controller("migrate", folder),
        };
        let left = async |folder: &Path| Ok(schema_of(&folder.join(DATABASE)).await);
        assert_it_died(&work.dies_and_is_finished(left).await?);
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
fn history_is_compacted_whole_whenever_the_one_before_died() -> anyhow::Result<()> {
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
        assert_it_died(&work.dies_and_is_finished(left).await?);
        Ok(())
    })
}
