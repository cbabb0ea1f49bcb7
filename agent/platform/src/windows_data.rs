//! What Windows answers, as bytes and as text, decoded. Pure: it compiles and is tested on every system.
//!
//! Layouts are those of 64-bit Windows. Bytes may come from anywhere (they are also recorded and replayed), so lengths,
//! counts and links are checked before they are followed; integers are read at any alignment.

pub mod afd_socket;
pub mod answers;
pub mod app_pool;
pub mod bound_row;
mod bytes;
pub mod cluster;
pub mod event_source_id;
pub mod excluded_ports;
pub mod file_time;
pub mod file_version;
pub mod handle_list;
pub mod hazard;
pub mod image_path;
pub mod interface_dump;
pub mod machine_config;
pub mod network_card;
pub mod port_range;
pub mod process_list;
pub mod service_control;
pub mod service_list;
pub mod socket_rows;
pub mod suspects;
pub mod version_resource;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The part that is always there is not.
    #[error("the {what} has {bytes} bytes and needs {needed}")]
    Short {
        /// Which answer.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it must be at least.
        needed: usize,
    },
    /// It announces more rows than it has.
    #[error("the {what} announces {rows} rows and has room for {room}")]
    Count {
        /// Which answer.
        what: &'static str,
        /// How many it announces.
        rows: u32,
        /// How many its bytes can hold.
        room: usize,
    },
    /// A link in it leads out of it or back.
    #[error("the {what} has a link to byte {to}, outside of what follows")]
    Link {
        /// Which answer.
        what: &'static str,
        /// Where the link leads, counted from the start.
        to: usize,
    },
}
