//! An instance of `MSFT_NetTCPConnection` in state Bound, as a row.

use std::net::IpAddr;

use tidemark_model::Timestamp;
use tidemark_model::tcp::TcpState;

use crate::{Address, Family, SocketRow};

/// What WMI tells of an endpoint; every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedEndpoint {
    /// As text, a v6 one perhaps with its zone (`fe80::1%4`).
    pub local_address: Option<String>,
    /// In host order.
    pub local_port: Option<u16>,
    /// The process.
    pub owning_process: Option<u32>,
    /// A `CIM_DATETIME`, as in `20260102030405.678000+060`.
    pub creation_time: Option<String>,
}

/// The endpoint as a row; `None` when it has no port, without which it holds nothing, or no address that can be read.
#[must_use]
pub fn row(endpoint: &ManagedEndpoint) -> Option<SocketRow> {
    let local_port = endpoint.local_port.filter(|port| *port != 0)?;
    let text = endpoint.local_address.as_deref()?;
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    let (family, local, none) = match text.trim().parse().ok()? {
        IpAddr::V4(address) => (Family::V4, address.into(), Address::from_v4([0; 4])),
        IpAddr::V6(address) => (Family::V6, address.into(), Address::from_v6([0; 16])),
    };
    Some(SocketRow {
        family,
        state: TcpState::Bound,
        local_port,
        remote_port: 0,
        local,
        remote: none,
        holder: endpoint.owning_process.unwrap_or(0),
        service_tag: 0,
        created: endpoint.creation_time.as_deref().and_then(time),
    })
}

/// A `CIM_DATETIME`: `yyyymmddHHMMSS.mmmmmmsUUU`, local time and its minutes east of UTC. `None` for what is no time,
/// wildcards (`*`) included.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.is_ascii().then_some(text)?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let digits = text.len() == 25 && text.get(14..15) == Some(".");
    let sign = match text.get(21..22).filter(|_| digits)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let in_range = (1601..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !in_range {
        return None;
    }
    let micros = number(15, 21)?;
    let east = sign * number(22, 25)?;
    let minutes = (days_since_epoch(year, month, day) * 24 + hour) * 60 + minute - east;
    Some(Timestamp::from_unix_ms(
        (minutes * 60 + second) * 1000 + micros / 1000,
    ))
}

/// Days from 1970-01-01, by counting years from March, so that the leap day is the last of one.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(address: &str, port: u16) -> ManagedEndpoint {
        ManagedEndpoint {
            local_address: Some(address.to_owned()),
            local_port: Some(port),
            owning_process: Some(1212),
            creation_time: Some("20260102040405.678000+060".to_owned()),
        }
    }

    #[test]
    fn an_endpoint_becomes_a_row_with_its_age() {
        let found = row(&endpoint("192.0.2.1", 50_000)).unwrap();
        assert_eq!((found.family, found.state), (Family::V4, TcpState::Bound));
        assert_eq!((found.local_port, found.holder), (50_000, 1212));
        // 2026-01-02 03:04:05.678 UTC.
        let created = Timestamp::from_unix_ms(1_767_323_045_678);
        assert_eq!(found.created, Some(created));
        let found = row(&endpoint("fe80::1%4", 50_001)).unwrap();
        assert_eq!(found.family, Family::V6);
        assert_eq!(found.local.ip().to_string(), "fe80::1");
    }

    #[test]
    fn what_holds_no_port_is_no_row_and_what_is_unknown_stays_so() {
        assert_eq!(row(&endpoint("0.0.0.0", 0)), None);
        assert_eq!(row(&endpoint("somewhere", 50_000)), None);
        assert_eq!(row(&ManagedEndpoint::default()), None);
        let mut unknown = endpoint("::", 50_000);
        unknown.owning_process = None;
        unknown.creation_time = None;
        let found = row(&unknown).unwrap();
        assert_eq!((found.holder, found.created), (0, None));
    }

    #[test]
    fn times_are_read_east_and_west_of_utc_and_over_leap_days() {
        let cases = [
            ("19700101000000.000000+000", Some(0)),
            ("19700101013000.250000+090", Some(250)),
            ("19691231190000.000000-300", Some(0)),
            ("20000229000000.000000+000", Some(951_782_400_000)),
            ("20000301000000.000000+000", Some(951_868_800_000)),
            ("20240101000000.000000+000", Some(1_704_067_200_000)),
            ("2024010100000*.000000+000", None),
            ("20241301000000.000000+000", None),
            ("20240101000000.000000", None),
            ("", None),
            ("2024010100000ü.00000+000", None),
        ];
        for (text, expected) in cases {
            assert_eq!(time(text).map(Timestamp::unix_ms), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn hostile_answers_are_no_harm(
            address in "\\PC{0,40}", when in "[0-9.+*-]{0,30}", any_text in "\\PC{0,30}", port: u16, process: u32,
        ) {
            for creation_time in [when, any_text] {
                let found = row(&ManagedEndpoint {
                    local_address: Some(address.clone()),
                    local_port: Some(port),
                    owning_process: Some(process),
                    creation_time: Some(creation_time),
                });
                if let Some(found) = found {
                    prop_assert!(found.local_port != 0 && found.state == TcpState::Bound);
                }
            }
        }
    }
}
