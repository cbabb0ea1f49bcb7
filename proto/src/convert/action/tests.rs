//! Actions over the wire and back, and what is refused there.

use proptest::prelude::*;
use prost::Message as _;
use tidemark_model::Timestamp;

use tidemark_model::grant::GrantId;

use super::*;

fn report(state: ActionState, refusal: Option<Refusal>) -> ActionReport {
    ActionReport {
        id: ActionId::from_random(7),
        state,
        at_ms: Timestamp::from_unix_ms(1_700_000_000_000),
        refusal,
        text: "done".to_owned(),
        steps: StepState::ALL
            .iter()
            .map(|state| Step {
                what: "stop appsvc".to_owned(),
                state: *state,
                text: String::new(),
            })
            .collect(),
        changes: vec![Change {
            what: "net.ipv4.ip_local_port_range".to_owned(),
            before: Some("32768-60999".to_owned()),
            after: None,
        }],
        needs_reboot: true,
        boot_id: Some("b0".to_owned()),
        undo_refused: Some("it was changed meanwhile".to_owned()),
    }
}

#[test]
fn every_report_of_a_host_arrives_as_it_was_sent() {
    for state in ActionState::ALL.iter().copied() {
        let refusals: Vec<_> = if state == ActionState::Refused {
            Refusal::ALL.iter().copied().map(Some).collect()
        } else {
            vec![None]
        };
        for refusal in refusals {
            let sent = report(state, refusal);
            if let Some(wire) = report_to_wire(&sent) {
                assert_eq!(report_from_wire(wire), Ok(sent.clone()));
                let ack = ack_to_wire(&sent).unwrap();
                assert_eq!(
                    ack_from_wire(&ack),
                    Ok(StoredReport {
                        action: sent.id,
                        state,
                        at: Some(sent.at_ms)
                    })
                );
            }
        }
    }
}

#[test]
fn a_host_cannot_say_what_is_not_its_to_say() {
    // That an action helped is for its samples to say, and that it was approved for people.
    for state in [
        ActionState::Verified,
        ActionState::Approved,
        ActionState::TimedOut,
    ] {
        assert_eq!(report_to_wire(&report(state, None)), None);
    }
    for number in [0, 8, -1] {
        let mut wire = report_to_wire(&report(ActionState::Failed, None)).unwrap();
        wire.state = number;
        assert!(report_from_wire(wire).is_err());
    }
    let mut unreasoned = report_to_wire(&report(ActionState::Failed, None)).unwrap();
    unreasoned.refusal = v1::ActionRefusal::Expired.into();
    assert!(report_from_wire(unreasoned).is_err());
    let refused = report(ActionState::Refused, None);
    assert!(report_from_wire(report_to_wire(&refused).unwrap()).is_err());
}

#[test]
fn a_report_out_of_its_limits_is_cut_or_refused() {
    let mut long = report_to_wire(&report(ActionState::Failed, None)).unwrap();
    long.text = "é".repeat(REPORT_CHARS_MAX + 1);
    let read = report_from_wire(long.clone()).unwrap();
    assert_eq!(read.text.chars().count(), REPORT_CHARS_MAX);
    long.steps = vec![v1::ActionStep::default(); REPORT_ITEMS_MAX + 1];
    assert!(report_from_wire(long).is_err());
}

#[test]
fn orders_and_policies_arrive_as_they_were_sent() {
    let signature = Signature {
        key: KeyId::from_bytes([3; 8]),
        bytes: [9; 64],
    };
    let order = SignedOrder {
        id: ActionId::from_random(7),
        bytes: b"{}".to_vec(),
        signatures: vec![signature],
    };
    assert_eq!(order_from_wire(order_to_wire(&order)), Ok(order.clone()));
    let many = SignedOrder {
        signatures: vec![signature; SIGNATURES_MAX + 1],
        ..order.clone()
    };
    assert!(order_from_wire(order_to_wire(&many)).is_err());
    let long = SignedOrder {
        bytes: vec![b'x'; ORDER_BYTES_MAX + 1],
        ..order
    };
    assert!(order_from_wire(order_to_wire(&long)).is_err());
    for profile in Profile::ALL {
        let policy = HostPolicyView {
            profile: Some(*profile),
            unusable: None,
            allowed: ActionKind::ALL.to_vec(),
            keys: vec![KeyId::from_bytes([1; 8])],
            lockdown: true,
            digest: "ab".repeat(32),
            all_keys: Vec::new(),
            refused_statements: Vec::new(),
            undoes: true,
            grants: vec![GrantId::from_bytes([3; 16])],
        };
        assert_eq!(policy_from_wire(policy_to_wire(&policy)), Ok(policy));
    }
    let unusable = HostPolicyView {
        profile: None,
        unusable: Some("line 3".to_owned()),
        allowed: Vec::new(),
        keys: Vec::new(),
        lockdown: false,
        digest: String::new(),
        all_keys: Vec::new(),
        refused_statements: Vec::new(),
        undoes: false,
        grants: Vec::new(),
    };
    assert_eq!(policy_from_wire(policy_to_wire(&unusable)), Ok(unusable));
}

proptest! {
    #[test]
    fn hostile_messages_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        if let Ok(update) = v1::ActionUpdate::decode(bytes.as_slice()) {
            drop(report_from_wire(update));
        }
        if let Ok(order) = v1::ActionOrder::decode(bytes.as_slice()) {
            drop(order_from_wire(order));
        }
        if let Ok(policy) = v1::HostPolicy::decode(bytes.as_slice()) {
            drop(policy_from_wire(policy));
        }
    }
}
