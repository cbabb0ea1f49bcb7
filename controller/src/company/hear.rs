//! Takes in what other controllers tell of the hosts that are connected to them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidemark_model::{HostId, Sample, Timestamp};
use tidemark_proto::convert::record::{Record, decode_stored};
use tidemark_store::{HostSession, StoreError};

use super::Holders;
use super::tell::Teller;
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
    /// Takes in what these controllers told since the last time.
    ///
    /// # Errors
    /// When the database fails; what was not heard is heard the next time.
    pub async fn hear(
        &mut self,
        app: &App,
        (others, teller): (&Holders, &Teller),
    ) -> Result<(), StoreError> {
        for holder in others {
            let name: Arc<str> = holder.as_str().into();
            loop {
                let generation = self.heard.get(holder).copied().unwrap_or_default();
                let mut tx = app.store.read().await?;
                let rows = tx.host_sessions_after(holder, generation, ROWS_MAX).await?;
                drop(tx);
                let Some(last) = rows.last() else {
                    break;
                };
                let (last, is_all) = (last.generation, rows.len() < ROWS_MAX as usize);
                learn(app, (&name, &rows)).await?;
                for row in rows {
                    take_in(app, (&name, row), teller).await?;
                }
                self.heard.insert(holder.clone(), last);
                if is_all {
                    break;
                }
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

fn is_at(host: &HostLive, holder: &str) -> bool {
    let elsewhere = host.elsewhere.as_ref();
    elsewhere.is_some_and(|elsewhere| *elsewhere.controller == *holder)
}

/// Reads hosts anew that are not known here, or began another session there: its agent may have said something else of them.
async fn learn(app: &App, (name, rows): (&Arc<str>, &[HostSession])) -> Result<(), StoreError> {
    let is_known = |row: &HostSession| {
        let same = app.live.read(row.host, |host| {
            let elsewhere = host.elsewhere.as_ref();
            let known = elsewhere.filter(|elsewhere| elsewhere.controller == *name);
            known.map(|known| &*known.session) == row.session.as_deref()
        });
        same == Some(true)
    };
    let ids: HashSet<HostId> = rows
        .iter()
        .filter(|row| !is_known(row))
        .map(|row| row.host)
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<HostId> = ids.into_iter().collect();
    for host in app.store.read().await?.hosts_of(&ids).await? {
        app.live.put(profile_of(&host));
        app.hold_standing(host.id, host.state);
    }
    Ok(())
}

async fn take_in(
    app: &App,
    (name, row): (&Arc<str>, HostSession),
    teller: &Teller,
) -> Result<(), StoreError> {
    let id = row.host;
    let here = app
        .live
        .read(id, |host| host.session.as_ref().map(|claim| claim.id));
    match here.flatten() {
        // The others know of the session here, and still another one tells of the host: it came there later.
        Some(session) if row.session.is_some() && teller.has_told(id, session) => {
            app.live.cut_session(id);
        }
        // It has come here since.
        Some(_) => return Ok(()),
        None => {}
    }
    let told = understood(id, &row.told);
    let audited_at = told.as_ref().and_then(|told| told.audited_ms);
    let audited_at = audited_at.map(Timestamp::from_unix_ms);
    let sample = row.sample.as_deref().and_then(|sample| decoded(id, sample));
    let elsewhere = row.session.map(|session| Elsewhere {
        controller: Arc::clone(name),
        session: session.into(),
    });
    let known_at = app.live.update(id, |host| {
        if elsewhere.is_some() || is_at(host, name) {
            host.elsewhere = elsewhere;
        }
        if let Some(told) = told {
            told.apply(host, sample);
        }
        host.facts.audited_at()
    });
    if known_at.is_some_and(|known_at| known_at < audited_at) {
        let since = app.clock.now().saturating_sub(CHANGES_KEPT);
        if let Some(stored) = known_facts(&app.store, id, since).await? {
            app.live.update(id, |host| host.facts.restore(stored));
        }
    }
    Ok(())
}

fn understood(host: HostId, told: &str) -> Option<Told> {
    match serde_json::from_str(told) {
        Ok(told) => Some(told),
        Err(error) => {
            tracing::warn!(host.id = %host, error = chain(&error), "what another controller tells of a host cannot be read");
            None
        }
    }
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
