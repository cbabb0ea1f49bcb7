//! Whole-system tests, fleetsim, and what becomes of a large fleet when its sessions end all at once.

pub mod fleetsim;
pub mod harness;
pub mod herd;
pub mod siege;
