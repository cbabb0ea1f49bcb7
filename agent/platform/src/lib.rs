//! What the agent asks of the operating system: socket tables, processes, port ranges, namespaces, probes.
//!
//! The only crate with `unsafe` and with `cfg(target_os)`. Every system exports the same names; what is counted and
//! reported is decided by the callers.

pub mod address;
pub mod descriptor;
pub mod error;
pub mod row;
pub mod table_query;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::{attempt, counters, host, namespace, own, ports, process, tables};

pub use address::{Address, Family};
pub use error::{NamespaceError, ReadError, TableError};
pub use row::{HolderKind, SocketRow};
