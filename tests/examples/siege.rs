//! Attacks a controller in each way in turn, as root:
//! `cargo build --release -p tidemark-controller --bins && cargo run --release -p tidemark-tests --example siege`.

use std::process::ExitCode;

use clap::Parser as _;
use tidemark_tests::fleetsim::args::exit_code;
use tidemark_tests::harness::on_own_network;
use tidemark_tests::siege::{Arguments, SiegeReport, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code(measure(&arguments))
}

/// Says whether the controller held out.
fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    let report =
        on_own_network(async |machine| Box::pin(run::run(machine, arguments.clone())).await)?;
    arguments.output.print(&report, SiegeReport::to_table)?;
    Ok(report.is_held())
}
