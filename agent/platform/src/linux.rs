//! Linux: sock_diag over netlink, `/proc`, and sockets of our own.

pub mod application_log;
pub mod attempt;
pub mod audit;
pub mod connection;
pub mod counters;
mod diag;
pub mod disk;
mod dpkg;
mod elf_notes;
mod endpoint_protection;
mod ethtool;
pub mod event_log;
pub mod folders;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod host;
pub mod image;
pub mod installation;
pub mod local_pipe;
pub mod namespace;
pub mod own;
pub mod ports;
pub mod private;
pub mod process;
mod procfile;
pub mod remedy;
pub mod system_service;
pub mod tables;
