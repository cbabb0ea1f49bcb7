//! The log's words held against RFC 6962, against another implementation of its tree, and against hostile bytes.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;
use crate::{Role, Timestamp};

/// Leaves and roots of the trees of 1 to 8 of them, as certificate-transparency's reference tests have them.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// Every leaf's hash at hand.
struct Leaves(Vec<Digest>);

impl Tree for Leaves {
    fn subtree(&self, level: u32, place: u64) -> Option<Digest> {
        if level == 0 {
            return self.0.get(usize::try_from(place).ok()?).copied();
        }
        let left = self.subtree(level - 1, place * 2)?;
        Some(node_hash(left, self.subtree(level - 1, place * 2 + 1)?))
    }
}

fn entry_hash(number: u64) -> Digest {
    leaf_hash(&number.to_be_bytes())
}

#[test]
fn roots_are_those_of_rfc_6962() {
    let leaves = LEAVES.map(|leaf| leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap()));
    for (place, root) in ROOTS.iter().enumerate() {
        let tree = Leaves(leaves[..=place].to_vec());
        let size = u64::try_from(place + 1).unwrap();
        assert_eq!(root_of(&tree, size).unwrap().to_string(), *root);
    }
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Frontier::default().root().to_string(), empty);
}

#[test]
fn proofs_hold_for_every_pair_of_sizes_and_for_no_other_tree() {
    let count = 70;
    let tree = Leaves(
        (0..count)
            .map(|one| leaf_hash(entry_hash(one).as_bytes()))
            .collect(),
    );
    let mut frontier = Frontier::default();
    let mut roots = vec![frontier.root()];
    let mut other = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    let mut theirs = vec![other.root()];
    for one in 0..count {
        frontier.push(entry_hash(one));
        other.push(entry_hash(one).as_bytes().to_vec());
        roots.push(frontier.root());
        theirs.push(other.root());
        let size = frontier.size();
        assert_eq!(root_of(&tree, size), Some(frontier.root()));
        assert_eq!(
            frontier.root().as_bytes()[..],
            theirs.last().unwrap().as_bytes()[..]
        );
        for from in 1..=size {
            let proof = consistency_proof(&tree, from, size).unwrap();
            let at = |size: u64| (size, roots[usize::try_from(size).unwrap()]);
            verify_consistency(at(from), at(size), &proof).unwrap();
            let wrong = (from, entry_hash(from));
            verify_consistency(wrong, at(size), &proof).unwrap_err();
            verify_consistency(at(from), (size, entry_hash(size)), &proof).unwrap_err();
            if from < size {
                let bytes = proof.iter().flat_map(|hash| *hash.as_bytes()).collect();
                let proof = ct_merkle::ConsistencyProof::try_from_bytes(bytes).unwrap();
                let (old, new) = (
                    &theirs[usize::try_from(from).unwrap()],
                    theirs.last().unwrap(),
                );
                new.verify_consistency(old, &proof).unwrap();
            }
        }
    }
    assert_eq!(consistency_proof(&tree, 0, 5), None);
    assert_eq!(consistency_proof(&tree, 6, 5), None);
    assert_eq!(consistency_proof(&tree, 6, count + 1), None);
}

fn entry(number: i64) -> NewEntry {
    NewEntry {
        at: Timestamp::from_unix_ms(number),
        who: Doer {
            kind: DoerKind::Operator,
            name: "ann \u{202e}<b>".into(),
            role: Some(Role::Admin),
            credential: Some("token abc".into()),
            address: Some("10.0.0.1:5".into()),
        },
        what: Deed::SignIn,
        on: Subject {
            kind: "tokens".into(),
            id: number.to_string(),
            host: None,
        },
        outcome: Outcome::Done,
        detail: BTreeMap::from([("k".to_owned(), "v\"\n".to_owned())]),
    }
}

fn log(count: u64) -> Vec<Entry> {
    let mut prev = Digest::ZERO;
    (1..=count)
        .map(|seq| {
            let entry = entry(i64::try_from(seq).unwrap()).sealed(seq, prev);
            prev = entry.hash;
            entry
        })
        .collect()
}

fn follow<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Chain, ChainFault> {
    let mut chain = Chain::default();
    for entry in entries {
        chain.take(entry)?;
    }
    Ok(chain)
}

#[test]
fn a_removed_moved_added_or_cut_entry_is_named() {
    let log = log(9);
    let chain = follow(&log).unwrap();
    let gone = follow(log.iter().filter(|one| one.seq != 4)).unwrap_err();
    assert_eq!(
        gone,
        ChainFault::Missing {
            expected: 4,
            found: 5
        }
    );
    let mut moved = log.clone();
    moved.swap(2, 3);
    assert_eq!(follow(&moved).unwrap_err().seq(), 3);
    let mut added = log.clone();
    added.insert(5, log[2].clone());
    assert_eq!(
        follow(&added).unwrap_err(),
        ChainFault::OutOfPlace {
            expected: 6,
            found: 3
        }
    );
    // Somebody who writes a whole entry anew, hash and all, is found by the one after it.
    let mut anew = log.clone();
    anew[6] = entry(700).sealed(7, anew[5].hash);
    assert_eq!(follow(&anew).unwrap_err(), ChainFault::Unchained(8));

    let checkpoint = Checkpoint {
        origin: "tidemark/test".into(),
        size: 9,
        root: chain.root(),
        at: Timestamp::from_unix_ms(5),
    };
    chain.meets(&checkpoint).unwrap();
    let cut = follow(&log[..7]).unwrap().meets(&checkpoint).unwrap_err();
    assert_eq!(
        cut,
        ChainFault::Truncated {
            found: 7,
            signed: 9
        }
    );
    let mut last = log;
    last[8] = entry(900).sealed(9, last[7].hash);
    let rewritten = follow(&last).unwrap().meets(&checkpoint).unwrap_err();
    assert_eq!(rewritten, ChainFault::Rewritten(9));
}

#[test]
fn any_byte_of_a_line_that_is_another_is_noticed() {
    let log = log(2);
    let line = log[1].to_line();
    assert_eq!(Entry::from_line(&line).unwrap(), log[1]);
    for place in 0..line.len() {
        for flipped in [1_u8, 0x20] {
            let mut bytes = line.clone().into_bytes();
            bytes[place] ^= flipped;
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            let noticed = match Entry::from_line(&text) {
                Err(_) => true,
                Ok(entry) => follow([&log[0], &entry]).is_err(),
            };
            assert!(noticed, "{place}: {text}");
        }
    }
    assert!(Entry::from_line(&format!("{line} ")).is_err());
}

#[test]
fn texts_are_kept_in_their_limits() {
    let mut wide = entry(1);
    wide.who.name = "x".repeat(1_000);
    wide.detail = (0..100)
        .map(|one| (one.to_string(), "\0y".repeat(1_000)))
        .collect();
    let sealed = wide.sealed(1, Digest::ZERO);
    assert!(sealed.to_line().len() < LINE_BYTES_MAX);
    assert!(!sealed.to_line().contains("\\u0000"));
    assert_eq!(sealed.who.name.len(), 128);
}

fn signer(seed: u8) -> LogSigner {
    LogSigner::from_seed("tidemark/test", [seed; 32]).unwrap()
}

#[test]
fn a_checkpoint_is_taken_only_as_it_was_signed() {
    let signer_ = signer(7);
    let checkpoint = Checkpoint {
        origin: signer_.key().name().to_owned(),
        size: 12,
        root: entry_hash(1),
        at: Timestamp::from_unix_ms(1_700_000_000_000),
    };
    let note = checkpoint.sign(&signer_);
    assert_eq!(Checkpoint::open(&note, signer_.key()).unwrap(), checkpoint);
    let key: LogKey = signer_.key().to_string().parse().unwrap();
    assert_eq!(&key, signer_.key());
    // A second signature of somebody else harms nothing, and is not enough alone.
    let other = LogSigner::from_seed("other", [8; 32]).unwrap();
    let line = other.sign("x\n").lines().last().unwrap().to_owned();
    assert!(Checkpoint::open(&format!("{note}{line}\n"), &key).is_ok());
    assert!(Checkpoint::open(&note, signer(9).key()).is_err());
    for place in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[place] ^= 1;
        if let Ok(text) = String::from_utf8(bytes) {
            assert!(Checkpoint::open(&text, &key).is_err(), "{place}: {text}");
        }
    }
    for name in ["", "a b", "a+b", "a\n"] {
        assert!(LogSigner::from_seed(name, [1; 32]).is_none());
    }
}

fn offered(tree: &Leaves, (from, to): (u64, u64), signer: &LogSigner) -> Offered {
    let checkpoint = Checkpoint {
        origin: signer.key().name().to_owned(),
        size: to,
        root: root_of(tree, to).unwrap(),
        at: Timestamp::from_unix_ms(5),
    };
    Offered {
        note: checkpoint.sign(signer),
        key: signer.key().to_string(),
        proof: consistency_proof(tree, from, to).unwrap_or_default(),
    }
}

#[test]
fn a_witness_takes_a_log_that_grew_and_no_other() {
    let signer_ = signer(7);
    let leaves = |salt: u64| Leaves((0..20).map(|one| entry_hash(one + salt)).collect());
    let (tree, other) = (leaves(0), leaves(1));
    let first = offered(&tree, (0, 9), &signer_);
    let held = HeldCheckpoint::take(None, &first).unwrap().unwrap();
    assert_eq!(held.checkpoint.size, 9);
    assert_eq!(HeldCheckpoint::take(Some(&held), &first), Ok(None));
    let grown = offered(&tree, (9, 17), &signer_);
    let later = HeldCheckpoint::take(Some(&held), &grown).unwrap().unwrap();
    assert_eq!(later.checkpoint.size, 17);

    let refused = |offered: &Offered| HeldCheckpoint::take(Some(&held), offered).unwrap_err();
    let smaller = refused(&offered(&tree, (0, 8), &signer_));
    assert_eq!(
        smaller,
        Refusal::Smaller {
            held: 9,
            offered: 8
        }
    );
    let rewritten = Refusal::Rewritten { held: 9 };
    assert_eq!(refused(&offered(&other, (0, 9), &signer_)), rewritten);
    assert_eq!(refused(&offered(&other, (9, 17), &signer_)), rewritten);
    assert_eq!(refused(&offered(&tree, (8, 17), &signer_)), rewritten);
    let stranger = refused(&offered(&tree, (9, 17), &signer(8)));
    assert!(matches!(stranger, Refusal::OtherKey(_)), "{stranger}");
    let mut forged = grown;
    forged.note = forged.note.replace("\n17\n", "\n18\n");
    assert!(matches!(refused(&forged), Refusal::Unsigned(_)));
}

/// The example of the signed-note specification's reference implementation (golang.org/x/mod/sumdb/note).
#[test]
fn a_note_of_another_implementation_is_taken() {
    let key: LogKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        .parse()
        .unwrap();
    let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    assert!(key.open(note).unwrap().ends_with("your problem is.\n"));
}

proptest! {
    #[test]
    fn hostile_texts_are_refused_without_a_panic(text in "(\\PC|[\n+ \u{2014}=A-Za-z0-9]){0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let key = signer(1).key().clone();
        prop_assert!(Checkpoint::open(&text, &key).is_err());
        prop_assert!(Checkpoint::open(&String::from_utf8_lossy(&bytes), &key).is_err());
        prop_assert!(Entry::from_line(&text).is_err());
        drop(text.parse::<LogKey>());
        drop(format!("tidemark/test+{text}").parse::<LogKey>());
    }

    #[test]
    fn signed_texts_that_are_no_checkpoints_are_refused(lines in proptest::collection::vec("[ -~]{0,20}", 0..6)) {
        let signer = signer(1);
        let text = format!("{}\n", lines.join("\n"));
        let note = signer.sign(&text);
        prop_assert_eq!(signer.key().open(&note).unwrap(), &text);
        prop_assert!(Checkpoint::open(&note, signer.key()).is_err());
    }

    #[test]
    fn no_made_up_proof_holds(proof in proptest::collection::vec(any::<[u8; 32]>(), 0..140), from in 1_u64..1000, more in 1_u64..1000) {
        let proof: Vec<Digest> = proof.into_iter().map(Digest::from_bytes).collect();
        let held = (from, entry_hash(from));
        prop_assert!(verify_consistency(held, (from + more, entry_hash(0)), &proof).is_err());
    }
}
