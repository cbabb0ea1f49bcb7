//! One column of integers as bytes: a constant, short deltas, or pco on the narrowest unsigned type.

use pco::data_types::Number;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use crate::CodecError;
use crate::varint::{self, Reader};

/// Below this many values pco saves a third and takes several times as long; such columns, of an hour or two, live for a
/// day only.
const PCO_VALUES_MIN: usize = 200;

/// From this many values on, as in a day, a second try with [`CONVOLUTION`] is worth its time: it saves 6 % of a day's
/// bytes for a third more of the time that encoding takes (`examples/codec_cost`).
const TRIED_TWICE_MIN: usize = 1_000;

/// Order of the linear prediction that is tried; pco decodes this one fastest.
const CONVOLUTION: DeltaSpec = DeltaSpec::TryConv1(6);

/// Runs up to this many bytes are taken as they are: about where pco's header and changes cost as much.
const RUNS_BYTES_MAX: usize = 40;

/// How a column is stored. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// All values are one: a signed varint.
    Constant = 0,
    /// A signed varint for the difference to the value before.
    Deltas = 1,
    /// The lowest value as a signed varint, then pco of what the values exceed it by, as bytes.
    Pco8 = 2,
    /// The same in 16 bits.
    Pco16 = 3,
    /// The same in 32 bits.
    Pco32 = 4,
    /// The same in 64 bits.
    Pco64 = 5,
    /// For each run of equal values a signed varint for the difference to the run before, and its length.
    Runs = 6,
}

impl Encoding {
    /// The encoding of that number.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Constant,
            1 => Self::Deltas,
            2 => Self::Pco8,
            3 => Self::Pco16,
            4 => Self::Pco32,
            5 => Self::Pco64,
            6 => Self::Runs,
            _ => return None,
        })
    }
}

/// Appends `values` to `to` and says how.
pub fn encode(values: &[i64], to: &mut Vec<u8>) -> Result<Encoding, CodecError> {
    let (lowest, highest) = match (values.iter().min(), values.iter().max()) {
        (Some(lowest), Some(highest)) => (*lowest, *highest),
        _ => (0, 0),
    };
    if lowest == highest {
        varint::put_signed(to, lowest);
        return Ok(Encoding::Constant);
    }
    if put_runs(values, to) {
        return Ok(Encoding::Runs);
    }
    let deltas_length = deltas_length(values);
    if values.len() < PCO_VALUES_MIN {
        put_deltas(values, to);
        return Ok(Encoding::Deltas);
    }
    let start = to.len();
    varint::put_signed(to, lowest);
    let excess = values.iter().map(|value| value.wrapping_sub(lowest) as u64);
    let span = highest.wrapping_sub(lowest) as u64;
    let encoding = if span <= u64::from(u8::MAX) {
        let narrow: Vec<u8> = excess.map(|value| value as u8).collect();
        put_pco(&narrow, values, to)?;
        Encoding::Pco8
    } else if span <= u64::from(u16::MAX) {
        let narrow: Vec<u16> = excess.map(|value| value as u16).collect();
        put_pco(&narrow, values, to)?;
        Encoding::Pco16
    } else if span <= u64::from(u32::MAX) {
        let narrow: Vec<u32> = excess.map(|value| value as u32).collect();
        put_pco(&narrow, values, to)?;
        Encoding::Pco32
    } else {
        let wide: Vec<u64> = excess.collect();
        put_pco(&wide, values, to)?;
        Encoding::Pco64
    };
    if to.len() - start <= deltas_length {
        return Ok(encoding);
    }
    to.truncate(start);
    put_deltas(values, to);
    Ok(Encoding::Deltas)
}

/// The `count` values of a column. `count` must be bounded by the caller.
pub fn decode(encoding: Encoding, bytes: &[u8], count: usize) -> Result<Vec<i64>, CodecError> {
    let mut reader = Reader::new(bytes, "column");
    match encoding {
        Encoding::Constant => Ok(vec![reader.signed()?; count]),
        Encoding::Deltas => {
            // Every value takes a byte at least: what is announced cannot exceed what is there.
            if bytes.len() < count {
                return Err(CodecError::Truncated { part: "column" });
            }
            let mut value = 0i64;
            (0..count)
                .map(|_| {
                    value = value.wrapping_add(reader.signed()?);
                    Ok(value)
                })
                .collect()
        }
        Encoding::Runs => take_runs(reader, count),
        Encoding::Pco8 => take_pco::<u8>(reader, count, u64::from),
        Encoding::Pco16 => take_pco::<u16>(reader, count, u64::from),
        Encoding::Pco32 => take_pco::<u32>(reader, count, u64::from),
        Encoding::Pco64 => take_pco::<u64>(reader, count, |value| value),
    }
}

fn deltas(values: &[i64]) -> impl Iterator<Item = i64> {
    let before = std::iter::once(0).chain(values.iter().copied());
    values
        .iter()
        .zip(before)
        .map(|(value, before)| value.wrapping_sub(before))
}

fn deltas_length(values: &[i64]) -> usize {
    deltas(values)
        .map(|delta| varint::length(varint::zigzag(delta)))
        .sum()
}

fn put_deltas(values: &[i64], to: &mut Vec<u8>) {
    for delta in deltas(values) {
        varint::put_signed(to, delta);
    }
}

/// Appends the runs of `values` if they are short enough, and says whether they are.
fn put_runs(values: &[i64], to: &mut Vec<u8>) -> bool {
    let start = to.len();
    let limit = RUNS_BYTES_MAX.min(values.len());
    let mut before = 0i64;
    for run in values.chunk_by(|left, right| left == right) {
        let value = run.first().copied().unwrap_or(before);
        varint::put_signed(to, value.wrapping_sub(before));
        varint::put(to, run.len() as u64);
        before = value;
        if to.len() - start > limit {
            to.truncate(start);
            return false;
        }
    }
    true
}

fn take_runs(mut reader: Reader<'_>, count: usize) -> Result<Vec<i64>, CodecError> {
    let mut values = Vec::with_capacity(count);
    let mut value = 0i64;
    while values.len() < count {
        value = value.wrapping_add(reader.signed()?);
        let length = reader.bounded(count - values.len())?;
        if length == 0 {
            return Err(CodecError::Malformed { part: "column" });
        }
        values.extend(std::iter::repeat_n(value, length));
    }
    Ok(values)
}

/// Whether differences are smaller than the values above their lowest; pco's own search costs more than the rest of it.
fn delta_spec(values: &[i64]) -> DeltaSpec {
    let lowest = values.iter().min().copied().unwrap_or(0);
    let bits = |value: u64| u64::from(64 - value.leading_zeros());
    let plain: u64 = values
        .iter()
        .map(|value| bits(value.wrapping_sub(lowest) as u64))
        .sum();
    let differences: u64 = deltas(values)
        .skip(1)
        .map(|delta| bits(varint::zigzag(delta)))
        .sum();
    if differences < plain {
        DeltaSpec::TryConsecutive(1)
    } else {
        DeltaSpec::NoOp
    }
}

/// Counts that swing around a level are predicted best by a line through the values before them, others by the one before.
fn put_pco<T: Number>(narrow: &[T], values: &[i64], to: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = to.len();
    put_chunk(narrow, delta_spec(values), to)?;
    if values.len() < TRIED_TWICE_MIN {
        return Ok(());
    }
    let mut other = Vec::with_capacity(to.len() - start);
    put_chunk(narrow, CONVOLUTION, &mut other)?;
    if other.len() < to.len() - start {
        to.truncate(start);
        to.extend(other);
    }
    Ok(())
}

fn put_chunk<T: Number>(
    narrow: &[T],
    delta_spec: DeltaSpec,
    to: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let mut config = ChunkConfig::default()
        .with_mode_spec(ModeSpec::Classic)
        .with_delta_spec(delta_spec);
    config.enable_8_bit = true;
    let mut chunk = FileCompressor::default()
        .chunk_compressor(narrow, &config)
        .map_err(CodecError::Column)?;
    chunk.write_meta(&mut *to).map_err(CodecError::Column)?;
    for page in 0..chunk.n_per_page().len() {
        chunk
            .write_page(page, &mut *to)
            .map_err(CodecError::Column)?;
    }
    Ok(())
}

/// What pco writes at the head of a file: the format version that [`put_pco`]'s compressor has. Stored once, here,
/// instead of in every column; the segment's own version changes with it.
const PCO_HEADER: [u8; 2] = [4, 1];

fn take_pco<T: Number + Default>(
    mut reader: Reader<'_>,
    count: usize,
    widen: impl Fn(T) -> u64,
) -> Result<Vec<i64>, CodecError> {
    let lowest = reader.signed()?;
    let (file, _) = FileDecompressor::new(&PCO_HEADER[..]).map_err(CodecError::Column)?;
    let (mut chunk, rest) = file
        .chunk_decompressor::<T, _>(reader.rest())
        .map_err(CodecError::Column)?;
    let mut narrow = vec![T::default(); count];
    let mut page = chunk
        .page_decompressor(rest, count)
        .map_err(CodecError::Column)?;
    let progress = page.read(&mut narrow).map_err(CodecError::Column)?;
    if progress.n_processed != count {
        return Err(CodecError::Truncated { part: "column" });
    }
    let values = narrow.into_iter();
    Ok(values
        .map(|excess| lowest.wrapping_add(widen(excess) as i64))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> (Encoding, usize) {
        let mut bytes = Vec::new();
        let encoding = encode(values, &mut bytes).unwrap();
        assert_eq!(decode(encoding, &bytes, values.len()).unwrap(), values);
        (encoding, bytes.len())
    }

    #[test]
    fn a_constant_column_costs_two_bytes_whatever_its_length() {
        assert_eq!(round_trip(&[16_384; 2_880]), (Encoding::Constant, 3));
        assert_eq!(round_trip(&[0; 240]), (Encoding::Constant, 1));
    }

    #[test]
    fn a_level_that_steps_a_few_times_a_day_costs_a_few_bytes() {
        let steps: Vec<i64> = (0..2_880).map(|index| 80 + index / 500).collect();
        let (encoding, bytes) = round_trip(&steps);
        assert_eq!(encoding, Encoding::Runs);
        assert!(bytes <= 20, "{bytes}");
    }

    #[test]
    fn each_width_survives_at_its_limits() {
        for (top, encoding) in [
            (255, Encoding::Pco8),
            (65_535, Encoding::Pco16),
            (4_294_967_295, Encoding::Pco32),
            (i64::MAX, Encoding::Pco64),
        ] {
            let mut state = 1u64;
            let values: Vec<i64> = (0..500)
                .map(|index| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let random = ((state >> 1) as i64).checked_rem(top).unwrap_or(0);
                    if index == 7 {
                        top
                    } else {
                        random.min(top) * i64::from(index != 9)
                    }
                })
                .collect();
            assert_eq!(round_trip(&values).0, encoding, "{top}");
        }
        round_trip(&[i64::MIN, i64::MAX, 0, -1].repeat(20));
    }

    #[test]
    fn the_stored_pco_version_is_the_one_that_the_library_writes() {
        let mut header = Vec::new();
        FileCompressor::default().write_header(&mut header).unwrap();
        assert_eq!(header, PCO_HEADER, "bump the segment's version as well");
    }

    proptest! {
        #[test]
        fn any_column_survives(values in proptest::collection::vec(any::<i64>(), 0..300)) {
            round_trip(&values);
        }

        #[test]
        fn a_slow_walk_survives(steps in proptest::collection::vec(-3i64..=3, 1..600), start: i32) {
            let walk = steps.iter().scan(i64::from(start), |level, step| { *level += step; Some(*level) });
            round_trip(&walk.collect::<Vec<_>>());
        }

        #[test]
        fn hostile_bytes_are_an_error_or_a_column(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), code in 0u8..7, count in 0usize..600,
        ) {
            let encoding = Encoding::from_code(code).unwrap();
            if let Ok(values) = decode(encoding, &bytes, count) {
                prop_assert_eq!(values.len(), count);
            }
        }
    }
}
