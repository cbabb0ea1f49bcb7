//! Records: as a spool keeps them, and as a session carries them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use tidemark_fuzz::oracle::round;
use tidemark_fuzz::parts::Parts;
use tidemark_fuzz::{Decoder, run};
use tidemark_model::Seq;
use tidemark_proto::convert::record::{
    BatchDecoder, BatchEncoder, BatchLimits, EncodeError, Record, decode_stored, encode_stored,
};
use tidemark_proto::v1;

const DECODERS: [Decoder; 3] = [
    Decoder {
        name: "stored record",
        read: stored,
    },
    Decoder {
        name: "batches of a session",
        read: session,
    },
    Decoder {
        name: "batch as it travels",
        read: batch,
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

/// As the controller's.
const LIMITS: BatchLimits = BatchLimits {
    records_max: 4_096,
    bytes_max: 4 << 20,
};
/// How far back compression reaches; see the contract.
const PREFIX_BYTES_MAX: usize = 8 * 1024;
const BATCHES_MAX: usize = 16;

fn stored(bytes: &[u8]) -> bool {
    let Some(record) = round(bytes, decode_stored, encode_stored) else {
        return false;
    };
    carry(&[record]);
    true
}

/// Sends records through a session of their own: they arrive as they are.
fn carry(records: &[Record]) {
    let stored: Vec<Vec<u8>> = records.iter().map(encode_stored).collect();
    let sent = match BatchEncoder::default().encode(Seq::new(1), &stored, LIMITS) {
        Ok(sent) => sent,
        Err(EncodeError::TooLarge { .. }) => return,
        Err(error) => panic!("a legal record cannot be sent: {error}"),
    };
    let arrived = BatchDecoder::default()
        .decode(&sent.batch, LIMITS)
        .expect("what an agent sends is legal");
    assert_eq!(arrived.refused.len(), 0, "{:?}", arrived.refused);
    let arrived: Vec<Record> = arrived.records.into_iter().map(|(_, one)| one).collect();
    assert_eq!(arrived.as_slice(), &records[..sent.taken]);
}

/// Bodies of one session after each other, packed as the contract says.
fn session(bytes: &[u8]) -> bool {
    let mut parts = Parts::of(bytes);
    let mut decoder = BatchDecoder::default();
    let mut prefix: Vec<u8> = Vec::new();
    let mut next = 1_u64;
    let mut has_taken = false;
    for _ in 0..BATCHES_MAX {
        let body = parts.bytes();
        if body.is_empty() {
            break;
        }
        let count = v1::RecordBody::decode(body).map_or(1, |body| body.records.len());
        let body_zstd = zstd::bulk::Compressor::with_dictionary(1, &prefix)
            .and_then(|mut compressor| compressor.compress(body))
            .expect("a short body can be compressed");
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let batch = v1::RecordBatch {
            first_seq: next,
            count,
            body_zstd,
        };
        let Ok(decoded) = decoder.decode(&batch, LIMITS) else {
            assert!(decoder.decode(&batch, LIMITS).is_err(), "broken and mended");
            break;
        };
        assert_eq!(
            decoded.records.len() + decoded.refused.len(),
            count as usize
        );
        let records: Vec<Record> = decoded.records.into_iter().map(|(_, one)| one).collect();
        if !records.is_empty() {
            carry(&records);
            has_taken = true;
        }
        next += u64::from(count);
        prefix = body[body.len().saturating_sub(PREFIX_BYTES_MAX)..].to_vec();
    }
    has_taken
}

fn batch(bytes: &[u8]) -> bool {
    let Ok(batch) = v1::RecordBatch::decode(bytes) else {
        return false;
    };
    BatchDecoder::default().decode(&batch, LIMITS).is_ok()
}
