//! Whether an order is carried out: everything that stands in its way, the gravest first.
//!
//! The controller is a courier here. Nothing that it says can widen what the host's policy and its trusted keys allow.

use std::collections::BTreeSet;
use std::time::Duration;

use tidemark_model::action::order::InvalidOrder;
use tidemark_model::action::{Refusal, SignedOrder, Tier};
use tidemark_model::duration::format_duration;
use tidemark_model::signing::{Purpose, Signature};
use tidemark_model::{
    ActionId, ActionKind, ActionReport, ActionSpec, ActionState, HostId, Order, Timestamp,
};

use super::grants::Granting;
use super::ledger::{self, Ledger};
use super::policy::{Allowance, HostPolicy};
use super::protected;

/// How far the host's clock may be behind the one that made an order.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);
/// Most orders that wait while another one is carried out.
pub const WAITING_MAX: usize = 8;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// What the host is like when an order comes.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Who this host is.
    pub host: HostId,
    /// Its policy; the text says why there is none that can be used.
    pub policy: Result<&'a HostPolicy, &'a str>,
    /// What was begun.
    pub ledger: &'a Ledger,
    /// Whether every action is stopped.
    pub lockdown: bool,
    /// By the host's clock.
    pub now: Timestamp,
    /// Minute of the host's local day, 0 to 1439.
    pub minute: u16,
    /// When the host started.
    pub booted_at: Timestamp,
    /// Orders that wait or are being carried out.
    pub waiting: usize,
    /// The grant that came with the order, if one did.
    pub granting: Option<Granting<'a>>,
}

impl Circumstances<'_> {
    /// The grant that stands for the signatures of this order: where keys are listed and it has no signature.
    #[must_use]
    pub fn grant_of(&self, signed: &SignedOrder) -> Option<&Granting<'_>> {
        let wants_signatures = self.policy.is_ok_and(|policy| policy.keys.are_wanted());
        let granting = self.granting.as_ref()?;
        (wants_signatures && signed.signatures.is_empty()).then_some(granting)
    }
}

/// Something that stands in the way of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What kind.
    pub refusal: Refusal,
    /// For an operator: what, and what to do about it.
    pub text: String,
}

/// What becomes of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is carried out.
    Take(Box<Order>),
    /// It was taken before: this is where it stands.
    Known(Box<ActionReport>),
    /// It is refused.
    Refuse(Box<ActionReport>),
}

/// Judges an order. A signed one is judged by its bytes; nothing else that came with it counts.
#[must_use]
pub fn judge(signed: &SignedOrder, at: &Circumstances<'_>) -> Judgement {
    let order = match Order::from_bytes(&signed.bytes) {
        Ok(order) if order.id == signed.id => order,
        Ok(_) => {
            return refuse(
                signed.id,
                at,
                &obstacle(
                    Refusal::Malformed,
                    "the order has another id than its envelope",
                ),
            );
        }
        Err(error) => return refuse(signed.id, at, &unreadable(&error)),
    };
    if let Some(entry) = at.ledger.get(order.id) {
        if entry.digest != ledger::digest(&signed.bytes) {
            let text = "another order with this id was carried out before; make a new one";
            return refuse(order.id, at, &obstacle(Refusal::Replayed, text));
        }
        let standing = entry.report.clone().unwrap_or_else(|| {
            ActionReport::new(order.id, ActionState::Accepted, entry.began_at, "accepted")
        });
        return Judgement::Known(Box::new(standing));
    }
    let obstacle = addressee(&order, at)
        .or_else(|| times(&order, at))
        .or_else(|| match (at.grant_of(signed), at.policy) {
            (Some(granting), Ok(policy)) => granting.obstacle(&order, policy),
            (Some(_) | None, _) => signatures(signed, &order, at),
        })
        .or_else(|| obstacles(&order.spec, order.dry_run, at).into_iter().next());
    match obstacle {
        Some(obstacle) => refuse(order.id, at, &obstacle),
        None => Judgement::Take(Box::new(order)),
    }
}

/// Everything in the host's policy, its protected list and its limits that stands in the way of an action; none when an
/// order for it would be taken. A dry run disturbs nothing, so it meets no hours, limits or cooldown.
#[must_use]
pub fn obstacles(spec: &ActionSpec, dry_run: bool, at: &Circumstances<'_>) -> Vec<Obstacle> {
    let policy = match at.policy {
        Ok(policy) => policy,
        Err(why) => {
            let text = format!("the host's policy file cannot be used: {why}");
            return vec![obstacle(Refusal::PolicyUnusable, &text)];
        }
    };
    let mut found: Vec<_> = lockdown(at).into_iter().collect();
    if let Some(reason) = protected::reason(spec) {
        let text = format!("{} is never touched: {reason}", spec.subject());
        found.push(obstacle(Refusal::Protected, &text));
    }
    let rule = permission(spec, policy, at, &mut found);
    if !dry_run && spec.tier() > Tier::ReadOnly {
        frequency(spec, policy, at, rule, &mut found);
    }
    if at.waiting >= WAITING_MAX || at.ledger.is_full() {
        found.push(obstacle(
            Refusal::Busy,
            "as many actions wait as may; send it again when they have ended",
        ));
    }
    if dry_run {
        found.retain(|one| one.refusal != Refusal::OutsideHours);
    }
    found
}

/// How often the rule that allows it lets it be done a day.
fn permission(
    spec: &ActionSpec,
    policy: &HostPolicy,
    at: &Circumstances<'_>,
    found: &mut Vec<Obstacle>,
) -> Option<u32> {
    if policy.denied_by(spec, at.minute).is_some() {
        let text = format!(
            "a deny rule of the host's policy is about {}",
            spec.summary()
        );
        found.push(obstacle(Refusal::NotAllowed, &text));
        return None;
    }
    match policy.allowance(spec, at.minute) {
        Allowance::Profile => None,
        Allowance::Rule(rule) => rule.per_day,
        Allowance::Closed(hours) => {
            let text = format!("the host's policy allows it between {hours}, host time");
            found.push(obstacle(Refusal::OutsideHours, &text));
            None
        }
        Allowance::None => {
            let (tier, profile) = (spec.tier().number(), policy.profile);
            let text = format!(
                "it is of tier {tier}, the host's profile {:?} allows up to tier {}, and no allow rule is about it; an \
                 administrator of the host can add one",
                profile.as_str(),
                profile.tier_max().number()
            );
            found.push(obstacle(Refusal::NotAllowed, &text));
            None
        }
    }
}

fn frequency(
    spec: &ActionSpec,
    policy: &HostPolicy,
    at: &Circumstances<'_>,
    rule_per_day: Option<u32>,
    found: &mut Vec<Obstacle>,
) {
    let count = |span: Duration, alike: bool| {
        let (kind, subject) = (spec.kind(), spec.subject());
        let counts = move |order: &Order| {
            !alike
                || (order.spec.kind() == kind && order.spec.subject().eq_ignore_ascii_case(subject))
        };
        at.ledger
            .begun_since(at.now.saturating_sub(span), counts)
            .count()
    };
    let limits = policy.limits;
    let mut over = |done: usize, max: u32, what: &str| {
        if u32::try_from(done).unwrap_or(u32::MAX) >= max {
            let text = format!("{done} {what}; the host's policy allows {max}");
            found.push(obstacle(Refusal::TooOften, &text));
        }
    };
    over(
        count(HOUR, false),
        limits.per_hour,
        "actions were begun within the last hour",
    );
    over(
        count(DAY, false),
        limits.per_day,
        "actions were begun within the last 24 h",
    );
    if let Some(max) = rule_per_day {
        over(
            count(DAY, true),
            max,
            "of this kind were begun within the last 24 h",
        );
    }
    let last = at.ledger.last_begun(spec.kind(), spec.subject());
    let rested_at = last.map(|last| last.saturating_add(limits.cooldown));
    if rested_at.is_some_and(|rested_at| rested_at > at.now) {
        let pause = format_duration(limits.cooldown);
        let text =
            format!("the same was begun a moment ago; the host's policy wants {pause} between");
        found.push(obstacle(Refusal::TooOften, &text));
    }
    let may_reboot_at = at.booted_at.saturating_add(limits.reboot_pause);
    if spec.kind() == ActionKind::Reboot && may_reboot_at > at.now {
        let pause = format_duration(limits.reboot_pause);
        let text =
            format!("the host started a moment ago; its policy wants {pause} between restarts");
        found.push(obstacle(Refusal::Unsafe, &text));
    }
}

fn lockdown(at: &Circumstances<'_>) -> Option<Obstacle> {
    let text = "every action is stopped on this host; end the lockdown first";
    at.lockdown.then(|| obstacle(Refusal::Lockdown, text))
}

fn addressee(order: &Order, at: &Circumstances<'_>) -> Option<Obstacle> {
    let text = "the order is for another host";
    (order.host != at.host).then(|| obstacle(Refusal::WrongHost, text))
}

fn times(order: &Order, at: &Circumstances<'_>) -> Option<Obstacle> {
    if at
        .ledger
        .floor()
        .is_some_and(|floor| order.issued_at_ms <= floor)
    {
        let text = "the host's journal was lost, or is out of a backup, and this order was made before, so that it may have \
                    been carried out; make a new one";
        return Some(obstacle(Refusal::Replayed, text));
    }
    if order.expires_at_ms <= at.now {
        let text = "the order was valid until before now, by the host's clock; make a new one";
        return Some(obstacle(Refusal::Expired, text));
    }
    if at
        .ledger
        .forgotten()
        .is_some_and(|forgotten| order.expires_at_ms <= forgotten)
    {
        let text = "the host's clock was ahead, and it has forgotten orders that were valid as long as this one, which may \
                    have been carried out; make a new one that is valid for longer";
        return Some(obstacle(Refusal::Replayed, text));
    }
    let latest_start = at.now.saturating_add(CLOCK_TOLERANCE);
    if order.not_before_ms > latest_start {
        let text = "the order may not begin yet, by the host's clock";
        return Some(obstacle(Refusal::NotYet, text));
    }
    None
}

/// A host whose policy lists keys takes only what they signed: as many different ones as the tier needs people, one at
/// least.
fn signatures(signed: &SignedOrder, order: &Order, at: &Circumstances<'_>) -> Option<Obstacle> {
    let policy = at.policy.ok()?;
    if !policy.keys.are_wanted() {
        return None;
    }
    let mut seen = BTreeSet::new();
    for signature in &signed.signatures {
        if !seen.insert(signature.key) {
            let text = format!("key {} signed twice; each person signs once", signature.key);
            return Some(obstacle(Refusal::TwiceSigned, &text));
        }
        if let Err(obstacle) = check_signature(signature, signed, order, policy) {
            return Some(obstacle);
        }
    }
    let wanted = usize::from(order.spec.tier().signatures_min());
    let given = seen.len();
    let text = format!(
        "the host's policy wants {wanted} signatures of its keys and the order has {given}; sign it with `tidemark action \
         sign`"
    );
    (given < wanted).then(|| obstacle(Refusal::Unsigned, &text))
}

fn check_signature(
    signature: &Signature,
    signed: &SignedOrder,
    order: &Order,
    policy: &HostPolicy,
) -> Result<(), Obstacle> {
    let Some(key) = policy.key(signature.key) else {
        let text = policy.keys.why_not(signature.key);
        return Err(obstacle(Refusal::UnknownKey, &text));
    };
    let tier = order.spec.tier();
    if key.tier_max < tier {
        let (name, may, is) = (&key.name, key.tier_max.number(), tier.number());
        let text = format!("the key of {name} may sign up to tier {may}, and this is of tier {is}");
        return Err(obstacle(Refusal::UnknownKey, &text));
    }
    key.public
        .verify(Purpose::Order, &signed.bytes, signature)
        .map_err(|_| {
            let text = format!("the signature of {} does not match the order", key.name);
            obstacle(Refusal::BadSignature, &text)
        })
}

fn unreadable(error: &InvalidOrder) -> Obstacle {
    let refusal = match error {
        InvalidOrder::Times { .. } => Refusal::Expired,
        InvalidOrder::TooLong(_)
        | InvalidOrder::Unreadable(_)
        | InvalidOrder::NotCanonical
        | InvalidOrder::Spec(_)
        | InvalidOrder::Undo(_)
        | InvalidOrder::Text { .. } => Refusal::Malformed,
    };
    obstacle(refusal, &error.to_string())
}

fn obstacle(refusal: Refusal, text: &str) -> Obstacle {
    Obstacle {
        refusal,
        text: text.to_owned(),
    }
}

fn refuse(id: ActionId, at: &Circumstances<'_>, obstacle: &Obstacle) -> Judgement {
    let report = ActionReport::refused(id, obstacle.refusal, at.now, &obstacle.text);
    Judgement::Refuse(Box::new(report))
}

#[cfg(test)]
mod tests;
