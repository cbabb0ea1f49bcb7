//! Whole-system tests and fleetsim.

pub mod fleetsim;
pub mod harness;
