//! Why stored bytes could not be read, or a table could not be written.

use tidemark_model::ErrorCode;
use tidemark_model::error_code::ApiError;

/// Why bytes of `recent` or of a segment were refused. All of them mean damage or a newer format, never a user's mistake.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes end before what they announce.
    #[error("the bytes end inside {part}")]
    Truncated {
        /// What was being read.
        part: &'static str,
    },
    /// The bytes contradict themselves.
    #[error("{part} is malformed")]
    Malformed {
        /// What was being read.
        part: &'static str,
    },
    /// The bytes announce more than the format allows.
    #[error("{part} has {found}, the format allows {limit}")]
    TooLarge {
        /// What was being read or written.
        part: &'static str,
        /// How many there are.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// The checksum does not match: the bytes were damaged.
    #[error("the checksum is {found:08x}, the bytes say {expected:08x}")]
    Checksum {
        /// CRC-32C that the header holds.
        expected: u32,
        /// CRC-32C of what follows it.
        found: u32,
    },
    /// A format that this build does not know.
    #[error(
        "format version {found} is not known, the newest known is {newest}; run a newer controller"
    )]
    Version {
        /// Version that the bytes name.
        found: u8,
        /// Newest version that this build reads.
        newest: u8,
    },
    /// A segment of another tier than the caller asked to read.
    #[error("the segment is of tier {found}, not {wanted}")]
    WrongTier {
        /// Tier of the segment.
        found: &'static str,
        /// Tier that was asked for.
        wanted: &'static str,
    },
    /// The column codec refused its bytes.
    #[error("a compressed column cannot be read")]
    Column(#[source] pco::errors::PcoError),
}

impl ApiError for CodecError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}
