//! What can be done to a Linux host: services, processes, the kernel's port settings, a restart.

pub mod app_pool;
pub mod card;
pub mod dotnet;
pub mod event_log;
pub mod hook;
mod init_script;
pub mod process;
mod program;
pub mod restart;
pub mod service;
pub mod settings;
mod systemd;
pub mod tcp_global;
pub mod tcp_stack;

pub use crate::remedy_facts::{
    CardChange, CardSwitch, DotnetLimit, EventEntry, RemedyError, ServiceView, StackView, Switch,
    Teller,
};
