//! Why the operating system could not be asked.

use std::io;
use std::path::PathBuf;

use tidemark_model::Protocol;

use crate::windows_data::DataError;

/// Why a socket table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// No channel to the kernel's tables could be opened.
    #[error("cannot open the kernel's socket tables")]
    Open(#[source] io::Error),
    /// This kernel has no such table (its module is missing or may not be loaded).
    #[error("the kernel has no {0} socket table; load its module (tcp_diag, udp_diag)")]
    Absent(Protocol),
    /// The kernel refused the request.
    #[error("the kernel refused to list {protocol} sockets")]
    Refused {
        /// Which table.
        protocol: Protocol,
        /// Its answer.
        source: io::Error,
    },
    /// The exchange broke off.
    #[error("reading the {protocol} socket table failed")]
    Exchange {
        /// Which table.
        protocol: Protocol,
        /// What failed.
        source: io::Error,
    },
    /// The kernel's answer is not what the protocol says.
    #[error("malformed answer while listing sockets: {0}")]
    Malformed(&'static str),
    /// The answer is not laid out as Windows lays it out.
    #[error("malformed answer while listing sockets")]
    Data(#[from] DataError),
    /// Reading the tables does harm on this system, so that they are left alone.
    #[error(
        "the socket tables are not read: with this update Windows may stop or lose ports when they are; install {mended_by}"
    )]
    Hazardous {
        /// The update that mends it.
        mended_by: &'static str,
    },
}

/// Why a file, a setting or a counter of the system could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be opened or read.
    #[error("cannot read {path}", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not say what it should.
    #[error("{path} does not hold {expected}", path = .path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The system was asked, and did not answer.
    #[error("the system does not tell {what}")]
    System {
        /// What it was asked for.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

/// Why a network namespace could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// It is gone, or its link may not be opened.
    #[error("cannot open network namespace {label}")]
    Open {
        /// Its label.
        label: String,
        /// Why.
        source: io::Error,
    },
    /// The process lacks CAP_SYS_ADMIN.
    #[error("cannot enter network namespace {label}; this takes CAP_SYS_ADMIN")]
    Enter {
        /// Its label.
        label: String,
        /// Why.
        source: io::Error,
    },
    /// The thread that would enter it could not be started.
    #[error("cannot start a thread for a network namespace")]
    Thread(#[source] io::Error),
    /// The work in it panicked.
    #[error("the work inside a network namespace panicked")]
    Panicked,
}

/// Why no port was had.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// No port was left.
    #[error("no port is left")]
    Exhausted(#[source] io::Error),
    /// The address family is switched off, or its loopback address is missing.
    #[error("the address family is not available")]
    Unsupported(#[source] io::Error),
    /// Something else.
    #[error("the system refused")]
    Failed(#[source] io::Error),
}
