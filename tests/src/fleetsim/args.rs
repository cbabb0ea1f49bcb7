//! The command line of `fleetsim`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use tidemark_agent::link::ControllerAddress;
use tidemark_model::JoinToken;
use tidemark_model::duration::parse_duration;

use super::agent::DeliverySettings;
use super::fleet::FleetSettings;
use super::orders::{Fails, OrderPlan};
use super::replay::{ReplayPlan, Speed, Times};
use super::run::RunPlan;
use super::scenario::Scenario;
use super::simulation::{Plan, Simulation};

/// Simulates a fleet of agents: real enrolment, real TLS, real sessions; made-up or recorded samples
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// How the report is written
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub output: Output,
    /// What to log: error, warn, info, debug, or pairs of target=level
    #[arg(
        long,
        env = "TIDEMARK_LOG",
        global = true,
        default_value = "error",
        value_name = "FILTER"
    )]
    pub log: String,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned lines.
    Table,
    /// One JSON object.
    Json,
}

impl Output {
    /// Prints a report.
    ///
    /// # Errors
    /// When it is no JSON, or nobody takes it.
    pub fn print<R: Serialize>(self, report: &R, to_table: fn(&R) -> String) -> anyhow::Result<()> {
        let text = match self {
            Self::Table => to_table(report),
            Self::Json => format!("{}\n", serde_json::to_string_pretty(report)?),
        };
        Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
    }
}

/// How a program ends that says whether all is well.
#[must_use]
pub fn exit_code(is_well: anyhow::Result<bool>) -> ExitCode {
    match is_well {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Made-up servers that report at an interval for a while
    Run(RunArguments),
    /// The hosts of a recording, each with an agent of its own
    Replay(ReplayArguments),
}

#[derive(Debug, Args)]
struct RunArguments {
    /// How many hosts, 1 to 100000
    #[arg(long, default_value = "100", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    agents: u32,
    /// How long samples are taken
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_duration)]
    duration: Duration,
    /// Time between two samples of a host, 100ms to 300s
    #[arg(long, default_value = "1s", value_name = "DURATION", value_parser = interval)]
    interval: Duration,
    /// What the hosts are like: idle, leak, churn, mixed, or a TOML file
    #[arg(long, default_value = "mixed", value_name = "SCENARIO", value_parser = scenario)]
    scenario: Scenario,
    /// The same seed gives the same servers; their identities are new each time
    #[arg(long, default_value = "1", value_name = "S")]
    seed: u64,
    #[command(flatten)]
    target: TargetArguments,
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// Samples, a JSON object a line, plain or gzip
    #[arg(long, value_name = "FILE")]
    samples: PathBuf,
    /// max, or how many times the recorded pace
    #[arg(long, default_value = "max", value_name = "max|FACTOR")]
    speed: Speed,
    /// Times of the samples: moved so that the recording ends when its replay does, or as recorded
    #[arg(long, value_enum, default_value = "shifted")]
    times: Times,
    #[command(flatten)]
    target: TargetArguments,
}

#[derive(Debug, Args)]
struct TargetArguments {
    /// Where agents come in, host:port
    #[arg(long, value_name = "ADDR")]
    controller: ControllerAddress,
    /// Join token with as many uses as there are hosts (`tidemark token create --uses N`)
    #[arg(
        long,
        env = "TIDEMARK_JOIN_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    token: JoinToken,
    /// Enrolments a second; a controller takes 150 of one address
    #[arg(long, default_value = "100", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    enrol_rate: u32,
    /// Longest wait between two attempts to connect
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_duration)]
    reconnect_max: Duration,
    /// How long acks may take after the last record
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_duration)]
    drain: Duration,
    /// Take orders and carry them out in play; a restart gives the host a new boot
    #[arg(long)]
    orders: bool,
    /// Share of the hosts on which every order fails, 0 to 1, chosen by their names
    #[arg(long, default_value = "0", value_name = "SHARE", requires = "orders", value_parser = share)]
    fail_share: f64,
    /// The controller's API, to ask what it stored, as in http://127.0.0.1:7080
    #[arg(long, value_name = "URL", requires = "api_token_file")]
    api: Option<String>,
    /// File with a token for the API
    #[arg(long, value_name = "FILE", requires = "api")]
    api_token_file: Option<PathBuf>,
}

impl Arguments {
    /// What is to be simulated, and how.
    #[must_use]
    pub fn into_plan(self) -> (Simulation, Plan) {
        match self.command {
            Command::Run(run) => {
                let plan = RunPlan {
                    hosts: usize::try_from(run.agents).unwrap_or(usize::MAX),
                    scenario: run.scenario,
                    interval: run.interval,
                    duration: run.duration,
                    seed: run.seed,
                };
                (run.target.into_simulation(), Plan::Run(plan))
            }
            Command::Replay(replay) => {
                let plan = ReplayPlan {
                    file: replay.samples,
                    speed: replay.speed,
                    times: replay.times,
                };
                (replay.target.into_simulation(), Plan::Replay(plan))
            }
        }
    }
}

impl TargetArguments {
    fn into_simulation(self) -> Simulation {
        Simulation {
            fleet: FleetSettings {
                controller: self.controller,
                token: self.token,
                enrol_per_second: self.enrol_rate,
                delivery: DeliverySettings {
                    reconnect_max: self.reconnect_max,
                    ..DeliverySettings::default()
                },
                orders: self
                    .orders
                    .then(|| Arc::new(OrderPlan::new(Fails::Share(self.fail_share)))),
            },
            patience: self.drain,
            api: self.api.zip(self.api_token_file),
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_millis(100)..=Duration::from_secs(300)).contains(&interval) {
        return Ok(interval);
    }
    Err(format!(
        "{text} is out of limits; an interval is 100ms to 300s"
    ))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    let legal = share.filter(|share| (0.0..=1.0).contains(share));
    legal.ok_or_else(|| format!("{text} is no share; it is 0 to 1"))
}

fn scenario(name_or_path: &str) -> Result<Scenario, anyhow::Error> {
    Scenario::open(name_or_path).map_err(|error| anyhow::anyhow!("{:#}", anyhow::Error::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "tm1.aaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn parse(arguments: &[&str]) -> Result<(Simulation, Plan), String> {
        let target = ["--controller", "127.0.0.1:7443", "--token", TOKEN];
        let all = ["fleetsim"].iter().chain(arguments).chain(&target);
        Arguments::try_parse_from(all)
            .map(Arguments::into_plan)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_forms_that_are_documented_are_taken() {
        let (_, plan) = parse(&["run", "--agents", "7", "--interval", "500ms"]).unwrap();
        assert!(
            matches!(plan, Plan::Run(run) if run.hosts == 7 && run.interval.as_millis() == 500)
        );
        let (_, plan) = parse(&["replay", "--samples", "a.jsonl.gz", "--speed", "3600"]).unwrap();
        assert!(matches!(plan, Plan::Replay(replay) if replay.speed == Speed::Factor(3_600.0)));
    }

    #[test]
    fn wrong_values_are_refused_with_what_is_legal() {
        for (arguments, part) in [
            (&["run", "--agents", "0"][..], "1..=100000"),
            (&["run", "--interval", "1ms"], "100ms to 300s"),
            (&["run", "--scenario", "busy"], "idle, leak, churn, mixed"),
            (&["replay", "--samples", "x", "--speed", "0"], "`max`"),
            (&["run", "--orders", "--fail-share", "2"], "0 to 1"),
            (&["run", "--fail-share", "0.1"], "--orders"),
            (&["run", "--api", "http://x"], "--api-token-file"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
