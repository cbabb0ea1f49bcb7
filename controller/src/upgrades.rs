//! Upgrades of agents: releases that were signed elsewhere are kept and handed out, and rolled out in rings. The controller is a
//! courier: it holds no key, and each host judges for itself what it takes.

pub mod drive;
pub mod releases;
pub mod report;
pub mod roll_out;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidemark_model::error_code::ApiError;
use tidemark_model::upgrade::UpgradeReport;
use tidemark_model::{ErrorCode, HostId, SessionId};
use tidemark_store::StoreError;
use tokio::sync::{Notify, Semaphore};

/// Pieces that are read from the database at once, over all hosts.
const PIECES_AT_ONCE: usize = 4;

/// What is known of hosts' programs here, and what wakes whatever rolls out.
#[derive(Debug)]
pub struct Upgrades {
    /// Wakes the driver.
    pub changed: Notify,
    /// Places for pieces that are read at once.
    pub piece_places: Semaphore,
    told: Mutex<HashMap<HostId, (SessionId, UpgradeReport)>>,
}

impl Default for Upgrades {
    fn default() -> Self {
        Self {
            changed: Notify::new(),
            piece_places: Semaphore::new(PIECES_AT_ONCE),
            told: Mutex::default(),
        }
    }
}

impl Upgrades {
    /// What a host that is connected here said of its program.
    #[must_use]
    pub fn told(&self, host: HostId) -> Option<UpgradeReport> {
        self.lock().get(&host).map(|(_, report)| report.clone())
    }

    /// Notes what a host says of its program.
    pub fn note(&self, host: HostId, session: SessionId, report: UpgradeReport) {
        self.lock().insert(host, (session, report));
    }

    /// The session has ended: what it told is known no more.
    pub fn forget(&self, host: HostId, session: SessionId) {
        let mut told = self.lock();
        if told.get(&host).is_some_and(|(by, _)| *by == session) {
            told.remove(&host);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HostId, (SessionId, UpgradeReport)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why something is not done about a release or a roll-out; nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// There is no such release.
    #[error("there is no such release; `tidemark get releases` lists them")]
    UnknownRelease,
    /// There is no such roll-out.
    #[error("there is no such roll-out; `tidemark get upgrades` lists them")]
    UnknownUpgrade,
    /// Values that are out of limits, one sentence each.
    #[error("{}", .0.join("; "))]
    Limits(Vec<String>),
    /// One of that number is kept.
    #[error("release {0} is kept already, and a number is one release; sign the next number")]
    ReleaseBefore(u32),
    /// Files are missing.
    #[error(
        "release {release} is not whole: {missing} of its files are missing; `tidemark release add` brings them"
    )]
    NotWhole {
        /// Which.
        release: u32,
        /// How many.
        missing: usize,
    },
    /// It may not be installed any more.
    #[error("release {0} has expired; sign the next number")]
    Expired(u32),
    /// Another roll-out has not ended.
    #[error("roll-out {0} has not ended; stop it first, or wait for its end")]
    Another(i64),
    /// What was looked at before it was to start is not what would start.
    #[error("the hosts or the release have changed since you looked; look again")]
    Changed,
    /// A roll-out uses it.
    #[error("roll-out {0} of it has not ended; stop that first")]
    InUse(i64),
    /// It stands elsewhere.
    #[error("a roll-out that is {state} cannot be {deed}")]
    State {
        /// Where.
        state: &'static str,
        /// What was wanted.
        deed: &'static str,
    },
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for UpgradeError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownRelease | Self::UnknownUpgrade => ErrorCode::NotFound,
            Self::Limits(_) => ErrorCode::InvalidArgument,
            Self::ReleaseBefore(_) => ErrorCode::Conflict,
            Self::NotWhole { .. }
            | Self::Expired(_)
            | Self::Changed
            | Self::Another(_)
            | Self::InUse(_)
            | Self::State { .. } => ErrorCode::Precondition,
            Self::Store(error) => error.code(),
        }
    }
}
