//! The host's socket tables: not read yet.

use std::io;

pub use crate::table_query::{BoundVisibility, DumpReport, TableQuery};
use crate::{HolderKind, SocketRow, TableError};

/// What a row names as its holder.
pub const HOLDER: HolderKind = HolderKind::Process;

/// The socket tables of the host.
#[derive(Debug)]
pub struct SocketTables;

impl SocketTables {
    /// Opens the tables.
    ///
    /// # Errors
    /// Never.
    pub const fn open() -> Result<Self, TableError> {
        Ok(Self)
    }

    /// Hands every socket that `query` asks for to `on_row`.
    ///
    /// # Errors
    /// Always: the tables are not supported on this system.
    pub fn dump(
        &mut self,
        _query: TableQuery,
        _on_row: impl FnMut(&SocketRow),
    ) -> Result<DumpReport, TableError> {
        Err(TableError::Open(io::Error::from(
            io::ErrorKind::Unsupported,
        )))
    }
}

/// Whether bound-but-unconnected TCP sockets are listed.
///
/// # Errors
/// Never.
pub const fn bound_visibility(_tables: &mut SocketTables) -> Result<BoundVisibility, TableError> {
    Ok(BoundVisibility::Hidden)
}
