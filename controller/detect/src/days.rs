//! Leaks over hours to weeks: the floor of four weeks, weighed every quarter hour.
//!
//! Stages one to four of the reference detector, without what it says of fleets and of growing load.

mod passage;
mod restarts;
mod series;
mod staircase;
mod standing;

pub(crate) use standing::{Evidence, SlowLeak, Standing};
