//! What a grant lets a host do without a signature, each clause by which it does not, and that no courier, clock or restart
//! makes more of it.

use proptest::prelude::*;
use tidemark_model::action::order::ActionId;
use tidemark_model::action::spec::OnHang;
use tidemark_model::action::{Profile, SignedOrder};
use tidemark_model::grant::{
    ActionTemplate, Culprit, GrantEnd, GrantList, Scope, SignedGrantEnd, Trigger,
};
use tidemark_model::signing::PrivateKey;
use tidemark_model::{ActionReport, ActionSpec, ActionState, Protocol};

use super::*;
use crate::actions::judge::{self, Circumstances, Judgement};
use crate::actions::{HeldKeys, JournalRecord, KeyChanges, Ledger};

mod flood;
mod seen;

use seen::sample;

const NOW: i64 = 1_700_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW + ms)
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed([seed; 32])
}

fn own() -> HostId {
    HostId::of_identity_spki(b"host")
}

fn restart(service: &str) -> ActionSpec {
    ActionSpec::RestartService {
        service: service.to_owned(),
        stop_timeout_s: 60,
        on_hang: OnHang::Fail,
    }
}

fn level(culprit: Option<Culprit>) -> Trigger {
    Trigger::Level {
        percent: 90,
        protocol: Protocol::Tcp,
        namespace: "default".to_owned(),
        held_s: 300,
        culprit,
    }
}

fn grant() -> Grant {
    Grant {
        id: GrantId::from_random(7),
        policy: "full".to_owned(),
        rule: "ab".repeat(32),
        action: ActionTemplate::of(&restart("appsvc")),
        hosts: Scope {
            ids: Vec::new(),
            names: vec!["web-*".to_owned()],
        },
        trigger: level(None),
        per_hour: 1,
        per_day: 3,
        issued_at_ms: at(0),
        not_before_ms: at(0),
        expires_at_ms: at(10 * 86_400_000),
        issuer: "ann".to_owned(),
        reason: "appsvc leaks".to_owned(),
    }
}

fn signed(grant: &Grant, seeds: &[u8]) -> SignedGrant {
    let bytes = grant.to_bytes();
    SignedGrant {
        signatures: seeds
            .iter()
            .map(|seed| key(*seed).sign(Purpose::Grant, &bytes))
            .collect(),
        bytes,
    }
}

/// A host that trusts key 1 up to tier 1 and was given grants; it has seen its ports at 95 % for ten minutes.
struct Host {
    policy: HostPolicy,
    book: Book,
    ledger: Ledger,
    evidence: Evidence,
    moment: Moment,
}

impl Host {
    fn given(grants: &[SignedGrant]) -> Self {
        let text = format!(
            "profile = \"full\"\n[limits]\nper_hour = 60\nper_day = 1000\ncooldown = \"0s\"\n[[key]]\nname = \"ann\"\npublic = \"{}\"\ntier_max = 1\n",
            key(1).public()
        );
        let mut host = Self {
            policy: HostPolicy::parse(&text, Profile::Observe).unwrap(),
            book: Book::default(),
            ledger: Ledger::default(),
            evidence: Evidence::default(),
            moment: Moment {
                now: at(0),
                lived_ms: 600_000,
                running: Duration::from_secs(600),
            },
        };
        for minute in 0..=20 {
            let running = Duration::from_secs(minute * 30);
            host.evidence.sample(&sample(950, &[]), running);
        }
        host.list(grants);
        host
    }

    fn list(&mut self, grants: &[SignedGrant]) {
        let list = GrantList {
            grants: grants.to_vec(),
            ends: Vec::new(),
        };
        self.book.take_list(&list, &self.policy);
        self.book.look(&self.policy, self.moment);
    }

    fn order(&self, spec: ActionSpec, number: u128) -> SignedOrder {
        let order = Order {
            id: ActionId::from_random(number),
            host: own(),
            spec,
            dry_run: false,
            issued_at_ms: self.moment.now,
            not_before_ms: self.moment.now,
            expires_at_ms: self.moment.now.saturating_add(Duration::from_secs(600)),
            requester: "policy:full@1".to_owned(),
            reason: "90 % in use".to_owned(),
            undo_within_s: None,
        };
        SignedOrder {
            id: order.id,
            bytes: order.to_bytes(),
            signatures: Vec::new(),
        }
    }

    fn judge(&self, order: &SignedOrder, name: &str) -> Judgement {
        judge::judge(
            order,
            &Circumstances {
                host: own(),
                policy: Ok(&self.policy),
                ledger: &self.ledger,
                lockdown: false,
                now: self.moment.now,
                minute: 600,
                booted_at: at(-86_400_000),
                waiting: 0,
                granting: Some(Granting {
                    id: GrantId::from_random(7),
                    book: &self.book,
                    evidence: &self.evidence,
                    bearer: Bearer { host: own(), name },
                    moment: self.moment,
                }),
            },
        )
    }

    /// Why the restart that the grant is about is refused; `None` when it is taken.
    fn refusal(&self) -> Option<(Refusal, String)> {
        self.refusal_of(restart("appsvc"))
    }

    fn refusal_of(&self, spec: ActionSpec) -> Option<(Refusal, String)> {
        told(self.judge(&self.order(spec, 1), "WEB-1"))
    }

    fn refuses(&self, refusal: Refusal, part: &str) {
        let (got, text) = self.refusal().expect("it is refused");
        assert!(got == refusal && text.contains(part), "{got:?}: {text}");
    }
}

fn told(judgement: Judgement) -> Option<(Refusal, String)> {
    match judgement {
        Judgement::Take(_) => None,
        Judgement::Known(report) | Judgement::Refuse(report) => {
            report.refusal.map(|refusal| (refusal, report.text))
        }
    }
}

#[test]
fn an_order_without_a_signature_is_taken_when_every_clause_holds() {
    let host = Host::given(&[signed(&grant(), &[1])]);
    assert_eq!(host.refusal(), None);
    let unsigned = host.order(restart("appsvc"), 1);
    let without = Circumstances {
        granting: None,
        host: own(),
        policy: Ok(&host.policy),
        ledger: &host.ledger,
        lockdown: false,
        now: at(0),
        minute: 600,
        booted_at: at(0),
        waiting: 0,
    };
    let refused = told(judge::judge(&unsigned, &without)).unwrap();
    assert_eq!(refused.0, Refusal::Unsigned);
}

#[test]
fn who_signed_is_looked_at_each_time() {
    for (seeds, part) in [
        (&[][..], "nobody signed it"),
        (&[2], "is not listed in the host's policy"),
    ] {
        Host::given(&[signed(&grant(), seeds)]).refuses(Refusal::NotGranted, part);
    }
    let mut forged = signed(&grant(), &[1]);
    forged.signatures[0] = key(1).sign(Purpose::Order, &forged.bytes);
    Host::given(&[forged]).refuses(Refusal::NotGranted, "does not match");
    let mut widened = signed(&grant(), &[1]);
    let mut more = grant();
    more.per_day = 24;
    widened.bytes = more.to_bytes();
    Host::given(&[widened]).refuses(Refusal::NotGranted, "does not match");

    let mut hook = grant();
    hook.action = ActionTemplate::of(&ActionSpec::RunHook {
        name: "drain.sh".to_owned(),
        arguments: std::collections::BTreeMap::new(),
    });
    let host = Host::given(&[signed(&hook, &[1])]);
    let (_, text) = host
        .refusal_of(ActionSpec::RunHook {
            name: "drain.sh".to_owned(),
            arguments: std::collections::BTreeMap::new(),
        })
        .unwrap();
    assert!(text.contains("may sign up to tier 1"), "{text}");

    let mut host = Host::given(&[signed(&grant(), &[2, 1])]);
    assert_eq!(host.refusal(), None, "one that is trusted suffices");
    let bob = crate::actions::TrustedKey {
        name: "bob".to_owned(),
        public: key(3).public(),
        tier_max: Tier::Reboot,
        releases: false,
    };
    host.policy.keys = HeldKeys::of(&[bob], &KeyChanges::default());
    host.refuses(Refusal::NotGranted, "is not listed");
}

#[test]
fn each_clause_that_does_not_hold_is_named() {
    let host = Host::given(&[signed(&grant(), &[1])]);
    let other = host.judge(&host.order(restart("appsvc"), 1), "db-1");
    let (refusal, text) = told(other).unwrap();
    assert!(
        refusal == Refusal::NotGranted && text.contains("for other hosts"),
        "{text}"
    );
    let (refusal, text) = host.refusal_of(restart("mail")).unwrap();
    assert!(
        refusal == Refusal::NotGranted && text.contains("bounds service"),
        "{text}"
    );
    Host::given(&[]).refuses(Refusal::NotGranted, "was not given it");

    let mut later = grant();
    later.not_before_ms = at(121_000);
    Host::given(&[signed(&later, &[1])]).refuses(Refusal::NotGranted, "does not hold yet");
    let mut host = Host::given(&[signed(&grant(), &[1])]);
    host.moment.now = grant().expires_at_ms;
    host.refuses(Refusal::NotGranted, "has expired");
}

#[test]
fn the_hosts_own_policy_still_decides() {
    let mut host = Host::given(&[signed(&grant(), &[1])]);
    host.policy.profile = Profile::Observe;
    host.refuses(Refusal::NotAllowed, "profile");
    host.policy.profile = Profile::Full;
    let record = JournalRecord::Floor {
        at_ms: at(1),
        written: 0,
    };
    host.ledger.apply(record);
    host.refuses(Refusal::Replayed, "journal was lost");
}

#[test]
fn what_is_listed_no_more_is_dropped_and_what_was_ended_stays_so() {
    let one = signed(&grant(), &[1]);
    let mut host = Host::given(std::slice::from_ref(&one));
    host.list(&[]);
    host.refuses(Refusal::NotGranted, "withdrawn");
    host.list(std::slice::from_ref(&one));
    assert_eq!(host.refusal(), None);

    let end = GrantEnd {
        grant: grant().id,
        issued_at_ms: at(5),
    }
    .to_bytes();
    let ends = |seed, purpose| GrantList {
        grants: vec![one.clone()],
        ends: vec![SignedGrantEnd {
            signature: key(seed).sign(purpose, &end),
            bytes: end.clone(),
        }],
    };
    for (seed, purpose) in [(2, Purpose::GrantEnd), (1, Purpose::Grant)] {
        host.book.take_list(&ends(seed, purpose), &host.policy);
        assert_eq!(host.refusal(), None);
    }
    host.book
        .take_list(&ends(1, Purpose::GrantEnd), &host.policy);
    host.refuses(Refusal::NotGranted, "was ended");
    host.list(&[one]);
    host.refuses(Refusal::NotGranted, "was ended");
}

#[test]
fn what_nobody_signed_neither_ends_nor_replaces_a_grant_of_its_id() {
    let good = signed(&grant(), &[1]);
    let long_over = Grant {
        issued_at_ms: at(-2 * 86_400_000),
        not_before_ms: at(-2 * 86_400_000),
        expires_at_ms: at(-86_400_000),
        ..grant()
    };
    let mut copied = signed(&long_over, &[]);
    copied.signatures = good.signatures.clone();
    for forged in [signed(&long_over, &[]), signed(&long_over, &[2]), copied] {
        let mut host = Host::given(std::slice::from_ref(&good));
        // Beside it, before it, in its place.
        host.list(&[good.clone(), forged.clone()]);
        assert_eq!(host.refusal(), None);
        host.list(&[forged.clone(), good.clone()]);
        assert_eq!(host.refusal(), None);
        host.list(std::slice::from_ref(&forged));
        assert_eq!(host.refusal(), None);
        // A host that did not know it, and then is given it.
        let mut host = Host::given(std::slice::from_ref(&forged));
        host.refuses(Refusal::NotGranted, "signatures of its keys");
        host.list(std::slice::from_ref(&good));
        assert_eq!(host.refusal(), None);
        // Whatever became of its key meanwhile.
        let trusting = host.policy.clone();
        host.policy.keys = HeldKeys::of(&[], &KeyChanges::default());
        host.list(&[forged, good.clone()]);
        host.policy = trusting;
        host.book.look(&host.policy, host.moment);
        assert_eq!(host.refusal(), None);
    }
    // One that a key did sign replaces it, and so does its end by time.
    let mut host = Host::given(&[good]);
    host.list(&[signed(&long_over, &[1])]);
    host.refuses(Refusal::NotGranted, "is over");
}

#[test]
fn a_clock_that_is_set_back_revives_nothing() {
    let one = signed(&grant(), &[1]);
    let mut host = Host::given(std::slice::from_ref(&one));
    host.moment.now = grant().expires_at_ms;
    assert!(host.book.look(&host.policy, host.moment));
    host.moment.now = at(0);
    host.refuses(Refusal::NotGranted, "had expired before");
    host.list(std::slice::from_ref(&one));
    host.refuses(Refusal::NotGranted, "had expired before");

    // Or one that stands still: nothing is held for longer than it was signed for.
    let mut host = Host::given(std::slice::from_ref(&one));
    host.list(&[]);
    host.moment.lived_ms += 10 * DAY_MS;
    host.book.look(&host.policy, host.moment);
    host.list(&[one]);
    host.refuses(Refusal::NotGranted, "is over");
}

#[test]
fn caps_are_counted_in_time_that_the_agent_lived_through() {
    let mut host = Host::given(&[signed(&grant(), &[1])]);
    let id = grant().id;
    host.book
        .count(id, ActionId::from_random(9), host.moment.lived_ms);
    host.refuses(Refusal::TooOften, "within an hour");
    host.moment.now = at(7_200_000);
    host.refuses(Refusal::TooOften, "within an hour");
    host.moment.lived_ms += HOUR_MS;
    assert_eq!(host.refusal(), None);
    for number in [10, 11] {
        host.moment.lived_ms += HOUR_MS;
        host.book
            .count(id, ActionId::from_random(number), host.moment.lived_ms);
    }
    host.moment.lived_ms += HOUR_MS;
    host.refuses(Refusal::TooOften, "within 24 h");
    host.moment.lived_ms += DAY_MS;
    assert_eq!(host.refusal(), None);
}

#[test]
fn an_order_that_waited_is_counted_when_it_begins() {
    let mut host = Host::given(&[signed(&grant(), &[1])]);
    let (id, own) = (grant().id, ActionId::from_random(1));
    host.book.count(id, own, host.moment.lived_ms);
    assert_eq!(host.refusal(), None, "what was counted is its own");
    host.moment.lived_ms += HOUR_MS;
    let other = ActionId::from_random(9);
    host.book.count(id, other, host.moment.lived_ms);
    host.refuses(Refusal::TooOften, "within an hour");
    host.moment.lived_ms += HOUR_MS;
    host.book.count_anew(id, own, host.moment.lived_ms);
    let uses = host.book.uses_within(id, DAY_MS, host.moment.lived_ms);
    assert_eq!(uses, 2);
    let next = host.judge(&host.order(restart("appsvc"), 2), "web-1");
    assert_eq!(told(next).unwrap().0, Refusal::TooOften);
}

#[test]
fn lost_counts_grant_nothing_for_a_day_of_running() {
    let mut host = Host::given(&[signed(&grant(), &[1])]);
    host.book = Book::barred(at(-1));
    host.list(&[signed(&grant(), &[1])]);
    host.refuses(Refusal::TooOften, "was lost");
    host.moment.lived_ms = DAY_MS;
    assert_eq!(host.refusal(), None);
}

#[test]
fn what_was_signed_before_a_loss_is_never_granted_again() {
    let one = signed(&grant(), &[1]);
    let mut host = Host::given(std::slice::from_ref(&one));
    for book in [Book::barred(at(0)), host.book.clone().bar(at(0))] {
        host.book = book;
        host.list(std::slice::from_ref(&one));
        // It may have been ended, and the host does not know it any more.
        host.moment.lived_ms += 2 * DAY_MS;
        host.refuses(Refusal::NotGranted, "was made before");
    }
    let later = Grant {
        id: GrantId::from_random(7),
        issued_at_ms: at(1),
        not_before_ms: at(1),
        ..grant()
    };
    host.list(&[signed(&later, &[1])]);
    assert_eq!(host.refusal(), None);
    // A second loss, by a clock that was set back, makes nothing of before the first one good.
    host.book = host.book.clone().bar(at(-86_400_000));
    host.moment.lived_ms += 2 * DAY_MS;
    host.list(&[one]);
    host.refuses(Refusal::NotGranted, "was made before");
}

#[test]
fn a_book_that_only_knows_since_when_it_holds_a_grant_is_not_blank() {
    let mut host = Host::given(&[signed(&grant(), &[1])]);
    assert!(Book::default().is_blank());
    host.list(&[]);
    assert!(!host.book.is_blank());
    assert!(!Book::barred(at(0)).is_blank());
}

#[test]
fn a_book_survives_its_text_form() {
    let mut host = Host::given(&[signed(&grant(), &[1, 2])]);
    host.book
        .count(grant().id, ActionId::from_random(9), 600_000);
    let text = serde_json::to_string(&host.book).unwrap();
    let again: Book = serde_json::from_str(&text).unwrap();
    assert_eq!(again.reread(), host.book);
}
