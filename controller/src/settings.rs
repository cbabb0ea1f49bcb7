//! What a controller is told at its start: folders, addresses, the database. Read once, then fixed.

mod audit_log;
mod incidents;
mod notify;
mod oidc;
mod otlp;
mod remediation;
mod web;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tidemark_history::compact::Retention;
use tidemark_model::duration::parse_duration;
use tidemark_model::incident::IncidentRules;
use tidemark_runtime::config::ConfigError;
use tidemark_runtime::telemetry::{LogFormat, TelemetrySettings};
use tidemark_store::DatabaseUrl;

use crate::access::oidc::OidcSettings;
use crate::audit_log::AuditLogRules;
use crate::notify::NotifySettings;
use crate::otlp::OtlpSettings;
use crate::remediate::RemediationRules;

pub use self::web::WebSettings;

/// Every legal key of the configuration file.
pub const KEYS: [&str; 54] = [
    "data_dir",
    "database",
    "database_file",
    "http",
    "grpc",
    "agents_address",
    "connections_max",
    "drain_timeout",
    "retention.raw",
    "retention.five_minutes",
    "retention.hour",
    "retention.raw_bytes_max",
    "retention.five_minutes_bytes_max",
    "retention.hour_bytes_max",
    "incidents.critical_within",
    "incidents.warning_within",
    "incidents.clear_after",
    "incidents.reopen_within",
    "incidents.raise_after",
    "notify.public_url",
    "notify.receiver",
    "notify.route",
    "remediation.hold",
    "remediation.concurrent_max",
    "remediation.per_hour_max",
    "remediation.host_per_hour_max",
    "remediation.cooldown",
    "remediation.fixes_per_day_max",
    "remediation.own_host",
    "audit_log.checkpoint_every",
    "audit_log.file",
    "audit_log.syslog",
    "audit_log.syslog_ca",
    "oidc.issuer",
    "oidc.client_id",
    "oidc.client_secret_file",
    "oidc.redirect_url",
    "oidc.label",
    "oidc.scopes",
    "oidc.name_claim",
    "oidc.role_claim",
    "oidc.roles",
    "oidc.clock_skew",
    "otlp.endpoint",
    "otlp.ca_file",
    "otlp.headers_file",
    "otlp.signals",
    "otlp.every",
    "otlp.traces_ratio",
    "web.certificate_file",
    "web.key_file",
    "web.trusted_proxies",
    "log",
    "log_format",
];

/// The configuration as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    data_dir: PathBuf,
    database: Option<String>,
    database_file: Option<PathBuf>,
    http: SocketAddr,
    grpc: SocketAddr,
    agents_address: Option<String>,
    connections_max: usize,
    drain_timeout: String,
    retention: RetentionConfig,
    incidents: incidents::IncidentsConfig,
    notify: notify::NotifyConfig,
    remediation: remediation::RemediationConfig,
    audit_log: audit_log::AuditLogConfig,
    oidc: oidc::OidcConfig,
    otlp: otlp::OtlpConfig,
    web: web::WebConfig,
    log: String,
    log_format: LogFormat,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RetentionConfig {
    raw: String,
    five_minutes: String,
    hour: String,
    raw_bytes_max: Option<u64>,
    five_minutes_bytes_max: Option<u64>,
    hour_bytes_max: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/tidemark"),
            database: None,
            database_file: None,
            http: SocketAddr::from(([127, 0, 0, 1], 7080)),
            grpc: SocketAddr::from(([0, 0, 0, 0], 7443)),
            agents_address: None,
            connections_max: 50_000,
            drain_timeout: "10s".to_owned(),
            retention: RetentionConfig::default(),
            incidents: incidents::IncidentsConfig::default(),
            notify: notify::NotifyConfig::default(),
            remediation: remediation::RemediationConfig::default(),
            audit_log: audit_log::AuditLogConfig::default(),
            oidc: oidc::OidcConfig::default(),
            otlp: otlp::OtlpConfig::default(),
            web: web::WebConfig::default(),
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
            raw_bytes_max: None,
            five_minutes_bytes_max: None,
            hour_bytes_max: None,
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
    /// How long, and in how many bytes, each tier of history is kept.
    pub retention: Retention,
    /// When an incident opens, rises and ends.
    pub incidents: IncidentRules,
    /// Who is told of incidents.
    pub notify: NotifySettings,
    /// How much may be done to hosts.
    pub remediation: RemediationRules,
    /// How the audit log is signed, and where it is taken.
    pub audit_log: AuditLogRules,
    /// Where people sign in who have no password here.
    pub oidc: Option<OidcSettings>,
    /// Where metrics and traces are sent.
    pub otlp: Option<OtlpSettings>,
    /// How the pages and the API are reached from other machines.
    pub web: WebSettings,
    /// How to log.
    pub telemetry: TelemetrySettings,
}

impl Config {
    /// Checks the values, every one of them.
    ///
    /// # Errors
    /// [`ConfigError::Rules`] with a sentence for each value that is wrong.
    pub fn check(self) -> Result<Settings, ConfigError> {
        let mut problems = Vec::new();
        let database = noted(self.database_url(), &mut problems);
        let drain_timeout = noted(
            duration("drain_timeout", &self.drain_timeout),
            &mut problems,
        );
        let retention = self.retention.check(&mut problems);
        if self.connections_max == 0 {
            problems.push("connections_max is 0; it must be at least 1".to_owned());
        }
        let incidents = self.incidents.check(&mut problems);
        let notify = self.notify.check(&mut problems);
        let remediation = self.remediation.check(&mut problems);
        let audit_log = self.audit_log.check(&mut problems);
        let oidc = self.oidc.check(&mut problems);
        let otlp = self.otlp.check(&mut problems);
        let web = self.web.check(&mut problems);
        if let (Some(database), Some(drain_timeout), Some(retention)) =
            (database, drain_timeout, retention)
            && let (Some(incidents), Some(notify), Some(remediation)) =
                (incidents, notify, remediation)
            && let (Some(audit_log), Some(oidc), Some(otlp), Some(web)) =
                (audit_log, oidc, otlp, web)
            && problems.is_empty()
        {
            return Ok(Settings {
                data_dir: self.data_dir,
                database,
                http: self.http,
                grpc: self.grpc,
                agents_address: self.agents_address,
                connections_max: self.connections_max,
                drain_timeout,
                retention,
                incidents,
                notify,
                remediation,
                audit_log,
                oidc,
                otlp,
                web,
                telemetry: TelemetrySettings {
                    log: self.log,
                    log_format: self.log_format,
                },
            });
        }
        Err(ConfigError::Rules(problems))
    }

    /// The database's address is a secret when it holds a password, and then stands in a file of its own.
    fn database_url(&self) -> Result<DatabaseUrl, String> {
        let (key, url) = match (&self.database, &self.database_file) {
            (None, None) => return Ok(DatabaseUrl::sqlite(self.data_dir.join("tidemark.db"))),
            (Some(_), Some(_)) => {
                return Err("database and database_file are both set: keep one".to_owned());
            }
            (Some(url), None) => ("database", url.clone()),
            (None, Some(path)) => {
                let read = std::fs::read_to_string(path);
                let told = |error| format!("database_file: {}: {error}", path.display());
                ("database_file", read.map_err(told)?)
            }
        };
        let parsed = url.trim().parse();
        parsed.map_err(|error| format!("{key}: {error}"))
    }
}

impl RetentionConfig {
    fn check(&self, problems: &mut Vec<String>) -> Option<Retention> {
        let raw = noted(duration("retention.raw", &self.raw), problems);
        let five_minutes = noted(
            duration("retention.five_minutes", &self.five_minutes),
            problems,
        );
        let hour = noted(duration("retention.hour", &self.hour), problems);
        let retention = Retention {
            raw: raw?,
            five_minutes: five_minutes?,
            hour: hour?,
            raw_bytes_max: self.raw_bytes_max,
            five_minutes_bytes_max: self.five_minutes_bytes_max,
            hour_bytes_max: self.hour_bytes_max,
        };
        let checked = retention.check();
        noted(
            checked.map_err(|error| format!("retention: {error}")),
            problems,
        )?;
        Some(retention)
    }
}

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
        assert_eq!(settings.retention, Retention::default());
        assert_eq!(settings.grpc.port(), 7443);
    }

    #[test]
    fn a_database_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        let config = |database: Option<&str>| Config {
            database: database.map(str::to_owned),
            database_file: Some(file.clone()),
            ..Config::default()
        };
        let text = config(None).check().unwrap_err().to_string();
        assert!(text.contains("database_file: "), "{text}");
        std::fs::write(&file, "postgres://tide:secret@db/tide\n").unwrap();
        let database = config(None).check().unwrap().database;
        assert!(database.to_string().starts_with("postgres://"));
        let text = config(Some("sqlite://x")).check().unwrap_err().to_string();
        assert!(text.contains("keep one"), "{text}");
    }

    #[test]
    fn every_wrong_value_is_named() {
        let config = Config {
            database: Some("mysql://x".to_owned()),
            drain_timeout: "soon".to_owned(),
            connections_max: 0,
            retention: RetentionConfig {
                raw: "1d".to_owned(),
                ..RetentionConfig::default()
            },
            ..Config::default()
        };
        let text = config.check().unwrap_err().to_string();
        for part in [
            "database: ",
            "drain_timeout: \"soon\"",
            "connections_max is 0",
            "retention: raw history is kept 24 h, but at least 48 h",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
