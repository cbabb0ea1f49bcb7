//! Thousands of real agents in one process: real enrolment, real TLS, real sessions; only their samples are made up or
//! come from a recording. A report at the end says what became of every record.

pub mod agent;
pub mod args;
pub mod controller_api;
pub mod enrolment;
pub mod fleet;
pub mod ledger;
pub mod limits;
pub mod meter;
pub mod orders;
pub mod progress;
pub mod replay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod server;
pub mod simulation;

pub use fleet::{Fleet, FleetError, FleetSettings};
pub use report::Report;
