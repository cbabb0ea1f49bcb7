//! Network cards by the `SIOCETHTOOL` ioctl: driver, offloads, interrupt moderation (ethtool.h of the kernel's headers).
#![expect(unsafe_code, reason = "the ioctl takes a pointer in its request")]

use std::ffi::c_void;
use std::io;

use rustix::fd::OwnedFd;
use rustix::ioctl::{Updater, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

const SIOCETHTOOL: u32 = 0x8946;
const GET_DRIVER: u32 = 0x03;
const GET_COALESCE: u32 = 0x0e;
const GET_RX_CHECKSUM: u32 = 0x14;
const GET_TX_CHECKSUM: u32 = 0x16;
const GET_TSO: u32 = 0x1e;
const GET_CHANNELS: u32 = 0x3c;
/// Bytes of an interface's name, its zero included.
const NAME_BYTES: usize = 16;

/// `struct ifreq`: a name, and a union of which the pointer is used.
#[repr(C)]
struct Request {
    name: [u8; NAME_BYTES],
    data: *mut c_void,
    rest_of_union: [u8; 24 - size_of::<*mut c_void>()],
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct RawDriver {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware_version: [u8; 32],
    bus: [u8; 32],
    expansion_rom_version: [u8; 32],
    reserved: [u8; 12],
    counts: [u32; 5],
}

/// `struct ethtool_value`.
#[repr(C)]
struct RawValue {
    command: u32,
    value: u32,
}

/// `struct ethtool_coalesce`: the command, and 22 numbers.
#[repr(C)]
struct RawCoalesce {
    command: u32,
    numbers: [u32; 22],
}

/// `struct ethtool_channels`.
#[repr(C)]
struct RawChannels {
    command: u32,
    most: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// Asks the drivers of the calling thread's network namespace.
pub(super) struct Ethtool(OwnedFd);

/// What a driver says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Driver {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) firmware_version: String,
    /// Where the card is; empty or a word where there is no hardware.
    pub(super) bus: String,
}

impl Driver {
    /// Whether there is a card behind it, a virtual machine's included: its place on a bus is known.
    pub(super) fn is_of_a_card(&self) -> bool {
        self.bus.contains(':') || self.bus.starts_with("virtio") || self.bus.starts_with("vmbus")
    }
}

impl Ethtool {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        Ok(socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).map(Self)?)
    }

    pub(super) fn driver(&self, interface: &str) -> io::Result<Driver> {
        let mut raw = RawDriver {
            command: GET_DRIVER,
            driver: [0; 32],
            version: [0; 32],
            firmware_version: [0; 32],
            bus: [0; 32],
            expansion_rom_version: [0; 32],
            reserved: [0; 12],
            counts: [0; 5],
        };
        self.ask(interface, &mut raw)?;
        Ok(Driver {
            name: text(&raw.driver),
            version: text(&raw.version),
            firmware_version: text(&raw.firmware_version),
            bus: text(&raw.bus),
        })
    }

    /// Whether the card cuts large segments itself, of v4 or of v6.
    pub(super) fn segments(&self, interface: &str) -> io::Result<bool> {
        self.value(interface, GET_TSO)
    }

    /// Whether the card computes checksums, of what is sent and of what is received.
    pub(super) fn checksums(&self, interface: &str) -> io::Result<(bool, bool)> {
        let tx = self.value(interface, GET_TX_CHECKSUM)?;
        Ok((tx, self.value(interface, GET_RX_CHECKSUM)?))
    }

    /// Whether the card waits before it interrupts for what it received, by a fixed time or one that it adapts.
    pub(super) fn moderates_interrupts(&self, interface: &str) -> io::Result<bool> {
        let mut raw = RawCoalesce {
            command: GET_COALESCE,
            numbers: [0; 22],
        };
        self.ask(interface, &mut raw)?;
        let [rx_us, _, _, _, _, _, _, _, _, adaptive_rx, ..] = raw.numbers;
        Ok(rx_us > 0 || adaptive_rx > 0)
    }

    /// How many queues the card spreads received packets over.
    pub(super) fn receive_queues(&self, interface: &str) -> io::Result<u32> {
        let mut raw = RawChannels {
            command: GET_CHANNELS,
            most: [0; 4],
            rx: 0,
            tx: 0,
            other: 0,
            combined: 0,
        };
        self.ask(interface, &mut raw)?;
        Ok(raw.rx.saturating_add(raw.combined))
    }

    fn value(&self, interface: &str, command: u32) -> io::Result<bool> {
        let mut raw = RawValue { command, value: 0 };
        self.ask(interface, &mut raw)?;
        Ok(raw.value != 0)
    }

    /// Has the kernel fill `answer`, which begins with the command that it belongs to.
    fn ask<T>(&self, interface: &str, answer: &mut T) -> io::Result<()> {
        let mut name = [0; NAME_BYTES];
        if interface.len() >= NAME_BYTES {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        for (to, from) in name.iter_mut().zip(interface.bytes()) {
            *to = from;
        }
        let mut request = Request {
            name,
            data: std::ptr::from_mut(answer).cast(),
            rest_of_union: [0; _],
        };
        // SAFETY: the request is a whole `ifreq` whose pointer leads to the structure that belongs to its command, which
        // outlives the call; the kernel writes within that structure alone.
        unsafe {
            let call = Updater::<'_, SIOCETHTOOL, Request>::new(&mut request);
            Ok(ioctl(&self.0, call)?)
        }
    }
}

/// The text up to its zero.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Request>(), 40);
        assert_eq!(size_of::<RawDriver>(), 196);
        assert_eq!(size_of::<RawCoalesce>(), 92);
        assert_eq!(size_of::<RawChannels>(), 36);
    }

    #[test]
    fn the_loopback_has_no_card_and_a_name_that_is_too_long_no_driver() {
        let ethtool = Ethtool::open().unwrap();
        assert!(
            ethtool
                .driver("lo")
                .map_or(true, |driver| !driver.is_of_a_card())
        );
        assert!(
            ethtool
                .driver("an-interface-name-that-is-too-long")
                .is_err()
        );
        assert!(ethtool.segments("no-such").is_err());
    }
}
