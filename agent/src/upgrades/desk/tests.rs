//! What comes of a release on a host's disk: only what was signed, whole, is ever staged.

use std::fs;
use std::path::Path;

use tidemark_agent_core::upgrades::Launch;
use tidemark_model::Timestamp;
use tidemark_model::action::Profile;
use tidemark_model::release::{FileDigest, Manifest, PRODUCT, ReleaseFile};
use tidemark_model::signing::{PrivateKey, Purpose};

use super::*;

const NOW: Timestamp = Timestamp::from_unix_ms(86_400_000_000);

fn key() -> PrivateKey {
    PrivateKey::from_seed([1; 32])
}

/// A host that takes what one key signs, with the desk on the test's own thread.
struct Place {
    folder: tempfile::TempDir,
    work: Work,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policy = format!(
            "[releases]\nthreshold = 1\n[[key]]\nname = \"ann\"\npublic = \"{}\"\nreleases = true\n",
            key().public()
        );
        fs::write(folder.path().join("policy.toml"), policy).unwrap();
        let work = Self::work(folder.path(), Some(0));
        Self { folder, work }
    }

    fn work(folder: &Path, supervised: Option<u32>) -> Work {
        let parts = DeskParts {
            policy: PolicyFile::at(folder.join("policy.toml"), Profile::Observe, folder),
            folder: folder.to_owned(),
            supervised,
            clock: Clock::manual(NOW),
        };
        Work::of(parts, Arc::default())
    }

    /// The agent's next process.
    fn restart(&mut self, supervised: Option<u32>) {
        self.work = Self::work(self.folder.path(), supervised);
    }

    fn offer(&mut self, signed: &SignedManifest) -> Option<HostNews> {
        self.work.take_offer(signed);
        self.news()
    }

    fn news(&self) -> Option<HostNews> {
        self.work.tell();
        self.work.outbox_taken().report?.news
    }

    /// Answers what the desk asks for with the bytes of `content`, as long as it asks.
    fn serve(&mut self, content: &[u8]) -> Option<HostNews> {
        for _ in 0..100 {
            self.work.tell();
            let Some(wanted) = self.work.outbox_taken().wanted else {
                break;
            };
            let from = usize::try_from(wanted.offset).unwrap();
            let until = from + usize::try_from(wanted.length).unwrap();
            self.work.take_piece(&Piece {
                sha256: wanted.sha256,
                offset: wanted.offset,
                bytes: content.get(from..until).unwrap_or_default().to_vec(),
            });
        }
        self.news()
    }

    fn staged(&self) -> Option<Staged> {
        self.work.memory.read::<Kept>().unwrap().staged
    }

    fn is_installed(&self, release: u32) -> bool {
        fs::exists(self.work.versions.program(release)).unwrap()
    }
}

impl Work {
    fn outbox_taken(&self) -> crate::upgrades::feed::Outgoing {
        let (sender, _messages) = sync_channel(1);
        UpgradeFeed::new(sender, Arc::clone(&self.outbox)).take()
    }
}

fn content() -> Vec<u8> {
    vec![7; 100_000]
}

fn release(number: u32) -> SignedManifest {
    let target = Target::of_this_build().unwrap();
    let manifest = Manifest {
        product: PRODUCT.to_owned(),
        version: format!("1.0.{number}"),
        release: number,
        floor: 0,
        issued_at_ms: NOW,
        expires_at_ms: NOW.saturating_add(Duration::from_secs(86_400)),
        files: vec![ReleaseFile {
            os: target.os,
            arch: target.arch,
            file: "tidemark-agent".to_owned(),
            length: content().len() as u64,
            sha256: FileDigest::of_bytes(&content()),
        }],
    };
    let bytes = manifest.to_bytes();
    SignedManifest {
        signatures: vec![key().sign(Purpose::Release, &bytes)],
        bytes,
    }
}

fn stage_of(news: Option<HostNews>) -> HostStage {
    news.unwrap().stage
}

#[test]
fn a_release_is_fetched_and_staged_whole() {
    let mut place = Place::new();
    assert_eq!(stage_of(place.offer(&release(1))), HostStage::Downloading);
    assert_eq!(stage_of(place.serve(&content())), HostStage::Staged);
    let staged = place.staged().unwrap();
    assert_eq!(staged.release, 1);
    assert!(place.work.versions.is_whole(&staged));
    // The same one again is not fetched again.
    place.restart(Some(0));
    assert_eq!(stage_of(place.offer(&release(1))), HostStage::Staged);
}

#[test]
fn between_two_pieces_nothing_is_reported() {
    let mut place = Place::new();
    place.offer(&release(1));
    place.work.take_offer(&release(1));
    let mut asked = place.work.outbox_taken();
    assert!(asked.report.is_some());
    let mut pieces = 0;
    while let Some(wanted) = asked.wanted {
        pieces += 1;
        let from = usize::try_from(wanted.offset).unwrap();
        let until = from + usize::try_from(wanted.length).unwrap();
        place.work.take_piece(&Piece {
            sha256: wanted.sha256,
            offset: wanted.offset,
            bytes: content()[from..until].to_vec(),
        });
        asked = place.work.outbox_taken();
        assert_eq!(asked.report.is_some(), asked.wanted.is_none());
    }
    assert!(pieces > 2, "{pieces}");
    assert_eq!(stage_of(place.news()), HostStage::Staged);
}

#[test]
fn what_a_courier_makes_of_a_file_is_never_staged() {
    let mut changed = content();
    changed[99_999] ^= 1;
    for (wrong, part) in [
        (changed, "SHA-256"),
        (vec![7; 50_000], "less of the file"),
        (Vec::new(), "less of the file"),
    ] {
        let mut place = Place::new();
        place.offer(&release(1));
        let news = place.serve(&wrong).unwrap();
        assert_eq!(news.stage, HostStage::Refused);
        assert!(news.text.contains(part), "{}", news.text);
        assert_eq!(place.staged(), None);
        assert!(!place.is_installed(1));
        // The right one can still be had.
        place.offer(&release(1));
        assert_eq!(stage_of(place.serve(&content())), HostStage::Staged);
    }
}

#[test]
fn what_was_seen_is_remembered_through_a_restart() {
    let mut place = Place::new();
    place.offer(&release(5));
    place.restart(Some(0));
    let news = place.offer(&release(4)).unwrap();
    assert_eq!(news.stage, HostStage::Refused);
    assert!(news.text.contains("older than release 5"), "{}", news.text);
    fs::write(place.folder.path().join("upgrade-seen.a"), b"").unwrap();
    fs::write(place.folder.path().join("upgrade-seen.b"), b"").unwrap();
    let news = place.offer(&release(6)).unwrap();
    assert!(news.text.contains("is unknown"), "{}", news.text);
}

#[test]
fn an_agent_that_nobody_watches_takes_nothing() {
    let mut place = Place::new();
    place.restart(None);
    let news = place.offer(&release(1)).unwrap();
    assert!(news.text.contains("without a supervisor"), "{}", news.text);
    assert!(!place.is_installed(1));
}

#[test]
fn what_became_of_a_release_is_told_and_it_is_not_tried_again() {
    let mut place = Place::new();
    place.offer(&release(1));
    place.serve(&content());
    let file = MemoryFile::of_supervisor(place.folder.path());
    let mut switch = Switch::default();
    let launch = switch.next(place.staged().as_ref(), NOW, |_| true);
    assert!(matches!(launch, Launch::Trial(_)));
    file.write(&switch).unwrap();
    place.restart(Some(1));
    assert_eq!(stage_of(place.news()), HostStage::Switched);
    switch.give_up("it hung", NOW);
    file.write(&switch).unwrap();
    place.restart(Some(0));
    assert_eq!(place.news().unwrap().text, "it hung");
    let again = place.offer(&release(1)).unwrap();
    assert_eq!(
        (again.stage, &*again.text),
        (HostStage::RolledBack, "it hung")
    );
    place.work.tell();
    assert_eq!(place.work.outbox_taken().wanted, None);
}
