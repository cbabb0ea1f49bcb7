//! Ends the sessions of a large fleet again and again, and measures how it comes back, as root:
//! `cargo build --release -p tidemark-controller --bins && cargo run --release -p tidemark-tests --example herd -- --agents 10000`.

use std::process::ExitCode;

use anyhow::Context as _;
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
    let mut found: Option<HerdReport> = None;
    let kept = arguments.clone();
    on_own_network(async |machine| {
        found = Some(Box::pin(run::run(machine, kept.clone())).await?);
        Ok(())
    })?;
    let report = found.context("nothing was measured")?;
    arguments.output.print(&report, HerdReport::to_table)?;
    Ok(report.is_whole())
}
