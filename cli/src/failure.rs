//! Everything that can go wrong for an operator: what happened, what to do next, and the exit code.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tidemark_model::duration::format_duration;
use tidemark_model::install::NoLines;
use tidemark_model::view::Problem;
use tidemark_runtime::contexts::ContextsError;

use crate::keys::KeyError;
use crate::render::text::visible;

/// Why a command did not do what was asked. The exit codes are 1 failed, 2 usage, 3 partly done, 4 refused by policy;
/// a reader that went away is no failure.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The reader of the output is gone, as with `| head`.
    #[error("the reader of the output is gone")]
    PipeClosed,
    /// The command line asks for something that makes no sense.
    #[error("{message}")]
    Usage {
        /// What, and what would.
        message: String,
    },
    /// No controller is configured.
    #[error("no controller is known")]
    NoContext,
    /// A context was named that does not exist.
    #[error("there is no context `{name}`")]
    UnknownContext {
        /// The name.
        name: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// The contexts file.
    #[error(transparent)]
    Contexts(#[from] ContextsError),
    /// A signing key of this machine.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file that the command line or a context names.
    #[error("cannot read the {what} {}", path.display())]
    File {
        /// What it is for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What the controller answered cannot stand in lines that somebody pastes.
    #[error("there are no lines for the join token {}", visible(token))]
    NoLines {
        /// Its public id.
        token: String,
        /// Why not.
        #[source]
        source: NoLines,
    },
    /// An audit log is not as it was written.
    #[error("the audit log is not as it was written: {0}")]
    Tampered(String),
    /// The local system.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No connection.
    #[error("cannot reach the controller at {server}")]
    Unreachable {
        /// Where it was looked for.
        server: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("the controller at {server} did not answer within {}", format_duration(*waited))]
    TimedOut {
        /// Which one.
        server: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The server's address or certificates are unusable.
    #[error("the address or the certificates for {server} are unusable")]
    Unusable {
        /// Which one.
        server: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// 401.
    #[error("the controller at {server} does not accept this {}", .sent.what())]
    Unauthenticated {
        /// Which one.
        server: String,
        /// Whether a token was sent.
        sent: TokenSent,
    },
    /// 403: known, but not allowed.
    #[error("refused: {}", visible(&.0.title))]
    Refused(Problem),
    /// 404 for a host.
    #[error("there is no host `{}`", visible(name))]
    UnknownHost {
        /// What was asked for.
        name: String,
        /// Names that are like it, most alike first.
        nearest: Vec<String>,
    },
    /// Any other problem that the controller reports.
    #[error("{}", visible(&.0.title))]
    Problem(Problem),
    /// Something answered, but not as this version of the API does.
    #[error(
        "{server} does not answer like a Tidemark controller of this version: {}",
        visible(detail)
    )]
    NotUnderstood {
        /// Which server.
        server: String,
        /// What was odd.
        detail: String,
    },
    /// Some of several things were done.
    #[error("{done} of {total} done")]
    Partly {
        /// How many succeeded.
        done: usize,
        /// How many were asked for.
        total: usize,
        /// Those that did not.
        failures: Vec<Failure>,
    },
}

/// Whether a request carried a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSent {
    /// It did.
    Yes,
    /// There was none.
    No,
    /// A name and a password were sent instead.
    Password,
}

impl TokenSent {
    /// What was not accepted.
    const fn what(self) -> &'static str {
        match self {
            Self::Yes | Self::No => "token",
            Self::Password => "name and password",
        }
    }

    /// What to do when it was not accepted.
    fn hints(self, server: &str) -> Vec<String> {
        match self {
            Self::Yes => vec![format!(
                "log in again: tidemark login --server {server} --token-file FILE"
            )],
            Self::No => vec![
                format!("log in: tidemark login --server {server} --token-file FILE"),
                "or give a token for this command: --token-file FILE".to_owned(),
            ],
            Self::Password => vec![
                "one of them is wrong, or the user is disabled, or locked for some minutes after failures".to_owned(),
                "an admin sees which, and unlocks: tidemark user show NAME, tidemark user unlock NAME".to_owned(),
            ],
        }
    }
}

impl Failure {
    /// Whether the controller says that it cannot tell for the moment.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 503)
    }

    /// Whether the controller says that there is no such thing.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 404)
    }

    /// A usage error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
        }
    }

    /// An error of the output; a reader that went away is told apart.
    pub fn of_output(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            Self::PipeClosed
        } else {
            Self::Io {
                action: "write the output",
                source,
            }
        }
    }

    /// The last cause in the chain: libraries wrap "connection refused" into layers that say nothing.
    pub fn root_cause(&self) -> Option<String> {
        let mut cause = std::error::Error::source(self)?;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Some(cause.to_string())
    }

    /// What the process ends with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::PipeClosed => 0,
            Self::Usage { .. } => 2,
            Self::Partly { .. } => 3,
            Self::Refused(_) => 4,
            Self::NoContext
            | Self::UnknownContext { .. }
            | Self::Contexts(_)
            | Self::Key(_)
            | Self::File { .. }
            | Self::NoLines { .. }
            | Self::Tampered(_)
            | Self::Io { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Unusable { .. }
            | Self::Unauthenticated { .. }
            | Self::UnknownHost { .. }
            | Self::Problem(_)
            | Self::NotUnderstood { .. } => 1,
        }
    }

    /// Whether the same request may succeed later: what `--watch` waits out.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::PipeClosed
            | Self::Usage { .. }
            | Self::Partly { .. }
            | Self::Refused(_)
            | Self::NoContext
            | Self::UnknownContext { .. }
            | Self::Contexts(_)
            | Self::Key(_)
            | Self::File { .. }
            | Self::NoLines { .. }
            | Self::Tampered(_)
            | Self::Io { .. }
            | Self::Unusable { .. }
            | Self::Unauthenticated { .. }
            | Self::UnknownHost { .. }
            | Self::NotUnderstood { .. } => false,
        }
    }

    /// What to do next, one line each; empty when the error says it all.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoContext => vec![
                "start one on this machine: tidemark-controller up".to_owned(),
                "or log in to one: tidemark login --server https://HOST:7080 --token-file FILE"
                    .to_owned(),
            ],
            Self::UnknownContext { known, .. } if known.is_empty() => Self::NoContext.hints(),
            Self::UnknownContext { known, .. } => {
                vec![format!("known contexts: {}", known.join(", "))]
            }
            Self::Unreachable { server, .. } => vec![
                format!(
                    "is the controller running, and is {server} its address? start one here: tidemark-controller up"
                ),
                "see which controller is asked: tidemark context show".to_owned(),
            ],
            Self::TimedOut { .. } => {
                vec!["ask for less, or wait longer with --timeout 2m".to_owned()]
            }
            Self::Unauthenticated { server, sent } => sent.hints(server),
            Self::UnknownHost { nearest, .. } if nearest.is_empty() => {
                vec!["see which hosts there are: tidemark get hosts".to_owned()]
            }
            Self::UnknownHost { nearest, .. } => {
                let names: Vec<_> = nearest.iter().map(|name| visible(name)).collect();
                vec![format!("did you mean {}?", names.join(" or "))]
            }
            Self::Problem(Problem {
                correlation_id: Some(id),
                ..
            }) => {
                vec![format!(
                    "the controller's log has the details under {}",
                    visible(id)
                )]
            }
            Self::Problem(problem) if self.is_passing() => {
                vec![format!(
                    "the controller is busy or starting (HTTP {}); try again soon",
                    problem.status
                )]
            }
            Self::NoLines { token, .. } => {
                vec![format!("end the token: tidemark token revoke {}", visible(token))]
            }
            Self::Unusable { .. } => vec![
                "say whom to trust with --ca-file, or install the system's authorities (on Debian: ca-certificates)"
                    .to_owned(),
            ],
            Self::NotUnderstood { .. } => {
                vec!["check the address, and compare the versions: tidemark version".to_owned()]
            }
            Self::PipeClosed
            | Self::Usage { .. }
            | Self::Partly { .. }
            | Self::Refused(_)
            | Self::Contexts(_)
            | Self::Key(_)
            | Self::File { .. }
            | Self::Tampered(_)
            | Self::Io { .. }
            | Self::Problem(_) => Vec::new(),
        }
    }
}
