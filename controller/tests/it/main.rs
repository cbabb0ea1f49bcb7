//! A whole controller on a temporary folder, asked over real HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "an unwrap in a test's own code is an assertion"
)]

mod action_lives;
mod actions;
mod api;
mod audit_log;
mod audits;
mod backtest;
mod budgets;
mod causes;
mod company;
mod decisions;
mod docs;
mod enrolment_rates;
mod etags;
mod findings;
mod grants;
mod history_page;
mod host_events;
mod host_metrics;
mod host_page;
mod identity_lives;
mod incidents;
mod keys_page;
mod labels;
mod leading;
mod logged;
mod login;
mod made_up;
mod oidc;
mod pages;
mod policies;
mod policy_lives;
mod rebuild;
mod retention;
mod routes;
mod run_page;
mod run_signing;
mod scoped_runs;
mod scoped_users;
mod scopes;
mod settings_page;
mod sources;
mod sse;
mod standings;
mod upgrades;
mod upgrades_page;
mod users;
mod web_access;
mod windows;
