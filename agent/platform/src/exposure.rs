//! Who else may enter a folder that was meant to be private, in words for an operator.

use std::fmt;

/// Names those who may enter a private folder beside its owner and the system's administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure(String);

impl Exposure {
    /// From a description, as in `mode 755` or `S-1-1-0`.
    pub(crate) const fn new(description: String) -> Self {
        Self(description)
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
