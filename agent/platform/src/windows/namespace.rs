//! Network compartments: the agent's own, the default one, is the only one that is looked at.
//!
//! Windows containers have compartments of their own, which the system lets nobody list sockets of from outside.

use crate::{NamespaceError, ReadError};

/// A network compartment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkNamespace {
    /// Identifies it: 1 is the default compartment (`NET_IF_COMPARTMENT_ID_PRIMARY`).
    pub inode: u64,
    /// Compartments have no names.
    pub name: Option<String>,
}

impl NetworkNamespace {
    /// The compartment of this process.
    ///
    /// # Errors
    /// Never.
    pub const fn own() -> Result<Self, ReadError> {
        Ok(Self {
            inode: 1,
            name: None,
        })
    }

    /// The own one alone.
    ///
    /// # Errors
    /// Never.
    pub fn all() -> Result<Vec<Self>, ReadError> {
        Ok(vec![Self::own()?])
    }

    /// Runs `work` where it is.
    ///
    /// # Errors
    /// Never.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, NamespaceError> {
        Ok(work())
    }
}
