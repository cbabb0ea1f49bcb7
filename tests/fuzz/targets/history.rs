//! History as it is stored: rows of one commit, and segments of every tier.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidemark_fuzz::parts::Parts;
use tidemark_fuzz::{Decoder, run};
use tidemark_history::compact::{compact_window, merge, roll_up};
use tidemark_history::recent::encode_table;
use tidemark_history::segment::{Cell, SegmentReader, encode_segment};
use tidemark_history::{
    Bucket, RecentReader, Table, TableBuilder, Tier, Window, decode_recent, encode_recent,
};

const DECODERS: [Decoder; 5] = [
    Decoder {
        name: "row of recent",
        read: recent,
    },
    Decoder {
        name: "row of recent, damaged",
        read: recent_as_is,
    },
    Decoder {
        name: "segment",
        read: segment,
    },
    Decoder {
        name: "segment, damaged",
        read: segment_as_is,
    },
    Decoder {
        name: "compaction",
        read: compaction,
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

/// Bytes of a segment before what its checksum covers: magic, version, tier, checksum.
const HEADER_BYTES: usize = 10;
/// Cells up to which a table is read: the format allows 400 MB of raw cells, and four times that of buckets.
const READ_CELLS_MAX: usize = 1 << 21;
/// Cells up to which a table is also encoded: beyond it that takes its time and shows nothing new.
const ENCODED_CELLS_MAX: u64 = 1 << 16;

/// A row with the checksum that it should have.
fn recent(body: &[u8]) -> bool {
    recent_as_is(&sealed_row(body))
}

fn sealed_row(body: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    bytes.extend(crc32c::crc32c(body).to_le_bytes());
    bytes
}

fn recent_as_is(bytes: &[u8]) -> bool {
    let Ok(rows) = decode_recent(bytes) else {
        return false;
    };
    let written = encode_recent(&rows).expect("what was read is within the limits");
    let again = decode_recent(&written).expect("what was written can be read");
    assert_eq!(again, rows);

    let reader = RecentReader::open(bytes).expect("it was read before");
    let mut builder = TableBuilder::with_times(0);
    reader.add_to(&mut builder).expect("it was read before");
    let table = builder.build();
    assert_eq!(table.times(), reader.times());
    let rewritten = encode_table(&table).expect("it is within the limits");
    assert_eq!(decode_recent(&rewritten).expect("it is legal"), rows);
    true
}

/// A segment with the header and the checksum that it should have; the first byte chooses the tier.
fn segment(input: &[u8]) -> bool {
    segment_as_is(&sealed_segment(input))
}

fn sealed_segment(input: &[u8]) -> Vec<u8> {
    let (tier, body) = input.split_first().unwrap_or((&0, &[]));
    let mut bytes = b"TMSG\x01".to_vec();
    bytes.push(tier % 3);
    bytes.extend(crc32c::crc32c(body).to_le_bytes());
    assert_eq!(bytes.len(), HEADER_BYTES);
    bytes.extend(body);
    bytes
}

fn segment_as_is(bytes: &[u8]) -> bool {
    let Ok(reader) = SegmentReader::open(bytes) else {
        return false;
    };
    match reader.tier() {
        Tier::Raw => {
            assert!(reader.table::<Bucket>().is_err(), "raw cells as buckets");
            table::<i64>(&reader)
        }
        Tier::FiveMinutes | Tier::Hour => {
            assert!(reader.table::<i64>().is_err(), "buckets as raw cells");
            table::<Bucket>(&reader)
        }
    }
}

fn table<V: Cell + PartialEq + std::fmt::Debug>(reader: &SegmentReader<'_>) -> bool {
    if reader.rows().saturating_mul(reader.keys().len()) > READ_CELLS_MAX {
        let times = reader.times();
        return times.is_ok_and(|times| {
            let keys = reader.keys().take(2);
            keys.map(|key| reader.each_cell(key, &times, |_, _: V| {}))
                .all(|read| read.is_ok())
        });
    }
    let Ok(table) = reader.table::<V>() else {
        return false;
    };
    assert_eq!(table.times().len(), reader.rows());
    assert!(table.times().is_sorted_by(|left, right| left < right));
    if table.cells() > ENCODED_CELLS_MAX || reader.rows() as u64 > ENCODED_CELLS_MAX {
        return true;
    }
    // A series read alone is the series of the table.
    let keys: Vec<_> = reader.keys().collect();
    assert!(keys.is_sorted_by(|left, right| left < right));
    for key in keys.iter().take(64) {
        let mut cells = Vec::new();
        let is_there = reader
            .each_cell(*key, table.times(), |at, cell: V| cells.push((at, cell)))
            .expect("the table was read before");
        assert!(is_there);
        assert!(table.points(*key).eq(cells));
    }
    let written = encode_segment(reader.tier(), reader.window(), &table)
        .expect("what was read is within the limits");
    let reread = SegmentReader::open(&written).expect("what was written can be read");
    assert_eq!(reread.window(), reader.window());
    assert_eq!(reread.table::<V>().expect("it is legal"), table);
    true
}

/// Rows and segments of one host become one segment, which is rolled up and merged: nothing is lost and nothing panics.
fn compaction(input: &[u8]) -> bool {
    let mut parts = Parts::of(input);
    let from = i64::from(parts.u16()) * 60_000;
    let window = Window::of_ms(from, from + i64::from(parts.u16()) * 60_000 + 1);
    let rows = [sealed_row(parts.bytes()), sealed_row(parts.bytes())];
    let segment = sealed_segment(&[&[0], parts.bytes()].concat());
    let rows: Vec<&[u8]> = rows
        .iter()
        .map(Vec::as_slice)
        .filter(|row| decode_recent(row).is_ok())
        .collect();
    let is_small = |bytes: &&[u8]| {
        SegmentReader::open(bytes).is_ok_and(|reader| {
            reader.rows().saturating_mul(reader.keys().len()) < READ_CELLS_MAX
                && reader
                    .table::<i64>()
                    .is_ok_and(|table| table.cells() < ENCODED_CELLS_MAX)
        })
    };
    let segments: Vec<&[u8]> = [segment.as_slice()].into_iter().filter(is_small).collect();
    let Ok(compacted) = compact_window(window, &rows, &segments) else {
        return false;
    };
    let Some(raw) = compacted.segment else {
        assert!(compacted.table.is_empty(), "samples became no segment");
        return false;
    };
    let table: Table<i64> = SegmentReader::open(&raw.bytes)
        .and_then(|reader| reader.table())
        .expect("what was compacted can be read");
    assert_eq!(table, compacted.table);
    let merged = merge(Tier::Raw, window, &[&raw.bytes, &raw.bytes]).expect("it can be merged");
    let merged: Table<i64> = SegmentReader::open(&merged.bytes)
        .and_then(|reader| reader.table())
        .expect("what was merged can be read");
    assert_eq!(merged, table, "a segment merged with itself is another one");
    for tier in [Tier::FiveMinutes, Tier::Hour] {
        let rolled = roll_up(tier, window, &[&raw.bytes], &[]).expect("it can be rolled up");
        let rolled: Table<Bucket> = SegmentReader::open(&rolled.bytes)
            .and_then(|reader| reader.table())
            .expect("what was rolled up can be read");
        let points: u64 = rolled
            .series()
            .flat_map(|(key, _)| rolled.points(key).map(|(_, bucket)| bucket.count))
            .sum();
        assert_eq!(points, table.cells(), "points were lost in {tier}");
    }
    true
}
