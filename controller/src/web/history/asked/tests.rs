//! Addresses that are asked, moved in time, and refused.

use super::*;

const NOW_MS: i64 = 1_795_395_959_000;

fn asked(pairs: &[(&'static str, &str)]) -> Answer<Asked> {
    let owned = pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Asked::of(Params::of_pairs(owned), Timestamp::from_unix_ms(NOW_MS))
}

#[test]
fn an_address_keeps_everything_that_was_asked_when_the_time_moves() {
    let given = [
        ("metric", "in_use"),
        ("metric", "strong"),
        ("host", "a&b=c #1"),
        ("label", "site=fra"),
        ("agg", "p95"),
        ("top", "4"),
        ("offset_ms", "604800000"),
        ("from", "1000000"),
        ("to", "3000000"),
    ];
    let asked = asked(&given).unwrap();
    let rest = "metric=in_use&metric=strong&host=a%26b%3Dc+%231&label=site%3Dfra&agg=p95&top=4&offset_ms=604800000";
    assert_eq!(
        asked.link_to_range("7d"),
        format!("/history?{rest}&range=7d")
    );
    assert_eq!(
        asked.link_earlier(),
        format!("/history?{rest}&from=0&to=2000000")
    );
    assert_eq!(
        asked.link_wider(),
        format!("/history?{rest}&from=-1000000&to=3000000")
    );
    assert_eq!(
        asked.link_narrower(),
        format!("/history?{rest}&from=2000000&to=3000000")
    );
    let without = asked.link_without_host("a&b=c #1");
    assert!(!without.contains("host="), "{without}");
    let csv = asked.api_link(Metric::Strong, "csv");
    let expected =
        "/api/v1/compare?metric=strong&from_ms=1000000&to_ms=3000000&top=4&host=a%26b%3Dc+%231";
    assert!(
        csv.starts_with(expected) && csv.ends_with("&format=csv"),
        "{csv}"
    );
}

#[test]
fn a_range_by_name_ends_now_and_is_not_moved_beyond_it() {
    let asked = asked(&[("range", "1h")]).unwrap();
    assert_eq!(asked.window(), (NOW_MS - 3_600_000, NOW_MS));
    let later = asked.link_later();
    assert!(later.ends_with(&format!("&to={NOW_MS}")), "{later}");
}

#[test]
fn what_cannot_be_is_refused_with_the_field_and_what_to_do() {
    let refusals: [(&[(&'static str, &str)], &str); 6] = [
        (
            &[("metric", "ports_in_use")],
            "metric is \"ports_in_use\"; it must be one of capacity,",
        ),
        (
            &[("range", "2h")],
            "range is \"2h\"; it must be one of 1h, 6h, 24h, 7d, 30d, 90d, 1y",
        ),
        (
            &[("from", "5"), ("to", "5")],
            "from is \"5\"; it must be before `to`",
        ),
        (&[("from", "5")], "to is missing"),
        (
            &[("range", "1y"), ("step_ms", "1000")],
            "step_ms is \"1000\"; it must be 15768001 at least",
        ),
        (
            &[("top", "25")],
            "top is \"25\"; it must be a whole number from 1 to 24",
        ),
    ];
    for (given, message) in refusals {
        let problem = asked(given).unwrap_err();
        assert!(problem.title().starts_with(message), "{}", problem.title());
    }
    let five = ["capacity", "in_use", "strong", "bound", "time_wait"];
    let five: Vec<_> = five.iter().map(|name| ("metric", *name)).collect();
    let problem = asked(&five).unwrap_err();
    assert!(
        problem.title().contains("given 4 times at most"),
        "{}",
        problem.title()
    );
}
