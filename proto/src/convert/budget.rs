//! Bounds what a record body may unfold to, before it is decoded. Two bytes on the wire become a message of hundreds of
//! bytes in memory, so a limit on bytes alone does not bound memory. Knows field numbers, not values.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::ConvertError;

/// Messages that one record body may hold, at all depths. Honest ones take more than 8 bytes each, so that the largest
/// body that a controller asks for (1 MiB) holds fewer.
pub(super) const BODY_MESSAGES_MAX: usize = 131_072;

/// Which fields of a message are messages that may repeat, and what those hold in turn.
struct Shape(&'static [(u32, &'static Self)]);

/// A message without messages that repeat; those that occur once add at most 2 to the count of their parent.
const LEAF: Shape = Shape(&[]);
const OWNER: Shape = Shape(&[(6, &LEAF)]);
const PORT_SPACE: Shape = Shape(&[
    (10, &LEAF),
    (13, &OWNER),
    (14, &LEAF),
    (16, &LEAF),
    (18, &LEAF),
]);
const SAMPLE: Shape = Shape(&[(4, &PORT_SPACE), (5, &LEAF), (7, &LEAF), (8, &LEAF)]);
const LOG_RECORD: Shape = Shape(&[(9, &LEAF)]);
const EVENT: Shape = Shape(&[(6, &LOG_RECORD)]);
const RECORD: Shape = Shape(&[(1, &SAMPLE), (2, &EVENT)]);
const NAME: Shape = Shape(&[]);
const BODY: Shape = Shape(&[(1, &NAME), (3, &RECORD)]);

/// Counts the messages and names of an encoded record body.
///
/// # Errors
/// When it is not protobuf, or holds more than [`BODY_MESSAGES_MAX`].
pub(super) fn check_body(encoded: &[u8]) -> Result<usize, ConvertError> {
    let mut messages = 0;
    count(encoded, &BODY, &mut messages)?;
    Ok(messages)
}

fn count(mut encoded: &[u8], shape: &Shape, messages: &mut usize) -> Result<(), ConvertError> {
    while encoded.has_remaining() {
        let (tag, wire_type) = decode_key(&mut encoded).map_err(|_| NOT_PROTOBUF)?;
        let inner = shape.0.iter().find(|(field, _)| *field == tag);
        match (inner, wire_type) {
            (Some((_, inner)), WireType::LengthDelimited) => {
                let length = decode_varint(&mut encoded).map_err(|_| NOT_PROTOBUF)?;
                let length = usize::try_from(length).map_err(|_| NOT_PROTOBUF)?;
                let (message, rest) = encoded.split_at_checked(length).ok_or(NOT_PROTOBUF)?;
                *messages += 1;
                super::list_at_most("body messages", *messages, BODY_MESSAGES_MAX)?;
                // A leaf's inside holds nothing that repeats; the decoder checks its form.
                if !inner.0.is_empty() {
                    count(message, inner, messages)?;
                }
                encoded = rest;
            }
            _ => skip_field(wire_type, tag, &mut encoded, DecodeContext::default())
                .map_err(|_| NOT_PROTOBUF)?,
        }
    }
    Ok(())
}

const NOT_PROTOBUF: ConvertError = ConvertError::Malformed {
    field: "body",
    reason: "it is not protobuf",
};
