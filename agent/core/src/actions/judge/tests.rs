//! What an order must be for a host to take it, and what no courier can make of it.

use proptest::prelude::*;
use tidemark_model::action::Profile;
use tidemark_model::action::spec::OnHang;
use tidemark_model::signing::PrivateKey;

use super::*;
use crate::actions::JournalRecord;

const NOW: i64 = 1_700_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW + ms)
}

fn host() -> HostId {
    HostId::of_identity_spki(b"host")
}

fn restart() -> ActionSpec {
    ActionSpec::RestartService {
        service: "appsvc".to_owned(),
        stop_timeout_s: 120,
        on_hang: OnHang::Fail,
    }
}

fn reboot() -> ActionSpec {
    ActionSpec::Reboot {
        grace_s: 0,
        reason: "ports".to_owned(),
        force: false,
    }
}

fn order(spec: ActionSpec) -> Order {
    Order {
        id: ActionId::from_random(1),
        host: host(),
        spec,
        dry_run: false,
        issued_at_ms: at(-1_000),
        not_before_ms: at(-1_000),
        expires_at_ms: at(60_000),
        requester: "ann".to_owned(),
        reason: "leak".to_owned(),
        undo_within_s: None,
    }
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed([seed; 32])
}

fn signed(order: &Order, keys: &[u8]) -> SignedOrder {
    let bytes = order.to_bytes();
    SignedOrder {
        id: order.id,
        signatures: keys
            .iter()
            .map(|seed| key(*seed).sign(Purpose::Order, &bytes))
            .collect(),
        bytes,
    }
}

/// A host with a policy, on which nothing was done yet.
struct Host {
    policy: HostPolicy,
    ledger: Ledger,
    lockdown: bool,
    waiting: usize,
    booted_at: Timestamp,
}

impl Host {
    fn with(policy: &str) -> Self {
        Self {
            policy: HostPolicy::parse(policy, Profile::Observe).unwrap(),
            ledger: Ledger::default(),
            lockdown: false,
            waiting: 0,
            booted_at: at(-86_400_000),
        }
    }

    fn trusting(seeds: &[u8], tail: &str) -> Self {
        let keys = seeds.iter().map(|seed| {
            let public = key(*seed).public();
            format!("[[key]]\nname = \"k{seed}\"\npublic = \"{public}\"\n{tail}\n")
        });
        Self::with(&format!("profile = \"full\"\n{}", keys.collect::<String>()))
    }

    fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            host: host(),
            policy: Ok(&self.policy),
            ledger: &self.ledger,
            lockdown: self.lockdown,
            now: at(0),
            minute: 12 * 60,
            booted_at: self.booted_at,
            waiting: self.waiting,
            granting: None,
        }
    }

    fn judge(&self, signed: &SignedOrder) -> Judgement {
        judge(signed, &self.circumstances())
    }

    /// Why an order is refused; `None` when it is taken.
    fn refusal(&self, signed: &SignedOrder) -> Option<Refusal> {
        match self.judge(signed) {
            Judgement::Take(_) => None,
            Judgement::Known(report) | Judgement::Refuse(report) => report.refusal,
        }
    }

    fn begun(&mut self, number: u128, spec: ActionSpec, ms_ago: i64) {
        let mut order = order(spec);
        order.id = ActionId::from_random(number);
        self.ledger.apply(JournalRecord::Began {
            order,
            at_ms: at(-ms_ago),
            signers: Vec::new(),
            grant: None,
        });
    }
}

#[test]
fn without_a_policy_a_host_only_lets_itself_be_looked_at() {
    let host = Host::with("");
    let look = order(ActionSpec::CollectEvidence { seconds: 5 });
    assert_eq!(host.refusal(&signed(&look, &[])), None);
    let refused = host.refusal(&signed(&order(restart()), &[]));
    assert_eq!(refused, Some(Refusal::NotAllowed));
}

#[test]
fn an_order_that_was_carried_out_is_told_and_not_repeated() {
    let mut host = Host::with("profile = \"safe\"");
    let order = order(restart());
    host.ledger.apply(JournalRecord::Began {
        order: order.clone(),
        at_ms: at(-10),
        signers: Vec::new(),
        grant: None,
    });
    let report = ActionReport::new(order.id, ActionState::Verifying, at(-5), "restarted");
    host.ledger.apply(JournalRecord::Reported {
        report: report.clone(),
    });
    let known = host.judge(&signed(&order, &[]));
    assert_eq!(known, Judgement::Known(Box::new(report)));
    let mut other = order;
    other.reason = "another".to_owned();
    assert_eq!(host.refusal(&signed(&other, &[])), Some(Refusal::Replayed));
}

#[test]
fn an_order_of_another_host_time_or_form_is_refused() {
    let host = Host::with("profile = \"safe\"");
    let refusal = |change: &dyn Fn(&mut Order)| {
        let mut order = order(restart());
        change(&mut order);
        host.refusal(&signed(&order, &[]))
    };
    assert_eq!(refusal(&|_| {}), None);
    let foreign = refusal(&|order| order.host = HostId::of_identity_spki(b"other"));
    assert_eq!(foreign, Some(Refusal::WrongHost));
    assert_eq!(
        refusal(&|order| order.expires_at_ms = at(0)),
        Some(Refusal::Expired)
    );
    let endless = refusal(&|order| order.expires_at_ms = at(15 * 86_400_000));
    assert_eq!(endless, Some(Refusal::Expired));
    assert_eq!(refusal(&|order| order.not_before_ms = at(50_000)), None);
    let early = |order: &mut Order| {
        order.not_before_ms = at(120_001);
        order.expires_at_ms = at(130_000);
    };
    assert_eq!(refusal(&early), Some(Refusal::NotYet));
    let unlimited = refusal(&|order| order.spec = ActionSpec::CollectEvidence { seconds: 99 });
    assert_eq!(unlimited, Some(Refusal::Malformed));
    let mut renamed = signed(&order(restart()), &[]);
    renamed.id = ActionId::from_random(2);
    assert_eq!(host.refusal(&renamed), Some(Refusal::Malformed));
    let mut garbled = signed(&order(restart()), &[]);
    garbled.bytes.push(b' ');
    assert_eq!(host.refusal(&garbled), Some(Refusal::Malformed));
}

#[test]
fn a_host_that_trusts_keys_takes_only_what_they_signed() {
    let host = Host::trusting(&[1, 2], "");
    let refusal = |spec: ActionSpec, keys: &[u8]| host.refusal(&signed(&order(spec), keys));
    assert_eq!(refusal(restart(), &[]), Some(Refusal::Unsigned));
    assert_eq!(refusal(restart(), &[1]), None);
    assert_eq!(refusal(restart(), &[9]), Some(Refusal::UnknownKey));
    assert_eq!(refusal(restart(), &[1, 9]), Some(Refusal::UnknownKey));
    assert_eq!(refusal(restart(), &[1, 1]), Some(Refusal::TwiceSigned));
    assert_eq!(refusal(reboot(), &[1]), Some(Refusal::Unsigned));
    assert_eq!(refusal(reboot(), &[1, 2]), None);
    let look = ActionSpec::CollectEvidence { seconds: 5 };
    assert_eq!(refusal(look, &[]), Some(Refusal::Unsigned));
    let mut changed = signed(&order(restart()), &[1]);
    changed.bytes = order(restart()).to_bytes();
    let text = String::from_utf8(changed.bytes)
        .unwrap()
        .replace("appsvc", "other1");
    changed.bytes = text.into_bytes();
    assert_eq!(host.refusal(&changed), Some(Refusal::BadSignature));
}

#[test]
fn a_key_signs_only_up_to_its_tier() {
    let host = Host::trusting(&[1, 2], "tier_max = 1");
    let refusal = |spec: ActionSpec| host.refusal(&signed(&order(spec), &[1, 2]));
    assert_eq!(refusal(restart()), None);
    assert_eq!(refusal(reboot()), Some(Refusal::UnknownKey));
}

#[test]
fn what_keeps_the_host_alive_is_refused_whatever_the_policy_says() {
    let host = Host::trusting(&[1], "");
    let spec = ActionSpec::RestartService {
        service: "RpcSs".to_owned(),
        stop_timeout_s: 120,
        on_hang: OnHang::Fail,
    };
    assert_eq!(
        host.refusal(&signed(&order(spec), &[1])),
        Some(Refusal::Protected)
    );
}

#[test]
fn the_same_is_not_done_again_and_again() {
    let mut host = Host::with("profile = \"safe\"\n[limits]\nper_hour = 2\nper_day = 3");
    let refusal = |host: &Host| host.refusal(&signed(&order(restart()), &[]));
    let other = ActionSpec::RecycleAppPool {
        pool: "Shop".to_owned(),
    };
    host.begun(10, restart(), 299_000);
    assert_eq!(refusal(&host), Some(Refusal::TooOften), "cooldown");
    host.begun(11, other.clone(), 1_000);
    let pool = host.refusal(&signed(&order(other.clone()), &[]));
    assert_eq!(pool, Some(Refusal::TooOften), "two within the hour");
    let mut calmer = Host::with("profile = \"safe\"\n[limits]\nper_hour = 9\nper_day = 2");
    calmer.begun(10, restart(), 20 * 3_600_000);
    assert_eq!(refusal(&calmer), None);
    calmer.begun(11, other, 23 * 3_600_000);
    assert_eq!(
        refusal(&calmer),
        Some(Refusal::TooOften),
        "two within the day"
    );
    let mut dry = order(restart());
    dry.dry_run = true;
    assert_eq!(calmer.refusal(&signed(&dry, &[])), None);
}

#[test]
fn a_rule_limits_what_it_allows() {
    let mut host = Host::with(
        "[[allow]]\nactions = [\"restart_service\"]\nper_day = 1\n[[allow]]\nactions = [\"reboot\"]\nhours = \"22:00-23:00\"",
    );
    assert_eq!(host.refusal(&signed(&order(restart()), &[])), None);
    let night = host.refusal(&signed(&order(reboot()), &[]));
    assert_eq!(night, Some(Refusal::OutsideHours));
    let mut dry = order(reboot());
    dry.dry_run = true;
    assert_eq!(host.refusal(&signed(&dry, &[])), None);
    host.begun(10, restart(), 7_200_000);
    let again = host.refusal(&signed(&order(restart()), &[]));
    assert_eq!(again, Some(Refusal::TooOften));
}

#[test]
fn a_host_does_not_restart_in_a_loop() {
    let mut host = Host::with("profile = \"full\"");
    assert_eq!(host.refusal(&signed(&order(reboot()), &[])), None);
    host.booted_at = at(-3_599_000);
    assert_eq!(
        host.refusal(&signed(&order(reboot()), &[])),
        Some(Refusal::Unsafe)
    );
}

#[test]
fn a_lockdown_and_a_broken_policy_stop_everything() {
    let mut host = Host::with("profile = \"full\"");
    host.lockdown = true;
    let look = signed(&order(ActionSpec::CollectEvidence { seconds: 5 }), &[]);
    assert_eq!(host.refusal(&look), Some(Refusal::Lockdown));
    host.lockdown = false;
    let broken = Circumstances {
        policy: Err("line 3: no such word"),
        ..host.circumstances()
    };
    let Judgement::Refuse(report) = judge(&look, &broken) else {
        panic!("taken without a policy");
    };
    assert_eq!(report.refusal, Some(Refusal::PolicyUnusable));
    assert!(report.text.contains("line 3"), "{}", report.text);
}

#[test]
fn what_may_have_been_forgotten_is_not_done_again() {
    let mut host = Host::with("profile = \"safe\"");
    host.ledger.apply(JournalRecord::Floor {
        at_ms: at(-1_000),
        written: 0,
    });
    let refused = host.refusal(&signed(&order(restart()), &[]));
    assert_eq!(refused, Some(Refusal::Replayed));
    let mut newer = order(restart());
    newer.issued_at_ms = at(-999);
    newer.not_before_ms = at(-999);
    assert_eq!(host.refusal(&signed(&newer, &[])), None);
    // By a clock that was ahead the host has forgotten orders that were valid as long as this one.
    host.ledger.apply(JournalRecord::Forgotten {
        expired_at_ms: newer.expires_at_ms,
    });
    assert_eq!(host.refusal(&signed(&newer, &[])), Some(Refusal::Replayed));
    newer.expires_at_ms = newer.expires_at_ms.saturating_add(Duration::from_millis(1));
    assert_eq!(host.refusal(&signed(&newer, &[])), None);
}

#[test]
fn a_queue_that_is_full_says_so() {
    let mut host = Host::with("profile = \"safe\"");
    host.waiting = WAITING_MAX;
    assert_eq!(
        host.refusal(&signed(&order(restart()), &[])),
        Some(Refusal::Busy)
    );
}

#[test]
fn every_obstacle_is_named_to_who_asks_beforehand() {
    let mut host = Host::with("");
    host.waiting = WAITING_MAX;
    host.begun(10, restart(), 1_000);
    let found = obstacles(&restart(), false, &host.circumstances());
    let kinds: Vec<_> = found.iter().map(|one| one.refusal).collect();
    assert_eq!(
        kinds,
        [Refusal::NotAllowed, Refusal::TooOften, Refusal::Busy]
    );
    assert!(found[0].text.contains("administrator"), "{}", found[0].text);
}

proptest! {
    /// I1: whatever a courier makes of a signed order, the host does what was signed, or nothing.
    #[test]
    fn a_tampered_order_is_never_taken(flips in proptest::collection::vec((0_usize..400, 1_u8..=255), 1..4), drop_signature: bool) {
        let host = Host::trusting(&[1], "");
        let honest = signed(&order(restart()), &[1]);
        let mut sent = honest.clone();
        for (index, flip) in flips {
            let index = index % sent.bytes.len();
            sent.bytes[index] ^= flip;
        }
        if drop_signature {
            sent.signatures.clear();
        }
        let is_taken = matches!(host.judge(&sent), Judgement::Take(_));
        prop_assert!(!is_taken || sent == honest);
    }
}
