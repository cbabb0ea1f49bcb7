//! What would become of an action that somebody is about to ask for, without asking for it.

use std::path::Path;

use tidemark_agent_core::actions::judge::{Circumstances, Obstacle, obstacles};
use tidemark_model::action::HostPolicyView;
use tidemark_model::{ActionSpec, HostId, Timestamp};
use tidemark_platform::host;

use super::desk::{booted_at, minute_of_day};
use super::grants::{GrantLook, KeptGrants};
use super::journal::{self, Journal};
use super::lockdown::Lockdown;
use super::policy_file::PolicyFile;

/// How this host stands towards actions.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// Its policy.
    pub(crate) policy: PolicyFile,
    /// Whether every action is stopped.
    pub(crate) lockdown: bool,
    ledger: tidemark_agent_core::actions::Ledger,
    grants: KeptGrants,
}

impl Standing {
    /// Looks at the policy, the lockdown, the journal and the grants in `folder`, at `now`.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) fn look(
        policy: PolicyFile,
        folder: &Path,
        host: Option<HostId>,
        now: Timestamp,
    ) -> std::io::Result<Self> {
        Ok(Self {
            policy,
            lockdown: Lockdown::in_folder(folder).holds(),
            ledger: Journal::look(&journal::path_in(folder))?,
            grants: KeptGrants::look(folder, host, host::name(), now),
        })
    }

    /// What others are told.
    pub(crate) fn view(&self) -> HostPolicyView {
        self.policy.read().view(self.lockdown)
    }

    /// What stands in the way of this action at `now`, signatures apart.
    pub(crate) fn obstacles(&self, spec: &ActionSpec, now: Timestamp) -> Vec<Obstacle> {
        let read = self.policy.read();
        let circumstances = Circumstances {
            // An action that is not an order yet is for this host, whoever it is.
            host: HostId::of_identity_spki(&[]),
            policy: read.policy.as_ref().map_err(String::as_str),
            ledger: &self.ledger,
            lockdown: self.lockdown,
            now,
            minute: minute_of_day(now),
            booted_at: booted_at(now),
            waiting: self.ledger.unfinished().len(),
            granting: None,
        };
        obstacles(spec, false, &circumstances)
    }

    /// Each grant that this host was given, as it stands at `now`. Whether its trigger holds, only the running agent sees.
    pub(crate) fn grants(&self, now: Timestamp) -> Vec<GrantLook<'_>> {
        match self.policy.read().policy {
            Ok(policy) => self.grants.all(&policy, now),
            Err(_) => Vec::new(),
        }
    }

    /// How many signatures an order for this action needs here.
    pub(crate) fn signatures_wanted(&self, spec: &ActionSpec) -> u8 {
        match self.policy.read().policy {
            Ok(policy) if policy.keys.are_wanted() => spec.tier().signatures_min(),
            Ok(_) | Err(_) => 0,
        }
    }
}
