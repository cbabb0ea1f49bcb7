//! Figures and names as sentences hold them.

use std::net::SocketAddr;

use tidemark_model::sample::{DestinationSample, ProcessIdentity};

/// `1,204`.
pub(crate) fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Share of `part` in `whole`, 0 when there is no whole.
pub(crate) fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 {
        0.0
    } else {
        f64::from(part) / f64::from(whole)
    }
}

/// `37 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", (share * 100.0).floor())
}

/// A number a minute or an hour, whichever reads better.
pub(crate) fn rate(per_minute: f64) -> String {
    if per_minute >= 120.0 {
        format!("{:.1} a second", per_minute / 60.0)
    } else if per_minute >= 1.0 {
        format!("{per_minute:.1} a minute")
    } else {
        format!("{:.1} an hour", per_minute * 60.0)
    }
}

/// `12 minutes`, `40 seconds`.
pub(crate) fn time_left(minutes: f64) -> String {
    if minutes < 2.0 {
        format!("{:.0} seconds", minutes * 60.0)
    } else if minutes < 120.0 {
        format!("{minutes:.0} minutes")
    } else {
        format!("{:.1} hours", minutes / 60.0)
    }
}

/// `AppSvc.exe (pid 412, service AppSvc)`.
pub(crate) fn process(process: &ProcessIdentity) -> String {
    let service = process
        .service
        .as_ref()
        .map_or_else(String::new, |service| format!(", service {service}"));
    format!("{} (pid {}{service})", process.name, process.pid)
}

/// `10.0.0.5:1433`.
pub(crate) fn remote(destination: &DestinationSample) -> String {
    SocketAddr::new(destination.remote_address, destination.remote_port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_for_people() {
        assert_eq!(grouped(16_384), "16,384");
        assert_eq!(percent(share(1, 3)), "33 %");
        assert_eq!(percent(share(1, 0)), "0 %");
        assert_eq!(rate(720.0), "12.0 a second");
        assert_eq!(rate(2.0), "2.0 a minute");
        assert_eq!(rate(0.5), "30.0 an hour");
        assert_eq!(time_left(0.05), "3 seconds");
        assert_eq!(time_left(90.0), "90 minutes");
        assert_eq!(time_left(300.0), "5.0 hours");
    }
}
