//! Leaks over hours to weeks: the floor of four weeks, weighed every quarter hour.
//!
//! Stages one to four of the reference detector, and its roads of growing load; without what it says of fleets.

mod doubts;
mod load;
mod onset;
mod outlook;
mod passage;
mod refusal;
mod restarts;
mod series;
mod slope;
mod staircase;
mod standing;

pub(crate) use load::LoadGrowth;
pub(crate) use standing::{Evidence, SlowLeak, Standing};
