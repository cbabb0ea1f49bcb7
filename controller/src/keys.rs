//! Operators' keys: what they signed about them is kept, carried to hosts and shown. Whether a host follows it, the host
//! decides; here is who brought it, whom it concerns, and what hosts told.

pub mod bring;
pub mod carry;
pub mod overview;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidemark_model::HostId;
use tidemark_model::action::{BroughtSignature, HostKey, HostPolicyView, KeyStanding, Tier};
use tidemark_model::key_statement::{KeyRevocation, KeyStatement};
use tidemark_model::signing::KeyId;
use tidemark_model::view::SignatureView;
use tidemark_store::{StoreError, StoredKeyStatement, ToldPolicy, Tx};
use tokio::sync::Notify;

pub use bring::KeyError;

/// Hosts whose policies are read at once.
const PAGE: u32 = 500;

/// What wakes the carrier.
#[derive(Debug, Default)]
pub struct Keys {
    /// A statement or a signature of one was brought, or a host told something new.
    pub changed: Notify,
    /// Hosts that told something new about their policies.
    told: Mutex<HashSet<HostId>>,
}

impl Keys {
    /// A host told something new about its policy.
    pub(crate) fn note_told(&self, host: HostId) {
        self.lock().insert(host);
        self.changed.notify_one();
    }

    fn take_told(&self) -> HashSet<HostId> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<HostId>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at what every host told about its policy.
pub(crate) async fn each_policy(
    tx: &mut Tx,
    mut look: impl FnMut(&ToldPolicy),
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = tx.host_policies(after, PAGE).await?;
        page.iter().for_each(&mut look);
        if page.len() < PAGE as usize {
            return Ok(());
        }
        after = page.last().map(|told| told.host);
    }
}

/// Every key that some host told of, as one of them told it.
pub(crate) async fn known_keys(tx: &mut Tx) -> Result<BTreeMap<KeyId, HostKey>, StoreError> {
    let mut known = BTreeMap::new();
    each_policy(tx, |told| {
        for key in &told.policy.all_keys {
            known.entry(key.public.id()).or_insert_with(|| key.clone());
        }
    })
    .await?;
    Ok(known)
}

/// The keys whose signatures a host does not take, each with why: those of which it told so, and those whose revocation was
/// brought here and that it will follow when it hears of it.
pub(crate) fn not_believed(
    policy: &HostPolicyView,
    statements: &[StoredKeyStatement],
) -> BTreeMap<KeyId, String> {
    let mut not_believed = BTreeMap::new();
    let fallen = policy
        .all_keys
        .iter()
        .filter(|key| key.standing != KeyStanding::Holds);
    for key in fallen {
        not_believed.insert(key.public.id(), format!("{} {}", key.name, key.why));
    }
    for stored in statements {
        let KeyStatement::Revocation(revocation) = &stored.statement else {
            continue;
        };
        let id = revocation.key.id();
        let Some(key) = policy.key(id) else {
            continue;
        };
        let may_sign = |signer: KeyId| {
            let signer = policy.key(signer);
            signer.is_some_and(|signer| {
                signer.public == key.public
                    || (signer.standing == KeyStanding::Holds && signer.tier_max >= key.tier_max)
            })
        };
        if stored.signed.signers().any(may_sign) {
            let why = format!("{} was revoked: {}", key.name, revocation.reason);
            not_believed.entry(id).or_insert(why);
            for heir in fallen_heirs((policy, key), revocation, statements) {
                let why = format!(
                    "{} came in the place of key {id}, which was revoked",
                    heir.name
                );
                not_believed.entry(heir.public.id()).or_insert(why);
            }
        }
    }
    not_believed
}

/// The keys that fall with a revoked one, as far as it is known here: the host goes by when it accepted a rotation, which was
/// not before it was brought. Of a host that revoked the key already, its own word about the heirs holds where the revocation
/// spares some.
fn fallen_heirs<'p>(
    (policy, revoked): (&'p HostPolicyView, &HostKey),
    revocation: &KeyRevocation,
    statements: &[StoredKeyStatement],
) -> Vec<&'p HostKey> {
    let heirs_of = |id: KeyId| {
        let all = policy.all_keys.iter();
        all.filter(move |key| key.rotated_from == Some(id))
    };
    let falls = |heir: &&HostKey| match revocation.since_ms {
        None => true,
        Some(_) if revoked.standing == KeyStanding::Revoked => false,
        Some(since) => {
            let brought = statements.iter().filter(|stored| {
                matches!(&stored.statement, KeyStatement::Rotation(rotation)
                    if rotation.old == revoked.public && rotation.new == heir.public)
            });
            let first = brought.map(|stored| stored.at).min();
            first.is_some_and(|at| at >= since)
        }
    };
    let mut fallen: Vec<&HostKey> = heirs_of(revoked.public.id()).filter(falls).collect();
    let mut looked_at = 0;
    while let Some(key) = fallen.get(looked_at) {
        let next = heirs_of(key.public.id());
        let new: Vec<&HostKey> = next.filter(|heir| !fallen.contains(heir)).collect();
        fallen.extend(new);
        looked_at += 1;
    }
    fallen
}

/// Why a host does not take that key's signature under what is of that tier; `None` when it does.
pub(crate) fn why_not(
    (policy, not_believed): (&HostPolicyView, &BTreeMap<KeyId, String>),
    tier: Tier,
    key: KeyId,
) -> Option<String> {
    if let Some(why) = not_believed.get(&key) {
        return Some(format!("key {key} does not count: {why}"));
    }
    if !policy.keys.contains(&key) {
        return Some(format!("its host's policy does not list key {key}"));
    }
    let known = policy.key(key).filter(|known| known.tier_max < tier)?;
    let (may, is) = (known.tier_max.number(), tier.number());
    Some(format!(
        "key {key} of {} may sign up to tier {may}, and this is of tier {is}",
        known.name
    ))
}

/// How many of these keys' signatures a host takes under what is of that tier.
pub(crate) fn count_taken<'k>(
    told: (&HostPolicyView, &BTreeMap<KeyId, String>),
    tier: Tier,
    keys: impl IntoIterator<Item = &'k KeyId>,
) -> usize {
    let is_taken = |key: &&KeyId| why_not(told, tier, **key).is_none();
    keys.into_iter().filter(is_taken).count()
}

/// A signature as others see it.
pub(crate) fn signature_view(brought: &BroughtSignature) -> SignatureView {
    SignatureView {
        key_id: brought.signature.key,
        signature: brought.signature.to_base64(),
        at_ms: brought.at.unix_ms(),
        author: brought.author.clone(),
    }
}

#[cfg(test)]
mod tests;
