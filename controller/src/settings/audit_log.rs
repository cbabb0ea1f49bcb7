//! The section `[audit_log]`: how often the log is signed, and where it is taken as it grows.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{duration, noted};
use crate::audit_log::{AuditLogRules, SyslogTarget, Way};

/// Shortest and longest time between checkpoints.
const EVERY_LIMITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuditLogConfig {
    checkpoint_every: Option<String>,
    file: Option<PathBuf>,
    syslog: Option<String>,
    syslog_ca: Option<PathBuf>,
}

impl AuditLogConfig {
    pub(super) fn check(self, problems: &mut Vec<String>) -> Option<AuditLogRules> {
        let defaults = AuditLogRules::default();
        let checkpoint_every = match &self.checkpoint_every {
            None => Some(defaults.checkpoint_every),
            Some(text) => noted(duration("audit_log.checkpoint_every", text), problems),
        };
        if let Some(every) = checkpoint_every
            && !(EVERY_LIMITS.0..=EVERY_LIMITS.1).contains(&every)
        {
            problems.push("audit_log.checkpoint_every must be 1s to 1h".to_owned());
        }
        if self.file.as_ref().is_some_and(|path| !path.is_absolute()) {
            problems.push("audit_log.file must be an absolute path".to_owned());
        }
        let way = self.syslog.as_ref().map(|text| {
            let way = text.parse::<Way>();
            noted(
                way.map_err(|error| format!("audit_log.syslog: {error}")),
                problems,
            )
        });
        let is_tls = matches!(way, Some(Some(Way::Tls(_))));
        if is_tls != self.syslog_ca.is_some() {
            problems.push(
                "audit_log.syslog_ca is the PEM file with the authorities of a tls:// server: set it with one, and with no other"
                    .to_owned(),
            );
        }
        let syslog = match (way, self.syslog) {
            (Some(way), Some(text)) => Some(SyslogTarget {
                text,
                way: way?,
                ca_file: self.syslog_ca,
            }),
            _ => None,
        };
        Some(AuditLogRules {
            checkpoint_every: checkpoint_every?,
            file: self.file,
            syslog,
        })
    }
}
