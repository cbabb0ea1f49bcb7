//! Attacks a controller in each way in turn, as root:
//! `cargo build --release -p tidemark-controller --bins && cargo run --release -p tidemark-tests --example siege`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tidemark_tests::fleetsim::args::Output;
use tidemark_tests::harness::on_own_network;
use tidemark_tests::siege::{Arguments, SiegeReport, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Says whether the controller held out.
fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    let mut found: Option<SiegeReport> = None;
    on_own_network(async |machine| {
        found = Some(Box::pin(run::run(machine, arguments.clone())).await?);
        Ok(())
    })?;
    let report = found.context("nothing was measured")?;
    let text = match arguments.output {
        Output::Table => report.to_table(),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(report.is_held())
}
