//! The grammar of users and their sessions.

use std::path::PathBuf;

use clap::Subcommand;

use tidemark_model::scope::ScopeMatchers;

use super::Role;
use super::api_tokens::parse_scope;

/// What to do with users.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Make a user with a first password
    #[command(
        after_help = "Examples: tidemark user create ann --role approver\n          \
                                tidemark user create kim --role operator --scope team=payments,env=prod\n          \
                                tidemark user create ann --role viewer --password-file FILE"
    )]
    Create {
        /// Their name: 1 to 64 of a-z, 0-9 and . - _ @ +; what they do is written down under it
        name: String,
        /// What they may do
        #[arg(long, value_enum)]
        role: Role,
        /// The hosts that they may see and act on, by labels that the controller holds; without it, as many as you
        #[arg(long, value_parser = parse_scope, value_name = "KEY=VALUE,...")]
        scope: Option<ScopeMatchers>,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List users
    List,
    /// Show a user
    Show {
        /// Name, as listed
        name: String,
    },
    /// Give a user another role; a lower one holds at once
    #[command(after_help = "Example: tidemark user set-role ann operator")]
    SetRole {
        /// Name, as listed
        name: String,
        /// What they may do
        #[arg(value_enum)]
        role: Role,
    },
    /// Give a user other hosts to see and act on; open pages follow within 5 s
    #[command(
        after_help = "Examples: tidemark user set-scope ann team=payments,env=prod\n          \
                                tidemark user set-scope ann --all"
    )]
    SetScope {
        /// Name, as listed
        name: String,
        /// The hosts, by labels that the controller holds
        #[arg(value_parser = parse_scope, value_name = "KEY=VALUE,...", required_unless_present = "all")]
        scope: Option<ScopeMatchers>,
        /// All hosts
        #[arg(long, conflicts_with = "scope")]
        all: bool,
    },
    /// Shut users out; their browsers and command lines are out within 5 s
    Disable {
        /// Names, as listed
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Let users in again who were disabled
    Enable {
        /// Names, as listed
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Take the passwords again of users who are locked after failed sign-ins
    Unlock {
        /// Names, as listed
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Change the own password, or give another user one; whatever else is signed in as them ends
    #[command(after_help = "Examples: tidemark user set-password\n          \
                                tidemark user set-password ann --password-file FILE")]
    SetPassword {
        /// Whose; the own one without it
        name: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
        /// File with the password that is changed, when it is the own one
        #[arg(long, value_name = "FILE", conflicts_with = "name")]
        current_password_file: Option<PathBuf>,
    },
    /// Delete users with their sessions and the tokens of their sign-ins
    Delete {
        /// Names, as listed
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// What to do with browsers that are signed in.
#[derive(Debug, Subcommand)]
pub enum Session {
    /// List browsers that are signed in: the own ones, and everybody's for an admin
    List {
        /// Only of this user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Sign browsers out; they are out within 5 s
    End {
        /// Public ids, as listed
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// Where a password comes from; never from the command line, which others can see.
#[derive(Clone, Debug, clap::Args)]
pub struct PasswordArgs {
    /// File with the password in its first line, `-` for standard input; without it the password is asked for
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}
