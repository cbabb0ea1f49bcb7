//! The audit log: what is done to hosts and settings, and by whom, recorded in the transaction that does it.
//!
//! The keeper follows the log, signs checkpoints of it and holds what hosts witness against it.

mod acting;
mod deeds;
mod export;
mod keeper;
mod key;
mod record;
mod refusals;
mod tree;
mod witness;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tidemark_model::audit_log::{Checkpoint, Digest, LogKey, LogSigner};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::Witness;
use tokio::sync::watch;

pub use acting::{Request, acting, token};
pub use deeds::{By, deed_of};
pub use export::{AuditLogRules, ExportStanding, Exporter, Exports, SyslogTarget, Way};
pub use keeper::Keeper;
pub use key::{KeyError, open_key};
pub use record::Record;
pub(crate) use record::{keep_steps, of_action, of_run};
pub use witness::Held;

use refusals::Refusals;
use tree::GrownTree;

/// How often the log is looked at, and a checkpoint signed when it grew.
pub const CHECKPOINT_PERIOD: Duration = Duration::from_secs(60);

/// Proofs that were made, by the sizes that they are for.
type Proofs = HashMap<(u64, u64), Arc<Vec<Digest>>>;

/// What the controller knows of its audit log.
#[derive(Default)]
pub struct AuditLog {
    signer: OnceLock<LogSigner>,
    refusals: Refusals,
    tree: ArcSwap<GrownTree>,
    newest: watch::Sender<Option<Arc<Signed>>>,
    standing: ArcSwap<Standing>,
    /// What hosts told since the last look.
    told: Mutex<HashMap<HostId, Witness>>,
    proofs: Mutex<Proofs>,
    raised: witness::Raised,
    /// Where the log is taken as it grows.
    pub exports: Exports,
}

/// A checkpoint with its note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The signed note.
    pub note: String,
}

/// How the log stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Entries that were followed.
    pub size: u64,
    /// When the last look ended; `None` before the first one.
    pub looked_at: Option<Timestamp>,
    /// When the whole log was followed last, from the first entry on.
    pub followed_at: Option<Timestamp>,
    /// Where it is not as it was written: the entry, and why.
    pub fault: Option<(u64, String)>,
    /// Why no checkpoints are signed here, when none are.
    pub unsigned: Option<String>,
    /// Hosts that hold a checkpoint of it.
    pub hosts: u64,
    /// Hosts whose checkpoint contradicts it.
    pub contradicting: u64,
}

impl AuditLog {
    /// What verifies its checkpoints; `None` where none are signed.
    #[must_use]
    pub fn key(&self) -> Option<&LogKey> {
        self.signer.get().map(LogSigner::key)
    }

    /// Signs with that key from then on; the first one stays.
    pub fn sign_with(&self, signer: LogSigner) {
        self.signer.set(signer).ok();
    }

    /// Signs nothing, because of `why`.
    pub fn leave_unsigned(&self, why: String) {
        tracing::error!(why, "no checkpoints of the audit log are signed here");
        self.stand(|standing| standing.unsigned = Some(why.clone()));
    }

    /// The newest signed checkpoint, now and whenever there is a newer one.
    #[must_use]
    pub fn checkpoints(&self) -> watch::Receiver<Option<Arc<Signed>>> {
        self.newest.subscribe()
    }

    /// The newest signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Arc<Signed>> {
        self.newest.borrow().clone()
    }

    /// How it stood at the last look.
    #[must_use]
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    fn stand(&self, change: impl Fn(&mut Standing)) {
        self.standing.rcu(|before| {
            let mut standing = Standing::clone(before);
            change(&mut standing);
            standing
        });
    }
}
