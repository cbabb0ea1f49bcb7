//! `history` and `compare`: a metric over time, and beside the same time before.

mod report;

use std::time::Duration;

use tidemark_model::entity::EntityKind;
use tidemark_model::time::duration_ms;
use tidemark_model::{Metric, Timestamp};

use self::report::{Comparison, History};
use super::Ctx;
use super::hosts::label_query;
use super::show::show;
use crate::api::{Api, Query};
use crate::args::{CompareArgs, HistoryArgs, SeriesArgs};
use crate::failure::Failure;
use crate::render::chart::{LINES_MAX, Rule};
use crate::render::{Screen, standing};

/// Shows a metric over time.
pub async fn history(ctx: &Ctx<'_>, wanted: &HistoryArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || {
        let view = api
            .history(&wanted.hosts, query(wanted, &ctx.screen())?)
            .await?;
        let capacity = capacity(&api, wanted).await;
        Ok(History { view, capacity })
    })
    .await
}

/// Shows a metric beside the same time before.
pub async fn compare(ctx: &Ctx<'_>, wanted: &CompareArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let offset_ms = duration_ms(wanted.with);
    if offset_ms == 0 {
        return Err(Failure::usage("--with must be longer than 0, as in 7d"));
    }
    show(ctx, async || {
        let mut query = query(&wanted.history, &ctx.screen())?;
        query.push(("offset_ms", offset_ms.to_string()));
        let view = api.compare(&wanted.history.hosts, query).await?;
        let capacity = capacity(&api, &wanted.history).await;
        Ok(Comparison {
            view,
            capacity,
            offset_ms,
        })
    })
    .await
}

fn query(wanted: &HistoryArgs, screen: &Screen) -> Result<Query, Failure> {
    let HistoryArgs { hosts, series } = wanted;
    let to = series
        .until
        .as_ref()
        .map_or(screen.now, |until| until.at(screen.now, &screen.zone));
    let from = series.since.at(screen.now, &screen.zone);
    if from >= to {
        return Err(Failure::usage(
            "--since must be before --until, or before now",
        ));
    }
    let step = series.step.unwrap_or_else(|| round_step(to.ms_since(from)));
    if step < Duration::from_secs(1) {
        return Err(Failure::usage("--step must be 1s or more"));
    }
    let mut query: Query = vec![
        ("metric", series.metric.as_str().to_owned()),
        ("from_ms", from.unix_ms().to_string()),
        ("to_ms", to.unix_ms().to_string()),
        ("step_ms", duration_ms(step).to_string()),
        ("agg", series.agg.clone()),
        (
            "group_by",
            series
                .group_by
                .clone()
                .unwrap_or_else(|| grouping(hosts, series)),
        ),
    ];
    query.extend(series.top.map(|top| ("top", top.to_string())));
    query.extend(series.entity.clone().map(|entity| ("entity", entity)));
    query.extend(series.kind.map(|kind| ("kind", kind.as_str().to_owned())));
    query.extend(
        series
            .namespace
            .clone()
            .map(|namespace| ("namespace", namespace)),
    );
    let protocol = series.protocol.one().filter(|_| has_protocol(series));
    query.extend(protocol.map(|protocol| ("protocol", protocol.as_str().to_owned())));
    query.extend(label_query(&series.labels));
    Ok(query)
}

/// Rates, probes and the agent's cost belong to the host as a whole.
fn has_protocol(series: &SeriesArgs) -> bool {
    !matches!(
        series.kind.unwrap_or(series.metric.entity_kind()),
        EntityKind::Host | EntityKind::Probe
    )
}

/// One host is shown by its entities, many by host.
fn grouping(hosts: &[String], series: &SeriesArgs) -> String {
    let is_one_host = hosts.len() == 1 && series.labels.is_empty();
    if is_one_host { "entity" } else { "host" }.to_owned()
}

/// Steps that give about a hundred points, at round widths.
fn round_step(range_ms: i64) -> Duration {
    const ROUND_S: [u64; 14] = [
        1, 5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 10_800, 21_600, 86_400,
    ];
    let wanted = u64::try_from(range_ms / 120_000).unwrap_or(0);
    Duration::from_secs(
        ROUND_S
            .into_iter()
            .find(|step| *step >= wanted)
            .unwrap_or(86_400),
    )
}

/// The capacity to draw over a single host's ports; without one the chart has no line, which is no failure.
async fn capacity(api: &Api, wanted: &HistoryArgs) -> Option<Rule> {
    let [host] = wanted.hosts.as_slice() else {
        return None;
    };
    let of_ports = matches!(
        wanted.series.metric,
        Metric::InUse
            | Metric::Strong
            | Metric::Bound
            | Metric::TimeWait
            | Metric::InUseMin
            | Metric::InUseMax
    );
    let protocol = wanted.series.protocol.one().filter(|_| of_ports)?;
    let detail = api.host(host).await.ok()?;
    let namespace = wanted.series.namespace.as_deref();
    let mut spaces = detail.host.port_spaces.iter().filter(|space| {
        space.protocol == protocol.as_str()
            && namespace.is_none_or(|namespace| space.namespace == namespace)
    });
    let space = spaces
        .next()
        .filter(|space| standing::share(space).is_some())?;
    // Several namespaces with their own capacities have no one line.
    spaces.next().is_none().then(|| Rule {
        value: f64::from(space.capacity),
        name: "capacity",
    })
}

/// The range that a chart of a forecast looks back.
pub fn series_of_space(protocol: &str, namespace: &str, from: Timestamp, to: Timestamp) -> Query {
    vec![
        ("metric", Metric::InUse.as_str().to_owned()),
        ("from_ms", from.unix_ms().to_string()),
        ("to_ms", to.unix_ms().to_string()),
        (
            "step_ms",
            duration_ms(round_step(to.ms_since(from))).to_string(),
        ),
        ("agg", "max".to_owned()),
        ("group_by", "host".to_owned()),
        ("protocol", protocol.to_owned()),
        ("namespace", namespace.to_owned()),
        ("top", LINES_MAX.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_give_about_a_hundred_points() {
        for (range_ms, step_s) in [
            (60_000, 1),
            (3_600_000, 30),
            (86_400_000, 900),
            (14 * 86_400_000, 10_800),
        ] {
            assert_eq!(
                round_step(range_ms),
                Duration::from_secs(step_s),
                "{range_ms}"
            );
        }
    }
}
