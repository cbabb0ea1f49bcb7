//! The parts of a sample that concern the whole host: rates, probes and the agent's cost.

use tidemark_model::sample::{AgentCost, CounterRates, ProbeKind, ProbeOutcome, ProbeResult};

use super::{COUNT_MAX, count};
use crate::convert::{ConvertError, at_most};
use crate::v1;

pub(super) fn rates_from_wire(rates: &v1::CounterRates) -> Result<CounterRates, ConvertError> {
    let rate = |value| count("sample.rates", value);
    Ok(CounterRates {
        tcp_active_opens: rate(rates.tcp_active_opens)?,
        tcp_passive_opens: rate(rates.tcp_passive_opens)?,
        tcp_attempt_fails: rate(rates.tcp_attempt_fails)?,
        tcp_estab_resets: rate(rates.tcp_estab_resets)?,
        tcp_in_segs: rate(rates.tcp_in_segs)?,
        tcp_out_segs: rate(rates.tcp_out_segs)?,
        tcp_retrans_segs: rate(rates.tcp_retrans_segs)?,
        tcp_out_rsts: rate(rates.tcp_out_rsts)?,
        tcp_time_wait_overflow: rate(rates.tcp_time_wait_overflow)?,
        udp_in_datagrams: rate(rates.udp_in_datagrams)?,
        udp_out_datagrams: rate(rates.udp_out_datagrams)?,
        udp_in_errors: rate(rates.udp_in_errors)?,
    })
}

pub(super) fn probe_from_wire(probe: &v1::Probe) -> Result<ProbeResult, ConvertError> {
    let unknown = |field| ConvertError::Malformed {
        field,
        reason: "it is not one of this protocol's",
    };
    let kind = match v1::ProbeKind::try_from(probe.kind) {
        Ok(v1::ProbeKind::BindTcpV4) => ProbeKind::BindTcpV4,
        Ok(v1::ProbeKind::BindTcpV6) => ProbeKind::BindTcpV6,
        Ok(v1::ProbeKind::BindUdp) => ProbeKind::BindUdp,
        Ok(v1::ProbeKind::BindBurst) => ProbeKind::BindBurst,
        Ok(v1::ProbeKind::ConnectLoopback) => ProbeKind::ConnectLoopback,
        Ok(v1::ProbeKind::LocalhostOrder) => ProbeKind::LocalhostOrder,
        Ok(v1::ProbeKind::Unspecified) | Err(_) => return Err(unknown("probe.kind")),
    };
    let outcome = match v1::ProbeOutcome::try_from(probe.outcome) {
        Ok(v1::ProbeOutcome::Succeeded) => ProbeOutcome::Succeeded,
        Ok(v1::ProbeOutcome::Exhausted) => ProbeOutcome::Exhausted,
        Ok(v1::ProbeOutcome::Unsupported) => ProbeOutcome::Unsupported,
        Ok(v1::ProbeOutcome::Failed) => ProbeOutcome::Failed(probe.error_code),
        Ok(v1::ProbeOutcome::Unspecified) | Err(_) => return Err(unknown("probe.outcome")),
    };
    Ok(ProbeResult {
        kind,
        duration_us: probe.duration_us,
        value: probe.value,
        outcome,
    })
}

pub(super) fn cost_from_wire(cost: Option<&v1::AgentCost>) -> Result<AgentCost, ConvertError> {
    let cost = cost.ok_or(ConvertError::Missing {
        field: "sample.cost",
    })?;
    at_most("cost.cpu_us", cost.cpu_us, COUNT_MAX)?;
    at_most("cost.resident_bytes", cost.resident_bytes, COUNT_MAX)?;
    Ok(AgentCost {
        cpu_us: cost.cpu_us,
        resident_bytes: cost.resident_bytes,
        collect_us: cost.collect_us,
        own_ports: cost.own_ports,
        own_sockets: cost.own_sockets,
    })
}
