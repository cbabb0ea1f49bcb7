//! Why a rise of the floor is no reason for an alarm, with the figures that decided. Draws no conclusions itself.

use std::fmt;

use crate::wording::{count, duration, ports};

/// Milliseconds in an hour.
const HOUR: f64 = 3_600_000.0;

/// Why a climb was not found, or is not told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The memory does not reach back over the window and what it is compared with.
    TooLittleHistory,
    /// The host booted in the window.
    Booted,
    /// Too many blocks of the window were not counted.
    NotCounted,
    /// The rise is too small a share of capacity.
    Small { gain: f64, least: f64 },
    /// Too few blocks lie above the one before, or the last does not.
    Halting { up: usize, of: usize, last: f64 },
    /// One block holds most of the rise.
    Step { highest: f64, gain: f64 },
    /// The second half of the window brings too little of what the first brought, in ports a block.
    Bends { early: f64, late: f64 },
    /// The rise is within what this host's floor usually changes by.
    Noise { gain: f64, least: f64 },
    /// The rate of connections rose alike.
    Load { explained: f64, gain: f64 },
    /// The end is too far ahead for a rise as old as this.
    Far { hours: f64, most: f64 },
    /// No process holds enough of the rise.
    NoOwner { share: f64, least: f64 },
    /// The quiet hours of whole days do not rise.
    NoSlope,
    /// A leak stalled a short while ago, and this rise is slower.
    Cooling,
    /// Something was deployed a short while ago.
    Settling,
    /// Restarts of the process, or of the host, come in time.
    Restarts,
    /// The rise flattens below capacity, and there is time to wait and see.
    Flattens,
    /// This host did as much before.
    Usual { gain: f64 },
}

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLittleHistory => {
                to.write_str("not weighed: it needs more history than there is")
            }
            Self::Booted => to.write_str("not weighed: the host booted within the window"),
            Self::NotCounted => to.write_str("not weighed: too much of the window was not counted"),
            Self::Small { gain, least } => write!(
                to,
                "no: the floor rose by {}, and less than {} counts for nothing",
                ports(*gain),
                count(*least)
            ),
            Self::Halting { up, of, last } => write!(
                to,
                "no: it rose in {up} of {of} steps only, by {} in the last",
                ports(*last)
            ),
            Self::Step { highest, gain } => write!(
                to,
                "no: one step holds {} of the rise by {}: a step, not a leak",
                count(*highest),
                ports(*gain)
            ),
            Self::Bends { early, late } => write!(
                to,
                "no: the second half rose by {} a step after {} in the first: it loses pace",
                ports(*late),
                count(*early)
            ),
            Self::Noise { gain, least } => write!(
                to,
                "no: the rise by {} is within this host's usual change; {} would not be",
                ports(*gain),
                count(*least)
            ),
            Self::Load { explained, gain } => write!(
                to,
                "no: TIME_WAIT grew too, and explains {} of the rise by {}: load",
                count(*explained),
                ports(*gain)
            ),
            Self::Far { hours, most } => write!(
                to,
                "no: at this pace ports last for {}, and a rise of this age is believed for {}",
                duration(hours * HOUR),
                duration(most * HOUR)
            ),
            Self::NoOwner { share, least } => write!(
                to,
                "no: the process with the largest part holds {:.0} % of the rise, below {:.0} %",
                100.0 * share,
                100.0 * least
            ),
            Self::NoSlope => to.write_str("no: the quiet hours of whole days do not rise"),
            Self::Cooling => to.write_str(
                "no: a leak stalled here within four days, and this rise is slower than that",
            ),
            Self::Settling => to.write_str(
                "no: something was deployed within 14 h, and the end is not near; it waits",
            ),
            Self::Restarts => to.write_str("no: the restarts seen so far come in time"),
            Self::Flattens => to.write_str(
                "no: the rise flattens and its curve ends below capacity; it is watched",
            ),
            Self::Usual { gain } => write!(
                to,
                "no: this host rose by about {} before without harm",
                ports(*gain)
            ),
        }
    }
}
