//! Versions and digests of the executables of processes that hold most ports, and of the agent's own.
//!
//! What was read of a file is kept until the file is another; a reading is bounded in bytes and in time, and comes last in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tidemark_model::Timestamp;
use tidemark_model::audit::{AuditFact, FactKey, FactName, FactState, FactValue};
use tidemark_model::sample::ProcessIdentity;
use tidemark_platform::image::{self, Image, ImageError, ImageFacts, ImageIdentity};
use tidemark_platform::{ReadError, own};
use tokio::time::Instant;

use super::holders::{Holder, Holders};
use crate::session::chain;

/// Bytes that one reading digests; a file that is larger has no digest.
pub const DIGESTED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long one reading of the service digests files.
pub const DIGEST_TIME: Duration = Duration::from_secs(10);
/// How long the first sample is waited for.
const SAMPLE_PATIENCE: Duration = Duration::from_secs(20);
/// Files whose facts are kept, and processes whose files are.
const KEPT_MAX: usize = 256;
/// What the agent is called among processes.
const OWN_NAME: &str = if cfg!(windows) {
    "tidemark-agent.exe"
} else {
    "tidemark-agent"
};

/// What a reading needs: kept from one to the next.
#[derive(Debug)]
pub struct Programs {
    holders: Holders,
    digest_time: Duration,
    /// The processes of the last reading, by name.
    looked_at: Mutex<BTreeMap<Arc<str>, BTreeSet<ProcessKey>>>,
    kept: Mutex<Kept>,
}

/// Number and start of a process.
type ProcessKey = (u32, Timestamp);

/// What earlier readings found.
#[derive(Debug, Default)]
struct Kept {
    files: BTreeMap<ImageIdentity, Known>,
    /// Which file each process runs.
    processes: BTreeMap<ProcessKey, ImageIdentity>,
}

/// What is known of a file.
#[derive(Clone, Debug)]
struct Known {
    facts: ImageFacts,
    digest: FactState,
}

/// Of how much there is left in a reading.
#[derive(Debug)]
struct Budget {
    bytes: u64,
    until: Instant,
}

impl Programs {
    /// Reads the executables of these; a reading digests for `digest_time` at most.
    #[must_use]
    pub fn new(holders: Holders, digest_time: Duration) -> Self {
        Self {
            holders,
            digest_time,
            looked_at: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// Whether a process of a name that was read is another one by now.
    #[must_use]
    pub fn has_restarted(&self) -> bool {
        let looked_at = self
            .looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let newest = self.holders.within(Duration::ZERO).unwrap_or_default();
        newest.iter().any(|holder| {
            let before = looked_at.get(&holder.name);
            before.is_some_and(|before| !holder.keys().is_subset(before))
        })
    }

    /// The facts of the programs; may take long.
    ///
    /// # Errors
    /// When no sample was taken yet.
    pub fn read(&self) -> Result<Vec<AuditFact>, ReadError> {
        let none = || ReadError::System {
            what: "which processes hold ports",
            source: io::Error::other("no sample was taken yet"),
        };
        let holders = self.holders.within(SAMPLE_PATIENCE).ok_or_else(none)?;
        *self
            .looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = holders
            .iter()
            .map(|holder| (Arc::clone(&holder.name), holder.keys()))
            .collect();
        if let Err(error) = own::yield_thread_to_others() {
            tracing::debug!(%error, "executables are read at the usual priority");
        }
        // A reading that was given up may still be at it.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut budget = Budget {
            bytes: DIGESTED_BYTES_MAX,
            until: Instant::now() + self.digest_time,
        };
        let mut facts = Vec::new();
        let is_own = |holder: &Holder| &*holder.name == OWN_NAME;
        for holder in holders.iter().filter(|holder| !is_own(holder)) {
            tell(
                &holder.name,
                &kept.read_all(holder, &mut budget),
                &mut facts,
            );
        }
        let agent = kept.read(image::own(), &mut budget);
        tell(OWN_NAME, &[agent.map(|(_, known)| known)], &mut facts);
        kept.forget(&holders);
        // Names are cut, and two that differ at their ends are one then.
        facts.sort_by(|one, other| one.key.cmp(&other.key));
        facts.dedup_by(|later, first| later.key == first.key);
        Ok(facts)
    }
}

impl Kept {
    /// What the processes of one name run, each file once. Processes that are gone are left out.
    fn read_all(&mut self, holder: &Holder, budget: &mut Budget) -> Vec<Result<Known, ImageError>> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for process in &holder.processes {
            match self.read_process(process, budget) {
                Ok((identity, known)) => {
                    if seen.insert(identity) {
                        found.push(Ok(known));
                    }
                }
                Err(ImageError::Gone) => {}
                Err(error) => found.push(Err(error)),
            }
        }
        found
    }

    fn read_process(
        &mut self,
        process: &ProcessIdentity,
        budget: &mut Budget,
    ) -> Result<(ImageIdentity, Known), ImageError> {
        let key = (process.pid, process.started_at);
        match self.read(image::of_process(process), budget) {
            Ok(found) => {
                self.processes.insert(key, found.0.clone());
                Ok(found)
            }
            // It runs what it ran when its file could still be told.
            Err(ImageError::Replaced) => {
                let before = self.processes.get(&key);
                let known = before.and_then(|identity| {
                    Some((identity.clone(), self.files.get(identity)?.clone()))
                });
                known.ok_or(ImageError::Replaced)
            }
            Err(error) => Err(error),
        }
    }

    fn read(
        &mut self,
        image: Result<Image, ImageError>,
        budget: &mut Budget,
    ) -> Result<(ImageIdentity, Known), ImageError> {
        let image = image?;
        let identity = image.identity();
        // What could not be told is asked for again: a package that was being installed, a file whose turn did not come.
        let before = self.files.get(&identity);
        let facts = before.map(|known| &known.facts);
        let facts = facts.filter(|facts| is_told(&facts.version)).cloned();
        let digest = before.map(|known| &known.digest);
        let digest = digest.filter(|digest| is_told(digest)).cloned();
        let known = Known {
            facts: facts.unwrap_or_else(|| image.facts()),
            digest: digest.unwrap_or_else(|| budget.digest(&image)),
        };
        self.files.insert(identity.clone(), known.clone());
        Ok((identity, known))
    }

    /// Lets go of processes that hold no ports now, and of what no process ran at last, when there is too much.
    fn forget(&mut self, holders: &[Holder]) {
        let listed: BTreeSet<ProcessKey> = holders.iter().flat_map(Holder::keys).collect();
        self.processes.retain(|process, _| listed.contains(process));
        if self.files.len() > KEPT_MAX {
            let run: BTreeSet<&ImageIdentity> = self.processes.values().collect();
            self.files.retain(|identity, _| run.contains(identity));
        }
    }
}

impl Holder {
    fn keys(&self) -> BTreeSet<ProcessKey> {
        let processes = self.processes.iter();
        processes
            .map(|process| (process.pid, process.started_at))
            .collect()
    }
}

/// Whether a second look would say the same.
const fn is_told(state: &FactState) -> bool {
    !matches!(state, FactState::Unknown(_))
}

impl Budget {
    fn digest(&mut self, image: &Image) -> FactState {
        let size_bytes = image.size_bytes();
        if size_bytes > DIGESTED_BYTES_MAX {
            return FactState::unknown(&format!(
                "its file has {size_bytes} bytes; files of up to {DIGESTED_BYTES_MAX} are digested"
            ));
        }
        if size_bytes > self.bytes {
            return FactState::unknown("its turn did not come in this reading");
        }
        self.bytes -= size_bytes;
        match sha256(image.file(), self.until) {
            Ok(Some(digest)) => FactState::Known(FactValue::text(&digest)),
            Ok(None) => FactState::unknown("there was no time left for it in this reading"),
            Err(error) => FactState::unknown(&format!("its file cannot be read: {error}")),
        }
    }
}

/// SHA-256 of a file in hexadecimal; `None` when there was no time for all of it.
fn sha256(mut file: &File, until: Instant) -> io::Result<Option<String>> {
    file.seek(SeekFrom::Start(0))?;
    // Should it grow meanwhile, its size is not what was counted.
    let mut file = file.take(DIGESTED_BYTES_MAX);
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(buffer.get(..read).unwrap_or_default());
        if Instant::now() >= until {
            return Ok(None);
        }
    }
    Ok(Some(HEXLOWER.encode(&digest.finalize())))
}

/// The facts of the files that processes of one name run. A name whose processes are all gone is not told.
fn tell(name: &str, files: &[Result<Known, ImageError>], facts: &mut Vec<AuditFact>) {
    if files.is_empty() {
        return;
    }
    let states = |of: fn(&Known) -> Option<&FactState>| -> Vec<FactState> {
        let state = |file: &Result<Known, ImageError>| match file {
            Ok(known) => of(known).cloned(),
            Err(error) => Some(FactState::unknown(&chain(error))),
        };
        files.iter().filter_map(state).collect()
    };
    let versions = states(|known| Some(&known.facts.version));
    let digests = states(|known| Some(&known.digest));
    let build_ids = states(|known| known.facts.build_id.as_ref());
    let mut set = |fact: FactName, states: Vec<FactState>| {
        let key = FactKey::of_item(fact, name);
        facts.extend(together(states).map(|state| AuditFact { key, state }));
    };
    set(FactName::ImageVersion, versions);
    set(FactName::ImageSha256, digests);
    if image::HAS_BUILD_IDS {
        set(FactName::ImageBuildId, build_ids);
    }
}

/// Several states as one: unknown when one of them is, else every value there is.
fn together(states: Vec<FactState>) -> Option<FactState> {
    if states.is_empty() {
        return None;
    }
    let mut values: Vec<String> = Vec::new();
    for state in states {
        match state {
            FactState::Unknown(_) => return Some(state),
            FactState::Known(value) => values.push(value.to_string()),
            FactState::Absent => {}
        }
    }
    values.sort_unstable();
    values.dedup();
    Some(if values.is_empty() {
        FactState::Absent
    } else {
        FactState::Known(FactValue::text(&values.join(", ")))
    })
}

#[cfg(test)]
mod tests;
