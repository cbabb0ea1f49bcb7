//! Remediation grants at the controller: brought and withdrawn by people, listed for each host that they can concern, and used
//! for orders of standing policies. It holds no key, and decides nothing that a host does not decide again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tidemark_model::HostId;
use tidemark_model::Timestamp;
use tidemark_model::action::{Action, HostKey, HostPolicyView};
use tidemark_model::audit_log::Deed;
use tidemark_model::grant::{
    GRANT_SIGNATURES_MAX, Grant, GrantEnd, GrantId, GrantList, HOST_GRANT_ENDS_MAX,
    HOST_GRANTS_MAX, SignedGrant, SignedGrantEnd, rule_hash,
};
use tidemark_model::notice::NoticeKind;
use tidemark_model::policy::asking_policy;
use tidemark_model::signing::{KeyId, Purpose, Signature};
use tidemark_model::view::GrantState;
use tidemark_store::{DocumentKind, GrantRecord, GrantsStamp, SentFor, StoreError, Tx};

use crate::app::App;
use crate::incidents::text::clean;
use crate::keys::{count_taken, known_keys};
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

    /// How many lists it takes to tell a host everything: each has all its grants, and some of the ends.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.ends.len().div_ceil(HOST_GRANT_ENDS_MAX).max(1)
    }

    /// One of the lists for a host, by its place: what can concern it, the newest first, and the ends that follow those of the
    /// list before. A host keeps what it was told of ends.
    #[must_use]
    pub fn of_host(&self, (host, name): (HostId, &str), place: usize) -> GrantList {
        let takes = |(grant, _): &&(Grant, SignedGrant)| grant.hosts.takes(host, name);
        let grants = self.standing.iter().filter(takes).take(HOST_GRANTS_MAX);
        let ends = self.ends.chunks(HOST_GRANT_ENDS_MAX).nth(place);
        GrantList {
            grants: grants.map(|(_, signed)| signed.clone()).collect(),
            ends: ends.unwrap_or_default().to_vec(),
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
    app.record(Deed::GrantBring, "grants", grant.id)
        .with("policy", &grant.policy)
        .with("summary", grant.summary())
        .with(
            "document_sha256",
            HEXLOWER.encode(&Sha256::digest(document)),
        )
        .keep(&mut tx)
        .await?;
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
/// When there is none, when the end is another one's or nobody's whom hosts list, or when it has another one already.
pub async fn withdraw(
    app: &App,
    id: GrantId,
    end: Option<SignedGrantEnd>,
    by: &str,
) -> Result<GrantRecord, ActionError> {
    let known = match &end {
        Some(_) => known_keys(&mut app.store.read().await?).await?,
        None => BTreeMap::new(),
    };
    if let Some(end) = &end {
        check_end(id, end, &known).map_err(|text| ActionError::Limits(vec![text]))?;
    }
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let mut record = tx.grant_find(id).await?.ok_or(ActionError::UnknownGrant)?;
    let is_signed = end.is_some();
    if let Some(end) = end {
        let kept = record.end.as_ref().filter(|kept| **kept != end);
        if let Some(kept) = kept.filter(|kept| check_end(id, kept, &known).is_ok()) {
            return Err(ActionError::EndedBefore(kept.signature.key));
        }
        tx.grant_end(&record, &end).await?;
        record.end = Some(end);
    }
    let by = clean(by);
    tx.grant_withdraw(id, (now, &by)).await?;
    let deed = if is_signed {
        Deed::GrantEnd
    } else {
        Deed::GrantWithdraw
    };
    let logged = app.record(deed, "grants", id);
    logged.with("policy", &record.policy).keep(&mut tx).await?;
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

/// Whether an end is of that grant, and signed by a key that some host lists.
fn check_end(
    id: GrantId,
    end: &SignedGrantEnd,
    known: &BTreeMap<KeyId, HostKey>,
) -> Result<(), String> {
    let read = GrantEnd::from_bytes(&end.bytes).map_err(|text| format!("document: {text}"))?;
    if read.grant != id {
        return Err("document: it ends another grant".to_owned());
    }
    let key = end.signature.key;
    let Some(signer) = known.get(&key) else {
        return Err(format!(
            "signature: no host that told its keys here lists key {key}; sign it with a listed key, `tidemark get keys`"
        ));
    };
    signer
        .public
        .verify(Purpose::GrantEnd, &end.bytes, &end.signature)
        .map_err(|_| format!("signature: that of key {key} does not match the document"))
}

/// Whether the policy of a grant still has the rung that was signed for.
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
/// for the policy as it is by enough keys that the host believes, and that the host says to hold.
///
/// # Errors
/// When the database fails.
pub async fn cover(
    tx: &mut Tx,
    action: &Action,
    host: (&str, &HostPolicyView, &BTreeMap<KeyId, String>),
    now: Timestamp,
) -> Result<Option<GrantId>, StoreError> {
    let (name, told, not_believed) = host;
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
        let Some((grant, signed)) = read(record) else {
            continue;
        };
        if is_believed((&grant, &signed), (told, not_believed))
            && grant.hosts.takes(action.order.host, name)
            && grant.covers(&action.order).is_ok()
            && is_current(tx, &grant).await?
        {
            return Ok(Some(*id));
        }
    }
    Ok(None)
}

/// Whether as many keys signed a grant as its tier takes people, that the host believes.
fn is_believed(
    (grant, signed): (&Grant, &SignedGrant),
    told: (&HostPolicyView, &BTreeMap<KeyId, String>),
) -> bool {
    let tier = grant.action.kind.tier();
    let signers: BTreeSet<KeyId> = signed.signatures.iter().map(|one| one.key).collect();
    count_taken(told, tier, &signers) >= usize::from(tier.signatures_min())
}

#[cfg(test)]
mod tests {
    use tidemark_model::Protocol;
    use tidemark_model::action::ActionSpec;
    use tidemark_model::grant::{ActionTemplate, Scope, Trigger};
    use tidemark_model::signing::PrivateKey;

    use super::*;

    #[test]
    fn a_grant_counts_only_by_keys_that_the_host_believes() {
        let key = |seed: u8| PrivateKey::from_seed([seed; 32]);
        let id = |seed: u8| key(seed).public().id();
        let at = Timestamp::from_unix_ms;
        let grant = Grant {
            id: GrantId::from_random(7),
            policy: "full".to_owned(),
            rule: "ab".repeat(32),
            action: ActionTemplate::of(&ActionSpec::Reboot {
                grace_s: 60,
                reason: "ports".to_owned(),
                force: false,
            }),
            hosts: Scope::default(),
            trigger: Trigger::Level {
                percent: 90,
                protocol: Protocol::Tcp,
                namespace: "default".to_owned(),
                held_s: 300,
                culprit: None,
            },
            per_hour: 1,
            per_day: 1,
            issued_at_ms: at(0),
            not_before_ms: at(0),
            expires_at_ms: at(1),
            issuer: "ann".to_owned(),
            reason: "it leaks".to_owned(),
        };
        let bytes = grant.to_bytes();
        let policy = HostPolicyView {
            keys: vec![id(1), id(2)],
            grants: vec![grant.id],
            ..HostPolicyView::default()
        };
        let signed = |seeds: &[u8]| SignedGrant {
            signatures: seeds
                .iter()
                .map(|seed| key(*seed).sign(Purpose::Grant, &bytes))
                .collect(),
            bytes: bytes.clone(),
        };
        let (nobody, lost) = (
            BTreeMap::new(),
            BTreeMap::from([(id(2), "k2 was revoked: lost".to_owned())]),
        );
        let counts = |seeds: &[u8], lost| is_believed((&grant, &signed(seeds)), (&policy, lost));
        assert!(counts(&[1, 2], &nobody));
        assert!(!counts(&[1, 2], &lost), "a key of it was revoked");
        assert!(!counts(&[1, 1], &nobody), "one key twice is one");
        assert!(!counts(&[1, 3], &nobody), "the host lists no such key");
    }
}
