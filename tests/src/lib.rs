//! Whole-system tests and fleetsim.
