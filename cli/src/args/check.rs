//! The grammar of `check`, whose options are those of monitoring plugins.

use std::ffi::OsString;
use std::time::Duration;

use clap::{CommandFactory as _, ValueEnum};
use tidemark_model::duration::parse_duration;

use super::Args;
use crate::commands::check::range::Range;

/// What to check, and from when on it matters.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown: the host is silent, or the controller cannot tell.\n\
                  The first line of the output has performance data after a `|`, in the format of the Monitoring Plugins.\n\
                  RANGE is [@]START:END as in the Monitoring Plugins: 80 alerts above 80, @10:20 alerts from 10 to 20."
)]
pub struct CheckArgs {
    /// Name or id
    #[arg(value_name = "HOST")]
    pub host: String,
    /// Percent of a port space's ports in use that are a warning when outside of this
    #[arg(
        short,
        long,
        default_value = "80",
        allow_hyphen_values = true,
        value_name = "RANGE"
    )]
    pub warning: Range,
    /// Percent of a port space's ports in use that are critical when outside of this
    #[arg(
        short,
        long,
        default_value = "95",
        allow_hyphen_values = true,
        value_name = "RANGE"
    )]
    pub critical: Range,
    /// Ports that run out within this are a warning
    #[arg(long, default_value = "72h", value_parser = parse_duration, value_name = "DURATION")]
    pub warning_eta: Duration,
    /// Ports that run out within this are critical
    #[arg(long, default_value = "8h", value_parser = parse_duration, value_name = "DURATION")]
    pub critical_eta: Duration,
    /// A newest sample that is older says nothing any more
    #[arg(long, default_value = "5m", value_parser = parse_duration, value_name = "DURATION")]
    pub max_age: Duration,
    /// Leave this out of the verdict; repeat it for more
    #[arg(long, value_enum, value_name = "WHAT")]
    pub skip: Vec<Part>,
    /// How long the whole check may take, in seconds or as a duration; it ends as unknown then
    #[arg(short, long, default_value = "10", value_parser = parse_seconds, value_name = "DURATION")]
    pub timeout: Duration,
    /// Not here: `-w` is the warning threshold, and a monitoring system asks again by itself.
    #[arg(long, hide = true)]
    pub watch: bool,
}

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// How many ports are in use
    Level,
    /// When ports run out
    Forecast,
    /// What operators are told about
    Incidents,
    /// What is wrong by the rules
    Findings,
    /// What processes, services and watch groups may hold
    Budgets,
}

/// Whether a command line that is not understood asks for `check`.
pub fn asks_for_check(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let lenient = Args::command().ignore_errors(true);
    let matches = lenient.try_get_matches_from(arguments);
    matches.is_ok_and(|matches| matches.subcommand_name() == Some("check"))
}

/// A duration; a plain number is in seconds, as monitoring systems write it.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(u64::from(seconds)),
        Err(_) => parse_duration(text).map_err(|error| error.to_string())?,
    };
    let limits = Duration::from_secs(1)..=Duration::from_secs(3_600);
    if limits.contains(&duration) {
        Ok(duration)
    } else {
        Err("it must be 1s to 1h".to_owned())
    }
}
