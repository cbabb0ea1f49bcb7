//! What a controller is told at its start: folders, addresses, the database. Read once, then fixed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tidemark_model::duration::parse_duration;
use tidemark_runtime::config::ConfigError;
use tidemark_runtime::telemetry::{LogFormat, TelemetrySettings};
use tidemark_store::DatabaseUrl;

/// Every legal key of the configuration file.
pub const KEYS: [&str; 12] = [
    "data_dir",
    "database",
    "http",
    "grpc",
    "agents_address",
    "connections_max",
    "drain_timeout",
    "retention.raw",
    "retention.five_minutes",
    "retention.hour",
    "log",
    "log_format",
];

/// The configuration as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    data_dir: PathBuf,
    database: Option<String>,
    http: SocketAddr,
    grpc: SocketAddr,
    agents_address: Option<String>,
    connections_max: usize,
    drain_timeout: String,
    retention: RetentionConfig,
    log: String,
    log_format: LogFormat,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RetentionConfig {
    raw: String,
    five_minutes: String,
    hour: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/tidemark"),
            database: None,
            http: SocketAddr::from(([127, 0, 0, 1], 7080)),
            grpc: SocketAddr::from(([0, 0, 0, 0], 7443)),
            agents_address: None,
            connections_max: 50_000,
            drain_timeout: "10s".to_owned(),
            retention: RetentionConfig::default(),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            raw: "14d".to_owned(),
            five_minutes: "90d".to_owned(),
            hour: "730d".to_owned(),
        }
    }
}

/// The configuration as it is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the authority, the SQLite database and the ready file live.
    pub data_dir: PathBuf,
    /// Which database.
    pub database: DatabaseUrl,
    /// Where the API and the pages are served.
    pub http: SocketAddr,
    /// Where agents come in.
    pub grpc: SocketAddr,
    /// What agents are told to connect to, `host:port`; `None` for the bound address.
    pub agents_address: Option<String>,
    /// Agents' connections at once.
    pub connections_max: usize,
    /// How long a stop may take.
    pub drain_timeout: Duration,
    /// How long each tier is kept.
    pub retention: RetentionAges,
    /// How to log.
    pub telemetry: TelemetrySettings,
}

/// How long each tier of history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionAges {
    /// Samples as they came.
    pub raw: Duration,
    /// Five minutes a row.
    pub five_minutes: Duration,
    /// An hour a row.
    pub hour: Duration,
}

impl Default for RetentionAges {
    fn default() -> Self {
        Self {
            raw: DAY * 14,
            five_minutes: DAY * 90,
            hour: DAY * 730,
        }
    }
}

impl Config {
    /// Checks the values, every one of them.
    ///
    /// # Errors
    /// [`ConfigError::Rules`] with a sentence for each value that is wrong.
    pub fn check(self) -> Result<Settings, ConfigError> {
        let mut problems = Vec::new();
        let database = match self.database {
            None => Some(DatabaseUrl::sqlite(self.data_dir.join("tidemark.db"))),
            Some(url) => noted(
                url.parse().map_err(|error| format!("database: {error}")),
                &mut problems,
            ),
        };
        let drain_timeout = noted(
            duration("drain_timeout", &self.drain_timeout),
            &mut problems,
        );
        let raw = noted(
            duration("retention.raw", &self.retention.raw),
            &mut problems,
        );
        let five_minutes = noted(
            duration("retention.five_minutes", &self.retention.five_minutes),
            &mut problems,
        );
        let hour = noted(
            duration("retention.hour", &self.retention.hour),
            &mut problems,
        );
        if self.connections_max == 0 {
            problems.push("connections_max is 0; it must be at least 1".to_owned());
        }
        if let (Some(raw), Some(five_minutes), Some(hour)) = (raw, five_minutes, hour)
            && (raw < DAY || five_minutes < raw || hour < five_minutes)
        {
            problems.push("retention: raw must be at least 1d, five_minutes at least raw, and hour at least five_minutes".to_owned());
        }
        match (database, drain_timeout, raw, five_minutes, hour) {
            (Some(database), Some(drain_timeout), Some(raw), Some(five_minutes), Some(hour))
                if problems.is_empty() =>
            {
                Ok(Settings {
                    data_dir: self.data_dir,
                    database,
                    http: self.http,
                    grpc: self.grpc,
                    agents_address: self.agents_address,
                    connections_max: self.connections_max,
                    drain_timeout,
                    retention: RetentionAges {
                        raw,
                        five_minutes,
                        hour,
                    },
                    telemetry: TelemetrySettings {
                        log: self.log,
                        log_format: self.log_format,
                    },
                })
            }
            _ => Err(ConfigError::Rules(problems)),
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn duration(key: &str, text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("{key}: {error}"))
}

fn noted<T>(result: Result<T, String>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_legal() {
        let settings = Config::default().check().unwrap();
        assert_eq!(settings.retention.raw, DAY * 14);
        assert_eq!(settings.grpc.port(), 7443);
    }

    #[test]
    fn every_wrong_value_is_named() {
        let config = Config {
            database: Some("mysql://x".to_owned()),
            drain_timeout: "soon".to_owned(),
            connections_max: 0,
            ..Config::default()
        };
        let text = config.check().unwrap_err().to_string();
        for part in [
            "database: ",
            "drain_timeout: \"soon\"",
            "connections_max is 0",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
