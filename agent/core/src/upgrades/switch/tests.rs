//! Switches between versions: whatever is cut off on the way, a version runs, and what is bad is left.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_ms(5);

fn version(release: u32, floor: u32) -> Staged {
    Staged {
        release,
        version: format!("1.0.{release}"),
        manifest: ManifestDigest::of_bytes(&release.to_be_bytes()),
        sha256: FileDigest::from_bytes([u8::try_from(release).unwrap(); 32]),
        floor,
    }
}

const fn whole(_: &Staged) -> bool {
    true
}

/// A host that runs these releases, each of which was healthy.
fn running(releases: &[(u32, u32)]) -> Switch {
    let mut switch = Switch::default();
    switch.note_installed(FileDigest::from_bytes([1; 32]));
    for (release, floor) in releases {
        let staged = version(*release, *floor);
        let launch = switch.next(Some(&staged), NOW, whole);
        assert_eq!(launch, Launch::Trial(staged));
        switch.commit();
    }
    switch
}

#[test]
fn a_version_that_is_not_healthy_makes_place_for_the_one_before_it_and_is_never_tried_again() {
    let mut switch = running(&[(1, 0)]);
    let bad = version(2, 0);
    assert_eq!(
        switch.next(Some(&bad), NOW, whole),
        Launch::Trial(bad.clone())
    );
    switch.give_up("it hung", NOW);
    for _ in 0..3 {
        let next = switch.next(Some(&bad), NOW, whole);
        assert_eq!(next, Launch::Current(version(1, 0)));
    }
    assert_eq!(switch.failed().unwrap().reason, "it hung");
    let good = version(3, 0);
    assert_eq!(switch.next(Some(&good), NOW, whole), Launch::Trial(good));
}

#[test]
fn a_version_that_takes_the_machine_down_is_given_up_after_some_starts() {
    let mut switch = running(&[]);
    let bad = version(1, 0);
    for _ in 0..TRIAL_STARTS_MAX {
        assert_eq!(
            switch.next(Some(&bad), NOW, whole),
            Launch::Trial(bad.clone())
        );
    }
    assert_eq!(switch.next(Some(&bad), NOW, whole), Launch::Installed);
    assert!(switch.failed().unwrap().reason.contains("3 times"));
    // To be asked to stop is no failure.
    let slow = version(2, 0);
    for _ in 0..10 {
        assert_eq!(
            switch.next(Some(&slow), NOW, whole),
            Launch::Trial(slow.clone())
        );
        switch.forgive_start();
    }
}

#[test]
fn damaged_files_never_keep_a_host_without_an_agent() {
    let is_whole = |damaged: &'static [u32]| move |one: &Staged| !damaged.contains(&one.release);
    let mut switch = running(&[(1, 0), (2, 0)]);
    let next = switch.next(None, NOW, is_whole(&[2]));
    assert_eq!(next, Launch::Current(version(1, 0)));
    let mut switch = running(&[(1, 0), (2, 0)]);
    assert_eq!(switch.next(None, NOW, is_whole(&[1, 2])), Launch::Installed);
    // Nothing below the floor comes back by itself.
    let mut switch = running(&[(1, 0), (2, 2)]);
    assert_eq!(switch.next(None, NOW, is_whole(&[2])), Launch::Installed);
    // A damaged version on trial is a failed one.
    let mut switch = running(&[(1, 0)]);
    let next = switch.next(Some(&version(2, 0)), NOW, is_whole(&[2]));
    assert_eq!(next, Launch::Current(version(1, 0)));
    assert!(switch.failed().unwrap().reason.contains("damaged"));
}

#[test]
fn what_an_administrator_installs_runs() {
    let mut switch = running(&[(1, 0)]);
    switch.note_installed(FileDigest::from_bytes([1; 32]));
    assert_eq!(
        switch.next(None, NOW, whole),
        Launch::Current(version(1, 0))
    );
    switch.note_installed(FileDigest::from_bytes([2; 32]));
    assert_eq!(switch.next(None, NOW, whole), Launch::Installed);
}

#[test]
fn the_floor_rises_only_with_a_healthy_version() {
    let mut switch = running(&[(1, 0)]);
    switch.next(Some(&version(5, 5)), NOW, whole);
    assert_eq!(switch.floor(), 0);
    switch.commit();
    assert_eq!(switch.floor(), 5);
    assert_eq!(
        switch.next(Some(&version(4, 0)), NOW, whole),
        Launch::Current(version(5, 5))
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Stage(u32),
    Start,
    Commit,
    GiveUp,
    Stop,
    Install(u8),
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let step = prop_oneof![
        (1_u32..6).prop_map(Step::Stage),
        Just(Step::Start),
        Just(Step::Start),
        Just(Step::Commit),
        Just(Step::GiveUp),
        Just(Step::Stop),
        (0_u8..2).prop_map(Step::Install),
    ];
    proptest::collection::vec((step, any::<bool>()), 0..60)
}

proptest! {
    /// The machine stops before or after any write: what is on disk is the switch before it or after it.
    #[test]
    fn whenever_the_machine_stops_a_version_starts_and_a_failed_one_never_does(steps in steps()) {
        let mut on_disk = Switch::default();
        let mut staged = None;
        let mut starts = std::collections::BTreeMap::<u32, u32>::new();
        let mut failed = std::collections::BTreeSet::new();
        for (step, is_written) in steps {
            let mut switch = on_disk.clone();
            match step {
                Step::Stage(release) => staged = Some(version(release, 0)),
                Step::Start => {
                    let launch = switch.next(staged.as_ref(), NOW, whole);
                    if is_written && let Launch::Trial(one) = launch {
                        prop_assert!(!failed.contains(&one.release), "{} failed before", one.release);
                        let starts = starts.entry(one.release).or_default();
                        *starts += 1;
                        prop_assert!(*starts <= u32::from(TRIAL_STARTS_MAX) + 60);
                    }
                }
                Step::Commit => switch.commit(),
                Step::GiveUp => switch.give_up("bad", NOW),
                Step::Stop => switch.forgive_start(),
                Step::Install(seed) => switch.note_installed(FileDigest::from_bytes([seed; 32])),
            }
            if is_written {
                if let Some(one) = switch.failed() {
                    failed.insert(one.release);
                }
                let text = serde_json::to_vec(&switch).unwrap();
                on_disk = serde_json::from_slice(&text).unwrap();
                prop_assert_eq!(&on_disk, &switch);
            }
        }
    }
}
