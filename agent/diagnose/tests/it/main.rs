//! Situations and what the rules say of them.

#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "tables of situations, built from constants"
)]

mod build;
mod downstream;
mod harmless;
mod hidden_owner;
mod order;
mod properties;
mod thresholds;
