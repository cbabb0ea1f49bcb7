//! Which network namespaces are sampled, and under which labels.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::port::OWN_NAMESPACE;
use tidemark_platform::ReadError;
use tidemark_platform::namespace::NetworkNamespace;

use super::Namespaces;

/// How many foreign namespaces are sampled; each costs a walk of the kernel's tables.
const NAMESPACES_MAX: usize = 256;
/// How old a list of namespaces may be.
const LIST_AGE_MAX: Duration = Duration::from_secs(30);

/// A namespace to sample.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// The agent's own.
    Own(Arc<str>),
    /// Another.
    Foreign(Arc<str>, NetworkNamespace),
}

impl Target {
    /// What its port spaces are named after.
    pub(super) const fn label(&self) -> &Arc<str> {
        match self {
            Self::Own(label) | Self::Foreign(label, _) => label,
        }
    }
}

/// The namespaces to sample, listed again from time to time.
#[derive(Debug)]
pub(super) struct Targets {
    wanted: Namespaces,
    own: Arc<str>,
    own_inode: u64,
    listed: Vec<Target>,
    listed_at: Option<Duration>,
    /// How many were left out for want of room when last listed.
    left_out: usize,
}

impl Targets {
    pub(super) fn new(wanted: Namespaces) -> Result<Self, ReadError> {
        Ok(Self {
            wanted,
            own: Arc::from(OWN_NAMESPACE),
            own_inode: NetworkNamespace::own()?.inode,
            listed: Vec::new(),
            listed_at: None,
            left_out: 0,
        })
    }

    /// The namespaces as of less than half a minute ago.
    pub(super) fn current(&mut self, since_boot: Duration) -> Result<&[Target], ReadError> {
        let is_fresh = |at: Duration| since_boot.saturating_sub(at) < LIST_AGE_MAX;
        if !self.listed_at.is_some_and(is_fresh) {
            self.list()?;
            self.listed_at = Some(since_boot);
        }
        Ok(&self.listed)
    }

    /// Lists again next time: one of them is gone.
    pub(super) const fn expire(&mut self) {
        self.listed_at = None;
    }

    fn list(&mut self) -> Result<(), ReadError> {
        let found = match self.wanted {
            Namespaces::Own => Vec::new(),
            Namespaces::All | Namespaces::List(_) => NetworkNamespace::all()?,
        };
        let foreign = found
            .into_iter()
            .filter(|namespace| namespace.inode != self.own_inode)
            .map(|namespace| (label_of(&namespace), namespace))
            .filter(|(label, namespace)| self.wants(label, namespace.inode));
        let mut foreign: Vec<_> = foreign.collect();
        let left_out = foreign.len().saturating_sub(NAMESPACES_MAX);
        if left_out > 0 && left_out != self.left_out {
            tracing::warn!(
                left_out,
                limit = NAMESPACES_MAX,
                "network namespaces are left out"
            );
        }
        self.left_out = left_out;
        foreign.truncate(NAMESPACES_MAX);
        self.listed.clear();
        if self.wants_own() {
            self.listed.push(Target::Own(self.own.clone()));
        }
        let foreign = foreign
            .into_iter()
            .map(|(label, found)| Target::Foreign(label, found));
        self.listed.extend(foreign);
        Ok(())
    }

    fn wants(&self, label: &str, inode: u64) -> bool {
        match &self.wanted {
            Namespaces::Own => false,
            Namespaces::All => true,
            Namespaces::List(labels) => {
                let by_inode = inode_label(inode);
                labels
                    .iter()
                    .any(|wanted| **wanted == *label || **wanted == *by_inode)
            }
        }
    }

    fn wants_own(&self) -> bool {
        match &self.wanted {
            Namespaces::Own | Namespaces::All => true,
            Namespaces::List(labels) => labels.contains(&self.own),
        }
    }
}

/// Its `/run/netns` name unless that would be taken for the agent's own or for another's inode.
fn label_of(namespace: &NetworkNamespace) -> Arc<str> {
    match namespace.name.as_deref() {
        Some(name) if name != OWN_NAMESPACE && !name.starts_with("net-") => name.into(),
        Some(_) | None => inode_label(namespace.inode).into(),
    }
}

fn inode_label(inode: u64) -> String {
    format!("net-{inode}")
}
