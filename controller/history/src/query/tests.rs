//! What must hold for answers: the same wherever the points lie, gaps as gaps, limits that are said.

use std::time::Duration;

use proptest::prelude::*;
use tidemark_model::entity::EntityKind;
use tidemark_model::{Entity, PortSpaceKey, Protocol, Timestamp};

use super::*;
use crate::compact::CompactPolicy;
use crate::fixture::{Host, Stored, answer, process, row, tcp};
use crate::{Point, Row, SeriesKey, Tier};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const START: i64 = 20_000 * DAY;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn step(ms: i64) -> Step {
    Step::Of(Duration::from_millis(ms.unsigned_abs()))
}

fn query(agg: Agg, from: i64, to: i64, step: Step) -> Query {
    Query {
        metric: Metric::InUse,
        entities: EntityFilter::default(),
        range: Window::of_ms(from, to),
        step,
        agg,
        across: None,
        group_by: GroupBy::Series,
        top: None,
        compare_offset: None,
        limits: Limits::default(),
    }
}

fn eager() -> CompactPolicy {
    CompactPolicy {
        five_minutes_after: Duration::from_secs(3_600),
        hour_after: Duration::from_secs(3_600),
        ..CompactPolicy::default()
    }
}

/// One port space's ports in use at these times.
fn one(points: &[(i64, i64)]) -> Vec<Row> {
    points
        .iter()
        .map(|(time, value)| row(START + time, Metric::InUse, &[*value]))
        .collect()
}

fn host_of(rows: &[Row]) -> Host {
    Host::new(1, "a", &[tcp()], Stored::of(rows))
}

fn values(result: &QueryResult) -> Vec<Option<f64>> {
    assert_eq!(result.series.len(), 1, "{:?}", result.series);
    result.series[0]
        .points
        .iter()
        .map(|(_, value)| *value)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Rows over two days; the same question to ten ways of storing them.
    #[test]
    fn the_answer_does_not_depend_on_where_the_points_lie(
        points in proptest::collection::vec((0..2 * DAY, -100_000i64..100_000), 1..120),
        agg in prop::sample::select(&Agg::ALL[..6]),
        step_ms in prop::sample::select(vec![MINUTE, 5 * MINUTE, 17 * MINUTE, HOUR, 6 * HOUR, DAY]),
        cut in 0..2 * DAY,
        from in 0..DAY, length in 1..2 * DAY,
    ) {
        let rows = one(&points);
        let now = at(START + 20 * DAY);
        let asked = query(agg, START + from, START + from + length, step(step_ms));
        let expected = answer(&asked, &[host_of(&rows)], now).unwrap();
        prop_assert_eq!(expected.tier, Tier::Raw);

        let (early, late): (Vec<Row>, Vec<Row>) = rows.iter().cloned().partition(|row| row.at.unix_ms() < START + cut);
        for policy in [eager(), CompactPolicy::default()] {
            for (first, second) in [(START + cut, 0), (START + 3 * DAY, 0), (START + cut, START + 3 * DAY), (0, START + 5 * DAY)] {
                let mut stored = Stored::of(&early);
                stored.compact(&policy, at(first));
                late.iter().for_each(|row| stored.append(std::slice::from_ref(row)));
                stored.compact(&policy, at(second));
                let host = Host::new(1, "a", &[tcp()], stored);
                let found = answer(&asked, &[host], now).unwrap();
                prop_assert_eq!(&found.series, &expected.series, "{:?} {:?}", found.tier, found.steps);
            }
        }
    }

    #[test]
    fn each_step_says_what_its_points_say(
        points in proptest::collection::btree_map(0..6 * HOUR, -1_000i64..1_000, 1..80),
    ) {
        let points: Vec<(i64, i64)> = points.into_iter().collect();
        for agg in &Agg::ALL[..6] {
            let result = answer(&query(*agg, START, START + 6 * HOUR, step(HOUR)), &[host_of(&one(&points))], at(START + DAY)).unwrap();
            for (index, found) in values(&result).into_iter().enumerate() {
                let from = index as i64 * HOUR;
                let inside: Vec<f64> = points.iter().filter(|(time, _)| (from..from + HOUR).contains(time)).map(|(_, value)| *value as f64).collect();
                let sum: f64 = inside.iter().sum();
                let expected = match agg {
                    Agg::Min => inside.iter().copied().reduce(f64::min),
                    Agg::Max => inside.iter().copied().reduce(f64::max),
                    Agg::Last => inside.last().copied(),
                    Agg::Sum => (!inside.is_empty()).then_some(sum),
                    Agg::Count => (!inside.is_empty()).then_some(inside.len() as f64),
                    Agg::Avg | Agg::P50 | Agg::P95 | Agg::P99 | Agg::Rate | Agg::Slope | Agg::TimeToExhaustion => (!inside.is_empty()).then(|| sum / inside.len() as f64),
                };
                prop_assert_eq!(found, expected, "{:?} in step {}", agg, index);
            }
        }
    }
}

#[test]
fn a_gap_is_a_gap_and_steps_are_aligned() {
    let rows = one(&[(0, 5), (90 * MINUTE, 7), (5 * HOUR, 9)]);
    let asked = query(Agg::Max, START + MINUTE, START + 5 * HOUR + 1, step(HOUR));
    let result = answer(&asked, &[host_of(&rows)], at(START + DAY)).unwrap();
    assert_eq!(result.steps.range, Window::of_ms(START, START + 6 * HOUR));
    assert_eq!(
        values(&result),
        [Some(5.0), Some(7.0), None, None, None, Some(9.0)]
    );
    assert_eq!(result.series[0].overall, Some(9.0));
    assert_eq!(result.series[0].points[1].0, START + HOUR);
}

#[test]
fn the_future_is_not_answered_with_gaps() {
    let asked = query(Agg::Max, START, START + 10 * HOUR, step(HOUR));
    let result = answer(&asked, &[host_of(&one(&[(0, 5)]))], at(START + 90 * MINUTE)).unwrap();
    assert_eq!(values(&result), [Some(5.0), None]);
}

#[test]
fn old_parts_come_from_coarser_tiers_and_the_step_says_so() {
    let points: Vec<(i64, i64)> = (0..3 * 288)
        .map(|index| (index * 5 * MINUTE, index))
        .collect();
    let mut stored = Stored::of(&one(&points));
    // Raw history of the three days has expired, a new day begins.
    stored.compact(&CompactPolicy::default(), at(START + 18 * DAY));
    assert!(stored.metas().iter().all(|meta| meta.tier != Tier::Raw));
    let today = 18 * DAY;
    stored.append(&one(&[(today, 4)]));
    let host = Host::new(1, "a", &[tcp()], stored);

    let asked = query(Agg::Max, START, START + 19 * DAY, step(DAY));
    let result = answer(&asked, std::slice::from_ref(&host), at(START + 19 * DAY)).unwrap();
    assert_eq!(result.tier, Tier::Hour);
    assert!(!result.is_approximate);
    let days = values(&result);
    assert_eq!(&days[..4], [Some(287.0), Some(575.0), Some(863.0), None]);
    assert_eq!(days[18], Some(4.0));

    let fine = query(Agg::Max, START, START + DAY, step(MINUTE));
    let result = answer(&fine, std::slice::from_ref(&host), at(START + 19 * DAY)).unwrap();
    assert_eq!(
        (result.tier, result.steps.step_ms),
        (Tier::FiveMinutes, 5 * MINUTE)
    );
    assert_eq!(result.steps.count, 288);
    assert_eq!(values(&result)[7], Some(7.0));

    let median = query(Agg::P95, START, START + DAY, step(HOUR));
    let result = answer(&median, &[host], at(START + 19 * DAY)).unwrap();
    assert!(result.is_approximate);
}

#[test]
fn a_slope_from_coarser_tiers_is_near_the_one_from_raw_points() {
    let points: Vec<(i64, i64)> = (0..10 * 288)
        .map(|index| (index * 5 * MINUTE, 1_000 + index * 2))
        .collect();
    let mut stored = Stored::of(&one(&points));
    stored.compact(&eager(), at(START + 40 * DAY));
    let host = Host::new(1, "a", &[tcp()], stored);
    let result = answer(
        &query(Agg::Slope, START, START + 10 * DAY, Step::Whole),
        &[host],
        at(START + 40 * DAY),
    )
    .unwrap();
    assert!(result.is_approximate);
    let slope = result.series[0].overall.unwrap();
    assert!((slope - 24.0).abs() < 0.01, "{slope}");
}

/// Hosts with a straight rise each, at different speeds, one of them falling.
fn fleet() -> Vec<Host> {
    let host = |number: u32| {
        let rise = i64::from(number) * 10 - 10;
        let rows: Vec<Row> = (0..120)
            .map(|index| {
                let mut sample = row(
                    START + index * MINUTE,
                    Metric::InUse,
                    &[5_000 + rise * index],
                );
                sample.points.push(Point {
                    key: SeriesKey::new(crate::EntityNumber::new(1), Metric::Capacity),
                    value: 16_384,
                });
                sample
            })
            .collect();
        let dc = if number.is_multiple_of(2) {
            "even"
        } else {
            "odd"
        };
        Host::new(number, dc, &[tcp()], Stored::of(&rows))
    };
    (0..8).map(host).collect()
}

#[test]
fn the_hosts_that_run_out_first_come_first() {
    let mut asked = query(Agg::TimeToExhaustion, START, START + 2 * HOUR, Step::Whole);
    asked.top = Some(3);
    let result = answer(&asked, &fleet(), at(START + 2 * HOUR)).unwrap();
    let names: Vec<&str> = result
        .series
        .iter()
        .map(|series| series.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "host-7 tcp/default",
            "host-6 tcp/default",
            "host-5 tcp/default"
        ]
    );
    assert_eq!(result.left_out, 5);
    let expected = (16_384.0 - 5_000.0 - 60.0 * 119.0) / 60.0 * 60.0;
    assert!((result.series[0].overall.unwrap() - expected).abs() < 1.0);
}

#[test]
fn hosts_are_grouped_by_label() {
    let mut asked = query(Agg::Last, START, START + 2 * HOUR, Step::Whole);
    asked.group_by = GroupBy::Label("dc".to_owned());
    asked.across = Some(Across::Sum);
    let mut hosts = fleet();
    hosts[7].info.labels.clear();
    let result = answer(&asked, &hosts, at(START + 2 * HOUR)).unwrap();
    let last = |number: i64| (5_000 + (number * 10 - 10) * 119) as f64;
    let sums: Vec<(&str, Option<f64>)> = result
        .series
        .iter()
        .map(|series| (series.name.as_str(), series.overall))
        .collect();
    assert_eq!(
        sums,
        [
            ("(none)", Some(last(7))),
            ("even", Some(last(0) + last(2) + last(4) + last(6))),
            ("odd", Some(last(1) + last(3) + last(5))),
        ]
    );
}

#[test]
fn processes_are_found_by_a_part_of_their_name_and_joined_over_hosts() {
    let rows: Vec<Row> = (0..3)
        .map(|index| row(START + index * MINUTE, Metric::Ports, &[10, 20, 5]))
        .collect();
    let entities = [
        process("w3wp.exe"),
        process("sqlservr.exe"),
        process("W3Logger.exe"),
    ];
    let hosts = [1, 2].map(|number| Host::new(number, "a", &entities, Stored::of(&rows)));
    let mut asked = query(Agg::Max, START, START + HOUR, Step::Whole);
    asked.metric = Metric::Ports;
    asked.entities.text = Some(TextMatch::from_text("w3"));
    asked.group_by = GroupBy::Entity;
    asked.across = Some(Across::Sum);
    let result = answer(&asked, &hosts, at(START + HOUR)).unwrap();
    let found: Vec<(&str, Option<f64>)> = result
        .series
        .iter()
        .map(|series| (series.name.as_str(), series.overall))
        .collect();
    assert_eq!(
        found,
        [("W3Logger.exe", Some(10.0)), ("w3wp.exe", Some(20.0))]
    );
    asked.entities.text = Some(TextMatch::from_text("=W3WP.exe"));
    asked.group_by = GroupBy::All;
    assert_eq!(
        answer(&asked, &hosts, at(START + HOUR)).unwrap().series[0].name,
        "all"
    );
    asked.entities.kind = Some(EntityKind::Service);
    assert_eq!(answer(&asked, &hosts, at(START + HOUR)).unwrap().series, []);
}

#[test]
fn entities_with_one_name_are_told_apart_and_several_numbers_of_one_are_joined() {
    let udp = Entity::PortSpace(PortSpaceKey::own(Protocol::Udp));
    let in_udp = Entity::Process {
        space: PortSpaceKey::own(Protocol::Udp),
        name: "dns.exe".into(),
    };
    // The process over TCP was forgotten and got the number 4 later.
    let entities = [process("dns.exe"), in_udp, udp, process("dns.exe")];
    let early = row(START, Metric::Ports, &[1, 2]);
    let mut late = row(START + HOUR, Metric::Ports, &[7]);
    late.points[0].key.entity = crate::EntityNumber::new(4);
    let host = Host::new(1, "a", &entities, Stored::of(&[early, late]));
    let mut asked = query(Agg::Max, START, START + 2 * HOUR, step(HOUR));
    asked.metric = Metric::Ports;
    let result = answer(&asked, &[host], at(START + DAY)).unwrap();
    let found: Vec<(&str, Vec<Option<f64>>)> = result
        .series
        .iter()
        .map(|series| {
            (
                series.name.as_str(),
                series.points.iter().map(|(_, value)| *value).collect(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("dns.exe (tcp/default)", vec![Some(1.0), Some(7.0)]),
            ("dns.exe (udp/default)", vec![Some(2.0), None]),
        ]
    );
}

#[test]
fn a_period_is_compared_with_the_one_before() {
    let rows = one(&[(0, 10), (HOUR, 20), (DAY, 30), (DAY + HOUR, 50)]);
    let mut asked = query(Agg::Max, START + DAY, START + DAY + 2 * HOUR, step(HOUR));
    asked.compare_offset = Some(Duration::from_secs(86_400));
    for compacted_at in [0, START + 4 * DAY] {
        let mut stored = Stored::of(&rows);
        stored.compact(&eager(), at(compacted_at));
        let host = Host::new(1, "a", &[tcp()], stored);
        let result = answer(&asked, &[host], at(START + 4 * DAY)).unwrap();
        let view = result.into_view();
        let series = &view.series[0];
        assert_eq!(
            series.points,
            [(START + DAY, Some(30.0)), (START + DAY + HOUR, Some(50.0))]
        );
        let before = series.points_before.as_ref().unwrap();
        assert_eq!(
            before,
            &[(START + DAY, Some(10.0)), (START + DAY + HOUR, Some(20.0))]
        );
        assert_eq!(
            (series.overall, series.overall_before),
            (Some(50.0), Some(20.0))
        );
    }
}

#[test]
fn limits_name_themselves_and_the_remedy() {
    let mut asked = query(Agg::Max, START, START + 2 * HOUR, step(MINUTE));
    asked.limits.points_max = 300;
    let message = answer(&asked, &fleet(), at(START + DAY))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("points_max") && message.contains("larger step"),
        "{message}"
    );
    asked.limits.points_max = 10;
    let message = answer(&asked, &fleet(), at(START + DAY))
        .unwrap_err()
        .to_string();
    assert!(message.contains("use a step of"), "{message}");
    asked.limits = Limits {
        points_read_max: 500,
        ..Limits::default()
    };
    let message = answer(&asked, &fleet(), at(START + DAY))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("points_read_max") && message.contains("shorter range"),
        "{message}"
    );
    asked.limits = Limits {
        series_max: 5,
        ..Limits::default()
    };
    let result = answer(&asked, &fleet(), at(START + DAY)).unwrap();
    assert_eq!((result.series.len(), result.left_out), (5, 3));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let asked = |metric, agg, offset| Query {
        metric,
        compare_offset: offset,
        ..query(agg, START, START + HOUR, Step::Auto)
    };
    let refused = |query: Query| answer(&query, &fleet(), at(START + DAY)).unwrap_err();
    let handles = asked(Metric::Handles, Agg::TimeToExhaustion, None);
    assert!(matches!(
        refused(handles),
        QueryError::NotOfThisMetric { .. }
    ));
    let no_offset = asked(Metric::InUse, Agg::Max, Some(Duration::ZERO));
    assert!(matches!(refused(no_offset), QueryError::ZeroOffset));
    assert_eq!(
        refused(query(Agg::Max, START, START, Step::Auto)).code(),
        ErrorCode::InvalidArgument
    );
}
