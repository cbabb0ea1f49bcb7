//! Which times of a segment a series has a value at, as runs or as a bitmap, whichever is shorter.

use crate::CodecError;
use crate::varint::{self, Reader};

const RUNS: u8 = 0;
const BITMAP: u8 = 1;

/// Appends `present`, strictly ascending positions below `rows`.
pub fn encode(present: &[u32], rows: usize, to: &mut Vec<u8>) {
    let start = to.len();
    to.push(RUNS);
    let mut end = 0u64;
    for run in present.chunk_by(|left, right| left + 1 == *right) {
        let first = run.first().copied().map_or(end, u64::from);
        varint::put(to, first - end);
        varint::put(to, run.len() as u64);
        end = first + run.len() as u64;
    }
    let bitmap_bytes = rows.div_ceil(8);
    if to.len() - start > bitmap_bytes + 1 {
        to.truncate(start);
        to.push(BITMAP);
        let mut bitmap = vec![0u8; bitmap_bytes];
        for row in present {
            if let Some(byte) = bitmap.get_mut((*row / 8) as usize) {
                *byte |= 1 << (row % 8);
            }
        }
        to.extend(bitmap);
    }
}

/// The positions that [`encode`] wrote; all are below `rows`, which the caller has bounded.
pub fn decode(bytes: &[u8], rows: usize) -> Result<Vec<u32>, CodecError> {
    let malformed = CodecError::Malformed { part: "presence" };
    let mut reader = Reader::new(bytes, "presence");
    let mut present = Vec::new();
    match reader.byte()? {
        RUNS => {
            let mut end = 0usize;
            while !reader.rest().is_empty() {
                let first = end + reader.bounded(rows.saturating_sub(end))?;
                end = first + reader.bounded(rows.saturating_sub(first))?;
                present.extend((first..end).map(|row| row as u32));
            }
        }
        BITMAP => {
            let bitmap = reader.bytes(rows.div_ceil(8))?;
            for (byte, base) in bitmap.iter().zip((0u32..).step_by(8)) {
                present.extend(
                    (0..8)
                        .filter(|bit| byte & (1 << bit) != 0)
                        .map(|bit| base + bit),
                );
            }
            if present.last().is_some_and(|row| *row as usize >= rows) {
                return Err(malformed);
            }
        }
        _ => return Err(malformed),
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_process_that_came_and_stayed_costs_a_few_bytes() {
        let mut bytes = Vec::new();
        encode(&(1_000..2_880).collect::<Vec<_>>(), 2_880, &mut bytes);
        assert_eq!(bytes.len(), 5);
    }

    proptest! {
        #[test]
        fn any_presence_survives_and_is_never_longer_than_a_bitmap(bits in proptest::collection::vec(any::<bool>(), 1..400)) {
            let present: Vec<u32> = (0u32..).zip(&bits).filter(|(_, bit)| **bit).map(|(row, _)| row).collect();
            let mut bytes = Vec::new();
            encode(&present, bits.len(), &mut bytes);
            prop_assert!(bytes.len() <= bits.len().div_ceil(8) + 1);
            prop_assert_eq!(decode(&bytes, bits.len()).unwrap(), present);
        }

        #[test]
        fn hostile_bytes_never_name_a_row_that_is_not_there(bytes: Vec<u8>, rows in 0usize..1_000) {
            if let Ok(present) = decode(&bytes, rows) {
                prop_assert!(present.iter().all(|row| (*row as usize) < rows));
                prop_assert!(present.is_sorted_by(|left, right| left < right));
            }
        }
    }
}
