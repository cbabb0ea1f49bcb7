//! Records and batches: round trips, limits, hostile bytes, and what a sample costs on the wire.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tidemark_model::event::{EventDatum, LogRecord};
use tidemark_model::{Seq, Timestamp};

use super::*;
use crate::convert::sample::tests::{any_sample, plain};

mod hostile;
mod wire_size;

const LIMITS: BatchLimits = BatchLimits {
    records_max: 256,
    bytes_max: 1024 * 1024,
};

fn any_event() -> impl Strategy<Value = EventHit> {
    let time = (-62_135_596_800_000..=253_402_300_799_999_i64).prop_map(Timestamp::from_unix_ms);
    let texts = ("[^\0]{0,9}", "[^\0]{0,60}");
    let log = proptest::option::of(any_log_record().prop_map(Box::new));
    (time, texts, any::<u32>(), 1..=u32::MAX, log).prop_map(
        |(at, (source, text), code, count, log)| EventHit {
            at,
            source: source.into(),
            code,
            count,
            text: text.into(),
            log,
        },
    )
}

fn any_log_record() -> impl Strategy<Value = LogRecord> {
    use proptest::option::of;
    let text = |pattern| {
        of(proptest::string::string_regex(pattern)
            .unwrap()
            .prop_map(Arc::from))
    };
    let datum = (text("[^\0]{1,9}"), "[^\0]{0,60}").prop_map(|(name, value)| EventDatum {
        name,
        value: value.into(),
    });
    let place = (
        text("[^\0]{1,9}"),
        0..=1_800_000_000_000_i64,
        of(0..=i64::MAX as u64),
        text("[^\0]{1,9}"),
    );
    let numbers = (
        of(any::<u8>()),
        of(any::<u16>()),
        of(any::<u32>()),
        of(any::<u32>()),
    );
    let packet = (
        of(vec(any::<u8>(), 0..60)),
        of(any::<u32>()),
        of(any::<u32>()),
    );
    (
        place,
        numbers,
        vec(datum, 0..4),
        packet,
        text("[^\0]{0,90}"),
    )
        .prop_map(
            |(place, numbers, data, (binary, error_code, final_status), xml)| LogRecord {
                channel: place.0,
                log_epoch: place.1,
                record_id: place.2,
                computer: place.3,
                level: numbers.0,
                qualifiers: numbers.1,
                process_id: numbers.2,
                thread_id: numbers.3,
                data,
                binary: binary.map(Arc::from),
                error_code,
                final_status,
                xml,
            },
        )
}

fn any_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        any_sample().prop_map(Record::Sample),
        any_event().prop_map(Record::Event),
    ]
}

fn event(text: &str) -> Record {
    Record::Event(EventHit {
        at: Timestamp::from_unix_ms(1_700_000_000_000),
        source: "Tcpip".into(),
        code: 4231,
        count: 1,
        text: text.into(),
        log: None,
    })
}

/// Sends stored records through an encoder and a decoder, as many batches as it takes.
fn deliver(
    encoder: &mut BatchEncoder,
    decoder: &mut BatchDecoder,
    stored: &[Vec<u8>],
    limits: BatchLimits,
) -> Vec<(Seq, Record)> {
    let mut delivered = Vec::new();
    while delivered.len() < stored.len() {
        let first = Seq::new(delivered.len() as u64 + 1);
        let encoded = encoder
            .encode(first, &stored[delivered.len()..], limits)
            .unwrap();
        let decoded = decoder.decode(&encoded.batch, limits).unwrap();
        assert_eq!(decoded.records.len(), encoded.taken);
        assert_eq!(decoded.refused, []);
        delivered.extend(decoded.records);
    }
    delivered
}

#[test]
fn an_event_is_cut_to_its_limits() {
    let stored = encode_stored(&Record::Event(EventHit {
        at: Timestamp::EPOCH,
        source: "ü".repeat(200).into(),
        code: 1,
        count: 1,
        text: format!("a\0b{}", "ß".repeat(2_000)).into(),
        log: None,
    }));
    let Ok(Record::Event(event)) = decode_stored(&stored) else {
        panic!("it is an event");
    };
    assert_eq!(event.source.len(), 254);
    assert_eq!(event.text.chars().count(), EVENT_TEXT_CHARS_MAX);
    assert!(event.text.starts_with("a?b"));
}

#[test]
fn a_log_record_is_cut_to_its_limits_and_its_nuls_are_mended() {
    let datum = EventDatum {
        name: Some("n\0".repeat(200).into()),
        value: "\0".repeat(EVENT_DATUM_BYTES_MAX + 1).into(),
    };
    let log = LogRecord {
        channel: Some("ü".repeat(200).into()),
        record_id: Some(u64::MAX),
        data: vec![datum; EVENT_DATA_MAX + 1],
        binary: Some(vec![1; EVENT_BINARY_BYTES_MAX + 1].into()),
        xml: Some("ß".repeat(EVENT_XML_BYTES_MAX).into()),
        ..LogRecord::default()
    };
    let stored = encode_stored(&Record::Event(EventHit {
        at: Timestamp::EPOCH,
        source: "Tcpip".into(),
        code: 4231,
        count: 1,
        text: "".into(),
        log: Some(Box::new(log)),
    }));
    let Ok(Record::Event(EventHit { log: Some(log), .. })) = decode_stored(&stored) else {
        panic!("it is an event of a log");
    };
    assert_eq!(log.channel.unwrap().len(), 254);
    assert_eq!(log.record_id, None, "no database holds it");
    assert_eq!(log.data.len(), EVENT_DATA_MAX);
    assert_eq!(log.data[0].value.len(), EVENT_DATUM_BYTES_MAX);
    assert!(log.data[0].name.as_deref().unwrap().starts_with("n?n?"));
    assert_eq!(log.binary.unwrap().len(), EVENT_BINARY_BYTES_MAX);
    assert_eq!(log.xml.unwrap().len(), EVENT_XML_BYTES_MAX);
}

#[test]
fn a_batch_takes_what_fits_its_limits() {
    let stored: Vec<_> = (0..10)
        .map(|n| encode_stored(&event(&format!("{n:0>100}"))))
        .collect();
    let taken = |records_max, bytes_max| {
        let limits = BatchLimits {
            records_max,
            bytes_max,
        };
        BatchEncoder::default()
            .encode(Seq::new(1), &stored, limits)
            .map(|encoded| encoded.taken)
    };
    assert!(matches!(taken(100, 100_000), Ok(10)));
    assert!(matches!(taken(3, 100_000), Ok(3)));
    assert!(matches!(taken(100, 400), Ok(3)));
    assert!(matches!(
        taken(100, 100),
        Err(EncodeError::TooLarge { bytes_max: 100 })
    ));
    assert!(matches!(taken(0, 400), Err(EncodeError::Empty)));
}

#[test]
fn the_names_of_a_record_that_did_not_fit_are_not_sent_with_the_others() {
    let stored: Vec<_> = (0..2)
        .map(|n| {
            let mut sample = plain();
            sample.port_spaces[0].owners[0].process.name = format!("{n:0>4000}").into();
            encode_stored(&Record::Sample(sample))
        })
        .collect();
    let limits = BatchLimits {
        records_max: 2,
        bytes_max: 6_000,
    };
    let (mut encoder, mut decoder) = (BatchEncoder::default(), BatchDecoder::default());
    let delivered = deliver(&mut encoder, &mut decoder, &stored, limits);
    assert_eq!(delivered.len(), 2);
}

#[test]
fn a_damaged_stored_record_ends_the_batch_before_it_and_can_be_skipped() {
    let good = encode_stored(&event("good"));
    let records = [good.clone(), b"\xff\xff".to_vec(), good];
    let (mut encoder, mut decoder) = (BatchEncoder::default(), BatchDecoder::default());
    let first = encoder.encode(Seq::new(1), &records, LIMITS).unwrap();
    assert_eq!(first.taken, 1);
    assert!(matches!(
        encoder.encode(Seq::new(2), &records[1..], LIMITS),
        Err(EncodeError::Damaged(_))
    ));
    let third = encoder.encode(Seq::new(3), &records[2..], LIMITS).unwrap();
    for batch in [first.batch, third.batch] {
        let decoded = decoder.decode(&batch, LIMITS).unwrap();
        assert_eq!(
            decoded.records,
            [(Seq::new(batch.first_seq), event("good"))]
        );
    }
}

#[test]
fn names_start_anew_when_the_table_is_full() {
    let (mut encoder, mut decoder) = (BatchEncoder::default(), BatchDecoder::default());
    let mut cut_short = 0;
    // A batch brings 64 KB of names and the table takes 4 MiB, so that one of the first 70 batches does not fit.
    for round in 0..70 {
        let records: Vec<_> = (0..256)
            .map(|n| {
                Record::Event(EventHit {
                    at: Timestamp::EPOCH,
                    source: format!("{round}-{n:0>240}").into(),
                    code: 1,
                    count: 1,
                    text: "".into(),
                    log: None,
                })
            })
            .collect();
        let stored: Vec<_> = records.iter().map(encode_stored).collect();
        let encoded = encoder.encode(Seq::new(1), &stored, LIMITS).unwrap();
        let delivered = decoder.decode(&encoded.batch, LIMITS).unwrap().records;
        assert!(
            delivered
                .iter()
                .map(|(_, record)| record)
                .eq(&records[..encoded.taken])
        );
        cut_short += usize::from(encoded.taken < records.len());
    }
    assert_eq!(cut_short, 1);
}

proptest! {
    #[test]
    fn stored_records_come_back(record in any_record()) {
        prop_assert_eq!(decode_stored(&encode_stored(&record)), Ok(record));
    }

    #[test]
    fn a_session_delivers_every_record_in_order(
        records in vec(any_record(), 1..20), records_max in 1..9_u32, bytes_max in 20_000..60_000_u32,
    ) {
        let limits = BatchLimits { records_max, bytes_max };
        let stored: Vec<_> = records.iter().map(encode_stored).collect();
        let delivered = deliver(&mut BatchEncoder::default(), &mut BatchDecoder::default(), &stored, limits);
        let expected: Vec<_> = (1..).map(Seq::new).zip(records).collect();
        prop_assert_eq!(delivered, expected);
    }

    #[test]
    fn sessions_of_one_thread_know_nothing_of_each_other(
        records in vec((any_record(), any_record()), 2..6), flip in any::<usize>(),
    ) {
        let (mut one, mut other) = <((BatchEncoder, BatchDecoder), (BatchEncoder, BatchDecoder))>::default();
        for (seq, (first, second)) in (1..).map(Seq::new).zip(records) {
            for ((encoder, decoder), record) in [(&mut one, first), (&mut other, second)] {
                let batch = encoder.encode(seq, &[encode_stored(&record)], LIMITS).unwrap().batch;
                let mut damaged = batch.clone();
                let place = flip % damaged.body_zstd.len();
                damaged.body_zstd[place] ^= 0xff;
                // Of a third session, which breaks.
                drop(BatchDecoder::default().decode(&damaged, LIMITS));
                let decoded = decoder.decode(&batch, LIMITS).unwrap();
                prop_assert_eq!(decoded.records, [(seq, record)]);
            }
        }
    }
}
