//! What the registry says of a network card's driver and its standardised keywords ("Standardized INF Keywords for
//! Network Devices").

/// `NCF_PHYSICAL` of `Characteristics`: there is a card behind it.
const PHYSICAL: u32 = 0x4;

/// Whether a card with these `Characteristics` is one, and no tunnel, filter or miniport of the system.
#[must_use]
pub const fn is_physical(characteristics: u32) -> bool {
    characteristics & PHYSICAL != 0
}

/// A `DriverDate`, which is `m-d-yyyy` in every language, as `yyyy-mm-dd`; `None` when it is no such date.
#[must_use]
pub fn driver_date(text: &str) -> Option<String> {
    let mut parts = text.trim().split('-').map(str::parse::<u16>);
    let (month, day, year) = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    let is_date = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (1980..=9999).contains(&year)
        && parts.next().is_none();
    is_date.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// A keyword of a card that is on or off, as `*LsoV2IPv4` and `*RSS`.
#[must_use]
pub fn switch(text: &str) -> Option<bool> {
    match text.trim() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// `*TCPChecksumOffloadIPv4` and its like: which way the card computes checksums.
#[must_use]
pub fn checksum(text: &str) -> Option<&'static str> {
    match text.trim() {
        "0" => Some("off"),
        "1" => Some("tx"),
        "2" => Some("rx"),
        "3" => Some("tx and rx"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_month_day_year_whatever_the_language() {
        assert_eq!(driver_date("6-14-2016").as_deref(), Some("2016-06-14"));
        assert_eq!(driver_date(" 12-1-2009\u{0}").as_deref(), None);
        assert_eq!(driver_date("12-1-2009").as_deref(), Some("2009-12-01"));
        for text in [
            "14.06.2016",
            "14-6-2016",
            "6-14-16",
            "6-14",
            "6-14-2016-1",
            "",
        ] {
            assert_eq!(driver_date(text), None, "{text:?}");
        }
    }

    #[test]
    fn keywords_that_say_something_else_are_not_taken_for_off() {
        assert_eq!(
            [switch("0"), switch("1"), switch("2")],
            [Some(false), Some(true), None]
        );
        assert_eq!(checksum("3"), Some("tx and rx"));
        assert_eq!(checksum("4"), None);
        assert!(is_physical(0x84) && !is_physical(0x29));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,40}") {
            prop_assert!(driver_date(&text).is_none_or(|date| date.len() == 10));
            prop_assert!(switch(&text).is_none_or(|_| text.trim().len() == 1));
            prop_assert!(checksum(&text).is_none_or(|_| text.trim().len() == 1));
        }
    }
}
