//! Entry point: arguments, then one of the agent's commands.

use std::process::ExitCode;

use clap::Parser as _;
use tidemark_agent::commands::{self, Arguments};

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => commands::execute(arguments),
        Err(error) => commands::usage(&error),
    }
}
