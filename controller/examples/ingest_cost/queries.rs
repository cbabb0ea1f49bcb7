//! The three queries of the comparison with other engines: a raw day of one series, the same in steps of 5 minutes, and
//! the fleet's ten hosts that are nearest to exhaustion.

use std::time::Duration;

use tidemark_controller::app::App;
use tidemark_history::Window;
use tidemark_history::query::{Agg, EntityFilter, GroupBy, Limits, Query, Step};
use tidemark_model::{HostId, Metric, Protocol, Timestamp};
use tokio::time::Instant;

use crate::fleet::Fleet;

/// Each query runs this often; the median counts.
const RUNS: usize = 5;

/// One query and its median time.
#[derive(Debug, serde::Serialize)]
pub struct Timed {
    query: &'static str,
    median_ms: f64,
    series: usize,
    points_read: u64,
}

/// Runs them all.
pub async fn run(
    app: &App,
    fleet: &Fleet,
    start: Timestamp,
    hours: u32,
) -> anyhow::Result<Vec<Timed>> {
    let all = fleet.ids();
    let one: Vec<HostId> = all.iter().copied().take(1).collect();
    let day = Window {
        from: start,
        to: start.saturating_add(Duration::from_secs(u64::from(hours) * 3_600)),
    };
    let steps = |agg, step| Query {
        metric: Metric::InUse,
        entities: EntityFilter {
            protocol: Some(Protocol::Tcp),
            ..EntityFilter::default()
        },
        range: day,
        step,
        agg,
        across: None,
        group_by: GroupBy::Host,
        top: None,
        compare_offset: None,
        limits: Limits::default(),
    };
    let nearest = Query {
        top: Some(10),
        ..steps(Agg::TimeToExhaustion, Step::Whole)
    };
    Ok(vec![
        timed(
            app,
            "a: raw day, one series",
            &steps(Agg::Last, Step::Of(Duration::from_secs(30))),
            &one,
        )
        .await?,
        timed(
            app,
            "b: 5 min max, one series",
            &steps(Agg::Max, Step::Of(Duration::from_secs(300))),
            &one,
        )
        .await?,
        timed(
            app,
            "b: 5 min avg, one series",
            &steps(Agg::Avg, Step::Of(Duration::from_secs(300))),
            &one,
        )
        .await?,
        timed(
            app,
            "c: fleet's top 10 by time to exhaustion, from history",
            &nearest,
            &all,
        )
        .await?,
        live_top(app)?,
    ])
}

async fn timed(
    app: &App,
    name: &'static str,
    query: &Query,
    hosts: &[HostId],
) -> anyhow::Result<Timed> {
    let mut times = Vec::new();
    let mut answer = None;
    for _ in 0..RUNS {
        let began = Instant::now();
        answer = Some(app.query(query.clone(), hosts).await?);
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let answer = answer.ok_or_else(|| anyhow::anyhow!("nothing ran"))?;
    Ok(Timed {
        query: name,
        median_ms: times.get(RUNS / 2).copied().unwrap_or(0.0),
        series: answer.series.len(),
        points_read: answer.points_read,
    })
}

/// What `tidemark forecast` asks: the detectors' own dates, from live state.
fn live_top(app: &App) -> anyhow::Result<Timed> {
    let began = Instant::now();
    let now = app.clock.now();
    let mut views: Vec<_> = app
        .live
        .ids()
        .into_iter()
        .filter_map(|id| app.live.read(id, |host| host.view(now)))
        .collect();
    views.sort_by_key(|view| {
        view.port_spaces
            .iter()
            .filter_map(|space| space.eta_ms)
            .min()
            .unwrap_or(i64::MAX)
    });
    views.truncate(10);
    anyhow::ensure!(!views.is_empty(), "no host is live");
    Ok(Timed {
        query: "c: fleet's top 10 by time to exhaustion, live forecasts",
        median_ms: began.elapsed().as_secs_f64() * 1e3,
        series: views.len(),
        points_read: 0,
    })
}
