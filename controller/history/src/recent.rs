//! `recent`: what one group commit keeps of one host, one row of the table a host and batch.
//!
//! Most batches hold one sample, so the format is made for that: keys once, then one short integer a point.
//! With several samples (an agent that catches up) each series is a column of differences with its length before it.
//!
//! ```text
//! version u8; samples, series; first time, differences; keys; columns     varints
//! crc32c u32 LE of all before
//! ```

use tidemark_model::Timestamp;

use crate::segment::ROWS_MAX;
use crate::table::{Table, TableBuilder};
use crate::varint::{self, Reader};
use crate::{CodecError, EntityNumber, Point, Row, SeriesKey};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
const ALL: u8 = 0;
const SOME: u8 = 1;

/// Most series in one row of `recent`.
pub const SERIES_MAX: usize = crate::segment::SERIES_MAX;

/// Largest row of `recent` that is read, in bytes.
pub const RECENT_BYTES_MAX: usize = 16 << 20;

/// The bytes of `rows`, which may come in any order; of rows with one time the later one wins, series by series.
///
/// # Errors
/// When there are more rows or series than the format allows; split the batch.
pub fn encode_recent(rows: &[Row]) -> Result<Vec<u8>, CodecError> {
    if let [row] = rows {
        return encode_one(row);
    }
    let mut builder = TableBuilder::with_times(rows.len());
    for row in rows {
        builder.row(row);
    }
    encode_table(&builder.build())
}

/// The bytes of a table, as of what is left of a batch when a part of it has been compacted.
///
/// # Errors
/// When there are more rows or series than the format allows.
pub fn encode_table(table: &Table<i64>) -> Result<Vec<u8>, CodecError> {
    let mut bytes = header(table.times(), table.series().len())?;
    put_keys(table.series().map(|(key, _)| key), &mut bytes);
    let mut column = Vec::new();
    for (_, cells) in table.series() {
        column.clear();
        if let [_] = table.times() {
            put_differences(&cells.values, &mut bytes);
            continue;
        }
        if cells.rows.len() == table.times().len() {
            column.push(ALL);
        } else {
            column.push(SOME);
            varint::put(&mut column, cells.rows.len() as u64);
            let mut next = 0;
            for row in &cells.rows {
                varint::put(&mut column, u64::from(row - next));
                next = row + 1;
            }
        }
        put_differences(&cells.values, &mut column);
        varint::put(&mut bytes, column.len() as u64);
        bytes.extend(&column);
    }
    Ok(sealed(bytes))
}

/// The rows that [`encode_recent`] wrote, by time.
///
/// # Errors
/// When the bytes are damaged, of a newer format or beyond its limits.
pub fn decode_recent(bytes: &[u8]) -> Result<Vec<Row>, CodecError> {
    let reader = RecentReader::open(bytes)?;
    let mut rows: Vec<Row> = reader
        .times()
        .iter()
        .map(|time| Row {
            at: Timestamp::from_unix_ms(*time),
            points: Vec::with_capacity(reader.keys.len()),
        })
        .collect();
    reader.each_cell(
        |_| true,
        |row, key, value| {
            if let Some(row) = rows.get_mut(row as usize) {
                row.points.push(Point { key, value });
            }
        },
    )?;
    Ok(rows)
}

fn encode_one(row: &Row) -> Result<Vec<u8>, CodecError> {
    let ascending = |points: &[Point]| points.is_sorted_by(|left, right| left.key < right.key);
    let mut sorted = Vec::new();
    let mut points = row.points.as_slice();
    if !ascending(points) {
        sorted.extend_from_slice(points);
        sorted.sort_by_key(|point| point.key);
        // Of equal keys the last counts, as `dedup` keeps the first of a run.
        sorted.reverse();
        sorted.dedup_by_key(|point| point.key);
        sorted.reverse();
        points = &sorted;
    }
    let mut bytes = header(&[row.at.unix_ms()], points.len())?;
    put_keys(points.iter().map(|point| point.key), &mut bytes);
    for point in points {
        varint::put_signed(&mut bytes, point.value);
    }
    Ok(sealed(bytes))
}

fn header(times: &[i64], series: usize) -> Result<Vec<u8>, CodecError> {
    for (part, found, limit) in [
        ("rows of a batch", times.len(), ROWS_MAX),
        ("series of a batch", series, SERIES_MAX),
    ] {
        if found > limit {
            return Err(CodecError::TooLarge {
                part,
                found: found as u64,
                limit: limit as u64,
            });
        }
    }
    let mut bytes = Vec::with_capacity(16 + series * 5);
    bytes.push(VERSION);
    varint::put(&mut bytes, times.len() as u64);
    varint::put(&mut bytes, series as u64);
    put_differences(times, &mut bytes);
    Ok(bytes)
}

fn put_differences(values: &[i64], to: &mut Vec<u8>) {
    let mut before = 0i64;
    for value in values {
        varint::put_signed(to, value.wrapping_sub(before));
        before = *value;
    }
}

fn put_keys(keys: impl Iterator<Item = SeriesKey>, to: &mut Vec<u8>) {
    let (mut entity, mut metric_floor) = (0u32, 0u16);
    for key in keys {
        let delta = key.entity.get().saturating_sub(entity);
        if delta > 0 {
            metric_floor = 0;
        }
        entity = key.entity.get();
        varint::put(to, u64::from(delta));
        varint::put(to, u64::from(key.metric.saturating_sub(metric_floor)));
        metric_floor = key.metric.saturating_add(1);
    }
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// A row of `recent` whose checksum, times and keys have been read.
#[derive(Debug)]
pub struct RecentReader<'a> {
    times: Vec<i64>,
    keys: Vec<SeriesKey>,
    columns: &'a [u8],
}

impl<'a> RecentReader<'a> {
    /// Checks `bytes` and reads their times and keys.
    ///
    /// # Errors
    /// When the bytes are damaged, of a newer format or beyond its limits.
    pub fn open(bytes: &'a [u8]) -> Result<Self, CodecError> {
        if bytes.len() > RECENT_BYTES_MAX {
            return Err(CodecError::TooLarge {
                part: "row of recent",
                found: bytes.len() as u64,
                limit: RECENT_BYTES_MAX as u64,
            });
        }
        let (body, checksum) =
            bytes
                .split_last_chunk::<CHECKSUM_BYTES>()
                .ok_or(CodecError::Truncated {
                    part: "row of recent",
                })?;
        let (expected, found) = (u32::from_le_bytes(*checksum), crc32c::crc32c(body));
        if expected != found {
            return Err(CodecError::Checksum { expected, found });
        }
        let mut reader = Reader::new(body, "row of recent");
        let version = reader.byte()?;
        if version != VERSION {
            return Err(CodecError::Version {
                found: version,
                newest: VERSION,
            });
        }
        let rows = reader.bounded(ROWS_MAX)?;
        let series = reader.bounded(SERIES_MAX)?;
        // Times and keys take a byte each at least, which bounds what is allocated by what is there.
        let malformed = CodecError::Malformed {
            part: "row of recent",
        };
        if rows.saturating_add(series) > reader.rest().len() {
            return Err(CodecError::Truncated {
                part: "row of recent",
            });
        }
        let times = take_differences(&mut reader, rows)?;
        if !times.is_sorted_by(|left, right| left < right) {
            return Err(malformed);
        }
        let keys = take_keys(&mut reader, series)?;
        Ok(Self {
            times,
            keys,
            columns: reader.rest(),
        })
    }

    /// Its times in Unix milliseconds, strictly ascending.
    #[must_use]
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// Its series, ascending.
    #[must_use]
    pub fn keys(&self) -> &[SeriesKey] {
        &self.keys
    }

    /// Hands time, series and value of each point whose series is wanted to `take`: series by series, by time within.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn each_point(
        &self,
        wanted: impl Fn(SeriesKey) -> bool,
        mut take: impl FnMut(i64, SeriesKey, i64),
    ) -> Result<(), CodecError> {
        self.each_cell(wanted, |row, key, value| {
            if let Some(time) = self.times.get(row as usize) {
                take(*time, key, value);
            }
        })
    }

    /// Adds all of it to `builder`.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn add_to(&self, builder: &mut TableBuilder<i64>) -> Result<(), CodecError> {
        let first = u32::try_from(builder.times()).unwrap_or(u32::MAX);
        for time in &self.times {
            builder.time(Timestamp::from_unix_ms(*time));
        }
        self.each_column(
            |_| true,
            |key, column| {
                let cells = builder.cells(key);
                column.each(|row, value| cells.push(first.saturating_add(row), value))
            },
        )
    }

    fn each_cell(
        &self,
        wanted: impl Fn(SeriesKey) -> bool,
        mut take: impl FnMut(u32, SeriesKey, i64),
    ) -> Result<(), CodecError> {
        self.each_column(wanted, |key, column| {
            column.each(|row, value| take(row, key, value))
        })
    }

    fn each_column(
        &self,
        wanted: impl Fn(SeriesKey) -> bool,
        mut take: impl FnMut(SeriesKey, Column<'_>) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let mut reader = Reader::new(self.columns, "row of recent");
        for key in &self.keys {
            let column = if let [_] = self.times.as_slice() {
                Column::One(reader.signed()?)
            } else {
                let length = reader.bounded(RECENT_BYTES_MAX)?;
                Column::Many {
                    bytes: reader.bytes(length)?,
                    rows: self.times.len(),
                }
            };
            if wanted(*key) {
                take(*key, column)?;
            }
        }
        Ok(())
    }
}

/// The values of one series.
#[derive(Clone, Copy, Debug)]
enum Column<'a> {
    /// At the only time.
    One(i64),
    /// At some of so many times.
    Many { bytes: &'a [u8], rows: usize },
}

impl Column<'_> {
    /// Hands position of the time and value of each point to `take`, by time.
    fn each(self, mut take: impl FnMut(u32, i64)) -> Result<(), CodecError> {
        match self {
            Self::One(value) => {
                take(0, value);
                Ok(())
            }
            Self::Many { bytes, rows } => each_value(bytes, rows, take),
        }
    }
}

fn each_value(
    column: &[u8],
    rows: usize,
    mut take: impl FnMut(u32, i64),
) -> Result<(), CodecError> {
    let malformed = || CodecError::Malformed {
        part: "column of recent",
    };
    let rows_end = u32::try_from(rows).map_err(|_| malformed())?;
    let mut reader = Reader::new(column, "column of recent");
    let present: Option<Vec<u32>> = match reader.byte()? {
        ALL => None,
        SOME => Some(take_present(&mut reader, column.len(), rows)?),
        _ => return Err(malformed()),
    };
    let mut value = 0i64;
    let mut each = |row| {
        value = value.wrapping_add(reader.signed()?);
        take(row, value);
        Ok(())
    };
    match present {
        Some(present) => present.into_iter().try_for_each(&mut each),
        None => (0..rows_end).try_for_each(&mut each),
    }
}

/// The times, by position, at which a column has a value.
fn take_present(
    reader: &mut Reader<'_>,
    bytes: usize,
    rows: usize,
) -> Result<Vec<u32>, CodecError> {
    let malformed = |_| CodecError::Malformed {
        part: "column of recent",
    };
    let count = reader.bounded(rows.min(bytes))?;
    let mut next = 0usize;
    let mut present = Vec::with_capacity(count);
    for _ in 0..count {
        let row = next + reader.bounded(rows)?;
        present.push(u32::try_from(row).map_err(malformed)?);
        next = row + 1;
    }
    if next > rows {
        return Err(CodecError::Malformed {
            part: "column of recent",
        });
    }
    Ok(present)
}

fn take_differences(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, CodecError> {
    let mut value = 0i64;
    let next = |_| {
        value = value.wrapping_add(reader.signed()?);
        Ok(value)
    };
    (0..count).map(next).collect()
}

fn take_keys(reader: &mut Reader<'_>, count: usize) -> Result<Vec<SeriesKey>, CodecError> {
    let malformed = || CodecError::Malformed {
        part: "keys of recent",
    };
    let mut keys = Vec::with_capacity(count);
    let (mut entity, mut metric_floor) = (0u32, 0u64);
    for _ in 0..count {
        let delta = u32::try_from(reader.varint()?).map_err(|_| malformed())?;
        if delta > 0 {
            metric_floor = 0;
        }
        entity = entity.checked_add(delta).ok_or_else(malformed)?;
        let metric = reader.varint()?.saturating_add(metric_floor);
        let metric = u16::try_from(metric).map_err(|_| malformed())?;
        metric_floor = u64::from(metric) + 1;
        keys.push(SeriesKey {
            entity: EntityNumber::new(entity),
            metric,
        });
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
