//! Writes segments.

use crate::column::{self, Encoding};
use crate::segment::{
    CELLS_MAX, Cell, HEADER_BYTES, MAGIC, ROWS_MAX, SERIES_MAX, VERSION, presence,
};
use crate::table::{Cells, Table};
use crate::varint;
use crate::{CodecError, SeriesKey, Tier, Window};

/// A segment of `tier` that holds `table`. `window` is what the segment stands for, whether or not there are times in all of it.
///
/// # Errors
/// When the table has more rows or series than the format allows, or other cells than the tier has.
pub fn encode_segment<V: Cell>(
    tier: Tier,
    window: Window,
    table: &Table<V>,
) -> Result<Vec<u8>, CodecError> {
    if !V::fits(tier) {
        return Err(CodecError::WrongTier {
            found: tier.as_str(),
            wanted: if V::FIELDS == 1 { "raw" } else { "5m or 1h" },
        });
    }
    within("rows of a segment", table.times().len(), ROWS_MAX)?;
    within("series of a segment", table.series().len(), SERIES_MAX)?;
    within_cells(table.cells())?;

    let mut times = Vec::new();
    put_times(table.times(), &mut times)?;
    let (mut directory, mut data) = (Vec::new(), Vec::new());
    let mut before = None;
    for (key, cells) in table.series() {
        put_series(
            key,
            before,
            cells,
            table.times().len(),
            (&mut directory, &mut data),
        )?;
        before = Some(key);
    }

    let mut bytes =
        Vec::with_capacity(HEADER_BYTES + 32 + times.len() + directory.len() + data.len());
    bytes.extend(MAGIC);
    bytes.extend([VERSION, tier.code(), 0, 0, 0, 0]);
    varint::put_signed(&mut bytes, window.from.unix_ms());
    varint::put(&mut bytes, window.length_ms().max(0) as u64);
    for length in [
        table.times().len(),
        table.series().len(),
        times.len(),
        directory.len(),
    ] {
        varint::put(&mut bytes, length as u64);
    }
    for part in [times, directory, data] {
        bytes.extend(part);
    }
    seal(&mut bytes);
    Ok(bytes)
}

/// Writes the checksum of everything behind the header into the header.
pub(super) fn seal(bytes: &mut [u8]) {
    if let Some((header, body)) = bytes.split_at_mut_checked(HEADER_BYTES)
        && let Some(slot) = header.last_chunk_mut::<4>()
    {
        *slot = crc32c::crc32c(body).to_le_bytes();
    }
}

/// Whether so many cells may be in one segment.
pub(super) const fn within_cells(cells: u64) -> Result<(), CodecError> {
    if cells <= CELLS_MAX {
        return Ok(());
    }
    Err(CodecError::TooLarge {
        part: "cells of a segment",
        found: cells,
        limit: CELLS_MAX,
    })
}

fn within(part: &'static str, found: usize, limit: usize) -> Result<(), CodecError> {
    if found <= limit {
        return Ok(());
    }
    Err(CodecError::TooLarge {
        part,
        found: found as u64,
        limit: limit as u64,
    })
}

fn put_times(times: &[i64], to: &mut Vec<u8>) -> Result<(), CodecError> {
    let Some(first) = times.first() else {
        return Ok(());
    };
    varint::put_signed(to, *first);
    let later = times.iter().skip(1);
    let differences: Vec<i64> = later
        .zip(times)
        .map(|(time, before)| time.wrapping_sub(*before))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    let place = to.len();
    to.push(0);
    let encoding = column::encode(&differences, to)?;
    if let Some(code) = to.get_mut(place) {
        *code = encoding as u8;
    }
    Ok(())
}

fn put_series<V: Cell>(
    key: SeriesKey,
    before: Option<SeriesKey>,
    cells: &Cells<V>,
    rows: usize,
    (directory, data): (&mut Vec<u8>, &mut Vec<u8>),
) -> Result<(), CodecError> {
    let has_presence = cells.rows.len() != rows;
    let entity_before = before.map_or(0, |key| key.entity.get());
    let entity_delta = key.entity.get().saturating_sub(entity_before);
    varint::put(
        directory,
        u64::from(entity_delta) << 1 | u64::from(has_presence),
    );
    let metric_floor = match before {
        Some(before) if entity_delta == 0 => before.metric.saturating_add(1),
        Some(_) | None => 0,
    };
    varint::put(
        directory,
        u64::from(key.metric - metric_floor.min(key.metric)),
    );
    if has_presence {
        let start = data.len();
        presence::encode(&cells.rows, rows, data);
        varint::put(directory, (data.len() - start) as u64);
    }
    for field in 0..V::FIELDS {
        let values: Vec<i64> = cells.values.iter().map(|cell| cell.field(field)).collect();
        let start = data.len();
        let encoding = column::encode(&values, data)?;
        directory.push(encoding as u8);
        if encoding == Encoding::Constant {
            directory.extend(data.drain(start..));
        } else {
            varint::put(directory, (data.len() - start) as u64);
        }
    }
    Ok(())
}
