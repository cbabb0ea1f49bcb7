//! Excluded port ranges: what `netsh` prints of them, and the registry's list from older systems.

use tidemark_model::PortRange;

use super::bytes;

/// A block of ports that the system hands to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExcludedPorts {
    /// Which ports.
    pub ports: PortRange,
    /// An administrator excluded them (`*`); others are reserved by Hyper-V, WinNAT, containers and the like.
    pub administered: bool,
}

/// The blocks in the output of `netsh int ipv4 show excludedportrange`: lines of two ports and perhaps a `*`. Titles
/// are in the host's language and are skipped, as is whatever is no range.
pub fn in_netsh_output(output: &[u8]) -> impl Iterator<Item = ExcludedPorts> + '_ {
    output.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split_ascii_whitespace();
        let (first, last) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let administered = match words.next() {
            None => false,
            Some("*") if words.next().is_none() => true,
            Some(_) => return None,
        };
        Some(ExcludedPorts {
            ports: PortRange::new(first, last)?,
            administered,
        })
    })
}

/// The ranges in `Tcpip\Parameters\ReservedPorts`: texts like `1433-1434`, each with a 0 behind it.
pub fn in_registry_list(multi_text: &[u8]) -> impl Iterator<Item = PortRange> {
    let text = bytes::text(multi_text);
    let ranges: Vec<PortRange> = text
        .split('\0')
        .filter_map(|range| {
            let (first, last) = range.trim().split_once('-')?;
            PortRange::new(first.trim().parse().ok()?, last.trim().parse().ok()?)
        })
        .collect();
    ranges.into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GERMAN: &[u8] =
        b"\r\nProtokoll tcp Portausschlussbereiche\r\n\r\nStartport      Endport\r\n\
        ----------    --------\r\n      5357        5357\r\n     50000       50059     *\r\n\r\n\
        * - Verwaltete Portausschl\x81sse.\r\n\r\n";

    #[test]
    fn blocks_are_found_in_any_language() {
        let found: Vec<_> = in_netsh_output(GERMAN)
            .map(|block| (block.ports.first, block.ports.last, block.administered))
            .collect();
        assert_eq!(found, [(5357, 5357, false), (50_000, 50_059, true)]);
    }

    #[test]
    fn what_is_no_block_is_skipped() {
        for text in [
            "", "\n\n", "1 2 3", "1 2 * *", "9 3", "1 65536", "-1 5", "5",
        ] {
            assert_eq!(in_netsh_output(text.as_bytes()).count(), 0, "{text:?}");
        }
    }

    #[test]
    fn the_list_in_the_registry_is_read() {
        let text = "1433-1434\0 5000 - 5001 \0x\0-\09-1\0\0";
        let blob: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let found: Vec<_> = in_registry_list(&blob).map(|r| (r.first, r.last)).collect();
        assert_eq!(found, [(1433, 1434), (5000, 5001)]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_blocks_are_ordered(text: Vec<u8>) {
            let blocks = in_netsh_output(&text).map(|block| block.ports);
            for ports in blocks.chain(in_registry_list(&text)) {
                prop_assert!(ports.first <= ports.last);
            }
        }

        #[test]
        fn printed_blocks_are_read_back(blocks in prop::collection::vec((1_u16..9_000, 0_u16..50_000, any::<bool>()), 0..20)) {
            let mut text = String::from("Start Port    End Port\r\n----------    --------\r\n");
            for (first, more, administered) in &blocks {
                let mark = if *administered { "     *" } else { "" };
                text.push_str(&format!("{first:>10}{:>12}{mark}\r\n", first + more));
            }
            let found: Vec<_> = in_netsh_output(text.as_bytes())
                .map(|block| (block.ports.first, block.ports.last - block.ports.first, block.administered))
                .collect();
            prop_assert_eq!(found, blocks);
        }
    }
}
