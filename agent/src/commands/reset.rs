//! `tidemark-agent reset-identity`: forgets who this host is, as after cloning its disk.

use anyhow::{Context as _, bail};
use clap::Args;
use tidemark_runtime::Outcome;

use super::lock::DataLock;
use super::{SettingsArgs, print};
use crate::checkpoints::CheckpointBook;
use crate::identity::Vault;
use crate::incarnation::IncarnationBook;

#[derive(Args, Clone, Debug)]
pub(super) struct ResetArgs {
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &ResetArgs) -> anyhow::Result<Outcome> {
    let config = args.settings.load()?;
    let _lock = DataLock::take(&config.data_dir)?;
    let folder = config.identity_dir();
    let shown = match Vault::open(&folder) {
        Ok(None) => return print("this host has no identity\n"),
        Ok(Some(vault)) => vault.identity().host_id().to_string(),
        Err(error) => format!("unknown ({error})"),
    };
    if !args.yes {
        bail!(
            "this forgets the identity of host {shown} for good: its history stays with the old id, and it needs a new \
             join token; add --yes to do it"
        );
    }
    Vault::reset(&folder)?;
    CheckpointBook::forget(&folder)
        .context("what this host saw of the audit log is not forgotten")?;
    IncarnationBook::forget(&folder)
        .context("what this host saw of its fleet's incarnation is not forgotten")?;
    print(&format!(
        "the identity of host {shown} is forgotten; enrol again with a new token (`tidemark token create`)\n"
    ))
}
