//! Lasting records outlive ordinary ones when room must be made, and only then.

use tidemark_disk::MemoryDisk;

use super::*;

/// Appends 400 bytes, every tenth of them lasting, and says which seqs those are.
fn overfill(spool: &mut Spool, records: std::ops::Range<u64>) -> Vec<u64> {
    let mut lasting = Vec::new();
    for n in records {
        let now = at(n as i64);
        if n.is_multiple_of(10) {
            lasting.push(spool.append_lasting(now, &[b'e'; 400]).seq.get());
        } else {
            spool.append(now, &[b's'; 400]);
        }
    }
    spool.flush().unwrap();
    lasting
}

/// Seqs of the lasting records, and how many ordinary ones are left.
fn held(spool: &mut Spool) -> (Vec<u64>, usize) {
    let mut lasting = Vec::new();
    let mut ordinary = 0;
    for item in everything(spool) {
        match item {
            Item::Record { seq, payload } if payload.starts_with(b"e") => lasting.push(seq.get()),
            Item::Record { .. } => ordinary += 1,
            Item::Gap(gap) => assert_eq!(gap.reason, GapReason::SpoolFull),
        }
    }
    (lasting, ordinary)
}

#[test]
fn when_room_is_made_ordinary_records_go_first_and_everything_is_counted() {
    let dir = folder();
    let (mut spool, _) = open(dir.path());
    // 400 records take more than twice the limit of 64 KiB.
    let lasting = overfill(&mut spool, 0..400);
    let (held_lasting, ordinary) = held(&mut spool);
    assert_eq!(held_lasting, lasting);
    let status = spool.status();
    assert!(status.counts.balances() && status.counts.held_bytes <= status.bytes_max);
    assert_eq!(status.counts.held, (lasting.len() + ordinary) as u64);
    assert_eq!(
        status.dropped_for(GapReason::SpoolFull),
        status.counts.dropped
    );
    assert!(ordinary > 80, "no more than needed went: {ordinary}");
    // Nothing is damaged, neither after a clean end nor after a crash.
    for _ in 0..2 {
        drop(spool);
        let (again, recovery) = open(dir.path());
        assert_eq!(recovery.records_damaged, 0);
        spool = again;
        assert_eq!(held(&mut spool), (lasting.clone(), ordinary));
    }
    let newest = spool.newest();
    spool.trim(newest).unwrap();
    let counts = spool.status().counts;
    assert_eq!(
        (counts.acked, counts.held),
        ((lasting.len() + ordinary) as u64, 0)
    );
    assert!(counts.balances());
}

#[test]
fn when_only_lasting_records_are_left_the_oldest_of_them_go() {
    let dir = folder();
    let (mut spool, _) = open(dir.path());
    for n in 0..400 {
        spool.append_lasting(at(n), &[b'e'; 400]);
    }
    spool.flush().unwrap();
    let (lasting, _) = held(&mut spool);
    assert_eq!(lasting.last(), Some(&400));
    assert!((100..160).contains(&lasting.len()), "{}", lasting.len());
    assert!(
        lasting.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "the oldest went"
    );
    assert!(spool.status().counts.balances());
}

#[test]
fn age_takes_lasting_records_too() {
    let dir = folder();
    let (mut spool, _) = open(dir.path());
    overfill(&mut spool, 0..60);
    for minute in 0..(8 * 24 * 4) {
        spool.append(at(minute * 15 * 60), &[b's'; 4]);
    }
    spool.flush().unwrap();
    let (lasting, _) = held(&mut spool);
    assert_eq!(lasting, [] as [u64; 0]);
    assert!(spool.status().counts.balances());
}

#[test]
fn a_crash_while_a_segment_is_thinned_loses_nothing_more() {
    let dir = folder();
    let (mut spool, _) = open(dir.path());
    let lasting = overfill(&mut spool, 0..400);
    let before = held(&mut spool);
    die(spool);
    // What a crash can leave beside the segment that was to be replaced.
    fs::write(dir.path().join("thinned.tmp"), b"half a segm").unwrap();
    let (mut spool, recovery) = open(dir.path());
    assert_eq!((recovery.records_damaged, held(&mut spool)), (0, before));
    let more = overfill(&mut spool, 400..500);
    assert_eq!(held(&mut spool).0, [lasting, more].concat());
}

#[test]
fn a_month_without_a_controller_costs_what_is_older_than_a_week_counted_and_nothing_newer() {
    const A_DAY: u64 = 2_880;
    let disk = Arc::new(MemoryDisk::new(1));
    let open = || {
        let limits = SpoolLimits::default();
        Spool::open_on(disk.clone(), Path::new("/spool"), limits, at(0), EPOCH).unwrap()
    };
    let (mut spool, _) = open();
    for n in 0..31 * A_DAY {
        let appended = spool.append(at(n as i64 * 30), &[b's'; 330]);
        assert!(appended.stored.is_ok() && spool.flush().is_ok());
    }
    drop(spool);
    let (mut spool, recovery) = open();
    assert_eq!(recovery, Recovery::default());
    let status = spool.status();
    let counts = status.counts;
    assert_eq!(counts.produced, 31 * A_DAY);
    assert!(
        counts.balances() && counts.held_bytes < 16 * 1024 * 1024,
        "{counts:?}"
    );
    assert_eq!(status.dropped_for(GapReason::SpoolFull), counts.dropped);
    // Segments go as a whole: up to one of 4 MiB more than a week is left.
    assert!((7 * A_DAY..12 * A_DAY).contains(&counts.held), "{counts:?}");
    let newest_week = Seq::new(24 * A_DAY + 1);
    let items = spool.read(newest_week, usize::MAX, usize::MAX).unwrap();
    assert_eq!(items.len() as u64, 7 * A_DAY);
    assert!(items.iter().all(|item| matches!(item, Item::Record { .. })));
}
