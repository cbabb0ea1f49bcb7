//! The dynamic port range: from the system's management objects, or from what `netsh` prints.

use tidemark_model::PortRange;

/// The template whose range counts where templates differ: connections out of the data centre use it, and most
/// programs by default.
const DEFAULT_TEMPLATE: &str = "Internet";

/// One template of `MSFT_NetTCPSetting`, or the one instance of `MSFT_NetUDPSetting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSetting<'a> {
    /// Its `SettingName`; empty for UDP.
    pub name: &'a str,
    /// `DynamicPortRangeStartPort`; the template `Automatic` has none.
    pub first: Option<u16>,
    /// `DynamicPortRangeNumberOfPorts`.
    pub ports: Option<u16>,
}

/// What the settings say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatedRange {
    /// The range.
    pub range: PortRange,
    /// Whether all templates say so. They do unless somebody set one alone.
    pub is_unanimous: bool,
}

/// The range that settings state; `None` when none of them states one.
pub fn in_settings<'a>(settings: impl Iterator<Item = PortSetting<'a>>) -> Option<StatedRange> {
    let mut stated: Option<StatedRange> = None;
    for setting in settings {
        let Some(range) = setting
            .first
            .zip(setting.ports)
            .and_then(|(first, ports)| range_of(first.into(), ports.into()))
        else {
            continue;
        };
        stated = Some(match stated {
            None => StatedRange {
                range,
                is_unanimous: true,
            },
            Some(before) if before.range == range => before,
            Some(before) => StatedRange {
                range: if setting.name == DEFAULT_TEMPLATE {
                    range
                } else {
                    before.range
                },
                is_unanimous: false,
            },
        });
    }
    stated
}

/// The range in the output of `netsh int ipv4 show dynamicport tcp`: the first two numbers that end a line are its
/// first port and how many there are. The words before them are in the host's language and code page.
///
/// `None` when there is no range, as in the empty output of a `netsh` that is a stub.
#[must_use]
pub fn in_netsh_output(output: &[u8]) -> Option<PortRange> {
    let mut numbers = output.split(|byte| *byte == b'\n').filter_map(last_number);
    range_of(numbers.next()?, numbers.next()?)
}

/// The number at the end of a line, unless it is the end of a word such as `IPv4`.
fn last_number(line: &[u8]) -> Option<u32> {
    let line = line.trim_ascii_end();
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let digits = line.iter().rev().take_while(|byte| is_digit(byte)).count();
    let (words, digits) = line.split_at_checked(line.len().checked_sub(digits)?)?;
    if words.last().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `ports` ports from `first` on; `None` when that is none or goes beyond 65535.
fn range_of(first: u32, ports: u32) -> Option<PortRange> {
    let last = first.checked_add(ports.checked_sub(1)?)?;
    PortRange::new(u16::try_from(first).ok()?, u16::try_from(last).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn setting(name: &str, first: u16, ports: u16) -> PortSetting<'_> {
        PortSetting {
            name,
            first: Some(first),
            ports: Some(ports),
        }
    }

    const AUTOMATIC: PortSetting<'_> = PortSetting {
        name: "Automatic",
        first: None,
        ports: None,
    };

    #[test]
    fn templates_that_agree_state_one_range() {
        let settings = [
            AUTOMATIC,
            setting("InternetCustom", 49_152, 16_384),
            setting("Internet", 49_152, 16_384),
        ];
        let stated = in_settings(settings.into_iter()).unwrap();
        assert_eq!(stated.range, PortRange::new(49_152, 65_535).unwrap());
        assert!(stated.is_unanimous);
        assert_eq!(in_settings([AUTOMATIC].into_iter()), None);
        assert_eq!(in_settings([setting("", 60_000, 16_384)].into_iter()), None);
        assert_eq!(in_settings([setting("", 60_000, 0)].into_iter()), None);
    }

    #[test]
    fn where_templates_differ_that_of_the_internet_counts() {
        let settings = [
            setting("Datacenter", 10_000, 100),
            setting("Internet", 49_152, 16_384),
            setting("Compat", 10_000, 100),
        ];
        let stated = in_settings(settings.into_iter()).unwrap();
        assert_eq!((stated.range.first, stated.is_unanimous), (49_152, false));
    }

    #[test]
    fn netsh_is_understood_in_any_language() {
        let english =
            b"\r\nProtocol tcp Dynamic Port Range\r\n---------------------------------\r\n\
            Start Port      : 49152\r\nNumber of Ports : 16384\r\n\r\n";
        let french = b"\r\nPlage de ports dynamique du protocole tcp IPv4\r\n---------\r\n\
            Port de d\x82marrage   : 1025\r\nNombre de ports     : 64511\r\n";
        let chinese = b"\xd0\xad\xd2\xe9 tcp \r\n----\r\n\xc6\xf4\xb6\xaf\xb6\xcb\xbf\xda\xa3\xba10000\r\n\xb6\xcb\xbf\xda\xca\xfd\xa3\xba55536\r\n";
        let ranges = [&english[..], french, chinese].map(|text| in_netsh_output(text).unwrap());
        let ends = ranges.map(|range| (range.first, range.last));
        assert_eq!(ends, [(49_152, 65_535), (1025, 65_535), (10_000, 65_535)]);
    }

    #[test]
    fn german_and_japanese_netsh_are_understood_in_their_code_pages() {
        let german = b"\r\nProtokoll tcp Dynamischer Portbereich\r\n---------\r\n\
            Startport       : 49152\r\nAnzahl von Ports : 16384\r\n\r\n";
        // Shift JIS, whose second bytes may be letters of ASCII.
        let japanese = b"\r\n\x83v\x83\x8d\x83g\x83R\x83\x8b tcp \x82\xcc\x93\xae\x93I\r\n-----\r\n\
            \x8aJ\x8en\x83|\x81[\x83g        : 1025\r\n\x83|\x81[\x83g\x90\x94          : 64510\r\n";
        let ranges = [&german[..], japanese].map(|text| in_netsh_output(text).unwrap());
        let ends = ranges.map(|range| (range.first, range.last));
        assert_eq!(ends, [(49_152, 65_535), (1025, 65_534)]);
    }

    #[test]
    fn output_without_a_range_states_none() {
        for text in [
            "",
            "\r\n\r\n",
            "Start : 49152\r\n",
            "Start : 49152\r\nNumber : 0\r\n",
            "Start : 49152\r\nNumber : 16385\r\n",
            "Start : 99999999999\r\nNumber : 1\r\n",
        ] {
            assert_eq!(in_netsh_output(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_output_is_read(text: Vec<u8>) {
            if let Some(range) = in_netsh_output(&text) {
                prop_assert!(range.first <= range.last);
            }
        }
    }
}
