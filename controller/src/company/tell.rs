//! Tells the other controllers of the hosts that are connected to this one: when a session begins and ends, and each newest sample.

use std::collections::HashMap;
use std::sync::Arc;

use tidemark_model::{HostId, Sample, SessionId, Timestamp};
use tidemark_proto::convert::record::encode_stored_sample;
use tidemark_store::{HostSession, StoreError};

use super::told::Told;
use crate::app::App;
use crate::live::HostLive;

/// Hosts told of in one transaction.
const ROWS_MAX: usize = 256;

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Sessions that began or ended.
    Sessions,
    /// Samples as well.
    All,
}

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Teller {
    generation: u64,
    /// By host, as long as the others take its session for open.
    last: HashMap<HostId, Last>,
}

/// What was told of a host last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    session: Option<SessionId>,
    /// When that session began, by this controller's clock.
    began_at: Option<Timestamp>,
    /// Nothing of what follows, where it is to be told anew.
    newest: Option<Newest>,
}

/// What is told anew when it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Newest {
    sampled_at: Option<Timestamp>,
    audited_at: Option<Timestamp>,
    certificate_expires_at: Option<Timestamp>,
    takes_actions: Option<bool>,
}

/// What there is to tell of one host.
struct Due {
    host: HostId,
    last: Last,
    told: Told,
    sample: Option<Arc<Sample>>,
}

impl Last {
    fn of(host: &HostLive, takes_actions: Option<bool>) -> Self {
        Self {
            session: host.session.as_ref().map(|claim| claim.id),
            began_at: host.opened_at,
            newest: Some(Newest {
                sampled_at: host.newest.as_ref().map(|(at, _)| *at),
                audited_at: host.facts.audited_at(),
                certificate_expires_at: host.profile.certificate_expires_at,
                takes_actions,
            }),
        }
    }
}

impl Teller {
    /// Tells everything anew the next time: the others may know nothing of it. Sessions that ended meanwhile are told as such.
    pub fn forget(&mut self) {
        for last in self.last.values_mut() {
            last.newest = None;
        }
    }

    /// Tells what has changed. `ahead_ms` is how much the database's clock is ahead of this controller's.
    ///
    /// # Errors
    /// When the database fails; what was not told is told the next time.
    pub async fn tell(
        &mut self,
        app: &App,
        extent: Extent,
        ahead_ms: i64,
    ) -> Result<(), StoreError> {
        let mut due = Vec::new();
        let mut ids = app.live.ids().into_iter().peekable();
        while let Some(id) = ids.next() {
            let takes_actions = app.remediation.lanes.takes_actions(id);
            let one = |host: &HostLive| self.due(host, takes_actions, extent);
            due.extend(app.live.read(id, one).flatten());
            if due.len() == ROWS_MAX || (ids.peek().is_none() && !due.is_empty()) {
                self.put(app, std::mem::take(&mut due), ahead_ms).await?;
            }
        }
        Ok(())
    }

    fn due(&self, host: &HostLive, takes_actions: Option<bool>, extent: Extent) -> Option<Due> {
        let now = Last::of(host, takes_actions);
        let last = self.last.get(&host.profile.id);
        let is_due = match (now.session, last) {
            (None, None) => false,
            (session, Some(last)) if last.session == session => {
                extent == Extent::All && now.newest != last.newest
            }
            (None | Some(_), None | Some(_)) => true,
        };
        is_due.then(|| Due {
            host: host.profile.id,
            last: now,
            told: Told::of(host, takes_actions),
            sample: host.newest.as_ref().map(|(_, sample)| Arc::clone(sample)),
        })
    }

    async fn put(&mut self, app: &App, due: Vec<Due>, ahead_ms: i64) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(due.len());
        for due in &due {
            rows.push(self.row(due, ahead_ms)?);
        }
        let mut tx = app.store.begin().await?;
        tx.host_sessions_put(app.leader.holder(), &rows).await?;
        tx.host_sessions_announce().await?;
        tx.commit().await?;
        for due in due {
            if due.last.session.is_some() {
                self.last.insert(due.host, due.last);
            } else {
                self.last.remove(&due.host);
            }
        }
        Ok(())
    }

    fn row(&mut self, due: &Due, ahead_ms: i64) -> Result<HostSession, StoreError> {
        self.generation = self.generation.saturating_add(1);
        let told = serde_json::to_string(&due.told).map_err(|_| StoreError::InvalidValue {
            field: "what is told of a host",
            limit: "representable as JSON",
        })?;
        let began_at = due.last.began_at.unwrap_or(Timestamp::EPOCH);
        Ok(HostSession {
            host: due.host,
            generation: self.generation,
            session: due.last.session.map(|session| session.get().to_string()),
            began_at: Timestamp::from_unix_ms(began_at.unix_ms().saturating_add(ahead_ms)),
            told,
            sample: due.sample.as_deref().map(encode_stored_sample),
        })
    }
}
