//! Entries of the Windows event logs.

use tidemark_model::action::spec::EventLevel;

use crate::remedy_facts::RemedyError;

/// What is written.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The log; Application when none is named.
    pub log: Option<&'a str>,
    /// The source; the product's own when none is named.
    pub source: Option<&'a str>,
    /// Number of the event.
    pub id: u16,
    /// How serious it is.
    pub level: EventLevel,
    /// What it says.
    pub text: &'a str,
}

/// Where it would go.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build writes no events that are ordered.
pub fn look(_entry: &Entry<'_>) -> Result<String, RemedyError> {
    Err(RemedyError::Unsupported(
        "this build writes no events that are ordered".to_owned(),
    ))
}

/// Writes it.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build writes no events that are ordered.
pub fn write(entry: &Entry<'_>) -> Result<(), RemedyError> {
    look(entry).map(drop)
}
