//! Programs as they are told: by what runs, not by what lies at a path; what is too much is unknown and says so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command};

use super::*;

/// A process that ends when its test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn install(program: &Path, more: &[u8]) {
    let mut bytes = fs::read(fs::canonicalize("/bin/sleep").unwrap()).unwrap();
    bytes.extend(more);
    let next = program.with_extension("next");
    fs::write(&next, bytes).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(next, program).unwrap();
}

fn run(program: &Path) -> (Running, ProcessIdentity) {
    let child = Command::new(program).arg("60").spawn().unwrap();
    let process = ProcessIdentity {
        pid: child.id(),
        started_at: Timestamp::from_unix_ms(i64::from(child.id())),
        name: "server".into(),
        executable: Some(program.to_string_lossy().into()),
        service: None,
    };
    (Running(child), process)
}

fn digest_of(program: &Path) -> String {
    let file = File::open(program).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    sha256(&file, until).unwrap().unwrap()
}

/// What is told of the digest of `server`, while these processes run it.
fn told(programs: &Programs, processes: &[&ProcessIdentity]) -> Option<FactState> {
    put(programs, processes);
    let facts = programs.read().unwrap();
    let key = FactKey::of_item(FactName::ImageSha256, "server");
    let mut found = facts.into_iter().filter(|fact| fact.key == key);
    found.next().map(|fact| fact.state)
}

fn put(programs: &Programs, processes: &[&ProcessIdentity]) {
    let processes = processes.iter().map(|process| (*process).clone());
    programs.holders.put(vec![Holder {
        name: "server".into(),
        processes: processes.collect(),
    }]);
}

fn known(digest: &str) -> Option<FactState> {
    Some(FactState::Known(FactValue::text(digest)))
}

#[test]
fn a_process_is_told_by_what_it_runs_until_it_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().canonicalize().unwrap().join("server");
    install(&program, b"");
    let (old, old_process) = run(&program);
    let programs = Programs::new(Holders::default(), DIGEST_TIME);
    let before = digest_of(&program);
    assert_eq!(told(&programs, &[&old_process]), known(&before));
    install(&program, b"2");
    let after = digest_of(&program);
    assert_eq!(
        told(&programs, &[&old_process]),
        known(&before),
        "the new file does not run yet"
    );
    assert!(!programs.has_restarted());
    let (_new, new_process) = run(&program);
    put(&programs, &[&old_process, &new_process]);
    assert!(programs.has_restarted());
    let mut both = [before, after.clone()];
    both.sort();
    assert_eq!(
        told(&programs, &[&old_process, &new_process]),
        known(&both.join(", ")),
        "while one is replaced by the other, both run"
    );
    drop(old);
    assert_eq!(
        told(&programs, &[&old_process, &new_process]),
        known(&after)
    );
    assert_eq!(
        told(&programs, &[&old_process]),
        None,
        "what is gone is not told"
    );
}

#[test]
fn a_digest_that_takes_too_long_is_unknown_and_taken_another_time() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().canonicalize().unwrap().join("server");
    install(&program, b"");
    let (_running, process) = run(&program);
    let hurried = Programs::new(Holders::default(), Duration::ZERO);
    assert_eq!(
        told(&hurried, &[&process]),
        Some(FactState::unknown(
            "there was no time left for it in this reading"
        ))
    );
    let patient = Programs {
        digest_time: DIGEST_TIME,
        ..hurried
    };
    assert_eq!(told(&patient, &[&process]), known(&digest_of(&program)));
}

#[test]
fn a_file_is_digested_once_also_where_its_version_stays_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().canonicalize().unwrap().join("server");
    install(&program, b"");
    let digest = digest_of(&program);
    let (_running, process) = run(&program);
    // Packages say nothing of what does not lie at its path any more.
    install(&program, b"2");
    let mut kept = Kept::default();
    let mut budget = Budget {
        bytes: DIGESTED_BYTES_MAX,
        until: Instant::now() + DIGEST_TIME,
    };
    let (_, first) = kept.read_process(&process, &mut budget).unwrap();
    assert!(!is_told(&first.facts.version));
    let left = budget.bytes;
    let (_, second) = kept.read_process(&process, &mut budget).unwrap();
    assert_eq!((Some(second.digest), budget.bytes), (known(&digest), left));
}

#[test]
fn a_reading_digests_no_more_than_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().canonicalize().unwrap().join("server");
    install(&program, b"");
    let (_running, process) = run(&program);
    let image = || image::of_process(&process).unwrap();
    let mut budget = Budget {
        bytes: image().size_bytes() - 1,
        until: Instant::now() + DIGEST_TIME,
    };
    assert_eq!(
        budget.digest(&image()),
        FactState::unknown("its turn did not come in this reading")
    );
}

#[test]
fn a_file_of_more_bytes_than_a_reading_digests_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().canonicalize().unwrap().join("server");
    install(&program, b"");
    // Bytes that were never written take no room.
    let file = File::options().append(true).open(&program).unwrap();
    file.set_len(DIGESTED_BYTES_MAX + 1).unwrap();
    drop(file);
    let (_running, process) = run(&program);
    let programs = Programs::new(Holders::default(), DIGEST_TIME);
    let state = told(&programs, &[&process]);
    assert_eq!(
        state,
        Some(FactState::unknown(
            "its file has 268435457 bytes; files of up to 268435456 are digested"
        ))
    );
}

#[test]
fn the_agent_is_always_among_the_programs() {
    let holders = Holders::default();
    holders.put(Vec::new());
    let facts = Programs::new(holders, DIGEST_TIME).read().unwrap();
    let names: Vec<String> = facts.iter().map(|fact| fact.key.to_string()).collect();
    assert_eq!(
        names,
        [
            "image_version[tidemark-agent]",
            "image_sha256[tidemark-agent]",
            "image_build_id[tidemark-agent]"
        ]
    );
}

#[test]
fn several_states_are_one() {
    let text = |text| FactState::Known(FactValue::text(text));
    let unknown = || FactState::unknown("no right");
    assert_eq!(together(vec![]), None);
    assert_eq!(together(vec![FactState::Absent]), Some(FactState::Absent));
    assert_eq!(
        together(vec![text("2"), FactState::Absent, text("1"), text("2")]),
        Some(text("1, 2"))
    );
    assert_eq!(together(vec![text("1"), unknown()]), Some(unknown()));
}
