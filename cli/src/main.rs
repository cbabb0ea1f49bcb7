//! `tidemark`: what an operator types. It talks to the controller's HTTP API and knows nothing of how that works.

mod api;
mod args;
mod commands;
mod console;
mod failure;
mod keys;
mod render;
mod since;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;
use crate::console::Console;
use crate::failure::Failure;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() && args::asks_for_check(std::env::args_os()) => {
            return not_understood(&error);
        }
        Err(error) => error.exit(),
    };
    let console = Console::open(&args.global);
    let started = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::Io {
            action: "start",
            source,
        });
    let finished = started.and_then(|runtime| {
        let finished = runtime.block_on(commands::run(args, &console));
        // A name that is still being looked up holds nothing up.
        runtime.shutdown_background();
        finished
    });
    match finished {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            console.explain(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Tells a monitoring system that its command line is wrong.
fn not_understood(error: &clap::Error) -> ExitCode {
    let (text, code) = commands::check::usage(error);
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}
