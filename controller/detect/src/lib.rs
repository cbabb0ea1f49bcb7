//! Trend, forecast and churn of a port space: pure and deterministic.
//!
//! Readings go in with their time, a [`tidemark_model::forecast::Forecast`] comes out. There is no clock, no IO, no
//! randomness and no database here, so a month of history gives the same verdicts every time it is replayed.

mod churn;
mod detector;
mod explain;
mod leak;
mod memory;
mod observation;
mod owners;
mod ring;
mod rise;
mod saturation;
mod stats;
mod wording;

pub use detector::SpaceDetector;
pub use observation::{
    DestinationReading, DetectorSettings, Extent, Observation, OwnerReading, Rollup, SampleReadings,
};
