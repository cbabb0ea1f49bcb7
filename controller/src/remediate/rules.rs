//! Limits and times of remediation on the controller's side. Hosts have limits of their own, in their policies.

use std::time::Duration;

/// How much may be done at once and over time. Dry runs and actions of tier 0 disturb nobody and are not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemediationRules {
    /// How long headroom is watched after an action.
    pub hold: Duration,
    /// Actions under way at once, over all hosts.
    pub concurrent_max: usize,
    /// Actions begun within an hour, over all hosts.
    pub per_hour_max: usize,
    /// Actions begun within an hour on one host.
    pub host_per_hour_max: usize,
    /// Shortest time between two actions of one kind on one subject of a host.
    pub cooldown: Duration,
    /// Actions of one kind on one subject of a host within 24 h; the next one is stopped, and somebody must look.
    pub fixes_per_day_max: usize,
    /// Which host is the controller's own.
    pub own_host: OwnHost,
}

/// Which host is never a target of what disturbs, because this controller runs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnHost {
    /// The one whose agent tells the same boot as this machine's.
    Detect,
    /// None: no host is spared.
    None,
    /// The one with this id or name.
    Named(String),
}

impl Default for RemediationRules {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(300),
            concurrent_max: 10,
            per_hour_max: 60,
            host_per_hour_max: 6,
            cooldown: Duration::from_secs(600),
            fixes_per_day_max: 2,
            own_host: OwnHost::Detect,
        }
    }
}
