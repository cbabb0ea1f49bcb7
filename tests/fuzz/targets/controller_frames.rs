//! What a controller, which may be anybody's, sends to an agent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use tidemark_agent::identity::IdentityKey;
use tidemark_fuzz::oracle::wire;
use tidemark_fuzz::parts::Parts;
use tidemark_fuzz::{Decoder, run};
use tidemark_model::token::CaPin;
use tidemark_proto::convert::{action, checkpoint, delivery, grant, key_statement, upgrade};
use tidemark_proto::v1::{self, controller_frame::Kind};

const DECODERS: [Decoder; 2] = [
    Decoder {
        name: "controller's frame",
        read: frame,
    },
    Decoder {
        name: "issued credentials",
        read: credentials,
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

fn frame(bytes: &[u8]) -> bool {
    let Ok(frame) = v1::ControllerFrame::decode(bytes) else {
        return false;
    };
    let is_heard = tidemark_agent::fuzzing::is_heard(frame.clone());
    let is_taken = frame.kind.is_some_and(read);
    assert!(
        is_taken || !is_heard,
        "heard, though its content is refused"
    );
    is_heard
}

/// Reads what a frame holds by itself: written again it is the same.
fn read(kind: Kind) -> bool {
    match kind {
        Kind::Action(order) => {
            let grant_id = order.grant_id.clone();
            let is_grant = grant_id.is_empty() || grant::id_from_wire(&grant_id).is_ok();
            wire(order, action::order_from_wire, action::order_to_wire).is_some() && is_grant
        }
        Kind::Grants(list) => wire(list, grant::list_from_wire, grant::list_to_wire).is_some(),
        Kind::ActionAck(ack) => action::ack_from_wire(&ack).is_ok(),
        Kind::ActionUndo(undo) => action::action_id_from_wire(&undo.action_id).is_ok(),
        Kind::ActionConfirm(confirm) => action::action_id_from_wire(&confirm.action_id).is_ok(),
        Kind::Lockdown(lockdown) => {
            lockdown.stop
                || wire(
                    lockdown.signatures,
                    |signatures| action::signatures_from_wire(&signatures),
                    |signatures| action::signatures_to_wire(signatures),
                )
                .is_some()
        }
        Kind::Checkpoint(offered) => wire(
            offered,
            checkpoint::offered_from_wire,
            checkpoint::offered_to_wire,
        )
        .is_some(),
        Kind::UpgradeOffer(offer) => {
            wire(offer, upgrade::offer_from_wire, upgrade::offer_to_wire).is_some()
        }
        Kind::UpgradePiece(piece) => wire(piece, upgrade::piece_from_wire, |piece| {
            upgrade::piece_to_wire(piece.clone())
        })
        .is_some(),
        Kind::KeyStatement(statement) => wire(
            statement,
            key_statement::statement_from_wire,
            key_statement::statement_to_wire,
        )
        .is_some(),
        Kind::Refused(refused) => {
            delivery::seq_range("refused", refused.first_seq, refused.last_seq).is_ok()
        }
        Kind::Welcome(_) | Kind::Ack(_) | Kind::Settings(_) | Kind::Drain(_) => true,
    }
}

/// A key, the pin of a root, and what a controller issued: never for another key than the host's, nor under another root.
fn credentials(bytes: &[u8]) -> bool {
    let mut parts = Parts::of(bytes);
    let pin = CaPin::from_bytes(parts.array());
    let (key, issued) = (parts.bytes(), parts.rest());
    // As it is stored; and the identity is stored in the same form.
    let identity = IdentityKey::from_pkcs8(key);
    if let Ok(identity) = &identity {
        let again = IdentityKey::from_pkcs8(&identity.to_pkcs8()).expect("an identity is kept");
        assert_eq!(again.host_id(), identity.host_id());
    }
    let is_taken = tidemark_agent::fuzzing::takes_credentials(key, issued, &pin);
    assert!(!is_taken || identity.is_ok());
    is_taken
}
