//! What can be done to a Windows host: services, processes, the stack's port settings, a restart.

pub mod event_log;
pub mod hook;
pub mod process;
pub mod restart;
pub mod service;
pub mod settings;

pub use crate::remedy_facts::{RemedyError, Teller};
