//! Rule 31: the trend says that ports run out within a day.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;

use crate::View;
use crate::case::Case;
use crate::events::time;
use crate::evidence::{percent, rate};
use crate::playbook::{collect_evidence, widen_range};

/// A day.
const WARNING_MS: i64 = 24 * 3_600_000;
/// An interval wider than this many times the time that is left says little.
const WIDE: i64 = 2;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let spaces = view.spaces.iter();
    spaces
        .filter_map(|space| {
            let trend = space.trend?;
            let eta = trend.eta?;
            let left_ms = eta.at.ms_since(space.at).max(0);
            if left_ms > WARNING_MS {
                return None;
            }
            let title = format!("{} ports run out at {}", space.key, time(eta.at));
            let mut case =
                Case::new(Rule::PortsRunOut, 0.85, title)
                    .in_space(space)
                    .seen(format!(
                        "{} of the ports are in use.",
                        percent(space.level())
                    ))
                    .seen_all(trend.floor_ports_per_hour.filter(|rate| *rate > 0.0).map(
                        |per_hour| {
                            format!(
                                "What is held at quiet hours grows by {}.",
                                rate(per_hour / 60.0)
                            )
                        },
                    ))
                    .seen(if trend.explanation.is_empty() {
                        format!("The forecast's median is {}.", time(eta.at))
                    } else {
                        trend.explanation.clone()
                    })
                    .step(collect_evidence())
                    .step(widen_range(view.situation.os, space.key.protocol));
            if let Some(culprit) = &trend.culprit {
                case = case.culprit(culprit);
            }
            let is_wide = eta
                .latest
                .is_none_or(|latest| latest.ms_since(eta.earliest) > left_ms.saturating_mul(WIDE));
            if is_wide {
                case = case.weigh(0.8, "the forecast's interval is wide");
            }
            Some(case.finish())
        })
        .collect()
}
