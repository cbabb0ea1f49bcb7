//! Tests of charts: what a reader sees.

use jiff::tz::TimeZone;
use proptest::prelude::*;
use tidemark_model::Timestamp;

use super::*;
use crate::render::paint::Paint;

const FROM: i64 = 1_795_402_800_000;
const MINUTE: i64 = 60_000;

fn screen() -> Screen {
    Screen {
        width: Some(72),
        height: Some(19),
        paint: Paint::Plain,
        zone: TimeZone::UTC,
        now: Timestamp::from_unix_ms(FROM + 60 * MINUTE),
    }
}

fn line(name: &str, value: impl Fn(i64) -> Option<f64>) -> Line {
    let points: Points = (0..60)
        .map(|minute| (FROM + minute * MINUTE, value(minute)))
        .collect();
    Line {
        name: name.to_owned(),
        remark: remark(&points, Some(0.0), "max", "ports"),
        points,
        period: Period::This,
    }
}

#[expect(clippy::cast_precision_loss, reason = "minutes of an hour")]
fn rising(minute: i64) -> Option<f64> {
    (!(20..30).contains(&minute)).then_some(300.0 + 10.0 * minute as f64)
}

fn chart(lines: Vec<Line>) -> Chart {
    Chart {
        title: "web-1 in_use".to_owned(),
        lines,
        rule: Some(Rule {
            value: 1_000.0,
            name: "capacity",
        }),
        fan: None,
        from_ms: FROM,
        to_ms: FROM + 60 * MINUTE,
        unit: "ports".to_owned(),
    }
}

#[test]
fn a_gap_is_a_gap_and_the_capacity_is_a_line() {
    insta::assert_snapshot!(chart(vec![line("web-1", rising)]).draw(&screen()));
}

#[test]
fn several_lines_are_told_apart_without_colours() {
    let drawn = chart(vec![
        line("web-1", rising),
        line("db\u{1b}[31m", |_| Some(120.0)),
    ])
    .draw(&screen());
    insta::assert_snapshot!(drawn);
}

#[test]
fn a_forecast_is_a_fan_to_the_capacity() {
    let mut chart = chart(vec![line("web-1", |_| Some(300.0))]);
    chart.to_ms = FROM + 120 * MINUTE;
    chart.fan = Some(Fan {
        start: (FROM + 60 * MINUTE, 300.0),
        earliest_ms: FROM + 75 * MINUTE,
        median_ms: FROM + 90 * MINUTE,
        latest_ms: Some(FROM + 110 * MINUTE),
        ceiling: 1_000.0,
    });
    insta::assert_snapshot!(chart.draw(&screen()));
}

#[test]
fn a_capacity_far_above_does_not_press_the_data_flat() {
    let drawn = chart(vec![line("web-1", |_| Some(5.0))]).draw(&screen());
    assert!(drawn.contains("capacity 1000, above this chart"), "{drawn}");
    assert!(!drawn.contains("─ capacity"), "{drawn}");
}

#[test]
fn values_too_small_or_large_for_a_tick_do_not_keep_the_reader_waiting() {
    for value in [f64::from_bits(1), f64::MIN_POSITIVE, f64::MAX] {
        let drawn = chart(vec![line("web-1", |_| Some(value))]).draw(&screen());
        assert!(drawn.contains("web-1"), "{drawn}");
    }
}

#[test]
fn ticks_are_round_local_times() {
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let axis = TimeAxis {
        from_ms: FROM,
        to_ms: FROM + 60 * MINUTE,
        columns: 60,
    };
    insta::assert_snapshot!(axis.draw(5, &berlin));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_data_break_a_chart(
        points in prop::collection::vec((any::<i64>(), prop::option::of(any::<f64>())), 0..30),
        from_ms in any::<i64>(), span in 0_i64..1_000_000_000_000, columns in 0_usize..300, eta in any::<i64>())
    {
        let mut chart = chart(vec![Line {
            name: "x".to_owned(), remark: String::new(), points, period: Period::Before }]);
        chart.from_ms = from_ms;
        chart.to_ms = from_ms.saturating_add(span);
        chart.fan = Some(Fan {
            start: (from_ms, 1.0), earliest_ms: eta, median_ms: eta, latest_ms: None, ceiling: 10.0 });
        let screen = Screen { width: Some(columns), ..screen() };
        let drawn = chart.draw(&screen);
        prop_assert!(drawn.lines().take(3).all(|line| width(line) <= columns.max(40)), "{}", drawn);
    }
}
