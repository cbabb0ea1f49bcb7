//! What hosts hold of the log: each keeps the newest checkpoint that it verified, and a log that contradicts one is not the
//! log that the host saw.

use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use tidemark_model::HostId;
use tidemark_model::audit_log::{Checkpoint, Deed, Digest, Reported};
use tidemark_model::notice::NoticeKind;
use tidemark_store::{StoreError, Witness};

use super::AuditLog;
use super::tree::View;
use crate::app::App;
use crate::incidents::text::{clean, host_name};

/// Proofs that are remembered: hosts hold few different sizes.
const PROOFS_MAX: usize = 256;
/// Hosts whose contradiction is recorded by itself; all of them are counted and listed.
const RAISED_MAX: usize = 20;

/// How far a host's checkpoint goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It holds none.
    Nothing,
    /// It counts so many entries.
    Size(u64),
    /// It counts so many entries, and this log is another one.
    Contradicted(u64),
    /// It is none of this log's.
    Foreign,
}

impl Held {
    /// How many entries it counts; 0 without a checkpoint of this log.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            Self::Size(size) | Self::Contradicted(size) => size,
            Self::Nothing | Self::Foreign => 0,
        }
    }
}

/// Hosts whose contradiction was raised.
#[derive(Debug, Default)]
pub(super) struct Raised(Mutex<HashSet<HostId>>);

impl Raised {
    /// Whether a host contradicts the log that did not before, and how many do.
    fn note(&self, host: HostId, contradicts: bool) -> (bool, usize) {
        let mut raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = if contradicts {
            raised.insert(host)
        } else {
            raised.remove(&host);
            false
        };
        (is_new, raised.len())
    }
}

impl AuditLog {
    pub(super) fn take_told(&self) -> Vec<Witness> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *told).into_values().collect()
    }

    /// Gives back what could not be stored, where nothing newer was told meanwhile.
    pub(super) fn put_back(&self, witnesses: Vec<Witness>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for witness in witnesses {
            if let Entry::Vacant(place) = told.entry(witness.host) {
                place.insert(witness);
            }
        }
    }
}

impl App {
    /// Takes what a host holds, and holds the log against it.
    ///
    /// # Errors
    /// When the database fails; the host tells it again.
    pub async fn take_witness(&self, host: HostId, told: Reported) -> Result<Held, StoreError> {
        let Some(key) = self.audit_log.key() else {
            return Ok(Held::Nothing);
        };
        let (held, judged) = if told.note.is_empty() {
            (Held::Nothing, None)
        } else {
            match Checkpoint::open(&told.note, key) {
                Ok(checkpoint) => {
                    let fault = self.contradiction(&checkpoint).await?;
                    let held = match fault {
                        None => Held::Size(checkpoint.size),
                        Some(_) => Held::Contradicted(checkpoint.size),
                    };
                    (held, fault)
                }
                Err(error) => {
                    let fault = format!("it holds a checkpoint that is not this log's: {error}");
                    (Held::Foreign, Some(fault))
                }
            }
        };
        let refused = told
            .refused
            .map(|why| format!("it refused this log's checkpoint: {}", clean(&why)));
        let fault = judged.or(refused);
        if held != Held::Nothing || fault.is_some() {
            let witness = Witness {
                host,
                at: self.clock.now(),
                size: held.size(),
                note: told.note.chars().filter(|c| *c != '\0').collect(),
                fault: fault.clone(),
            };
            let mut told = self
                .audit_log
                .told
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            told.insert(host, witness);
        }
        self.raise(host, fault.as_deref()).await?;
        Ok(held)
    }

    /// Why the log is not the one of which a checkpoint was signed; `None` when it is, or when it is not known yet.
    async fn contradiction(&self, held: &Checkpoint) -> Result<Option<String>, StoreError> {
        let tree = self.audit_log.tree.load_full();
        if self.audit_log.standing().looked_at.is_none() {
            return Ok(None);
        }
        if held.size > tree.size() {
            // Another controller may have appended what was not followed here yet.
            let (stored, _) = self.store.read().await?.audit_head().await?;
            return Ok((held.size > stored).then(|| {
                format!(
                    "it holds a signed checkpoint of {} entries, and this log has {stored}: entries are missing",
                    held.size
                )
            }));
        }
        let view = View::of(tree, &self.store, &[held.size]).await?;
        let is_same = view.root(held.size) == Some(held.root);
        Ok((!is_same).then(|| {
            format!(
                "it holds a signed checkpoint of {} entries that are not this log's first {}: the log was rewritten",
                held.size, held.size
            )
        }))
    }

    /// Says so where everybody looks, once for each host and in full for the first of them.
    async fn raise(&self, host: HostId, fault: Option<&str>) -> Result<(), StoreError> {
        let (is_new, count) = self.audit_log.raised.note(host, fault.is_some());
        let (true, Some(fault)) = (is_new, fault) else {
            return Ok(());
        };
        let name = host_name(self, host);
        tracing::error!(host.id = %host, fault, "a host contradicts the audit log");
        if count > RAISED_MAX {
            return Ok(());
        }
        let text = format!("{name} contradicts the audit log: {fault}");
        self.note(Some(host), NoticeKind::AuditLogContradicted, clean(&text));
        let mut tx = self.store.begin().await?;
        let record = self.record(Deed::LogContradict, "audit-log", "");
        record
            .by_host(host, &name)
            .with("why", fault)
            .keep(&mut tx)
            .await?;
        tx.commit().await
    }

    /// The proof that the log's first `to` entries begin with its first `from`; `None` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_proof(
        &self,
        from: u64,
        to: u64,
    ) -> Result<Option<Arc<Vec<Digest>>>, StoreError> {
        let remembered = || {
            self.audit_log
                .proofs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(proof) = remembered().get(&(from, to)) {
            return Ok(Some(Arc::clone(proof)));
        }
        let tree = self.audit_log.tree.load_full();
        let view = View::of(tree, &self.store, &[from, to]).await?;
        let Some(proof) = view.proof(from, to).map(Arc::new) else {
            return Ok(None);
        };
        let mut proofs = remembered();
        if proofs.len() >= PROOFS_MAX {
            proofs.clear();
        }
        proofs.insert((from, to), Arc::clone(&proof));
        Ok(Some(proof))
    }
}
