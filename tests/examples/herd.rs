//! Ends the sessions of a large fleet again and again, and measures how it comes back, as root:
//! `cargo build --release -p tidemark-controller --bins && cargo run --release -p tidemark-tests --example herd -- --agents 10000`.

use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use tidemark_tests::fleetsim::args::exit_code;
use tidemark_tests::harness::on_own_network;
use tidemark_tests::herd::field::{NAME, address_of};
use tidemark_tests::herd::{Arguments, HerdReport, run};

/// Set where the name of several controllers is known.
const NAME_KNOWN: &str = "HERD_NAME_KNOWN";
/// Puts the file $1 over the machine's names, for this process alone, and goes on as the rest says.
const WITH_NAMES: &str = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code(measure(&arguments))
}

/// Says whether every record is accounted for and every session came back.
fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    if arguments.controllers > 1 && std::env::var_os(NAME_KNOWN).is_none() {
        return Err(with_name(arguments.controllers));
    }
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

/// Starts this program anew where the name of the controllers has their addresses; comes back only when that fails.
fn with_name(controllers: u8) -> anyhow::Error {
    let start = || {
        let mut names = "127.0.0.1 localhost\n".to_owned();
        for place in 0..controllers {
            writeln!(names, "{} {NAME}", address_of(place))?;
        }
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), names)?;
        let (_, hosts) = file.keep()?;
        let error = Command::new("unshare")
            .args(["--mount", "sh", "-c", WITH_NAMES, "sh"])
            .arg(hosts)
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(NAME_KNOWN, "yes")
            .exec();
        anyhow::Ok(error)
    };
    match start() {
        Ok(error) => anyhow::Error::new(error).context("cannot run unshare (util-linux), as root"),
        Err(error) => error,
    }
}
