//! `ready.json` in the data folder: there while everything answers, for scripts.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use tidemark_runtime::durable::{self, Access};

use super::agent::LocalAgent;
use crate::boot::{Started, reachable};

const FILE: &str = "ready.json";

/// Writes the file. It holds a sign-in link, so only its owner may read it.
pub(super) fn write(
    data_dir: &Path,
    started: &Started,
    sign_in: &str,
    local: Option<&LocalAgent>,
) -> anyhow::Result<()> {
    let content = serde_json::json!({
        "pid": std::process::id(),
        "http": format!("http://{}", reachable(started.http)),
        "grpc": reachable(started.grpc).to_string(),
        "sign_in": sign_in,
        "context": super::context::NAME,
        "agent_pid": local.and_then(LocalAgent::pid),
        "started_ms": started.app.started_at.unix_ms(),
    });
    let path = data_dir.join(FILE);
    durable::replace_file(&path, format!("{content:#}\n").as_bytes(), Access::Owner)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Removes it: nothing answers any more, or not yet.
pub(super) fn remove(data_dir: &Path) -> anyhow::Result<()> {
    let path = data_dir.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
