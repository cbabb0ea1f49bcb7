//! The agent: samples its host's ports, spools them, and streams them to the controller.

pub mod actions;
mod archive;
pub mod audit;
pub mod checkpoints;
pub mod collect;
pub mod commands;
pub mod config;
mod desk_outbox;
pub mod doctor;
pub mod enroll;
pub mod events;
pub mod facts;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod identity;
pub mod incarnation;
pub mod link;
pub mod outbox;
mod owned_thread;
pub mod probe;
pub mod renew;
pub mod sampler;
pub mod session;
pub mod state_file;
pub mod status;
pub mod upgrades;

#[cfg(test)]
mod test_controller;
