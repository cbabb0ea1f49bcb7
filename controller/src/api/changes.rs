//! One viewer's stream of changes: each host at most once a second, ended by the stop or when its viewer loses the
//! right to look. Knows live state; how changes are shown is the adapters'.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tidemark_model::HostId;
use tidemark_model::notice::Notice;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::access::{Credential, Horizon};
use crate::live::Change;

/// Shortest time between two changes of one host: people do not read faster.
const HOST_EVERY: Duration = Duration::from_secs(1);

/// How often hosts that wait for their second are looked at.
const BEAT: Duration = Duration::from_millis(250);

/// Beats between two looks at whether the viewer may still look: revoked is out within 5 s.
const STANDING_BEATS: u32 = 8;

/// Beats between two looks at hosts that went stale, which nobody announces because nothing happens.
const STATES_BEATS: u32 = 20;

/// Something that a viewer is shown.
#[derive(Clone, Debug)]
pub enum Update {
    /// A host changed.
    Host(HostId),
    /// A host that was there left the viewer's scope.
    Gone(HostId),
    /// Something happened.
    Notice(Arc<Notice>),
    /// Something changed in the list of incidents that the viewer sees.
    Incidents,
    /// Something changed about releases or their roll-outs, which those see who see the whole fleet.
    Upgrades,
    /// The viewer was too slow and has missed changes: it must read everything again.
    Resync,
}

impl Update {
    fn is_of(&self, host: HostId) -> bool {
        match self {
            Self::Host(id) | Self::Gone(id) => *id == host,
            Self::Notice(notice) => notice.host == Some(host),
            Self::Incidents | Self::Upgrades | Self::Resync => false,
        }
    }
}

/// Who looks, and at what.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// What they see of the fleet.
    pub horizon: Horizon,
    /// What let them in; `None` for nobody in particular.
    pub credential: Option<Credential>,
    /// One host alone, or the whole fleet.
    pub only: Option<HostId>,
}

/// The changes from here on. Ends at the stop, and when the viewer is not let in any more.
pub fn updates(viewer: Viewer) -> impl Stream<Item = Update> + Send {
    let watch = Watch::new(viewer);
    futures::stream::unfold(watch, |mut watch| async {
        let update = watch.next().await?;
        Some((update, watch))
    })
}

struct Watch {
    changes: Receiver<Change>,
    stop: CancellationToken,
    viewer: Viewer,
    sent: HashMap<HostId, Instant>,
    waiting: BTreeSet<HostId>,
    states: HashMap<HostId, &'static str>,
    ready: VecDeque<Update>,
    beat: Interval,
    beats: u32,
}

impl Watch {
    fn new(viewer: Viewer) -> Self {
        let app = viewer.horizon.app();
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Self {
            changes: app.live.subscribe(),
            stop: app.life.stop_token(),
            viewer,
            sent: HashMap::new(),
            waiting: BTreeSet::new(),
            states: HashMap::new(),
            ready: VecDeque::new(),
            beat,
            beats: 0,
        };
        watch.look_at_states();
        watch.waiting.clear();
        watch
    }

    async fn next(&mut self) -> Option<Update> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                return Some(update);
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                change = self.changes.recv() => self.take(change)?,
                _ = self.beat.tick() => {
                    if !self.on_beat().await {
                        return None;
                    }
                }
            }
        }
    }

    /// Takes a change in; `None` when no more will come.
    fn take(&mut self, change: Result<Change, RecvError>) -> Option<()> {
        match change {
            Ok(Change::Host(id)) if self.shows(Some(id)) => {
                self.waiting.insert(id);
                self.send_due(id);
            }
            Ok(Change::Host(id)) => self.take_away(id),
            Ok(Change::Notice(notice)) if self.shows(notice.host) => {
                self.ready.push_back(Update::Notice(notice));
            }
            // Several at once are read at once.
            Ok(Change::Incidents(hosts))
                if self.viewer.horizon.sees_any(&hosts) && !self.ends_with(&Update::Incidents) =>
            {
                self.ready.push_back(Update::Incidents)
            }
            Ok(Change::Upgrades) if self.sees_all() && !self.ends_with(&Update::Upgrades) => {
                self.ready.push_back(Update::Upgrades)
            }
            Ok(Change::Notice(_) | Change::Incidents(_) | Change::Upgrades) => {}
            Err(RecvError::Lagged(_)) => {
                self.viewer.horizon.app().metrics.live_views_lagged.add(1);
                self.waiting.clear();
                self.ready.clear();
                self.ready.push_back(Update::Resync);
            }
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }

    /// Says whether the viewer may go on looking.
    async fn on_beat(&mut self) -> bool {
        self.beats = self.beats.wrapping_add(1);
        if self.beats.is_multiple_of(STATES_BEATS) {
            self.look_at_states();
        }
        let waiting: Vec<HostId> = self.waiting.iter().copied().collect();
        for id in waiting {
            self.send_due(id);
        }
        if self.beats.is_multiple_of(STANDING_BEATS)
            && let Some(credential) = self.viewer.credential
        {
            return match self.viewer.horizon.app().standing_of(credential).await {
                Ok(None) => false,
                // With another scope it begins anew: what was shown may not be theirs any more.
                Ok(Some(caller)) => caller.scope == *self.viewer.horizon.scope(),
                // While the database is away nobody can be revoked either, so the view goes on.
                Err(_) => true,
            };
        }
        true
    }

    /// What is waiting about a host that the viewer does not see is not sent, and who was shown it is told that it is gone.
    fn take_away(&mut self, id: HostId) {
        self.waiting.remove(&id);
        self.ready.retain(|update| !update.is_of(id));
        let was_there = self.states.remove(&id).is_some();
        if was_there || self.sent.remove(&id).is_some() {
            self.ready.push_back(Update::Gone(id));
            // Its incidents left with it.
            if !self.ends_with(&Update::Incidents) {
                self.ready.push_back(Update::Incidents);
            }
        }
    }

    fn send_due(&mut self, id: HostId) {
        let now = Instant::now();
        let is_due = self
            .sent
            .get(&id)
            .is_none_or(|sent| now.duration_since(*sent) >= HOST_EVERY);
        if is_due && self.waiting.remove(&id) {
            self.sent.insert(id, now);
            self.ready.push_back(Update::Host(id));
        }
    }

    fn look_at_states(&mut self) {
        let app = self.viewer.horizon.app();
        let now = app.clock.now();
        let ids = match self.viewer.only {
            Some(id) if self.viewer.horizon.sees(id) => vec![id],
            Some(_) => vec![],
            None => self.viewer.horizon.hosts(),
        };
        for id in ids {
            let Some(state) = app.live.read(id, |host| host.state(now)) else {
                continue;
            };
            if self.states.insert(id, state) != Some(state) {
                self.waiting.insert(id);
            }
        }
    }

    fn ends_with(&self, update: &Update) -> bool {
        let is_same = |last| discriminant(last) == discriminant(update);
        self.ready.back().is_some_and(is_same)
    }

    fn sees_all(&self) -> bool {
        self.viewer.horizon.scope().is_all()
    }

    fn shows(&self, host: Option<HostId>) -> bool {
        let is_asked_for = self.viewer.only.is_none() || self.viewer.only == host;
        is_asked_for && self.viewer.horizon.sees_what_is_of(host)
    }
}
