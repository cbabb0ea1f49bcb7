//! The roll-out of a release over hosts: its rings, where each host stands, and what a host says of itself.

mod rings;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::release::ManifestDigest;
pub use rings::{RINGS, ring_sizes, rings_of};

/// Longest word of a host about its upgrade, in characters.
pub const REASON_CHARS_MAX: usize = 500;
/// Longest soak between two rings.
pub const SOAK_MAX: Duration = Duration::from_secs(14 * 86_400);
/// Shipped soak between two rings.
pub const SOAK_SHIPPED: Duration = Duration::from_secs(3_600);
/// Most failures that a roll-out may be told to bear.
pub const FAILURES_MAX: u32 = 1_000;
/// How long a host may be away when its ring has begun, before the roll-out goes on without it.
pub const WAIT_SHIPPED: Duration = Duration::from_secs(3_600);

/// How far the upgrade of one host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostStage {
    /// Its ring has not begun, or it is not connected, or others download.
    Waiting,
    /// It was told of the release and did not answer yet.
    Offered,
    /// It fetches its file.
    Downloading,
    /// The file is whole, verified and on disk.
    Staged,
    /// The new version runs on trial; the old one watches.
    Switched,
    /// The new version reached the controller and had a sample acknowledged.
    Healthy,
    /// The new version did not get well, and the host went back.
    RolledBack,
    /// The host does not take the release.
    Refused,
    /// It said nothing for longer than its stage may last.
    Overdue,
    /// It was away while its ring was open, or takes no releases at all: nothing is known against this one.
    Missed,
    /// The roll-out was stopped before its turn.
    Left,
}

impl HostStage {
    /// Every stage.
    pub const ALL: [Self; 11] = [
        Self::Waiting,
        Self::Offered,
        Self::Downloading,
        Self::Staged,
        Self::Switched,
        Self::Healthy,
        Self::RolledBack,
        Self::Refused,
        Self::Overdue,
        Self::Missed,
        Self::Left,
    ];

    /// As it is stored and told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Offered => "offered",
            Self::Downloading => "downloading",
            Self::Staged => "staged",
            Self::Switched => "switched",
            Self::Healthy => "healthy",
            Self::RolledBack => "rolled_back",
            Self::Refused => "refused",
            Self::Overdue => "overdue",
            Self::Missed => "missed",
            Self::Left => "left",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.deadline().is_none()
    }

    /// Whether it speaks against the release.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::RolledBack | Self::Refused | Self::Overdue)
    }

    /// Whether it takes a place among the hosts that download at once.
    #[must_use]
    pub const fn takes_a_place(self) -> bool {
        matches!(self, Self::Offered | Self::Downloading)
    }

    /// How long it may last; `None` when it is an end. A trial may take its grace three times over, since a host that is
    /// restarted meanwhile begins it anew; `Waiting` lasts as long as the roll-out says.
    #[must_use]
    pub const fn deadline(self) -> Option<Duration> {
        match self {
            Self::Waiting => Some(WAIT_SHIPPED),
            Self::Offered => Some(Duration::from_secs(300)),
            Self::Downloading => Some(Duration::from_secs(3_600)),
            Self::Staged => Some(Duration::from_secs(900)),
            Self::Switched => Some(Duration::from_secs(3_600)),
            Self::Healthy
            | Self::RolledBack
            | Self::Refused
            | Self::Overdue
            | Self::Missed
            | Self::Left => None,
        }
    }
}

/// What a host says of the release that it works on, or worked on last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostNews {
    /// Which manifest.
    pub manifest: ManifestDigest,
    /// How far.
    pub stage: HostStage,
    /// Why, or how far; hostile text of at most [`REASON_CHARS_MAX`].
    pub text: String,
}

/// What a host says of its own program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeReport {
    /// Which release runs; `None` for the program that was installed by hand or by a package.
    pub running: Option<u32>,
    /// The highest release that it has seen.
    pub seen: u32,
    /// The lowest release that it may go back to.
    pub floor: u32,
    /// Why it takes no release whatever it is; `None` when it takes those that its policy lets it.
    pub unable: Option<String>,
    /// What became of the last one.
    pub news: Option<HostNews>,
}

/// Where a roll-out stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeState {
    /// It goes on by itself.
    Running,
    /// Somebody paused it: hosts that began go on, none begins.
    Paused,
    /// Too many hosts failed: hosts that began go on, none begins.
    Halted,
    /// Every host has ended.
    Done,
    /// Somebody stopped it for good.
    Stopped,
}

impl UpgradeState {
    /// As it is stored and told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Done => "done",
            Self::Stopped => "stopped",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Running,
            Self::Paused,
            Self::Halted,
            Self::Done,
            Self::Stopped,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Stopped)
    }
}

/// How a release is rolled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradePlan {
    /// Between the end of a ring and the next one.
    pub soak_ms: u64,
    /// With how many failed hosts it goes on; with one more it halts.
    pub failures_max: u32,
    /// How long a host may be away while its ring is open.
    pub wait_ms: u64,
}

/// A host's place in a roll-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTurn {
    /// In which ring it is, from 0.
    pub ring: u8,
    /// How far it is.
    pub stage: HostStage,
    /// Since when.
    pub since: Timestamp,
}

/// What is next for a roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Hosts of this ring have their turn.
    Ring(u8),
    /// The ring is over and soaks; the next one begins then.
    Soak {
        /// The next ring.
        ring: u8,
        /// When it begins.
        until: Timestamp,
    },
    /// Too many failed.
    Halt {
        /// How many.
        failures: u32,
    },
    /// Every host has ended.
    Done,
}

/// Decides what is next for a roll-out that runs, by where its hosts stand. `forgiven` are the failures that somebody saw who had
/// it go on nevertheless.
#[must_use]
pub fn next_step(
    plan: &UpgradePlan,
    turns: &[HostTurn],
    forgiven: u32,
    now: Timestamp,
) -> NextStep {
    let failed = turns.iter().filter(|turn| turn.stage.is_failure()).count();
    let failures = u32::try_from(failed)
        .unwrap_or(u32::MAX)
        .saturating_sub(forgiven);
    if failures > plan.failures_max {
        return NextStep::Halt { failures };
    }
    let open = turns.iter().filter(|turn| !turn.stage.is_final());
    let Some(ring) = open.map(|turn| turn.ring).min() else {
        return NextStep::Done;
    };
    let before = turns.iter().filter(|turn| turn.ring < ring);
    let has_begun = turns
        .iter()
        .any(|turn| turn.ring == ring && turn.stage != HostStage::Waiting);
    let Some(ended) = before.map(|turn| turn.since).max().filter(|_| !has_begun) else {
        return NextStep::Ring(ring);
    };
    let until = ended.saturating_add(Duration::from_millis(plan.soak_ms));
    if until > now {
        NextStep::Soak { ring, until }
    } else {
        NextStep::Ring(ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: UpgradePlan = UpgradePlan {
        soak_ms: 100,
        failures_max: 0,
        wait_ms: 1_000,
    };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn turns(stages: &[(u8, HostStage, i64)]) -> Vec<HostTurn> {
        let turn = |(ring, stage, since): &(u8, HostStage, i64)| HostTurn {
            ring: *ring,
            stage: *stage,
            since: at(*since),
        };
        stages.iter().map(turn).collect()
    }

    #[test]
    fn a_ring_begins_when_the_one_before_it_has_ended_and_soaked() {
        use HostStage::{Healthy, Switched, Waiting};
        let next = |stages: &[_], now| next_step(&PLAN, &turns(stages), 0, at(now));
        assert_eq!(
            next(&[(0, Waiting, 0), (4, Waiting, 0)], 1),
            NextStep::Ring(0)
        );
        assert_eq!(
            next(&[(0, Switched, 5), (4, Waiting, 0)], 900),
            NextStep::Ring(0)
        );
        let soaks = NextStep::Soak {
            ring: 4,
            until: at(110),
        };
        assert_eq!(next(&[(0, Healthy, 10), (4, Waiting, 0)], 109), soaks);
        assert_eq!(
            next(&[(0, Healthy, 10), (4, Waiting, 0)], 110),
            NextStep::Ring(4)
        );
        assert_eq!(
            next(&[(0, Healthy, 10), (4, Healthy, 200)], 201),
            NextStep::Done
        );
    }

    #[test]
    fn a_failed_host_halts_everything_until_somebody_forgives_it() {
        use HostStage::{Healthy, Missed, Overdue, Refused, RolledBack, Waiting};
        for bad in [RolledBack, Refused, Overdue] {
            let all = turns(&[(0, bad, 1), (4, Waiting, 0)]);
            let next = |forgiven| next_step(&PLAN, &all, forgiven, at(500));
            assert_eq!(next(0), NextStep::Halt { failures: 1 });
            assert_eq!(next(1), NextStep::Ring(4));
        }
        // Nothing is known against the release.
        let away = turns(&[(0, Missed, 1), (1, Healthy, 2), (4, Waiting, 0)]);
        assert_eq!(next_step(&PLAN, &away, 0, at(500)), NextStep::Ring(4));
    }

    #[test]
    fn every_stage_ends_or_has_a_deadline_and_reads_as_it_is_written() {
        for stage in HostStage::ALL {
            assert_eq!(HostStage::from_name(stage.as_str()), Some(stage));
            assert_eq!(stage.is_final(), stage.deadline().is_none());
            assert!(!stage.is_failure() || stage.is_final());
        }
        for state in ["running", "paused", "halted", "done", "stopped"] {
            assert_eq!(
                UpgradeState::from_name(state).map(UpgradeState::as_str),
                Some(state)
            );
        }
    }
}
