//! Which version of the agent runs next, and what becomes of one on trial.
//!
//! ```text
//!             staged              healthy
//! current ------------> on trial ---------> current, the one before it kept
//!    ^                     |
//!    \---------------------/  ended, hung, too many starts, file damaged: failed, never tried again
//! ```
//! Kept by the watcher alone, and on disk before anything is started: whenever the machine stops, what was kept last says which
//! version starts, and there always is one.

use serde::{Deserialize, Serialize};
use tidemark_model::Timestamp;
use tidemark_model::release::{FileDigest, ManifestDigest};

/// How often a version on trial is started: one that takes the machine down each time is given up.
pub const TRIAL_STARTS_MAX: u8 = 3;
/// Longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 400;

/// A version whose file lies verified on this host's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staged {
    /// Its number; its folder is named by it.
    pub release: u32,
    /// What people call it.
    pub version: String,
    /// By which manifest it came.
    pub manifest: ManifestDigest,
    /// What its file hashes to.
    pub sha256: FileDigest,
    /// The lowest release that the host may run once this one is healthy.
    pub floor: u32,
}

/// A version that did not get well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedTrial {
    /// Its number.
    pub release: u32,
    /// By which manifest it came.
    pub manifest: ManifestDigest,
    /// What was wrong.
    pub reason: String,
    /// When it was given up.
    pub at_ms: Timestamp,
}

/// What is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launch {
    /// The program that the host was installed with.
    Installed,
    /// A version that was healthy.
    Current(Staged),
    /// A version that must show that it is.
    Trial(Staged),
}

/// Which version runs, and which one is on trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// What the installed program hashed to when the current version took its place.
    installed: Option<FileDigest>,
    current: Option<Staged>,
    previous: Option<Staged>,
    trial: Option<Trial>,
    failed: Option<FailedTrial>,
    floor: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    version: Staged,
    starts: u8,
}

impl Switch {
    /// The version that was healthy last; `None` for the installed program.
    #[must_use]
    pub const fn current(&self) -> Option<&Staged> {
        self.current.as_ref()
    }

    /// The version on trial.
    #[must_use]
    pub fn on_trial(&self) -> Option<&Staged> {
        self.trial.as_ref().map(|trial| &trial.version)
    }

    /// The last version that was given up.
    #[must_use]
    pub const fn failed(&self) -> Option<&FailedTrial> {
        self.failed.as_ref()
    }

    /// The lowest release that this host may run.
    #[must_use]
    pub const fn floor(&self) -> u32 {
        self.floor
    }

    /// Whether the files of that release are needed.
    #[must_use]
    pub fn needs(&self, release: u32) -> bool {
        [
            self.current.as_ref(),
            self.previous.as_ref(),
            self.on_trial(),
        ]
        .into_iter()
        .flatten()
        .any(|version| version.release == release)
    }

    /// Takes note of the installed program. When it is another one than before, an administrator has installed it since, and it
    /// is what runs.
    pub fn note_installed(&mut self, found: FileDigest) {
        let is_another = self.installed.is_some_and(|before| before != found);
        if is_another {
            self.current = None;
            self.previous = None;
            self.trial = None;
        }
        self.installed = Some(found);
    }

    /// What to start next, after what is staged and which files are whole. Keep the switch before starting it.
    pub fn next(
        &mut self,
        staged: Option<&Staged>,
        now: Timestamp,
        is_whole: impl Fn(&Staged) -> bool,
    ) -> Launch {
        self.begin_trial(staged);
        if let Some(trial) = &mut self.trial {
            let obstacle = if trial.starts >= TRIAL_STARTS_MAX {
                Some(format!(
                    "it was started {TRIAL_STARTS_MAX} times and was not healthy before the host or its watcher ended"
                ))
            } else if is_whole(&trial.version) {
                None
            } else {
                Some("its file on disk is missing or damaged".to_owned())
            };
            match obstacle {
                None => {
                    trial.starts = trial.starts.saturating_add(1);
                    return Launch::Trial(trial.version.clone());
                }
                Some(reason) => self.give_up(&reason, now),
            }
        }
        if self.current.as_ref().is_some_and(|one| !is_whole(one)) {
            self.current = None;
        }
        if self.current.is_none() {
            let floor = self.floor;
            let usable = |one: &Staged| one.release >= floor && is_whole(one);
            self.current = self.previous.take().filter(usable);
        }
        self.current
            .clone()
            .map_or(Launch::Installed, Launch::Current)
    }

    fn begin_trial(&mut self, staged: Option<&Staged>) {
        let runs = self.current.as_ref().map_or(0, |version| version.release);
        let Some(staged) = staged.filter(|_| self.trial.is_none()) else {
            return;
        };
        let has_failed = self
            .failed
            .as_ref()
            .is_some_and(|failed| failed.release >= staged.release);
        if !has_failed && staged.release > runs && staged.release >= self.floor {
            self.trial = Some(Trial {
                version: staged.clone(),
                starts: 0,
            });
        }
    }

    /// The version on trial is healthy: it is the current one from now on.
    pub fn commit(&mut self) {
        if let Some(trial) = self.trial.take() {
            self.floor = self.floor.max(trial.version.floor);
            self.previous = self.current.replace(trial.version);
        }
    }

    /// The version on trial is not healthy: the host goes back, and never tries it again.
    pub fn give_up(&mut self, reason: &str, now: Timestamp) {
        if let Some(trial) = self.trial.take() {
            self.failed = Some(FailedTrial {
                release: trial.version.release,
                manifest: trial.version.manifest,
                reason: reason.chars().take(REASON_CHARS_MAX).collect(),
                at_ms: now,
            });
        }
    }

    /// The watcher was asked to stop in the middle of a trial, which says nothing about the version.
    pub fn forgive_start(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.starts = trial.starts.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
