//! A host as it was at a minute of its past: who held its ports, where they led and in which states, from history as far as
//! it is kept. What history does not keep is said to be unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use tidemark_history::query::{Agg, EntityFilter, GroupBy, Limits, Query, Step};
use tidemark_history::{Tier, Window};
use tidemark_model::entity::EntityKind;
use tidemark_model::tcp::TcpState;
use tidemark_model::{Entity, HostId, Metric, PortSpaceKey, Timestamp};

use crate::api::problem::Answer;
use crate::app::App;
use crate::web::words;

/// Lines of a table; the rest is counted.
const ROWS_MAX: usize = 20;

/// How far back from the minute its figures may lie, tried one after the other: a few samples, then what coarser history
/// keeps.
const REACHES: [Duration; 3] = [
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(7_200),
];

/// How far one step of the keys goes, and one of the longer ones, in milliseconds.
const STEP_MS: i64 = 60_000;
const LEAP_MS: i64 = 600_000;

/// The host at that minute.
#[derive(Template)]
#[template(path = "then.html")]
pub(super) struct Then {
    at_ms: i64,
    at: String,
    ago: String,
    /// How exact it is; empty when nothing is known of that time.
    source: String,
    figures: Vec<(&'static str, Option<String>)>,
    owners: Vec<Vec<Option<String>>>,
    owners_left_out: usize,
    destinations: Vec<Vec<Option<String>>>,
    destinations_left_out: usize,
    states: Vec<(String, String)>,
    links: Links,
}

/// Addresses of the minutes beside, and of the present.
struct Links {
    leap_back: String,
    back: String,
    on: Option<String>,
    leap_on: Option<String>,
    live: String,
}

/// Which host and port space, and when.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) host: HostId,
    pub(super) space: &'a PortSpaceKey,
    pub(super) at: Timestamp,
}

impl Then {
    /// The host as it was, and the addresses of what lies beside; `rest` is what else stands in the address.
    pub(super) async fn of(app: &App, moment: Moment<'_>, rest: &str) -> Answer<Self> {
        let now = app.clock.now();
        let at_ms = moment.at.unix_ms();
        let mut then = Self {
            at_ms,
            at: words::utc(moment.at),
            ago: words::relative(moment.at, now),
            source: String::new(),
            figures: Vec::new(),
            owners: Vec::new(),
            owners_left_out: 0,
            destinations: Vec::new(),
            destinations_left_out: 0,
            states: Vec::new(),
            links: Links::of(moment, rest, now),
        };
        for reach in REACHES {
            let reading = Reading { app, moment, reach };
            let in_use = reading.values(Metric::InUse, EntityKind::PortSpace).await?;
            if in_use.values.is_empty() {
                continue;
            }
            then.source = source_words(in_use.tier, reach);
            then.fill(&reading).await?;
            break;
        }
        Ok(then)
    }

    async fn fill(&mut self, reading: &Reading<'_>) -> Answer<()> {
        let figures = [
            ("in use", Metric::InUse),
            ("capacity", Metric::Capacity),
            ("strong", Metric::Strong),
            ("TIME_WAIT alone", Metric::TimeWait),
            ("bound, unconnected", Metric::Bound),
            ("without owner", Metric::WithoutOwner),
        ];
        for (name, metric) in figures {
            let found = reading.values(metric, EntityKind::PortSpace).await?;
            let value = found.values.into_values().next();
            self.figures.push((name, value.map(count)));
        }
        let of_processes = [
            Metric::Ports,
            Metric::PortsBound,
            Metric::CloseWait,
            Metric::Sockets,
            Metric::Handles,
        ];
        let mut owners = reading.table(&of_processes, EntityKind::Process).await?;
        self.owners_left_out = owners.len().saturating_sub(ROWS_MAX);
        owners.truncate(ROWS_MAX);
        let others = reading.table(&of_processes, EntityKind::OtherProcesses);
        owners.extend(others.await?);
        self.owners = owners;
        let of_destinations = [Metric::Ports, Metric::PortsTimeWait];
        let mut destinations = reading
            .table(&of_destinations, EntityKind::Destination)
            .await?;
        self.destinations_left_out = destinations.len().saturating_sub(ROWS_MAX);
        destinations.truncate(ROWS_MAX);
        self.destinations = destinations;
        for state in TcpState::ALL {
            let metric = Metric::of_state(state);
            let found = reading.values(metric, EntityKind::PortSpace).await?;
            let sockets = found
                .values
                .into_values()
                .next()
                .filter(|sockets| *sockets > 0.0);
            if let Some(sockets) = sockets {
                self.states
                    .push((state.as_str().to_uppercase(), count(sockets)));
            }
        }
        Ok(())
    }
}

/// What is read of history around the minute.
struct Reading<'a> {
    app: &'a App,
    moment: Moment<'a>,
    reach: Duration,
}

/// The last values before the minute by what they are of.
struct Values {
    tier: Tier,
    values: BTreeMap<String, f64>,
}

impl Reading<'_> {
    async fn values(&self, metric: Metric, kind: EntityKind) -> Answer<Values> {
        let query = Query {
            metric,
            entities: EntityFilter {
                kind: Some(kind),
                text: None,
                protocol: Some(self.moment.space.protocol),
                namespace: Some(self.moment.space.namespace.to_string()),
            },
            range: Window {
                from: self.moment.at.saturating_sub(self.reach),
                // A sample of that very millisecond counts.
                to: self.moment.at.saturating_add(Duration::from_millis(1)),
            },
            step: Step::Whole,
            agg: Agg::Last,
            across: None,
            group_by: GroupBy::Series,
            top: None,
            compare_offset: None,
            limits: Limits::default(),
        };
        let result = self.app.query(query, &[self.moment.host]).await?;
        let known = result.series.into_iter().filter_map(|series| {
            let name = series.entity.as_ref().map_or(series.name, name_of);
            Some((name, series.overall?))
        });
        Ok(Values {
            tier: result.tier,
            values: known.collect(),
        })
    }

    /// A line for each entity: its name and its metrics, the largest of the first metric first.
    async fn table(
        &self,
        metrics: &[Metric],
        kind: EntityKind,
    ) -> Answer<Vec<Vec<Option<String>>>> {
        let mut lines: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
        for (column, metric) in metrics.iter().enumerate() {
            for (name, value) in self.values(*metric, kind).await?.values {
                let line = lines
                    .entry(name)
                    .or_insert_with(|| vec![None; metrics.len()]);
                if let Some(cell) = line.get_mut(column) {
                    *cell = Some(value);
                }
            }
        }
        let size = |line: &[Option<f64>]| line.first().copied().flatten().unwrap_or(-1.0);
        let mut lines: Vec<_> = lines.into_iter().collect();
        lines.sort_by(|(_, one), (_, other)| size(other).total_cmp(&size(one)));
        let cells = |(name, values): (String, Vec<Option<f64>>)| {
            let values = values.into_iter().map(|value| value.map(count));
            std::iter::once(Some(name)).chain(values).collect()
        };
        Ok(lines.into_iter().map(cells).collect())
    }
}

fn name_of(entity: &Entity) -> String {
    match entity {
        Entity::Process { name, .. }
        | Entity::Service { name, .. }
        | Entity::WatchGroup { name, .. } => name.to_string(),
        Entity::Destination { address, port, .. } => {
            std::net::SocketAddr::new(*address, *port).to_string()
        }
        Entity::OtherProcesses(_) => "all others".to_owned(),
        Entity::Host | Entity::PortSpace(_) | Entity::Probe(_) => entity.to_string(),
    }
}

fn count(value: f64) -> String {
    words::count(value.max(0.0).round() as u64)
}

fn source_words(tier: Tier, reach: Duration) -> String {
    let within = words::span(i64::try_from(reach.as_millis()).unwrap_or(i64::MAX));
    match tier {
        Tier::Raw => format!("the last sample within {within} before"),
        Tier::FiveMinutes => {
            "its samples are not kept any more; the last values of five minutes".to_owned()
        }
        Tier::Hour => "its samples are not kept any more; the last values of an hour".to_owned(),
    }
}

impl Links {
    fn of(moment: Moment<'_>, rest: &str, now: Timestamp) -> Self {
        let host = moment.host;
        let at_ms = moment.at.unix_ms();
        let to = |ms: i64| format!("/hosts/{host}?{rest}&at={ms}");
        let on = |by: i64| {
            let ms = at_ms.saturating_add(by);
            (ms <= now.unix_ms()).then(|| to(ms))
        };
        Self {
            leap_back: to(at_ms.saturating_sub(LEAP_MS)),
            back: to(at_ms.saturating_sub(STEP_MS)),
            on: on(STEP_MS),
            leap_on: on(LEAP_MS),
            live: format!("/hosts/{host}?{rest}"),
        }
    }
}
