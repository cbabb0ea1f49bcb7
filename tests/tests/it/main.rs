//! Whole-system tests: the built programs, with real sockets, real TLS and real databases. One file a subject.

mod actions;
mod audit;
mod bad_input;
mod check;
mod conservation;
mod damage;
mod doctor;
mod edges;
mod events;
mod exhaustion;
mod findings;
mod fleetsim;
mod incidents;
mod page;
mod postgres;
mod quick_start;
mod real_windows;
mod remediation;
mod runs;
mod second_host;
mod sources;
mod windows;
mod wine;
mod wine_actions;
mod wine_msi;
mod wine_service;
