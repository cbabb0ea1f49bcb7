//! Logs: lines for people on standard error or in a file, JSON when a machine reads them.

use std::io::IsTerminal as _;
use std::sync::Mutex;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::log_file::LogFile;

/// How to log.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Filter in the syntax of `tracing`, as in `info` or `info,tidemark_agent=debug`.
    pub log: String,
    /// Lines or JSON.
    pub log_format: LogFormat,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error(
        "log filter {filter:?} is not understood; use a level (error, warn, info, debug, trace) or target=level pairs separated by commas"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What the parser says.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody else started it before.
    #[error("logging is started already")]
    Started(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts logging for the whole process, to standard error.
///
/// # Errors
/// [`TelemetryError`] when the filter is wrong or logging runs already.
pub fn start(settings: &TelemetrySettings) -> Result<(), TelemetryError> {
    let is_for_people = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let colours = if is_for_people {
        Colours::On
    } else {
        Colours::Off
    };
    start_with(settings, std::io::stderr, colours)
}

/// Starts logging for the whole process, to a file: for one without a standard error.
///
/// # Errors
/// As [`start`].
pub fn start_in_file(settings: &TelemetrySettings, file: LogFile) -> Result<(), TelemetryError> {
    start_with(settings, Mutex::new(file), Colours::Off)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    On,
    Off,
}

fn start_with<W>(
    settings: &TelemetrySettings,
    writer: W,
    colours: Colours,
) -> Result<(), TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log).map_err(|source| TelemetryError::Filter {
        filter: settings.log.clone(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colours == Colours::On);
    match settings.log_format {
        LogFormat::Text => builder.with_target(false).finish().try_init(),
        LogFormat::Json => builder.json().finish().try_init(),
    }
    .map_err(TelemetryError::Started)
}
