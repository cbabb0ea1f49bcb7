//! Grants on a host: which it was given, what it counted under each, what it sees by itself, and whether one stands for the
//! signatures that an order lacks. Nothing that the controller says widens anything here.

mod book;
mod evidence;

use std::collections::BTreeSet;
use std::time::Duration;

use tidemark_model::action::{Refusal, Tier};
use tidemark_model::grant::{Grant, GrantId, SignedGrant};
use tidemark_model::signing::Purpose;
use tidemark_model::{HostId, Order, Timestamp};

pub use book::{Book, Kept};
pub use evidence::Evidence;

use super::judge::{CLOCK_TOLERANCE, Obstacle};
use super::policy::HostPolicy;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// Who a host is, by what it knows itself.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// Its id.
    pub host: HostId,
    /// The name that its system gives it.
    pub name: &'a str,
}

/// A moment: by the wall, and by what the agent has lived through.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// By the host's clock.
    pub now: Timestamp,
    /// Milliseconds that this host's agent has run, over all its starts: no clock that is set, and no stop, makes them more.
    pub lived_ms: u64,
    /// Since this start of the agent.
    pub running: Duration,
}

/// An order that came with a grant in place of signatures.
#[derive(Clone, Copy, Debug)]
pub struct Granting<'a> {
    /// Which grant.
    pub id: GrantId,
    /// What the host keeps.
    pub book: &'a Book,
    /// What the host saw.
    pub evidence: &'a Evidence,
    /// The host.
    pub bearer: Bearer<'a>,
    /// When.
    pub moment: Moment,
}

impl Granting<'_> {
    /// What stands in the way of taking `order` under the grant, or of beginning it: each clause in turn. What was counted for
    /// the order itself does not.
    #[must_use]
    pub fn obstacle(&self, order: &Order, policy: &HostPolicy) -> Option<Obstacle> {
        let refused = |refusal, text: String| Obstacle {
            refusal,
            text: format!("grant {}: {text}", self.id),
        };
        let no = |text: String| Some(refused(Refusal::NotGranted, text));
        let Some(kept) = self.book.given(self.id) else {
            return no("this host was not given it, or it was withdrawn".to_owned());
        };
        if let Err(clause) = kept.grant.covers(order) {
            return no(clause.to_string());
        }
        let trigger = &kept.grant.trigger;
        if let Err(seen) = self.evidence.holds(trigger, &order.spec, self.moment) {
            return no(format!(
                "it holds when {trigger}; this host sees otherwise: {seen}"
            ));
        }
        if let Err(text) = self
            .book
            .caps(&kept.grant, self.moment.lived_ms, Some(order.id))
        {
            return Some(refused(Refusal::TooOften, text));
        }
        // Last, for it costs most: a flood of orders is refused before it.
        let standing = self.book.standing(kept, policy, self.bearer, self.moment);
        standing.err().and_then(no)
    }
}

/// Whether the host's policy trusts who signed a grant, and enough of them.
fn signatures(signed: &SignedGrant, grant: &Grant, policy: &HostPolicy) -> Result<(), String> {
    let tier = grant.action.kind.tier();
    let mut trusted = BTreeSet::new();
    let mut last = "nobody signed it".to_owned();
    for signature in &signed.signatures {
        let Some(key) = policy.key(signature.key) else {
            last = format!("key {} is not listed in the host's policy", signature.key);
            continue;
        };
        if key.tier_max < tier {
            let (name, may, is) = (&key.name, key.tier_max.number(), tier.number());
            last = format!("the key of {name} may sign up to tier {may}, and it is of tier {is}");
            continue;
        }
        if key
            .public
            .verify(Purpose::Grant, &signed.bytes, signature)
            .is_err()
        {
            last = format!("the signature of {} does not match it", key.name);
            continue;
        }
        trusted.insert(signature.key);
    }
    let wanted = wanted(tier);
    if trusted.len() >= wanted {
        Ok(())
    } else {
        Err(format!(
            "the host's policy wants {wanted} signatures of its keys, and {} hold: {last}",
            trusted.len()
        ))
    }
}

fn wanted(tier: Tier) -> usize {
    usize::from(tier.approvals_min().max(1))
}

fn times(grant: &Grant, now: Timestamp) -> Result<(), String> {
    if grant.expires_at_ms <= now {
        return Err("it has expired, by the host's clock; sign a new one".to_owned());
    }
    if grant.not_before_ms > now.saturating_add(CLOCK_TOLERANCE) {
        return Err("it does not hold yet, by the host's clock".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
