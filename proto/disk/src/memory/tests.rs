//! What tests rely on: that which was synced outlives power, the rest may not, and a fault hits the step it was meant for.

use super::super::Access;
use super::*;

fn written(disk: &MemoryDisk, opening: Opening, offset: u64, bytes: &[u8]) -> Box<dyn DiskFile> {
    let mut file = disk.open(Path::new("/f/file"), opening).unwrap();
    file.write_at(offset, bytes).unwrap();
    file
}

fn with_durable_file(seed: u64) -> MemoryDisk {
    let disk = MemoryDisk::new(seed);
    disk.make_folder(Path::new("/f")).unwrap();
    let mut file = written(&disk, Opening::WriteOrMake, 0, b"durable");
    file.sync().unwrap();
    disk.sync_folder(Path::new("/f")).unwrap();
    disk
}

fn content(disk: &MemoryDisk) -> Vec<u8> {
    disk.read(Path::new("/f/file"), 1_000).unwrap()
}

#[test]
fn what_is_synced_outlives_power_and_the_rest_may_be_torn_or_zeros() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = with_durable_file(seed);
        let mut file = written(&disk, Opening::Write, 7, b"maybe");
        disk.cut_power();
        file.write_at(0, b"x").unwrap_err();
        disk.read(Path::new("/f/file"), 1).unwrap_err();
        disk.power_up();
        file.write_at(0, b"x").unwrap_err();
        let found = content(&disk);
        assert!(found.starts_with(b"durable"), "{found:?}");
        seen.insert(found);
    }
    for possible in [
        &b"durable"[..],
        b"durablemaybe",
        b"durablema",
        b"durable\0\0\0\0\0",
    ] {
        assert!(seen.contains(possible), "{seen:?}");
    }
}

#[test]
fn names_outlive_power_in_the_order_in_which_they_changed() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = with_durable_file(seed);
        let mut other = disk
            .open(Path::new("/f/new"), Opening::Make(Access::Owner))
            .unwrap();
        other.write_at(0, b"replaced").unwrap();
        other.sync().unwrap();
        disk.rename(Path::new("/f/new"), Path::new("/f/file"))
            .unwrap();
        assert_eq!(content(&disk), b"replaced");
        let image = disk.image();
        let names: Vec<_> = image
            .files()
            .into_iter()
            .map(|path| path.display().to_string())
            .collect();
        seen.insert((names.join(" "), content(&image)));
    }
    let expected = [
        ("/f/file", &b"durable"[..]),
        ("/f/file", b"replaced"),
        ("/f/file /f/new", b"durable"),
    ];
    assert_eq!(
        seen,
        expected
            .map(|(names, bytes)| (names.to_owned(), bytes.to_vec()))
            .into()
    );
}

#[test]
fn a_failed_sync_reads_as_written_and_is_gone_after_power() {
    let disk = with_durable_file(1);
    let mut file = written(&disk, Opening::Write, 7, b" or not");
    disk.fail_at(disk.steps(), Fault::Medium);
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(5));
    file.sync().unwrap();
    assert_eq!(content(&disk), b"durable or not");
    assert_eq!(content(&disk.image()), b"durable");
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_room() {
    let disk = with_durable_file(1);
    disk.set_room(Some(9));
    let mut file = disk.open(Path::new("/f/file"), Opening::Write).unwrap();
    let error = file.write_at(7, b"too much").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(content(&disk), b"durableto");
    disk.set_room(None);
    file.write_at(7, b"too much").unwrap();
    assert_eq!(content(&disk), b"durabletoo much");
    disk.fail_from(disk.steps(), Fault::NoSpace);
    file.write_at(7, b"nothing").unwrap_err();
    disk.mend();
    file.write_at(7, b"anything").unwrap();
    assert_eq!(content(&disk), b"durableanything");
}

#[test]
fn a_lock_is_held_by_one_until_it_or_its_process_goes() {
    let disk = MemoryDisk::new(1);
    let path = Path::new("/f/lock");
    let held = disk.lock(path).unwrap();
    let refused = disk.lock(path).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop(held);
    let held = disk.lock(path).unwrap();
    disk.end_process();
    let again = disk.lock(path).unwrap();
    drop(held);
    assert_eq!(
        disk.lock(path).unwrap_err().kind(),
        io::ErrorKind::WouldBlock,
        "a lock of the process before is none"
    );
    drop(again);
}

#[test]
fn a_snapshot_brings_back_what_was() {
    let disk = with_durable_file(1);
    let snapshot = disk.image();
    written(&disk, Opening::Write, 0, b"D").sync().unwrap();
    assert_eq!(content(&disk), b"Durable");
    disk.restore(&snapshot);
    assert_eq!(content(&disk), b"durable");
}

#[test]
fn a_process_that_has_ended_does_nothing_to_the_disk_any_more() {
    let disk = with_durable_file(1);
    let its = disk.for_process();
    its.rename(Path::new("/f/file"), Path::new("/f/renamed"))
        .unwrap();
    disk.end_process();
    its.rename(Path::new("/f/renamed"), Path::new("/f/file"))
        .unwrap_err();
    its.open(Path::new("/f/renamed"), Opening::WriteOrMake)
        .unwrap_err();
    assert_eq!(disk.files(), [Path::new("/f/renamed")]);
}
