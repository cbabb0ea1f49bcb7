//! What a life is like: how many hosts and controllers, and which faults it has at all.

use tidemark_disk::Chance;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// A connection breaks: what is under way arrives in part, and each end notices in its time.
    Break,
    /// A host reaches nobody for a while.
    Partition,
    /// A controller dies; what it had not committed is gone.
    KillController,
    /// A controller ends as it should, and comes back.
    Drain,
    /// The database answers nobody for a while.
    DatabaseAway,
    /// A commit is done, and the controller is told that it failed.
    OutcomeLost,
    /// An agent's process dies; what it wrote stays.
    KillAgent,
    /// An agent ends as it should, and comes back.
    StopAgent,
    /// A host's power goes in the middle of something.
    CutPower,
    /// A host's disk is full for a while.
    DiskFull,
    /// A host's disk fails for a moment.
    DiskFails,
    /// A host has no file handles for a moment.
    DiskBusy,
    /// A host is put back to a snapshot of itself.
    Snapshot,
    /// A host's clock jumps.
    HostClock,
    /// A controller's clock jumps.
    ControllerClock,
    /// A host tells something that no controller takes.
    Refused,
}

impl Trouble {
    pub(super) const ALL: [Self; 16] = [
        Self::Break,
        Self::Partition,
        Self::KillController,
        Self::Drain,
        Self::DatabaseAway,
        Self::OutcomeLost,
        Self::KillAgent,
        Self::StopAgent,
        Self::CutPower,
        Self::DiskFull,
        Self::DiskFails,
        Self::DiskBusy,
        Self::Snapshot,
        Self::HostClock,
        Self::ControllerClock,
        Self::Refused,
    ];
}

/// What a life is like.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) hosts: usize,
    pub(super) controllers: usize,
    /// Between two samples of a host, in milliseconds.
    pub(super) interval_ms: u64,
    /// How long faults last, in milliseconds.
    pub(super) troubled_ms: u64,
    /// What it has, and how long it takes from one to the next on the average.
    pub(super) troubles: Vec<(Trouble, u64)>,
    /// How long a frame is under way, in milliseconds.
    pub(super) latency_ms: (u64, u64),
    /// Whether hosts' spools are so small that records are dropped.
    pub(super) small_spools: bool,
}

impl Plan {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let latency = [(0, 2), (1, 40), (20, 900)];
        let mut troubles: Vec<_> = Trouble::ALL
            .into_iter()
            .filter(|_| chance.percent(35))
            .collect();
        if chance.percent(5) {
            troubles.clear();
        }
        let mean_ms = chance.between(5_000, 60_000);
        Self {
            hosts: chance.between(1, 3).try_into().unwrap_or(1),
            controllers: chance.between(1, 3).try_into().unwrap_or(1),
            interval_ms: chance.between(500, 5_000),
            troubled_ms: chance.between(40_000, 160_000),
            troubles: troubles
                .into_iter()
                .map(|trouble| (trouble, chance.between(mean_ms / 2, mean_ms * 2)))
                .collect(),
            latency_ms: latency[chance.index(latency.len())],
            small_spools: chance.percent(30),
        }
    }

    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.troubles.iter().any(|(has, _)| *has == trouble)
    }
}
