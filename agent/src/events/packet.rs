//! The binary part of a driver's event: the kernel's error log packet (`IO_ERROR_LOG_PACKET` in the WDK's wdm.h).

/// Bytes of a packet's fixed part.
const HEADER_BYTES: usize = 40;

/// What a driver's packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DriverPacket {
    /// The event's id as its source declares it: qualifiers above, id below.
    pub(super) error_code: u32,
    /// NTSTATUS of what failed; 0 when nothing did.
    pub(super) final_status: u32,
}

/// Decodes the binary part of the event `code`. `None` for binary parts that are no packet, which a source may write as
/// well: a packet repeats the event's id.
pub(super) fn decode(binary: &[u8], code: u32) -> Option<DriverPacket> {
    if binary.len() < HEADER_BYTES {
        return None;
    }
    let number = |offset| {
        let bytes = binary.get(offset..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let packet = DriverPacket {
        error_code: number(12)?,
        final_status: number(20)?,
    };
    (packet.error_code & 0xffff == code).then_some(packet)
}

/// Bytes of hexadecimal text, at most `bytes_max`; `None` when it is none.
pub(super) fn bytes_of_hex(text: &str, bytes_max: usize) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .take(bytes_max.saturating_mul(2))
        .map(|byte| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    Some(
        pairs
            .filter_map(|pair| Some(pair.first()? << 4 | pair.last()?))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_told_by_the_id_that_it_repeats() {
        // Decoded from a record of Windows 11 (22631): Tcpip 4207, NDIS refused the binding.
        let mut binary =
            bytes_of_hex("0000140003003000000000006F1000C006000000BB0000C0", 99).unwrap();
        assert_eq!(decode(&binary, 4207), None, "it is cut short");
        binary.resize(HEADER_BYTES, 0);
        let packet = DriverPacket {
            error_code: 0xc000_106f,
            final_status: 0xc000_00bb,
        };
        assert_eq!(decode(&binary, 4207), Some(packet));
        assert_eq!(decode(&binary, 4231), None);
    }

    #[test]
    fn only_whole_bytes_of_hexadecimal_digits_are_binary() {
        assert_eq!(bytes_of_hex("00fF 1a", 9), Some(vec![0, 255, 26]));
        assert_eq!(bytes_of_hex("00fF1a", 2), Some(vec![0, 255]));
        assert_eq!(bytes_of_hex("0", 9), None);
        assert_eq!(bytes_of_hex("0ß", 9), None);
        assert_eq!(bytes_of_hex("", 9), Some(vec![]));
    }
}
