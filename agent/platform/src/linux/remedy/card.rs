//! Switches of network cards, which this build changes on Windows alone.

use crate::remedy_facts::{CardChange, CardSwitch, RemedyError, Switch};

/// How a card's switch stands, and would stand.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn look(_adapter: &str, _switch: CardSwitch, _wish: Switch) -> Result<CardChange, RemedyError> {
    Err(RemedyError::Unsupported(
        "this build switches network cards on Windows alone; `ethtool -K` and `ethtool -C` do it here".to_owned(),
    ))
}

/// Switches it.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn set(adapter: &str, switch: CardSwitch, wish: Switch) -> Result<(), RemedyError> {
    look(adapter, switch, wish).map(drop)
}

/// Puts back a value that it had.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn restore(adapter: &str, switch: CardSwitch, _value: &str) -> Result<(), RemedyError> {
    look(adapter, switch, Switch::Off).map(drop)
}
