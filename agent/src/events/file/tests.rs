//! Saved logs: whole, damaged, and none at all. They are written here, because no public log holds these events.

mod writer;

use tidemark_model::finding::Rule;

use super::*;
use crate::doctor::{Looked, Report, Source, Verdict};
use crate::events::selection::is_selected;
use crate::events::xml::tests::{ALL, TCPIP_4231};
use writer::{CHUNK_BYTES, FILE_HEADER_BYTES, evtx_of};

const READ_AT: Timestamp = Timestamp::from_unix_ms(5);

fn saved(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("System.evtx");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn read_bytes(bytes: &[u8], is_wanted: impl Fn(&EventHit) -> bool) -> LogHits {
    let (_folder, path) = saved(bytes);
    read(&path, READ_AT, 100, is_wanted).unwrap()
}

/// Without the text of the record: readers of files write it in their own way.
fn without_xml(mut hit: EventHit) -> EventHit {
    if let Some(log) = &mut hit.log {
        log.xml = None;
    }
    hit
}

#[test]
fn a_file_says_the_same_as_the_live_log() {
    let file = read_bytes(&evtx_of(&ALL), |_| true);
    assert_eq!(file.unreadable, 0);
    let reading = Reading {
        read_at: READ_AT,
        log_epoch: 0,
    };
    let mut live: Vec<EventHit> = ALL
        .iter()
        .map(|xml| without_xml(xml::parse(xml, reading).unwrap()))
        .collect();
    live.sort_by_key(|hit| hit.log.as_ref().and_then(|log| log.record_id));
    let of_file: Vec<EventHit> = file.hits().iter().cloned().map(without_xml).collect();
    assert_eq!(of_file, live);
}

#[test]
fn only_what_is_wanted_is_kept() {
    let other = TCPIP_4231.replace("Tcpip", "Kernel-General");
    let file = read_bytes(&evtx_of(&[TCPIP_4231, &other]), is_selected);
    assert_eq!(file.hits().len(), 1);
    assert_eq!(&*file.hits()[0].source, "Tcpip");
}

#[test]
fn the_doctor_finds_in_a_saved_log_that_ports_ran_out() {
    let (_folder, path) = saved(&evtx_of(&[TCPIP_4231]));
    let mut looked = Looked::nothing("a saved event log", "Windows", Source::Log);
    looked.add_saved_log(&path, READ_AT).unwrap();
    let report = Report::of(looked, READ_AT);
    assert_eq!(report.findings[0].rule, Rule::TcpExhaustion, "{report:#?}");
    assert_eq!(report.verdict, Verdict::Critical);
    assert!(
        report
            .to_text()
            .contains("Tcpip 4231 was logged at 2026-01-05T08:00:00Z")
    );

    let other = TCPIP_4231.replace("Tcpip", "Kernel-General");
    let (_folder, path) = saved(&evtx_of(&[&other]));
    let mut looked = Looked::nothing("a saved event log", "Windows", Source::Log);
    looked.add_saved_log(&path, READ_AT).unwrap();
    assert_eq!(Report::of(looked, READ_AT).verdict, Verdict::NothingFound);
}

#[test]
fn of_a_long_log_the_newest_are_kept_and_the_others_counted() {
    let events: Vec<String> = [5, 9, 1, 7, 3, 8, 2]
        .iter()
        .map(|record_id| TCPIP_4231.replace("123456", &record_id.to_string()))
        .collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let (_folder, path) = saved(&evtx_of(&events));
    let file = read(&path, READ_AT, 2, |_| true).unwrap();
    let records: Vec<_> = file
        .hits()
        .iter()
        .filter_map(|hit| hit.log.as_ref()?.record_id)
        .collect();
    assert_eq!((records, file.left_out), (vec![8, 9], 5));
}

#[test]
fn damaged_records_are_counted_and_the_others_read() {
    let mut bytes = evtx_of(&ALL);
    // Into the first record's XML, behind its header of 24 bytes.
    let at = FILE_HEADER_BYTES + 512 + 24;
    bytes[at..at + 8].fill(0xff);
    let file = read_bytes(&bytes, |_| true);
    assert_eq!(
        (file.hits().len() as u64 + file.unreadable, file.unreadable),
        (ALL.len() as u64, 1)
    );
}

#[test]
fn what_is_no_log_is_refused_with_its_name() {
    for bytes in [&b""[..], b"MZ", &[0; FILE_HEADER_BYTES + CHUNK_BYTES]] {
        let (_folder, path) = saved(bytes);
        let refused = read(&path, READ_AT, 100, |_| true).unwrap_err().to_string();
        assert!(
            refused.ends_with("System.evtx cannot be read as an event log (.evtx)"),
            "{refused}"
        );
    }
}
