//! Maintenance runs: planned, approved, worked through in waves, stopped on failure. Every action of a run is an ordinary
//! action of remediation, under its limits, its signatures and the hosts' own policies.

pub mod machine;
