//! Whether a host takes a release: its policy's release keys, what it saw before, what it is and what time it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidemark_model::Timestamp;
use tidemark_model::release::{
    InvalidManifest, Manifest, ManifestDigest, RELEASES_AHEAD_MAX, ReleaseFile, SignedManifest,
    Target,
};
use tidemark_model::signing::{KeyId, Purpose, SIGNATURES_MAX};

use crate::actions::HostPolicy;
use crate::actions::judge::CLOCK_TOLERANCE;

/// What a host remembers of the releases that it has seen. It only ever grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenRelease {
    /// The highest number.
    pub release: u32,
    /// Which manifest it was: no other one may have that number.
    pub manifest: Option<ManifestDigest>,
    /// When it was made: it cannot be earlier now, whatever the clock says.
    pub issued_at_ms: Timestamp,
    /// The lowest release that this host may run.
    pub floor: u32,
}

/// What a host judges by.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Its policy; the text says why there is none that can be used.
    pub policy: Result<&'a HostPolicy, &'a str>,
    /// What it saw before.
    pub seen: &'a SeenRelease,
    /// What runs on it; `None` when no release is made for it.
    pub target: Option<Target>,
    /// Whether every action is stopped.
    pub lockdown: bool,
    /// By its clock.
    pub now: Timestamp,
}

/// A release that the host takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// What it says.
    pub manifest: Manifest,
    /// Its file for this host.
    pub file: ReleaseFile,
    /// Which manifest.
    pub digest: ManifestDigest,
    /// What the host remembers from now on.
    pub seen: SeenRelease,
}

/// Why a release is not taken, for operators, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The policy is unusable.
    #[error("the host's policy cannot be used: {0}")]
    Policy(String),
    /// The policy takes no releases.
    #[error(
        "the host's policy takes no releases: list release keys and [releases] in policy.toml, or upgrade it by its package"
    )]
    NotWanted,
    /// Everything is stopped.
    #[error("a lockdown stops everything on this host: lift it first")]
    Lockdown,
    /// The bytes are no manifest.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    /// Too many signatures.
    #[error("a manifest carries at most {SIGNATURES_MAX} signatures; this has {0}")]
    Signatures(usize),
    /// Too few of them hold.
    #[error("{held} of the {wanted} signatures that the host's policy wants hold{}", why_not(.why))]
    Threshold {
        /// How many hold.
        held: usize,
        /// How many are wanted.
        wanted: u8,
        /// Why others do not, one a signature.
        why: Vec<String>,
    },
    /// Not valid yet.
    #[error("the release was made in this host's future: set the host's clock right")]
    Early,
    /// Not valid any more.
    #[error("the release has expired: sign it anew with a later expiry and a higher number")]
    Expired,
    /// An earlier one.
    #[error(
        "release {found} is older than release {seen}, which this host has seen: it never goes back by a manifest"
    )]
    Older {
        /// The number.
        found: u32,
        /// The highest that was seen.
        seen: u32,
    },
    /// Another manifest of the same number.
    #[error(
        "another manifest with number {0} was seen before: one number is one release; use the next"
    )]
    Twin(u32),
    /// Far ahead.
    #[error(
        "release {found} is more than {RELEASES_AHEAD_MAX} ahead of release {seen}, the highest that this host has seen"
    )]
    Ahead {
        /// The number.
        found: u32,
        /// The highest that was seen.
        seen: u32,
    },
    /// Below what may run.
    #[error("release {found} is below release {floor}, the lowest that is free of a known hole")]
    BelowFloor {
        /// The number.
        found: u32,
        /// The lowest.
        floor: u32,
    },
    /// No file for this host.
    #[error("the release has no file for {0}")]
    Target(String),
}

fn why_not(why: &[String]) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!(": {}", why.join("; "))
    }
}

/// Judges a release.
///
/// # Errors
/// The gravest thing that stands in its way; then nothing changes on the host.
pub fn judge(signed: &SignedManifest, by: &Judged<'_>) -> Result<Approved, Refusal> {
    let policy = by.policy.map_err(|why| Refusal::Policy(why.to_owned()))?;
    let threshold = policy.release_threshold.ok_or(Refusal::NotWanted)?;
    // Nothing of the bytes is looked at before it is known who signed them.
    check_signatures(signed, policy, threshold)?;
    if by.lockdown {
        return Err(Refusal::Lockdown);
    }
    let manifest = Manifest::from_bytes(&signed.bytes)?;
    let digest = signed.digest();
    check_time(&manifest, by)?;
    check_order(&manifest, digest, by.seen)?;
    let target = by.target.map_or_else(
        || format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        |target| target.to_string(),
    );
    let file = by
        .target
        .and_then(|target| manifest.file_for(target))
        .ok_or(Refusal::Target(target))?
        .clone();
    let seen = SeenRelease {
        release: manifest.release,
        manifest: Some(digest),
        issued_at_ms: manifest.issued_at_ms.max(by.seen.issued_at_ms),
        floor: by.seen.floor,
    };
    Ok(Approved {
        manifest,
        file,
        digest,
        seen,
    })
}

/// Counts keys, not signatures: one that signs twice is one.
fn check_signatures(
    signed: &SignedManifest,
    policy: &HostPolicy,
    wanted: u8,
) -> Result<(), Refusal> {
    if signed.signatures.len() > SIGNATURES_MAX {
        return Err(Refusal::Signatures(signed.signatures.len()));
    }
    let mut held = BTreeSet::<KeyId>::new();
    let mut why = Vec::new();
    for signature in &signed.signatures {
        match policy.key(signature.key) {
            None => why.push(policy.keys.why_not(signature.key)),
            Some(key) if !key.releases => why.push(format!(
                "key {} of {} does not count for releases",
                signature.key, key.name
            )),
            Some(key)
                if key
                    .public
                    .verify(Purpose::Release, &signed.bytes, signature)
                    .is_err() =>
            {
                why.push(format!(
                    "the signature of key {} does not match",
                    signature.key
                ));
            }
            Some(_) => {
                held.insert(signature.key);
            }
        }
    }
    if held.len() < usize::from(wanted) {
        return Err(Refusal::Threshold {
            held: held.len(),
            wanted,
            why,
        });
    }
    Ok(())
}

fn check_time(manifest: &Manifest, by: &Judged<'_>) -> Result<(), Refusal> {
    // A clock that was set back makes no expired release valid again.
    let now = by.now.max(by.seen.issued_at_ms);
    if manifest.issued_at_ms > now.saturating_add(CLOCK_TOLERANCE) {
        return Err(Refusal::Early);
    }
    if manifest.expires_at_ms <= now {
        return Err(Refusal::Expired);
    }
    Ok(())
}

fn check_order(
    manifest: &Manifest,
    digest: ManifestDigest,
    seen: &SeenRelease,
) -> Result<(), Refusal> {
    let found = manifest.release;
    if found < seen.floor {
        return Err(Refusal::BelowFloor {
            found,
            floor: seen.floor,
        });
    }
    if found < seen.release {
        return Err(Refusal::Older {
            found,
            seen: seen.release,
        });
    }
    if found == seen.release && seen.manifest.is_some_and(|before| before != digest) {
        return Err(Refusal::Twin(found));
    }
    if found.saturating_sub(seen.release) > RELEASES_AHEAD_MAX {
        return Err(Refusal::Ahead {
            found,
            seen: seen.release,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
