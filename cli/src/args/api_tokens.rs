//! The grammar of API tokens.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use tidemark_model::duration::parse_duration;
use tidemark_model::scope::{InvalidScope, ScopeMatchers};

/// What to do with API tokens.
#[derive(Debug, Subcommand)]
pub enum ApiToken {
    /// Make an API token; it is shown this once
    #[command(
        after_help = "Example: tidemark api-token create ann --role approver --ttl 90d\n\
                            Example: tidemark api-token create pay-team --role operator --scope team=payments,env=prod\n\
                            Whoever holds two tokens of one name counts as one person: nobody approves what they asked for."
    )]
    Create {
        /// Whose it is; what they do is written down under this name
        name: String,
        /// What they may do
        #[arg(long, value_enum)]
        role: Role,
        /// How long it may be used, 1m to 365d; without it, until it is revoked
        #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
        ttl: Option<Duration>,
        /// The hosts that they may see and act on, by labels of join tokens; without it, as many as you
        #[arg(long, value_parser = parse_scope, value_name = "KEY=VALUE,...")]
        scope: Option<ScopeMatchers>,
    },
    /// List API tokens, without their secrets
    List,
    /// End API tokens; their next request is refused
    Revoke {
        /// Public ids, as listed
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// Reads a scope as it is typed.
pub fn parse_scope(text: &str) -> Result<ScopeMatchers, InvalidScope> {
    text.parse()
}

/// What the holder of a token may do, each with what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// See everything
    Viewer,
    /// Acknowledge, ask for actions, apply files
    Operator,
    /// Approve what others ask for
    Approver,
    /// Make tokens, shut hosts out, lift a lockdown
    Admin,
}

impl From<Role> for tidemark_model::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Operator => Self::Operator,
            Role::Approver => Self::Approver,
            Role::Admin => Self::Admin,
        }
    }
}
