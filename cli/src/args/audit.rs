//! The grammar of the audit log.

use std::path::PathBuf;

use clap::Subcommand;
use tidemark_model::audit_log::LogKey;

use crate::since::Moment;

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List who did what, newest first
    List(AuditListArgs),
    /// Show everything about one entry
    Show {
        /// Its number, as listed
        seq: u64,
    },
    /// Follow the whole log and hold it against signed checkpoints: exits 1 and names the entry when it is not as it was
    /// written
    #[command(
        after_help = "Examples:\n  tidemark audit verify --witnesses\n  tidemark audit verify --file export.jsonl --checkpoint note.txt --key KEY"
    )]
    Verify(AuditVerifyArgs),
    /// Write the log word for word, one entry a line
    Export {
        /// Into this file, which must not be there yet; standard output without it
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Only entries after this one
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
    },
    /// Print the key that verifies checkpoints; with --checkpoint the newest checkpoint instead
    Key {
        /// The newest signed checkpoint, to be kept elsewhere
        #[arg(long)]
        checkpoint: bool,
    },
}

/// Which entries to list.
#[derive(Debug, clap::Args)]
pub struct AuditListArgs {
    /// Only deeds of whoever is called so
    #[arg(long, value_name = "NAME")]
    pub who: Option<String>,
    /// Only this deed, as in action_approve
    #[arg(long, value_name = "DEED")]
    pub what: Option<String>,
    /// Only what came of it so: done, refused or failed
    #[arg(long)]
    pub outcome: Option<String>,
    /// Only about this host, by name or id
    #[arg(long)]
    pub host: Option<String>,
    /// Only since: 14d, 1h or 2026-11-20T10:00
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Moment>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// What to verify, and against what.
#[derive(Debug, clap::Args)]
pub struct AuditVerifyArgs {
    /// An export instead of the controller's log; nothing is asked of a controller then
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        conflicts_with = "witnesses"
    )]
    pub file: Option<PathBuf>,
    /// A signed checkpoint that was kept elsewhere; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
    /// The key that verifies checkpoints; without it, the one that the controller tells
    #[arg(long, value_name = "KEY")]
    pub key: Option<LogKey>,
    /// Hold the log against what every host witnessed, too
    #[arg(long)]
    pub witnesses: bool,
}
