//! The three queries of the comparison with other engines, from day segments in memory: what is left for the database
//! is to fetch them.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_history::query::{
    self, Agg, EntityFilter, Executor, GroupBy, HostHistory, HostInfo, HostReading, Limits, Query,
    QueryResult, Step,
};
use tidemark_history::{EntityNumber, SegmentMeta, Tier, Window};
use tidemark_model::{Entity, HostId, Metric, PortSpaceKey, Protocol, Timestamp};

use crate::cpu_time;
use crate::fleet::{DAY_MS, Fleet};

/// Name, median milliseconds of CPU time and points read of each query.
pub fn measure(fleet: &Fleet, days: &[Vec<u8>], runs: u32) -> Vec<(&'static str, f64, u64)> {
    let raw = ask(Agg::Last, Step::Of(Duration::from_secs(30)));
    let avg = ask(Agg::Avg, Step::Of(Duration::from_secs(300)));
    let max = ask(Agg::Max, Step::Of(Duration::from_secs(300)));
    let mut urgent = ask(Agg::TimeToExhaustion, Step::Whole);
    urgent.top = Some(10);
    let mut fullest = ask(Agg::Max, Step::Whole);
    fullest.top = Some(10);
    let one = days.get(..1).unwrap_or_default();
    vec![
        run("(a) a raw day of one series", one, fleet, runs, &[&raw]),
        run(
            "(b) 5 min avg and max of one series over a day",
            one,
            fleet,
            runs,
            &[&avg, &max],
        ),
        run(
            "(c) fleet: top 10 by time to exhaustion over a day",
            days,
            fleet,
            runs,
            &[&urgent],
        ),
        run(
            "    fleet: top 10 by highest in_use over a day",
            days,
            fleet,
            runs,
            &[&fullest],
        ),
    ]
}

fn ask(agg: Agg, step: Step) -> Query {
    Query {
        metric: Metric::InUse,
        entities: EntityFilter::default(),
        range: Window::of_ms(0, DAY_MS),
        step,
        agg,
        across: None,
        group_by: GroupBy::Series,
        top: None,
        compare_offset: None,
        limits: Limits::default(),
    }
}

fn run(
    name: &'static str,
    days: &[Vec<u8>],
    fleet: &Fleet,
    runs: u32,
    queries: &[&Query],
) -> (&'static str, f64, u64) {
    let hosts: Vec<HostInfo> = (0..fleet.hosts)
        .map(|number| HostInfo {
            id: HostId::of_identity_spki(&number.to_le_bytes()),
            name: format!("host-{number}").into(),
            labels: BTreeMap::new(),
        })
        .collect();
    let mut points_read = 0;
    let mut took: Vec<f64> = (0..runs.max(1))
        .map(|_| {
            let start = cpu_time();
            points_read = queries
                .iter()
                .map(|query| answer(query, &hosts, days).points_read)
                .sum();
            (cpu_time() - start).as_secs_f64() * 1_000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    (
        name,
        took.get(took.len() / 2).copied().unwrap_or_default(),
        points_read,
    )
}

fn answer(query: &Query, hosts: &[HostInfo], days: &[Vec<u8>]) -> QueryResult {
    let history = |(host, day): (&HostInfo, &Vec<u8>)| HostHistory {
        host: host.id,
        recent: None,
        segments: vec![SegmentMeta {
            id: 1,
            tier: Tier::Raw,
            window: Window::of_ms(0, DAY_MS),
            bytes: day.len() as u64,
        }],
    };
    let histories: Vec<HostHistory> = hosts.iter().zip(days).map(history).collect();
    let now = Timestamp::from_unix_ms(DAY_MS);
    let plan = query::plan(query, &histories, now).expect("the query is within its limits");
    let entity = Entity::PortSpace(PortSpaceKey::own(Protocol::Tcp));
    let mut executor = Executor::new(query, &plan);
    for ((host, day), host_plan) in hosts.iter().zip(days).zip(&plan.hosts) {
        let entities = [(EntityNumber::new(1), &entity)];
        let mut reading = HostReading::new(query, &plan, host_plan, host.clone(), entities);
        reading.segment(1, day).expect("it was just written");
        executor
            .add(reading.finish())
            .expect("the query is within its limits");
    }
    executor.finish()
}
