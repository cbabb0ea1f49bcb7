//! Port budgets of this controller: what holds by the store, and how each host's newest samples stand to it. Nothing here
//! is worth saving: after a restart, excesses are counted anew.

pub mod measure;
pub mod standing;
pub mod track;
pub mod written;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tidemark_model::budget::Budget;
use tidemark_model::host::Capability;
use tidemark_model::silence::Labels;
use tidemark_model::{HostId, PortSpaceKey, Sample, Timestamp};
use tidemark_store::{DocumentKind, DocumentVersion, StoreError};

use self::measure::{Sight, measure};
use self::track::{Standing, Track};
use self::written::BUDGETS_MAX;
use crate::app::App;
use crate::live::HostLive;

/// A budget that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The budget.
    pub budget: Budget,
    /// Counts its changes, from 1.
    pub version: u64,
    /// When that version was applied.
    pub at: Timestamp,
    /// By whom.
    pub author: String,
}

/// Which budget in which port space of a host.
pub type TrackKey = (String, PortSpaceKey);

/// Budgets, and how hosts stand to them.
#[derive(Debug, Default)]
pub struct Budgets {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    held: Arc<Vec<Held>>,
    hosts: HashMap<HostId, HostTracks>,
}

#[derive(Debug, Default)]
struct HostTracks {
    sampled_at: Option<Timestamp>,
    tracks: BTreeMap<TrackKey, Track>,
}

/// What of a host its budgets are judged by.
#[derive(Clone, Debug)]
pub struct HostSeen {
    /// Its labels, with `host` and `host_id` over them.
    pub labels: Labels,
    /// What its samples can be trusted to say.
    pub sight: Sight,
    /// Its newest sample and when that was taken, on the controller's clock.
    pub newest: Option<(Timestamp, Arc<Sample>)>,
}

impl HostSeen {
    /// Of a host's live state.
    #[must_use]
    pub fn of(host: &HostLive) -> Self {
        let profile = &host.profile;
        let mut labels = profile.labels.clone();
        labels.insert("host".to_owned(), profile.name.to_string());
        labels.insert("host_id".to_owned(), profile.id.to_string());
        let sees = tidemark_model::host::seen_without_reservation(&profile.capabilities);
        Self {
            labels,
            sight: Sight {
                is_windows: profile.os.starts_with("Windows"),
                sees_all_owners: sees.contains(&Capability::AllOwners),
            },
            newest: host.newest.clone(),
        }
    }
}

impl Budgets {
    /// The budgets that hold, by name.
    #[must_use]
    pub fn held(&self) -> Arc<Vec<Held>> {
        Arc::clone(&self.read().held)
    }

    /// The budget of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Held> {
        self.held()
            .iter()
            .find(|held| held.budget.name == name)
            .cloned()
    }

    /// How a host's port space stands to a budget; `None` while nothing was measured.
    #[must_use]
    pub fn track(&self, host: HostId, key: &TrackKey) -> Option<Track> {
        self.read().hosts.get(&host)?.tracks.get(key).cloned()
    }

    /// How all port spaces of a host stand to all budgets that are about them.
    #[must_use]
    pub fn tracks(&self, host: HostId) -> Vec<(TrackKey, Track)> {
        let inner = self.read();
        let Some(host) = inner.hosts.get(&host) else {
            return Vec::new();
        };
        let pair = |(key, track): (&TrackKey, &Track)| (key.clone(), track.clone());
        host.tracks.iter().map(pair).collect()
    }

    /// Port spaces in which a budget is exceeded.
    #[must_use]
    pub fn exceeded(&self) -> Vec<(HostId, TrackKey, Track)> {
        let inner = self.read();
        let of_host = |(host, tracks): (&HostId, &HostTracks)| {
            let exceeded = |(_, track): &(&TrackKey, &Track)| track.standing == Standing::Exceeded;
            let of_host = tracks.tracks.iter().filter(exceeded);
            let host = *host;
            of_host
                .map(move |(key, track)| (host, key.clone(), track.clone()))
                .collect::<Vec<_>>()
        };
        inner.hosts.iter().flat_map(of_host).collect()
    }

    /// Takes in what the store says. A budget that changed begins anew; others go on.
    pub fn hold(&self, held: Vec<Held>) {
        let mut inner = self.write();
        if *inner.held == held {
            return;
        }
        let same: HashSet<String> = held
            .iter()
            .filter(|now| inner.held.contains(now))
            .map(|now| now.budget.name.clone())
            .collect();
        for host in inner.hosts.values_mut() {
            host.tracks.retain(|(name, _), _| same.contains(name));
            // What is new is measured with the sample that is there.
            host.sampled_at = None;
        }
        inner.held = Arc::new(held);
    }

    /// Takes a host's newest sample in, unless it was.
    pub fn observe(&self, id: HostId, seen: &HostSeen) {
        let Some((at, sample)) = &seen.newest else {
            return;
        };
        if !self.is_news(id, *at) {
            return;
        }
        let held = self.held();
        let measured: Vec<(TrackKey, &Budget, measure::Measurement)> = held
            .iter()
            .filter(|held| held.budget.is_for_host(&seen.labels))
            .flat_map(|held| measure_spaces(&held.budget, sample, seen.sight))
            .collect();
        let mut inner = self.write();
        // What was applied meanwhile measures this sample anew.
        if !Arc::ptr_eq(&inner.held, &held) {
            return;
        }
        let host = inner.hosts.entry(id).or_default();
        host.sampled_at = Some(*at);
        let mut before = std::mem::take(&mut host.tracks);
        for (key, budget, measurement) in measured {
            let track = match before.remove(&key) {
                Some(track) => track.next(budget, measurement, *at),
                None => Track::begin(budget, measurement, *at),
            };
            host.tracks.insert(key, track);
        }
    }

    /// Whether a host's sample of that time was not taken in.
    #[must_use]
    pub fn is_news(&self, id: HostId, at: Timestamp) -> bool {
        let inner = self.read();
        let taken = inner.hosts.get(&id).and_then(|host| host.sampled_at);
        !inner.held.is_empty() && taken.is_none_or(|taken| taken < at)
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        // Every change leaves the state legal at each step, so a panic in one does not spoil it.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a sample says of a budget in each port space that it is about.
pub fn measure_spaces<'b>(
    budget: &'b Budget,
    sample: &Sample,
    sight: Sight,
) -> Vec<(TrackKey, &'b Budget, measure::Measurement)> {
    let spaces = sample.port_spaces.iter();
    spaces
        .filter(|space| budget.is_for_space(&space.key))
        .map(|space| {
            let key = (budget.name.clone(), space.key.clone());
            (key, budget, measure(budget, space, sight))
        })
        .collect()
}

/// Reads the budgets that hold from the store, and measures what is there by them.
///
/// # Errors
/// What the database says.
pub async fn refresh(app: &App) -> Result<(), StoreError> {
    let mut tx = app.store.read().await?;
    let standing = tx
        .documents_standing(DocumentKind::Budget, BUDGETS_MAX)
        .await?;
    app.budgets
        .hold(standing.into_iter().filter_map(held_of).collect());
    look(app);
    Ok(())
}

/// Takes every host's newest sample in.
pub fn look(app: &App) {
    if app.budgets.held().is_empty() {
        return;
    }
    for id in app.live.ids() {
        let seen = app.live.read(id, |host| {
            let (at, _) = host.newest.as_ref()?;
            app.budgets.is_news(id, *at).then(|| HostSeen::of(host))
        });
        if let Some(seen) = seen.flatten() {
            app.budgets.observe(id, &seen);
        }
    }
}

/// A version as a budget; `None` for a deletion, and for one that this release cannot read.
#[must_use]
pub fn held_of(version: DocumentVersion) -> Option<Held> {
    let budget = budget_of(&version)?;
    Some(Held {
        budget,
        version: version.version,
        at: version.at,
        author: version.author,
    })
}

/// What a version says; `None` for a deletion, and for one that this release cannot read.
#[must_use]
pub fn budget_of(version: &DocumentVersion) -> Option<Budget> {
    let mut problems = Vec::new();
    let value = serde_json::from_str(version.body.as_deref()?).unwrap_or_default();
    let budget = written::budget(&value, &version.name, &mut problems);
    if !problems.is_empty() {
        tracing::error!(
            budget = version.name,
            version = version.version,
            error = problems.join("; "),
            "a stored budget cannot be read and does not hold; apply it again"
        );
        return None;
    }
    budget
}
