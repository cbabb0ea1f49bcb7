//! A controller under attack: honest agents and people go on while strangers, or a host that was broken into, take what they can.
//! `tests/examples/siege.rs` is its program.

pub mod args;
pub mod attack;
pub mod honest;
pub mod report;
pub mod run;
pub mod wire;

pub use args::Arguments;
pub use attack::Attack;
pub use report::{SiegeReport, Stretch};
