//! What a window must be, field by field: everything that is wrong is said at once, with the limit and the remedy.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::{Span, SpanRelativeTo};
use tidemark_model::Timestamp;
use tidemark_model::duration::{format_duration, parse_duration};
use tidemark_model::silence::Matcher;
use tidemark_model::window::{HOST_LOCAL, Occurrence, WindowSpec};

use super::{DURATION_MAX, DURATION_MIN, NEXT_WITHIN_YEARS, Window, WindowError};
use crate::recurrence::Recurrence;
use crate::zone::{WindowZone, Zone};

/// Characters of a name, of a description, and of the other texts before they are read.
const NAME_MAX: usize = 63;
/// See [`NAME_MAX`].
const DESCRIPTION_MAX: usize = 500;
/// See [`NAME_MAX`].
const TEXT_MAX: usize = 64;
/// Days and periods that are left out.
const EXCLUDED_MAX: usize = 100;
/// Matchers that choose its hosts.
const MATCHERS_MAX: usize = 20;
/// The first year that a window may begin in: what is counted is counted from there.
const YEAR_MIN: i16 = 2000;
/// Occurrences between which there must be time enough.
const NEIGHBOURS: usize = 64;

/// Reads what does not depend on the time.
pub(super) fn read(spec: WindowSpec) -> Result<Window, WindowError> {
    let mut wrong = Vec::new();
    check_name(&spec.name, &mut wrong);
    check_description(&spec.description, &mut wrong);
    let start = keep(start_of(&spec.start), &mut wrong);
    // A wrong start must not hide what is wrong with the rule.
    let begins = start.unwrap_or_else(|| DateTime::constant(YEAR_MIN, 1, 1, 0, 0, 0, 0));
    let recurrence = Recurrence::read(&spec.recurrence, begins);
    let recurrence = keep(
        recurrence.map_err(|why| format!("recurrence {why}")),
        &mut wrong,
    );
    let duration = keep(duration_of(&spec.duration), &mut wrong);
    let zone = keep(zone_of(&spec.time_zone), &mut wrong);
    let excluded = excluded_of(&spec.exclude, &mut wrong);
    let matchers = matchers_of(&spec.hosts, &mut wrong);
    let (Some(recurrence), Some(duration), Some(zone), true) =
        (recurrence, duration, zone, wrong.is_empty())
    else {
        return Err(WindowError(wrong));
    };
    Ok(Window {
        spec: WindowSpec {
            recurrence: recurrence.text().to_owned(),
            time_zone: zone.to_string(),
            ..spec
        },
        recurrence,
        duration,
        zone,
        excluded,
        matchers,
    })
}

/// Checks that a window comes, and that it is over before it comes again.
pub(super) fn against_the_clock(window: &Window, now: Timestamp) -> Result<(), WindowError> {
    // Which zone matters little: years, and lengths of days.
    let utc = Zone::utc();
    let zone = match &window.zone {
        WindowZone::Fixed(zone) => zone,
        WindowZone::HostLocal => &utc,
    };
    let times: Vec<Occurrence> = window.times(zone, now).take(NEIGHBOURS).collect();
    let year = Duration::from_secs(86_400 * 366);
    let limit = now.saturating_add(year * u32::try_from(NEXT_WITHIN_YEARS).unwrap_or(1));
    match times.first() {
        None => {
            return Err(WindowError(vec![
                "recurrence never comes again: no day is left of it; check BYMONTH and BYMONTHDAY, COUNT and UNTIL, and exclude"
                    .to_owned(),
            ]));
        }
        Some(first) if first.start > limit => {
            return Err(WindowError(vec![format!(
                "recurrence does not come before {}; a window must come within {NEXT_WITHIN_YEARS} years: check start, BYMONTH, BYMONTHDAY and exclude",
                zone.wall_words(first.start)
            )]));
        }
        Some(_) => {}
    }
    let gaps = times.iter().zip(times.iter().skip(1));
    let shortest = gaps
        .map(|(one, next)| next.start.ms_since(one.start))
        .min()
        .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    // A clock that is set forward brings two beginnings closer together by an hour; that is not the operator's doing.
    let leeway = Duration::from_secs(3_600);
    match shortest {
        Some(shortest) if window.duration > shortest + leeway => Err(WindowError(vec![format!(
            "duration is {}, and the window comes again after {}; it must be over before that",
            format_duration(window.duration),
            format_duration(shortest)
        )])),
        Some(_) | None => Ok(()),
    }
}

fn keep<T>(read: Result<T, String>, wrong: &mut Vec<String>) -> Option<T> {
    read.map_err(|why| wrong.push(why)).ok()
}

fn check_name(name: &str, wrong: &mut Vec<String>) {
    let is_legible = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_good = (1..=NAME_MAX).contains(&name.len())
        && name.chars().all(is_legible)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !is_good {
        wrong.push(format!(
            "name is {:?}; it must be 1 to {NAME_MAX} of a-z, 0-9 and -, with - inside alone, as in saturday-night",
            shown(name)
        ));
    }
}

fn check_description(text: &str, wrong: &mut Vec<String>) {
    if text.chars().count() > DESCRIPTION_MAX || text.contains('\0') {
        wrong.push(format!(
            "description has {} characters; it must have at most {DESCRIPTION_MAX}, and no NUL",
            text.chars().count()
        ));
    }
}

fn start_of(text: &str) -> Result<DateTime, String> {
    let wrong = || {
        format!(
            "start is {:?}; write the first day and the time of day by the clock on the wall, without an offset, from {YEAR_MIN} on, as in 2026-12-05T02:00",
            shown(text)
        )
    };
    let short = text.len() <= TEXT_MAX && !text.contains('[');
    let at: DateTime = short
        .then(|| text.trim().parse().ok())
        .flatten()
        .ok_or_else(wrong)?;
    let is_whole = at.subsec_nanosecond() == 0;
    if is_whole && (YEAR_MIN..=9_000).contains(&at.year()) {
        Ok(at)
    } else {
        Err(wrong())
    }
}

fn duration_of(text: &str) -> Result<Duration, String> {
    let limits = || {
        format!(
            "{} to {}",
            format_duration(DURATION_MIN),
            format_duration(DURATION_MAX)
        )
    };
    let read = if text.len() > TEXT_MAX {
        None
    } else {
        parse_duration(text).ok().or_else(|| iso_duration(text))
    };
    match read {
        Some(duration) if (DURATION_MIN..=DURATION_MAX).contains(&duration) => Ok(duration),
        Some(duration) => Err(format!(
            "duration is {}; it must be {}",
            format_duration(duration),
            limits()
        )),
        None => Err(format!(
            "duration is {:?}; write {}, as in 4h, 1h30m or PT4H",
            shown(text),
            limits()
        )),
    }
}

/// A day is 24 hours of elapsed time, also where the clock is set.
fn iso_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let span: Span = text.starts_with('P').then(|| text.parse().ok()).flatten()?;
    let elapsed = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(elapsed).ok()
}

fn zone_of(name: &str) -> Result<WindowZone, String> {
    WindowZone::named(name.trim()).ok_or_else(|| {
        format!(
            "time_zone is {:?}; write an IANA name, as in Europe/Vienna or UTC, or {HOST_LOCAL}",
            shown(name)
        )
    })
}

fn excluded_of(texts: &[String], wrong: &mut Vec<String>) -> Vec<(Date, Date)> {
    if texts.len() > EXCLUDED_MAX {
        wrong.push(format!(
            "exclude has {} entries; it must have at most {EXCLUDED_MAX}: write periods instead of days",
            texts.len()
        ));
        return vec![];
    }
    let read = texts.iter().filter_map(|text| {
        let day = |text: &str| -> Option<Date> {
            let is_day = text.len() == "2026-12-24".len();
            is_day.then(|| text.parse().ok()).flatten()
        };
        let period = match text.trim().split_once('/') {
            Some((first, last)) => day(first.trim()).zip(day(last.trim())),
            None => day(text.trim()).map(|day| (day, day)),
        };
        let period = period.filter(|(first, last)| first <= last);
        if period.is_none() {
            wrong.push(format!(
                "exclude has {:?}; write a day, 2026-12-26, or a period with both ends in it, 2026-12-24/2027-01-06",
                shown(text)
            ));
        }
        period
    });
    read.collect()
}

fn matchers_of(texts: &[String], wrong: &mut Vec<String>) -> Vec<Matcher> {
    if !(1..=MATCHERS_MAX).contains(&texts.len()) {
        wrong.push(format!(
            "hosts has {} matchers; it must have 1 to {MATCHERS_MAX}: host=* is every host",
            texts.len()
        ));
        return vec![];
    }
    let read = texts.iter().filter_map(|text| {
        let matcher = text.parse();
        matcher
            .map_err(|error| wrong.push(format!("hosts: {error}")))
            .ok()
    });
    read.collect()
}

/// What was given, cut for a message.
fn shown(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}
