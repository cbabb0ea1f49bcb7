//! Orders as a thief makes them: with operators' keys where a script says so, and with everything that needs no key.

use anyhow::Context as _;
use ring::signature::Ed25519KeyPair;
use serde_json::Value;
use tidemark_model::action::SignedOrder;
use tidemark_model::signing::{PrivateKey, PublicKey, Purpose, Signature};
use tidemark_model::{ActionId, ActionSpec, HostId, Order, Timestamp};
use tidemark_runtime::{Clock, Entropy};

/// How long its orders are valid: longer than those of the real controller.
const VALID_MS: i64 = 7_200_000;
const ANN: [u8; 32] = [1; 32];

/// Everything that scripts use.
pub(super) struct Forge {
    /// The host that is attacked.
    pub(super) host: HostId,
    /// May sign everything.
    pub(super) ann: PrivateKey,
    /// May sign everything, too.
    pub(super) bob: PrivateKey,
    /// May sign up to tier 1.
    pub(super) junior: PrivateKey,
    /// Is not listed.
    pub(super) stranger: PrivateKey,
}

impl Forge {
    pub(super) fn of(host: HostId) -> Self {
        Self {
            host,
            ann: PrivateKey::from_seed(ANN),
            bob: PrivateKey::from_seed([2; 32]),
            junior: PrivateKey::from_seed([3; 32]),
            stranger: PrivateKey::from_seed([4; 32]),
        }
    }

    /// The lines of the host's policy that list its keys.
    pub(super) fn policy_keys(&self) -> String {
        let line = |name: &str, key: PublicKey, tier: u8| {
            format!("[[key]]\nname = \"{name}\"\npublic = \"{key}\"\ntier_max = {tier}\n")
        };
        [
            line("ann", self.ann.public(), 3),
            line("bob", self.bob.public(), 3),
            line("junior", self.junior.public(), 1),
        ]
        .concat()
    }

    /// An order that the host would take, if it was signed.
    pub(super) fn order(&self, spec: Value) -> Order {
        let now = Clock::System.now();
        let entropy = Entropy::System;
        Order {
            id: ActionId::from_random(u128::from(entropy.u64()) << 64 | u128::from(entropy.u64())),
            host: self.host,
            spec: serde_json::from_value::<ActionSpec>(spec).expect("a script's own spec"),
            dry_run: false,
            issued_at_ms: now,
            not_before_ms: now,
            expires_at_ms: Timestamp::from_unix_ms(now.unix_ms() + VALID_MS),
            requester: "ann".to_owned(),
            reason: "a leak".to_owned(),
            undo_within_s: None,
        }
    }

    /// An order for the hook that is allowed.
    pub(super) fn hook(&self) -> Order {
        self.order(hook("count", "hostile"))
    }

    /// That order, signed as it should be.
    pub(super) fn signed(&self, order: &Order) -> SignedOrder {
        self.signed_by(&[&self.ann], order)
    }

    pub(super) fn signed_by(&self, keys: &[&PrivateKey], order: &Order) -> SignedOrder {
        let bytes = order.to_bytes();
        SignedOrder {
            id: order.id,
            signatures: keys
                .iter()
                .map(|key| key.sign(Purpose::Order, &bytes))
                .collect(),
            bytes,
        }
    }

    /// Bytes that are no order as the product writes it, signed properly.
    pub(super) fn signed_text(&self, id: ActionId, text: &str) -> SignedOrder {
        SignedOrder {
            id,
            bytes: text.as_bytes().to_vec(),
            signatures: vec![self.ann.sign(Purpose::Order, text.as_bytes())],
        }
    }

    /// An order that is signed, and then changed by `change` of its text.
    pub(super) fn changed_after(
        &self,
        order: &Order,
        change: impl Fn(&str) -> String,
    ) -> SignedOrder {
        let signed = self.signed(order);
        let text = change(&text_of(order));
        assert_ne!(
            text.as_bytes(),
            signed.bytes,
            "a script that changes nothing"
        );
        SignedOrder {
            bytes: text.into_bytes(),
            ..signed
        }
    }

    /// An order whose text is changed by `change` and then signed.
    pub(super) fn changed_before(
        &self,
        order: &Order,
        change: impl Fn(&str) -> String,
    ) -> SignedOrder {
        let text = change(&text_of(order));
        assert_ne!(text, text_of(order), "a script that changes nothing");
        self.signed_text(order.id, &text)
    }

    /// Ann's signature over `prefix` and the order, whatever the prefix is.
    pub(super) fn signed_under(&self, prefix: &[u8], order: &Order) -> SignedOrder {
        let pair = Ed25519KeyPair::from_seed_unchecked(&ANN).expect("32 bytes");
        let signed = pair.sign(&[prefix, &order.to_bytes()].concat());
        let mut forged = self.signed(order);
        for signature in &mut forged.signatures {
            signature.bytes = signed.as_ref().try_into().expect("64 bytes");
        }
        forged
    }

    /// The same signature written in another way: S and S + L are one number modulo L.
    pub(super) fn malleable(&self, order: &Order) -> SignedOrder {
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut forged = self.signed(order);
        for signature in &mut forged.signatures {
            let mut carry = 0_u16;
            for (to, from) in signature.bytes.iter_mut().skip(32).zip(L) {
                let sum = u16::from(*to) + u16::from(from) + carry;
                *to = (sum & 0xff) as u8;
                carry = sum >> 8;
            }
        }
        forged
    }

    /// The order under these 64 bytes as Ann's signature.
    pub(super) fn under_bytes(&self, order: &Order, bytes: [u8; 64]) -> SignedOrder {
        SignedOrder {
            id: order.id,
            bytes: order.to_bytes(),
            signatures: vec![Signature {
                key: self.ann.public().id(),
                bytes,
            }],
        }
    }
}

/// The text that is signed.
pub(super) fn text_of(order: &Order) -> String {
    String::from_utf8(order.to_bytes()).expect("JSON is UTF-8")
}

/// A call of a hook.
pub(super) fn hook(name: &str, mark: &str) -> Value {
    serde_json::json!({"action": "run_hook", "name": name, "arguments": {"mark": mark}})
}

/// A restart of a service.
pub(super) fn restart(service: &str) -> Value {
    serde_json::json!({"action": "restart_service", "service": service})
}

/// A restart of the host.
pub(super) fn reboot() -> Value {
    serde_json::json!({"action": "reboot", "grace_s": 0, "reason": "hostile", "force": true})
}

/// An order for another time; times are relative to this moment, in milliseconds.
pub(super) fn at(order: Order, (issued, begin, end): (i64, i64, i64)) -> Order {
    let now = Clock::System.now().unix_ms();
    let at = |relative: i64| Timestamp::from_unix_ms(now + relative);
    Order {
        issued_at_ms: at(issued),
        not_before_ms: at(begin),
        expires_at_ms: at(end),
        ..order
    }
}

/// The one signature of an order.
pub(super) fn signature_of(signed: &SignedOrder) -> anyhow::Result<Signature> {
    signed.signatures.first().copied().context("a signature")
}
