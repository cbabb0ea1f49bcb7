//! Hostile batches: bombs, lies about sizes and counts, bytes at random. Nothing panics, nothing is taken in part.

use prost::Message;

use super::*;
use crate::convert::budget::BODY_MESSAGES_MAX;

fn batch(first_seq: u64, count: u32, body: &[u8]) -> v1::RecordBatch {
    v1::RecordBatch {
        first_seq,
        count,
        body_zstd: zstd::bulk::compress(body, 3).unwrap(),
    }
}

fn refusal(batch: &v1::RecordBatch) -> String {
    BatchDecoder::default()
        .decode(batch, LIMITS)
        .unwrap_err()
        .to_string()
}

fn body(records: Vec<v1::Record>) -> Vec<u8> {
    v1::RecordBody {
        new_names: vec!["Tcpip".to_owned()],
        reset_names: false,
        records,
    }
    .encode_to_vec()
}

fn wire_event(count: u32) -> v1::Record {
    let event = v1::Event {
        at_ms: 0,
        source: 1,
        code: 1,
        count,
        text: String::new(),
        log: None,
    };
    v1::Record {
        kind: Some(v1::record::Kind::Event(event)),
    }
}

#[test]
fn a_log_record_beyond_its_limits_is_refused_by_name() {
    let legal = v1::LogRecord::default;
    let datum = |value: String| v1::EventDatum {
        name: String::new(),
        value,
    };
    let cases = [
        (
            v1::LogRecord {
                xml: Some("x".repeat(32 * 1024 + 1)),
                ..legal()
            },
            "event.log.xml bytes is 32769; the limit is 32768",
        ),
        (
            v1::LogRecord {
                data: vec![datum(String::new()); 65],
                ..legal()
            },
            "event.log.data is 65; the limit is 64",
        ),
        (
            v1::LogRecord {
                data: vec![datum("a\0".to_owned())],
                ..legal()
            },
            "event.log.data value is malformed: it holds a NUL",
        ),
        (
            v1::LogRecord {
                level: Some(256),
                ..legal()
            },
            "event.log.level is 256; the limit is 255",
        ),
        (
            v1::LogRecord {
                channel: 2,
                ..legal()
            },
            "event.log.channel is 2; the limit is 1",
        ),
        (
            v1::LogRecord {
                record_id: Some(u64::MAX),
                ..legal()
            },
            "event.log.record_id is 18446744073709551615; the limit is 9223372036854775807",
        ),
    ];
    for (log, refusal) in cases {
        let mut record = wire_event(1);
        if let Some(v1::record::Kind::Event(event)) = &mut record.kind {
            event.log = Some(log);
        }
        let refused = decode_stored(&body(vec![record])).unwrap_err();
        assert_eq!(refused.to_string(), refusal);
    }
}

#[test]
fn a_bomb_is_refused_by_its_stated_size() {
    let bomb = batch(1, 1, &vec![0; 64 * 1024 * 1024]);
    assert!(bomb.body_zstd.len() < 10_000);
    assert_eq!(
        refusal(&bomb),
        "batch.body_zstd uncompressed bytes is 67108864; the limit is 1048576"
    );
}

#[test]
fn a_bomb_that_lies_about_its_size_or_hides_it_is_refused() {
    let honest = zstd::bulk::compress(&vec![0; 8 * 1024 * 1024], 3).unwrap();
    let mut lying = zstd::bulk::compress(&[0; 1000], 3).unwrap();
    // A second frame behind one that states an innocent size.
    lying.extend_from_slice(&honest);
    let streamed = zstd::stream::encode_all([0; 1000].as_slice(), 3).unwrap();
    let messages = [
        (lying, "batch.body_zstd bytes"),
        (streamed, "it is not a zstd frame that states its size"),
        (vec![0; 10], "it is not a zstd frame that states its size"),
        (Vec::new(), "it is not a zstd frame that states its size"),
    ];
    for (body_zstd, message) in messages {
        let text = refusal(&v1::RecordBatch {
            first_seq: 1,
            count: 1,
            body_zstd,
        });
        let otherwise = "it cannot be decompressed to the size that it states";
        assert!(text.contains(message) || text.contains(otherwise), "{text}");
    }
}

#[test]
fn a_body_that_unfolds_to_too_many_messages_is_refused_before_it_is_decoded() {
    // An empty owner takes two bytes here and a hundred in memory.
    let owners = [0x6a, 0x00].repeat(BODY_MESSAGES_MAX);
    let wrap = |tag: u8, inner: &[u8]| {
        let mut outer = vec![tag];
        prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
        outer.extend_from_slice(inner);
        outer
    };
    let hostile = wrap(0x1a, &wrap(0x0a, &wrap(0x22, &owners)));
    assert!(hostile.len() < LIMITS.bytes_max as usize);
    assert_eq!(
        refusal(&batch(1, 1, &hostile)),
        "body messages is 131073; the limit is 131072"
    );
}

#[test]
fn seqs_and_counts_are_checked() {
    let one = body(vec![wire_event(1)]);
    let cases = [
        (batch(0, 1, &one), "batch.first_seq is missing"),
        (batch(1, 0, &one), "batch.count is missing"),
        (batch(1, 257, &one), "batch.count is 257; the limit is 256"),
        (
            batch(u64::MAX, 1, &one),
            "batch.first_seq is 18446744073709551615; the limit is 9223372036854775806",
        ),
        (
            batch(1, 2, &one),
            "batch.body_zstd is malformed: it does not hold count records",
        ),
        (
            batch(1, 1, b"\xff"),
            "body is malformed: it is not protobuf",
        ),
    ];
    for (batch, message) in cases {
        assert_eq!(refusal(&batch), message);
    }
}

#[test]
fn one_illegal_record_is_refused_alone_and_a_broken_batch_ends_the_session() {
    let mut decoder = BatchDecoder::default();
    let three = batch(
        7,
        3,
        &body(vec![wire_event(1), wire_event(0), wire_event(2)]),
    );
    let decoded = decoder.decode(&three, LIMITS).unwrap();
    let taken: Vec<u64> = decoded.records.iter().map(|(seq, _)| seq.get()).collect();
    assert_eq!(taken, [7, 9]);
    let missing = ConvertError::Missing {
        field: "event.count",
    };
    assert_eq!(decoded.refused, [(Seq::new(8), missing)]);
    assert!(decoder.decode(&batch(10, 9, b""), LIMITS).is_err());
    assert!(
        decoder.decode(&three, LIMITS).is_err(),
        "later batches build on the broken one"
    );
}

#[test]
fn an_honest_sender_is_never_refused_for_its_number_of_messages() {
    let records = vec![wire_event(1); 256];
    let encoded = body(records);
    assert_eq!(budget::check_body(&encoded), Ok(256 * 2 + 1));
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200), count in 0..4_u32) {
        let _refused_or_not = decode_stored(&bytes).is_ok();
        let _neither = BatchDecoder::default().decode(&batch(1, count, &bytes), LIMITS).is_ok();
        let raw = v1::RecordBatch { first_seq: 1, count, body_zstd: bytes };
        prop_assert!(BatchDecoder::default().decode(&raw, LIMITS).is_err());
    }

    #[test]
    fn damaged_records_do_no_harm(record in any_record(), flips in vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut bytes = encode_stored(&record);
        for (position, mask) in flips {
            let position = position % bytes.len();
            bytes[position] ^= mask;
        }
        if let Ok(decoded) = decode_stored(&bytes) {
            // Whatever is taken is legal: it can be stored and taken again.
            prop_assert!(decode_stored(&encode_stored(&decoded)).is_ok());
        }
        if let Ok(encoded) = BatchEncoder::default().encode(Seq::new(1), &[&bytes], LIMITS) {
            prop_assert!(BatchDecoder::default().decode(&encoded.batch, LIMITS).is_ok());
        }
    }
}
