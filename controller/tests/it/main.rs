//! A whole controller on a temporary folder, asked over real HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "an unwrap in a test's own code is an assertion"
)]

mod action_lives;
mod actions;
mod api;
mod audits;
mod backtest;
mod budgets;
mod causes;
mod findings;
mod grants;
mod host_events;
mod incidents;
mod keys_page;
mod login;
mod made_up;
mod pages;
mod policies;
mod policy_lives;
mod rebuild;
mod retention;
mod routes;
mod run_page;
mod run_signing;
mod scopes;
mod sources;
mod sse;
mod standings;
mod windows;
