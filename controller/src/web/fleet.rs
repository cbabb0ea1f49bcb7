//! `/`: the fleet, what needs attention first.

use askama::Template;
use axum::Extension;
use axum::response::Response;
use tidemark_model::view::StatusView;
use tidemark_model::{HostId, Timestamp};

use super::row::Row;
use super::standing::{self, EtaWords, Urgency};
use super::{Frame, for_person, page as respond, words};
use crate::access::Horizon;
use crate::api::fleet::{HostFilter, STATES, select};
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::api::status;
use crate::live::HostLive;

/// Lines that a page holds at once; those of a larger fleet follow the scroll. A browser lays out this many at once.
pub const ROWS_MAX: usize = 200;

/// Names of the parameters of the list: the filter's, and from which line on.
const PARAMS: [&str; 4] = ["text", "state", "label", "from"];

/// `GET /`.
pub async fn page(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    for_person(fleet_page(&horizon, &asking, params).await)
}

async fn fleet_page(horizon: &Horizon, asking: &Asking, params: Params) -> Answer<Response> {
    let app = horizon.app();
    let list = List::of(horizon, params)?;
    let is_ready = status::database_answers(app).await;
    Ok(respond(&FleetPage {
        frame: Frame::new("fleet", asking),
        tiles: Tiles::of(horizon, is_ready),
        agents_address: &app.agents_address,
        states: &STATES,
        list,
    }))
}

/// `GET /fleet/rows`: the lines alone, for the filter.
pub async fn rows(horizon: Horizon, params: Params) -> Response {
    for_person(List::of(&horizon, params).map(|list| respond(&list)))
}

#[derive(Template)]
#[template(path = "fleet.html")]
struct FleetPage<'a> {
    frame: Frame,
    tiles: Tiles,
    agents_address: &'a str,
    states: &'static [&'static str],
    list: List,
}

/// The lines that a filter leaves.
#[derive(Template)]
#[template(path = "rows.html")]
struct List {
    text: String,
    state: String,
    rows: Vec<Row>,
    /// Lines before the first of these.
    from: usize,
    /// The filter, as it stands in addresses.
    query: String,
    /// Hosts that pass the filter.
    found: usize,
    /// Hosts of the fleet, or of the caller's scope.
    total: usize,
}

impl List {
    fn of(horizon: &Horizon, params: Params) -> Answer<Self> {
        let app = horizon.app();
        let params = params.only(&PARAMS)?;
        let from = params.number("from", 0..=u32::MAX as usize)?.unwrap_or(0);
        let filter = HostFilter::of(&params)?;
        let now = app.clock.now();
        let place = |host: &HostLive| {
            let view = host.view(now);
            (standing::rank(&view, now), view.name.to_lowercase())
        };
        let mut hosts: Vec<((i64, String), HostId)> = select(horizon, &filter, place);
        hosts.sort_unstable();
        let found = hosts.len();
        let from = from.min(found.saturating_sub(1));
        let shown = hosts.iter().skip(from).take(ROWS_MAX);
        Ok(Self {
            from,
            query: filter_query(&params),
            text: params.one("text")?.unwrap_or_default().to_owned(),
            state: params.many("state").next().unwrap_or_default().to_owned(),
            rows: shown.filter_map(|(_, id)| Row::of(horizon, *id)).collect(),
            found,
            total: if filter.is_empty() {
                found
            } else {
                horizon.count()
            },
        })
    }
}

impl List {
    /// Hosts after the last of these.
    fn after(&self) -> usize {
        self.found.saturating_sub(self.from + self.rows.len())
    }

    fn next(&self) -> usize {
        self.from + self.rows.len()
    }

    fn previous(&self) -> usize {
        self.from.saturating_sub(ROWS_MAX)
    }
}

fn filter_query(params: &Params) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in HostFilter::PARAMS {
        for value in params.many(name) {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// The fleet in four figures.
#[derive(Clone, Debug, Template)]
#[template(path = "tiles.html")]
pub struct Tiles {
    /// The controller about itself.
    status: StatusView,
    total: u64,
    online: u64,
    silent: u64,
    /// Hosts whose ports run out, as far as the forecast sees.
    running_out: u64,
    soonest: Option<(String, EtaWords)>,
    fullest: Option<(String, String)>,
    stored: String,
    lost: String,
    is_losing: bool,
}

impl Tiles {
    /// Of the hosts that the caller sees.
    #[must_use]
    pub fn of(horizon: &Horizon, is_ready: bool) -> Self {
        let now = horizon.app().clock.now();
        let status = status::view(horizon, is_ready);
        let of_state = |state: &str| status.hosts.get(state).copied().unwrap_or(0);
        let dropped = status
            .delivery
            .dropped
            .values()
            .fold(0_u64, |sum, records| sum.saturating_add(*records));
        let mut tiles = Self {
            total: status.hosts.values().sum(),
            online: of_state("online"),
            silent: of_state("stale").saturating_add(of_state("offline")),
            running_out: 0,
            soonest: None,
            fullest: None,
            stored: words::count(status.delivery.stored),
            lost: words::count(dropped),
            is_losing: dropped > 0,
            status,
        };
        tiles.look_at_hosts(horizon, now);
        tiles
    }

    fn look_at_hosts(&mut self, horizon: &Horizon, now: Timestamp) {
        let mut soonest_ms = i64::MAX;
        let mut fullest = (0_u64, 1_u64);
        for id in horizon.hosts() {
            horizon.app().live.read(id, |host| {
                if host.state(now) == "revoked" {
                    return;
                }
                let view = host.view(now);
                let Some(worst) = standing::worst(&view) else {
                    return;
                };
                if let Some(eta_ms) = worst.eta_ms {
                    self.running_out = self.running_out.saturating_add(1);
                    if eta_ms < soonest_ms {
                        soonest_ms = eta_ms;
                        let words = EtaWords::of(Some(worst), now);
                        self.soonest = Some((view.name.clone(), words));
                    }
                }
                for space in &view.port_spaces {
                    let share = (u64::from(space.in_use), u64::from(space.capacity));
                    let is_fuller =
                        share.0.saturating_mul(fullest.1) > fullest.0.saturating_mul(share.1);
                    if share.1 > 0 && is_fuller {
                        fullest = share;
                        let percent = words::percent(space.in_use, space.capacity);
                        self.fullest = Some((view.name.clone(), percent));
                    }
                }
            });
        }
    }

    fn tone(&self) -> &'static str {
        let urgency = self.soonest.as_ref().map(|(_, eta)| eta.urgency);
        urgency.unwrap_or(Urgency::Calm).as_str()
    }
}
