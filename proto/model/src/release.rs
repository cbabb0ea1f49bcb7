//! A release of the agent as those who release it sign it: which files it consists of, for which systems, in which order of
//! releases it stands and until when it may be installed. Canonical JSON, as orders are.
//!
//! Each field is there against one attack on an updater (TUF, section 1.5.2): `release` against going back, the expiry against
//! being held still, lengths against endless data, hashes against other files, product and target against those of another.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::by_text::hex_id;
use crate::ids::digest_prefix;
use crate::signing::Signature;

/// What every manifest says that it is of.
pub const PRODUCT: &str = "tidemark-agent";
/// Largest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 16 * 1024;
/// Largest file of a release, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Largest piece of a file that is sent at once, in bytes. It fits into a frame of the session with room for the rest.
pub const PIECE_BYTES_MAX: u32 = 32 * 1024;
/// Most files of a release.
pub const TARGETS_MAX: usize = 16;
/// Longest time between the making of a manifest and its expiry.
pub const VALID_MAX: Duration = Duration::from_secs(90 * 86_400);
/// How many releases a host takes to have missed: a number further ahead is refused, so that nobody can use the numbers up.
pub const RELEASES_AHEAD_MAX: u32 = 1_000;
/// Longest version, in characters.
pub const VERSION_CHARS_MAX: usize = 32;
/// Longest name of a file, in characters.
pub const FILE_NAME_CHARS_MAX: usize = 128;

/// Names a manifest: the SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestDigest([u8; 32]);

/// A text that is no digest of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a manifest's digest is 64 lower-case hexadecimal digits")]
pub struct InvalidManifestDigest;

impl ManifestDigest {
    /// That of a manifest's bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(digest_prefix(bytes))
    }
}

hex_id!(ManifestDigest, 32, InvalidManifestDigest);

/// The SHA-256 of a file of a release.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileDigest([u8; 32]);

/// A text that is no digest of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a file's digest is 64 lower-case hexadecimal digits of its SHA-256")]
pub struct InvalidFileDigest;

impl FileDigest {
    /// That of a whole file.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(digest_prefix(bytes))
    }
}

hex_id!(FileDigest, 32, InvalidFileDigest);

/// An operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetOs {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
}

/// A kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetArch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

/// What a file of a release runs on. Text form: `linux/x86_64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The system.
    pub os: TargetOs,
    /// The processor.
    pub arch: TargetArch,
}

/// A text that is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a target is linux/x86_64, linux/aarch64, windows/x86_64 or windows/aarch64")]
pub struct InvalidTarget;

impl Target {
    /// That of this build; `None` for systems that no release is made for.
    #[must_use]
    pub fn of_this_build() -> Option<Self> {
        format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)
            .parse()
            .ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let os = match self.os {
            TargetOs::Linux => "linux",
            TargetOs::Windows => "windows",
        };
        let arch = match self.arch {
            TargetArch::X86_64 => "x86_64",
            TargetArch::Aarch64 => "aarch64",
        };
        write!(f, "{os}/{arch}")
    }
}

impl std::str::FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let (os, arch) = text.split_once('/').ok_or(InvalidTarget)?;
        let os = match os {
            "linux" => TargetOs::Linux,
            "windows" => TargetOs::Windows,
            _ => return Err(InvalidTarget),
        };
        let arch = match arch {
            "x86_64" => TargetArch::X86_64,
            "aarch64" => TargetArch::Aarch64,
            _ => return Err(InvalidTarget),
        };
        Ok(Self { os, arch })
    }
}

/// One file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFile {
    /// What it runs on.
    pub os: TargetOs,
    /// On what processor.
    pub arch: TargetArch,
    /// What it was called where it was made; no host uses it as a path.
    pub file: String,
    /// Its exact length, in bytes.
    pub length: u64,
    /// Its hash.
    pub sha256: FileDigest,
}

impl ReleaseFile {
    /// What it runs on.
    #[must_use]
    pub const fn target(&self) -> Target {
        Target {
            os: self.os,
            arch: self.arch,
        }
    }
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`PRODUCT`].
    pub product: String,
    /// What people call it.
    pub version: String,
    /// Its place in the order of releases; a host never takes a lower one than it has seen.
    pub release: u32,
    /// The lowest release that a host may go back to once it runs this one: what is below has a hole.
    pub floor: u32,
    /// When it was made.
    pub issued_at_ms: Timestamp,
    /// Until when it may be installed.
    pub expires_at_ms: Timestamp,
    /// Its files, one a target, in the order of targets.
    pub files: Vec<ReleaseFile>,
}

/// A manifest as it travels: the bytes, and who signed them. Nothing is known about them before they are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedManifest {
    /// The manifest's bytes.
    pub bytes: Vec<u8>,
    /// At most [`SIGNATURES_MAX`](crate::signing::SIGNATURES_MAX).
    pub signatures: Vec<Signature>,
}

impl SignedManifest {
    /// Its name.
    #[must_use]
    pub fn digest(&self) -> ManifestDigest {
        ManifestDigest::of_bytes(&self.bytes)
    }
}

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// Longer than [`MANIFEST_BYTES_MAX`].
    #[error("a manifest has at most {MANIFEST_BYTES_MAX} bytes; this has {0}")]
    TooLong(usize),
    /// No manifest at all.
    #[error("this is no manifest: {0}")]
    Unreadable(String),
    /// Readable, but not the one way to write it: two readers might differ.
    #[error(
        "a manifest is written in one way only, and this is another; make it with `tidemark release new`"
    )]
    NotCanonical,
    /// Another product's.
    #[error("product is not {PRODUCT}")]
    Product,
    /// `version`.
    #[error("version has 1 to {VERSION_CHARS_MAX} letters, digits and . + ~ -")]
    Version,
    /// `release` or `floor`.
    #[error("{field} is {value}; write a number from {min} to {max}")]
    Number {
        /// Which.
        field: &'static str,
        /// What it is.
        value: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Its times do not fit.
    #[error("expires_at_ms {0}")]
    Times(&'static str),
    /// How many files.
    #[error(
        "files has {0}; a release has 1 to {TARGETS_MAX}, one a target, in the order of targets"
    )]
    Files(usize),
    /// One file.
    #[error("files: {target}: {reason}")]
    File {
        /// Which.
        target: Target,
        /// What its limit is.
        reason: String,
    },
}

impl Manifest {
    /// The bytes that are signed, sent and kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Texts and integers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a manifest; everything in it is within its limits.
    ///
    /// # Errors
    /// [`InvalidManifest`] says what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(InvalidManifest::TooLong(bytes.len()));
        }
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| InvalidManifest::Unreadable(error.to_string()))?;
        if manifest.to_bytes() != bytes {
            return Err(InvalidManifest::NotCanonical);
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// The file for a target.
    #[must_use]
    pub fn file_for(&self, target: Target) -> Option<&ReleaseFile> {
        self.files.iter().find(|file| file.target() == target)
    }

    /// Whether everything is within its limits.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn check(&self) -> Result<(), InvalidManifest> {
        if self.product != PRODUCT {
            return Err(InvalidManifest::Product);
        }
        let is_plain = |text: &str| {
            text.chars()
                .all(|one| one.is_ascii_alphanumeric() || ".+~-_".contains(one))
        };
        if !(1..=VERSION_CHARS_MAX).contains(&self.version.len()) || !is_plain(&self.version) {
            return Err(InvalidManifest::Version);
        }
        check_number("release", self.release, (1, u32::MAX - RELEASES_AHEAD_MAX))?;
        check_number("floor", self.floor, (0, self.release))?;
        if self.expires_at_ms <= self.issued_at_ms {
            return Err(InvalidManifest::Times("lies before the release was made"));
        }
        if self.expires_at_ms > self.issued_at_ms.saturating_add(VALID_MAX) {
            return Err(InvalidManifest::Times(
                "is more than 90 d after the release was made",
            ));
        }
        let targets: Vec<Target> = self.files.iter().map(ReleaseFile::target).collect();
        let in_order: Vec<Target> = BTreeSet::from_iter(targets.iter().copied())
            .into_iter()
            .collect();
        if targets.is_empty() || targets.len() > TARGETS_MAX || targets != in_order {
            return Err(InvalidManifest::Files(targets.len()));
        }
        for file in &self.files {
            let wrong = |reason: String| InvalidManifest::File {
                target: file.target(),
                reason,
            };
            if !(1..=FILE_NAME_CHARS_MAX).contains(&file.file.len()) || !is_plain(&file.file) {
                return Err(wrong(format!(
                    "file has 1 to {FILE_NAME_CHARS_MAX} letters, digits and . + ~ - _"
                )));
            }
            if !(1..=FILE_BYTES_MAX).contains(&file.length) {
                return Err(wrong(format!("length must be 1 to {FILE_BYTES_MAX} bytes")));
            }
        }
        Ok(())
    }
}

const fn check_number(
    field: &'static str,
    value: u32,
    (min, max): (u32, u32),
) -> Result<(), InvalidManifest> {
    if value < min || value > max {
        return Err(InvalidManifest::Number {
            field,
            value,
            min,
            max,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
