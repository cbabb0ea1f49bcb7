//! What the detector says of a port space: level, trend, and when it will be exhausted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// When ports run out, with an 80 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eta {
    /// The median, on the controller's clock.
    pub at: Timestamp,
    /// Ten in a hundred times it is earlier than this.
    pub earliest: Timestamp,
    /// Ten in a hundred times it is later than this; `None` when the trend may also never get there.
    pub latest: Option<Timestamp>,
}

/// Why ports run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Road {
    /// The floor rises: ports are held and not given back.
    Leak,
    /// Connections open and close faster than TIME_WAIT lets ports go.
    Churn,
    /// The load grows: its daily peaks reach capacity.
    Load,
    /// There is no headroom left.
    Saturated,
}

impl Road {
    /// Every road.
    pub const ALL: [Self; 4] = [Self::Leak, Self::Churn, Self::Load, Self::Saturated];

    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leak => "leak",
            Self::Churn => "churn",
            Self::Load => "load",
            Self::Saturated => "saturated",
        }
    }
}

/// The detector's word on one port space at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Ports in use over capacity, 0 to 1; `None` when the capacity is unknown or zero.
    pub level: Option<f64>,
    /// How fast the floor rises, in ports an hour; `None` while there is too little history.
    pub floor_ports_per_hour: Option<f64>,
    /// When ports run out; `None` when nothing says that they will.
    pub eta: Option<Eta>,
    /// Why, when there is an ETA.
    pub road: Option<Road>,
    /// Process image or remote endpoint with the largest share of the rise.
    pub culprit: Option<Arc<str>>,
    /// One sentence with the figures behind it, for an operator to check by hand.
    pub explanation: String,
}

impl Forecast {
    /// Nothing is known yet; `explanation` says why.
    #[must_use]
    pub const fn unknown(explanation: String) -> Self {
        Self {
            level: None,
            floor_ports_per_hour: None,
            eta: None,
            road: None,
            culprit: None,
            explanation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_road_has_one_name_here_and_in_json() {
        for road in Road::ALL {
            let json = serde_json::to_string(&road).unwrap();
            assert_eq!(json, format!("\"{}\"", road.as_str()));
        }
    }
}
