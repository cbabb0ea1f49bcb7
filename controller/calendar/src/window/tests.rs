//! Windows on ordinary days, on the days on which clocks are set, and windows that cannot be.

use super::*;

/// Sat 2026-11-28 18:00 UTC.
const NOW: Timestamp = Timestamp::from_unix_ms(1_795_888_800_000);

fn spec() -> WindowSpec {
    WindowSpec {
        name: "saturday-night".to_owned(),
        description: String::new(),
        recurrence: "FREQ=WEEKLY;BYDAY=SA".to_owned(),
        start: "2026-12-05T02:30".to_owned(),
        duration: "4h".to_owned(),
        time_zone: "Europe/Vienna".to_owned(),
        exclude: vec![],
        hosts: vec!["tier=web".to_owned()],
        silences_incidents: false,
    }
}

fn daily(start: &str, zone: &str) -> Window {
    let spec = WindowSpec {
        recurrence: "FREQ=DAILY".to_owned(),
        start: start.to_owned(),
        time_zone: zone.to_owned(),
        ..spec()
    };
    Window::read(spec).unwrap()
}

fn zone(name: &str) -> Zone {
    Zone::named(name).unwrap()
}

fn walls(window: &Window, zone: &Zone, from: Timestamp, count: usize) -> Vec<String> {
    let times = window.times(zone, from).take(count);
    times.map(|one| zone.wall_words(one.start)).collect()
}

#[test]
fn a_window_comes_every_week_but_on_days_that_are_left_out() {
    let spec = WindowSpec {
        exclude: vec!["2026-12-12".to_owned(), "2026-12-24/2027-01-02".to_owned()],
        ..spec()
    };
    let window = Window::new(spec, NOW).unwrap();
    let vienna = zone("Europe/Vienna");
    assert_eq!(
        walls(&window, &vienna, NOW, 3),
        [
            "Sat 2026-12-05 02:30 +01:00",
            "Sat 2026-12-19 02:30 +01:00",
            "Sat 2027-01-09 02:30 +01:00"
        ]
    );
    let first = window.times(&vienna, NOW).next().unwrap();
    assert_eq!(first.length(), Duration::from_secs(4 * 3_600));
    for (ms, is_in) in [
        (-1, false),
        (0, true),
        (14_399_999, true),
        (14_400_000, false),
    ] {
        let at = Timestamp::from_unix_ms(first.start.unix_ms() + ms);
        assert_eq!(window.contains(&vienna, at), is_in, "{ms}");
    }
    let web = Labels::from([("tier".to_owned(), "web".to_owned())]);
    assert!(window.is_for(&web) && !window.is_for(&Labels::new()));
}

#[test]
fn on_the_days_on_which_clocks_are_set_it_comes_once_and_lasts_as_long_as_ever() {
    // Where the gap and the overlap are an hour at 02:00, half an hour, and at midnight.
    let cases = [
        (
            "Europe/Vienna",
            "02:30",
            "2027-03-28",
            "Sun 2027-03-28 03:30 +02:00",
        ),
        (
            "Europe/Vienna",
            "02:30",
            "2027-10-31",
            "Sun 2027-10-31 02:30 +02:00",
        ),
        (
            "America/New_York",
            "02:30",
            "2027-03-14",
            "Sun 2027-03-14 03:30 -04:00",
        ),
        (
            "America/New_York",
            "01:30",
            "2027-11-07",
            "Sun 2027-11-07 01:30 -04:00",
        ),
        (
            "Australia/Lord_Howe",
            "02:15",
            "2027-10-03",
            "Sun 2027-10-03 02:45 +11:00",
        ),
        (
            "Asia/Beirut",
            "00:10",
            "2027-03-28",
            "Sun 2027-03-28 01:10 +03:00",
        ),
    ];
    for (name, time, day, expected) in cases {
        let window = daily(&format!("2026-01-01T{time}"), name);
        let zone = zone(name);
        let from = zone
            .instant(format!("{day}T00:00").parse().unwrap())
            .unwrap();
        let after = |one: &Occurrence| one.start >= from;
        let first = window.times(&zone, from).find(after).unwrap();
        assert_eq!(zone.wall_words(first.start), expected);
        assert_eq!(first.length(), Duration::from_secs(4 * 3_600), "{name}");
        let next = window.times(&zone, first.start).nth(1).unwrap();
        let hours = next.start.ms_since(first.start) as f64 / 3_600_000.0;
        assert!((22.5..=25.5).contains(&hours), "{name} {day}: {hours} h");
    }
}

#[test]
fn a_day_that_a_zone_skips_brings_no_second_window() {
    // Samoa had no 30 December 2011.
    let window = daily("2011-12-01T02:30", "Pacific/Apia");
    let apia = zone("Pacific/Apia");
    let from = apia.instant("2011-12-29T12:00".parse().unwrap()).unwrap();
    assert_eq!(
        walls(&window, &apia, from, 2),
        ["Sat 2011-12-31 02:30 +14:00", "Sun 2012-01-01 02:30 +14:00"]
    );
}

#[test]
fn an_end_in_utc_is_an_instant_and_one_on_the_wall_is_each_zones_own() {
    let until = |until: &str| {
        let spec = WindowSpec {
            recurrence: format!("FREQ=DAILY;UNTIL={until}"),
            time_zone: "host-local".to_owned(),
            ..spec()
        };
        let window = Window::new(spec, NOW).unwrap();
        ["America/New_York", "Asia/Tokyo"].map(|name| window.times(&zone(name), NOW).count())
    };
    assert_eq!(until("20261210"), [6, 6]);
    // 02:30 in New York is 07:30 in UTC, in Tokyo 17:30 of the day before.
    assert_eq!(until("20261210T000000Z"), [5, 6]);
}

#[test]
fn what_runs_into_the_next_is_one_and_what_does_not_is_not() {
    let at = Timestamp::from_unix_ms;
    let times = [(0, 10), (10, 20), (15, 25), (30, 40)].map(|(start, end)| Occurrence {
        start: at(start),
        end: at(end),
    });
    for (now, until) in [(0, Some(25)), (24, Some(25)), (35, Some(40))] {
        let still = times.into_iter().filter(|one| one.end > at(now));
        assert_eq!(open_until(still, at(now)), until.map(at), "{now}");
    }
    assert_eq!(open_until([times[3]], at(27)), None);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of windows")]
fn a_window_that_cannot_be_is_refused_with_field_limit_and_remedy() {
    type Spoil = fn(&mut WindowSpec);
    let cases: [(Spoil, &str); 19] = [
        (
            |w| w.name = "Saturday Night".to_owned(),
            "name is \"Saturday Night\"; it must be 1 to 63",
        ),
        (|w| w.name = "x".repeat(64), "name is"),
        (|w| w.description = "x".repeat(501), "description has 501"),
        (
            |w| w.recurrence = "FREQ=SECONDLY".to_owned(),
            "recurrence comes more than once a day",
        ),
        (
            |w| w.recurrence = "FREQ=DAILY;COUNT=5000000".to_owned(),
            "COUNT=5000000; it must be 1 to 1000",
        ),
        (
            |w| w.recurrence = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30".to_owned(),
            "never comes",
        ),
        (
            |w| w.recurrence = "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30".to_owned(),
            "never comes",
        ),
        (
            |w| w.recurrence = "FREQ=DAILY;UNTIL=20261201".to_owned(),
            "never comes",
        ),
        (
            |w| w.exclude = vec!["2000-01-01/2099-12-31".to_owned()],
            "recurrence",
        ),
        (
            |w| w.start = "2040-01-01T02:00".to_owned(),
            "within 5 years",
        ),
        (
            |w| w.start = "2026-12-05T02:00Z".to_owned(),
            "without an offset",
        ),
        (|w| w.start = "1970-01-01T02:00".to_owned(), "from 2000 on"),
        (|w| w.duration = "4 hours".to_owned(), "5m to 7d"),
        (
            |w| w.duration = "1m".to_owned(),
            "duration is 1m; it must be 5m to 7d",
        ),
        (|w| w.duration = "8d".to_owned(), "duration is 8d"),
        (
            |w| (w.recurrence, w.duration) = ("FREQ=DAILY".to_owned(), "26h".to_owned()),
            "over before",
        ),
        (|w| w.time_zone = "Europe/Atlantis".to_owned(), "host-local"),
        (
            |w| w.exclude = vec!["26.12.2026".to_owned()],
            "exclude has \"26.12.2026\"",
        ),
        (|w| w.hosts = vec![], "host=* is every host"),
    ];
    for (spoil, says) in cases {
        let mut spoilt = spec();
        spoil(&mut spoilt);
        let refused = Window::new(spoilt, NOW).unwrap_err().to_string();
        assert!(refused.contains(says), "{says}: {refused}");
    }
    let mut spoilt = spec();
    (spoilt.name, spoilt.time_zone) = (String::new(), String::new());
    assert_eq!(
        Window::new(spoilt, NOW).unwrap_err().0.len(),
        2,
        "all is said at once"
    );
}

#[test]
fn durations_are_written_as_everywhere_or_in_iso_8601() {
    for text in ["4h", "240m", "3h60m", "PT4H", "PT240M"] {
        let spec = WindowSpec {
            duration: text.to_owned(),
            ..spec()
        };
        let window = Window::new(spec, NOW).unwrap();
        assert_eq!(window.duration(), Duration::from_secs(14_400), "{text}");
    }
    let spec = WindowSpec {
        duration: "P1D".to_owned(),
        ..spec()
    };
    assert_eq!(
        Window::new(spec, NOW).unwrap().duration(),
        Duration::from_secs(86_400)
    );
}
