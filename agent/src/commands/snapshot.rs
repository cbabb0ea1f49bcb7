//! `tidemark-agent snapshot`: one sample of this host, for a person at three in the morning or for a script.

mod configuration;
mod verdict;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tidemark_model::duration::format_duration;
use tidemark_model::host::CapabilityReport;
use tidemark_model::sample::{CounterRates, PortSpaceSample, ProbeOutcome, ProbeResult};
use tidemark_model::{HostAudit, HostFacts, Sample};
use tidemark_runtime::{Clock, Outcome};

use super::table::{Table, grouped, known};
use super::{OutputArgs, SettingsArgs, block_on, print};
use crate::audit::{DIGEST_TIME, Holders, Reader, Topics};
use crate::collect::Collector;
use crate::doctor::saved_snapshot;
use crate::facts;
use crate::link::failure::shown;

#[derive(Args, Clone, Debug)]
pub(super) struct SnapshotArgs {
    #[command(flatten)]
    output: OutputArgs,
    /// With how the host is configured, which takes longer on Windows.
    #[arg(long)]
    audit: bool,
    /// Time to measure rates over, 0s to 60s.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = measure_time)]
    over: Duration,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn measure_time(text: &str) -> Result<Duration, String> {
    tidemark_model::duration::parse_duration(text)
        .map_err(|error| error.to_string())
        .and_then(|over| {
            if over <= Duration::from_secs(60) {
                Ok(over)
            } else {
                Err("at most 60s".to_owned())
            }
        })
}

pub(super) fn run(args: &SnapshotArgs) -> anyhow::Result<Outcome> {
    let config = args.settings.load()?;
    let facts = facts::gather(config.labels.clone(), &config.collect);
    let collector =
        Collector::new(config.collect).context("the socket tables of this host cannot be read")?;
    let hazard = collector.hazard().map(ToString::to_string);
    let sample = block_on(take(collector, args.over))?;
    let audit = args.audit.then(|| read_configuration(&sample));
    if args.output.is_json() {
        let mut text = saved_snapshot(sample, facts, audit)?;
        text.push('\n');
        return print(&text);
    }
    let mut text = render(&facts, &sample);
    // Writing to a String cannot fail.
    if let Some(hazard) = hazard {
        writeln!(text, "\nports are probed and not counted: {hazard}").ok();
    }
    text.push_str(&render_capabilities(&facts.capabilities));
    if let Some(audit) = &audit {
        text.push_str(&configuration::render(audit));
    }
    print(&text)
}

fn read_configuration(sample: &Sample) -> HostAudit {
    let holders = Holders::default();
    holders.note(sample);
    let topics = Topics::of_system(holders, DIGEST_TIME);
    Reader::new(topics).audit(Clock::System.now())
}

/// Two samples when rates are wanted: the first one has nothing to compare with. The probes ran with the first.
async fn take(mut collector: Collector, over: Duration) -> anyhow::Result<Sample> {
    let first = collector
        .sample(Clock::System.now())
        .context("no sample could be taken")?;
    if over.is_zero() {
        return Ok(first);
    }
    tokio::time::sleep(over).await;
    let mut second = collector
        .sample(Clock::System.now())
        .context("no sample could be taken")?;
    if second.probes.is_empty() {
        second.probes = first.probes;
    }
    Ok(second)
}

fn render(facts: &HostFacts, sample: &Sample) -> String {
    let up_ms = sample.at.ms_since(sample.booted_at);
    let up = format_duration(Duration::from_millis(u64::try_from(up_ms).unwrap_or(0)));
    let mut text = format!("{}: {}, up {up}\n\n", shown(&facts.name), shown(&facts.os));
    for line in verdict::lines(sample) {
        text.push_str(&shown(&line));
        text.push('\n');
    }
    for space in &sample.port_spaces {
        text.push('\n');
        text.push_str(&render_space(space));
    }
    text.push('\n');
    text.push_str(&render_probes(&sample.probes));
    text.push_str(&render_rates(&sample.rates));
    text
}

fn render_space(space: &PortSpaceSample) -> String {
    let mut text = format!(
        "{}  ports {}, {} of {} in use ({} %), {} free\n",
        shown(&space.key.to_string()),
        space.range,
        grouped(space.in_use()),
        grouped(space.capacity),
        verdict::percent_in_use(space),
        grouped(space.headroom())
    );
    // Writing to a String cannot fail.
    writeln!(
        text,
        "  strong {} (bound alone {}), TIME_WAIT alone {}, without owner {}",
        grouped(space.strong),
        space.bound.map_or_else(|| "unknown".to_owned(), grouped),
        grouped(space.time_wait_only),
        grouped(space.ports_without_owner)
    )
    .ok();
    for (family, states) in [("v4", &space.states_v4), ("v6", &space.states_v6)] {
        let states: Vec<String> = states
            .occupied()
            .map(|(state, sockets)| format!("{} {}", state.as_str(), grouped(sockets)))
            .collect();
        if !states.is_empty() {
            writeln!(text, "  {family}: {}", states.join(", ")).ok();
        }
    }
    for table in [owners(space), destinations(space), watch_groups(space)] {
        if !table.is_empty() {
            text.push_str(&table.render(2));
        }
    }
    text
}

fn owners(space: &PortSpaceSample) -> Table {
    let mut table = Table::new(&[
        "process",
        "ports",
        "bound",
        "close_wait",
        "sockets",
        "handles",
    ]);
    for owner in &space.owners {
        let process = &owner.process;
        let service = process
            .service
            .as_ref()
            .map_or_else(String::new, |service| format!(" [{service}]"));
        let counts = owner.counts;
        table.row([
            format!("{} ({}){service}", process.name, process.pid),
            grouped(counts.ports),
            grouped(counts.bound),
            grouped(counts.close_wait),
            grouped(counts.sockets),
            known(owner.handles),
        ]);
    }
    let other = space.owners_other;
    if other.sockets > 0 {
        table.row([
            "all others".to_owned(),
            grouped(other.ports),
            grouped(other.bound),
            grouped(other.close_wait),
            grouped(other.sockets),
        ]);
    }
    table
}

fn destinations(space: &PortSpaceSample) -> Table {
    let mut table = Table::new(&["remote endpoint", "from", "ports", "time_wait"]);
    for destination in &space.destinations {
        let remote = std::net::SocketAddr::new(destination.remote_address, destination.remote_port);
        table.row([
            remote.to_string(),
            destination.local_address.to_string(),
            grouped(destination.ports),
            grouped(destination.time_wait),
        ]);
    }
    table
}

fn watch_groups(space: &PortSpaceSample) -> Table {
    let mut table = Table::new(&["watch group", "connections", "time_wait"]);
    let busy = space
        .watch_groups
        .iter()
        .filter(|group| group.connections > 0 || group.time_wait > 0);
    for group in busy {
        table.row([
            group.name.to_string(),
            grouped(group.connections),
            grouped(group.time_wait),
        ]);
    }
    table
}

fn render_probes(probes: &[ProbeResult]) -> String {
    let mut table = Table::new(&["probe", "outcome", "time", "value"]);
    for probe in probes {
        let outcome = match probe.outcome {
            ProbeOutcome::Succeeded => "ok".to_owned(),
            ProbeOutcome::Exhausted => "NO PORT".to_owned(),
            ProbeOutcome::Unsupported => "not there".to_owned(),
            ProbeOutcome::Failed(code) => format!("error {code}"),
        };
        table.row([
            probe.kind.as_str().to_owned(),
            outcome,
            format!("{} us", grouped(probe.duration_us)),
            probe
                .value
                .map_or_else(String::new, |value| value.to_string()),
        ]);
    }
    if table.is_empty() {
        String::new()
    } else {
        table.render(0)
    }
}

fn render_capabilities(capabilities: &[CapabilityReport]) -> String {
    let mut text = String::new();
    for report in capabilities {
        let name = report.capability.as_str().replace('_', " ");
        let line = format!("{name}: {}", report.sentence());
        text.push_str(&format!("\nsees {}", shown(&line)));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn render_rates(rates: &CounterRates) -> String {
    let named = [
        ("opens out", rates.tcp_active_opens),
        ("opens in", rates.tcp_passive_opens),
        ("failed opens", rates.tcp_attempt_fails),
        ("resets", rates.tcp_estab_resets),
        ("retransmits", rates.tcp_retrans_segs),
        ("TIME_WAIT overflows", rates.tcp_time_wait_overflow),
        ("UDP errors", rates.udp_in_errors),
    ];
    let shown: Vec<String> = named
        .into_iter()
        .filter_map(|(name, rate)| {
            Some(format!("{name} {}.{}", rate? / 1_000, rate? % 1_000 / 100))
        })
        .collect();
    if shown.is_empty() {
        String::new()
    } else {
        format!("\na second: {}\n", shown.join(", "))
    }
}

#[cfg(test)]
mod tests;
