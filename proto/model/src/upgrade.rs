//! The roll-out of a release over hosts: its rings, where each host stands, and what a host says of itself.

mod rings;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::kinds::kinds;
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

kinds! {
    /// How far the upgrade of one host is.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    #[derive(PartialOrd, Ord)]
    HostStage
    /// Its ring has not begun, or it is not connected, or others download.
    Waiting = "waiting",
    /// It was told of the release and did not answer yet.
    Offered = "offered",
    /// It fetches its file.
    Downloading = "downloading",
    /// The file is whole, verified and on disk.
    Staged = "staged",
    /// The new version runs on trial; the old one watches.
    Switched = "switched",
    /// The new version reached the controller and had a sample acknowledged.
    Healthy = "healthy",
    /// The new version did not get well, and the host went back.
    RolledBack = "rolled_back",
    /// The host does not take the release.
    Refused = "refused",
    /// It said nothing for longer than its stage may last.
    Overdue = "overdue",
    /// It was away while its ring was open, or takes no releases at all: nothing is known against this one.
    Missed = "missed",
    /// The roll-out was stopped before its turn.
    Left = "left",
}

impl HostStage {
    /// Stages of a host that has begun and not ended.
    pub const UNDER_WAY: [Self; 4] = [
        Self::Offered,
        Self::Downloading,
        Self::Staged,
        Self::Switched,
    ];
    /// Stages that speak against the release.
    pub const FAILURES: [Self; 3] = [Self::RolledBack, Self::Refused, Self::Overdue];

    /// As people read it.
    #[must_use]
    pub fn words(self) -> String {
        self.as_str().replace('_', " ")
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.deadline().is_none()
    }

    /// Whether it speaks against the release.
    #[must_use]
    pub fn is_failure(self) -> bool {
        Self::FAILURES.contains(&self)
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

kinds! {
    /// Where a roll-out stands.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    UpgradeState
    /// It goes on by itself.
    Running = "running",
    /// Somebody paused it: hosts that began go on, none begins.
    Paused = "paused",
    /// Too many hosts failed: hosts that began go on, none begins.
    Halted = "halted",
    /// Every host has ended.
    Done = "done",
    /// Somebody stopped it for good.
    Stopped = "stopped",
}

impl UpgradeState {
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

/// How many hosts of a ring are at a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The ring, from 0.
    pub ring: u8,
    /// The stage.
    pub stage: HostStage,
    /// How many.
    pub hosts: u64,
    /// Since when the last one of them is there.
    pub since: Timestamp,
}

/// How many hosts are at stages that are so.
#[must_use]
pub fn hosts_at(tallies: &[Tally], is_so: impl Fn(HostStage) -> bool) -> u64 {
    let counted = tallies.iter().filter(|tally| is_so(tally.stage));
    counted.map(|tally| tally.hosts).sum()
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

/// When a ring may begin: when those before it have ended, which `tallies` must show, and soaked. `None` for the first one, which
/// begins with the roll-out.
#[must_use]
pub fn ring_begins(plan: &UpgradePlan, tallies: &[Tally], ring: u8) -> Option<Timestamp> {
    let before = tallies.iter().filter(|tally| tally.ring < ring);
    let ended = before.map(|tally| tally.since).max()?;
    Some(ended.saturating_add(Duration::from_millis(plan.soak_ms)))
}

/// Decides what is next for a roll-out that runs, by where its hosts stand. `forgiven` are the failures that somebody saw who had
/// it go on nevertheless.
#[must_use]
pub fn next_step(plan: &UpgradePlan, tallies: &[Tally], forgiven: u32, now: Timestamp) -> NextStep {
    let failed = u32::try_from(hosts_at(tallies, HostStage::is_failure)).unwrap_or(u32::MAX);
    let failures = failed.saturating_sub(forgiven);
    if failures > plan.failures_max {
        return NextStep::Halt { failures };
    }
    let open = tallies.iter().filter(|tally| !tally.stage.is_final());
    let Some(ring) = open.map(|tally| tally.ring).min() else {
        return NextStep::Done;
    };
    let has_begun = tallies
        .iter()
        .any(|tally| tally.ring == ring && tally.stage != HostStage::Waiting);
    match ring_begins(plan, tallies, ring) {
        Some(until) if until > now && !has_begun => NextStep::Soak { ring, until },
        Some(_) | None => NextStep::Ring(ring),
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

    /// One host each.
    fn tallies(stages: &[(u8, HostStage, i64)]) -> Vec<Tally> {
        let tally = |(ring, stage, since): &(u8, HostStage, i64)| Tally {
            ring: *ring,
            stage: *stage,
            hosts: 1,
            since: at(*since),
        };
        stages.iter().map(tally).collect()
    }

    #[test]
    fn a_ring_begins_when_the_one_before_it_has_ended_and_soaked() {
        use HostStage::{Healthy, Switched, Waiting};
        let next = |stages: &[_], now| next_step(&PLAN, &tallies(stages), 0, at(now));
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
            let all = tallies(&[(0, bad, 1), (4, Waiting, 0)]);
            let next = |forgiven| next_step(&PLAN, &all, forgiven, at(500));
            assert_eq!(next(0), NextStep::Halt { failures: 1 });
            assert_eq!(next(1), NextStep::Ring(4));
        }
        // Nothing is known against the release.
        let away = tallies(&[(0, Missed, 1), (1, Healthy, 2), (4, Waiting, 0)]);
        assert_eq!(next_step(&PLAN, &away, 0, at(500)), NextStep::Ring(4));
    }

    #[test]
    fn every_stage_ends_or_has_a_deadline_and_reads_as_it_is_written() {
        for stage in HostStage::ALL {
            assert_eq!(HostStage::from_name(stage.as_str()), Some(*stage));
            assert!(!stage.is_failure() || stage.is_final());
            let is_under_way = HostStage::UNDER_WAY.contains(stage);
            assert_eq!(
                stage.is_final(),
                !is_under_way && *stage != HostStage::Waiting
            );
        }
    }
}
