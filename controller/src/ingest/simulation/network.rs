//! Connections between hosts and controllers, and what is under way on them.

use tidemark_agent_core::Incoming;
use tidemark_model::{Epoch, Timestamp};
use tidemark_proto::v1;

/// A connection of a host's process to a controller.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) host: usize,
    pub(super) side: usize,
    /// Which process of the host made it.
    pub(super) process: u64,
    /// Which process of the controller took it.
    pub(super) life: u64,
    /// When the last frame to the controller arrives; frames do not overtake each other.
    pub(super) to_side_at: u64,
    /// When the last frame to the host arrives.
    pub(super) to_host_at: u64,
    /// What would reach the controller later is lost.
    pub(super) to_side_until: u64,
    /// What would reach the host later is lost.
    pub(super) to_host_until: u64,
}

/// What a host sends.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Hello { epoch: Epoch, clock: Timestamp },
    Agent(Box<v1::AgentFrame>),
}

/// What happens at a time; the numbers name hosts, controllers and connections.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A host takes a sample.
    Sample(usize),
    /// The session of that process of a host looks at the time.
    Timer(usize, u64),
    /// An agent is started.
    HostUp(usize),
    Connected(u64),
    ToSide(u64, Frame),
    ToHost(u64, Incoming),
    /// The host notices that its connection is gone, or was never made.
    HostLoses(u64),
    /// The controller notices.
    SideLoses(u64),
    /// That process of a controller commits.
    Commit(usize, u64),
    Heartbeat(usize, u64),
    SideUp(usize),
    /// A controller that drains has waited long enough.
    Drained(usize, u64),
    /// The next fault of this kind, by its place in the plan.
    Trouble(usize),
    /// A host's disk works again.
    DiskMended(usize),
}

impl Connection {
    pub(super) fn new(host: usize, process: u64, side: usize, life: u64) -> Self {
        Self {
            host,
            side,
            process,
            life,
            to_side_at: 0,
            to_host_at: 0,
            to_side_until: u64::MAX,
            to_host_until: u64::MAX,
        }
    }

    /// Loses what would arrive later than so.
    pub(super) fn cut(&mut self, to_side_until: u64, to_host_until: u64) {
        self.to_side_until = to_side_until.min(self.to_side_until);
        self.to_host_until = to_host_until.min(self.to_host_until);
    }
}
