//! The controller: agents come in at `gateway`, their samples go through `ingest` into history and live state, and out
//! again through `api` and `web`. `boot` wires it all; `up` is the quick start.

pub mod access;
pub mod admin_token;
pub mod api;
pub mod app;
pub mod audit_log;
pub mod backtest;
pub mod backup;
pub mod boot;
pub mod budgets;
pub mod connection_limits;
pub mod diagnosis;
pub mod fair;
pub mod gateway;
pub mod grants;
pub mod incidents;
pub mod ingest;
pub mod keys;
pub mod leader;
pub mod live;
pub mod maintain;
pub mod metrics;
pub mod notify;
pub mod otlp;
mod outgoing;
pub mod pki;
pub mod policies;
pub mod query;
pub mod ready;
pub mod remediate;
mod replay;
pub mod settings;
pub mod tasks;
pub mod tokens;
pub mod up;
pub mod upgrades;
pub mod web;
