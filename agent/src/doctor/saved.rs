//! Samples that `snapshot` saved: one, several after each other, or a list.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidemark_diagnose::SAMPLES_MAX;
use tidemark_model::host::Capability;
use tidemark_model::{HostAudit, HostFacts, Sample};

use super::{Looked, Source};

/// Larger files are no snapshots.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A sample with the host that it is of.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SavedSample {
    #[serde(flatten)]
    sample: Sample,
    /// Its host; files of older agents have none.
    #[serde(default)]
    host: Option<HostFacts>,
    /// How it is configured, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audit: Option<HostAudit>,
}

/// What a file may hold.
#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    One(Box<SavedSample>),
    Several(Vec<SavedSample>),
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The system does not let it be read.
    #[error("{path} cannot be read", path = .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large.
    #[error(
        "{path} is larger than {} MiB: no snapshot is",
        BYTES_MAX / 1_048_576,
        path = .path.display()
    )]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error(
        "{path} holds no snapshot: save one with `tidemark-agent snapshot -o json > FILE`",
        path = .path.display()
    )]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What the parser says.
        source: Option<serde_json::Error>,
    },
}

/// The JSON that `snapshot` prints: the sample, the host that it is of, and how that is configured.
///
/// # Errors
/// Never, as far as is known; serialising is fallible by its type.
pub fn saved_snapshot(
    sample: Sample,
    host: HostFacts,
    audit: Option<HostAudit>,
) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&SavedSample {
        sample,
        host: Some(host),
        audit,
    })
}

/// Reads a saved snapshot.
///
/// # Errors
/// [`SavedError`] when the file cannot be read, is too large, or is none.
pub fn read_samples(path: &Path) -> Result<Looked, SavedError> {
    let read = |source| SavedError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(read)?;
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(read)?;
    if text.len() as u64 > BYTES_MAX {
        let path = path.to_owned();
        return Err(SavedError::TooLarge { path });
    }
    let invalid = |source| SavedError::Invalid {
        path: path.to_owned(),
        source,
    };
    let mut saved = Vec::new();
    for document in serde_json::Deserializer::from_slice(&text).into_iter() {
        match document.map_err(|error| invalid(Some(error)))? {
            Document::One(one) => saved.push(*one),
            Document::Several(several) => saved.extend(several),
        }
    }
    if saved.is_empty() {
        return Err(invalid(None));
    }
    Ok(looked(saved))
}

fn looked(saved: Vec<SavedSample>) -> Looked {
    let host = saved.iter().rev().find_map(|saved| saved.host.clone());
    let mut looked = match &host {
        Some(host) => Looked::nothing(&host.name, &host.os, Source::Snapshot),
        None => Looked::nothing("unknown host", guessed_os(&saved), Source::Snapshot),
    };
    looked.situation.capabilities = match host {
        Some(host) => host.sees(),
        None => guessed_capabilities(&saved),
    };
    looked.situation.capabilities.remove(&Capability::Events);
    looked.situation.audit = saved.iter().rev().find_map(|saved| saved.audit.clone());
    let kept = saved.len().saturating_sub(SAMPLES_MAX);
    looked.situation.samples = saved.into_iter().skip(kept).map(|s| s.sample).collect();
    looked
}

/// Only Windows writes paths like `C:\...` and names like `x.exe`.
fn guessed_os(saved: &[SavedSample]) -> &'static str {
    let spaces = saved.iter().flat_map(|saved| &saved.sample.port_spaces);
    let mut owners = spaces.flat_map(|space| &space.owners);
    let is_windows = owners.any(|owner| {
        let path = owner.process.executable.as_deref().unwrap_or("");
        path.contains('\\') || owner.process.name.to_lowercase().ends_with(".exe")
    });
    if is_windows { "Windows" } else { "Linux" }
}

fn guessed_capabilities(saved: &[SavedSample]) -> std::collections::BTreeSet<Capability> {
    let spaces = saved.iter().flat_map(|saved| &saved.sample.port_spaces);
    let mut bound = spaces.map(|space| space.bound);
    bound
        .any(|bound| bound.is_some())
        .then_some(Capability::BoundSockets)
        .into_iter()
        .collect()
}
