//! Looks for findings on the hosts that deserve a look, again and again, so that those that stand become incidents.
//!
//! Each activation looks at a bounded number of hosts, those first that were not looked at for the longest time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::{HostId, Timestamp};
use tidemark_runtime::telemetry::SPANS;
use tidemark_store::StoreError;

use crate::app::App;
use crate::diagnosis;
use crate::diagnosis::seen::{FindingsSeen, Look};
use crate::gateway::outcome::chain;
use crate::live::HostLive;

/// Between two activations.
const PERIOD: Duration = Duration::from_secs(5);
/// Hosts that one activation looks at; a look costs about a millisecond.
const LOOKS_MAX: usize = 1_000;

/// What an activation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FindingsStatus {
    /// Hosts that deserve a look.
    pub suspects: u64,
    /// Of those, how many were looked at.
    pub looked: u64,
    /// Findings that stand, over all hosts.
    pub findings: u64,
}

/// Looks for findings.
pub struct FindingsWatch {
    app: Arc<App>,
}

impl FindingsWatch {
    /// One that has not looked yet.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Runs until the stop.
    pub async fn run(self) {
        let stop = self.app.life.stop_token();
        loop {
            match self.activate().await {
                Ok(status) => tracing::debug!(?status, "findings looked for"),
                Err(error) => tracing::warn!(
                    error = chain(&error),
                    "findings cannot be looked for; it is tried again"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Looks at the hosts whose turn it is.
    ///
    /// # Errors
    /// What the database says; what was found before stands.
    #[tracing::instrument(target = SPANS, name = "findings", skip_all, err)]
    pub async fn activate(&self) -> Result<FindingsStatus, StoreError> {
        let app = &self.app;
        let before = app.findings.load_full();
        let now = app.clock.now();
        // What was found on a host that went silent is not found again by looking at the same samples.
        let is_due = |host: &HostLive| diagnosis::is_suspect(host) && host.state(now) == "online";
        let mut suspects = app.live.ids();
        suspects.retain(|id| app.live.read(*id, is_due) == Some(true));
        let looked = turn(&before, &suspects);
        let found = diagnosis::findings(app, &looked, |_| true).await?;
        let now = app.clock.now();
        let mut hosts: HashMap<HostId, Arc<Look>> = suspects
            .iter()
            .filter_map(|id| Some((*id, Arc::clone(before.hosts.get(id)?))))
            .collect();
        for of_host in found {
            let Ok(id) = of_host.host.parse::<HostId>() else {
                continue;
            };
            let look = Look::after(hosts.get(&id).map(|look| &**look), of_host.findings, now);
            hosts.insert(id, Arc::new(look));
        }
        let status = FindingsStatus {
            suspects: suspects.len() as u64,
            looked: looked.len() as u64,
            findings: hosts.values().map(|look| look.found.len() as u64).sum(),
        };
        let is_complete = before.is_complete || suspects.iter().all(|id| hosts.contains_key(id));
        app.findings
            .store(Arc::new(FindingsSeen { hosts, is_complete }));
        Ok(status)
    }
}

/// The suspects whose turn it is: those that were never looked at, then those whose look is the oldest.
fn turn(before: &FindingsSeen, suspects: &[HostId]) -> Vec<HostId> {
    let mut turn: Vec<(Option<Timestamp>, HostId)> = suspects
        .iter()
        .map(|id| (before.hosts.get(id).map(|look| look.at), *id))
        .collect();
    turn.sort_unstable();
    turn.truncate(LOOKS_MAX);
    turn.into_iter().map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_wait_longest_are_looked_at_first() {
        let host = |number: u8| HostId::of_identity_spki(&[number]);
        let look = |at_ms| {
            Arc::new(Look {
                at: Timestamp::from_unix_ms(at_ms),
                found: vec![],
            })
        };
        let before = FindingsSeen {
            hosts: HashMap::from([(host(1), look(20)), (host(2), look(10))]),
            is_complete: false,
        };
        let turn = turn(&before, &[host(1), host(2), host(3)]);
        assert_eq!(turn, [host(3), host(2), host(1)]);
        let many: Vec<HostId> = (0..=255).map(host).collect();
        let many: Vec<HostId> = many.iter().cycle().take(LOOKS_MAX + 1).copied().collect();
        assert_eq!(super::turn(&before, &many).len(), LOOKS_MAX);
    }
}
