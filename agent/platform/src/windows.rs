//! Windows, from Server 2012 R2 on: iphlpapi, Winsock, the registry, and what Wine lacks of them.

pub mod application_log;
pub mod attempt;
pub mod audit;
mod bound;
pub mod connection;
pub mod counters;
pub mod disk;
pub mod event_log;
pub mod folders;
pub mod host;
pub mod installation;
pub mod local_pipe;
mod management;
pub mod namespace;
pub mod own;
pub mod ports;
pub mod private;
pub mod process;
mod program;
mod registry;
mod registry_read;
mod service;
pub mod system_service;
pub mod tables;
mod text;
mod wine;
