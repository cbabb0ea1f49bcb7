//! The controllers on one Postgres, and what they tell each other of the hosts that are connected to them: each of them shows the whole
//! fleet, and the one that leads decides for all of it. On SQLite a controller is alone.
//!
//! Nothing here is worth keeping: a controller that starts, or whose table was emptied, is told everything anew.

mod gaps;
mod hear;
mod notices;
mod tell;
mod told;
mod work;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tidemark_model::view::ControllerView;
use tidemark_store::ControllerSeen;
use tokio::sync::Notify;

pub use gaps::Gaps;
pub use work::{Exchange, begin, run};

use crate::app::App;

/// The controllers that are there, as of the last look.
#[derive(Debug, Default)]
pub struct Company {
    seen: ArcSwap<Vec<ControllerSeen>>,
    /// Those that were ever there.
    known: Mutex<Holders>,
    /// What was exchanged before the task began, which goes on from there.
    begun: Mutex<Exchange>,
    /// Hosts whose detectors here lack what others have stored.
    pub gaps: Gaps,
    /// A session of a host has begun here, or ended.
    pub sessions_changed: Notify,
    /// Another controller has told something.
    pub told: Notify,
}

impl Company {
    /// The controllers that are there, this one among them; empty where one is always alone.
    #[must_use]
    pub fn views(&self, app: &App) -> Vec<ControllerView> {
        let leader = app.leader.view().holder;
        let seen = self.seen.load();
        let views = seen.iter().map(|one| ControllerView {
            name: one.holder.clone(),
            version: one.version.clone(),
            started_ms: one.started_at.unix_ms(),
            is_this: one.holder == app.leader.holder(),
            leads: leader.as_ref() == Some(&one.holder),
        });
        let mut views: Vec<ControllerView> = views.collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    /// Whether that controller tells others of its hosts, and hears of theirs: those of earlier releases do not.
    fn is_known(&self, holder: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(holder)
    }

    fn begun(&self) -> MutexGuard<'_, Exchange> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stand(&self, seen: Vec<ControllerSeen>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > KNOWN_MAX {
            known.clear();
        }
        known.extend(seen.iter().map(|one| one.holder.clone()));
        drop(known);
        self.seen.store(Arc::new(seen));
    }
}

impl App {
    /// Whether this controller is the one that decides what follows from hosts' figures: incidents, what policies and runs do. It is
    /// the one that leads. Where that one is of an earlier release, which sees its own hosts alone, each decides for what it sees; two
    /// that decide the same do it once.
    #[must_use]
    pub fn decides(&self) -> bool {
        if self.leader.term().is_some() {
            return true;
        }
        let leader = self.leader.view().holder;
        leader.is_some_and(|holder| !self.company.is_known(&holder))
    }
}

/// Names of controllers that are remembered: each start has another one.
const KNOWN_MAX: usize = 1_000;

/// Names of controllers.
type Holders = HashSet<String>;
