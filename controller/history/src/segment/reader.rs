//! Reads segments: the directory first, then only the columns that are asked for.

use std::collections::BTreeMap;

use crate::column::{self, Encoding};
use crate::segment::encode::within_cells;
use crate::segment::{
    Cell, HEADER_BYTES, MAGIC, ROWS_MAX, SEGMENT_BYTES_MAX, SERIES_MAX, VERSION, presence,
};
use crate::table::{Cells, Table};
use crate::varint::Reader;
use crate::{Bucket, CodecError, EntityNumber, SeriesKey, Tier, Window};

/// A segment whose checksum and directory have been read.
#[derive(Debug)]
pub struct SegmentReader<'a> {
    tier: Tier,
    window: Window,
    rows: usize,
    times: &'a [u8],
    /// By ascending key.
    entries: Vec<Entry<'a>>,
    /// The columns of all entries, as many an entry as the tier's cells have fields.
    columns: Vec<(Encoding, &'a [u8])>,
}

#[derive(Debug)]
struct Entry<'a> {
    key: SeriesKey,
    presence: Option<&'a [u8]>,
    first_column: usize,
}

impl<'a> SegmentReader<'a> {
    /// Checks `bytes` and reads their directory.
    ///
    /// # Errors
    /// When the bytes are damaged, of a newer format or beyond its limits.
    pub fn open(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let (tier, body) = checked_body(bytes)?;
        let mut reader = Reader::new(body, "segment");
        let from = reader.signed()?;
        let length = reader.varint()?;
        let to = i64::try_from(length)
            .ok()
            .and_then(|length| from.checked_add(length))
            .ok_or(CodecError::Malformed { part: "window" })?;
        let rows = reader.bounded(ROWS_MAX)?;
        let series = reader.bounded(SERIES_MAX)?;
        let times_length = reader.bounded(SEGMENT_BYTES_MAX)?;
        let directory_length = reader.bounded(SEGMENT_BYTES_MAX)?;
        let times = reader.bytes(times_length)?;
        let directory = reader.bytes(directory_length)?;
        let mut segment = Self {
            tier,
            window: Window::of_ms(from, to),
            rows,
            times,
            entries: Vec::new(),
            columns: Vec::new(),
        };
        segment.read_directory(directory, series, reader.rest())?;
        Ok(segment)
    }

    /// How fine it is.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// What it stands for.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// How many times it has.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Its series, ascending.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = SeriesKey> + '_ {
        self.entries.iter().map(|entry| entry.key)
    }

    /// Its times in Unix milliseconds, strictly ascending.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn times(&self) -> Result<Vec<i64>, CodecError> {
        if self.rows == 0 {
            return Ok(Vec::new());
        }
        let mut reader = Reader::new(self.times, "times");
        let mut time = reader.signed()?;
        let mut times = Vec::with_capacity(self.rows);
        times.push(time);
        if self.rows > 1 {
            let malformed = || CodecError::Malformed { part: "times" };
            let encoding = Encoding::from_code(reader.byte()?).ok_or_else(malformed)?;
            for difference in column::decode(encoding, reader.rest(), self.rows - 1)? {
                if difference <= 0 {
                    return Err(malformed());
                }
                time = time.checked_add(difference).ok_or_else(malformed)?;
                times.push(time);
            }
        }
        Ok(times)
    }

    /// Hands the cells of one series to `take`, with their times out of `times`, which must be [`Self::times`].
    /// Says whether there is such a series.
    ///
    /// # Errors
    /// When its columns are damaged, or cells of type `V` are not those of its tier.
    pub fn each_cell<V: Cell>(
        &self,
        key: SeriesKey,
        times: &[i64],
        mut take: impl FnMut(i64, V),
    ) -> Result<bool, CodecError> {
        self.check_cells::<V>()?;
        let Some(entry) = self.entry(key) else {
            return Ok(false);
        };
        let Some(presence) = entry.presence else {
            let values = self.values::<V>(entry, self.rows)?;
            times
                .iter()
                .zip(values)
                .for_each(|(time, value)| take(*time, value));
            return Ok(true);
        };
        let rows = presence::decode(presence, self.rows)?;
        let values = self.values::<V>(entry, rows.len())?;
        for (row, value) in rows.iter().zip(values) {
            if let Some(time) = times.get(*row as usize) {
                take(*time, value);
            }
        }
        Ok(true)
    }

    /// Time and value of each point of a series of a raw segment; empty when it has no such series.
    ///
    /// # Errors
    /// When it is damaged or not raw.
    pub fn points(&self, key: SeriesKey) -> Result<Vec<(i64, i64)>, CodecError> {
        self.timed(key)
    }

    /// Start and content of each bucket of a series of a coarser segment; empty when it has no such series.
    ///
    /// # Errors
    /// When it is damaged or raw.
    pub fn buckets(&self, key: SeriesKey) -> Result<Vec<(i64, Bucket)>, CodecError> {
        self.timed(key)
    }

    /// All of it.
    ///
    /// # Errors
    /// When it is damaged, or cells of type `V` are not those of its tier.
    pub fn table<V: Cell>(&self) -> Result<Table<V>, CodecError> {
        self.check_cells::<V>()?;
        let mut series = BTreeMap::new();
        let mut read = 0u64;
        for entry in &self.entries {
            let cells = self.cells(entry)?;
            read = read.saturating_add(cells.rows.len() as u64);
            within_cells(read)?;
            series.insert(entry.key, cells);
        }
        Ok(Table::from_parts(self.times()?, series))
    }

    fn timed<V: Cell>(&self, key: SeriesKey) -> Result<Vec<(i64, V)>, CodecError> {
        let mut points = Vec::new();
        self.each_cell(key, &self.times()?, |time, value| {
            points.push((time, value))
        })?;
        Ok(points)
    }

    fn entry(&self, key: SeriesKey) -> Option<&Entry<'a>> {
        let place = self.entries.binary_search_by_key(&key, |entry| entry.key);
        place.ok().and_then(|place| self.entries.get(place))
    }

    fn check_cells<V: Cell>(&self) -> Result<(), CodecError> {
        if V::fits(self.tier) {
            return Ok(());
        }
        Err(CodecError::WrongTier {
            found: self.tier.as_str(),
            wanted: if V::FIELDS == 1 { "raw" } else { "5m or 1h" },
        })
    }

    fn cells<V: Cell>(&self, entry: &Entry<'_>) -> Result<Cells<V>, CodecError> {
        let rows: Vec<u32> = match entry.presence {
            Some(bytes) => presence::decode(bytes, self.rows)?,
            None => (0u32..).take(self.rows).collect(),
        };
        let values = self.values(entry, rows.len())?;
        Ok(Cells { rows, values })
    }

    fn values<V: Cell>(&self, entry: &Entry<'_>, count: usize) -> Result<Vec<V>, CodecError> {
        let columns = self.columns.iter().skip(entry.first_column).take(V::FIELDS);
        let columns: Vec<Vec<i64>> = columns
            .map(|(encoding, bytes)| column::decode(*encoding, bytes, count))
            .collect::<Result<_, _>>()?;
        Ok(V::from_columns(columns))
    }

    fn read_directory(
        &mut self,
        directory: &'a [u8],
        series: usize,
        data: &'a [u8],
    ) -> Result<(), CodecError> {
        let malformed = || CodecError::Malformed { part: "directory" };
        let mut reader = Reader::new(directory, "directory");
        let mut data = Reader::new(data, "data");
        let fields = if self.tier == Tier::Raw {
            i64::FIELDS
        } else {
            Bucket::FIELDS
        };
        let (mut entity, mut metric_floor) = (0u32, 0u32);
        for _ in 0..series {
            let head = reader.varint()?;
            let delta = u32::try_from(head >> 1).map_err(|_| malformed())?;
            if delta > 0 {
                metric_floor = 0;
            }
            entity = entity.checked_add(delta).ok_or_else(malformed)?;
            let metric = reader.varint()?.saturating_add(u64::from(metric_floor));
            let metric = u16::try_from(metric).map_err(|_| malformed())?;
            metric_floor = u32::from(metric) + 1;
            let presence = if head & 1 == 1 {
                Some(data.bytes(reader.bounded(SEGMENT_BYTES_MAX)?)?)
            } else {
                None
            };
            self.entries.push(Entry {
                key: SeriesKey {
                    entity: EntityNumber::new(entity),
                    metric,
                },
                presence,
                first_column: self.columns.len(),
            });
            for _ in 0..fields {
                let encoding = Encoding::from_code(reader.byte()?).ok_or_else(malformed)?;
                let bytes = if encoding == Encoding::Constant {
                    let start = reader.rest();
                    reader.signed()?;
                    let length = start.len() - reader.rest().len();
                    start.get(..length).ok_or_else(malformed)?
                } else {
                    data.bytes(reader.bounded(SEGMENT_BYTES_MAX)?)?
                };
                self.columns.push((encoding, bytes));
            }
        }
        Ok(())
    }
}

fn checked_body(bytes: &[u8]) -> Result<(Tier, &[u8]), CodecError> {
    if bytes.len() > SEGMENT_BYTES_MAX {
        return Err(CodecError::TooLarge {
            part: "segment",
            found: bytes.len() as u64,
            limit: SEGMENT_BYTES_MAX as u64,
        });
    }
    let (header, body) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(CodecError::Truncated { part: "header" })?;
    let [m0, m1, m2, m3, version, tier, c0, c1, c2, c3] = *header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(CodecError::Malformed { part: "header" });
    }
    if version != VERSION {
        return Err(CodecError::Version {
            found: version,
            newest: VERSION,
        });
    }
    let expected = u32::from_le_bytes([c0, c1, c2, c3]);
    let found = crc32c::crc32c(body);
    if found != expected {
        return Err(CodecError::Checksum { expected, found });
    }
    let tier = Tier::from_code(tier).ok_or(CodecError::Malformed { part: "tier" })?;
    Ok((tier, body))
}
