//! `tidemark-agent doctor`: what is wrong with this host's ports, why, and what to do; needs no controller and no port.
//!
//! 0 nothing found, 1 warning, 2 critical, 3 could not tell.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tidemark_model::host::Capability;
use tidemark_runtime::Clock;

use super::{SettingsArgs, block_on, events, print};
use crate::collect::CollectSettings;
use crate::doctor::{self, EVENTS_MAX, Looked, Report, Source, Verdict, Watch};

/// Time between samples that the shipped settings ask for; the doctor takes its own.
const SHIPPED_INTERVAL: Duration = Duration::from_secs(30);
/// Events of the live log that are not older than this.
const EVENTS_AGE: Duration = Duration::from_secs(86_400);
const TIME_MAX: Duration = Duration::from_secs(3_600);

#[derive(Args, Clone, Debug)]
pub(super) struct DoctorArgs {
    /// How long to watch this host, 0s to 1h; 30m and more measure what grows slowly.
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = watch_time)]
    time: Duration,
    /// Look at what `snapshot -o json` saved, instead of this host; may hold several samples.
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Look at a saved event log; without a snapshot at nothing else.
    #[arg(long, value_name = "FILE")]
    evtx: Option<PathBuf>,
    /// Form of the report.
    #[arg(short, long, value_enum, default_value_t = ReportForm::Text)]
    output: ReportForm,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportForm {
    Text,
    Json,
    /// One page that needs nothing else.
    Html,
}

fn watch_time(text: &str) -> Result<Duration, String> {
    tidemark_model::duration::parse_duration(text)
        .map_err(|error| error.to_string())
        .and_then(|time| {
            if time <= TIME_MAX {
                Ok(time)
            } else {
                Err("at most 1h".to_owned())
            }
        })
}

/// Prints the report; its verdict is the exit code.
pub(super) fn run(args: &DoctorArgs) -> ExitCode {
    match report(args).and_then(|report| show(&report, args.output).map(|()| report.verdict)) {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(error) => {
            // Nothing is left to tell it to when standard error is gone.
            writeln!(io::stderr(), "tidemark-agent: {error:#}").ok();
            ExitCode::from(Verdict::CouldNotTell.exit_code())
        }
    }
}

fn show(report: &Report, form: ReportForm) -> anyhow::Result<()> {
    let text = match form {
        ReportForm::Text => report.to_text(),
        ReportForm::Json => report.to_json()?,
        ReportForm::Html => report.to_html(),
    };
    print(&text).map(drop)
}

fn report(args: &DoctorArgs) -> anyhow::Result<Report> {
    let mut looked = match (&args.snapshot, &args.evtx) {
        (Some(path), _) => doctor::read_samples(path)?,
        (None, Some(_)) => Looked::nothing("a saved event log", "Windows", Source::Log),
        (None, None) => watch(&args.settings, BadConfig::Refuse, args.time)?,
    };
    match &args.evtx {
        Some(path) => looked.add_saved_log(path, Clock::System.now())?,
        None if args.snapshot.is_none() => add_live_events(&mut looked),
        None => looked
            .not_seen
            .push("No event log was given with the snapshot: --evtx FILE.".to_owned()),
    }
    Ok(Report::of(looked, Clock::System.now()))
}

/// What becomes of a configuration file that was named and is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadConfig {
    /// An error: whoever named it wants it used.
    Refuse,
    /// The shipped settings are used, and the report says why.
    Tell,
}

/// Watches this host; progress goes to a terminal.
pub(super) fn watch(
    settings: &SettingsArgs,
    bad_config: BadConfig,
    time: Duration,
) -> anyhow::Result<Looked> {
    let (collect, gap) = collect_settings(settings, bad_config)?;
    let is_terminal = io::stderr().is_terminal();
    let progress = |watched: Duration| {
        if is_terminal {
            let (watched, all) = (watched.as_secs(), time.as_secs());
            write!(io::stderr(), "\rwatching the ports: {watched} of {all} s ").ok();
        }
    };
    let watched = block_on(async {
        doctor::watch(Watch { time, collect }, progress)
            .await
            .context("the ports of this host cannot be looked at")
    });
    if is_terminal {
        write!(io::stderr(), "\r{:40}\r", "").ok();
    }
    let mut looked = watched?;
    looked.not_seen.extend(gap);
    Ok(looked)
}

/// Whoever has no right to the service's configuration still gets a look, with the shipped settings.
fn collect_settings(
    settings: &SettingsArgs,
    bad_config: BadConfig,
) -> anyhow::Result<(CollectSettings, Option<String>)> {
    match settings.load() {
        Ok(config) => Ok((config.collect, None)),
        Err(error) if settings.config.is_some() && bad_config == BadConfig::Refuse => {
            Err(error.into())
        }
        Err(error) => Ok((
            CollectSettings::shipped(SHIPPED_INTERVAL),
            Some(format!(
                "The agent's configuration was not used ({error}); the shipped settings were."
            )),
        )),
    }
}

/// What this host's log says, where it has one that may be read.
pub(super) fn add_live_events(looked: &mut Looked) {
    let now = Clock::System.now();
    let since = now.saturating_sub(EVENTS_AGE);
    match events::read_live(now, EVENTS_MAX, |hit| hit.at >= since) {
        Ok(found) => {
            looked.situation.events = found.hits().to_vec();
            looked.situation.capabilities.insert(Capability::Events);
        }
        Err(error) => looked
            .not_seen
            .push(format!("Its event log was not read: {error:#}.")),
    }
}
