//! Tells the other controllers of the hosts that are connected to this one: when a session begins and ends, and each newest sample.

use std::collections::HashMap;
use std::sync::Arc;

use tidemark_model::{HostId, Sample, SessionId, Timestamp};
use tidemark_proto::convert::record::encode_stored_sample;
use tidemark_store::{Claim, HostSession, StoreError};

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
    last: HashMap<HostId, Last>,
}

/// What was told of a host last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    session: Option<SessionId>,
    sampled_at: Option<Timestamp>,
    audited_at: Option<Timestamp>,
}

/// What there is to tell of one host.
struct Due {
    host: HostId,
    claim: Claim,
    last: Last,
    told: Told,
    sample: Option<Arc<Sample>>,
}

impl Last {
    fn of(host: &HostLive) -> Self {
        Self {
            session: host.session.as_ref().map(|claim| claim.id),
            sampled_at: host.newest.as_ref().map(|(at, _)| *at),
            audited_at: host.facts.audited_at(),
        }
    }
}

impl Teller {
    /// Begins anew: the others know nothing of what was told.
    pub fn forget(&mut self) {
        self.last.clear();
    }

    /// Whether the others were told of that session.
    pub fn has_told(&self, host: HostId, session: SessionId) -> bool {
        let last = self.last.get(&host);
        last.is_some_and(|last| last.session == Some(session))
    }

    /// Tells what has changed.
    ///
    /// # Errors
    /// When the database fails; what was not told is told the next time.
    pub async fn tell(&mut self, app: &App, extent: Extent) -> Result<(), StoreError> {
        let ids = app.live.ids();
        let mut due = Vec::new();
        let mut ids = ids.into_iter().peekable();
        while let Some(id) = ids.next() {
            let one = app.live.read(id, |host| self.due(host, extent)).flatten();
            due.extend(one);
            if due.len() == ROWS_MAX || (ids.peek().is_none() && !due.is_empty()) {
                self.put(app, std::mem::take(&mut due)).await?;
            }
        }
        Ok(())
    }

    fn due(&self, host: &HostLive, extent: Extent) -> Option<Due> {
        let now = Last::of(host);
        let last = self.last.get(&host.profile.id);
        let claim = match (now.session, last) {
            (None, None) => return None,
            // Nobody else claimed it meanwhile: then nothing was told here last.
            (None, Some(_)) => Claim::Old,
            (Some(session), Some(last)) if last.session == Some(session) => {
                if extent == Extent::Sessions || now == *last {
                    return None;
                }
                Claim::Old
            }
            (Some(_), _) => Claim::New,
        };
        Some(Due {
            host: host.profile.id,
            claim,
            last: now,
            told: Told::of(host),
            sample: host.newest.as_ref().map(|(_, sample)| Arc::clone(sample)),
        })
    }

    async fn put(&mut self, app: &App, due: Vec<Due>) -> Result<(), StoreError> {
        let mut tx = app.store.begin().await?;
        for claim in [Claim::New, Claim::Old] {
            let mut rows = Vec::new();
            for due in due.iter().filter(|due| due.claim == claim) {
                rows.push(self.row(due)?);
            }
            if !rows.is_empty() {
                let holder = app.leader.holder();
                tx.host_sessions_put(holder, claim, &rows).await?;
            }
        }
        tx.host_sessions_announce().await?;
        tx.commit().await?;
        for due in due {
            let refusals = due.told.refusals();
            app.live
                .adjust(due.host, |host| host.untold.take_off(refusals));
            if due.last.session.is_some() {
                self.last.insert(due.host, due.last);
            } else {
                self.last.remove(&due.host);
            }
        }
        Ok(())
    }

    fn row(&mut self, due: &Due) -> Result<HostSession, StoreError> {
        self.generation = self.generation.saturating_add(1);
        let told = serde_json::to_string(&due.told).map_err(|_| StoreError::InvalidValue {
            field: "what is told of a host",
            limit: "representable as JSON",
        })?;
        Ok(HostSession {
            host: due.host,
            generation: self.generation,
            session: due.last.session.map(|session| session.get().to_string()),
            told,
            sample: due.sample.as_deref().map(encode_stored_sample),
        })
    }
}
