//! `fleetsim`: simulates a fleet of agents against a controller, and accounts for every record.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tidemark_runtime::lifecycle::shutdown_signal;
use tidemark_runtime::telemetry::{LogFormat, TelemetrySettings};
use tidemark_runtime::{Lifecycle, telemetry};
use tidemark_tests::fleetsim::Report;
use tidemark_tests::fleetsim::args::{Arguments, exit_code};
use tidemark_tests::fleetsim::simulation::Stops;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code(simulate(arguments))
}

/// Says whether every record is accounted for.
fn simulate(arguments: Arguments) -> anyhow::Result<bool> {
    telemetry::start(&TelemetrySettings {
        log: arguments.log.clone(),
        log_format: LogFormat::Text,
    })?;
    let output = arguments.output;
    let (simulation, plan) = arguments.into_plan();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let life = Lifecycle::new(Duration::ZERO);
        let stops = Stops::default();
        life.spawn("signals", obey_signals(stops.clone()));
        Box::pin(simulation.run(plan, &stops)).await
    })?;
    // Reading the recording may be waiting for room: nobody waits for it.
    runtime.shutdown_background();
    output.print(&report, Report::to_table)?;
    Ok(report.conserved
        && report
            .replay
            .is_none_or(|replay| replay.broken_off.is_none()))
}

/// The first signal ends the simulation with its report, the second without waiting for what is under way.
async fn obey_signals(stops: Stops) {
    shutdown_signal().await;
    stops.produce.cancel();
    shutdown_signal().await;
    stops.wait.cancel();
}
