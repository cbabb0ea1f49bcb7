//! Windows in every zone of tzdata, around every time that its clocks are set: the next is later, it is not in the past, the
//! clock on the wall shows what was written unless it skips that, and being inside agrees with what comes next.

use jiff::tz::{AmbiguousOffset, TimeZone};
use tidemark_calendar::{Window, Zone};
use tidemark_model::Timestamp;
use tidemark_model::window::{Occurrence, WindowSpec};

/// Times of day that clocks skip or show twice somewhere, and one that none does.
const TIMES: [&str; 5] = ["00:10", "01:30", "02:30", "03:00", "13:37"];
const DAY_MS: i64 = 86_400_000;
/// Settings of a zone's clock that are looked at, from 2026 on: two years of daylight saving time.
const SETTINGS: usize = 4;
/// Days around each of them.
const DAYS: usize = 6;

fn daily(time: &str, zone: &str) -> Window {
    Window::read(WindowSpec {
        name: "window".to_owned(),
        description: String::new(),
        recurrence: "FREQ=DAILY".to_owned(),
        start: format!("2026-01-01T{time}"),
        duration: "90m".to_owned(),
        time_zone: zone.to_owned(),
        exclude: vec![],
        hosts: vec!["host=*".to_owned()],
        silences_incidents: false,
    })
    .unwrap()
}

/// What the clock on the wall may show when a window begins that was written for `time`.
fn check_wall(zone: &TimeZone, one: Occurrence, time: &str, place: &str) {
    let at = jiff::Timestamp::from_millisecond(one.start.unix_ms()).unwrap();
    let wall = zone.to_datetime(at);
    let written = wall
        .date()
        .to_datetime(format!("{time}:00").parse().unwrap());
    if wall == written {
        return;
    }
    let AmbiguousOffset::Gap { before, after } = zone.to_ambiguous_timestamp(written).offset()
    else {
        panic!("{place}: it begins at {wall}, and {written} is a time of that day");
    };
    let skipped = after.seconds() - before.seconds();
    let moved = written + jiff::Span::new().seconds(skipped);
    assert_eq!(wall, moved, "{place}: {written} is skipped");
}

fn check_around(zone: &Zone, rules: &TimeZone, setting: jiff::Timestamp) {
    let from = Timestamp::from_unix_ms(setting.as_millisecond() - 2 * DAY_MS);
    for time in TIMES {
        let place = format!("{} {time} around {setting}", zone.name());
        let window = daily(time, zone.name());
        let all: Vec<Occurrence> = window.times(zone, from).take(DAYS).collect();
        assert_eq!(all.len(), DAYS, "{place}");
        for (one, next) in all.iter().zip(&all[1..]) {
            assert!(one.start < next.start, "{place}: {one:?} before {next:?}");
            let apart = next.start.ms_since(one.start);
            assert!(
                (DAY_MS - 7_200_000..=DAY_MS + 7_200_000).contains(&apart),
                "{place}: {apart} ms"
            );
        }
        for one in &all {
            assert!(one.end > from, "{place}: {one:?} is in the past");
            assert_eq!(one.end.ms_since(one.start), 90 * 60_000, "{place}");
            check_wall(rules, *one, time, &place);
        }
        let edges = all.iter().flat_map(|one| [one.start, one.end]);
        let beside = edges.flat_map(|edge| [-1, 0].map(|ms| edge.unix_ms() + ms));
        let last = all[DAYS - 1].end.unix_ms() - 1;
        let between = (from.unix_ms()..last).step_by(13 * 3_600_000);
        for ms in beside.filter(|ms| *ms <= last).chain(between) {
            let at = Timestamp::from_unix_ms(ms);
            let next = window.times(zone, at).next();
            assert_eq!(
                next.as_ref(),
                all.iter().find(|one| one.end > at),
                "{place} at {ms}"
            );
            let is_in = all.iter().any(|one| one.contains(at));
            assert_eq!(window.contains(zone, at), is_in, "{place} at {ms}");
        }
    }
}

#[test]
fn in_every_zone_of_tzdata_a_window_is_right_on_the_days_on_which_clocks_are_set() {
    let begin: jiff::Timestamp = "2026-11-01T00:00Z".parse().unwrap();
    let (mut zones, mut settings) = (0, 0);
    for name in jiff::tz::db().available() {
        let zone = Zone::named(name.as_str()).unwrap_or_else(|| panic!("{name} is not known"));
        let rules = TimeZone::get(name.as_str()).unwrap();
        let mut seen = 0;
        for setting in rules.following(begin).take(SETTINGS) {
            check_around(&zone, &rules, setting.timestamp());
            seen += 1;
        }
        if seen == 0 {
            check_around(&zone, &rules, begin);
        }
        zones += 1;
        settings += seen;
    }
    assert!(
        zones > 500 && settings > 500,
        "{zones} zones, {settings} settings"
    );
}
