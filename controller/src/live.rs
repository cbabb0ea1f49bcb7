//! What the controller knows of each host at this moment: standing, session, newest sample, forecast. Rebuilt from the
//! store at the start; nothing here is worth saving.

mod facts;
mod host;
mod lately;
mod minutes;
mod space;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tidemark_model::notice::Notice;
use tidemark_model::{HostId, HostScope, HostState, SessionId, Timestamp};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

pub use facts::{CHANGES_MAX as FACT_CHANGES_MAX, KnownFacts, is_digest};
pub use host::{Delivery, Elsewhere, HostLive, HostProfile, Refusals, shown_labels};
pub use lately::Lately;
pub use minutes::LastHour;
pub use space::{Level, SpaceLive};

/// Changes that a live view may lag behind before it must start over.
const CHANGES_MAX: usize = 4_096;

/// Notices that are known to have been told.
const TOLD_MAX: usize = 8_192;

/// Something that live views show.
#[derive(Clone, Debug)]
pub enum Change {
    /// A host's view changed.
    Host(HostId),
    /// Something happened.
    Notice(Arc<Notice>),
    /// Something changed in the list of incidents, or in others that are told with it, about these hosts; none where it is about
    /// the whole fleet.
    Incidents(Arc<[HostId]>),
    /// Something changed about releases, their roll-outs, or what hosts say of them.
    Upgrades,
}

/// Every host, by id. Clones share it.
#[derive(Clone, Debug)]
pub struct Live {
    hosts: Arc<RwLock<HashMap<HostId, Arc<Mutex<HostLive>>>>>,
    changes: broadcast::Sender<Change>,
    /// The newest notices that were told.
    told: Arc<Mutex<BTreeSet<i64>>>,
    /// Hosts whose incidents changed, which other controllers were not told of yet: no more than there are.
    untold: Arc<Mutex<Option<BTreeSet<HostId>>>>,
}

/// A session's claim to its host. A later session of the same host takes it over and stops the former.
#[derive(Debug)]
pub struct SessionClaim {
    /// Names the session.
    pub id: SessionId,
    /// Cancelled when the session must end at once: revoked, or taken over.
    pub stop: CancellationToken,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            hosts: Arc::default(),
            changes: broadcast::Sender::new(CHANGES_MAX),
            told: Arc::default(),
            untold: Arc::default(),
        }
    }
}

impl Live {
    /// Adds a host, or brings an existing one's profile up to date.
    pub fn put(&self, mut profile: HostProfile) {
        let id = profile.id;
        let mut is_relabelled = false;
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        match hosts.get(&id) {
            Some(host) => {
                let mut host = lock(host);
                profile.keep_newer(&host.profile);
                is_relabelled = profile.labels_generation > host.profile.labels_generation;
                // Another label or zone is another window.
                host.agenda.expire();
                host.profile = profile;
            }
            None => {
                hosts.insert(id, Arc::new(Mutex::new(HostLive::new(profile))));
            }
        }
        drop(hosts);
        self.changed(id);
        if is_relabelled {
            // Its incidents are in other views than before.
            self.announce_incidents(&[id]);
        }
    }

    /// Looks at one host; `None` when it is unknown.
    pub fn read<R>(&self, id: HostId, look: impl FnOnce(&HostLive) -> R) -> Option<R> {
        let host = self.find(id)?;
        let guard = lock(&host);
        Some(look(&guard))
    }

    /// What a host calls itself; `None` when it is unknown.
    pub fn name_of(&self, id: HostId) -> Option<String> {
        self.read(id, |host| host.profile.name.to_string())
    }

    /// Changes one host and tells live views; `None` when it is unknown.
    pub fn update<R>(&self, id: HostId, change: impl FnOnce(&mut HostLive) -> R) -> Option<R> {
        let host = self.find(id)?;
        let result = change(&mut lock(&host));
        self.changed(id);
        Some(result)
    }

    /// All hosts, in the order of their ids.
    #[must_use]
    pub fn ids(&self) -> Vec<HostId> {
        let mut ids: Vec<HostId> = self
            .hosts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .copied()
            .collect();
        ids.sort_unstable();
        ids
    }

    /// The hosts in a scope, in the order of their ids.
    #[must_use]
    pub fn ids_within(&self, scope: &HostScope) -> Vec<HostId> {
        let mut ids = self.ids();
        ids.retain(|id| self.is_within(*id, scope));
        ids
    }

    /// How many hosts are in a scope.
    #[must_use]
    pub fn count_within(&self, scope: &HostScope) -> usize {
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        if scope.is_all() {
            return hosts.len();
        }
        // Nobody waits for a host while holding all of them.
        let each: Vec<_> = hosts.values().cloned().collect();
        drop(hosts);
        let taken = each
            .iter()
            .filter(|host| scope.takes(&lock(host).profile.controller_labels));
        taken.count()
    }

    /// Whether a host is in the scope. One that is unknown is in that of all hosts alone.
    #[must_use]
    pub fn is_within(&self, id: HostId, scope: &HostScope) -> bool {
        let is_taken = |host: &HostLive| scope.takes(&host.profile.controller_labels);
        scope.is_all() || self.read(id, is_taken).unwrap_or(false)
    }

    /// Hosts with that name; more than one when hosts share it.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<HostId> {
        let mut ids = self.ids();
        ids.retain(|id| {
            self.read(*id, |host| &*host.profile.name == name)
                .unwrap_or(false)
        });
        ids
    }

    /// Subscribes to changes from here on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Tells live views that something happened, once: what is stored is read as well, with what other controllers stored.
    pub fn announce(&self, notice: Arc<Notice>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if notice.id > 0 && !told.insert(notice.id) {
            return;
        }
        if told.len() > TOLD_MAX {
            told.pop_first();
        }
        drop(told);
        // An error says that nobody watches.
        self.changes.send(Change::Notice(notice)).ok();
    }

    /// Tells those who see one of these hosts that the list of incidents changed; with none, those who see all hosts. Those who look
    /// at another controller are told by [`Self::take_untold`].
    pub fn announce_incidents(&self, hosts: &[HostId]) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.get_or_insert_default().extend(hosts);
        drop(untold);
        self.hear_of_incidents(hosts);
    }

    /// The hosts of lists that changed since the last time; `None` when none did.
    #[must_use]
    pub fn take_untold(&self) -> Option<BTreeSet<HostId>> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.take()
    }

    /// The same where another controller said so.
    pub fn hear_of_incidents(&self, hosts: &[HostId]) {
        // An error says that nobody watches.
        self.changes.send(Change::Incidents(hosts.into())).ok();
    }

    /// Tells live views that something changed about releases or their roll-outs.
    pub fn announce_upgrades(&self) {
        // An error says that nobody watches.
        self.changes.send(Change::Upgrades).ok();
    }

    /// Makes `claim` the host's session and stops the one before it; `false` when the host is unknown or shut out.
    pub fn open_session(&self, id: HostId, claim: SessionClaim, now: Timestamp) -> bool {
        self.update(id, |host| {
            if host.profile.standing == HostState::Revoked {
                return false;
            }
            host.last_seen = Some(now);
            host.elsewhere = None;
            host.opened_at = Some(now);
            if let Some(former) = host.session.replace(claim) {
                former.stop.cancel();
            }
            true
        })
        .unwrap_or(false)
    }

    /// Ends the host's session if it still is `session`; says whether it was.
    pub fn close_session(&self, id: HostId, session: SessionId) -> bool {
        self.update(id, |host| {
            let is_current = host
                .session
                .as_ref()
                .is_some_and(|claim| claim.id == session);
            if is_current {
                host.session = None;
            }
            is_current
        })
        .unwrap_or(false)
    }

    /// Ends the host's session, if it has one; its agent comes back by itself.
    pub fn cut_session(&self, id: HostId) {
        self.update(id, HostLive::end_session);
    }

    /// Sets the host's standing and, when it is shut out, ends its session at once.
    pub fn set_standing(&self, id: HostId, standing: HostState) {
        self.update(id, |host| {
            host.profile.standing = standing;
            if standing == HostState::Revoked {
                host.end_session();
            }
        });
    }

    fn find(&self, id: HostId) -> Option<Arc<Mutex<HostLive>>> {
        self.hosts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    fn changed(&self, id: HostId) {
        self.changes.send(Change::Host(id)).ok();
    }
}

fn lock(host: &Mutex<HostLive>) -> MutexGuard<'_, HostLive> {
    // Every change leaves the state legal at each step, so a panic in one does not spoil it.
    host.lock().unwrap_or_else(PoisonError::into_inner)
}
