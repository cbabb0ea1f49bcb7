//! Little-endian integers and texts at any offset of a slice, at any alignment.

/// Bytes that are read by offset; what lies outside is `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }

    pub(super) fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// What a pointer leads to when the first byte is at address `base`; `None` outside.
    pub(super) fn behind(self, pointer: u64, base: u64) -> Option<&'a [u8]> {
        let offset = usize::try_from(pointer.checked_sub(base)?).ok()?;
        self.0.get(offset..)
    }
}

/// Text of UTF-16 code units; what is no text is replaced.
pub(super) fn text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|unit| Bytes(unit).u16(0));
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// The bytes before the first code unit 0; `None` when there is none among the first `units_max`.
pub(super) fn terminated(bytes: &[u8], units_max: usize) -> Option<&[u8]> {
    let mut units = bytes.chunks_exact(2).take(units_max);
    let length = units.position(|unit| unit == [0, 0])?;
    bytes.get(..length.checked_mul(2)?)
}
