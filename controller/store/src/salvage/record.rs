//! One row as SQLite stores it (<https://www.sqlite.org/fileformat.html#record_format>).

use std::cmp::Ordering;

/// A column's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// The integer, of an integer.
    pub(crate) const fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Null | Self::Real(_) | Self::Text(_) | Self::Blob(_) => None,
        }
    }

    /// The text, of text.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(value) => Some(value),
            Self::Null | Self::Integer(_) | Self::Real(_) | Self::Blob(_) => None,
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Integer(_) | Self::Real(_) => 1,
            Self::Text(_) => 2,
            Self::Blob(_) => 3,
        }
    }

    /// For people: a key as it is shown.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Integer(value) => value.to_string(),
            Self::Real(value) => value.to_string(),
            Self::Text(value) => value.chars().take(64).collect(),
            Self::Blob(value) => format!("{} bytes", value.len()),
        }
    }
}

/// The order of SQLite's indexes, with the collation that all of ours have.
pub(super) fn order(one: &[Value], other: &[Value]) -> Ordering {
    for (one, other) in one.iter().zip(other) {
        let order = match (one, other) {
            (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
            (Value::Text(one), Value::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
            (Value::Blob(one), Value::Blob(other)) => one.cmp(other),
            (Value::Real(one), Value::Real(other)) => one.total_cmp(other),
            _ => one.rank().cmp(&other.rank()),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// A number of one to nine bytes, and how many it has.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().take(9).enumerate() {
        if place == 8 {
            return Some(((value << 8) | u64::from(*byte), 9));
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

/// Columns of a row. `None` when it is none of ours: its lengths do not fit, its text is not UTF-8 or has a NUL, which no text of
/// ours has, since Postgres takes none.
pub(super) fn decode(payload: &[u8]) -> Option<Vec<Value>> {
    let (header_bytes, mut at) = varint(payload)?;
    let header_bytes = usize::try_from(header_bytes).ok()?;
    let header = payload.get(..header_bytes)?;
    let mut body = payload.get(header_bytes..)?;
    let mut values = Vec::new();
    while at < header_bytes {
        let (kind, bytes) = varint(header.get(at..)?)?;
        at += bytes;
        let length = length_of(kind)?;
        let (content, rest) = body.split_at_checked(length)?;
        body = rest;
        values.push(value(kind, content)?);
    }
    (at == header_bytes && body.is_empty()).then_some(values)
}

fn length_of(kind: u64) -> Option<usize> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => usize::try_from(kind).ok(),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        _ => usize::try_from((kind - 12) / 2).ok(),
    }
}

fn value(kind: u64, content: &[u8]) -> Option<Value> {
    Some(match kind {
        0 => Value::Null,
        1..=6 => Value::Integer(signed(content)),
        7 => Value::Real(f64::from_bits(signed(content).cast_unsigned())),
        8 => Value::Integer(0),
        9 => Value::Integer(1),
        _ if kind.is_multiple_of(2) => Value::Blob(content.to_vec()),
        _ => {
            let text = std::str::from_utf8(content).ok()?;
            if text.contains('\0') {
                return None;
            }
            Value::Text(text.to_owned())
        }
    })
}

/// A big-endian number in two's complement.
fn signed(bytes: &[u8]) -> i64 {
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let start = if is_negative { -1 } else { 0 };
    bytes
        .iter()
        .fold(start, |value, byte| (value << 8) | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        // NULL, 1, -2 in one byte, 258 in two, "ab", x'0102'.
        let payload = [7, 0, 9, 1, 2, 17, 16, 0xfe, 1, 2, b'a', b'b', 1, 2];
        assert_eq!(
            decode(&payload),
            Some(vec![
                Value::Null,
                Value::Integer(1),
                Value::Integer(-2),
                Value::Integer(258),
                Value::Text("ab".to_owned()),
                Value::Blob(vec![1, 2]),
            ])
        );
    }

    #[test]
    fn what_is_no_row_of_ours_is_none() {
        assert_eq!(decode(&[2, 17, b'a', b'b', b'c']), None, "too much");
        assert_eq!(decode(&[2, 17, b'a']), None, "too little");
        assert_eq!(decode(&[2, 17, b'a', 0]), None, "a NUL");
        assert_eq!(decode(&[2, 15, 0xff]), None, "no UTF-8");
        assert_eq!(decode(&[2, 10]), None, "a kind that is reserved");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode(&bytes);
            varint(&bytes);
        }
    }
}
