//! `tidemark-controller verify`: whether a backup could be restored, or a database is sound: its pages, its audit log, the counts
//! of what hosts delivered, and every piece of history. Changes nothing.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use tidemark_history::{Bucket, CodecError, RecentReader, SegmentReader};
use tidemark_model::audit_log::Chain;
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{Backend, DatabaseUrl, Span, Store, Tier, Tx};

use super::manifest::Manifest;
use super::{check_release, server};
use crate::settings::Settings;

/// Entries of the audit log that are read at once.
const ENTRIES: u32 = 1_000;
/// Problems that are listed.
const PROBLEMS_MAX: usize = 20;

/// What is verified.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// The backup: the folder that `backup` printed. Without it, the controller's own database, while it serves
    pub backup: Option<PathBuf>,
}

/// Verifies, and prints what was found.
///
/// # Errors
/// What is wrong, every problem of it up to 20.
pub async fn run(
    settings: impl FnOnce() -> anyhow::Result<Settings>,
    args: &VerifyArgs,
) -> anyhow::Result<()> {
    let mut report = Report::default();
    match &args.backup {
        Some(backup) => verify_backup(backup, &mut report).await?,
        None => {
            let settings = settings()?;
            check_release(&settings.database).await?;
            let store = Store::open_to_read(&settings.database).await?;
            verify_store(&store, None, &mut report).await?;
            store.close().await;
        }
    }
    report.end()
}

async fn verify_backup(backup: &Path, report: &mut Report) -> anyhow::Result<()> {
    let manifest = Manifest::checked(backup).await?;
    report.good(&manifest.words())?;
    report.good(&format!(
        "{} files are as they were made",
        manifest.files.len()
    ))?;
    let database = backup.join(manifest.database_file());
    if manifest.database != Backend::Sqlite.as_str() {
        server::list(&database).await?;
        return report
            .good("pg_restore reads its contents; what they say shows only in a database");
    }
    let url = DatabaseUrl::sqlite(&database);
    let schema = url.schema().await?;
    ensure!(
        schema
            .applied
            .is_some_and(|applied| applied <= schema.known)
            || schema.is_newer_and_readable(),
        "it is of a newer release ({}): verify it with that one",
        manifest.version
    );
    let store = Store::open_to_read(&url).await?;
    if schema.is_behind() {
        report.add(
            store.damage().await?,
            "the database's pages and references are whole",
        )?;
        report.good(&format!(
            "its tables are of an older release ({}), and are brought up to date when it is restored",
            manifest.version
        ))?;
    } else {
        verify_store(&store, Some(&manifest), report).await?;
    }
    store.close().await;
    Ok(())
}

async fn verify_store(
    store: &Store,
    manifest: Option<&Manifest>,
    report: &mut Report,
) -> anyhow::Result<()> {
    if store.backend() == Backend::Sqlite {
        report.add(
            store.damage().await?,
            "the database's pages and references are whole",
        )?;
    }
    let mut tx = store.read().await?;
    verify_audit_log(&mut tx, manifest, report).await?;
    let mut hosts = Vec::new();
    tx.hosts_each(|host| hosts.push(host.id)).await?;
    verify_counts(&mut tx, report).await?;
    verify_history(&mut tx, &hosts, report).await
}

/// Follows the chain from its beginning.
async fn verify_audit_log(
    tx: &mut Tx,
    manifest: Option<&Manifest>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut chain, mut seq, mut problems) = (Chain::default(), 0, Vec::new());
    'log: loop {
        let page = tx.audit_after(seq, ENTRIES).await?;
        if page.is_empty() {
            break;
        }
        for (place, entry) in page {
            seq = place;
            let followed = entry
                .map_err(|error| error.to_string())
                .and_then(|entry| chain.take(&entry).map_err(|fault| fault.to_string()));
            if let Err(fault) = followed {
                problems.push(format!("the audit log: entry {place}: {fault}"));
                break 'log;
            }
        }
    }
    if let Some(manifest) = manifest
        && problems.is_empty()
        && (seq != manifest.audit_log_entries
            || chain.last().to_string() != manifest.audit_log_head)
    {
        problems.push(format!(
            "the audit log ends with entry {seq}, and the manifest says {}",
            manifest.audit_log_entries
        ));
    }
    report.add(
        problems,
        &format!("the audit log's {seq} entries follow one another"),
    )
}

/// What each host delivered is stored, or counted as dropped.
async fn verify_counts(tx: &mut Tx, report: &mut Report) -> anyhow::Result<()> {
    let (mut epochs, mut problems) = (0_u64, Vec::new());
    tx.cursors_each(|cursor| {
        epochs = epochs.saturating_add(1);
        let dropped: u64 = cursor.dropped.values().sum();
        let counted = cursor.stored.saturating_add(dropped);
        if counted != cursor.through_seq.get() && problems.len() < PROBLEMS_MAX {
            problems.push(format!(
                "host {}, epoch {}: {} records came, and {counted} are stored or counted as dropped",
                cursor.host,
                cursor.epoch.get(),
                cursor.through_seq.get()
            ));
        }
    })
    .await?;
    report.add(
        problems,
        &format!("all that hosts delivered is stored or counted, over {epochs} epochs of spools"),
    )
}

/// Decodes every piece of history, one at a time.
async fn verify_history(tx: &mut Tx, hosts: &[HostId], report: &mut Report) -> anyhow::Result<()> {
    let mut read = Pieces::default();
    let all = Span {
        from: Timestamp::from_unix_ms(i64::MIN),
        to: Timestamp::from_unix_ms(i64::MAX),
    };
    for host in hosts {
        tx.recent_each(*host, all, |piece| {
            let points = points_of_recent(&piece.body);
            read.take(*host, piece.last_at, u64::from(piece.points), points);
            ControlFlow::Continue(())
        })
        .await?;
        for tier in Tier::ALL {
            tx.segments_each(*host, tier, all, |piece| {
                let points = points_of_segment(&piece.body);
                read.take(*host, piece.span.to, piece.points, points);
                ControlFlow::Continue(())
            })
            .await?;
        }
    }
    let words = format!(
        "history of {} hosts can be read: {} points in {} pieces",
        hosts.len(),
        read.points,
        read.pieces
    );
    report.add(read.problems, &words)
}

/// Whether a piece of history has as many points as its row tells; 0 tells nothing: an older release wrote so what was
/// left of a batch when a part of it was compacted.
pub(super) const fn is_told(points: u64, told: u64) -> bool {
    points == told || told == 0
}

/// Points of a recent piece of history, each of them decoded.
pub(super) fn points_of_recent(body: &[u8]) -> Result<u64, CodecError> {
    let mut points = 0_u64;
    RecentReader::open(body)?.each_point(|_| true, |_, _, _| points = points.saturating_add(1))?;
    Ok(points)
}

/// Points of a segment, each of them decoded.
pub(super) fn points_of_segment(body: &[u8]) -> Result<u64, CodecError> {
    SegmentReader::open(body).and_then(|reader| count(&reader))
}

/// Cells of a segment, each of them decoded.
fn count(segment: &SegmentReader<'_>) -> Result<u64, CodecError> {
    let times = segment.times()?;
    let mut cells = 0_u64;
    for key in segment.keys() {
        if segment.tier() == tidemark_history::Tier::Raw {
            segment.each_cell(key, &times, |_, _: i64| cells = cells.saturating_add(1))?;
        } else {
            segment.each_cell(key, &times, |_, _: Bucket| cells = cells.saturating_add(1))?;
        }
    }
    Ok(cells)
}

#[derive(Default)]
struct Pieces {
    pieces: u64,
    points: u64,
    problems: Vec<String>,
}

impl Pieces {
    fn take<E: std::fmt::Display>(
        &mut self,
        host: HostId,
        until: Timestamp,
        expected: u64,
        found: Result<u64, E>,
    ) {
        self.pieces = self.pieces.saturating_add(1);
        let problem = match found {
            Ok(points) if is_told(points, expected) => {
                self.points = self.points.saturating_add(points);
                return;
            }
            Ok(points) => format!("has {points} points, and should have {expected}"),
            Err(error) => error.to_string(),
        };
        if self.problems.len() < PROBLEMS_MAX {
            let until = super::files::when(until);
            self.problems
                .push(format!("history of host {host} until {until}: {problem}"));
        }
    }
}

/// What was found so far: good news is printed as it comes, bad news ends the program.
#[derive(Default)]
struct Report {
    problems: Vec<String>,
}

impl Report {
    fn good(&self, text: &str) -> anyhow::Result<()> {
        writeln!(std::io::stdout(), "ok  {text}")?;
        Ok(())
    }

    fn add(&mut self, problems: Vec<String>, good: &str) -> anyhow::Result<()> {
        if problems.is_empty() {
            return self.good(good);
        }
        self.problems.extend(problems);
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let shown: Vec<String> = self.problems.into_iter().take(PROBLEMS_MAX).collect();
        bail!(
            "it is not sound; do not rely on it:\n  {}",
            shown.join("\n  ")
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tidemark_model::delivery::GapReason;
    use tidemark_model::{Epoch, Seq};
    use tidemark_store::testing::new_host;
    use tidemark_store::{Cursor, NewSegment, contract};

    use super::*;

    contract!(records_that_nobody_counts_and_history_that_cannot_be_read_are_found);

    const fn at(unix_ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(unix_ms)
    }

    fn cursor(host: HostId, epoch: u64, stored: u64) -> Cursor {
        Cursor {
            host,
            epoch: Epoch::new(epoch),
            through_seq: Seq::new(9),
            previous_seq: Seq::ZERO,
            stored,
            duplicates: 0,
            dropped: BTreeMap::from([(GapReason::SpoolFull, 2)]),
            updated_at: at(1),
        }
    }

    async fn problems(store: &Store) -> Vec<String> {
        let mut report = Report::default();
        verify_store(store, None, &mut report).await.unwrap();
        report.problems
    }

    /// What was left of a batch when a part of it was compacted, without a count of its points.
    fn left_by_an_older_release(host: HostId) -> tidemark_store::NewRecent {
        let row = tidemark_history::Row {
            at: at(9),
            points: vec![tidemark_history::Point {
                key: tidemark_history::SeriesKey {
                    entity: tidemark_history::EntityNumber::new(1),
                    metric: 1,
                },
                value: 7,
            }],
        };
        tidemark_store::NewRecent {
            host,
            first_at: at(9),
            last_at: at(9),
            points: 0,
            body: tidemark_history::encode_recent(&[row]).unwrap(),
        }
    }

    async fn records_that_nobody_counts_and_history_that_cannot_be_read_are_found(store: Store) {
        let host = HostId::of_identity_spki(b"x");
        let mut tx = store.begin().await.unwrap();
        tx.host_insert(&new_host(b"x", "web-1")).await.unwrap();
        tx.cursors_save(&[cursor(host, 1, 7)]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(problems(&store).await, Vec::<String>::new());

        let mut tx = store.begin().await.unwrap();
        tx.cursors_save(&[cursor(host, 2, 6)]).await.unwrap();
        tx.recent_append(&[left_by_an_older_release(host)])
            .await
            .unwrap();
        tx.segments_put(&[NewSegment {
            host,
            tier: Tier::Raw,
            span: Span {
                from: at(0),
                to: at(7_200_000),
            },
            points: 3,
            body: vec![1, 2, 3],
        }])
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let found = problems(&store).await;
        assert_eq!(found.len(), 2, "{found:#?}");
        let counts = format!("host {host}, epoch 2: 9 records came, and 8 are stored");
        assert!(
            found.iter().any(|one| one.starts_with(&counts)),
            "{found:#?}"
        );
        let piece = format!("history of host {host} until 1970-01-01T02:00:00Z");
        assert!(
            found.iter().any(|one| one.starts_with(&piece)),
            "{found:#?}"
        );
    }
}
