//! `host_hourly`: the main metrics of each port space by the hour, as plain columns for SQL users and Grafana.

use std::collections::BTreeMap;

use tidemark_model::{Entity, Metric, PortSpaceKey, Timestamp};

use crate::table::Table;
use crate::{Bucket, EntityNumber, Tier};

/// One hour of one port space of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct HourlyRow {
    /// Start of the hour.
    pub hour: Timestamp,
    /// Which port space.
    pub space: PortSpaceKey,
    /// Samples in the hour.
    pub samples: u64,
    /// Ports that can be handed out, at the end of the hour.
    pub capacity: u32,
    /// Lowest count of ports in use, light counts between the samples included.
    pub in_use_min: u32,
    /// Mean count of ports in use over the samples.
    pub in_use_avg: f64,
    /// Highest count of ports in use, light counts between the samples included.
    pub in_use_max: u32,
    /// Ports in use at the end of the hour.
    pub in_use_last: u32,
    /// Highest count of ports held in any state but TIME_WAIT.
    pub strong_max: u32,
    /// Highest count of ports held by TIME_WAIT alone.
    pub time_wait_max: u32,
    /// Highest count of ports of bound-but-unconnected sockets alone; `None` where the system cannot tell.
    pub bound_max: Option<u32>,
}

/// The rows of every hour that `table` touches. A row is right when the table holds its whole hour: replace the stored
/// ones whenever a window of whole hours has been compacted. An hour without counts of ports in use makes no row.
pub fn hourly_rows<'a>(
    table: &Table<i64>,
    entity: impl Fn(EntityNumber) -> Option<&'a Entity>,
) -> Vec<HourlyRow> {
    let mut hours: BTreeMap<(Timestamp, &PortSpaceKey), BTreeMap<Metric, Bucket>> = BTreeMap::new();
    for (key, _) in table.series() {
        let (Some(Entity::PortSpace(space)), Some(metric)) =
            (entity(key.entity), Metric::from_code(key.metric))
        else {
            continue;
        };
        if !METRICS.contains(&metric) {
            continue;
        }
        for (time, value) in table.points(key) {
            let hour = Timestamp::from_unix_ms(time).floor_to(Tier::Hour.resolution_ms());
            hours
                .entry((hour, space))
                .or_default()
                .entry(metric)
                .and_modify(|bucket| bucket.push(value))
                .or_insert_with(|| Bucket::of(value));
        }
    }
    let rows = hours.into_iter();
    rows.filter_map(|((hour, space), buckets)| row(hour, space, &buckets))
        .collect()
}

const METRICS: [Metric; 7] = [
    Metric::Capacity,
    Metric::InUse,
    Metric::InUseMin,
    Metric::InUseMax,
    Metric::Strong,
    Metric::TimeWait,
    Metric::Bound,
];

fn row(
    hour: Timestamp,
    space: &PortSpaceKey,
    buckets: &BTreeMap<Metric, Bucket>,
) -> Option<HourlyRow> {
    let of = |metric| buckets.get(&metric);
    let in_use = of(Metric::InUse)?;
    let lowest = of(Metric::InUseMin).map_or(in_use.min, |light| light.min.min(in_use.min));
    let highest = of(Metric::InUseMax).map_or(in_use.max, |light| light.max.max(in_use.max));
    Some(HourlyRow {
        hour,
        space: space.clone(),
        samples: in_use.count,
        capacity: ports(of(Metric::Capacity)?.last),
        in_use_min: ports(lowest),
        in_use_avg: in_use.avg(),
        in_use_max: ports(highest),
        in_use_last: ports(in_use.last),
        strong_max: ports(of(Metric::Strong)?.max),
        time_wait_max: ports(of(Metric::TimeWait)?.max),
        bound_max: of(Metric::Bound).map(|bucket| ports(bucket.max)),
    })
}

/// Counts of ports come from 32-bit counts; anything else is damage that a report need not amplify.
fn ports(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
