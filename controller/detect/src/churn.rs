//! Exhaustion by churn: connections close faster than TIME_WAIT gives their ports back. Arithmetic, not trend.
//!
//! After a rate of closes begins, TIME_WAIT grows by it each second for one lifetime and then stays. Ports run out when
//! strong plus that plateau exceeds capacity. Knows nothing of floors.

use std::net::SocketAddr;

use tidemark_model::Timestamp;

use crate::observation::{DestinationReading, Observation};
use crate::ring::{Keep, Ring};
use crate::stats::theil_sen;

const LEAST: usize = 0;
const GREATEST: usize = 1;
static KEEP: [Keep; 2] = [Keep::Least, Keep::Greatest];

/// Blocks in one TIME_WAIT lifetime.
const BLOCKS_A_LIFETIME: i64 = 24;
/// Two lifetimes are kept: the growth and what was before it.
const SLOTS: usize = 48;
/// TIME_WAIT growth counts from this share of capacity on.
const MATERIAL_SHARE: f64 = 0.10;
/// Growth is extrapolated no further than this many times as long as it was seen.
const EXTRAPOLATION: f64 = 1.8;
/// No block may hold more than this share of the growth: a burst does.
const STEP_SHARE: f64 = 0.5;
/// The second half of the growth brings at least this share of the first half.
const BEND_SHARE: f64 = 0.65;
/// An alarm ends after this many blocks in which nothing agreed.
const QUIET_BLOCKS: i64 = 3;

/// TIME_WAIT on its way to a plateau.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Growth {
    /// When it began, in milliseconds since the Unix epoch.
    pub from: f64,
    /// The newest block in it.
    pub to: f64,
    /// Ports of TIME_WAIT when it began.
    pub before: f64,
    /// Ports a millisecond that TIME_WAIT gains.
    pub slope: f64,
    /// Standard error of `slope` over it.
    pub relative_error: f64,
    /// Where TIME_WAIT stops growing: `before` plus a lifetime of `slope`.
    pub plateau: f64,
}

/// The endpoint behind the churn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BusyDestination {
    pub remote: SocketAddr,
    pub ports: u32,
    pub time_wait: u32,
}

/// The churn of one port space.
#[derive(Clone, Debug)]
pub(crate) struct Churn {
    lifetime_ms: i64,
    time_wait: Ring<2>,
    destinations_max: usize,
    destinations: Vec<BusyDestination>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Quiet,
    /// One check agreed, in that block.
    Suspected {
        block: i64,
    },
    /// Two agreed; the last one that did was in that block.
    Raised {
        growth: Growth,
        agreed_block: i64,
    },
}

impl Churn {
    pub(crate) const fn new(lifetime_ms: i64, destinations_max: usize) -> Self {
        Self {
            lifetime_ms,
            time_wait: Ring::new(lifetime_ms / BLOCKS_A_LIFETIME, SLOTS, &KEEP),
            destinations_max,
            destinations: Vec::new(),
            state: State::Quiet,
        }
    }

    /// Takes one reading into the ring.
    pub(crate) fn take(&mut self, observation: &Observation<'_>) {
        let time_wait = observation.time_wait();
        self.time_wait
            .merge(observation.at, [Some(time_wait), Some(time_wait)]);
    }

    /// Takes the endpoints of the newest reading.
    pub(crate) fn take_destinations(&mut self, readings: &[DestinationReading]) {
        self.destinations.clear();
        for reading in readings {
            let known = self
                .destinations
                .iter_mut()
                .find(|known| known.remote == reading.remote);
            if let Some(known) = known {
                known.ports = known.ports.saturating_add(reading.ports);
                known.time_wait = known.time_wait.saturating_add(reading.time_wait);
            } else if self.destinations.len() < self.destinations_max {
                self.destinations.push(BusyDestination {
                    remote: reading.remote,
                    ports: reading.ports,
                    time_wait: reading.time_wait,
                });
            }
        }
    }

    /// Weighs the newest readings; called with each that is newer than those before.
    pub(crate) fn check(&mut self, at: Timestamp, strong: f64, time_wait: f64, capacity: f64) {
        let block = self.time_wait.block_of(at);
        let room = capacity - strong - time_wait;
        let growth = self
            .growth(capacity)
            .filter(|growth| strong + growth.plateau > capacity);
        let near_full = room < 0.1 * capacity;
        self.state = match (std::mem::replace(&mut self.state, State::Quiet), growth) {
            (State::Quiet, Some(growth)) if is_near(&growth, room) => State::Suspected { block },
            (State::Suspected { block: earlier }, Some(growth)) if is_near(&growth, room) => {
                if block > earlier {
                    State::Raised {
                        growth,
                        agreed_block: block,
                    }
                } else {
                    State::Suspected { block: earlier }
                }
            }
            (State::Raised { .. }, Some(growth)) => State::Raised {
                growth,
                agreed_block: block,
            },
            (
                State::Raised {
                    growth,
                    agreed_block,
                },
                None,
            ) if near_full || block <= agreed_block.saturating_add(QUIET_BLOCKS) => State::Raised {
                growth,
                agreed_block,
            },
            (State::Quiet | State::Suspected { .. } | State::Raised { .. }, _) => State::Quiet,
        };
    }

    /// The growth that ends in exhaustion, when that is certain enough to tell.
    pub(crate) const fn raised(&self) -> Option<&Growth> {
        match &self.state {
            State::Raised { growth, .. } => Some(growth),
            State::Quiet | State::Suspected { .. } => None,
        }
    }

    /// The endpoint with the largest share of TIME_WAIT, when that is a third of it or more.
    pub(crate) fn busiest(&self, time_wait: f64) -> Option<BusyDestination> {
        self.destinations
            .iter()
            .max_by_key(|destination| destination.time_wait)
            .filter(|destination| f64::from(destination.time_wait) >= time_wait / 3.0)
            .copied()
    }

    pub(crate) const fn lifetime_ms(&self) -> i64 {
        self.lifetime_ms
    }

    /// Forgets a verdict, as after a boot.
    pub(crate) fn restart(&mut self) {
        self.state = State::Quiet;
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.time_wait.heap_bytes() + self.destinations.capacity() * size_of::<BusyDestination>()
    }

    /// The growth of TIME_WAIT up to its newest block, within the last lifetime. The middle of a block's extremes is
    /// what it was at the middle of the block.
    fn growth(&self, capacity: f64) -> Option<Growth> {
        let newest = self.time_wait.newest()?;
        let last = self.time_wait.get(newest, GREATEST)?;
        if last < MATERIAL_SHARE * capacity {
            return None;
        }
        let points: Vec<(f64, f64)> = (newest - BLOCKS_A_LIFETIME..=newest)
            .filter_map(|block| {
                let least = self.time_wait.get(block, LEAST)?;
                let greatest = self.time_wait.get(block, GREATEST)?;
                Some(((block - newest) as f64, f64::midpoint(least, greatest)))
            })
            .collect();
        let start = (0..points.len().saturating_sub(2)).find(|start| {
            points
                .get(*start..)
                .is_some_and(|part| is_growth(part, capacity))
        })?;
        let inside = points.get(start..)?;
        let line = theil_sen(inside)?;
        let (first, before) = inside.first().copied()?;
        let width = self.time_wait.width_ms() as f64;
        let to = newest as f64 * width;
        let slope = line.slope / width;
        let grown_ms = -first * width;
        Some(Growth {
            from: to + first * width,
            to,
            before,
            slope,
            relative_error: line.slope_error / line.slope,
            plateau: line.at(0.0) + slope * (self.lifetime_ms as f64 - grown_ms).max(0.0),
        })
    }
}

/// Whether the points grow evenly to their end.
fn is_growth(points: &[(f64, f64)], capacity: f64) -> bool {
    let (Some((begin, first)), Some((_, middle)), Some((_, last))) =
        (points.first(), points.get(points.len() / 2), points.last())
    else {
        return false;
    };
    let gain = last - first;
    let steps: Vec<f64> = points
        .windows(2)
        .filter_map(|pair| match pair {
            [(_, before), (_, after)] => Some(after - before),
            _ => None,
        })
        .collect();
    let up = steps.iter().filter(|step| **step > 0.0).count();
    let highest = steps.iter().copied().fold(0.0, f64::max);
    let is_sparse = points.len() < 4;
    gain >= MATERIAL_SHARE * capacity
        && *begin <= -3.0
        && up + steps.len() / 6 >= steps.len()
        && (is_sparse || highest <= STEP_SHARE * gain)
        && last - middle >= BEND_SHARE * (middle - first) * half_ratio(points.len())
}

/// How much longer the second half of `count` points is than the first.
fn half_ratio(count: usize) -> f64 {
    let first = (count / 2).max(1);
    (count - 1).saturating_sub(first).max(1) as f64 / first as f64
}

/// Whether the end is near enough, for as long as the growth was seen, to tell of it.
fn is_near(growth: &Growth, room: f64) -> bool {
    room / growth.slope <= EXTRAPOLATION * (growth.to - growth.from)
}
