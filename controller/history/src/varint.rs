//! Variable-length integers and a reader that never reads past its end.

use crate::CodecError;

/// Appends `value` in 7-bit groups, lowest first: 1 to 10 bytes.
pub fn put(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Appends `value` so that small magnitudes of either sign are short.
pub fn put_signed(to: &mut Vec<u8>, value: i64) {
    put(to, zigzag(value));
}

/// Maps 0, -1, 1, -2, ... to 0, 1, 2, 3, ...
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// How many bytes [`put`] takes for `value`.
pub const fn length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    part: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; errors name `part`.
    pub const fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self { rest: bytes, part }
    }

    /// What has not been read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, CodecError> {
        let (first, rest) = self.rest.split_first().ok_or(self.truncated())?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.truncated())?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next unsigned integer.
    pub fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.malformed());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed())
    }

    /// The next signed integer.
    pub fn signed(&mut self) -> Result<i64, CodecError> {
        self.varint().map(unzigzag)
    }

    /// The next unsigned integer, which may be at most `limit`.
    pub fn bounded(&mut self, limit: usize) -> Result<usize, CodecError> {
        let found = self.varint()?;
        match usize::try_from(found) {
            Ok(value) if value <= limit => Ok(value),
            Ok(_) | Err(_) => Err(CodecError::TooLarge {
                part: self.part,
                found,
                limit: limit as u64,
            }),
        }
    }

    const fn truncated(&self) -> CodecError {
        CodecError::Truncated { part: self.part }
    }

    const fn malformed(&self) -> CodecError {
        CodecError::Malformed { part: self.part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_integer_survives_and_has_the_announced_length(value: u64, signed: i64) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            prop_assert_eq!(bytes.len(), length(value));
            put_signed(&mut bytes, signed);
            let mut reader = Reader::new(&bytes, "test");
            prop_assert_eq!(reader.varint().unwrap(), value);
            prop_assert_eq!(reader.signed().unwrap(), signed);
            prop_assert!(reader.byte().is_err());
        }

        #[test]
        fn hostile_bytes_end_in_an_error_or_a_number(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes, "test");
            while reader.varint().is_ok() {}
        }
    }
}
