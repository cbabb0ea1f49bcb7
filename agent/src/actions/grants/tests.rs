//! The book on disk: what survives a restart, and what is no more believed.

use std::fs;

use tidemark_model::action::Profile;

use super::*;

fn file(folder: &tempfile::TempDir) -> BookFile {
    BookFile::in_folder(folder.path())
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn counted(times: u64) -> Book {
    let mut book = Book::default();
    for number in 0..times {
        book.count(
            GrantId::from_random(7),
            ActionId::from_random(number.into()),
            5,
        );
    }
    book.sequence = times;
    book
}

#[test]
fn a_book_is_read_as_it_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(file(&folder).read(at(9)), Book::default());
    file(&folder).write(&counted(3)).unwrap();
    assert_eq!(file(&folder).read(at(9)), counted(3));
    file(&folder).write(&counted(4)).unwrap();
    assert_eq!(file(&folder).read(at(9)), counted(4));
}

#[test]
fn a_damaged_a_lost_and_an_older_book_grant_nothing_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("grants.book");
    file(&folder).write(&counted(3)).unwrap();
    let old = fs::read(&book).unwrap();
    file(&folder).write(&counted(4)).unwrap();
    let good = fs::read(&book).unwrap();

    fs::write(&book, &old).unwrap();
    assert_eq!(file(&folder).read(at(9)), counted(3).bar(at(9)));
    let mut torn = good.clone();
    torn.truncate(good.len() - 9);
    let mut changed = good.clone();
    changed[12] ^= 1;
    for damaged in [&torn[..], &changed, &[0; 40], b""] {
        fs::write(&book, damaged).unwrap();
        assert_eq!(file(&folder).read(at(9)), Book::barred(at(9)));
    }
    fs::remove_file(&book).unwrap();
    assert_eq!(file(&folder).read(at(9)), Book::barred(at(9)));
    fs::write(&book, &good).unwrap();
    fs::write(folder.path().join("grants.mark"), "\0\0").unwrap();
    assert_eq!(file(&folder).read(at(9)), counted(4).bar(at(9)));
}

fn parts(folder: &tempfile::TempDir) -> DeskParts {
    DeskParts {
        host: HostId::of_identity_spki(b"host"),
        policy: crate::actions::policy_file::PolicyFile::at(
            folder.path().join("policy.toml"),
            Profile::Observe,
            folder.path(),
        ),
        folder: folder.path().to_owned(),
        hooks: folder.path().join("hooks"),
        collect: crate::collect::CollectSettings::shipped(Duration::from_secs(30)),
        clock: tidemark_runtime::Clock::System,
        host_name: "web-1".to_owned(),
        witness: Witness::default(),
    }
}

#[test]
fn a_journal_that_is_not_whole_bars_what_is_granted() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(&folder);
    let open = |found| Grants::open(&parts, &found).book;
    // A first start has lost nothing.
    assert_eq!(open(Found::Missing), Book::default());
    file(&folder).write(&counted(3)).unwrap();
    assert_eq!(open(Found::Whole), counted(3));
    for found in [
        Found::Missing,
        Found::Removed,
        Found::Damaged(std::path::PathBuf::new()),
        Found::Older,
    ] {
        file(&folder).write(&counted(3)).unwrap();
        fs::write(folder.path().join("grants.mark"), "3").unwrap();
        assert!(open(found).is_barred());
        // It is so through the next start, whose journal is whole again.
        assert!(open(Found::Whole).is_barred());
    }
}

#[test]
fn a_removed_journal_bars_a_host_that_has_no_book_either() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(&folder);
    assert!(Grants::open(&parts, &Found::Removed).book.is_barred());
    assert!(Grants::open(&parts, &Found::Whole).book.is_barred());
}

#[test]
fn running_time_survives_a_restart_and_never_runs_while_the_agent_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = counted(1);
    book.lived_ms = 7_000_000;
    file(&folder).write(&book).unwrap();
    let grants = KeptGrants::look(folder.path(), None, String::new(), at(9));
    assert_eq!(grants.book.lived_ms, 7_000_000);
    assert_eq!(
        grants
            .book
            .uses_within(GrantId::from_random(7), 3_600_000, 7_000_000),
        0
    );
}
