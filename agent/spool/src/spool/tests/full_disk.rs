//! A disk that is really full: a small tmpfs in a mount namespace of its own, so nothing is left behind.

use std::env;
use std::process::Command;

use super::*;

/// Set in the process that runs inside the namespace; the value is the mount point.
const MOUNTED: &str = "TIDEMARK_SPOOL_TEST_TMPFS";

/// Runs this test again inside a mount namespace with a tmpfs of that size, and says whether this already is that run.
fn tmpfs(test: &str, size: &str) -> Option<PathBuf> {
    if let Some(mounted) = env::var_os(MOUNTED) {
        return Some(mounted.into());
    }
    let mount_point = folder();
    let script = format!("mount -t tmpfs -o size={size} tmpfs \"${MOUNTED}\" && exec \"$@\"");
    let run = Command::new("unshare")
        .args([
            "--map-root-user",
            "--mount",
            "--",
            "sh",
            "-c",
            &script,
            "sh",
        ])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test])
        .env(MOUNTED, mount_point.path())
        .output()
        .expect("unshare (util-linux) is needed for a small disk");
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && output.contains("1 passed"),
        "the run on the small disk failed: {run:?}"
    );
    None
}

#[test]
fn a_full_disk_costs_counted_records_and_the_spool_goes_on_when_there_is_room_again() {
    let Some(disk) = tmpfs(
        "spool::tests::full_disk::a_full_disk_costs_counted_records_and_the_spool_goes_on_when_there_is_room_again",
        "128k",
    ) else {
        return;
    };
    let dir = disk.join("spool");
    let limits = SpoolLimits {
        bytes_max: 1024 * 1024,
        segment_bytes: 16 * 1024,
        ..SpoolLimits::default()
    };
    let (mut spool, _) = Spool::open(&dir, limits, at(0), EPOCH).unwrap();
    // Somebody else fills the disk; the spool's own limits would have kept room.
    fs::write(disk.join("somebody-elses"), vec![0; 90 * 1024]).unwrap();
    let mut failed = 0;
    for n in 1..=100 {
        let appended = spool.append(at(n), &[b'x'; 700]);
        failed += u64::from(appended.stored.is_err());
        assert!(spool.status().counts.balances());
    }
    assert!(failed > 50, "{failed} appends failed");
    let status = spool.status();
    assert_eq!(status.dropped_for(GapReason::WriteFailed), failed);
    assert!(status.counts.held > 5, "{status:?}");

    fs::remove_file(disk.join("somebody-elses")).unwrap();
    let appended = spool.append(at(200), b"room again");
    assert!(appended.stored.is_ok(), "{appended:?}");
    assert_conserved(&mut spool);
    let counts = spool.status().counts;
    assert_eq!((counts.produced, counts.dropped), (101, failed));
    drop(spool);
    let (mut spool, recovery) = Spool::open(&dir, limits, at(0), FRESH_EPOCH).unwrap();
    assert_eq!(
        (spool.status().counts, recovery),
        (counts, Recovery::default())
    );
    assert_conserved(&mut spool);
}
