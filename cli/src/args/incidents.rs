//! The grammar of incidents, silences and notifications.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use tidemark_model::duration::parse_duration;

use crate::since::Moment;

/// Which incidents to list.
#[derive(Clone, Debug, clap::Args)]
pub struct IncidentsArgs {
    /// Only in this state; `active` is what is not over
    #[arg(long, value_enum, default_value_t = IncidentStateChoice::Active)]
    pub state: IncidentStateChoice,
    /// Only of this severity
    #[arg(long, value_enum)]
    pub severity: Option<SeverityChoice>,
    /// Only of this host, by name or id
    #[arg(long)]
    pub host: Option<String>,
    /// Only opened since: 14d, 1h or 2026-11-20T10:00
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Moment>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// States of an incident, as the API names them, and all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IncidentStateChoice {
    Active,
    Open,
    Acknowledged,
    Resolved,
    All,
}

impl IncidentStateChoice {
    /// The API's word; `None` for all.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Active => Some("active"),
            Self::Open => Some("open"),
            Self::Acknowledged => Some("acknowledged"),
            Self::Resolved => Some("resolved"),
            Self::All => None,
        }
    }
}

/// Severities, as the API names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SeverityChoice {
    Info,
    Warning,
    Critical,
}

impl SeverityChoice {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub enum Incident {
    /// Take care of an incident: receivers are not told again
    #[command(visible_alias = "acknowledge")]
    Ack {
        /// Its number
        #[arg(value_name = "ID")]
        id: i64,
        /// What you know or do
        text: Vec<String>,
    },
    /// Say that an incident is over
    Resolve {
        /// Its number
        #[arg(value_name = "ID")]
        id: i64,
        /// What you did
        text: Vec<String>,
    },
    /// Write something into an incident's time line
    Note {
        /// Its number
        #[arg(value_name = "ID")]
        id: i64,
        /// What
        #[arg(required = true)]
        text: Vec<String>,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum Silence {
    /// Tell nobody of incidents that match, for a while
    Add(SilenceAddArgs),
    /// List silences, with those that are over
    List,
    /// End silences at once
    Remove {
        /// Numbers, as listed
        #[arg(required = true, value_name = "ID")]
        ids: Vec<i64>,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct SilenceAddArgs {
    /// What to match: LABEL=VALUE or LABEL!=VALUE, with * for any text, as in host=web-* or culprit=java; all must match
    #[arg(required = true, value_name = "MATCHER")]
    pub matchers: Vec<String>,
    /// How long, 1m to 365d
    #[arg(long = "for", value_parser = parse_duration, value_name = "DURATION")]
    pub duration: Duration,
    /// Why, for whoever finds it
    #[arg(long)]
    pub reason: String,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Notify {
    /// Send a test message to a receiver
    Test {
        /// Its name in the controller's configuration
        receiver: String,
    },
}

/// Which messages to list.
#[derive(Clone, Debug, clap::Args)]
pub struct NotificationsArgs {
    /// Only to this receiver
    #[arg(long)]
    pub receiver: Option<String>,
    /// Only in this state
    #[arg(long, value_enum)]
    pub state: Option<NotificationStateChoice>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// States of a message, as the API names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NotificationStateChoice {
    Pending,
    Delivered,
    Failed,
}

impl NotificationStateChoice {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}
