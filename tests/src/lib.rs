//! Whole-system tests, fleetsim, what becomes of a large fleet when its sessions end all at once, of a controller under attack, and of
//! actions while everything is killed.

pub mod fleetsim;
pub mod harness;
pub mod herd;
pub mod siege;
pub mod soak;
