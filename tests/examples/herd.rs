//! Ends the sessions of a large fleet again and again, and measures how it comes back, as root:
//! `cargo build --release -p tidemark-controller --bins && cargo run --release -p tidemark-tests --example herd -- --agents 10000`.

use std::process::ExitCode;

use clap::Parser as _;
use tidemark_tests::fleetsim::args::exit_code;
use tidemark_tests::harness::on_own_network;
use tidemark_tests::herd::{Arguments, HerdReport, names, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code(measure(&arguments))
}

/// Says whether every record is accounted for and every session came back.
fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    names::make_known(arguments.controllers)?;
    let report =
        on_own_network(async |machine| Box::pin(run::run(machine, arguments.clone())).await)?;
    arguments.output.print(&report, HerdReport::to_table)?;
    Ok(report.is_whole())
}
