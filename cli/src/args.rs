//! The command line's grammar. What the commands do is not here.

mod actions;
mod api_tokens;
mod apply;
mod audit;
mod budgets;
mod check;
mod grants;
mod history;
mod incidents;
mod install;
mod keys;
mod label;
mod lockdown;
mod policies;
mod releases;
mod runs;
mod users;
mod windows;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use tidemark_model::duration::parse_duration;

use crate::since::Moment;

pub use actions::{Action, ActionsArgs, ProposeArgs, WordArgs};
pub use api_tokens::{ApiToken, Role};
pub use apply::ApplyArgs;
pub use audit::{Audit, AuditListArgs, AuditVerifyArgs};
pub use budgets::{Budget, BudgetsArgs};
pub use check::{CheckArgs, Part, asks_for_check};
pub use grants::{Grant, NewGrantArgs};
pub use history::{CompareArgs, ForecastArgs, HistoryArgs, SeriesArgs};
pub use incidents::{Incident, IncidentsArgs, NotificationsArgs, Notify, Silence, SilenceAddArgs};
pub use install::InstallArgs;
pub use keys::{Key, PassphraseArgs, RevokeKeyArgs, RotateArgs, TokenArgs};
pub use label::{LabelArgs, LabelChange};
pub use lockdown::Lockdown;
pub use policies::Policy;
pub use releases::{MakeReleaseArgs, Release, StartUpgradeArgs, Upgrade};
pub use runs::{PlanArgs, Run, RunWordArgs, RunsArgs};
pub use users::{PasswordArgs, Session, User};
pub use windows::Window;

/// Watches the high-water mark of every server's TCP and UDP ports.
#[derive(Debug, Parser)]
#[command(
    name = "tidemark",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 partly done, 4 refused by policy."
)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Controller to ask, by the name it was logged in with
    #[arg(long, global = true, env = "TIDEMARK_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Controller to ask, by address, as in https://HOST:7080
    #[arg(long, global = true, env = "TIDEMARK_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// File with the API token; `-` reads it from standard input
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// PEM file with the only authorities to trust for an https server
    #[arg(long, global = true, env = "TIDEMARK_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// How to print
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Print again as it changes, until Ctrl-C
    #[arg(short, long, global = true)]
    pub watch: bool,
    /// No colours, also with NO_COLOR
    #[arg(long, global = true)]
    pub no_color: bool,
    /// How long to wait for an answer
    #[arg(long, global = true, default_value = "30s", value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Duration,
    /// Take this as the time, in unix milliseconds
    #[arg(
        long,
        global = true,
        hide = true,
        env = "TIDEMARK_NOW_MS",
        value_name = "MS"
    )]
    pub now_ms: Option<i64>,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    Table,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
    /// Comma-separated values, safe to open in a spreadsheet
    Csv,
    /// A chart drawn with characters (history, forecast, compare)
    Chart,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List hosts, incidents, findings, actions, policies, budgets, windows, runs, events, changed settings, messages, users or tokens
    #[command(subcommand)]
    Get(Get),
    /// Show everything known of something
    #[command(subcommand)]
    Describe(Describe),
    /// Watch all hosts live, what needs attention first
    Top(TopArgs),
    /// Show a metric over time
    History(HistoryArgs),
    /// Show when ports run out, soonest first
    Forecast(ForecastArgs),
    /// Compare a metric with the same time before
    Compare(CompareArgs),
    /// Acknowledge, resolve or annotate an incident
    #[command(subcommand)]
    Incident(Incident),
    /// Make, list and end silences
    #[command(subcommand)]
    Silence(Silence),
    /// Try the way to a receiver
    #[command(subcommand)]
    Notify(Notify),
    /// Apply files with budgets, policies or maintenance windows
    Apply(ApplyArgs),
    /// Delete budgets
    #[command(subcommand)]
    Budget(Budget),
    /// Show what standing policies would have done, and delete them
    #[command(subcommand)]
    Policy(Policy),
    /// Sign beforehand what standing policies may do on hosts that list keys, and withdraw it
    #[command(subcommand)]
    Grant(Grant),
    /// Make, sign, bring and delete releases of the agent
    #[command(subcommand)]
    Release(Release),
    /// Roll a release of the agent out over hosts, ring after ring
    #[command(subcommand)]
    Upgrade(Upgrade),
    /// Show when maintenance windows come, and delete them
    #[command(subcommand)]
    Window(Window),
    /// Check a host for Nagios or Icinga: a line with performance data, and 0 ok, 1 warning, 2 critical, 3 unknown
    Check(CheckArgs),
    /// Ask for actions on hosts, approve, reject, cancel and sign them
    #[command(subcommand)]
    Action(Action),
    /// Plan maintenance runs over many hosts, approve and stop them
    #[command(subcommand)]
    Run(Run),
    /// Make, list and show signing keys of this machine; rotate and revoke them on hosts
    #[command(subcommand)]
    Key(Key),
    /// Stop every action everywhere, and let them go on
    #[command(subcommand)]
    Lockdown(Lockdown),
    /// Show who did what, and verify that the log of it is as it was written
    #[command(subcommand)]
    Audit(Audit),
    /// Make, list, disable and delete users: who may sign in
    #[command(subcommand)]
    User(User),
    /// List browsers that are signed in, and sign them out
    #[command(subcommand)]
    Session(Session),
    /// Show who you are to the controller, and what you may do
    Whoami,
    /// Make, list and revoke API tokens: who may use this controller
    #[command(subcommand)]
    ApiToken(ApiToken),
    /// Make a join token and print the exact lines that install agents with it
    Install(InstallArgs),
    /// Make, list and revoke join tokens
    #[command(subcommand)]
    Token(Token),
    /// Set and take away labels that the controller holds of a host: scopes choose by them
    Label(LabelArgs),
    /// Shut a host out for good
    #[command(subcommand)]
    Revoke(Revoke),
    /// Show how the controller is
    Status,
    /// Remember a controller and a token for it
    Login(LoginArgs),
    /// Show and choose among remembered controllers
    #[command(subcommand)]
    Context(ContextCommand),
    /// Print a completion script for a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command
    Man {
        /// Into this folder
        folder: PathBuf,
    },
    /// Print the version, and the controller's when it answers
    Version,
}

#[derive(Debug, Subcommand)]
pub enum Get {
    /// Hosts with their headroom and when their ports run out
    #[command(visible_alias = "host")]
    Hosts(HostsArgs),
    /// What happened, newest first
    #[command(visible_alias = "event")]
    Events(EventsArgs),
    /// What changed of hosts' configuration, newest first
    Drift(DriftArgs),
    /// What is wrong on which host, why, and what to do
    #[command(visible_alias = "finding")]
    Findings {
        /// Names or ids; none means all hosts
        #[arg(value_name = "HOST")]
        hosts: Vec<String>,
    },
    /// What leaking hosts have in common
    #[command(visible_alias = "cause")]
    Causes,
    /// What operators are told about, newest first
    #[command(visible_alias = "incident")]
    Incidents(IncidentsArgs),
    /// Actions, newest first
    #[command(visible_alias = "action")]
    Actions(ActionsArgs),
    /// Which actions have worked, on what, for how long
    Recoveries,
    /// Whose signatures hosts take, on how many of them, and who uses which
    #[command(visible_alias = "key")]
    Keys,
    /// What was signed about keys, and what hosts made of it
    #[command(visible_alias = "key-statement")]
    KeyStatements,
    /// What is asked for by itself when, and what came of it
    #[command(visible_alias = "policy")]
    Policies,
    /// What hosts may do without a signature of its own, for which policy, until when
    #[command(visible_alias = "grant")]
    Grants,
    /// Releases of the agent, the highest number first
    #[command(visible_alias = "release")]
    Releases,
    /// Roll-outs of releases, newest first
    #[command(visible_alias = "upgrade")]
    Upgrades,
    /// What may be held of hosts' ports, and how hosts stand to it
    #[command(visible_alias = "budget")]
    Budgets(BudgetsArgs),
    /// Maintenance windows, and hosts that will not last until theirs
    #[command(visible_alias = "window")]
    Windows,
    /// Maintenance runs, newest first
    #[command(visible_alias = "run")]
    Runs(RunsArgs),
    /// When nobody is told of what
    #[command(visible_alias = "silence")]
    Silences,
    /// Who is told of incidents, and how their messages fare
    #[command(visible_alias = "receiver")]
    Receivers,
    /// Messages to receivers, newest first
    #[command(visible_alias = "notification")]
    Notifications(NotificationsArgs),
    /// Join tokens, without their secrets
    #[command(visible_alias = "token")]
    Tokens,
    /// Users
    #[command(visible_alias = "user")]
    Users,
    /// Browsers that are signed in
    #[command(visible_alias = "session")]
    Sessions,
    /// API tokens, without their secrets
    #[command(visible_alias = "api-token")]
    ApiTokens,
}

/// Which hosts to list.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct HostsArgs {
    /// Only hosts whose name contains this
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Only hosts in this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Only hosts with this label; repeat it for more
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<Label>,
    /// Order of the list
    #[arg(long, value_enum, default_value_t = Order::Name)]
    pub sort: Order,
    /// A row for every port space instead of the worst of each host
    #[arg(long)]
    pub all_spaces: bool,
}

/// States of a host, as the API names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    Online,
    Stale,
    Offline,
    Quarantined,
    Revoked,
}

impl State {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Stale => "stale",
            Self::Offline => "offline",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
        }
    }
}

/// In which order hosts are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Ports run out soonest, then least headroom
    #[default]
    Eta,
    /// Least headroom, as a share, first
    Headroom,
    /// By name
    Name,
}

/// A label to filter by or to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub key: String,
    pub value: String,
}

fn parse_label(text: &str) -> Result<Label, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok(Label {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
        Some(_) | None => Err("a label is written KEY=VALUE".to_owned()),
    }
}

/// Which changes of hosts' configuration to list.
#[derive(Clone, Debug, clap::Args)]
pub struct DriftArgs {
    /// Only of this host, by name or id
    #[arg(value_name = "HOST")]
    pub host: Option<String>,
    /// Only since: 14d, 1h or 2026-11-20T10:00
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Moment>,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "COUNT")]
    pub limit: u32,
}

/// Which events to list.
#[derive(Clone, Debug, clap::Args)]
pub struct EventsArgs {
    /// Only of this host, by name or id
    #[arg(long)]
    pub host: Option<String>,
    /// Only of this kind, as in host_rebooted
    #[arg(long)]
    pub kind: Option<String>,
    /// What that host's event log and agent reported, with the record of each
    #[arg(long, requires = "host", conflicts_with = "kind")]
    pub log: bool,
    /// Only of this source of the log, as in Tcpip
    #[arg(long, requires = "log")]
    pub source: Option<String>,
    /// Only of this event id in its source, as in 4231
    #[arg(long, requires = "log")]
    pub code: Option<u32>,
    /// Only since: 14d, 1h or 2026-11-20T10:00
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Moment>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

#[derive(Debug, Subcommand)]
pub enum Describe {
    /// A host: identity, delivery, port spaces, who holds the ports
    Host {
        /// Names or ids
        #[arg(required = true, value_name = "HOST")]
        hosts: Vec<String>,
    },
    /// An action: where it stands, who approved it, what its host says, every step of its life
    Action {
        /// Its id, as listed
        #[arg(value_name = "ID")]
        id: String,
    },
    /// A budget: what it allows, how each host stands to it, who changed what
    Budget {
        /// Its name, as listed
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// A standing policy: what it says, what it does on which host, who applied what
    Policy {
        /// Its name, as listed
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// A grant: what was signed, and on which hosts it holds
    Grant {
        /// Its id, as listed
        #[arg(value_name = "ID")]
        id: String,
    },
    /// A roll-out of a release: how far each host is, and why
    Upgrade {
        /// Its number, as listed
        #[arg(value_name = "NUMBER")]
        number: i64,
    },
    /// A maintenance window: when it comes, for whom, who applied what
    Window {
        /// Its name, as listed
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// A maintenance run: its plan, its waves, its hosts, every step of its life
    Run {
        /// Its number, as listed
        #[arg(value_name = "RUN")]
        number: i64,
    },
    /// An incident: host, cause, figures, what to do, its time line
    Incident {
        /// Its number, as listed
        #[arg(value_name = "ID")]
        id: i64,
    },
}

/// How `top` starts.
#[derive(Clone, Debug, clap::Args)]
pub struct TopArgs {
    /// Order of the rows
    #[arg(long, value_enum, default_value_t = Order::Eta)]
    pub sort: Order,
    /// Only hosts whose name, label, culprit or state contains this
    #[arg(long, default_value = "")]
    pub filter: String,
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a join token and print how to install an agent with it
    Create(TokenCreateArgs),
    /// List join tokens, without their secrets
    List,
    /// End join tokens before their time
    Revoke {
        /// Public ids, as listed
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct TokenCreateArgs {
    /// How long it may be used, 1m to 30d
    #[arg(long, default_value = "1h", value_parser = parse_duration, value_name = "DURATION")]
    pub ttl: Duration,
    /// How many hosts may enrol with it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub uses: u32,
    /// Label for the hosts that enrol with it; repeat it for more
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<Label>,
}

#[derive(Debug, Subcommand)]
pub enum Revoke {
    /// Shut hosts out: their agents cannot come back without a new identity
    Host {
        /// Names or ids
        #[arg(required = true, value_name = "HOST")]
        hosts: Vec<String>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// `login` takes its server, token and name from the global options.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Example: tidemark login --server https://tidemark.example:7080 --token-file token.txt --context prod\n\
                        Without --token-file the token is asked for, or read from standard input.\n\
                        Or by name and password: tidemark login --server https://tidemark.example:7080 --user ann"
)]
pub struct LoginArgs {
    /// Sign in as this user, by password; the token that this makes ends after 12 h
    #[arg(long, value_name = "NAME", conflicts_with_all = ["token_file", "offline"])]
    pub user: Option<String>,
    /// File with the user's password in its first line, `-` for standard input; without it the password is asked for
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// Remember it without asking the controller whether it accepts the token
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List the remembered controllers
    List,
    /// Choose the controller for commands to come
    Use {
        /// Name, as listed
        name: String,
    },
    /// Show which controller would be asked
    Show,
}
