//! What leaking hosts have in common, looked for again and again over the whole fleet.
//!
//! Attributes come from [`HostLive`], so a new kind of fact needs nothing here. Changes of facts come with their audits;
//! other changes are what differs between two looks, and are forgotten at a stop, as are leaks that were put right.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tidemark_detect::causes::{AttributeChange, CommonCause, Fleet, FleetHost, Witnesses};
use tidemark_model::notice::NoticeKind;
use tidemark_model::view::{AttributeValue, CauseView, CausesView, HostName};
use tidemark_model::{HostId, Timestamp};
use tokio::sync::oneshot;

use crate::app::App;
use crate::incidents::text::clean;
use crate::live::{HostLive, is_digest};

/// Between two looks that nobody asked for.
const PERIOD: Duration = Duration::from_secs(300);
/// Between two looks at least: hosts that begin to leak together ask for one each.
const PAUSE: Duration = Duration::from_secs(15);
/// From the end of the rebuild to the first look: agents come back meanwhile, and say what their hosts run.
const SETTLE: Duration = Duration::from_secs(30);
/// A change is remembered this long ...
pub(crate) const CHANGES_KEPT: Duration = Duration::from_secs(14 * 86_400);
/// ... and at most this many of a host.
const CHANGES_MAX: usize = 32;
/// Causes told at most.
const CAUSES_MAX: usize = 200;
/// Hosts named with a cause at most.
pub const HOSTS_MAX: usize = 1_000;

/// What a look found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CausesStatus {
    /// Hosts that were compared.
    pub hosts: u64,
    /// Hosts that leak or did.
    pub leaking: u64,
    /// Attributes that took another value since the look before.
    pub changes: u64,
    /// Causes that were found.
    pub causes: u64,
}

/// What the last look at the fleet found.
#[derive(Clone, Debug, Default)]
pub struct CausesSeen {
    /// As it is told.
    pub view: CausesView,
    /// The hosts of each cause of the view, in its order: all of them, those that leaked within a fortnight included.
    pub hosts: Vec<HashSet<HostId>>,
}

/// Looks for common causes.
pub struct CauseFinder {
    app: Arc<App>,
    memory: Memory,
}

/// What is kept from one look to the next.
#[derive(Default)]
struct Memory {
    witnesses: Witnesses<HostId>,
    hosts: HashMap<HostId, Remembered>,
}

/// Of each attribute of a host the hash of its value, and what changed.
#[derive(Default)]
struct Remembered {
    values: HashMap<u64, u64>,
    changes: Vec<AttributeChange>,
}

impl CauseFinder {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self {
            app,
            memory: Memory::default(),
        }
    }

    /// Runs until the stop. Looks for the first time when hosts are `rebuilt` from their history: what a look does not find
    /// by then is not there.
    pub async fn run(mut self, rebuilt: oneshot::Receiver<()>) {
        let app = Arc::clone(&self.app);
        let stop = app.life.stop_token();
        let settled = async {
            // The rebuild ends without a word only at the stop.
            rebuilt.await.ok();
            tokio::time::sleep(SETTLE).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = settled => {}
        }
        loop {
            let status = self.activate().await;
            tracing::debug!(?status, "common causes looked for");
            let wanted = async {
                tokio::time::sleep(PAUSE).await;
                app.causes_wanted.notified().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
                () = wanted => {}
            }
        }
    }

    /// Looks at the fleet once and shows what is found to the API. A fleet of 100,000 hosts takes some hundred
    /// milliseconds of one core, beside the others.
    pub async fn activate(&mut self) -> CausesStatus {
        let app = Arc::clone(&self.app);
        let memory = std::mem::take(&mut self.memory);
        let looked = self
            .app
            .life
            .spawn_blocking(move || {
                let mut memory = memory;
                let (seen, status) = memory.look(&app);
                (memory, seen, status)
            })
            .await;
        match looked {
            Ok((memory, seen, status)) => {
                self.memory = memory;
                self.tell_new(&seen.view);
                self.app.causes.store(Arc::new(seen));
                status
            }
            Err(error) => {
                tracing::error!(%error, "looking for common causes ended abnormally; it starts anew");
                CausesStatus::default()
            }
        }
    }
}

impl CauseFinder {
    /// Tells of the causes that the look before did not find. What the first look finds may have been told by the controller
    /// that ran before: it is left to the incidents, which know.
    fn tell_new(&self, view: &CausesView) {
        let before = self.app.causes.load();
        if before.view.swept_ms.is_none() || !self.app.decides() {
            return;
        }
        let name = |cause: &CauseView| {
            let parts = [&cause.attribute, &cause.value, &cause.culprit];
            parts.map(String::clone)
        };
        let known: HashSet<[String; 3]> = before.view.items.iter().map(name).collect();
        let is_new = |cause: &&CauseView| !known.contains(&name(cause));
        for cause in view.items.iter().filter(is_new) {
            self.app
                .note(None, NoticeKind::CauseFound, clean(&cause.explanation));
        }
    }
}

impl Memory {
    fn look(&mut self, app: &App) -> (CausesSeen, CausesStatus) {
        let now = app.clock.now();
        let mut status = CausesStatus::default();
        let mut seen = HashSet::new();
        for id in app.live.ids() {
            let host = app.live.read(id, |host| {
                let mut spaces = host.spaces.values();
                let leak = spaces.find_map(|space| space.detector.leak_seen());
                (host.own_attributes(), leak)
            });
            let Some((attributes, leak)) = host else {
                continue;
            };
            if let Some(leak) = leak {
                self.witnesses.note(id, now, leak);
            }
            status.changes += self.note_changes(id, &attributes, now);
            seen.insert(id);
        }
        self.witnesses.forget(now, |id| seen.contains(id));
        self.hosts.retain(|id, _| seen.contains(id));
        let (causes, left_out) = self.compare(app);
        status.hosts = seen.len() as u64;
        status.leaking = self.witnesses.len() as u64;
        status.causes = causes.len() as u64;
        let view = CausesView {
            swept_ms: Some(now.unix_ms()),
            hosts: status.hosts,
            leaking: status.leaking,
            attributes_left_out: left_out,
            items: causes
                .iter()
                .take(CAUSES_MAX)
                .map(|cause| view_of(cause, app))
                .collect(),
        };
        let hosts = causes.iter().take(CAUSES_MAX).map(|cause| {
            let ids = cause.hosts.iter().filter_map(|id| id.parse().ok());
            ids.collect()
        });
        let hosts = hosts.collect();
        (CausesSeen { view, hosts }, status)
    }

    /// Remembers which attributes of a host took another value; says how many did.
    fn note_changes(
        &mut self,
        id: HostId,
        attributes: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> u64 {
        let remembered = self.hosts.entry(id).or_default();
        let since = now.saturating_sub(CHANGES_KEPT);
        remembered.changes.retain(|change| change.at >= since);
        let mut changes = 0;
        for (attribute, value) in attributes {
            let before = remembered.values.insert(hash(attribute), hash(value));
            if before.is_none_or(|before| before == hash(value)) {
                continue;
            }
            changes += 1;
            if remembered.changes.len() >= CHANGES_MAX {
                remembered.changes.remove(0);
            }
            remembered.changes.push(AttributeChange {
                at: now,
                attribute: attribute.clone(),
                value: value.clone(),
            });
        }
        changes
    }

    /// Hosts are taken in one at a time, so that no copy of the fleet's attributes is held.
    fn compare(&self, app: &App) -> (Vec<CommonCause>, u64) {
        if self.witnesses.is_empty() {
            return (Vec::new(), 0);
        }
        let mut fleet = Fleet::default();
        for id in app.live.ids() {
            app.live.read(id, |host| self.take_in(&mut fleet, id, host));
        }
        (fleet.causes(), fleet.attributes_left_out())
    }

    fn take_in(&self, fleet: &mut Fleet, id: HostId, host: &HostLive) {
        let own = host.own_attributes();
        let mut attributes: Vec<(&str, &str)> = own
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        attributes.extend(host.facts.attributes());
        // Of values that explain leaks equally well, the one that was taken in first is named.
        attributes.sort_by_key(|(name, _)| is_digest(name));
        let leak = self.witnesses.leak_of(&id).cloned();
        let remembered = self
            .hosts
            .get(&id)
            .map_or(&[][..], |remembered| &remembered.changes);
        // They matter of hosts that leak, which are few.
        let changes: Cow<'_, [AttributeChange]> = match &leak {
            Some(_) => [remembered, host.facts.changes()].concat().into(),
            None => Cow::Borrowed(&[]),
        };
        let spaces = host.spaces.values();
        fleet.add(&FleetHost {
            // Names may be shared, ids are not.
            name: &id.to_string(),
            attributes,
            processes: spaces
                .flat_map(|space| space.detector.processes())
                .map(|name| &**name)
                .collect(),
            leak,
            changes: &changes,
        });
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn view_of(cause: &CommonCause, app: &App) -> CauseView {
    let mut hosts: Vec<HostName> = cause
        .hosts
        .iter()
        .filter_map(|id| {
            let name = |host: &HostLive| host.profile.name.to_string();
            Some(HostName {
                id: id.clone(),
                name: app.live.read(id.parse().ok()?, name)?,
            })
        })
        .collect();
    hosts.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    let hosts_total = hosts.len() as u64;
    hosts.truncate(HOSTS_MAX);
    CauseView {
        attribute: cause.attribute.clone(),
        value: cause.value.clone(),
        culprit: cause.culprit.clone(),
        hosts,
        hosts_total,
        hosts_hidden: 0,
        since_ms: cause.since.unix_ms(),
        having: cause.having as u64,
        leaking: cause.leaking as u64,
        compared: cause.compared as u64,
        among_runners: cause.is_among_runners,
        chance_power: cause.chance_power,
        tried: cause.tried as u64,
        changed_before: cause.changed_before as u64,
        alike: cause
            .alike
            .iter()
            .map(|(attribute, value)| AttributeValue {
                attribute: attribute.clone(),
                value: value.clone(),
            })
            .collect(),
        explanation: cause.text(),
    }
}
