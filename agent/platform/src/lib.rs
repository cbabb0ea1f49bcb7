//! What the agent asks of the operating system: socket tables, processes, port ranges, namespaces, probes.
//!
//! The only crate with `unsafe` and with `cfg(target_os)`. Every system exports the same names; what is counted and
//! reported is decided by the callers.

pub mod address;
#[cfg(any(windows, test))]
mod answer_buffer;
pub mod application_message;
mod audit_facts;
mod counter_values;
pub mod descriptor;
mod endpoint_protection;
pub mod error;
pub mod event_source;
mod exposure;
mod hosts_file;
mod image_facts;
pub mod local_answer;
mod nearest;
mod port_tools;
mod program_output;
mod remedy_facts;
pub mod row;
pub mod service_facts;
mod stored_setting;
pub mod table_query;
mod virtual_machine;
pub mod windows_data;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::{
    application_log, attempt, audit, connection, counters, disk, event_log, folders, host, image,
    installation, local_pipe, namespace, own, ports, private, process, remedy, system_service,
    tables,
};

#[cfg(all(target_os = "linux", feature = "fuzzing"))]
pub use linux::fuzzing;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::{
    application_log, attempt, audit, connection, counters, disk, event_log, folders, host, image,
    installation, local_pipe, namespace, own, ports, private, process, remedy, system_service,
    tables,
};

#[cfg(any(windows, test))]
pub mod windows_name;
#[cfg(any(windows, test))]
mod winsock_codes;

pub use address::{Address, Family};
pub use error::{NamespaceError, ReadError, TableError};
pub use row::{HolderKind, SocketRow};
