//! What can be done to a Windows host: services, processes, the stack's port settings, a restart.

pub mod app_pool;
pub mod card;
pub mod dotnet;
pub mod event_log;
pub mod hook;
mod job;
pub mod process;
pub mod restart;
pub mod service;
pub mod settings;
pub mod tcp_global;
pub mod tcp_stack;

pub use crate::remedy_facts::{
    CardChange, CardSwitch, DotnetLimit, EventEntry, RemedyError, ServiceView, StackView, Switch,
    Teller,
};
