//! What is signed: orders, grants, statements about keys, releases, and the audit log with its checkpoints.
//!
//! Each has one way of writing it, and a signature holds for exactly what was signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidemark_agent_core::actions::{Circumstances, HostPolicy, Judgement, Ledger, judge::judge};
use tidemark_fuzz::oracle::{json, text};
use tidemark_fuzz::parts::Parts;
use tidemark_fuzz::{Decoder, run};
use tidemark_model::action::unlock::Unlock;
use tidemark_model::action::{Profile, SignedOrder};
use tidemark_model::audit_log::{
    Chain, Checkpoint, Digest, Entry, Frontier, HeldCheckpoint, LogKey, LogSigner, Offered, Tree,
    consistency_proof, leaf_hash, node_hash, root_of, verify_consistency,
};
use tidemark_model::grant::{Grant, GrantEnd};
use tidemark_model::key_statement::KeyStatement;
use tidemark_model::release::Manifest;
use tidemark_model::signing::{KeyId, PrivateKey, PublicKey, Purpose, Signature};
use tidemark_model::{Order, Timestamp};

const DECODERS: [Decoder; 14] = [
    Decoder {
        name: "order",
        read: |bytes| canonical(bytes, Order::from_bytes, Order::to_bytes),
    },
    Decoder {
        name: "grant",
        read: |bytes| canonical(bytes, Grant::from_bytes, Grant::to_bytes),
    },
    Decoder {
        name: "end of a grant",
        read: |bytes| canonical(bytes, GrantEnd::from_bytes, GrantEnd::to_bytes),
    },
    Decoder {
        name: "key statement",
        read: |bytes| canonical(bytes, KeyStatement::from_bytes, KeyStatement::to_bytes),
    },
    Decoder {
        name: "release manifest",
        read: |bytes| canonical(bytes, Manifest::from_bytes, Manifest::to_bytes),
    },
    Decoder {
        name: "end of a lockdown",
        read: |bytes| canonical(bytes, Unlock::from_bytes, Unlock::to_bytes),
    },
    Decoder {
        name: "signature",
        read: signature,
    },
    Decoder {
        name: "order judged by its host",
        read: judged,
    },
    Decoder {
        name: "key and signature as text",
        read: key_text,
    },
    Decoder {
        name: "audit log entry",
        read: entry,
    },
    Decoder {
        name: "audit log export",
        read: export,
    },
    Decoder {
        name: "checkpoint",
        read: checkpoint,
    },
    Decoder {
        name: "checkpoint held against another",
        read: held,
    },
    Decoder {
        name: "consistency proof",
        read: consistency,
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

const PURPOSES: [Purpose; 7] = [
    Purpose::Order,
    Purpose::Unlock,
    Purpose::KeyRevocation,
    Purpose::KeyRotation,
    Purpose::Grant,
    Purpose::GrantEnd,
    Purpose::Release,
];

fn operator() -> PrivateKey {
    PrivateKey::from_seed([7; 32])
}

/// What is taken is written in one way: byte for byte as it was given.
fn canonical<T, E: std::fmt::Display>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, E>,
    write: impl Fn(&T) -> Vec<u8>,
) -> bool {
    match read(bytes) {
        Ok(taken) => {
            assert_eq!(
                String::from_utf8_lossy(&write(&taken)),
                String::from_utf8_lossy(bytes),
                "taken as it was not written"
            );
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// A signature that was made, and one change of it, of the bytes, of the purpose or of the key: it holds only unchanged.
fn signature(input: &[u8]) -> bool {
    let mut parts = Parts::of(input);
    let (what, at, change) = (parts.byte(), usize::from(parts.u16()), parts.byte());
    let purpose = PURPOSES[usize::from(parts.byte()) % PURPOSES.len()];
    let key = operator();
    let mut bytes = parts.rest().to_vec();
    let mut signature = key.sign(purpose, &bytes);
    let (mut public, mut asked) = (key.public(), purpose);
    let is_changed = match what % 5 {
        0 => false,
        1 => {
            signature.bytes[at % 64] ^= change;
            change != 0
        }
        2 if !bytes.is_empty() => {
            let length = bytes.len();
            bytes[at % length] ^= change;
            change != 0
        }
        2 => false,
        3 => {
            asked = PURPOSES[usize::from(change) % PURPOSES.len()];
            asked != purpose
        }
        _ => {
            public = PrivateKey::from_seed([change; 32]).public();
            public != key.public()
        }
    };
    let holds = public.verify(asked, &bytes, &signature).is_ok();
    assert_eq!(holds, !is_changed, "{what} {at} {change}");
    holds
}

/// A host that lists one key takes no order that the key did not sign.
fn judged(input: &[u8]) -> bool {
    let mut parts = Parts::of(input);
    let is_signed = parts.byte() & 1 == 1;
    let mut forged = Signature {
        key: operator().public().id(),
        bytes: [0; 64],
    };
    let bytes = parts.rest();
    let tail = bytes.len().saturating_sub(64);
    for (to, from) in forged.bytes.iter_mut().zip(&bytes[tail..]) {
        *to = *from;
    }
    let Ok(order) = Order::from_bytes(bytes) else {
        return false;
    };
    let file = format!(
        "profile = \"full\"\n[[key]]\nname = \"one\"\npublic = \"{}\"\n",
        operator().public()
    );
    let policy = HostPolicy::parse(&file, Profile::Observe).expect("the policy is legal");
    let ledger = Ledger::default();
    let at = Circumstances {
        host: order.host,
        policy: Ok(&policy),
        ledger: &ledger,
        lockdown: false,
        now: order.not_before_ms,
        minute: 600,
        booted_at: Timestamp::from_unix_ms(0),
        waiting: 0,
        granting: None,
    };
    let signed = operator().sign(Purpose::Order, bytes);
    let asked = SignedOrder {
        id: order.id,
        bytes: bytes.to_vec(),
        signatures: vec![if is_signed { signed } else { forged }],
    };
    let is_taken = matches!(judge(&asked, &at), Judgement::Take(_));
    assert!(
        is_signed || !is_taken,
        "an order was taken that nobody signed"
    );
    is_taken
}

fn key_text(bytes: &[u8]) -> bool {
    let signature = std::str::from_utf8(bytes).ok().and_then(|text| {
        let signature = Signature::from_base64(KeyId::from_bytes([0; 8]), text).ok()?;
        assert_eq!(signature.to_base64(), text);
        Some(signature)
    });
    let mut parts = Parts::of(bytes);
    let point = PublicKey::from_bytes(parts.array());
    if let Ok(key) = point {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    text::<PublicKey>(bytes)
        || text::<KeyId>(bytes)
        || text::<LogKey>(bytes)
        || text::<Digest>(bytes)
        || signature.is_some()
        || point.is_ok()
}

fn entry(bytes: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(entry) = Entry::from_line(line) else {
        // JSON that is not the one way of writing it must still not end in a panic.
        return json::<Entry>(bytes).is_some();
    };
    assert_eq!(entry.to_line(), line);
    true
}

/// Lines of an export: after the first that does not follow from the ones before, none is believed.
fn export(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let mut chain = Chain::default();
    let mut seen = 0;
    for line in text.lines() {
        let Ok(entry) = Entry::from_line(line) else {
            return false;
        };
        if chain.take(&entry).is_err() {
            assert_eq!(chain.size(), seen, "a refused entry was counted");
            return false;
        }
        seen += 1;
        assert_eq!(chain.size(), seen);
        assert_eq!(chain.last(), entry.computed_hash());
    }
    seen > 0
}

fn signer() -> LogSigner {
    LogSigner::from_seed("tidemark.example/log", [9; 32]).expect("the name is legal")
}

/// A note as it is, and the text in it signed.
fn checkpoint(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let (signer, other) = (
        signer(),
        LogSigner::from_seed("tidemark.example/log", [8; 32]),
    );
    let other = other.expect("the name is legal");
    let is_open = Checkpoint::open(text, signer.key()).is_ok();
    let Ok(read) = Checkpoint::open(&signer.sign(text), signer.key()) else {
        return is_open;
    };
    let again = read.sign(&signer);
    assert_eq!(Checkpoint::open(&again, signer.key()).as_ref(), Ok(&read));
    assert!(
        Checkpoint::open(&again, other.key()).is_err(),
        "another key opened it"
    );
    true
}

/// What a host holds, and what it is offered next.
fn held(input: &[u8]) -> bool {
    let mut parts = Parts::of(input);
    let signer = signer();
    let key = signer.key().to_string();
    let mut held: Option<HeldCheckpoint> = None;
    let mut has_taken = false;
    for _ in 0..4 {
        let checkpoint = Checkpoint {
            origin: signer.key().name().to_owned(),
            size: u64::from(parts.byte()),
            root: Digest::from_bytes([parts.byte(); 32]),
            at: Timestamp::from_unix_ms(0),
        };
        let (hashes, _) = parts.bytes().as_chunks::<32>();
        let offered = Offered {
            note: checkpoint.sign(&signer),
            key: key.clone(),
            proof: hashes
                .iter()
                .map(|hash| Digest::from_bytes(*hash))
                .collect(),
        };
        if let Ok(Some(taken)) = HeldCheckpoint::take(held.as_ref(), &offered) {
            let before = held.as_ref().map_or(0, |held| held.checkpoint.size);
            assert!(taken.checkpoint.size >= before, "entries went missing");
            held = Some(taken);
            has_taken = true;
        }
    }
    has_taken
}

/// A tree of few leaves, all of it at hand.
struct Leaves(Vec<Digest>);

impl Tree for Leaves {
    fn subtree(&self, level: u32, place: u64) -> Option<Digest> {
        if level == 0 {
            let leaf = self.0.get(usize::try_from(place).ok()?)?;
            return Some(leaf_hash(leaf.as_bytes()));
        }
        let left = self.subtree(level - 1, place * 2)?;
        let right = self.subtree(level - 1, place * 2 + 1)?;
        Some(node_hash(left, right))
    }
}

/// A proof that was made holds; changed in one bit it does not.
fn consistency(input: &[u8]) -> bool {
    let mut parts = Parts::of(input);
    let (from, grown) = (u64::from(parts.byte() % 70), u64::from(parts.byte() % 70));
    let (at, flip) = (usize::from(parts.byte()), parts.byte());
    let to = from + grown;
    let leaves = (0..to).map(|_| Digest::from_bytes([parts.byte(); 32]));
    let tree = Leaves(leaves.collect());
    let (old, new) = (root_of(&tree, from), root_of(&tree, to));
    let (old, new) = (old.expect("all is at hand"), new.expect("all is at hand"));
    let mut frontier = Frontier::default();
    tree.0.iter().for_each(|leaf| frontier.push(*leaf));
    assert_eq!(frontier.root(), new, "two ways to one root");
    let Some(mut proof) = consistency_proof(&tree, from, to) else {
        assert_eq!(from, 0);
        return false;
    };
    assert_eq!(verify_consistency((from, old), (to, new), &proof), Ok(()));
    if flip == 0 || proof.is_empty() {
        return true;
    }
    let length = proof.len();
    let mut bytes = *proof[at % length].as_bytes();
    bytes[at % 32] ^= flip;
    proof[at % length] = Digest::from_bytes(bytes);
    assert!(verify_consistency((from, old), (to, new), &proof).is_err());
    true
}
