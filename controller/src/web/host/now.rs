//! The part of a host's page that changes with each sample: level, forecast, owners, destinations, states.

use askama::Template;
use tidemark_model::Timestamp;
use tidemark_model::sample::{
    DestinationSample, OwnerCounts, OwnerSample, PortSpaceSample, ProbeOutcome, ProbeResult,
};
use tidemark_model::view::{HostDetail, PortSpaceView};

use super::budgets::BudgetTable;
use crate::app::App;
use crate::web::row::SpaceCell;
use crate::web::standing::{EtaWords, Urgency};
use crate::web::window::WindowWords;
use crate::web::words;

/// Lines of a table; the rest is summed.
const ROWS_MAX: usize = 20;

/// What a host's page shows of its newest sample: the verdict, and the parts that bear it out.
#[derive(Template)]
#[template(source = "{{ verdict|safe }}{{ parts|safe }}", ext = "html")]
pub(super) struct Now {
    pub(super) verdict: Verdict,
    pub(super) parts: Parts,
}

/// How much headroom there is and how long it lasts.
#[derive(Template)]
#[template(path = "verdict.html")]
pub(super) struct Verdict {
    state: String,
    silence: String,
    sampled: String,
    sampled_ms: Option<i64>,
    cell: Option<SpaceCell>,
    eta: EtaWords,
    forecast: ForecastCell,
    window: Option<WindowWords>,
    without_zone: String,
}

/// Who holds the ports, where they lead, in which states they are.
#[derive(Template)]
#[template(path = "parts.html")]
pub(super) struct Parts {
    id: String,
    /// `PROTOCOL/NAMESPACE`; empty before the first sample.
    address: String,
    figures: Vec<Figure>,
    owners: Vec<OwnerRow>,
    destinations: Vec<DestinationRow>,
    destinations_other: String,
    states: Vec<StateRow>,
    watch_groups: Vec<(String, String, String)>,
    budgets: BudgetTable,
    about: Vec<Figure>,
    /// What the agent sees, and by which means; `None` is unknown.
    sees: Vec<(String, Option<String>)>,
    probes: Vec<Figure>,
}

/// A name and its value; `None` is unknown.
struct Figure {
    name: &'static str,
    value: Option<String>,
}

/// The forecast in words, and in numbers for the chart.
struct ForecastCell {
    explanation: String,
    culprit: String,
    road: String,
    rate: Option<String>,
    eta_ms: Option<i64>,
    lo_ms: Option<i64>,
    hi_ms: Option<i64>,
    in_use: u32,
    strong: u32,
    capacity: u32,
    urgency: &'static str,
}

struct OwnerRow {
    name: String,
    pid: String,
    service: String,
    executable: String,
    ports: String,
    bound: String,
    close_wait: String,
    sockets: String,
    handles: Option<String>,
    /// Its share of the ports in use, 0 to 100.
    share: f64,
}

struct DestinationRow {
    remote: String,
    local: String,
    ports: String,
    time_wait: String,
    /// Its share of the ports in use, 0 to 100.
    share: f64,
}

struct StateRow {
    name: String,
    v4: String,
    v6: String,
}

impl Now {
    pub(super) fn of(app: &App, detail: &HostDetail, space: Option<&PortSpaceView>) -> Self {
        let now = app.clock.now();
        let host = &detail.host;
        let sample = detail.sample.as_ref();
        let sampled = sample.zip(space).and_then(|(sample, space)| {
            sample.port_spaces.iter().find(|one| {
                one.key.protocol.as_str() == space.protocol
                    && *one.key.namespace == *space.namespace
            })
        });
        Self {
            verdict: Verdict::of(detail, space, now),
            parts: Parts {
                id: host.id.clone(),
                address: space
                    .map(|space| format!("{}/{}", space.protocol, space.namespace))
                    .unwrap_or_default(),
                figures: space
                    .map(|space| figures(space, sampled))
                    .unwrap_or_default(),
                owners: sampled.map(owners).unwrap_or_default(),
                destinations: sampled.map(destinations).unwrap_or_default(),
                destinations_other: sampled
                    .filter(|one| one.destinations_other_ports > 0)
                    .map(|one| words::count(one.destinations_other_ports))
                    .unwrap_or_default(),
                states: sampled.map(states).unwrap_or_default(),
                watch_groups: sampled.map(watch_groups).unwrap_or_default(),
                budgets: BudgetTable::of(app, &host.id, now),
                about: about(detail, now),
                sees: sees(detail),
                probes: sample
                    .map(|sample| sample.probes.iter().map(probe).collect())
                    .unwrap_or_default(),
            },
        }
    }
}

impl Verdict {
    fn of(detail: &HostDetail, space: Option<&PortSpaceView>, now: Timestamp) -> Self {
        let host = &detail.host;
        let ago = |at_ms: i64| words::span(now.unix_ms().saturating_sub(at_ms));
        Self {
            state: host.state.clone(),
            silence: host
                .last_seen_ms
                .filter(|_| host.state != "online")
                .map(|at_ms| format!("last heard {} ago", ago(at_ms)))
                .unwrap_or_default(),
            sampled: host
                .sampled_ms
                .map(|at_ms| words::moment(Timestamp::from_unix_ms(at_ms), now))
                .unwrap_or_default(),
            sampled_ms: host.sampled_ms,
            cell: space.map(|space| SpaceCell::new(space, &[])),
            eta: EtaWords::of(space, now),
            forecast: ForecastCell::of(space, now),
            window: host
                .window
                .as_ref()
                .map(|window| WindowWords::of(window, now)),
            without_zone: host.windows_without_zone.join(", "),
        }
    }
}

impl ForecastCell {
    fn of(space: Option<&PortSpaceView>, now: Timestamp) -> Self {
        let Some(space) = space else {
            return Self {
                explanation: "This host has not sent a sample yet.".to_owned(),
                culprit: String::new(),
                road: String::new(),
                rate: None,
                eta_ms: None,
                lo_ms: None,
                hi_ms: None,
                in_use: 0,
                strong: 0,
                capacity: 0,
                urgency: Urgency::Unknown.as_str(),
            };
        };
        Self {
            explanation: space.explanation.clone(),
            culprit: space.culprit.clone().unwrap_or_default(),
            road: space.road.clone().unwrap_or_default(),
            rate: words::ports_per_hour(space.floor_ports_per_hour),
            eta_ms: space.eta_ms,
            lo_ms: space.eta_lo_ms,
            hi_ms: space.eta_hi_ms,
            in_use: space.in_use,
            strong: space.strong,
            capacity: space.capacity,
            urgency: EtaWords::of(Some(space), now).urgency.as_str(),
        }
    }
}

fn figures(space: &PortSpaceView, sampled: Option<&PortSpaceSample>) -> Vec<Figure> {
    let known = |name, value: u32| Figure {
        name,
        value: Some(words::count(value)),
    };
    let mut figures = vec![
        known("in use", space.in_use),
        known("capacity", space.capacity),
        known("strong", space.strong),
        known("TIME_WAIT alone", space.time_wait),
        Figure {
            name: "bound, unconnected",
            value: space.bound.map(words::count),
        },
    ];
    if let Some(sampled) = sampled {
        figures.push(Figure {
            name: "dynamic range",
            value: Some(format!(
                "{}\u{2013}{}",
                sampled.range.first, sampled.range.last
            )),
        });
        figures.push(known("without owner", sampled.ports_without_owner));
        figures.push(Figure {
            name: "peak between samples",
            value: sampled.light.map(|light| words::count(light.max)),
        });
    }
    figures
}

fn share(ports: u32, space: &PortSpaceSample) -> f64 {
    let share = f64::from(ports) * 100.0 / f64::from(space.in_use().max(1));
    (share.min(100.0) * 10.0).round() / 10.0
}

fn owners(space: &PortSpaceSample) -> Vec<OwnerRow> {
    let row = |owner: &OwnerSample| {
        let text =
            |text: &Option<std::sync::Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        OwnerRow {
            pid: owner.process.pid.to_string(),
            service: text(&owner.process.service),
            executable: text(&owner.process.executable),
            handles: owner.handles.map(words::count),
            ..OwnerRow::of(&owner.process.name, owner.counts, space)
        }
    };
    let mut other = space.owners_other;
    for owner in space.owners.iter().skip(ROWS_MAX) {
        other.ports = other.ports.saturating_add(owner.counts.ports);
        other.bound = other.bound.saturating_add(owner.counts.bound);
        other.close_wait = other.close_wait.saturating_add(owner.counts.close_wait);
        other.sockets = other.sockets.saturating_add(owner.counts.sockets);
    }
    let mut rows: Vec<OwnerRow> = space.owners.iter().take(ROWS_MAX).map(row).collect();
    if other != OwnerCounts::default() {
        rows.push(OwnerRow::of("all others", other, space));
    }
    rows
}

impl OwnerRow {
    fn of(name: &str, counts: OwnerCounts, space: &PortSpaceSample) -> Self {
        Self {
            name: name.to_owned(),
            pid: String::new(),
            service: String::new(),
            executable: String::new(),
            ports: words::count(counts.ports),
            bound: words::count(counts.bound),
            close_wait: words::count(counts.close_wait),
            sockets: words::count(counts.sockets),
            handles: None,
            share: share(counts.ports, space),
        }
    }
}

fn destinations(space: &PortSpaceSample) -> Vec<DestinationRow> {
    let row = |destination: &DestinationSample| DestinationRow {
        remote: std::net::SocketAddr::new(destination.remote_address, destination.remote_port)
            .to_string(),
        local: destination.local_address.to_string(),
        ports: words::count(destination.ports),
        time_wait: words::count(destination.time_wait),
        share: share(destination.ports, space),
    };
    space.destinations.iter().take(ROWS_MAX).map(row).collect()
}

fn states(space: &PortSpaceSample) -> Vec<StateRow> {
    tidemark_model::tcp::TcpState::ALL
        .into_iter()
        .map(|state| {
            (
                state,
                space.states_v4.get(state),
                space.states_v6.get(state),
            )
        })
        .filter(|(_, v4, v6)| *v4 > 0 || *v6 > 0)
        .map(|(state, v4, v6)| StateRow {
            name: state.as_str().to_uppercase(),
            v4: words::count(v4),
            v6: words::count(v6),
        })
        .collect()
}

fn watch_groups(space: &PortSpaceSample) -> Vec<(String, String, String)> {
    space
        .watch_groups
        .iter()
        .map(|group| {
            (
                group.name.to_string(),
                words::count(group.connections),
                words::count(group.time_wait),
            )
        })
        .collect()
}

fn sees(detail: &HostDetail) -> Vec<(String, Option<String>)> {
    let reports = detail.capability_reports.iter();
    reports
        .map(|report| {
            let says_nothing = report.state == "unknown" && report.why.is_none();
            let value = (!says_nothing).then(|| report.sentence());
            (report.name.replace('_', " "), value)
        })
        .collect()
}

fn about(detail: &HostDetail, now: Timestamp) -> Vec<Figure> {
    let host = &detail.host;
    let sample = detail.sample.as_ref();
    let ago = |at_ms: i64| words::span(now.unix_ms().saturating_sub(at_ms));
    let delivery = &detail.delivery;
    let dropped = delivery
        .dropped
        .values()
        .fold(0_u64, |sum, one| sum.saturating_add(*one));
    let figure = |name, value| Figure { name, value };
    let rate = |rate: Option<u64>| rate.map(words::per_second);
    let rates = sample.map(|sample| sample.rates).unwrap_or_default();
    let elsewhere = detail.controller.clone();
    let elsewhere = elsewhere.map(|name| figure("connected to", Some(name)));
    let mut figures = vec![
        figure("system", Some(host.os.clone())),
        figure("time zone", host.time_zone.clone()),
        figure("up for", detail.booted_ms.map(ago)),
        figure("agent", Some(host.agent_version.clone())),
        figure(
            "clock skew",
            detail.clock_skew_ms.map(|ms| format!("{ms} ms")),
        ),
        figure(
            "certificate ends in",
            detail
                .certificate_expires_ms
                .map(|at_ms| words::span(at_ms.saturating_sub(now.unix_ms()))),
        ),
        figure("records stored", Some(words::count(delivery.stored))),
        figure("records lost", Some(words::count(dropped))),
        figure("in the agent's spool", delivery.in_spool.map(words::count)),
        figure("opens out", rate(rates.tcp_active_opens)),
        figure("opens in", rate(rates.tcp_passive_opens)),
        figure("failed opens", rate(rates.tcp_attempt_fails)),
        figure("resets", rate(rates.tcp_estab_resets)),
        figure("retransmits", rate(rates.tcp_retrans_segs)),
        figure(
            "agent's memory",
            sample.map(|sample| words::bytes(sample.cost.resident_bytes)),
        ),
        figure(
            "agent's own ports",
            sample.map(|sample| words::count(sample.cost.own_ports)),
        ),
    ];
    figures.extend(elsewhere);
    figures
}

fn probe(probe: &ProbeResult) -> Figure {
    let took = f64::from(probe.duration_us) / 1_000.0;
    let value = match probe.outcome {
        ProbeOutcome::Succeeded => match probe.value {
            Some(value) => format!("ok, {value} ({took:.1} ms)"),
            None => format!("ok ({took:.1} ms)"),
        },
        ProbeOutcome::Exhausted => "no port to be had".to_owned(),
        ProbeOutcome::Unsupported => "not there".to_owned(),
        ProbeOutcome::Failed(code) => format!("failed, error {code}"),
    };
    Figure {
        name: match probe.kind {
            tidemark_model::sample::ProbeKind::BindTcpV4 => "bind TCP v4",
            tidemark_model::sample::ProbeKind::BindTcpV6 => "bind TCP v6",
            tidemark_model::sample::ProbeKind::BindUdp => "bind UDP",
            tidemark_model::sample::ProbeKind::BindBurst => "bind 32 at once",
            tidemark_model::sample::ProbeKind::ConnectLoopback => "connect loopback",
            tidemark_model::sample::ProbeKind::LocalhostOrder => "localhost order",
        },
        value: Some(value),
    }
}
