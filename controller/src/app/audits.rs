//! Hosts' audits in the store: what an agent reads of its host's configuration, and what that changes.

use std::fmt::Write as _;
use std::time::Duration;

use tidemark_model::audit::{Drift, HostAudit, StandingFacts};
use tidemark_model::notice::NoticeKind;
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{DriftQuery, Store, StoreError, Tx};

use super::App;
use crate::gateway::outcome::chain;
use crate::live::{FACT_CHANGES_MAX, KnownFacts};

/// Changes that are kept of one host; beyond them the oldest go before their time.
const DRIFTS_MAX: u32 = 10_000;
/// Changes that one notice spells out.
const DRIFTS_TOLD: usize = 3;
/// An audit that says nothing new is written down only when the last is this old, so that a fleet that comes back
/// together does not write at once.
const UNCHANGED_PAUSE: Duration = Duration::from_secs(3_600);
/// Skew up to this is the network's delay; correcting it would add noise.
const SKEW_TOLERATED_MS: i64 = 1_000;

impl App {
    /// Takes an audit of a host, whose clock is `skew_ms` ahead; tells what it changed.
    ///
    /// # Errors
    /// What the database says; nothing is stored then.
    pub async fn take_audit(
        &self,
        host: HostId,
        audit: HostAudit,
        skew_ms: i64,
    ) -> Result<(), StoreError> {
        let audit = HostAudit {
            taken_at: self.host_time(audit.taken_at, skew_ms),
            ..audit
        };
        let before = known(&mut self.store.read().await?, host).await?;
        let is_news = before.is_none_or(|before| {
            let age_ms = audit.taken_at.ms_since(before.taken_at);
            !before.audit().same_settings(&audit)
                || age_ms >= tidemark_model::time::duration_ms(UNCHANGED_PAUSE)
        });
        if !is_news {
            return Ok(());
        }
        let mut tx = self.store.begin().await?;
        let (standing, drifts) = match known(&mut tx, host).await? {
            None => (StandingFacts::first(&audit), Vec::new()),
            Some(before) => before.followed_by(&audit),
        };
        tx.host_audit_put(host, &standing, &drifts, DRIFTS_MAX)
            .await?;
        tx.commit().await?;
        self.live
            .update(host, |live| live.facts.follow(&standing, &drifts));
        if !drifts.is_empty() {
            self.note(Some(host), NoticeKind::ConfigurationChanged, told(&drifts));
        }
        Ok(())
    }

    /// The instant on the controller's clock that a host means whose clock is `skew_ms` ahead, at the latest this one.
    pub(crate) fn host_time(&self, by_host: Timestamp, skew_ms: i64) -> Timestamp {
        let skew_ms = if skew_ms.saturating_abs() > SKEW_TOLERATED_MS {
            skew_ms
        } else {
            0
        };
        let corrected = by_host.unix_ms().saturating_sub(skew_ms);
        Timestamp::from_unix_ms(corrected.min(self.clock.now().unix_ms()))
    }
}

/// What a host's stored audits say, with its newest changes from `since` on; `None` when there is no audit that can be read.
///
/// # Errors
/// What the database says.
pub(crate) async fn known_facts(
    store: &Store,
    host: HostId,
    since: Timestamp,
) -> Result<Option<KnownFacts>, StoreError> {
    let mut tx = store.read().await?;
    let Some(standing) = known(&mut tx, host).await? else {
        return Ok(None);
    };
    let changes = DriftQuery {
        host: Some(host),
        before: None,
        since: Some(since),
        limit: FACT_CHANGES_MAX,
    };
    let drifts = tx.drift_page(&changes).await?;
    Ok(Some(KnownFacts::of_store(&standing, &drifts)))
}

/// What is known of a host. What another release wrote is as good as nothing: the audit at hand takes its place.
async fn known(tx: &mut Tx, host: HostId) -> Result<Option<StandingFacts>, StoreError> {
    match tx.host_audit(host).await {
        Err(error @ StoreError::Unreadable { .. }) => {
            tracing::warn!(host.id = %host, error = chain(&error), "last audit of a host cannot be read");
            Ok(None)
        }
        found => found,
    }
}

/// The changes of one audit in a sentence.
fn told(drifts: &[Drift]) -> String {
    let mut text = String::new();
    for (position, drift) in drifts.iter().take(DRIFTS_TOLD).enumerate() {
        let separator = if position == 0 { "" } else { "; " };
        let Drift { key, from, to } = drift;
        // Writing to a String cannot fail.
        write!(text, "{separator}{key}: {from} -> {to}").ok();
    }
    let more = drifts.len().saturating_sub(DRIFTS_TOLD);
    if more > 0 {
        write!(text, "; and {more} more").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use tidemark_model::audit::drift::Setting;
    use tidemark_model::audit::{FactKey, FactName, FactValue};

    use super::*;

    #[test]
    fn a_notice_spells_out_the_first_changes_and_counts_the_rest() {
        let drift = |number| Drift {
            key: FactKey::of_item(FactName::DotNetMaxConnections, "*"),
            from: Setting::Absent,
            to: Setting::Value(FactValue::Number(number)),
        };
        assert_eq!(told(&[drift(1)]), "dotnet_max_connections[*]: absent -> 1");
        let text = told(&[drift(1), drift(2), drift(3), drift(4), drift(5)]);
        assert!(text.ends_with("absent -> 3; and 2 more"), "{text}");
    }
}
