//! `tidemark-controller repair`: a new SQLite file of what can be read of a damaged one. What is lost is counted and told; what the
//! new file cannot know ends as after a restore; the damaged one is kept.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tidemark_runtime::Clock;
use tidemark_store::{DatabaseUrl, HistoryPiece, Salvage, SalvageError, Salvaged, Store};
use tokio::io::AsyncWriteExt as _;

use super::aside::Damaged;
use super::draft::Draft;
use super::losses::{count_lost, say, summary, tell_hosts};
use super::manifest::KEYS;
use super::restore::{give_to_owner, print_ended};
use super::retire::{Retired, Retirement, retire};
use super::{tell, verify};
use crate::api::audit_log::line;
use crate::boot::DataFolder;
use crate::pki::Authority;
use crate::settings::Settings;

/// Entries of the audit log that are read at once.
const ENTRIES: u32 = 1_000;
/// What follows the name of the damaged file in that of its audit log's rest.
const REST: &str = ".audit-log.jsonl";

/// How it is repaired.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct RepairArgs {
    /// Only say what can be read and what is lost
    #[arg(long)]
    pub dry_run: bool,
    /// Keep the API tokens: none was revoked since the last commit that can be read
    #[arg(long)]
    pub keep_api_tokens: bool,
}

/// Repairs, and prints what is lost, what ended and what is to be looked at.
///
/// # Errors
/// Why not; the damaged database is as it was then, or the error says how to go on.
pub async fn run(settings: &Settings, args: RepairArgs) -> anyhow::Result<()> {
    let database = &settings.database;
    let Some(place) = database.sqlite_file() else {
        bail!(
            "{database} is a server's, which looks after its own pages: restore a backup of it (`restore --in-place` then)"
        );
    };
    let _folder = DataFolder::claim(&settings.data_dir)?;
    // Before anything else: a database without its authority serves nobody.
    Authority::open_existing(&settings.data_dir.join(KEYS))?;
    let damaged = Damaged::find(place, Clock::System.now())?;
    tell(&format!("reading {}", damaged.source().display()));
    let draft = Draft::of(place, ".repairing");
    let repaired = Repair {
        settings,
        damaged: &damaged,
        draft: &draft,
    };
    let done = repaired.run(args).await;
    // What was put in its place is not there any more.
    draft.remove();
    let Some((found, retired)) = done? else {
        return Ok(());
    };
    #[cfg(unix)]
    give_to_owner(settings)?;
    print(&found, &retired, damaged.kept())
}

struct Repair<'a> {
    settings: &'a Settings,
    damaged: &'a Damaged,
    draft: &'a Draft,
}

impl Repair<'_> {
    /// `None` when nothing was changed.
    async fn run(&self, args: RepairArgs) -> anyhow::Result<Option<(Salvaged, Retired)>> {
        let (source, draft) = (self.damaged.source(), &self.draft.file);
        let mut salvage = Salvage::read(source, draft, is_sound)
            .await
            .map_err(|error| explained(error, source))?;
        say(&salvage.found)?;
        let rest = match salvage.found.log.why {
            Some(_) if !args.dry_run => self.keep_rest(&mut salvage).await?,
            _ => None,
        };
        let found = salvage.finish().await?;
        let store = Store::open_existing(&DatabaseUrl::sqlite(draft)).await?;
        let retired = self.end(&store, &found, (args, rest)).await;
        store.close().await;
        let Some(retired) = retired? else {
            return Ok(None);
        };
        self.damaged.give_way(self.draft)?;
        Ok(Some((found, retired)))
    }

    /// Counts what is lost and ends what the new database cannot know; `None` when nothing is to be changed.
    async fn end(
        &self,
        store: &Store,
        found: &Salvaged,
        (args, rest): (RepairArgs, Option<PathBuf>),
    ) -> anyhow::Result<Option<Retired>> {
        let now = Clock::System.now();
        let mut tx = store.begin().await?;
        let counted = count_lost(&mut tx, found, now).await?;
        tell_hosts(&mut tx, found, now).await?;
        tx.commit().await?;
        if counted > 0 {
            writeln!(
                std::io::stdout(),
                "{counted} records of hosts are counted as lost after their ack, at least"
            )?;
        }
        let mut out = std::io::stdout();
        if found.is_whole() && counted == 0 {
            match self.complaints().await {
                None => {
                    let source = self.damaged.source().display();
                    writeln!(out, "nothing is wrong with {source}: nothing was changed")?;
                    return Ok(None);
                }
                Some(complaint) => writeln!(out, "nothing is lost; what is wrong: {complaint}")?,
            }
        }
        if args.dry_run {
            writeln!(
                out,
                "nothing was changed: run it without --dry-run to repair it"
            )?;
            return Ok(None);
        }
        let mut details = vec![
            ("kept_as", self.damaged.kept().display().to_string()),
            ("lost", summary(found)),
            ("lost_records_counted", counted.to_string()),
        ];
        if found.log.why.is_some() {
            details.push(("audit_log_newest_before", found.log.newest.to_string()));
            details.push(("audit_log_ends_with", found.log.kept.to_string()));
        }
        details.extend(rest.map(|rest| ("audit_log_rest", rest.display().to_string())));
        let retirement = Retirement {
            now,
            command: "tidemark-controller repair",
            from: "what could be read of its damaged database".to_owned(),
            keep_api_tokens: args.keep_api_tokens,
            hold: self.settings.remediation.hold,
            details,
        };
        Ok(Some(retire(store, &retirement).await?))
    }

    /// What SQLite says of a file of which everything could be read; `None` when it is content.
    async fn complaints(&self) -> Option<String> {
        let url = DatabaseUrl::sqlite(self.damaged.source());
        match url.damage().await {
            Ok(found) => (!found.is_empty()).then(|| found.join("; ").chars().take(400).collect()),
            Err(error) => Some(format!("{:#}", anyhow::Error::new(error))),
        }
    }

    /// Writes what the new audit log cannot take to a file beside the damaged one.
    async fn keep_rest(&self, salvage: &mut Salvage) -> anyhow::Result<Option<PathBuf>> {
        let log = salvage.found.log.clone();
        if log.cut == 0 && log.checkpoints.is_empty() {
            return Ok(None);
        }
        let mut path = self.damaged.kept().as_os_str().to_owned();
        path.push(REST);
        let path = PathBuf::from(path);
        let written = async {
            let mut options = tokio::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            options.mode(0o600);
            let mut file = options.open(&path).await?;
            let mut after = 0;
            loop {
                let page = salvage.audit_rest(after, ENTRIES).await?;
                let Some((last, _)) = page.last() else {
                    break;
                };
                after = *last;
                let lines: String = page.iter().map(line).collect();
                file.write_all(lines.as_bytes()).await?;
            }
            for note in &log.checkpoints {
                let line = format!("{}\n", serde_json::json!({ "checkpoint": note }));
                file.write_all(line.as_bytes()).await?;
            }
            file.sync_all().await?;
            anyhow::Ok(())
        };
        written
            .await
            .with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(
            std::io::stdout(),
            "{} entries that could be read behind it and {} signed checkpoints are in {}",
            log.cut,
            log.checkpoints.len(),
            path.display()
        )?;
        Ok(Some(path))
    }
}

/// Whether a piece of history can be decoded, and has what it should have.
fn is_sound(piece: HistoryPiece<'_>) -> bool {
    let points = match piece.tier {
        None => verify::points_of_recent(piece.body),
        Some(_) => verify::points_of_segment(piece.body),
    };
    points.is_ok_and(|points| verify::is_told(points, piece.points))
}

fn explained(error: SalvageError, source: &Path) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("{} was left as it is", source.display()))
}

fn print(found: &Salvaged, retired: &Retired, kept: &Path) -> anyhow::Result<()> {
    let mut to = std::io::stdout().lock();
    writeln!(
        to,
        "repaired as incarnation {} of the fleet; the damaged database is kept as {}",
        retired.incarnation,
        kept.display()
    )?;
    print_ended(&mut to, retired)?;
    let lost = |name: &str| {
        let mut tables = found.tables.iter();
        tables.any(|table| table.name == name && (table.lost > 0 || !table.is_exact))
    };
    for (table, advice) in [
        (
            "hosts",
            "Hosts are lost: enrol them again with a new join token.",
        ),
        ("users", "Users are lost: make them again."),
        (
            "key_statements",
            "Statements about keys are lost: revoke again what was revoked.",
        ),
        (
            "document_versions",
            "Versions of budgets, windows or policies are lost, and older ones may stand for them: look at them.",
        ),
    ] {
        if lost(table) {
            writeln!(to, "{advice}")?;
        }
    }
    writeln!(
        to,
        "Look at it with `tidemark-controller verify`, then start the controller. Hosts come back by themselves."
    )?;
    if retired.ended.api_tokens > 0 {
        writeln!(
            to,
            "A token to begin with: tidemark-controller admin-token --name NAME"
        )?;
    }
    Ok(())
}
