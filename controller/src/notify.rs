//! Who is told of incidents: `plan` decides what each group is told, `dispatch` queues it in the database, `courier` takes
//! it to its receiver. Incidents themselves are not changed here.

pub mod backoff;
pub mod courier;
pub mod dispatch;
pub mod message;
pub mod plan;
pub mod receiver;

use std::time::Duration;

use tidemark_model::silence::{Labels, Matcher};

use receiver::Receiver;

/// Whom to tell what.
#[derive(Clone, Debug, Default)]
pub struct NotifySettings {
    /// Address of this controller's pages, for links, without a slash at its end.
    pub public_url: Option<String>,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// Which incidents they are told of. Every route that matches is taken.
    pub routes: Vec<Route>,
}

/// Which incidents a receiver is told of, and how.
#[derive(Clone, Debug)]
pub struct Route {
    /// Name of the receiver.
    pub receiver: String,
    /// All of them must match, on one host of the incident at least.
    pub matchers: Vec<Matcher>,
    /// Incidents that are alike in these labels are told together.
    pub group_by: Vec<String>,
    /// How long news waits for more of it.
    pub group_wait: Duration,
    /// After how long it is told again that nothing has changed.
    pub repeat_interval: Duration,
    /// Whether the end is told too.
    pub send_resolved: bool,
}

impl Route {
    /// Whether an incident with these labels on its hosts goes this way.
    #[must_use]
    pub fn takes(&self, on_hosts: &[Labels]) -> bool {
        on_hosts
            .iter()
            .any(|labels| self.matchers.iter().all(|matcher| matcher.takes(labels)))
    }
}

impl NotifySettings {
    /// The receiver of that name.
    #[must_use]
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }
}
