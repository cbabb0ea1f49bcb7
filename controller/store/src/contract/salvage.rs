//! What is salvaged of damaged SQLite files: everything that no damaged page held, and what is lost is counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sqlx::Connection as _;
use tidemark_model::audit_log::{Deed, Doer, DoerKind, NewEntry, Outcome, Subject};

use super::*;
use crate::open::connect_to_read;
use crate::testing::{execute, sqlite_url, trees};
use crate::{DatabaseUrl, HistoryPiece, Salvage, SalvageError, Salvaged, discard_sqlite};

const PAGE: usize = 4_096;

/// Rows of every kind: in tables with and without numbers, with references, and with content of several pages.
const ROWS: &str = "
    CREATE TEMP TABLE n (i INTEGER PRIMARY KEY);
    INSERT INTO n WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90) SELECT i FROM n;
    CREATE TEMP TABLE h AS SELECT row_number() OVER (ORDER BY id) - 1 AS k, id FROM hosts;
    INSERT INTO cursors (host, epoch, through_seq, stored, duplicates, updated_at) SELECT id, 1, 10, 8, 0, 5 FROM hosts;
    INSERT INTO cursor_drops SELECT id, 1, 'spool_full', 2 FROM hosts;
    INSERT INTO entities SELECT id, i, 'service', 'service-' || i FROM hosts, n WHERE i <= 5;
    INSERT INTO recent (host, first_at, last_at, points, body)
        SELECT (SELECT id FROM h WHERE k = i % 40), i, i + 1, 3,
            CAST(replace(hex(zeroblob(300 * (i % 7))), '00', 'x') || 'x' AS BLOB) FROM n;
    INSERT INTO segments (host, tier, from_at, to_at, points, size_bytes, body)
        SELECT (SELECT id FROM h WHERE k = i % 40), i % 3, i * 10, i * 10 + 10, 3, 5,
            CAST(replace(hex(zeroblob(500 * (i % 20))), '00', 'x') || 'x' AS BLOB) FROM n;
    INSERT INTO events (host, at, host_at, source, code, times, text, channel, log_epoch, record_id)
        SELECT (SELECT id FROM h WHERE k = i % 40), i, i, 'Tcpip', 4231, 1,
            'a text of some length about ports, number ' || i, 'System', 1, i FROM n;
    INSERT INTO notices (at, host, kind, text) SELECT i, NULL, 'controller', 'something happened, number ' || i FROM n;
    DELETE FROM notices WHERE id > 80;
    INSERT INTO document_versions SELECT 'budget', 'budget-' || i, 1, i, 'ann', '{\"note\":\"long enough for some pages\"}' FROM n;
    DROP TABLE n;
    DROP TABLE h;
";

/// Bodies are bytes that are all the same, so that others are found.
fn judge(piece: HistoryPiece<'_>) -> bool {
    piece.points == 3 && piece.body.iter().all(|byte| *byte == b'x')
}

struct Whole {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
    rows: BTreeMap<String, u64>,
}

impl Whole {
    async fn make() -> Self {
        let (url, folder) = sqlite_url();
        let store = Store::open(&url).await.unwrap();
        enrol(&store, 40).await;
        let mut tx = store.begin().await.unwrap();
        for number in 0..60 {
            tx.audit_append(entry(number)).await.unwrap();
        }
        tx.commit().await.unwrap();
        execute(&store, ROWS).await;
        store.close().await;
        let path = url.sqlite_file().unwrap().to_owned();
        let mut whole = Self {
            bytes: fs::read(&path).unwrap(),
            folder,
            rows: BTreeMap::new(),
        };
        let (found, draft) = whole.salvage(&path).await;
        assert!(found.is_whole(), "{found:#?}");
        for table in found.tables {
            whole.rows.insert(table.name, table.kept);
        }
        assert_eq!(whole.rows["segments"], 90);
        assert_eq!(whole.rows["hosts"], 40);
        assert_eq!(rows(&draft, "SELECT count(*) FROM entities").await, 200);
        whole
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn try_salvage(&self, from: &Path) -> Result<(Salvaged, DatabaseUrl), SalvageError> {
        let draft = self.path("draft.db");
        discard_sqlite(&draft).unwrap();
        let salvage = Salvage::read(from, &draft, judge).await?;
        let found = salvage.finish().await?;
        Ok((found, DatabaseUrl::sqlite(draft)))
    }

    async fn salvage(&self, from: &Path) -> (Salvaged, DatabaseUrl) {
        self.try_salvage(from).await.unwrap()
    }

    /// What is salvaged when those pages are damaged; whatever it is, it opens and is sound.
    async fn damaged(&self, damage: impl FnOnce(&mut Vec<u8>)) -> Result<Salvaged, SalvageError> {
        let mut bytes = self.bytes.clone();
        damage(&mut bytes);
        let path = self.path("damaged.db");
        fs::write(&path, &bytes).unwrap();
        let (found, url) = self.try_salvage(&path).await?;
        assert!(fs::read(&path).unwrap() == bytes, "it was written to");
        let store = Store::open(&url).await.unwrap();
        assert_eq!(store.damage().await.unwrap(), Vec::<String>::new());
        store.close().await;
        Ok(found)
    }

    async fn trees(&self) -> Vec<String> {
        let mut trees = trees(&self.path("test.db")).await;
        trees.resize(self.bytes.len() / PAGE, String::new());
        trees
    }

    /// Which table that is; `None` for an index and for pages of none.
    fn table<'a>(&self, tree: &'a str) -> Option<&'a str> {
        Some(tree).filter(|name| self.rows.contains_key(*name))
    }

    /// Every row of other tables is there, but those that belonged to a lost one; of this table every row is kept or counted.
    fn assert_counted(&self, found: &Salvaged, damaged: Option<&str>, what: &str) {
        for table in &found.tables {
            let all = self.rows[&table.name];
            let what = format!("{what}: {table:?} of {all}");
            if damaged == Some(table.name.as_str()) {
                assert!(table.kept + table.lost <= all, "{what}");
                assert!(!table.is_exact || table.kept + table.lost == all, "{what}");
            } else {
                assert_eq!(table.kept + table.orphans, all, "{what}");
                assert_eq!(table.lost, table.orphans, "{what}");
                assert!(table.is_exact, "{what}");
            }
        }
    }
}

fn entry(number: i64) -> NewEntry {
    NewEntry {
        at: at(number),
        who: Doer {
            kind: DoerKind::Machine,
            name: "a test".to_owned(),
            role: None,
            credential: None,
            address: None,
        },
        what: Deed::SignIn,
        on: Subject {
            kind: "users".to_owned(),
            id: format!("somebody with a name that takes room in pages, number {number}"),
            host: None,
        },
        outcome: Outcome::Done,
        detail: BTreeMap::new(),
    }
}

async fn rows(url: &DatabaseUrl, count: &'static str) -> i64 {
    let mut connection = connect_to_read(url.sqlite_file().unwrap()).await.unwrap();
    let rows = sqlx::query_scalar(count)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    rows
}

fn table<'a>(found: &'a Salvaged, name: &str) -> &'a crate::SalvagedTable {
    let mut tables = found.tables.iter();
    tables.find(|table| table.name == name).unwrap()
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Zeros,
    Noise,
    /// The second half of it.
    Half,
}

fn spoil(page: &mut [u8], damage: Damage) {
    let start = if matches!(damage, Damage::Half) {
        PAGE / 2
    } else {
        0
    };
    for (place, byte) in page.iter_mut().enumerate().skip(start) {
        *byte = match damage {
            Damage::Zeros => 0,
            Damage::Noise | Damage::Half => u8::try_from(place * 167 % 251).unwrap(),
        };
    }
}

#[tokio::test]
async fn whichever_page_is_damaged_no_other_table_loses_a_row_and_every_loss_is_counted() {
    let whole = Whole::make().await;
    let trees = whole.trees().await;
    for (page, tree) in trees.iter().enumerate() {
        let damages = match page % 3 {
            0 => &[Damage::Zeros, Damage::Noise][..],
            1 => &[Damage::Zeros, Damage::Half],
            _ => &[Damage::Zeros],
        };
        for damage in damages.iter().copied() {
            let what = format!("page {} of {tree:?}, {damage:?}", page + 1);
            let found = whole
                .damaged(|bytes| spoil(&mut bytes[page * PAGE..][..PAGE], damage))
                .await;
            let found = match found {
                Ok(found) => found,
                Err(SalvageError::Beyond { .. }) => {
                    let is_schema = page == 0 || tree == "sqlite_schema";
                    assert!(is_schema, "{what}");
                    continue;
                }
                Err(error) => panic!("{what}: {error:?}"),
            };
            whole.assert_counted(&found, whole.table(tree), &what);
        }
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_anywhere_loses_what_was_behind_and_says_so() {
    let whole = Whole::make().await;
    let pages = whole.bytes.len() / PAGE;
    for left in (1..pages).step_by(7) {
        let found = whole
            .damaged(|bytes| bytes.truncate(left * PAGE + 100))
            .await;
        let found = match found {
            Ok(found) => found,
            Err(SalvageError::Beyond { .. }) => continue,
            Err(error) => panic!("{left} pages: {error:?}"),
        };
        assert!(!found.is_whole(), "{left} pages");
        for table in &found.tables {
            let all = whole.rows[&table.name];
            assert!(table.kept + table.lost <= all, "{left} pages: {table:?}");
            assert!(
                !table.is_exact || table.kept + table.lost == all,
                "{left} pages: {table:?}"
            );
        }
    }
}

#[tokio::test]
async fn history_that_is_lost_is_known_by_host_and_time() {
    let whole = Whole::make().await;
    let trees = whole.trees().await;
    let leaf = trees.iter().rposition(|tree| tree == "events").unwrap();
    let found = whole
        .damaged(|bytes| spoil(&mut bytes[leaf * PAGE..][..PAGE], Damage::Zeros))
        .await
        .unwrap();
    let events = table(&found, "events");
    assert!(events.lost > 0 && events.is_exact, "{events:?}");
    assert!(!events.ranges.is_empty(), "{events:?}");
    let pieces: u64 = found.history.values().map(|lost| lost.pieces).sum();
    assert_eq!(pieces, events.lost);
}

#[tokio::test]
async fn history_that_cannot_be_decoded_is_lost_and_counted() {
    let whole = Whole::make().await;
    // Amid a page that a body goes on in.
    let mut windows = whole.bytes.windows(4_000);
    let long = windows.position(|window| window.iter().all(|byte| *byte == b'x'));
    let found = whole
        .damaged(|bytes| bytes[long.unwrap() + 100] = b'y')
        .await
        .unwrap();
    let segments = table(&found, "segments");
    assert_eq!((segments.lost, segments.refused), (1, 1));
    assert_eq!(found.history.len(), 1);
}

#[tokio::test]
async fn the_audit_log_ends_before_a_hole_and_what_is_behind_it_is_handed_out() {
    let whole = Whole::make().await;
    let trees = whole.trees().await;
    let pages: Vec<usize> = (0..trees.len())
        .filter(|page| trees[*page] == "audit_log")
        .collect();
    let mut bytes = whole.bytes.clone();
    let middle = pages[pages.len() / 2];
    spoil(&mut bytes[middle * PAGE..][..PAGE], Damage::Noise);
    let path = whole.path("damaged.db");
    fs::write(&path, &bytes).unwrap();
    let draft = whole.path("draft.db");
    discard_sqlite(&draft).unwrap();
    let mut salvage = Salvage::read(&path, &draft, judge).await.unwrap();
    let log = salvage.found.log.clone();
    assert!(
        log.kept > 0 && log.cut > 0 && log.kept + log.cut < 60,
        "{log:?}"
    );
    assert_eq!(log.newest, 60);
    assert!(log.why.is_some());
    let rest = salvage.audit_rest(0, 100).await.unwrap();
    assert_eq!(rest.len() as u64, log.cut);
    assert_eq!(rest.last().unwrap().0, 60);
    let found = salvage.finish().await.unwrap();
    let kept = table(&found, "audit_log");
    assert_eq!((kept.kept, kept.lost), (log.kept, 60 - log.kept));
    // It goes on from there.
    let store = Store::open(&DatabaseUrl::sqlite(&draft)).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let next = tx.audit_append(entry(99)).await.unwrap();
    assert_eq!(next.seq, log.kept + 1);
}

#[tokio::test]
async fn what_is_committed_in_the_write_ahead_log_is_read() {
    let whole = Whole::make().await;
    let url = DatabaseUrl::sqlite(whole.path("test.db"));
    let store = Store::open(&url).await.unwrap();
    execute(&store, "INSERT INTO settings VALUES ('one', '1', 1)").await;
    execute(&store, "INSERT INTO settings VALUES ('two', '2', 1)").await;
    let (copy, log) = (whole.path("copy.db"), whole.path("copy.db-wal"));
    fs::copy(whole.path("test.db"), &copy).unwrap();
    fs::copy(whole.path("test.db-wal"), &log).unwrap();
    let (found, _) = whole.salvage(&copy).await;
    assert_eq!(table(&found, "settings").kept, whole.rows["settings"] + 2);
    assert!(found.is_whole());

    // A damaged commit ends it, and is told when another one is behind it.
    let mut bytes = fs::read(&log).unwrap();
    bytes[100] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let (found, _) = whole.salvage(&copy).await;
    assert_eq!(table(&found, "settings").kept, whole.rows["settings"]);
    assert!(found.log_is_damaged);
}

#[tokio::test]
async fn numbers_of_lost_rows_are_not_given_again() {
    let whole = Whole::make().await;
    let trees = whole.trees().await;
    let newest = trees.iter().rposition(|tree| tree == "notices").unwrap();
    let mut bytes = whole.bytes.clone();
    spoil(&mut bytes[newest * PAGE..][..PAGE], Damage::Zeros);
    let path = whole.path("damaged.db");
    fs::write(&path, &bytes).unwrap();
    let (_, draft) = whole.salvage(&path).await;
    let number = "SELECT seq FROM sqlite_sequence WHERE name = 'notices'";
    assert_eq!(rows(&draft, number).await, 90);
}

#[tokio::test]
async fn a_file_of_an_older_release_is_salvaged_and_brought_up_to_date() {
    let (url, folder) = sqlite_url();
    let path = url.sqlite_file().unwrap().to_owned();
    let mut draft = crate::open::Draft::create(&path).await.unwrap();
    draft.migrate(9).await.unwrap();
    sqlx::raw_sql("INSERT INTO settings VALUES ('one', '1', 1)")
        .execute(draft.connection())
        .await
        .unwrap();
    draft.into_connection().close().await.unwrap();
    let new = folder.path().join("new.db");
    let found = Salvage::read(&path, &new, judge)
        .await
        .unwrap()
        .finish()
        .await
        .unwrap();
    assert_eq!(table(&found, "settings").kept, 1);
    let store = Store::open(&DatabaseUrl::sqlite(&new)).await.unwrap();
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.setting_find("one").await.unwrap().unwrap().value, "1");
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, draft) = (folder.path().join("x.db"), folder.path().join("y.db"));
    for content in [&b""[..], b"-- a text", &[0; 8_192]] {
        fs::write(&path, content).unwrap();
        let refused = Salvage::read(&path, &draft, judge).await.err().unwrap();
        assert!(
            matches!(refused, SalvageError::Beyond { .. }),
            "{refused:?}"
        );
        assert!(!fs::exists(&draft).unwrap());
    }
}
