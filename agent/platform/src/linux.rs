//! Linux: sock_diag over netlink, `/proc`, and sockets of our own.

pub mod attempt;
pub mod counters;
mod diag;
pub mod host;
pub mod namespace;
pub mod own;
pub mod ports;
pub mod process;
mod procfile;
pub mod tables;
