//! `/metrics/hosts`: hosts' ports for Prometheus, as many series as a scrape asks for and no more.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use axum::http::header;
use axum::response::IntoResponse;
use tidemark_model::view::Problem;
use tidemark_model::{HostId, PortSpaceKey, Timestamp};

use super::fleet::{self, HostFilter, NamePlace};
use super::params::Params;
use super::problem::Answer;
use crate::access::Horizon;
use crate::app::App;
use crate::incidents::text::clean;
use crate::live::{HostLive, SpaceLive};

/// Hosts of one answer without `hosts`, and at most. A host has some 20 series.
const HOSTS: (usize, usize) = (2_000, 20_000);

/// Processes of a port space without `processes`, and at most.
const PROCESSES: (usize, usize) = (3, 20);

/// Longest name of a process in a label, in characters.
const NAME_CHARS_MAX: usize = 128;

/// What Prometheus says it reads.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Hosts' ports in Prometheus' text format. What is not known at this moment has no series: a host that is not online has
/// `tidemark_host_online` 0 and nothing of its ports, and a port space that nothing fills has no
/// `tidemark_port_exhaustion_eta_seconds`.
#[utoipa::path(
    get,
    path = "/metrics/hosts",
    tag = "status",
    params(
        ("text" = Option<String>, Query, description = "Part of a name, id, system, label or culprit."),
        ("state" = Option<Vec<String>>, Query, description = "Hosts in one of these states."),
        ("label" = Option<Vec<String>>, Query, description = "Hosts with all of these labels, each KEY=VALUE."),
        ("hosts" = Option<usize>, Query, description = "Hosts at most, by name; 2000 without it. What is left out is counted.", minimum = 1, maximum = 20_000),
        ("processes" = Option<usize>, Query, description = "Processes of a port space at most, those with most ports; 3 without it.", minimum = 0, maximum = 20),
    ),
    responses(
        (status = 200, description = "The exposition.", body = String, content_type = "text/plain"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn host_metrics(horizon: Horizon, params: Params) -> Answer<impl IntoResponse> {
    let params = params.only(&["text", "state", "label", "hosts", "processes"])?;
    let filter = HostFilter::of(&params)?;
    let hosts_max = params.number("hosts", 1..=HOSTS.1)?.unwrap_or(HOSTS.0);
    let processes = params
        .number("processes", 0..=PROCESSES.1)?
        .unwrap_or(PROCESSES.0);
    let mut hosts = fleet::select(&horizon, &filter, |host| NamePlace {
        name: host.profile.name.to_lowercase(),
        id: host.profile.id,
    });
    hosts.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let left_out = hosts.len().saturating_sub(hosts_max);
    hosts.truncate(hosts_max);
    let ids = hosts.into_iter().map(|(_, id)| id);
    let text = exposition(horizon.app(), ids, (processes, left_out));
    Ok(([(header::CONTENT_TYPE, TEXT)], text))
}

fn exposition(
    app: &App,
    ids: impl Iterator<Item = HostId>,
    (processes, left_out): (usize, usize),
) -> String {
    let now = app.clock.now();
    let mut families = Families::default();
    for id in ids {
        app.live
            .read(id, |host| families.add_host(host, now, processes));
    }
    families.left_out = format!("{HOSTS_LEFT_OUT} {left_out}\n");
    families.into_text()
}

/// A family's name.
const HOSTS_LEFT_OUT: &str = "tidemark_hosts_left_out";

/// Samples by family, since the samples of a family must stand together.
#[derive(Debug, Default)]
struct Families {
    info: String,
    online: String,
    sampled: String,
    range: String,
    size: String,
    excluded: String,
    used: String,
    time_wait: String,
    headroom: String,
    eta: String,
    process: String,
    left_out: String,
}

impl Families {
    fn add_host(&mut self, host: &HostLive, now: Timestamp, processes: usize) {
        let labels = host_labels(host);
        let state = host.state(now);
        let profile = &host.profile;
        let info = format!(
            "{labels},os={},agent_version={},state={}",
            quoted(&profile.os),
            quoted(&profile.agent_version),
            quoted(state)
        );
        put(&mut self.info, "tidemark_host_info", &info, 1);
        let is_online = u8::from(state == "online");
        put(&mut self.online, "tidemark_host_online", &labels, is_online);
        let Some((at, _)) = &host.newest else {
            return;
        };
        let sampled = seconds(at.unix_ms());
        put(
            &mut self.sampled,
            "tidemark_host_last_sample_timestamp_seconds",
            &labels,
            sampled,
        );
        if state != "online" {
            return;
        }
        for (key, space) in &host.spaces {
            self.add_space(&space_labels(&labels, key), space, now);
        }
        self.add_sample(host, &labels, processes);
    }

    fn add_space(&mut self, labels: &str, space: &SpaceLive, now: Timestamp) {
        let level = &space.level;
        put(
            &mut self.used,
            "tidemark_ports_used",
            labels,
            level.in_use(),
        );
        put(
            &mut self.size,
            "tidemark_ports_capacity",
            labels,
            level.capacity,
        );
        put(
            &mut self.time_wait,
            "tidemark_ports_time_wait",
            labels,
            level.time_wait,
        );
        if level.capacity > 0 {
            let free = level.capacity.saturating_sub(level.in_use());
            let ratio = f64::from(free) / f64::from(level.capacity);
            put(
                &mut self.headroom,
                "tidemark_ports_headroom_ratio",
                labels,
                ratio,
            );
        }
        let Some(eta) = space.forecast.eta else {
            return;
        };
        let bounds = [
            ("earliest", Some(eta.earliest)),
            ("median", Some(eta.at)),
            ("latest", eta.latest),
        ];
        for (bound, at) in bounds {
            let Some(at) = at else { continue };
            let left = seconds(at.ms_since(now).max(0));
            let labels = format!("{labels},bound=\"{bound}\"");
            put(
                &mut self.eta,
                "tidemark_port_exhaustion_eta_seconds",
                &labels,
                left,
            );
        }
    }

    fn add_sample(&mut self, host: &HostLive, labels: &str, processes: usize) {
        let newest = host.newest.iter();
        for space in newest.flat_map(|(_, sample)| &sample.port_spaces) {
            let labels = space_labels(labels, &space.key);
            let size = space.range.size();
            put(&mut self.range, "tidemark_ports_range_size", &labels, size);
            let excluded = size.saturating_sub(space.capacity);
            put(
                &mut self.excluded,
                "tidemark_ports_excluded",
                &labels,
                excluded,
            );
            // Processes of one name are one series: their ids would be new ones without end.
            let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
            for owner in space.owners.iter().filter(|owner| owner.counts.ports > 0) {
                let name = shortened(&owner.process.name);
                *by_name.entry(name).or_default() += u64::from(owner.counts.ports);
            }
            let mut most: Vec<_> = by_name.into_iter().collect();
            most.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
            for (name, ports) in most.into_iter().take(processes) {
                let labels = format!("{labels},process={}", quoted(&name));
                put(&mut self.process, "tidemark_process_ports", &labels, ports);
            }
        }
    }

    fn into_text(self) -> String {
        let families = [
            (
                "tidemark_host_info",
                "What a host is, and its state.",
                self.info,
            ),
            (
                "tidemark_host_online",
                "Whether a host is connected and its newest sample is fresh (1) or not (0).",
                self.online,
            ),
            (
                "tidemark_host_last_sample_timestamp_seconds",
                "When a host's newest sample was taken, on the controller's clock.",
                self.sampled,
            ),
            (
                "tidemark_ports_range_size",
                "Ports of the dynamic range.",
                self.range,
            ),
            (
                "tidemark_ports_excluded",
                "Ports of the dynamic range that are reserved or excluded.",
                self.excluded,
            ),
            (
                "tidemark_ports_capacity",
                "Ports that can be handed out.",
                self.size,
            ),
            (
                "tidemark_ports_used",
                "Ports that cannot be handed out: held in any state.",
                self.used,
            ),
            (
                "tidemark_ports_time_wait",
                "Ports held by TIME_WAIT alone.",
                self.time_wait,
            ),
            (
                "tidemark_ports_headroom_ratio",
                "Share of the ports that can still be handed out, 0 to 1.",
                self.headroom,
            ),
            (
                "tidemark_port_exhaustion_eta_seconds",
                "Time until ports run out: the median, and the bounds that it is beyond ten in a hundred times each. Absent while nothing says that they will.",
                self.eta,
            ),
            (
                "tidemark_process_ports",
                "Ports of the processes of one name that hold most.",
                self.process,
            ),
            (
                HOSTS_LEFT_OUT,
                "Hosts that this answer leaves out because of its limit.",
                self.left_out,
            ),
        ];
        let mut text = String::new();
        for (name, help, samples) in families.iter().filter(|(.., samples)| !samples.is_empty()) {
            // Writing to a String cannot fail.
            write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{samples}").ok();
        }
        text
    }
}

fn put(family: &mut String, name: &str, labels: &str, value: impl Display) {
    writeln!(family, "{name}{{{labels}}} {value}").ok();
}

fn host_labels(host: &HostLive) -> String {
    let profile = &host.profile;
    format!(
        "host={},host_id=\"{}\"",
        quoted(&clean(&profile.name)),
        profile.id
    )
}

fn space_labels(host: &str, key: &PortSpaceKey) -> String {
    format!(
        "{host},protocol=\"{}\",namespace={}",
        key.protocol.as_str(),
        quoted(&shortened(&key.namespace))
    )
}

fn shortened(name: &str) -> String {
    clean(name).chars().take(NAME_CHARS_MAX).collect()
}

/// A label's value: backslash, quote and line feed are what the format escapes.
fn quoted(value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
