//! The dynamic port range of a network namespace and the ports reserved in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use tidemark_model::{PortRange, Protocol};

use super::procfile::unexpected;
use crate::ReadError;
pub use crate::port_tools::Tools;

/// Range of ports the kernel hands out, per namespace; TCP and UDP, v4 and v6 share the setting.
const RANGE_PATH: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Ports that it never hands out by itself.
const RESERVED_PATH: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";
/// The reserved list can name every other port: 32,768 numbers of 5 digits and a comma.
const RESERVED_BYTES_MAX: usize = 256 * 1024;

/// Whether one setting holds for TCP and UDP.
pub const SHARED_BY_PROTOCOLS: bool = true;

/// The range of the calling thread's network namespace; `None` when it cannot be read. Never takes long.
#[must_use]
pub fn known_range(protocol: Protocol) -> Option<PortRange> {
    PortSettings::open().ok()?.range(protocol).ok()
}

/// Whether the tools answer that tell about ports: none are needed here.
#[must_use]
pub const fn tools(_patience: Duration) -> Option<Tools> {
    None
}

/// The port settings of the network namespace in which they were opened. They do not keep it alive.
#[derive(Debug)]
pub struct PortSettings {
    range: File,
    reserved: File,
    text: Vec<u8>,
}

impl PortSettings {
    /// Opens the settings of the calling thread's network namespace.
    ///
    /// # Errors
    /// When `/proc/sys` is not readable.
    pub fn open() -> Result<Self, ReadError> {
        let open = |path: &str| {
            File::open(path).map_err(|source| ReadError::Io {
                path: path.into(),
                source,
            })
        };
        Ok(Self {
            range: open(RANGE_PATH)?,
            reserved: open(RESERVED_PATH)?,
            text: vec![0; 4096],
        })
    }

    /// The range from which ports are handed out, before reservations.
    ///
    /// # Errors
    /// When the setting cannot be read or is no range.
    pub fn range(&mut self, _protocol: Protocol) -> Result<PortRange, ReadError> {
        let text = read_text(&self.range, RANGE_PATH, &mut self.text)?;
        parse_range(text).ok_or_else(|| unexpected(RANGE_PATH, "two ports"))
    }

    /// Hands each reserved range to `on_range`.
    ///
    /// # Errors
    /// When the setting cannot be read or is no list of ranges.
    pub fn reserved(
        &mut self,
        _protocol: Protocol,
        on_range: impl FnMut(PortRange),
    ) -> Result<(), ReadError> {
        let text = read_text(&self.reserved, RESERVED_PATH, &mut self.text)?;
        parse_reserved(text, on_range).ok_or_else(|| unexpected(RESERVED_PATH, "a list of ports"))
    }
}

fn read_text<'a>(file: &File, path: &str, buffer: &'a mut Vec<u8>) -> Result<&'a str, ReadError> {
    let io_error = |source: io::Error| ReadError::Io {
        path: path.into(),
        source,
    };
    loop {
        // The kernel renders the whole list for a read at 0 and cuts it to the buffer.
        let bytes = file.read_at(buffer, 0).map_err(io_error)?;
        if bytes < buffer.len() || buffer.len() >= RESERVED_BYTES_MAX {
            let text = buffer.get(..bytes).unwrap_or_default();
            return std::str::from_utf8(text).map_err(|_| unexpected(path, "text"));
        }
        buffer.resize(RESERVED_BYTES_MAX, 0);
    }
}

pub(super) fn parse_range(text: &str) -> Option<PortRange> {
    let mut ports = text.split_whitespace().map(str::parse::<u16>);
    PortRange::new(ports.next()?.ok()?, ports.next()?.ok()?)
}

pub(super) fn parse_reserved(text: &str, mut on_range: impl FnMut(PortRange)) -> Option<()> {
    for item in text.trim().split(',').filter(|item| !item.is_empty()) {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        on_range(PortRange::new(first.parse().ok()?, last.parse().ok()?)?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(text: &str) -> Option<Vec<(u16, u16)>> {
        let mut ranges = Vec::new();
        parse_reserved(text, |range| ranges.push((range.first, range.last)))?;
        Some(ranges)
    }

    #[test]
    fn settings_are_read_as_the_kernel_writes_them() {
        assert_eq!(
            parse_range("32768\t60999\n"),
            PortRange::new(32_768, 60_999)
        );
        assert_eq!(reserved("\n"), Some(vec![]));
        assert_eq!(
            reserved("80,40010-40059\n"),
            Some(vec![(80, 80), (40_010, 40_059)])
        );
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for text in ["", "1024", "60999 32768", "1 65536"] {
            assert_eq!(parse_range(text), None, "{text:?}");
        }
        for text in ["x", "9-3", "70000"] {
            assert_eq!(reserved(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_settings_of_this_namespace_make_sense() {
        let mut settings = PortSettings::open().unwrap();
        assert!(settings.range(Protocol::Tcp).unwrap().size() > 0);
        settings.reserved(Protocol::Udp, |_| {}).unwrap();
    }
}
