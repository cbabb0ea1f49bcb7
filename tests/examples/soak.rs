//! Kills real agents and controllers while actions are done, and reconciles at the end, as root:
//! `cargo build --release -p tidemark-controller -p tidemark-agent -p tidemark-cli --bins && cargo run --release -p tidemark-tests --example soak -- --lasts 1h`.

use std::process::ExitCode;

use clap::Parser as _;
use tidemark_tests::fleetsim::args::exit_code;
use tidemark_tests::harness::on_own_network;
use tidemark_tests::herd::names;
use tidemark_tests::soak::{Arguments, SoakReport, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code(measure(&arguments))
}

/// Says whether everything agrees.
fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    names::make_known(arguments.controllers)?;
    let report =
        on_own_network(async |machine| Box::pin(run::run(machine, arguments.clone())).await)?;
    arguments.output.print(&report, SoakReport::to_table)?;
    Ok(report.is_whole())
}
