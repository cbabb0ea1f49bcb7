//! Takes in what other controllers tell of the hosts that are connected to them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidemark_model::{HostId, Sample, Timestamp};
use tidemark_proto::convert::record::{Record, decode_stored};
use tidemark_store::{HostSession, StoreError};

use super::Holders;
use super::told::Told;
use crate::app::App;
use crate::app::audits::known_facts;
use crate::app::identities::profile_of;
use crate::gateway::outcome::chain;
use crate::live::{Elsewhere, HostLive};
use crate::tasks::causes::CHANGES_KEPT;

/// Hosts read at once.
const ROWS_MAX: u32 = 256;

/// How far each controller was heard.
#[derive(Debug, Default)]
pub(super) struct Hearer {
    heard: HashMap<String, u64>,
}

impl Hearer {
    /// Takes in what these controllers told since the last time. `ahead_ms` is how much the database's clock is ahead of this
    /// controller's.
    ///
    /// # Errors
    /// When the database fails; what was not heard is heard the next time.
    pub async fn hear(
        &mut self,
        app: &App,
        others: &Holders,
        ahead_ms: i64,
    ) -> Result<(), StoreError> {
        for holder in others {
            let name: Arc<str> = holder.as_str().into();
            loop {
                let generation = self.heard.get(holder).copied().unwrap_or_default();
                let mut tx = app.store.read().await?;
                let told = tx.host_sessions_after(holder, generation, ROWS_MAX).await?;
                drop(tx);
                let Some((last, _)) = told.last() else {
                    break;
                };
                let (last, is_all) = (*last, told.len() < ROWS_MAX as usize);
                let rows: Vec<HostSession> = told.into_iter().filter_map(readable).collect();
                learn(app, &name, &rows).await?;
                for row in rows {
                    take_in(app, (&name, row), ahead_ms).await?;
                }
                self.heard.insert(holder.clone(), last);
                if is_all {
                    break;
                }
                // Sessions wait for the thread as well.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// A controller is not there any more: the hosts that were connected to it are not.
    pub fn lose(&mut self, app: &App, holder: &str) {
        self.heard.remove(holder);
        for id in app.live.ids() {
            if app.live.read(id, |host| is_at(host, holder)) == Some(true) {
                app.live.update(id, |host| host.elsewhere = None);
            }
        }
    }
}

/// One row that cannot be read, as one of a newer release may be, does not hide the others.
fn readable((_, row): (u64, Result<HostSession, StoreError>)) -> Option<HostSession> {
    row.inspect_err(|error| {
        tracing::warn!(
            error = chain(error),
            "what another controller tells of a host cannot be read"
        );
    })
    .ok()
}

fn is_at(host: &HostLive, holder: &str) -> bool {
    let elsewhere = host.elsewhere.as_ref();
    elsewhere.is_some_and(|elsewhere| *elsewhere.controller == *holder)
}

/// Reads hosts anew that are not known here, or began another session there: its agent may have said something else of them.
async fn learn(app: &App, name: &Arc<str>, rows: &[HostSession]) -> Result<(), StoreError> {
    let is_news = |row: &&HostSession| {
        let known = app.live.read(row.host, |host| {
            let elsewhere = host.elsewhere.as_ref();
            let known = elsewhere.filter(|elsewhere| elsewhere.controller == *name);
            known.map(|known| &*known.session) == row.session.as_deref()
        });
        known.is_none() || (row.session.is_some() && known == Some(false))
    };
    let ids: HashSet<HostId> = rows.iter().filter(is_news).map(|row| row.host).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<HostId> = ids.into_iter().collect();
    let mut tx = app.store.read().await?;
    for host in tx.hosts_of(&ids).await? {
        match host {
            Ok(host) => app.live.put(profile_of(&host)),
            Err(error) => tracing::warn!(error = chain(&error), "a host cannot be read"),
        }
    }
    Ok(())
}

async fn take_in(
    app: &App,
    (name, row): (&Arc<str>, HostSession),
    ahead_ms: i64,
) -> Result<(), StoreError> {
    let id = row.host;
    let Some(told) = understood(id, &row.told) else {
        return Ok(());
    };
    let began_at = Timestamp::from_unix_ms(row.began_at.unix_ms().saturating_sub(ahead_ms));
    let sample = row.sample.as_deref().and_then(|sample| decoded(id, sample));
    let elsewhere = row.session.map(|session| told.elsewhere(name, session));
    let audited_at = told.audited_at();
    let lacking = app.live.update(id, |host| {
        if host.session.is_some() && host.opened_at >= Some(began_at) {
            // It has come here since.
            return Lacking::default();
        }
        // Its agent went there later, and has not come back: the connection that this one has of it is dead.
        host.end_session();
        let before = std::mem::replace(&mut host.elsewhere, elsewhere);
        let before = before.filter(|before: &Elsewhere| before.controller == *name);
        Lacking {
            samples: told.apply(host, sample, before.as_ref()),
            audit: audited_at > host.facts.audited_at(),
        }
    });
    let lacking = lacking.unwrap_or_default();
    if lacking.samples {
        app.company.gaps.note(id, app.clock.now());
    }
    if lacking.audit {
        learn_facts(app, id).await?;
    }
    Ok(())
}

/// What is stored of a host that is not known here.
#[derive(Clone, Copy, Debug, Default)]
struct Lacking {
    samples: bool,
    audit: bool,
}

async fn learn_facts(app: &App, id: HostId) -> Result<(), StoreError> {
    let since = app.clock.now().saturating_sub(CHANGES_KEPT);
    match known_facts(&app.store, id, since).await {
        Ok(Some(stored)) => {
            app.live.update(id, |host| host.facts.restore(stored));
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error @ StoreError::Unreadable { .. }) => {
            tracing::warn!(host.id = %id, error = chain(&error), "a host's audit cannot be read");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn understood(host: HostId, told: &str) -> Option<Told> {
    let told = serde_json::from_str(told);
    told.inspect_err(|error| {
        tracing::warn!(host.id = %host, error = chain(error), "what another controller tells of a host cannot be read");
    })
    .ok()
}

fn decoded(host: HostId, sample: &[u8]) -> Option<Sample> {
    match decode_stored(sample) {
        Ok(Record::Sample(sample)) => Some(sample),
        Ok(Record::Event(_)) => None,
        Err(error) => {
            tracing::warn!(host.id = %host, error = chain(&error), "a sample that another controller tells of cannot be read");
            None
        }
    }
}
