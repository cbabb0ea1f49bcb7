//! Lines of a file, plain or gzip, one at a time and of bounded length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::line::SampleLine;

/// Longest line, in bytes; one of the benchmark has about 700.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 256 * 1024;
/// What gzip begins with (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a line is no sample.
pub(super) type Reason = String;

/// Reads the file line by line; empty lines are passed over. `visit` is told the line's number and its sample or `None`,
/// and says whether to go on.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn each_line(
    path: &Path,
    mut visit: impl FnMut(u64, Option<SampleLine>) -> bool,
) -> io::Result<()> {
    each_parsed(path, |number, parsed| visit(number, parsed.ok()))
}

/// The same with the reason why a line is no sample.
pub(super) fn each_parsed(
    path: &Path,
    mut visit: impl FnMut(u64, Result<SampleLine, Reason>) -> bool,
) -> io::Result<()> {
    let mut file = open(path)?;
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read = (&mut file)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        number += 1;
        let is_cut = line.last() != Some(&b'\n') && read as u64 == LINE_BYTES_MAX;
        if is_cut {
            skip_line(&mut file)?;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let parsed = if is_cut {
            Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"))
        } else {
            SampleLine::parse(text)
        };
        if !visit(number, parsed) {
            return Ok(());
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(&GZIP_MAGIC);
    if is_gzip {
        let inner = MultiGzDecoder::new(file);
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, inner)));
    }
    Ok(Box::new(file))
}

fn skip_line(file: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let newline = buffer.iter().position(|byte| *byte == b'\n');
        let skipped = newline.map_or(buffer.len(), |at| at + 1);
        file.consume(skipped);
        if newline.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::line::tests::LINE;
    use super::*;

    fn read(content: &[u8]) -> (Vec<(u64, bool)>, io::Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples");
        std::fs::write(&path, content).unwrap();
        let mut lines = Vec::new();
        let result = each_parsed(&path, |number, parsed| {
            lines.push((number, parsed.is_ok()));
            true
        });
        (lines, result)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_compressed_files_read_the_same() {
        let content = format!("{LINE}\n\nnot json\r\n{LINE}");
        let expected = vec![(1, true), (3, false), (4, true)];
        assert_eq!(read(content.as_bytes()).0, expected);
        assert_eq!(read(&gzip(content.as_bytes())).0, expected);
    }

    #[test]
    fn an_endless_line_is_one_fault_and_the_next_is_read() {
        let mut content = vec![b'x'; 3 << 20];
        content.extend_from_slice(format!("\n{LINE}\n").as_bytes());
        assert_eq!(read(&content).0, [(1, false), (2, true)]);
    }

    #[test]
    fn a_broken_archive_gives_what_it_holds_and_an_error() {
        let mut content = gzip(format!("{LINE}\n").repeat(2_000).as_bytes());
        content.truncate(content.len() - 12);
        let (lines, result) = read(&content);
        assert!(!lines.is_empty());
        assert!(result.is_err());
    }
}
