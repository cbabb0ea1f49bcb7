//! Logs: lines for people on standard error or in a file, JSON when a machine reads them.

use std::io::IsTerminal as _;
use std::sync::Mutex;

use serde::Deserialize;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::log_file::LogFile;

/// Target of spans that are there for traces alone; log lines do not show them.
pub const SPANS: &str = "tidemark_trace";

/// What takes the spans of [`SPANS`].
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

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
    start_traced(settings, None)
}

/// As [`start`], and gives the spans to `spans`.
///
/// # Errors
/// As [`start`].
pub fn start_traced(
    settings: &TelemetrySettings,
    spans: Option<SpanLayer>,
) -> Result<(), TelemetryError> {
    let is_for_people = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let colours = if is_for_people {
        Colours::On
    } else {
        Colours::Off
    };
    start_with(settings, spans, std::io::stderr, colours)
}

/// Starts logging for the whole process, to a file: for one without a standard error.
///
/// # Errors
/// As [`start`].
pub fn start_in_file(settings: &TelemetrySettings, file: LogFile) -> Result<(), TelemetryError> {
    start_with(settings, None, Mutex::new(file), Colours::Off)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    On,
    Off,
}

fn start_with<W>(
    settings: &TelemetrySettings,
    spans: Option<SpanLayer>,
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
    let spans =
        spans.map(|layer| layer.with_filter(Targets::new().with_target(SPANS, LevelFilter::INFO)));
    let no_spans = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_target(SPANS, LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(colours == Colours::On);
    let lines = match settings.log_format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(spans)
        .with(lines.with_filter(filter.and(no_spans)))
        .try_init()
        .map_err(TelemetryError::Started)
}
