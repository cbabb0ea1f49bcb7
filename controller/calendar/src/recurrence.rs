//! Recurrence rules (RFC 5545, section 3.3.10) on the clock on the wall, without any time zone: which days a window begins
//! on. Rules that come more than once a day are refused, so that every evaluation is bounded by the days it looks at.

use std::iter;

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, TimeZone as _, Timelike as _};
use jiff::civil::{self, DateTime};
use rrule::{Frequency, RRule, RRuleSet, Tz};
use tidemark_model::Timestamp;

/// Characters of a rule.
const TEXT_MAX: usize = 256;
/// Most occurrences that a rule may count to: they are counted from its start with each evaluation.
pub const COUNT_MAX: u32 = 1_000;
/// Largest interval.
const INTERVAL_MAX: u16 = 366;
/// Parts of a rule that are taken.
const PARTS: [&str; 11] = [
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "WKST",
    "BYDAY",
    "BYMONTH",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYSETPOS",
];

/// A rule with its first day and its time of day.
#[derive(Clone, Debug)]
pub(crate) struct Recurrence {
    text: String,
    rule: RRule,
    start: DateTime,
    until: Until,
}

/// When a rule ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Never, or when it has counted to its end.
    Open,
    /// With the last occurrence up to this, by the clock on the wall.
    Wall(DateTime),
    /// With the last occurrence up to this instant.
    Instant(Timestamp),
}

impl Recurrence {
    /// Reads the value of an RRULE that begins at `start`.
    ///
    /// # Errors
    /// One sentence about what is wrong with it, and what to write instead.
    pub(crate) fn read(text: &str, start: DateTime) -> Result<Self, String> {
        let text = text.trim().to_ascii_uppercase();
        let text = text.strip_prefix("RRULE:").unwrap_or(&text).to_owned();
        if text.len() > TEXT_MAX {
            return Err(format!(
                "is {} characters long; it must have at most {TEXT_MAX}",
                text.len()
            ));
        }
        let parts = parts_of(&text)?;
        let until = match part(&parts, "UNTIL") {
            Some(until) => until_of(until)?,
            None => Until::Open,
        };
        if until != Until::Open && part(&parts, "COUNT").is_some() {
            return Err("has both COUNT and UNTIL; keep one (RFC 5545, 3.3.10)".to_owned());
        }
        check_number(&parts, "INTERVAL", u32::from(INTERVAL_MAX))?;
        check_number(&parts, "COUNT", COUNT_MAX)?;
        // The end is this crate's own business: by the wall or an instant, which the library would mix up.
        let kept = parts.iter().filter(|(key, _)| *key != "UNTIL");
        let kept: Vec<String> = kept.map(|(key, value)| format!("{key}={value}")).collect();
        let rule: RRule<rrule::Unvalidated> = kept
            .join(";")
            .parse()
            .map_err(|error| format!("{text:?} is no recurrence rule: {error}"))?;
        check_frequency(rule.get_freq())?;
        let first = to_library(start).ok_or("begins outside the calendar")?;
        let rule = rule
            .validate(Tz::UTC.from_utc_datetime(&first))
            .map_err(|error| format!("{text:?} cannot be: {error}"))?;
        Ok(Self {
            text,
            rule,
            start,
            until,
        })
    }

    /// The rule as it was read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// When it ends.
    pub(crate) const fn until(&self) -> Until {
        self.until
    }

    /// Beginnings by the clock on the wall, ascending, some time before `from` and on. Looks at no more days than lie
    /// between those that are taken.
    pub(crate) fn starts(&self, from: DateTime) -> impl Iterator<Item = DateTime> + use<> {
        let first = to_library(self.nearest_start(from));
        let set = first.map(|first| {
            RRuleSet::new(Tz::UTC.from_utc_datetime(&first))
                .rrule(self.rule.clone())
                .limit()
        });
        let mut dates = set.map(|set| (&set).into_iter());
        let until = self.until;
        iter::from_fn(move || from_library(dates.as_mut()?.next()?.naive_utc())).take_while(
            move |at| match until {
                Until::Wall(end) => *at <= end,
                Until::Open | Until::Instant(_) => true,
            },
        )
    }

    /// A start from which the rule gives the same days from `from` on. Days and weeks are skipped in whole intervals;
    /// months and years are few, and what is counted must be counted from the beginning.
    fn nearest_start(&self, from: DateTime) -> DateTime {
        let unit = match self.rule.get_freq() {
            Frequency::Daily => 1,
            Frequency::Weekly => 7,
            Frequency::Yearly
            | Frequency::Monthly
            | Frequency::Hourly
            | Frequency::Minutely
            | Frequency::Secondly => return self.start,
        };
        if self.rule.get_count().is_some() {
            return self.start;
        }
        let interval = i64::from(self.rule.get_interval()).max(1) * unit;
        let days = (from.date() - self.start.date()).get_days();
        // One interval less: a week may begin in the middle of one.
        let whole = (i64::from(days) / interval - 1).max(0);
        let skipped = jiff::Span::new().try_days(whole * interval);
        skipped
            .and_then(|skipped| self.start.checked_add(skipped))
            .unwrap_or(self.start)
    }
}

type Part<'t> = (&'t str, &'t str);

fn parts_of(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for written in text.split(';').filter(|part| !part.is_empty()) {
        let Some((key, value)) = written.split_once('=') else {
            return Err(format!(
                "has the part {written:?}; write PART=VALUE, as in FREQ=WEEKLY;BYDAY=SA"
            ));
        };
        if matches!(key, "BYHOUR" | "BYMINUTE" | "BYSECOND") {
            return Err(format!(
                "has {key}; the time of day is that of start, and a second time of day is a second window"
            ));
        }
        if !PARTS.contains(&key) {
            return Err(format!(
                "has the part {key:?}, which is none of {}",
                PARTS.join(", ")
            ));
        }
        if parts.iter().any(|(known, _)| *known == key) {
            return Err(format!("has {key} twice; keep one"));
        }
        let is_legible = |c: char| c.is_ascii_alphanumeric() || matches!(c, ',' | '+' | '-');
        if value.is_empty() || !value.chars().all(is_legible) {
            return Err(format!(
                "has {key}={value:?}; a value is letters, digits, commas and signs"
            ));
        }
        parts.push((key, value));
    }
    match part(&parts, "FREQ") {
        Some("SECONDLY" | "MINUTELY" | "HOURLY") => {
            check_frequency(Frequency::Hourly).map(|()| parts)
        }
        Some(_) => Ok(parts),
        None => Err(
            "has no FREQ; write DAILY, WEEKLY, MONTHLY or YEARLY, as in FREQ=WEEKLY;BYDAY=SA"
                .to_owned(),
        ),
    }
}

fn part<'t>(parts: &[Part<'t>], key: &str) -> Option<&'t str> {
    let found = parts.iter().find(|(known, _)| *known == key);
    found.map(|(_, value)| *value)
}

fn check_frequency(frequency: Frequency) -> Result<(), String> {
    match frequency {
        Frequency::Daily | Frequency::Weekly | Frequency::Monthly | Frequency::Yearly => Ok(()),
        Frequency::Hourly | Frequency::Minutely | Frequency::Secondly => Err(
            "comes more than once a day; FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY".to_owned(),
        ),
    }
}

fn check_number(parts: &[Part<'_>], key: &str, most: u32) -> Result<(), String> {
    match part(parts, key).map(str::parse::<u32>) {
        None => Ok(()),
        Some(Ok(number)) if (1..=most).contains(&number) => Ok(()),
        Some(_) => Err(format!(
            "has {key}={}; it must be 1 to {most}",
            part(parts, key).unwrap_or_default()
        )),
    }
}

fn until_of(text: &str) -> Result<Until, String> {
    let wrong = || {
        format!(
            "has UNTIL={text}; write a day, 20271231, a time by the clock of its time zone, 20271231T235959, or one in UTC, 20271231T235959Z"
        )
    };
    if let Some(utc) = text.strip_suffix('Z') {
        let at = DateTime::strptime("%Y%m%dT%H%M%S", utc).map_err(|_| wrong())?;
        let at = jiff::tz::TimeZone::UTC
            .to_timestamp(at)
            .map_err(|_| wrong())?;
        return Ok(Until::Instant(Timestamp::from_unix_ms(at.as_millisecond())));
    }
    if let Ok(at) = DateTime::strptime("%Y%m%dT%H%M%S", text) {
        return Ok(Until::Wall(at));
    }
    let day = civil::Date::strptime("%Y%m%d", text).map_err(|_| wrong())?;
    Ok(Until::Wall(day.at(23, 59, 59, 0)))
}

fn to_library(at: DateTime) -> Option<NaiveDateTime> {
    let unsigned = |number: i8| u32::try_from(number).ok();
    NaiveDate::from_ymd_opt(
        i32::from(at.year()),
        unsigned(at.month())?,
        unsigned(at.day())?,
    )?
    .and_hms_opt(
        unsigned(at.hour())?,
        unsigned(at.minute())?,
        unsigned(at.second())?,
    )
}

fn from_library(at: NaiveDateTime) -> Option<DateTime> {
    let small = |number: u32| i8::try_from(number).ok();
    DateTime::new(
        i16::try_from(at.year()).ok()?,
        small(at.month())?,
        small(at.day())?,
        small(at.hour())?,
        small(at.minute())?,
        small(at.second())?,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn read(text: &str) -> Result<Recurrence, String> {
        Recurrence::read(text, date(2026, 12, 5).at(2, 30, 0, 0))
    }

    fn days(text: &str, from: DateTime, count: usize) -> Vec<String> {
        let rule = read(text).unwrap();
        let starts = rule.starts(from).filter(|at| *at >= from).take(count);
        starts.map(|at| at.strftime("%F").to_string()).collect()
    }

    #[test]
    fn rules_give_the_days_that_people_mean() {
        let from = date(2027, 1, 1).at(0, 0, 0, 0);
        let cases: [(&str, &[&str]); 8] = [
            ("FREQ=WEEKLY;BYDAY=SA", &["2027-01-02", "2027-01-09"]),
            ("freq=daily;interval=10", &["2027-01-04", "2027-01-14"]),
            (
                "FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU",
                &["2027-01-02", "2027-01-03", "2027-01-16"],
            ),
            // The Tuesday on which patches come, and the last working day.
            ("FREQ=MONTHLY;BYDAY=2TU", &["2027-01-12", "2027-02-09"]),
            (
                "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
                &["2027-01-29", "2027-02-26"],
            ),
            (
                "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
                &["2028-02-29", "2032-02-29"],
            ),
            ("RRULE:FREQ=DAILY;COUNT=29", &["2027-01-01", "2027-01-02"]),
            ("FREQ=DAILY;UNTIL=20270102", &["2027-01-01", "2027-01-02"]),
        ];
        for (text, expected) in cases {
            assert_eq!(days(text, from, expected.len()), expected, "{text}");
        }
        assert_eq!(days("FREQ=DAILY;COUNT=29", from, 9).len(), 2);
        assert_eq!(days("FREQ=DAILY;UNTIL=20270102T023000", from, 9).len(), 2);
        assert_eq!(days("FREQ=DAILY;UNTIL=20270102T022959", from, 9).len(), 1);
    }

    #[test]
    fn rules_that_are_silly_hostile_or_no_rules_are_refused_with_the_remedy() {
        for (text, says) in [
            ("", "FREQ"),
            ("BYDAY=SA", "FREQ"),
            ("FREQ=SECONDLY", "DAILY"),
            ("FREQ=MINUTELY;COUNT=5", "DAILY"),
            ("FREQ=HOURLY", "DAILY"),
            ("FREQ=SOMETIMES", "no recurrence rule"),
            ("FREQ=DAILY;COUNT=1000000", "1 to 1000"),
            ("FREQ=DAILY;COUNT=0", "1 to 1000"),
            ("FREQ=DAILY;INTERVAL=0", "1 to 366"),
            ("FREQ=DAILY;INTERVAL=99999", "1 to 366"),
            ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "keep one"),
            ("FREQ=DAILY;UNTIL=tomorrow", "20271231"),
            ("FREQ=DAILY;UNTIL=20270230", "20271231"),
            ("FREQ=DAILY;BYHOUR=2,14", "second window"),
            ("FREQ=DAILY;BYEASTER=1", "none of"),
            ("FREQ=DAILY;FREQ=WEEKLY", "twice"),
            ("FREQ=WEEKLY;BYDAY=XX", "no recurrence rule"),
            ("FREQ=DAILY;BYMONTHDAY=", "letters"),
            ("FREQ=MONTHLY;BYMONTHDAY=40", "no recurrence rule"),
            ("FREQ=DAILY;BYWEEKNO=3", "cannot be"),
            ("FREQ", "PART=VALUE"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
        let long = format!("FREQ=YEARLY;BYYEARDAY={}", "1,".repeat(200));
        assert!(read(&long).unwrap_err().contains("at most 256"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY);)?[A-Z]{0,10}=?[-+A-Z0-9,;=]{0,40}") {
            if let Ok(rule) = read(&text) {
                let from = date(2026, 1, 1).at(0, 0, 0, 0);
                proptest::prop_assert!(rule.starts(from).take(5).is_sorted());
            }
        }

        #[test]
        fn the_days_skipped_do_not_change_those_that_follow(
            interval in 1_u16..60,
            weekly in proptest::bool::ANY,
            ahead in 0_i64..20_000,
        ) {
            let unit = if weekly { "WEEKLY;BYDAY=MO,TH,SA;WKST=SU" } else { "DAILY;BYMONTH=1,2,7" };
            let rule = read(&format!("FREQ={unit};INTERVAL={interval}")).unwrap();
            let from = rule.start.checked_add(jiff::Span::new().days(ahead)).unwrap();
            let slow = rule.starts(rule.start).filter(|at| *at >= from).take(3);
            let quick = rule.starts(from).filter(|at| *at >= from).take(3);
            proptest::prop_assert_eq!(slow.collect::<Vec<_>>(), quick.collect::<Vec<_>>());
        }
    }
}
