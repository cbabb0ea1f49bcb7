//! How many handles a process usually has: the median of the last seven days, from history. Looked up for the few processes
//! that a rule asks for, and remembered with the host for an hour.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tidemark_diagnose::asked_medians;
use tidemark_history::Window;
use tidemark_history::query::{Across, Agg, EntityFilter, GroupBy, Limits, Query, Step, TextMatch};
use tidemark_model::entity::EntityKind;
use tidemark_model::{HostId, Metric, Protocol, Timestamp};
use tidemark_store::StoreError;

use crate::app::App;
use crate::gateway::outcome::chain;
use crate::query::HistoryError;

/// What counts as usual.
const REACH: Duration = Duration::from_secs(7 * 86_400);
const HOUR: Duration = Duration::from_secs(3_600);
/// With fewer hours than a day has, nobody knows what is usual.
const HOURS_LEAST: usize = 24;
/// Images of one host that are looked up; the first by name.
const IMAGES_MAX: usize = 8;
/// A median of a week moves slowly.
const REMEMBERED: Duration = HOUR;

/// What was looked up of a host, and when; `None` where history is too short to tell.
#[derive(Clone, Debug, Default)]
pub struct HandleMedians {
    by_image: BTreeMap<Arc<str>, (Timestamp, Option<u32>)>,
}

/// The medians that are known of what a rule asks for of this host's newest sample.
pub(super) async fn of_host(
    app: &App,
    host: HostId,
) -> Result<BTreeMap<Arc<str>, u32>, StoreError> {
    let asked = app.live.read(host, |live| {
        let (_, newest) = live.newest.as_ref()?;
        let asked = asked_medians(newest);
        (!asked.is_empty()).then(|| (asked, live.handle_medians.clone()))
    });
    let Some((asked, mut remembered)) = asked.flatten() else {
        return Ok(BTreeMap::new());
    };
    let now = app.clock.now();
    let since = now.saturating_sub(REMEMBERED);
    remembered
        .by_image
        .retain(|image, (at, _)| *at >= since && asked.contains(image));
    let mut is_news = false;
    for image in asked.into_iter().take(IMAGES_MAX) {
        if let Entry::Vacant(place) = remembered.by_image.entry(image) {
            let median = look_up(app, host, place.key(), now).await?;
            place.insert((now, median));
            is_news = true;
        }
    }
    let known = |(image, (_, median)): (&Arc<str>, &(Timestamp, Option<u32>))| {
        Some((Arc::clone(image), (*median)?))
    };
    let medians = remembered.by_image.iter().filter_map(known).collect();
    if is_news {
        app.live
            .update(host, |live| live.handle_medians = remembered);
    }
    Ok(medians)
}

async fn look_up(
    app: &App,
    host: HostId,
    image: &str,
    now: Timestamp,
) -> Result<Option<u32>, StoreError> {
    let query = Query {
        metric: Metric::Handles,
        entities: EntityFilter {
            kind: Some(EntityKind::Process),
            text: Some(TextMatch::Is(image.to_owned())),
            protocol: Some(Protocol::Tcp),
            namespace: None,
        },
        range: Window {
            from: now.saturating_sub(REACH),
            to: now,
        },
        step: Step::Of(HOUR),
        agg: Agg::P50,
        // In several namespaces the one with most tells what is usual.
        across: Some(Across::Max),
        group_by: GroupBy::Host,
        top: None,
        compare_offset: None,
        limits: Limits::default(),
    };
    match app.query(query, &[host]).await {
        Ok(result) => {
            let points = result.series.iter().flat_map(|series| &series.points);
            Ok(median(points.filter_map(|(_, value)| *value).collect()))
        }
        Err(HistoryError::Store(error)) => Err(error),
        Err(error @ (HistoryError::Query(_) | HistoryError::Stopping)) => {
            tracing::warn!(%host, error = chain(&error), "what handles a process usually has is not known");
            Ok(None)
        }
    }
}

/// Of the hours that are known; `None` when they are too few.
fn median(mut hours: Vec<f64>) -> Option<u32> {
    if hours.len() < HOURS_LEAST {
        return None;
    }
    hours.sort_by(f64::total_cmp);
    // Handles are counts of 32 bits.
    hours.get(hours.len() / 2).map(|middle| *middle as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_a_day_of_hours_tells_nothing() {
        assert_eq!(median(vec![500.0; HOURS_LEAST - 1]), None);
        assert_eq!(median(vec![500.0; HOURS_LEAST]), Some(500));
    }

    #[test]
    fn some_wild_hours_do_not_move_it() {
        let mut hours = vec![500.0; 20];
        hours.extend([90_000.0; 10]);
        assert_eq!(median(hours), Some(500));
    }
}
