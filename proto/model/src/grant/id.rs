//! What names a grant.

use crate::by_text::hex_id;

/// Names a grant for good: 128 random bits. Text form: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId([u8; 16]);

/// A text that is no id of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a grant's id is 32 lower-case hexadecimal digits; `tidemark get grants` lists them")]
pub struct InvalidGrantId;

impl GrantId {
    /// The id made of 128 random bits.
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }
}

hex_id!(GrantId, 16, InvalidGrantId);
