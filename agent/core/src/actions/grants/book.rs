//! The book of grants: what a host was given, what it counted, and what is over for good. As one value, to be kept durably
//! before anything follows from it.
//!
//! Caps are counted in lived time, which only runs while the agent does: a clock that is set, or a restart, makes a cap
//! tighter and never wider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemark_model::grant::{
    Grant, GrantEnd, GrantId, GrantList, HOST_GRANT_ENDS_MAX, HOST_GRANTS_MAX, SignedGrant,
    SignedGrantEnd, VALID_MAX,
};
use tidemark_model::signing::{KeyId, Purpose, Signature};
use tidemark_model::{ActionId, Timestamp};

use super::{Bearer, DAY_MS, HOUR_MS, Moment, signatures, times};
use crate::actions::ledger::digest;
use crate::actions::policy::HostPolicy;

/// Executions that are remembered; with more within a lived day nothing more is granted.
const USES_MAX: usize = 1_024;
/// Grants that are over and remembered by name; beyond them by the time at which they would have expired.
const OVER_MAX: usize = 256;

/// Everything about grants that a host keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    /// Counts up each time that it is kept.
    pub sequence: u64,
    /// Lived time when it was kept.
    pub lived_ms: u64,
    /// Until when, in lived time, nothing is granted: counts were lost.
    barred_until_ms: u64,
    /// Grants that were made up to then, by the host's clock, may have been ended: what is over was lost.
    #[serde(default)]
    floor: Option<Timestamp>,
    given: Vec<Written>,
    uses: Vec<Use>,
    over: BTreeMap<GrantId, Timestamp>,
    /// Grants that expire up to then may be over.
    forgotten: Option<Timestamp>,
    /// Grants of which enough signatures held, and the lived time at which that was first seen.
    first_seen_ms: BTreeMap<GrantId, u64>,
    /// SHA-256 of the bytes of these grants on which the signatures held: other bytes with such an id are not the grant.
    #[serde(default)]
    verified: BTreeMap<GrantId, [u8; 32]>,
    #[serde(skip)]
    read: Vec<Kept>,
}

/// A grant as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it says.
    pub grant: Grant,
    /// What was signed, and by whom.
    pub signed: SignedGrant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    document: String,
    signatures: Vec<(KeyId, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Use {
    grant: GrantId,
    action: ActionId,
    lived_ms: u64,
}

impl Book {
    /// The book of a host that lost it by `now`: nothing is granted until the agent has run for a day, and nothing that was
    /// made before ever again.
    #[must_use]
    pub fn barred(now: Timestamp) -> Self {
        Self::default().bar(now)
    }

    /// Bars a book that is older than the last one, keeping what it says.
    #[must_use]
    pub fn bar(mut self, now: Timestamp) -> Self {
        self.barred_until_ms = self.lived_ms.saturating_add(DAY_MS);
        self.floor = self.floor.max(Some(now));
        self
    }

    /// Whether nothing is granted by lived time as it was kept.
    #[must_use]
    pub const fn is_barred(&self) -> bool {
        self.barred_until_ms > self.lived_ms
    }

    /// Whether there is nothing in it that would be missed.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.given.is_empty()
            && self.uses.is_empty()
            && self.over.is_empty()
            && self.forgotten.is_none()
            && self.floor.is_none()
            && self.first_seen_ms.is_empty()
            && !self.is_barred()
    }

    /// Reads what is kept as text; to be called once after it was read.
    #[must_use]
    pub fn reread(mut self) -> Self {
        self.read = self.given.iter().filter_map(Written::read).collect();
        self
    }

    /// Takes what the controller lists in place of what it listed before. What is no grant is left out, and bytes that nobody
    /// signed take no grant's place.
    pub fn take_list(&mut self, list: &GrantList, policy: &HostPolicy) {
        let listed = list.grants.iter().take(HOST_GRANTS_MAX);
        let listed: Vec<Kept> = listed.filter_map(Kept::read).collect();
        let mut taken: Vec<Kept> = Vec::new();
        for kept in &listed {
            let id = kept.grant.id;
            if taken.iter().any(|one| one.grant.id == id) {
                continue;
            }
            let mut of_id = listed
                .iter()
                .chain(&self.read)
                .filter(|one| one.grant.id == id);
            let believed = of_id.find(|one| {
                self.is_verified(one) || signatures(&one.signed, &one.grant, policy).is_ok()
            });
            taken.push(believed.unwrap_or(kept).clone());
        }
        self.given = taken.iter().map(Written::of).collect();
        self.read = taken;
        for end in list.ends.iter().take(HOST_GRANT_ENDS_MAX) {
            if let Some((id, until)) = ended(end, policy) {
                self.end(id, until);
            }
        }
    }

    /// Notes which grants its keys signed and which of these are over by `moment`, so that they stay over whatever a clock
    /// says later. Whether anything changed.
    pub fn look(&mut self, policy: &HostPolicy, moment: Moment) -> bool {
        let (verified, over) = (self.verified.clone(), self.over.len());
        for kept in self.read.clone() {
            let (grant, signed) = (&kept.grant, &kept.signed);
            if self.over.contains_key(&grant.id) {
                continue;
            }
            // What was once trusted is not looked at again here: who is trusted at present is asked at each use.
            if !self.is_verified(&kept) {
                if signatures(signed, grant, policy).is_err() {
                    continue;
                }
                self.verified.insert(grant.id, digest(&signed.bytes));
                let first_seen = self.first_seen_ms.entry(grant.id);
                first_seen.or_insert(moment.lived_ms);
            }
            if grant.expires_at_ms <= moment.now || self.is_lived_out(grant, moment.lived_ms) {
                self.end(grant.id, grant.expires_at_ms);
            }
        }
        let ended = &self.over;
        self.first_seen_ms.retain(|id, _| !ended.contains_key(id));
        // One that is listed no more and once again later is as old as it was.
        while self.first_seen_ms.len() > OVER_MAX {
            let oldest = self.first_seen_ms.iter().min_by_key(|(_, since)| **since);
            let Some(id) = oldest.map(|(id, _)| *id) else {
                break;
            };
            self.first_seen_ms.remove(&id);
            self.over.insert(id, moment.now.saturating_add(VALID_MAX));
        }
        let first_seen = &self.first_seen_ms;
        self.verified.retain(|id, _| first_seen.contains_key(id));
        self.verified != verified || self.over.len() != over
    }

    /// Whether signatures held on these very bytes.
    fn is_verified(&self, kept: &Kept) -> bool {
        let verified = self.verified.get(&kept.grant.id);
        verified.is_some_and(|known| *known == digest(&kept.signed.bytes))
    }

    /// Whether a grant was held for as long as it could ever be valid.
    fn is_lived_out(&self, grant: &Grant, lived_ms: u64) -> bool {
        let valid_ms = grant.expires_at_ms.ms_since(grant.issued_at_ms);
        self.first_seen_ms.get(&grant.id).is_some_and(|since| {
            lived_ms.saturating_sub(*since) >= u64::try_from(valid_ms).unwrap_or(0)
        })
    }

    fn end(&mut self, id: GrantId, until: Timestamp) {
        self.over.insert(id, until);
        while self.over.len() > OVER_MAX {
            let first = self.over.iter().min_by_key(|(_, until)| **until);
            let Some((id, until)) = first.map(|(id, until)| (*id, *until)) else {
                return;
            };
            self.over.remove(&id);
            self.forgotten = self.forgotten.max(Some(until));
        }
    }

    /// Counts an execution. To be kept durably before it is done.
    pub fn count(&mut self, grant: GrantId, action: ActionId, lived_ms: u64) {
        self.uses
            .retain(|one| one.lived_ms.saturating_add(DAY_MS) > lived_ms);
        self.uses.push(Use {
            grant,
            action,
            lived_ms,
        });
    }

    /// Counts an execution that waited at the moment at which it begins, in place of the one at which it was taken.
    pub fn count_anew(&mut self, grant: GrantId, action: ActionId, lived_ms: u64) {
        self.uses.retain(|one| one.action != action);
        self.count(grant, action, lived_ms);
    }

    /// The grant of that id that the host was given.
    #[must_use]
    pub fn given(&self, id: GrantId) -> Option<&Kept> {
        self.read.iter().find(|kept| kept.grant.id == id)
    }

    /// Every grant that the host was given.
    #[must_use]
    pub fn all(&self) -> &[Kept] {
        &self.read
    }

    /// Whether a grant holds on this host at all: signatures, host, times. Trigger and caps are another matter.
    ///
    /// # Errors
    /// Which clause does not hold, in words.
    pub fn standing(
        &self,
        kept: &Kept,
        policy: &HostPolicy,
        bearer: Bearer<'_>,
        moment: Moment,
    ) -> Result<(), String> {
        let grant = &kept.grant;
        signatures(&kept.signed, grant, policy)?;
        if !grant.hosts.takes(bearer.host, bearer.name) {
            return Err(format!(
                "it is for other hosts; this one is {} ({})",
                bearer.name, bearer.host
            ));
        }
        if self.floor.is_some_and(|floor| grant.issued_at_ms <= floor) {
            return Err(
                "what the host knew of grants was lost, and it was made before, so that it may have been ended; sign a new one"
                    .to_owned(),
            );
        }
        if self.over.contains_key(&grant.id)
            || self
                .forgotten
                .is_some_and(|until| grant.expires_at_ms <= until)
        {
            return Err(
                "it is over: it was ended or had expired before; sign a new one".to_owned(),
            );
        }
        if self.is_lived_out(grant, moment.lived_ms) {
            return Err(
                "this host has held it for as long as it was valid; sign a new one".to_owned(),
            );
        }
        times(grant, moment.now)
    }

    /// Whether one more execution is within a grant's caps; that of `action` is the one more.
    ///
    /// # Errors
    /// Which cap is reached, in words.
    pub fn caps(
        &self,
        grant: &Grant,
        lived_ms: u64,
        action: Option<ActionId>,
    ) -> Result<(), String> {
        if self.barred_until_ms > lived_ms {
            let hours = (self.barred_until_ms - lived_ms).div_ceil(HOUR_MS);
            return Err(format!(
                "what was done under grants was lost with the host's file, so that nothing is granted until the agent has run \
                 for {hours} h more"
            ));
        }
        let others = |span_ms| {
            let others = self.within(span_ms, lived_ms);
            others.filter(move |one| Some(one.action) != action)
        };
        for (span_ms, max, words) in [
            (HOUR_MS, grant.per_hour, "an hour"),
            (DAY_MS, grant.per_day, "24 h"),
        ] {
            let done = others(span_ms).filter(|one| one.grant == grant.id).count();
            if done >= usize::try_from(max).unwrap_or(usize::MAX) {
                return Err(format!(
                    "{done} actions were begun under it within {words} of the agent's running time; it allows {max}"
                ));
            }
        }
        if others(DAY_MS).count() >= USES_MAX {
            return Err("more was done under grants than this host remembers".to_owned());
        }
        Ok(())
    }

    /// Executions under a grant within the last `span_ms` of lived time.
    #[must_use]
    pub fn uses_within(&self, grant: GrantId, span_ms: u64, lived_ms: u64) -> usize {
        let uses = self.within(span_ms, lived_ms);
        uses.filter(|one| one.grant == grant).count()
    }

    fn within(&self, span_ms: u64, lived_ms: u64) -> impl Iterator<Item = &Use> {
        let is_within = move |one: &&Use| one.lived_ms.saturating_add(span_ms) > lived_ms;
        self.uses.iter().filter(is_within)
    }
}

/// Which grant a signed end is about, and until when that could be valid; `None` when no listed key signed it.
fn ended(end: &SignedGrantEnd, policy: &HostPolicy) -> Option<(GrantId, Timestamp)> {
    let read = GrantEnd::from_bytes(&end.bytes).ok()?;
    let key = policy.key(end.signature.key)?;
    key.public
        .verify(Purpose::GrantEnd, &end.bytes, &end.signature)
        .ok()?;
    Some((read.grant, read.issued_at_ms.saturating_add(VALID_MAX)))
}

impl Kept {
    fn read(signed: &SignedGrant) -> Option<Self> {
        let grant = Grant::from_bytes(&signed.bytes).ok()?;
        Some(Self {
            grant,
            signed: signed.clone(),
        })
    }
}

impl Written {
    fn of(kept: &Kept) -> Self {
        let signatures = kept.signed.signatures.iter();
        Self {
            // A grant that was read is JSON.
            document: String::from_utf8_lossy(&kept.signed.bytes).into_owned(),
            signatures: signatures.map(|one| (one.key, one.to_base64())).collect(),
        }
    }

    fn read(&self) -> Option<Kept> {
        let signatures = self
            .signatures
            .iter()
            .map(|(key, text)| Signature::from_base64(*key, text).ok());
        Kept::read(&SignedGrant {
            bytes: self.document.clone().into_bytes(),
            signatures: signatures.collect::<Option<_>>()?,
        })
    }
}
