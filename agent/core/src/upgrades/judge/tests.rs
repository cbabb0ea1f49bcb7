//! Attacks on an updater, one a row: whatever a stolen controller, a stolen key or a courier in between makes of a release, the
//! host takes nothing.

use proptest::prelude::*;
use tidemark_model::action::Profile;
use tidemark_model::key_statement::{KeyRevocation, KeyStatement, SignedKeyStatement};
use tidemark_model::release::{FileDigest, PRODUCT, TargetArch, TargetOs};
use tidemark_model::signing::{PrivateKey, Signature};

use super::*;
use crate::actions::keys::{Accepted, KeyChanges, accept};

const DAY_MS: i64 = 86_400_000;
const NOW: Timestamp = Timestamp::from_unix_ms(1_000 * DAY_MS);
const TARGET: Target = Target {
    os: TargetOs::Linux,
    arch: TargetArch::X86_64,
};

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed([seed; 32])
}

/// Two of ann (1), bob (2) and cid (3) release; dan (4) orders actions alone.
fn policy() -> HostPolicy {
    let mut text = "[releases]\nthreshold = 2\n".to_owned();
    for (seed, releases) in [(1, true), (2, true), (3, true), (4, false)] {
        let public = key(seed).public();
        text.push_str(&format!(
            "[[key]]\nname = \"k{seed}\"\npublic = \"{public}\"\nreleases = {releases}\n"
        ));
    }
    HostPolicy::parse(&text, Profile::Full).unwrap()
}

fn file(os: TargetOs, arch: TargetArch) -> ReleaseFile {
    ReleaseFile {
        os,
        arch,
        file: "tidemark-agent".to_owned(),
        length: 9,
        sha256: FileDigest::from_bytes([1; 32]),
    }
}

fn manifest() -> Manifest {
    Manifest {
        product: PRODUCT.to_owned(),
        version: "1.2.3".to_owned(),
        release: 7,
        floor: 3,
        issued_at_ms: NOW.saturating_sub(std::time::Duration::from_secs(3_600)),
        expires_at_ms: Timestamp::from_unix_ms(NOW.unix_ms() + 30 * DAY_MS),
        files: vec![
            file(TargetOs::Linux, TargetArch::X86_64),
            file(TargetOs::Windows, TargetArch::X86_64),
        ],
    }
}

/// The host has seen release 5, and may not go below 4.
fn seen() -> SeenRelease {
    SeenRelease {
        release: 5,
        manifest: Some(ManifestDigest::of_bytes(b"five")),
        issued_at_ms: Timestamp::from_unix_ms(990 * DAY_MS),
        floor: 4,
    }
}

fn sign(bytes: Vec<u8>, purpose: Purpose, seeds: &[u8]) -> SignedManifest {
    let signatures = seeds
        .iter()
        .map(|seed| key(*seed).sign(purpose, &bytes))
        .collect();
    SignedManifest { bytes, signatures }
}

fn signed(manifest: &Manifest) -> SignedManifest {
    sign(manifest.to_bytes(), Purpose::Release, &[1, 2])
}

/// A release and the host that it comes to.
struct Scene {
    signed: SignedManifest,
    policy: Result<HostPolicy, String>,
    seen: SeenRelease,
    target: Option<Target>,
    lockdown: bool,
    now: Timestamp,
}

impl Scene {
    fn honest() -> Self {
        Self::of(signed(&manifest()))
    }

    fn of(signed: SignedManifest) -> Self {
        Self {
            signed,
            policy: Ok(policy()),
            seen: seen(),
            target: Some(TARGET),
            lockdown: false,
            now: NOW,
        }
    }

    fn changed(change: impl FnOnce(&mut Manifest)) -> Self {
        let mut manifest = manifest();
        change(&mut manifest);
        Self::of(signed(&manifest))
    }

    fn signed_by(seeds: &[u8]) -> Self {
        Self::of(sign(manifest().to_bytes(), Purpose::Release, seeds))
    }

    fn on(host: impl FnOnce(&mut Self)) -> Self {
        let mut scene = Self::honest();
        host(&mut scene);
        scene
    }

    /// A text in place of what was signed, signed as well as can be.
    fn text(change: impl FnOnce(String) -> String) -> Self {
        let text = String::from_utf8(manifest().to_bytes()).unwrap();
        Self::of(sign(
            change(text).into_bytes(),
            Purpose::Release,
            &[1, 2, 3],
        ))
    }

    fn judged(&self) -> Result<Approved, Refusal> {
        judge(
            &self.signed,
            &Judged {
                policy: self.policy.as_ref().map_err(String::as_str),
                seen: &self.seen,
                target: self.target,
                lockdown: self.lockdown,
                now: self.now,
            },
        )
    }
}

fn later(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW.unix_ms() + ms)
}

/// A statement that ann's key was lost, accepted by the host.
fn ann_is_revoked() -> HostPolicy {
    let statement = KeyStatement::Revocation(KeyRevocation {
        key: key(1).public(),
        since_ms: None,
        issued_at_ms: NOW,
        reason: "lost".to_owned(),
    });
    let bytes = statement.to_bytes();
    let signed = SignedKeyStatement {
        signatures: vec![key(1).sign(statement.purpose(), &bytes)],
        bytes,
    };
    let accepted = accept(&signed, &policy(), &KeyChanges::default(), NOW);
    let Ok(Accepted::Changed(changes)) = accepted else {
        panic!("{accepted:?}");
    };
    policy().with_changes(&changes)
}

#[expect(clippy::too_many_lines, reason = "a table of attacks")]
fn attacks() -> Vec<(&'static str, Scene, &'static str)> {
    let empty = |mut scene: Scene| {
        scene.signed.signatures.clear();
        scene
    };
    let twice = {
        let mut signed = signed(&manifest());
        let first = signed.signatures[0];
        signed.signatures = vec![first, first];
        signed
    };
    let borrowed = SignedManifest {
        bytes: Scene::changed(|one| one.release = 8).signed.bytes,
        signatures: signed(&manifest()).signatures,
    };
    let under_anothers_name = {
        let mut signed = sign(manifest().to_bytes(), Purpose::Release, &[1, 9]);
        signed.signatures[1].key = key(2).public().id();
        signed
    };
    let crowd: Vec<Signature> = (10..19)
        .map(|seed| key(seed).sign(Purpose::Release, b"x"))
        .chain(signed(&manifest()).signatures)
        .collect();
    vec![
        ("no signature", empty(Scene::honest()), "0 of the 2"),
        ("one signature of two", Scene::signed_by(&[1]), "1 of the 2"),
        ("one key twice", Scene::of(twice), "1 of the 2"),
        ("unknown keys", Scene::signed_by(&[8, 9]), "not listed"),
        (
            "one known, one unknown",
            Scene::signed_by(&[1, 9]),
            "1 of the 2",
        ),
        (
            "a key for actions alone",
            Scene::signed_by(&[1, 4]),
            "does not count for releases",
        ),
        (
            "signed as an order",
            Scene::of(sign(manifest().to_bytes(), Purpose::Order, &[1, 2])),
            "does not match",
        ),
        (
            "signed as a grant",
            Scene::of(sign(manifest().to_bytes(), Purpose::Grant, &[1, 2])),
            "does not match",
        ),
        (
            "signatures of another release",
            Scene::of(borrowed),
            "does not match",
        ),
        (
            "a signature under another's name",
            Scene::of(under_anothers_name),
            "does not match",
        ),
        (
            "a crowd of signatures",
            Scene::of(SignedManifest {
                bytes: manifest().to_bytes(),
                signatures: crowd,
            }),
            "at most 8",
        ),
        (
            "a revoked key",
            Scene::on(|one| one.policy = Ok(ann_is_revoked())),
            "was revoked",
        ),
        (
            "rollback",
            Scene::changed(|one| one.release = 4),
            "older than release 5",
        ),
        (
            "rollback below the floor",
            Scene::changed(|one| {
                one.release = 3;
                one.floor = 0;
            }),
            "below release 4",
        ),
        (
            "a twin of the release that was seen",
            Scene::changed(|one| one.release = 5),
            "another manifest",
        ),
        (
            "fast forward",
            Scene::changed(|one| one.release = 1_006),
            "ahead",
        ),
        (
            "the last number there is",
            Scene::changed(|one| one.release = u32::MAX),
            "release",
        ),
        (
            "freeze: expired",
            Scene::on(|one| one.now = later(31 * DAY_MS)),
            "expired",
        ),
        (
            "freeze: the clock was set back",
            Scene::on(|one| {
                one.now = NOW;
                one.seen.issued_at_ms = later(31 * DAY_MS);
            }),
            "expired",
        ),
        (
            "valid for ever",
            Scene::changed(|one| one.expires_at_ms = later(3_650 * DAY_MS)),
            "90 d",
        ),
        (
            "made tomorrow",
            Scene::changed(|one| {
                one.issued_at_ms = later(DAY_MS);
                one.expires_at_ms = later(2 * DAY_MS);
            }),
            "future",
        ),
        (
            "expired before it was made",
            Scene::changed(|one| one.expires_at_ms = one.issued_at_ms),
            "expires_at_ms",
        ),
        (
            "another product",
            Scene::changed(|one| one.product = "tidemark-controller".to_owned()),
            "product",
        ),
        (
            "no file for this host",
            Scene::changed(|one| {
                one.files.remove(0);
            }),
            "no file for linux/x86_64",
        ),
        (
            "a host that no release is made for",
            Scene::on(|one| one.target = None),
            "no file for",
        ),
        (
            "two files for one target",
            Scene::changed(|one| one.files.push(file(TargetOs::Windows, TargetArch::X86_64))),
            "files",
        ),
        ("no files", Scene::changed(|one| one.files.clear()), "files"),
        (
            "endless data",
            Scene::changed(|one| one.files[0].length = u64::MAX),
            "length",
        ),
        (
            "an empty file",
            Scene::changed(|one| one.files[0].length = 0),
            "length",
        ),
        (
            "a path for a name",
            Scene::changed(|one| one.files[0].file = "../../etc/passwd".to_owned()),
            "file has",
        ),
        (
            "a floor above the release",
            Scene::changed(|one| one.floor = 8),
            "floor",
        ),
        (
            "a version of control characters",
            Scene::changed(|one| one.version = "1\u{1b}[2J".to_owned()),
            "version",
        ),
        (
            "another way to write it",
            Scene::text(|text| text.replacen(':', ": ", 1)),
            "one way only",
        ),
        (
            "a field twice",
            Scene::text(|text| text.replacen("\"release\":7", "\"release\":7,\"release\":9", 1)),
            "no manifest",
        ),
        (
            "an unknown field",
            Scene::text(|text| text.replacen("\"floor\"", "\"run\":\"sh\",\"floor\"", 1)),
            "no manifest",
        ),
        (
            "something behind it",
            Scene::text(|text| text + "{}"),
            "no manifest",
        ),
        (
            "a manifest without an end",
            Scene::text(|_| "[".repeat(20_000)),
            "at most 16384 bytes",
        ),
        (
            "a nest of brackets",
            Scene::text(|_| "[".repeat(16_000)),
            "no manifest",
        ),
        (
            "during a lockdown",
            Scene::on(|one| one.lockdown = true),
            "lockdown",
        ),
        (
            "a policy without releases",
            Scene::on(|one| one.policy = Ok(HostPolicy::of_profile(Profile::Full))),
            "takes no releases",
        ),
        (
            "a policy that cannot be read",
            Scene::on(|one| one.policy = Err("line 3".to_owned())),
            "line 3",
        ),
    ]
}

#[test]
fn an_honest_release_is_taken_and_remembered() {
    let approved = Scene::honest().judged().unwrap();
    assert_eq!(approved.file.target(), TARGET);
    assert_eq!(approved.seen.release, 7);
    assert_eq!(approved.seen.floor, 4, "the floor rises when it runs");
    // The same one again, as after a broken download.
    let again = Scene::on(|one| one.seen = approved.seen.clone());
    assert_eq!(again.judged(), Ok(approved));
    // Further signatures of others harm nothing.
    let four = Scene::signed_by(&[9, 1, 4, 3]).judged();
    assert!(four.is_ok(), "{four:?}");
}

#[test]
fn every_attack_is_refused_and_says_why() {
    let attacks = attacks();
    assert!(attacks.len() >= 25, "{}", attacks.len());
    for (name, scene, part) in attacks {
        let refusal = scene.judged().expect_err(name).to_string();
        assert!(refusal.contains(part), "{name}: {refusal}");
    }
}

proptest! {
    #[test]
    fn a_changed_byte_anywhere_is_refused(at in 0_usize..2_000, flip in 1_u8..=255) {
        let mut scene = Scene::honest();
        let length = scene.signed.bytes.len();
        scene.signed.bytes[at % length] ^= flip;
        prop_assert!(scene.judged().is_err());
    }

    #[test]
    fn a_changed_bit_of_a_signature_is_refused(byte in 0_usize..64, bit in 0_u8..8, which in 0_usize..2) {
        let mut scene = Scene::honest();
        scene.signed.signatures[which].bytes[byte] ^= 1 << bit;
        prop_assert!(scene.judged().is_err());
    }
}
