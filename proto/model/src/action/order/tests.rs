//! How orders are written and read, and what is none.

use proptest::prelude::*;

use super::*;
use crate::action::spec::OnHang;

fn order() -> Order {
    Order {
        id: ActionId::from_random(7),
        host: HostId::of_identity_spki(b"host"),
        spec: ActionSpec::RestartService {
            service: "appsvc".to_owned(),
            stop_timeout_s: 120,
            on_hang: OnHang::Fail,
        },
        dry_run: false,
        issued_at_ms: Timestamp::from_unix_ms(1_000),
        not_before_ms: Timestamp::from_unix_ms(1_000),
        expires_at_ms: Timestamp::from_unix_ms(61_000),
        requester: "ann".to_owned(),
        reason: "leaks ports".to_owned(),
        undo_within_s: None,
    }
}

#[test]
fn an_order_is_read_as_it_was_written() {
    let bytes = order().to_bytes();
    assert_eq!(Order::from_bytes(&bytes), Ok(order()));
}

#[test]
fn the_bytes_of_an_order_never_change() {
    // Keys in the field have signed these bytes: another way to write them would make every signature worthless.
    assert_eq!(
        String::from_utf8(order().to_bytes()).unwrap(),
        r#"{"id":"00000000000000000000000000000007","host":"i5ak4y2hwalsyajfj72vxls275izt5ce","spec":{"action":"restart_service","service":"appsvc","stop_timeout_s":120,"on_hang":"fail"},"dry_run":false,"issued_at_ms":1000,"not_before_ms":1000,"expires_at_ms":61000,"requester":"ann","reason":"leaks ports"}"#
    );
}

#[test]
fn an_order_that_is_written_in_another_way_is_refused() {
    let text = String::from_utf8(order().to_bytes()).unwrap();
    for other in [
        text.replace("\"dry_run\":false", "\"dry_run\": false"),
        text.replace("\"stop_timeout_s\":120,", ""),
        text.replace("appsvc", "\\u0061ppsvc"),
    ] {
        assert_ne!(other, text);
        let read = Order::from_bytes(other.as_bytes());
        assert_eq!(read, Err(InvalidOrder::NotCanonical), "{other}");
    }
    let twice = text.replace("\"dry_run\":false", "\"dry_run\":true,\"dry_run\":false");
    assert!(matches!(
        Order::from_bytes(twice.as_bytes()),
        Err(InvalidOrder::Unreadable(_))
    ));
}

#[test]
fn an_order_out_of_its_limits_is_refused() {
    let fails = |change: &dyn Fn(&mut Order)| {
        let mut order = order();
        change(&mut order);
        Order::from_bytes(&order.to_bytes()).is_err()
    };
    let at = Timestamp::from_unix_ms;
    assert!(!fails(&|_| {}));
    assert!(fails(&|order| order.not_before_ms = at(999)));
    assert!(fails(&|order| order.expires_at_ms = at(1_000)));
    assert!(fails(
        &|order| order.expires_at_ms = at(1_001 + 14 * 86_400_000)
    ));
    assert!(!fails(
        &|order| order.expires_at_ms = at(1_000 + 14 * 86_400_000)
    ));
    // A restart cannot be undone, a setting can, and nothing that was only asked about.
    let undo = |order: &mut Order, seconds| {
        order.spec = ActionSpec::SetDotnetConnectionLimit { connections: 12 };
        order.undo_within_s = Some(seconds);
    };
    assert!(fails(&|order| order.undo_within_s = Some(60)));
    assert!(!fails(&|order| undo(order, 60)));
    assert!(fails(&|order| undo(order, 29)));
    assert!(fails(&|order| undo(order, 86_401)));
    assert!(fails(&|order| {
        undo(order, 60);
        order.dry_run = true;
    }));
    assert!(fails(&|order| order.requester = String::new()));
    assert!(fails(
        &|order| order.reason = "x".repeat(REASON_CHARS_MAX + 1)
    ));
    assert!(fails(&|order| order.reason = "a\u{1b}[2Jb".to_owned()));
    assert!(fails(&|order| {
        order.spec = ActionSpec::CollectEvidence { seconds: 99 };
    }));
    assert_eq!(
        Order::from_bytes(&vec![b' '; ORDER_BYTES_MAX + 1]),
        Err(InvalidOrder::TooLong(ORDER_BYTES_MAX + 1))
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(order) = Order::from_bytes(&bytes) {
            prop_assert_eq!(order.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_changed_byte_is_never_the_same_order(at in 0_usize..300, flip in 1_u8..=255) {
        let mut bytes = order().to_bytes();
        let at = at % bytes.len();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= flip;
        }
        prop_assert_ne!(Order::from_bytes(&bytes), Ok(order()));
    }
}
