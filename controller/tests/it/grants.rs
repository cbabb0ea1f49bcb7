//! Ends of grants: who may sign one, which one is kept, and that hosts are told of all of them.

use std::time::Duration;

use tidemark_controller::grants::withdraw;
use tidemark_controller::remediate::lanes::Taking;
use tidemark_controller::remediate::report::take_policy;
use tidemark_controller::remediate::{ActionError, RemediationRules};
use tidemark_model::action::spec::OnHang;
use tidemark_model::action::{ActionKind, ActionSpec, HostKey, HostPolicyView, KeyStanding, Tier};
use tidemark_model::grant::{
    ActionTemplate, Grant, GrantEnd, GrantId, Scope, SignedGrantEnd, Trigger,
};
use tidemark_model::signing::{PrivateKey, Purpose};
use tidemark_model::{HostId, Protocol, Timestamp};
use tidemark_proto::v1::controller_frame::Kind;
use tidemark_store::GrantRecord;

use crate::action_lives::{Still, host, policy};

/// A key of a small number.
pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed([seed; 32])
}

/// A key as its host lists it.
pub fn told(seed: u8) -> HostKey {
    HostKey {
        name: format!("k{seed}"),
        public: key(seed).public(),
        tier_max: Tier::Reboot,
        standing: KeyStanding::Holds,
        rotated_from: None,
        why: String::new(),
    }
}

/// A controller with a host that lists keys 1 and 2.
async fn started() -> Still {
    let still = Still::with(RemediationRules::default()).await;
    let lists = HostPolicyView {
        keys: vec![key(1).public().id(), key(2).public().id()],
        all_keys: vec![told(1), told(2)],
        ..policy(&[ActionKind::RestartService])
    };
    take_policy(&still.app, host(1), &lists).await.unwrap();
    still
}

/// A grant of that action for the first rung of the policy `full`.
pub fn grant(
    number: u128,
    spec: &ActionSpec,
    (rule, host): (&str, HostId),
    now: Timestamp,
) -> Grant {
    Grant {
        id: GrantId::from_random(number),
        policy: "full".to_owned(),
        rule: rule.to_owned(),
        action: ActionTemplate::of(spec),
        hosts: Scope {
            ids: vec![host],
            names: Vec::new(),
        },
        trigger: Trigger::Level {
            percent: 90,
            protocol: Protocol::Tcp,
            namespace: "default".to_owned(),
            held_s: 300,
            culprit: None,
        },
        per_hour: 1,
        per_day: 3,
        issued_at_ms: now,
        not_before_ms: now,
        expires_at_ms: now.saturating_add(Duration::from_secs(86_400)),
        issuer: "ann".to_owned(),
        reason: "it leaks".to_owned(),
    }
}

/// Keeps a grant as if it had been brought.
async fn kept(still: &Still, number: u128) -> GrantId {
    let now = still.clock.now();
    let spec = ActionSpec::RestartService {
        service: "leaky".to_owned(),
        stop_timeout_s: 30,
        on_hang: OnHang::Fail,
    };
    let rule = "ab".repeat(32);
    let grant = grant(number, &spec, (&rule, host(1)), now);
    let bytes = grant.to_bytes();
    let record = GrantRecord {
        id: grant.id,
        policy: grant.policy.clone(),
        signatures: vec![key(1).sign(Purpose::Grant, &bytes)],
        document: String::from_utf8(bytes).unwrap(),
        created_at: now,
        created_by: "ann".to_owned(),
        expires_at: grant.expires_at_ms,
        withdrawn: None,
        end: None,
    };
    let mut tx = still.app.store.begin().await.unwrap();
    assert!(tx.grant_insert(&record).await.unwrap());
    tx.commit().await.unwrap();
    grant.id
}

fn end_of(still: &Still, grant: GrantId, seed: u8) -> SignedGrantEnd {
    let end = GrantEnd {
        grant,
        issued_at_ms: still.clock.now(),
    };
    let bytes = end.to_bytes();
    SignedGrantEnd {
        signature: key(seed).sign(Purpose::GrantEnd, &bytes),
        bytes,
    }
}

#[tokio::test]
async fn an_end_is_signed_by_a_listed_key_and_a_good_one_stays() {
    let still = started().await;
    let grant = kept(&still, 1).await;
    let bring = async |end: SignedGrantEnd| withdraw(&still.app, grant, Some(end), "ann").await;
    let good = end_of(&still, grant, 1);
    let mut forged = good.clone();
    forged.signature.bytes[0] ^= 1;
    for (end, part) in [
        (forged, "does not match the document"),
        (
            end_of(&still, grant, 9),
            "no host that told its keys here lists",
        ),
        (
            end_of(&still, GrantId::from_random(5), 1),
            "ends another grant",
        ),
    ] {
        let refused = bring(end).await.unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
        let mut tx = still.app.store.read().await.unwrap();
        let record = tx.grant_find(grant).await.unwrap().unwrap();
        assert_eq!((record.end, record.withdrawn), (None, None));
    }
    bring(good.clone()).await.unwrap();
    bring(good.clone()).await.unwrap();
    let other = bring(end_of(&still, grant, 2)).await;
    assert!(
        matches!(other, Err(ActionError::EndedBefore(_))),
        "{other:?}"
    );
    let mut tx = still.app.store.read().await.unwrap();
    let record = tx.grant_find(grant).await.unwrap().unwrap();
    assert_eq!(record.end, Some(good));
    assert!(record.withdrawn.is_some());
}

#[tokio::test]
async fn a_host_is_told_of_every_end_also_beyond_those_of_one_list() {
    let mut still = started().await;
    for number in 0..150 {
        let grant = kept(&still, number).await;
        let end = end_of(&still, grant, 1);
        withdraw(&still.app, grant, Some(end), "ann").await.unwrap();
    }
    let standing = kept(&still, 999).await;
    let mut lane = still.connect(1, Taking::Actions).1.unwrap();
    still.dispatch().await;
    let mut ends = Vec::new();
    while let Ok(frame) = lane.try_recv() {
        let Kind::Grants(list) = frame else {
            continue;
        };
        assert_eq!(
            list.grants.len(),
            1,
            "each list has what stands: {standing}"
        );
        assert!(list.ends.len() <= 64);
        ends.extend(list.ends.into_iter().map(|end| end.end));
    }
    ends.sort();
    ends.dedup();
    assert_eq!(ends.len(), 150);
    still.dispatch().await;
    assert!(lane.try_recv().is_err(), "it was told");
}
