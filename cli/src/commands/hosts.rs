//! `get hosts`: hosts with their headroom and when their ports run out.

use std::cmp::Ordering;

use serde::{Serialize, Serializer};
use tidemark_model::Timestamp;
use tidemark_model::view::{HostView, PortSpaceView};

use super::Ctx;
use super::show::show;
use crate::api::Query;
use crate::args::{HostsArgs, Label, Order};
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::{Report, Screen, standing, words};

/// Lists the hosts that are wanted.
pub async fn list(ctx: &Ctx<'_>, wanted: &HostsArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let rows = if wanted.all_spaces {
        Rows::EverySpace
    } else {
        Rows::WorstSpace
    };
    show(ctx, async || {
        let mut hosts = api.hosts(query(wanted)).await?;
        sort(&mut hosts, wanted.sort);
        Ok(HostList { hosts, rows })
    })
    .await
}

fn query(wanted: &HostsArgs) -> Query {
    let mut query = Query::new();
    query.extend(wanted.text.clone().map(|text| ("text", text)));
    query.extend(
        wanted
            .state
            .map(|state| ("state", state.as_str().to_owned())),
    );
    query.extend(label_query(&wanted.labels));
    query
}

/// Labels as parameters of a query.
pub fn label_query(labels: &[Label]) -> impl Iterator<Item = (&'static str, String)> {
    labels
        .iter()
        .map(|Label { key, value }| ("label", format!("{key}={value}")))
}

/// Puts hosts into `order`; what is equal stays by name.
pub fn sort(hosts: &mut [HostView], order: Order) {
    hosts.sort_by(|left, right| compare(left, right, order));
}

/// Which host comes first. Hosts of which nothing is known come last.
pub fn compare(left: &HostView, right: &HostView, order: Order) -> Ordering {
    let first = match order {
        Order::Eta => by_space(left, right, standing::worse),
        Order::Headroom => by_space(left, right, standing::fuller),
        Order::Name => Ordering::Equal,
    };
    first
        .then_with(|| left.name.cmp(&right.name))
        .then_with(|| left.id.cmp(&right.id))
}

fn by_space(
    left: &HostView,
    right: &HostView,
    order: impl Fn(&PortSpaceView, &PortSpaceView) -> Ordering,
) -> Ordering {
    let left = left
        .port_spaces
        .iter()
        .min_by(|one, other| order(one, other));
    let right = right
        .port_spaces
        .iter()
        .min_by(|one, other| order(one, other));
    match (left, right) {
        (Some(left), Some(right)) => order(left, right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// How many rows a host has in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// One, with its worst port space.
    WorstSpace,
    /// One for every port space.
    EverySpace,
}

/// A list of hosts.
#[derive(Debug)]
pub struct HostList {
    /// The hosts, in order.
    pub hosts: Vec<HostView>,
    /// How the table shows them.
    pub rows: Rows,
}

/// A plain array of hosts, which scripts rely on.
impl Serialize for HostList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.hosts.serialize(to)
    }
}

impl Report for HostList {
    fn table(&self, screen: &Screen) -> String {
        if self.hosts.is_empty() {
            return "No hosts. Add one: tidemark token create\n".to_owned();
        }
        // A fleet without windows has no use for their column.
        let has_windows = self.hosts.iter().any(|host| host.window.is_some());
        let mut columns = vec![
            ("NAME", Align::Left),
            ("STATE", Align::Whole),
            ("SPACE", Align::Left),
            ("IN USE", Align::Right),
            ("CAPACITY", Align::Right),
            ("USED", Align::Right),
            ("RUNS OUT", Align::Whole),
            ("CULPRIT", Align::Left),
            ("SEEN", Align::Whole),
        ];
        columns.extend(has_windows.then_some(("WINDOW", Align::Left)));
        let mut table = Table::new(&columns);
        for host in &self.hosts {
            let spaces: Vec<&PortSpaceView> = match self.rows {
                Rows::WorstSpace => standing::worst(host).into_iter().collect(),
                Rows::EverySpace => host.port_spaces.iter().collect(),
            };
            let window = || has_windows.then(|| window_cell(host, screen.now));
            if spaces.is_empty() {
                let cells = row(host, None, screen.now).into_iter();
                table.row(cells.chain(window()));
            }
            for space in spaces {
                let cells = row(host, Some(space), screen.now).into_iter();
                table.row(cells.chain(window()));
            }
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.hosts.iter().flat_map(|host| {
            let known = host
                .port_spaces
                .iter()
                .map(|space| sheet_row(host, Some(space)));
            known.chain(host.port_spaces.is_empty().then(|| sheet_row(host, None)))
        });
        Sheet {
            header: vec![
                "id",
                "name",
                "os",
                "state",
                "last_seen_ms",
                "protocol",
                "namespace",
                "capacity",
                "in_use",
                "strong",
                "bound",
                "time_wait",
                "quality",
                "eta_ms",
                "eta_lo_ms",
                "eta_hi_ms",
                "road",
                "culprit",
                "floor_ports_per_hour",
                "time_zone",
                "window",
                "window_starts_ms",
                "window_ends_ms",
                "window_survives",
            ],
            rows: rows.collect(),
        }
    }
}

fn row(host: &HostView, space: Option<&PortSpaceView>, now: Timestamp) -> Vec<Cell> {
    let seen = host
        .last_seen_ms
        .map_or_else(|| "never".to_owned(), |at_ms| words::relative(at_ms, now));
    let mut cells = vec![
        Cell::from(host.name.as_str()),
        Cell::toned(
            standing::state_word(&host.state),
            standing::state_tone(&host.state),
        ),
    ];
    cells.extend(match space {
        Some(space) => space_cells(space, now),
        None => std::array::from_fn(|_| Cell::toned("?", Tone::Muted)),
    });
    cells.push(Cell::toned(seen, Tone::Muted));
    cells
}

fn space_cells(space: &PortSpaceView, now: Timestamp) -> [Cell; 6] {
    let urgency = standing::urgency(space, now);
    let estimated = if space.quality == "counted" { "" } else { "~" };
    let runs_out = format!("{} {}", urgency.mark(), words::eta(space, now));
    [
        Cell::from(standing::space_name(&space.protocol, &space.namespace)),
        Cell::from(format!("{estimated}{}", space.in_use)),
        if space.capacity > 0 {
            space.capacity.into()
        } else {
            None::<u32>.into()
        },
        Cell::toned(words::percent(standing::share(space)), urgency.tone()),
        Cell::toned(runs_out.trim_end(), urgency.tone()),
        Cell::from(space.culprit.as_deref().unwrap_or("-")),
    ]
}

fn window_cell(host: &HostView, now: Timestamp) -> Cell {
    let Some(window) = &host.window else {
        return Cell::toned("-", Tone::Muted);
    };
    let tone = match window.survives.as_deref() {
        Some("will_not") => Tone::Bad,
        Some("may") => Tone::Watch,
        Some(_) => Tone::Plain,
        None => Tone::Muted,
    };
    Cell::toned(words::window(window, now), tone)
}

fn sheet_row(host: &HostView, space: Option<&PortSpaceView>) -> Vec<Value> {
    let mut row = vec![
        Value::text(&host.id),
        Value::text(&host.name),
        Value::text(&host.os),
        Value::text(&host.state),
        Value::maybe(host.last_seen_ms),
    ];
    match space {
        Some(space) => row.extend([
            Value::text(&space.protocol),
            Value::text(&space.namespace),
            Value::number(space.capacity),
            Value::number(space.in_use),
            Value::number(space.strong),
            Value::maybe(space.bound),
            Value::number(space.time_wait),
            Value::text(&space.quality),
            Value::maybe(space.eta_ms),
            Value::maybe(space.eta_lo_ms),
            Value::maybe(space.eta_hi_ms),
            Value::maybe_text(space.road.as_deref()),
            Value::maybe_text(space.culprit.as_deref()),
            Value::maybe(space.floor_ports_per_hour),
        ]),
        None => row.extend(std::iter::repeat_n(Value::Unknown, 14)),
    }
    let window = host.window.as_ref();
    row.extend([
        Value::maybe_text(host.time_zone.as_deref()),
        Value::maybe_text(window.map(|window| window.name.as_str())),
        Value::maybe(window.map(|window| window.starts_ms)),
        Value::maybe(window.map(|window| window.ends_ms)),
        Value::maybe_text(window.and_then(|window| window.survives.as_deref())),
    ]);
    row
}
