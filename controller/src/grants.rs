//! Remediation grants at the controller: brought and withdrawn by people, listed for each host that they can concern, and used
//! for orders of standing policies. It holds no key, and decides nothing that a host does not decide again.

use std::collections::HashMap;

use tidemark_model::HostId;
use tidemark_model::Timestamp;
use tidemark_model::action::{Action, HostPolicyView};
use tidemark_model::grant::{
    GRANT_SIGNATURES_MAX, Grant, GrantEnd, GrantId, GrantList, HOST_GRANT_ENDS_MAX,
    HOST_GRANTS_MAX, SignedGrant, SignedGrantEnd, rule_hash,
};
use tidemark_model::notice::NoticeKind;
use tidemark_model::signing::Signature;
use tidemark_model::view::GrantState;
use tidemark_store::{DocumentKind, GrantRecord, GrantsStamp, SentFor, StoreError, Tx};

use crate::app::App;
use crate::incidents::text::clean;
use crate::policies::policy_of;
use crate::remediate::ActionError;

/// Grants that are kept at once.
pub const GRANTS_MAX: u32 = 500;
/// Begins what an action's life says of the grant under which it was sent.
const UNDER: &str = "under grant ";

/// What hosts are to be told, as of one look.
#[derive(Debug, Default)]
pub struct Listed {
    /// Changes whenever a grant does.
    pub stamp: GrantsStamp,
    standing: Vec<(Grant, SignedGrant)>,
    ends: Vec<SignedGrantEnd>,
}

impl Listed {
    /// Reads it anew when something changed since `self`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refresh(&mut self, app: &App) -> Result<(), StoreError> {
        let mut tx = app.store.read().await?;
        let stamp = tx.grants_stamp().await?;
        if stamp == self.stamp {
            return Ok(());
        }
        let records = tx.grants_unexpired(app.clock.now(), GRANTS_MAX).await?;
        self.ends = records.iter().filter_map(|one| one.end.clone()).collect();
        let standing = records.into_iter().filter(|one| one.withdrawn.is_none());
        self.standing = standing.filter_map(read).collect();
        self.stamp = stamp;
        Ok(())
    }

    /// What can concern one host, the newest first.
    #[must_use]
    pub fn of_host(&self, host: HostId, name: &str) -> GrantList {
        let takes = |(grant, _): &&(Grant, SignedGrant)| grant.hosts.takes(host, name);
        let grants = self.standing.iter().filter(takes).take(HOST_GRANTS_MAX);
        GrantList {
            grants: grants.map(|(_, signed)| signed.clone()).collect(),
            ends: self
                .ends
                .iter()
                .take(HOST_GRANT_ENDS_MAX)
                .cloned()
                .collect(),
        }
    }
}

fn read(record: GrantRecord) -> Option<(Grant, SignedGrant)> {
    let signed = SignedGrant {
        bytes: record.document.into_bytes(),
        signatures: record.signatures,
    };
    let grant = Grant::from_bytes(&signed.bytes)
        .map_err(
            |error| tracing::error!(grant = %record.id, %error, "a stored grant cannot be read"),
        )
        .ok()?;
    Some((grant, signed))
}

/// Takes a grant that was signed elsewhere, in the name of `by`.
///
/// # Errors
/// Everything that is wrong with it; nothing is kept then.
pub async fn bring(
    app: &App,
    document: &str,
    signatures: Vec<Signature>,
    by: &str,
) -> Result<GrantRecord, ActionError> {
    let grant = Grant::from_bytes(document.as_bytes())
        .map_err(|error| ActionError::Limits(vec![format!("document: {error}")]))?;
    let now = app.clock.now();
    let mut problems = Vec::new();
    if signatures.is_empty() || signatures.len() > GRANT_SIGNATURES_MAX {
        problems.push(format!(
            "signatures has {}; a grant has 1 to {GRANT_SIGNATURES_MAX}",
            signatures.len()
        ));
    }
    if grant.expires_at_ms <= now {
        problems.push("document: expires_at_ms lies in the past; sign a new one".to_owned());
    }
    let mut tx = app.store.begin().await?;
    if !is_current(&mut tx, &grant).await? {
        problems.push(format!(
            "document: policy {} has no rung with that rule at present; make the grant anew with `tidemark grant new`",
            grant.policy
        ));
    }
    if tx.grants_stamp().await?.kept >= i64::from(GRANTS_MAX) {
        problems.push(format!(
            "{GRANTS_MAX} grants are kept, as many as may; wait until some are over for 90 d"
        ));
    }
    if !problems.is_empty() {
        return Err(ActionError::Limits(problems));
    }
    let record = GrantRecord {
        id: grant.id,
        policy: grant.policy.clone(),
        document: document.to_owned(),
        signatures,
        created_at: now,
        created_by: clean(by),
        expires_at: grant.expires_at_ms,
        withdrawn: None,
        end: None,
    };
    if !tx.grant_insert(&record).await? {
        return Err(ActionError::GrantBefore);
    }
    tx.commit().await?;
    app.remediation.changed.notify_one();
    app.note(
        None,
        NoticeKind::GrantMade,
        format!(
            "grant {} for policy {}, by {}: {}",
            grant.id,
            grant.policy,
            record.created_by,
            clean(&grant.summary())
        ),
    );
    Ok(record)
}

/// Withdraws a grant in the name of `by`: hosts drop it. With a signed end they take it no more either.
///
/// # Errors
/// When there is none, or the end is another one's.
pub async fn withdraw(
    app: &App,
    id: GrantId,
    end: Option<SignedGrantEnd>,
    by: &str,
) -> Result<GrantRecord, ActionError> {
    if let Some(end) = &end {
        let wrong = |text: String| ActionError::Limits(vec![format!("document: {text}")]);
        let read = GrantEnd::from_bytes(&end.bytes).map_err(wrong)?;
        if read.grant != id {
            return Err(wrong("it ends another grant".to_owned()));
        }
    }
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let mut record = tx.grant_find(id).await?.ok_or(ActionError::UnknownGrant)?;
    let is_signed = end.is_some();
    record.end = end.or(record.end);
    let by = clean(by);
    tx.grant_withdraw(&record, (now, &by)).await?;
    tx.commit().await?;
    record.withdrawn.get_or_insert((now, by.clone()));
    app.remediation.changed.notify_one();
    let how = if is_signed { " with a signature" } else { "" };
    app.note(
        None,
        NoticeKind::GrantEnded,
        format!(
            "grant {id} for policy {} was withdrawn{how}, by {by}",
            record.policy
        ),
    );
    Ok(record)
}

/// What the life of an action says of the grant under which it was sent.
#[must_use]
pub(crate) fn step_text(grant: GrantId) -> String {
    format!("{UNDER}{grant}")
}

/// How often each grant was used: orders sent since then, and when the last one was.
///
/// # Errors
/// When the database fails.
pub(crate) async fn uses(
    tx: &mut Tx,
    since: Timestamp,
) -> Result<HashMap<GrantId, (u64, Timestamp)>, StoreError> {
    let sent = tx.actions_sent_for(UNDER, since, GRANTS_MAX).await?;
    let used = |one: SentFor| {
        let id = one.text.strip_prefix(UNDER)?.parse().ok()?;
        Some((id, (one.sent, one.last_at)))
    };
    Ok(sent.into_iter().filter_map(used).collect())
}

async fn is_current(tx: &mut Tx, grant: &Grant) -> Result<bool, StoreError> {
    Ok(rung_of(tx, grant).await?.is_some())
}

/// The rung of a grant's policy that was signed for, from 0, while the policy still has it.
async fn rung_of(tx: &mut Tx, grant: &Grant) -> Result<Option<usize>, StoreError> {
    let newest = tx
        .document_newest(DocumentKind::Policy, &grant.policy)
        .await?;
    let Some(policy) = newest.as_ref().and_then(policy_of) else {
        return Ok(None);
    };
    let mut rungs = 0..policy.ladder.len();
    Ok(rungs.find(|rung| rule_hash(&policy.spec, *rung).as_deref() == Some(grant.rule.as_str())))
}

/// Where a grant stands, and which rung of its policy it is for, from 1.
///
/// # Errors
/// When the database fails.
pub async fn standing_of(
    tx: &mut Tx,
    record: &GrantRecord,
    now: Timestamp,
) -> Result<(GrantState, Option<u32>), StoreError> {
    let rung = match Grant::from_bytes(record.document.as_bytes()) {
        Ok(grant) => rung_of(tx, &grant).await?,
        Err(_) => None,
    };
    let state = if record.withdrawn.is_some() {
        GrantState::Withdrawn
    } else if record.expires_at <= now {
        GrantState::Expired
    } else if rung.is_some() {
        GrantState::Standing
    } else {
        GrantState::Outdated
    };
    let place = rung.and_then(|rung| u32::try_from(rung).ok()?.checked_add(1));
    Ok((state, place))
}

/// The grant by which a host that wants signatures may take an order of a standing policy: one that covers it, that was signed
/// for the policy as it is, and that the host says to hold.
///
/// # Errors
/// When the database fails.
pub async fn cover(
    tx: &mut Tx,
    action: &Action,
    host: (&str, &HostPolicyView),
    now: Timestamp,
) -> Result<Option<GrantId>, StoreError> {
    let (name, told) = host;
    let Some(policy) = asking_policy(&action.order.requester) else {
        return Ok(None);
    };
    if told.keys.is_empty() || told.grants.is_empty() {
        return Ok(None);
    }
    for id in &told.grants {
        let Some(record) = tx.grant_find(*id).await? else {
            continue;
        };
        if record.withdrawn.is_some() || record.expires_at <= now || record.policy != policy {
            continue;
        }
        let Some((grant, _)) = read(record) else {
            continue;
        };
        if grant.hosts.takes(action.order.host, name)
            && grant.covers(&action.order).is_ok()
            && is_current(tx, &grant).await?
        {
            return Ok(Some(*id));
        }
    }
    Ok(None)
}

/// The policy in whose name an action is asked for, as in `policy:full@3`.
fn asking_policy(requester: &str) -> Option<&str> {
    let (policy, _version) = requester.strip_prefix("policy:")?.rsplit_once('@')?;
    Some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_standing_policies_ask_under_grants() {
        assert_eq!(asking_policy("policy:full@3"), Some("full"));
        for person in ["ann", "policy:full", "run:full@3"] {
            assert_eq!(asking_policy(person), None);
        }
    }
}
