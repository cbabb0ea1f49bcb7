//! The rules, one file a subject. Numbers, thresholds and their sources: docs/DIAGNOSIS.md.
//!
//! A rule returns nothing when one of its conditions is known not to hold.

pub(crate) mod agent_leak;
mod bind_before_connect;
mod bound_inactive;
mod bound_leak;
mod close_wait;
mod collision;
mod concurrency;
mod destination;
mod downstream;
mod exclusions;
mod exhaustion;
mod fin_wait;
mod fleet;
pub(crate) mod handles;
mod hidden_owner;
mod known_bugs;
mod pool;
mod range;
mod relief;
mod retry_loop;
mod run_out;
mod scalability;
mod self_loop;
mod syn_sent;
mod time_wait;
mod udp_leak;

use tidemark_model::Finding;

use crate::View;

type RuleFn = fn(&View<'_>) -> Vec<Finding>;

/// Every rule.
pub(crate) const ALL: &[RuleFn] = &[
    exhaustion::tcp,
    exhaustion::udp,
    bound_leak::find,
    close_wait::find,
    time_wait::find,
    collision::find,
    concurrency::high,
    concurrency::without_reuse,
    range::too_small,
    range::over_wide,
    exclusions::find,
    hidden_owner::find,
    known_bugs::uptime,
    known_bugs::july_2018,
    known_bugs::wmi_udp,
    syn_sent::find,
    retry_loop::find,
    fin_wait::find,
    self_loop::find,
    pool::find,
    scalability::find,
    downstream::find,
    handles::find,
    relief::find,
    fleet::find,
    destination::find,
    bind_before_connect::find,
    bound_inactive::find,
    udp_leak::find,
    agent_leak::find,
    run_out::find,
];

/// At least this many ports must be held before anybody is blamed: 500, or a tenth of the capacity where that is more.
fn many(capacity: u32) -> u32 {
    (capacity / 10).max(500)
}
