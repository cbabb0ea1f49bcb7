//! Trend, forecast and churn of a port space: pure and deterministic.
//!
//! Readings go in with their time, a [`tidemark_model::forecast::Forecast`] comes out. There is no clock, no IO, no
//! randomness and no database here, so a month of history gives the same verdicts every time it is replayed.

pub mod backtest;
pub mod causes;
mod churn;
mod clock;
mod days;
mod detector;
mod explain;
mod host;
mod leak;
mod memory;
mod observation;
mod owners;
mod ring;
mod rise;
mod saturation;
mod stats;
mod wording;

pub use clock::HostClock;
pub use detector::SpaceDetector;
pub use host::{HostDetector, PORT_SPACES_MAX};
pub use observation::{
    DestinationReading, DetectorSettings, Extent, Observation, OwnerReading, Rollup, SampleReadings,
};
