//! Lines in: bounded, numbered, and with an error that names line, field and remedy. Knows no detector.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use tidemark_detect::backtest::{FieldProblem, InventoryLine, SampleLine};

/// Longest line: a sample with its thousand processes is a tenth of that.
const LINE_BYTES_MAX: usize = 1 << 20;
/// What the reader holds of a file.
const BUFFER_BYTES: usize = 1 << 18;

/// One line of a lock step.
pub(super) enum Input<'a> {
    Inventory(InventoryLine),
    Sample(SampleLine<'a>),
    /// The controller's clock stands at this Unix time in milliseconds.
    Tick(i64),
}

/// A source of lines.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
    number: u64,
    buffer: Vec<u8>,
    bytes_total: u64,
    bytes_read: Arc<AtomicU64>,
}

/// A line with its number.
pub(super) struct Line<'a> {
    text: &'a str,
    name: &'a str,
    number: u64,
    bytes_read: u64,
}

/// Counts the bytes of a file as they are read, packed as they are.
struct Counted {
    file: File,
    bytes_read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Lines {
    /// The lines of a file, unpacked when its name ends in `.gz`.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let bytes_total = file.metadata().map_or(0, |metadata| metadata.len());
        let bytes_read = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            file,
            bytes_read: Arc::clone(&bytes_read),
        };
        let is_packed = path.extension().is_some_and(|extension| extension == "gz");
        let reader: Box<dyn BufRead> = if is_packed {
            Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                MultiGzDecoder::new(counted),
            ))
        } else {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, counted))
        };
        let mut lines = Self::of(reader, &path.display().to_string(), bytes_total);
        lines.bytes_read = bytes_read;
        Ok(lines)
    }

    /// The lines of standard input.
    pub(super) fn of_stdin() -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, io::stdin());
        Self::of(Box::new(reader), "standard input", 0)
    }

    fn of(reader: Box<dyn BufRead>, name: &str, bytes_total: u64) -> Self {
        Self {
            reader,
            name: name.to_owned(),
            number: 0,
            buffer: Vec::new(),
            bytes_total,
            bytes_read: Arc::default(),
        }
    }

    /// Bytes of the file; 0 when that is unknown.
    pub(super) const fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// The next line that is not empty; `None` at the end.
    pub(super) fn next_line(&mut self) -> anyhow::Result<Option<Line<'_>>> {
        while self.fill()? {
            if !self.buffer.trim_ascii().is_empty() {
                return self.line().map(Some);
            }
        }
        Ok(None)
    }

    /// Reads a line into the buffer; says whether there was one.
    fn fill(&mut self) -> anyhow::Result<bool> {
        self.buffer.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = Read::take(&mut self.reader, limit)
            .read_until(b'\n', &mut self.buffer)
            .with_context(|| {
                format!(
                    "{} line {}: cannot be read; a .gz file may be cut off or no gzip at all",
                    self.name,
                    self.number + 1
                )
            })?;
        if read == 0 {
            return Ok(false);
        }
        self.number += 1;
        if self.buffer.len() > LINE_BYTES_MAX {
            anyhow::bail!(
                "{} line {}: longer than {LINE_BYTES_MAX} bytes; each sample is a line of its own",
                self.name,
                self.number
            );
        }
        Ok(true)
    }

    /// The line in the buffer; looked at as UTF-8 once, which is cheaper than each of its texts.
    fn line(&self) -> anyhow::Result<Line<'_>> {
        let text = std::str::from_utf8(&self.buffer).with_context(|| {
            format!(
                "{} line {}: is not UTF-8; each line must be one whole JSON object",
                self.name, self.number
            )
        })?;
        Ok(Line {
            text: text.trim_ascii(),
            name: &self.name,
            number: self.number,
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
        })
    }
}

#[derive(Deserialize)]
struct Inventory {
    inventory: InventoryLine,
}

#[derive(Deserialize)]
struct Tick {
    tick_unix_ms: i64,
}

impl<'a> Line<'a> {
    /// Bytes of the file that were read so far.
    pub(super) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The line as what a lock step holds.
    pub(super) fn any(&self) -> anyhow::Result<Input<'a>> {
        if self.text.starts_with("{\"tick_unix_ms\"") {
            return Ok(Input::Tick(self.parse::<Tick>()?.tick_unix_ms));
        }
        if self.text.starts_with("{\"inventory\"") {
            let known = self.parse::<Inventory>()?.inventory;
            self.checked(known.check())?;
            return Ok(Input::Inventory(known));
        }
        self.sample().map(Input::Sample)
    }

    /// The line as a sample.
    pub(super) fn sample(&self) -> anyhow::Result<SampleLine<'a>> {
        let sample: SampleLine<'a> = self.parse()?;
        self.checked(sample.check())?;
        Ok(sample)
    }

    /// The line as a host's attributes.
    pub(super) fn inventory(&self) -> anyhow::Result<InventoryLine> {
        let known: InventoryLine = self.parse()?;
        self.checked(known.check())?;
        Ok(known)
    }

    /// Refuses a fleet of more than `most` hosts.
    pub(super) fn limit_hosts(&self, hosts: usize, most: usize) -> anyhow::Result<()> {
        if hosts <= most {
            return Ok(());
        }
        Err(self.problem(
            "host",
            &format!("is one more than the {most} hosts of a replay: split the file by host"),
        ))
    }

    /// An error about a field of this line.
    pub(super) fn problem(&self, field: &str, problem: &str) -> anyhow::Error {
        anyhow::anyhow!("{} line {}: {field} {problem}", self.name, self.number)
    }

    fn checked(&self, check: Result<(), FieldProblem>) -> anyhow::Result<()> {
        check.map_err(|problem| self.problem(problem.field, &problem.problem))
    }

    fn parse<T: Deserialize<'a>>(&self) -> anyhow::Result<T> {
        match serde_json::from_str(self.text) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.unreadable::<T>(&error)),
        }
    }

    /// Reads the line a second time, for the name of the field that is wrong.
    fn unreadable<T: Deserialize<'a>>(&self, error: &serde_json::Error) -> anyhow::Error {
        let mut reader = serde_json::Deserializer::from_str(self.text);
        let field = serde_path_to_error::deserialize::<_, T>(&mut reader)
            .err()
            .map(|error| error.path().to_string())
            .filter(|path| path != ".");
        let remedy = match error.classify() {
            serde_json::error::Category::Data => {
                "give the field as docs/DETECTION.md describes it, or leave the line out"
            }
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => "each line must be one whole JSON object",
        };
        let field = field.map_or_else(String::new, |field| format!("{field}: "));
        anyhow::anyhow!(
            "{} line {}: {field}{error}; {remedy}",
            self.name,
            self.number
        )
    }
}
