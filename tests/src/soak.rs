//! Actions and records of real agents while agents and controllers are killed for as long as one likes, and at the end a reconciliation
//! of what was asked for, what was done, what hosts' journals say and what the controllers say. `tests/examples/soak.rs` is its program.

pub mod args;
pub mod deeds;
pub mod host;
pub mod people;
pub mod report;
pub mod run;

pub use args::Arguments;
pub use report::SoakReport;
