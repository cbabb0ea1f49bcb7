//! The parts of a description that come from the newest sample: states, holders, destinations, probes, rates, cost.

use std::fmt::Write as _;

use tidemark_model::Sample;
use tidemark_model::sample::{
    CounterRates, OwnerCounts, OwnerSample, PortSpaceSample, ProbeOutcome, ProbeResult,
};

use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Screen, words};

/// What a sample says of a port space.
pub fn port_space(space: &PortSpaceSample, screen: &Screen) -> String {
    let mut text = String::new();
    push_row(
        &mut text,
        "range",
        &format!(
            "{}, {} of {} ports can be handed out",
            space.range,
            space.capacity,
            space.range.size()
        ),
    );
    if let Some(light) = space.light {
        let peaks = format!(
            "{} to {} in use in the last interval, {} counts",
            light.min, light.max, light.counts
        );
        push_row(&mut text, "between", &peaks);
    }
    push_row(&mut text, "sockets", &states(space));
    let groups: Vec<_> = space
        .watch_groups
        .iter()
        .map(|group| {
            format!(
                "{} {}{}",
                visible(&group.name),
                group.connections,
                waiting(group.time_wait)
            )
        })
        .collect();
    if !groups.is_empty() {
        push_row(&mut text, "watched", &groups.join(", "));
    }
    if !space.owners.is_empty() {
        text.push('\n');
        text.push_str(&indent(&owners(space, screen)));
    }
    if !space.destinations.is_empty() {
        text.push('\n');
        text.push_str(&indent(&destinations(space, screen)));
    }
    text
}

fn push_row(text: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "  {name:<13}{value}").ok();
}

fn waiting(time_wait: u32) -> String {
    if time_wait > 0 {
        format!(" (+{time_wait} in TIME_WAIT)")
    } else {
        String::new()
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// The screen less the indentation.
fn narrower(screen: &Screen) -> Screen {
    Screen {
        width: screen.width.map(|width| width.saturating_sub(2).max(20)),
        ..screen.clone()
    }
}

fn states(space: &PortSpaceSample) -> String {
    let mut parts = Vec::new();
    for (state, v4) in space.states_v4.occupied() {
        let v6 = space.states_v6.get(state);
        parts.push((state, v4, v6));
    }
    for (state, v6) in space
        .states_v6
        .occupied()
        .filter(|(state, _)| space.states_v4.get(*state) == 0)
    {
        parts.push((state, 0, v6));
    }
    parts.sort_by_key(|(state, _, _)| state.index());
    let words: Vec<_> = parts
        .into_iter()
        .map(|(state, v4, v6)| {
            let family = if v6 > 0 {
                format!(" ({v6} v6)")
            } else {
                String::new()
            };
            format!("{} {}{family}", v4.saturating_add(v6), state.as_str())
        })
        .collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

fn owners(space: &PortSpaceSample, screen: &Screen) -> String {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("HOLDER", left),
        ("PID", right),
        ("SERVICE", left),
        ("PORTS", right),
        ("BOUND", right),
        ("CLOSE_WAIT", right),
        ("SOCKETS", right),
        ("HANDLES", right),
    ]);
    for OwnerSample {
        process,
        counts,
        handles,
    } in &space.owners
    {
        let mut cells = vec![
            Cell::from(process.name.as_ref()),
            process.pid.into(),
            process.service.as_deref().unwrap_or("-").into(),
        ];
        cells.extend(count_cells(counts));
        cells.push((*handles).into());
        table.row(cells);
    }
    if space.owners_other != OwnerCounts::default() {
        let mut cells = vec![Cell::from("other processes"), "".into(), "".into()];
        cells.extend(count_cells(&space.owners_other));
        table.row(cells.into_iter().chain(["".into()]));
    }
    if space.ports_without_owner > 0 {
        let cells = [
            "without a holder (TIME_WAIT has none)".into(),
            "".into(),
            "".into(),
            space.ports_without_owner.into(),
        ];
        table.row(cells.into_iter().chain(["", "", "", ""].map(Cell::from)));
    }
    table.draw(&narrower(screen))
}

fn count_cells(counts: &OwnerCounts) -> [Cell; 4] {
    [
        counts.ports,
        counts.bound,
        counts.close_wait,
        counts.sockets,
    ]
    .map(Cell::from)
}

fn destinations(space: &PortSpaceSample, screen: &Screen) -> String {
    let mut table = Table::new(&[
        ("DESTINATION", Align::Left),
        ("FROM", Align::Left),
        ("PORTS", Align::Right),
        ("TIME_WAIT", Align::Right),
        ("LEFT", Align::Right),
    ]);
    for destination in &space.destinations {
        let remote = std::net::SocketAddr::new(destination.remote_address, destination.remote_port);
        table.row([
            remote.to_string().into(),
            destination.local_address.to_string().into(),
            destination.ports.into(),
            destination.time_wait.into(),
            space.capacity.saturating_sub(destination.ports).into(),
        ]);
    }
    if space.destinations_other_ports > 0 {
        let cells = [
            "other destinations".into(),
            "".into(),
            space.destinations_other_ports.into(),
            "".into(),
            "".into(),
        ];
        table.row(cells);
    }
    table.draw(&narrower(screen))
}

/// What a sample says of the host as a whole.
pub fn host_wide(sample: &Sample, screen: &Screen) -> String {
    let mut text = format!("\n{}\n", screen.paint.bold("Host"));
    push_row(&mut text, "rates", &rate_words(&sample.rates));
    let handles = sample
        .host_handles
        .map_or_else(|| "?".to_owned(), |handles| handles.to_string());
    push_row(&mut text, "handles", &handles);
    for probe in &sample.probes {
        push_row(&mut text, "probe", &probe_words(probe));
    }
    let cost = &sample.cost;
    let words = format!(
        "{} CPU ms, {}, {} ports, {} sockets; the sample took {} ms",
        cost.cpu_us / 1_000,
        words::bytes(cost.resident_bytes),
        cost.own_ports,
        cost.own_sockets,
        cost.collect_us / 1_000,
    );
    push_row(&mut text, "agent's cost", &words);
    text
}

/// The rates that are not zero; most are, on a quiet host.
fn rate_words(all: &CounterRates) -> String {
    let known: Vec<_> = rates(all)
        .into_iter()
        .filter_map(|(name, rate)| Some((name, rate?)))
        .collect();
    if known.is_empty() {
        return "? (the first sample of an agent has none)".to_owned();
    }
    let mut words: Vec<_> = known
        .iter()
        .filter(|(_, rate)| *rate > 0)
        .map(|(name, rate)| format!("{name} {}", per_second(*rate)))
        .collect();
    if words.len() < known.len() {
        words.push(
            if words.is_empty() {
                "all zero"
            } else {
                "the rest zero"
            }
            .to_owned(),
        );
    }
    words.join(", ")
}

fn per_second(milli: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let rate = milli as f64 / 1_000.0;
    format!("{}/s", words::number(rate))
}

fn rates(rates: &CounterRates) -> [(&'static str, Option<u64>); 12] {
    [
        ("opens", rates.tcp_active_opens),
        ("accepts", rates.tcp_passive_opens),
        ("failed opens", rates.tcp_attempt_fails),
        ("resets", rates.tcp_estab_resets),
        ("segments in", rates.tcp_in_segs),
        ("segments out", rates.tcp_out_segs),
        ("retransmitted", rates.tcp_retrans_segs),
        ("resets sent", rates.tcp_out_rsts),
        ("TIME_WAIT overflow", rates.tcp_time_wait_overflow),
        ("datagrams in", rates.udp_in_datagrams),
        ("datagrams out", rates.udp_out_datagrams),
        ("datagrams lost", rates.udp_in_errors),
    ]
}

fn probe_words(probe: &ProbeResult) -> String {
    let name = probe.kind.as_str().replace('_', " ");
    let outcome = match probe.outcome {
        ProbeOutcome::Succeeded => "● succeeded".to_owned(),
        ProbeOutcome::Exhausted => "▲ no port was to be had".to_owned(),
        ProbeOutcome::Unsupported => "- the address family is not there".to_owned(),
        ProbeOutcome::Failed(code) => format!("△ failed with system error {code}"),
    };
    let value = probe
        .value
        .map_or_else(String::new, |value| format!(", value {value}"));
    format!("{name} {outcome} in {} us{value}", probe.duration_us)
}
