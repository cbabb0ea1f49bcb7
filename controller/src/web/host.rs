//! `/hosts/{host}`: one host.

mod audit;
mod budgets;
pub mod labels;
mod note;
mod now;
mod then;

use askama::Template;
use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use tidemark_model::view::{HostDetail, PortSpaceView};
use tidemark_model::{HostId, PortSpaceKey, Role, Timestamp};

use self::audit::Configuration;
use self::note::Note;
use self::now::Now;
use self::then::{Moment, Then};
use super::actions::{self, ActionRow};
use super::events::{EventRow, rows_of_host};
use super::standing;
use super::{Frame, for_person, page as respond};
use crate::access::Horizon;
use crate::api::audits;
use crate::api::fleet;
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::{Answer, ApiProblem};
use crate::app::App;
use crate::diagnosis;

/// Events that a host's page lists.
const EVENTS: usize = 30;

/// Ranges of the chart: name in addresses, words, milliseconds.
const RANGES: [(&str, &str, i64); 5] = [
    ("15m", "15 min", 900_000),
    ("1h", "1 h", 3_600_000),
    ("6h", "6 h", 21_600_000),
    ("24h", "24 h", 86_400_000),
    ("7d", "7 d", 604_800_000),
];

/// Which range is shown without a choice, and to begin with.
const RANGE_DEFAULT: &str = "1h";
/// See [`RANGE_DEFAULT`].
const RANGE_OF_THE_YOUNG: &str = "15m";

/// A host that enrolled less than this ago is young, in milliseconds.
const YOUNG_MS: i64 = 1_800_000;

/// How far back the first step into the past goes, in milliseconds.
const REWIND_MS: i64 = 60_000;

/// `GET /hosts/{host}`.
pub async fn page(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(host): Path<String>,
    params: Params,
) -> Response {
    for_person(host_page(&horizon, &asking, &host, params).await)
}

async fn host_page(
    horizon: &Horizon,
    asking: &Asking,
    host: &str,
    params: Params,
) -> Answer<Response> {
    let app = horizon.app();
    let params = params.only(&["space", "range", "from", "to", "at"])?;
    let id = fleet::find_host(horizon, host)?;
    let present_ms = app.clock.now().unix_ms();
    let at = params.number("at", 0..=present_ms)?;
    let detail = detail_of(app, id, host)?;
    let space = chosen(&detail, params.one("space")?);
    let usual = usual_range(&detail, space, app.clock.now());
    let wanted = params.one("range")?.unwrap_or(usual);
    let range = RANGES
        .iter()
        .find(|(name, _, _)| *name == wanted)
        .or(RANGES.iter().find(|(name, _, _)| *name == RANGE_DEFAULT))
        .copied()
        .unwrap_or(("1h", "1 h", 3_600_000));
    let tabs = tabs_of(&detail, params.one("space")?);
    let space = tabs
        .iter()
        .find(|tab| tab.is_chosen)
        .map(|tab| tab.address.clone())
        .unwrap_or_default();
    let now = Now::of(app, &detail, chosen(&detail, params.one("space")?));
    let then = match at.zip(chosen(&detail, params.one("space")?)) {
        Some((at_ms, space)) => {
            let rest = encoded(&[("space", &address_of(space)), ("range", range.0)]);
            let moment = Moment {
                host: id,
                space: &key_of(space)?,
                at: Timestamp::from_unix_ms(at_ms),
            };
            Some(Then::of(app, moment, &rest).await?)
        }
        None => None,
    };
    let found = diagnosis::findings(app, &[id], |peer| horizon.sees(peer)).await?;
    Ok(respond(&HostPage {
        frame: Frame::new("host", asking),
        can_label: asking.may(Role::Admin) && horizon.scope().is_all(),
        rewind: format!(
            "?{}&at={}",
            encoded(&[("space", &space), ("range", range.0)]),
            present_ms.saturating_sub(REWIND_MS)
        ),
        then,
        now,
        configuration: Configuration::of(audits::view_of(app, id).await?, app.clock.now()),
        notes: found
            .iter()
            .flat_map(|host| &host.findings)
            .map(Note::of)
            .collect(),
        events: rows_of_host(horizon, id, EVENTS).await?,
        actions: actions::of_host(horizon, id).await?,
        ranges: &RANGES,
        range: range.0,
        range_ms: range.2,
        space,
        tabs,
        detail,
    }))
}

/// The range that is shown without a choice: wide enough for the forecast to be seen whole, and short for a host that
/// has little history.
fn usual_range(detail: &HostDetail, space: Option<&PortSpaceView>, now: Timestamp) -> &'static str {
    let end_ms = space.and_then(|space| space.eta_hi_ms.or(space.eta_ms));
    let ahead_ms = end_ms.map_or(0, |end_ms| end_ms.saturating_sub(now.unix_ms()));
    let is_young = now.unix_ms().saturating_sub(detail.enrolled_ms) < YOUNG_MS;
    let least = if is_young {
        RANGE_OF_THE_YOUNG
    } else {
        RANGE_DEFAULT
    };
    RANGES
        .iter()
        .skip_while(|(name, _, _)| *name != least)
        .find(|(_, _, range_ms)| *range_ms >= ahead_ms)
        .map_or(least, |(name, _, _)| *name)
}

/// `GET /hosts/{host}/now`: what changes with each sample.
pub async fn now(horizon: Horizon, Path(host): Path<String>, params: Params) -> Response {
    for_person(now_part(&horizon, &host, params))
}

fn now_part(horizon: &Horizon, host: &str, params: Params) -> Answer<Response> {
    let app = horizon.app();
    let params = params.only(&["space"])?;
    let id = fleet::find_host(horizon, host)?;
    let detail = detail_of(app, id, host)?;
    let space = chosen(&detail, params.one("space")?);
    Ok(respond(&Now::of(app, &detail, space)))
}

fn detail_of(app: &App, id: HostId, host: &str) -> Answer<HostDetail> {
    let now = app.clock.now();
    let detail = app.live.read(id, |host| host.detail(now));
    Ok(detail.ok_or_else(|| fleet::HostLookupError::Unknown {
        name: host.chars().take(64).collect(),
    })?)
}

/// The name of a port space in addresses.
fn address_of(space: &PortSpaceView) -> String {
    format!("{}/{}", space.protocol, space.namespace)
}

fn key_of(space: &PortSpaceView) -> Result<PortSpaceKey, ApiProblem> {
    let protocol = space.protocol.parse().map_err(|_| {
        ApiProblem::internal(&format!("a port space of protocol {}", space.protocol))
    })?;
    Ok(PortSpaceKey {
        protocol,
        namespace: space.namespace.as_str().into(),
    })
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// The port space that an address names as `PROTOCOL/NAMESPACE`, else the one that matters most.
fn chosen<'d>(detail: &'d HostDetail, wanted: Option<&str>) -> Option<&'d PortSpaceView> {
    let named = wanted.and_then(|wanted| wanted.split_once('/'));
    let is_named = |space: &&PortSpaceView| {
        named.is_some_and(|(protocol, namespace)| {
            space.protocol == protocol && space.namespace == namespace
        })
    };
    let spaces = &detail.host.port_spaces;
    spaces
        .iter()
        .find(is_named)
        .or_else(|| standing::worst(&detail.host))
}

/// One port space in the choice of them.
struct Tab {
    /// `PROTOCOL/NAMESPACE`.
    address: String,
    name: String,
    percent: String,
    urgency: &'static str,
    is_chosen: bool,
}

fn tabs_of(detail: &HostDetail, wanted: Option<&str>) -> Vec<Tab> {
    let chosen = chosen(detail, wanted);
    let now = Timestamp::from_unix_ms(detail.host.sampled_ms.unwrap_or(0));
    let tab = |space: &PortSpaceView| Tab {
        address: address_of(space),
        name: standing::space_name(&space.protocol, &space.namespace),
        percent: super::words::percent(space.in_use, space.capacity),
        urgency: standing::urgency(space, now).as_str(),
        is_chosen: chosen == Some(space),
    };
    detail.host.port_spaces.iter().map(tab).collect()
}

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    frame: Frame,
    detail: HostDetail,
    /// Whether who looks may change the labels that the controller holds.
    can_label: bool,
    tabs: Vec<Tab>,
    space: String,
    ranges: &'static [(&'static str, &'static str, i64)],
    range: &'static str,
    range_ms: i64,
    /// Where the past begins.
    rewind: String,
    /// The host as it was, when somebody asks for that.
    then: Option<Then>,
    now: Now,
    configuration: Configuration,
    notes: Vec<Note>,
    events: Vec<EventRow>,
    actions: Vec<ActionRow>,
}
