//! One sentence for each verdict, with the figures that an operator can check by hand.
//!
//! Draws no conclusions of its own.

use std::sync::Arc;

use crate::churn::{BusyDestination, Growth};
use crate::days::{LoadGrowth, SlowLeak};
use crate::detector::Latest;
use crate::memory::Trend;
use crate::owners::{Culprit, Evidence};
use crate::rise::Rise;
use crate::wording::{count, duration, ports, rate};

/// Milliseconds in an hour.
const HOUR: f64 = 3_600_000.0;
/// Above this share of capacity the level itself is worth a word, whatever the trend says.
const HIGH_SHARE: f64 = 0.8;

fn percent(latest: &Latest) -> f64 {
    100.0 * f64::from(latest.in_use) / f64::from(latest.capacity.max(1))
}

fn level(latest: &Latest) -> String {
    let share = match percent(latest) {
        share if latest.in_use > 0 && share < 1.0 => "<1".to_owned(),
        share => format!("{share:.0}"),
    };
    format!(
        "{} of {} in use ({share} %)",
        count(f64::from(latest.in_use)),
        ports(f64::from(latest.capacity)),
    )
}

/// Nothing says that ports run out.
pub(crate) fn calm(latest: &Latest, trend: Option<&Trend>) -> String {
    let trend = match trend {
        None => "too little history for a trend".to_owned(),
        Some(trend) => format!(
            "the floor moved from {} to {} in {}",
            count(trend.from),
            count(trend.to),
            duration(trend.over_ms)
        ),
    };
    let standing = level(latest);
    if percent(latest) >= 100.0 * HIGH_SHARE {
        format!(
            "{standing}, above the {:.0} % line; {trend}, which gives no date",
            100.0 * HIGH_SHARE
        )
    } else {
        format!("{standing}; {trend}")
    }
}

/// Whose ports they are.
fn share_of(culprit: Option<&Culprit>, gain: f64) -> String {
    match culprit {
        None => "no listed process explains it".to_owned(),
        Some(Culprit {
            name,
            gain: own,
            evidence: Evidence::Ports,
            ..
        }) => format!(
            "{name} holds {} of the {} new ports",
            count(own.min(gain)),
            count(gain)
        ),
        Some(Culprit {
            name,
            gain: own,
            evidence: Evidence::Handles,
            ..
        }) => format!("the handles of {name} rose alike, by {}", count(*own)),
    }
}

/// The floor rises over hours to weeks.
pub(crate) fn slow_leak(leak: &SlowLeak, latest: &Latest, remaining_ms: f64) -> String {
    let (up, of, hours) = leak.steps;
    let (gain, over) = leak.gain;
    let who = leak.culprit.as_ref().map_or_else(
        || "no listed process explains it".to_owned(),
        |culprit| {
            let means = match culprit.evidence {
                Evidence::Ports => "ports",
                Evidence::Handles => "handles",
            };
            format!(
                "{:.0} % of it is {}, by its {means}",
                100.0 * culprit.share,
                culprit.name
            )
        },
    );
    let end = if remaining_ms.is_finite() {
        format!("they are gone in {}", duration(remaining_ms))
    } else {
        "they last for more than 45 days".to_owned()
    };
    format!(
        "the floor gains {} in {} ({}), net of the usual day, and rose in {up} of {of} steps of {}; {who}; {}; {end}",
        ports(gain),
        duration(over * HOUR),
        rate(leak.slope / HOUR),
        duration(hours * HOUR),
        level(latest),
    )
}

/// The floor rises within minutes to hours.
pub(crate) fn leak(
    rise: &Rise,
    culprit: Option<&Culprit>,
    capacity: u32,
    remaining_ms: f64,
) -> String {
    let gain = rise.gain();
    let who = share_of(culprit, gain);
    let (up, of) = rise.steps;
    format!(
        "floor rose from {} to {} ports in {} ({}), in {up} of {of} steps of {}; {who}; {} are gone in {}",
        count(rise.floor_from),
        count(rise.floor_to),
        duration(rise.to - rise.from),
        rate(rise.slope),
        duration(rise.width_ms as f64),
        ports(f64::from(capacity)),
        duration(remaining_ms),
    )
}

/// Daily peaks grow.
pub(crate) fn growth(growth: &LoadGrowth, latest: &Latest, remaining_ms: f64) -> String {
    let (from, to) = growth.peaks;
    let what = if growth.is_storm {
        "TIME_WAIT makes most of it"
    } else {
        "so does TIME_WAIT: growth of load, not a leak"
    };
    let whose = growth
        .culprit
        .as_ref()
        .map_or_else(String::new, |name| format!("; most of it is {name}"));
    format!(
        "the daily peak grew from {} to {} ports within {} days (+{} a day), and {what}{whose}; {}; the peak meets the last \
         port in {}",
        count(from),
        count(to),
        growth.days,
        count(growth.per_day),
        level(latest),
        duration(remaining_ms),
    )
}

/// TIME_WAIT outgrows the range.
pub(crate) fn churn(
    growth: &Growth,
    destination: Option<&BusyDestination>,
    latest: &Latest,
    (lifetime_ms, remaining_ms): (i64, f64),
) -> String {
    let towards = destination.map_or_else(String::new, |destination| {
        format!(
            ", {} of it towards {}",
            count(f64::from(destination.time_wait)),
            destination.remote
        )
    });
    format!(
        "TIME_WAIT grew from {} to {} ports in {} ({}){towards}; kept for {} each, it would hold {} beside {} strong, of {}; \
         they are gone in {}",
        count(growth.before),
        count(f64::from(latest.in_use.saturating_sub(latest.strong))),
        duration(growth.to - growth.from),
        rate(growth.slope),
        duration(lifetime_ms as f64),
        count(growth.plateau),
        count(f64::from(latest.strong)),
        ports(f64::from(latest.capacity)),
        duration(remaining_ms),
    )
}

/// No headroom is left.
pub(crate) fn saturated(
    latest: &Latest,
    for_ms: i64,
    refused: u64,
    largest: Option<&(Arc<str>, u32)>,
) -> String {
    let refusals = if refused > 0 {
        format!(", {} refused by the system", ports(refused as f64))
    } else {
        String::new()
    };
    let holder = largest.map_or_else(String::new, |(name, held)| {
        format!(
            "; the largest holder is {name} with {}",
            count(f64::from(*held))
        )
    });
    format!(
        "{}{refusals}, full for {}{holder}",
        level(latest),
        duration(for_ms as f64)
    )
}
