//! The agent: samples its host's ports, spools them, and streams them to the controller.

pub mod collect;
pub mod facts;
