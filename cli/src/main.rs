//! `tidemark`: what an operator types. It talks to the controller's HTTP API and knows nothing of how that works.

mod api;
mod args;
mod commands;
mod console;
mod failure;
mod keys;
mod render;
mod since;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;
use crate::console::Console;
use crate::failure::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    let console = Console::open(&args.global);
    let finished = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::Io {
            action: "start",
            source,
        })
        .and_then(|runtime| runtime.block_on(commands::run(args, &console)));
    match finished {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console.explain(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
