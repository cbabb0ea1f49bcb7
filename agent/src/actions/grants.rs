//! Grants on this host: the book on disk, the running time that caps are counted in, and what the host saw by itself.
//!
//! A count is durable before anything follows from it; a book that is damaged, lost or older than the last one grants nothing
//! for a day of running, and nothing from before ever again.

mod file;
mod witness;

use std::io;
use std::time::Duration;

use tidemark_agent_core::actions::HostPolicy;
use tidemark_agent_core::actions::grants::{Bearer, Book, Evidence, Granting, Kept, Moment};
use tidemark_model::grant::{GrantId, GrantList};
use tidemark_model::signing::Signature;
use tidemark_model::{ActionId, HostId, Timestamp};
use tokio::time::Instant;

use super::desk::DeskParts;
use super::journal::Found;
use crate::session::chain;
use file::BookFile;

pub use witness::{Witness, Witnessed};

/// How often the running time is kept: what a crash loses makes caps tighter.
const KEEP_INTERVAL: Duration = Duration::from_secs(300);

/// The grants of a running agent.
#[derive(Debug)]
pub(super) struct Grants {
    file: BookFile,
    book: Book,
    host: HostId,
    name: String,
    /// When the agent began to count, and what it had lived through by then.
    started: Instant,
    lived_before_ms: u64,
    witness: Witness,
    /// The last list of the controller, while there is no policy to look at it with.
    waiting: Option<GrantList>,
}

impl Grants {
    /// Opens the book. With a journal that is not whole, the book may be an old one as well: a blank one is believed only at
    /// the first start.
    pub(super) fn open(parts: &DeskParts, journal: &Found) -> Self {
        let file = BookFile::in_folder(&parts.folder);
        let now = parts.clock.now();
        let mut book = file.read(now);
        let is_believed = match journal {
            Found::Whole => true,
            Found::Missing => book.is_blank(),
            Found::Removed | Found::Damaged(_) | Found::Older => false,
        };
        if !is_believed {
            book = book.bar(now);
        }
        let mut grants = Self {
            file,
            lived_before_ms: book.lived_ms,
            book,
            host: parts.host,
            name: parts.host_name.clone(),
            started: Instant::now(),
            witness: parts.witness.clone(),
            waiting: None,
        };
        if grants.book.is_barred() {
            // At once, so that the day of running and the moment of the loss are those of this start.
            grants.keep_or_tell();
        }
        grants
    }

    fn moment(&self, now: Timestamp) -> Moment {
        Moment {
            now,
            lived_ms: self.lived_ms(),
            running: self.witness.running(),
        }
    }

    fn lived_ms(&self) -> u64 {
        let running = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.lived_before_ms.saturating_add(running)
    }

    fn bearer(&self) -> Bearer<'_> {
        Bearer {
            host: self.host,
            name: &self.name,
        }
    }

    /// The signatures of a grant; what they allowed is not begun when one of their keys is revoked.
    pub(super) fn signatures(&self, id: GrantId) -> &[Signature] {
        let kept = self.book.given(id);
        kept.map_or(&[], |kept| &kept.signed.signatures)
    }

    /// What is judged when an order comes with that grant.
    pub(super) fn granting<'a>(
        &'a self,
        id: GrantId,
        evidence: &'a Evidence,
        now: Timestamp,
    ) -> Granting<'a> {
        Granting {
            id,
            book: &self.book,
            evidence,
            bearer: self.bearer(),
            moment: self.moment(now),
        }
    }

    /// Counts an execution under a grant; it is durable when this returns.
    ///
    /// # Errors
    /// What the file system says; it must not be done then.
    pub(super) fn count(&mut self, grant: GrantId, action: ActionId) -> io::Result<()> {
        let lived_ms = self.lived_ms();
        self.book.count(grant, action, lived_ms);
        self.keep()
    }

    /// Counts an execution that waited at the moment at which it begins; it is durable when this returns.
    ///
    /// # Errors
    /// What the file system says; it must not be begun then.
    pub(super) fn count_anew(&mut self, grant: GrantId, action: ActionId) -> io::Result<()> {
        let lived_ms = self.lived_ms();
        self.book.count_anew(grant, action, lived_ms);
        self.keep()
    }

    /// Keeps what the controller lists until there is a policy to look at it with; of several the last one.
    pub(super) fn wait(&mut self, list: GrantList) {
        self.waiting = Some(list);
    }

    /// Takes what the controller lists.
    pub(super) fn take_list(&mut self, list: &GrantList, policy: &HostPolicy, now: Timestamp) {
        self.waiting = None;
        let before = self.book.clone();
        self.book.take_list(list, policy);
        self.book.look(policy, self.moment(now));
        if self.book == before {
            return;
        }
        self.keep_or_tell();
        for kept in self.book.all() {
            let (grant, what) = (kept.grant.id, kept.grant.summary());
            match self.standing(kept, policy, now) {
                Ok(()) => tracing::info!(%grant, %what, "a grant holds"),
                Err(why) => tracing::warn!(%grant, %why, "a grant does not hold"),
            }
        }
    }

    /// Takes the list that waits, and notes what is over by now, and the running time.
    pub(super) fn look(&mut self, policy: &HostPolicy, now: Timestamp) {
        if let Some(list) = self.waiting.take() {
            self.take_list(&list, policy, now);
        }
        let changed = self.book.look(policy, self.moment(now));
        let since_kept = self.lived_ms().saturating_sub(self.book.lived_ms);
        let is_due = u128::from(since_kept) >= KEEP_INTERVAL.as_millis();
        if changed || (is_due && !self.book.is_blank()) {
            self.keep_or_tell();
        }
    }

    fn standing(&self, kept: &Kept, policy: &HostPolicy, now: Timestamp) -> Result<(), String> {
        self.book
            .standing(kept, policy, self.bearer(), self.moment(now))
    }

    /// Which grants hold.
    pub(super) fn holding(&self, policy: &HostPolicy, now: Timestamp) -> Vec<GrantId> {
        let holds = |kept: &&Kept| self.standing(kept, policy, now).is_ok();
        let all = self.book.all().iter();
        all.filter(holds).map(|kept| kept.grant.id).collect()
    }

    /// Keeps the running time at a stop.
    pub(super) fn keep_lived(&mut self) {
        if !self.book.is_blank() {
            self.keep_or_tell();
        }
    }

    fn keep(&mut self) -> io::Result<()> {
        self.book.sequence = self.book.sequence.saturating_add(1);
        self.book.lived_ms = self.lived_ms();
        self.file.write(&self.book)
    }

    fn keep_or_tell(&mut self) {
        if let Err(error) = self.keep() {
            tracing::error!(error = %chain(&error), "the book of grants cannot be kept");
        }
    }
}

/// What is kept of grants on a host whose agent may or may not run, for whoever only looks.
#[derive(Clone, Debug)]
pub(crate) struct KeptGrants {
    book: Book,
    host: Option<HostId>,
    name: String,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct GrantLook<'a> {
    /// What it says.
    pub(crate) kept: &'a Kept,
    /// Why it does not hold, or its caps are reached; `None` when it waits for its trigger alone.
    pub(crate) hindrance: Option<String>,
}

impl KeptGrants {
    /// Reads the book in `folder`.
    pub(crate) fn look(
        folder: &std::path::Path,
        host: Option<HostId>,
        name: String,
        now: Timestamp,
    ) -> Self {
        Self {
            book: BookFile::in_folder(folder).read(now),
            host,
            name,
        }
    }

    /// Each grant that the host was given, as it stands at `now`.
    pub(crate) fn all(&self, policy: &HostPolicy, now: Timestamp) -> Vec<GrantLook<'_>> {
        let bearer = Bearer {
            host: self.host.unwrap_or_else(|| HostId::of_identity_spki(&[])),
            name: &self.name,
        };
        let moment = Moment {
            now,
            lived_ms: self.book.lived_ms,
            running: Duration::ZERO,
        };
        let look = |kept| {
            let standing = self.book.standing(kept, policy, bearer, moment);
            let caps = || self.book.caps(&kept.grant, moment.lived_ms, None);
            GrantLook {
                kept,
                hindrance: standing.and_then(|()| caps()).err(),
            }
        };
        self.book.all().iter().map(look).collect()
    }
}

#[cfg(test)]
mod tests;
