//! The real `tidemark` against a controller of canned answers: what an operator or a script sees.
#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a fixture is a failed test"
)]

#[path = "it/budgets.rs"]
mod budgets;
#[path = "it/check.rs"]
mod check;
#[path = "it/controller.rs"]
mod controller;
#[path = "it/errors.rs"]
mod errors;
#[path = "it/fixtures.rs"]
mod fixtures;
#[path = "it/formats.rs"]
mod formats;
#[path = "it/incidents.rs"]
mod incidents;
#[path = "it/label.rs"]
mod label;
#[path = "it/login.rs"]
mod login;
#[path = "it/policies.rs"]
mod policies;
#[path = "it/remediation.rs"]
mod remediation;
#[cfg(unix)]
#[path = "it/terminal.rs"]
mod terminal;
#[cfg(target_os = "linux")]
#[path = "it/token.rs"]
mod token;
#[cfg(unix)]
#[path = "it/watch.rs"]
mod watch;
#[path = "it/windows.rs"]
mod windows;
