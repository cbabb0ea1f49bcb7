//! Operators' signing keys on this machine: one file a key, with its secret encrypted under a passphrase, or the name of the
//! token that holds it.
//!
//! Argon2id makes the passphrase expensive to guess, ChaCha20-Poly1305 seals the seed; the file's public part is bound to
//! it, so that nobody can pass another key off under a known name.

mod kept;
mod token;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use tidemark_model::Secret;
use tidemark_model::signing::{PrivateKey, PublicKey};
use tidemark_runtime::Entropy;
use tidemark_runtime::contexts::{self, ContextsError};

pub use kept::{KeptKey, OpenKey};
pub use token::{TokenError, TokenKey, TokenPlace};

/// Form of the file.
const FORM: u32 = 1;
/// RFC 9106, second recommendation for machines without 2 GiB to spare: 64 MiB, 3 passes.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// Most that a file may ask of this machine: somebody else may have written it.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;
/// Larger files are no keys.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Shortest passphrase, in characters.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
/// Longest name of a key, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// What can go wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A name that is no file's.
    #[error(
        "a key's name has 1 to {NAME_CHARS_MAX} characters of a-z, A-Z, 0-9, `-`, `_` and `.`, and begins with none of `.-`"
    )]
    Name,
    /// No folder for keys.
    #[error(transparent)]
    Folder(#[from] ContextsError),
    /// It is there already.
    #[error("there is a key {name} already; it is kept")]
    Exists {
        /// Its name.
        name: String,
    },
    /// It is not there.
    #[error("there is no key {name} in {}; `tidemark key new {name}` makes one", folder.display())]
    Missing {
        /// Its name.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The file cannot be used.
    #[error("{} is no key file: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file system.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The passphrase is wrong, or the file was changed: the two cannot be told apart.
    #[error("the passphrase is wrong, or the key file was changed")]
    Locked,
    /// Its token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Too short.
    #[error(
        "a passphrase has at least {PASSPHRASE_CHARS_MIN} characters; several words are easy to remember"
    )]
    Short,
}

/// A key file, whose secret is still sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedKey {
    tidemark_key: u32,
    /// Its name.
    pub name: String,
    /// The key that hosts are told.
    pub public: PublicKey,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    nonce: String,
    sealed: String,
}

/// Reads a passphrase: the first line of a file, spaces and all.
///
/// # Errors
/// When the file cannot be read.
pub fn passphrase_from(path: &Path) -> Result<Secret<String>, KeyError> {
    let failed = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(KeyError::Unreadable {
            path: path.to_owned(),
            reason: "it is larger than any passphrase".to_owned(),
        });
    }
    let text = Secret::new(fs::read_to_string(path).map_err(failed)?);
    let line = text.expose().lines().next().unwrap_or_default();
    Ok(Secret::new(line.to_owned()))
}

/// The folder of this user's keys.
///
/// # Errors
/// When the environment names no folder.
pub fn folder() -> Result<PathBuf, KeyError> {
    Ok(contexts::default_path()?.with_file_name("keys"))
}

impl SealedKey {
    /// Makes a key and seals it.
    ///
    /// # Errors
    /// When the name or the passphrase is out of its limits.
    pub fn make(
        name: &str,
        passphrase: &Secret<String>,
        entropy: &Entropy,
    ) -> Result<Self, KeyError> {
        check_name(name)?;
        if passphrase.expose().chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(KeyError::Short);
        }
        let seed = Secret::new(entropy.bytes::<32>());
        let (salt, nonce) = (entropy.bytes::<16>(), entropy.bytes::<12>());
        let mut made = Self {
            tidemark_key: FORM,
            name: name.to_owned(),
            public: PrivateKey::from_seed(*seed.expose()).public(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: BASE64.encode(&salt),
            nonce: BASE64.encode(&nonce),
            sealed: String::new(),
        };
        let key = made.sealing_key(passphrase, &salt)?;
        let mut sealed = seed.expose().to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(made.bound()),
            &mut sealed,
        )
        .map_err(|_| KeyError::Locked)?;
        made.sealed = BASE64.encode(&sealed);
        Ok(made)
    }

    /// Whether it is of this form, and cheap enough to open: somebody else may have written it.
    const fn is_usable(&self) -> bool {
        self.tidemark_key == FORM
            && self.memory_kib <= MEMORY_KIB_MAX
            && self.passes >= 1
            && self.passes <= PASSES_MAX
            && self.lanes >= 1
            && self.lanes <= LANES_MAX
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`KeyError::Locked`] when the passphrase is wrong or the file was changed.
    pub fn open(&self, passphrase: &Secret<String>) -> Result<PrivateKey, KeyError> {
        let bytes = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| KeyError::Locked);
        let key = self.sealing_key(passphrase, &bytes(&self.salt)?)?;
        let nonce: [u8; 12] = bytes(&self.nonce)?
            .try_into()
            .map_err(|_| KeyError::Locked)?;
        let mut sealed = bytes(&self.sealed)?;
        let seed = key
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.bound()),
                &mut sealed,
            )
            .map_err(|_| KeyError::Locked)?;
        let seed: [u8; 32] = (&*seed).try_into().map_err(|_| KeyError::Locked)?;
        let opened = PrivateKey::from_seed(seed);
        if opened.public() == self.public {
            Ok(opened)
        } else {
            Err(KeyError::Locked)
        }
    }

    /// What is sealed along with the secret: its name and public half.
    fn bound(&self) -> Vec<u8> {
        format!("tidemark key {FORM}\n{}\n{}", self.name, self.public).into_bytes()
    }

    fn sealing_key(
        &self,
        passphrase: &Secret<String>,
        salt: &[u8],
    ) -> Result<LessSafeKey, KeyError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|_| KeyError::Locked)?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose().as_bytes(), salt, &mut key)
            .map_err(|_| KeyError::Locked)?;
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| KeyError::Locked);
        Ok(LessSafeKey::new(unbound?))
    }
}

fn file_name(name: &str) -> String {
    format!("{name}.key")
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let length = name.chars().count();
    if (1..=NAME_CHARS_MAX).contains(&length)
        && name.chars().all(is_plain)
        && !name.starts_with(['.', '-'])
    {
        Ok(())
    } else {
        Err(KeyError::Name)
    }
}

#[cfg(test)]
mod tests {
    use tidemark_model::signing::Purpose;

    use super::*;

    fn passphrase(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn made(name: &str) -> SealedKey {
        SealedKey::make(
            name,
            &passphrase("correct horse battery"),
            &Entropy::seeded(1),
        )
        .unwrap()
    }

    fn kept(key: SealedKey) -> KeptKey {
        KeptKey::Sealed(key)
    }

    #[test]
    fn a_key_opens_with_its_passphrase_and_signs_for_its_public_half() {
        let folder = tempfile::tempdir().unwrap();
        kept(made("ann")).write(folder.path()).unwrap();
        let read = KeptKey::read(folder.path(), "ann").unwrap();
        let key = read.open(&passphrase("correct horse battery")).unwrap();
        let signature = key.sign(Purpose::Order, b"x").unwrap();
        assert_eq!(
            read.public().verify(Purpose::Order, b"x", &signature),
            Ok(())
        );
        let wrong = read.open(&passphrase("correct horse batterz"));
        assert!(matches!(wrong, Err(KeyError::Locked)));
        let text = fs::read_to_string(folder.path().join("ann.key")).unwrap();
        let OpenKey::Held(key) = key else {
            panic!("it is in a file");
        };
        assert!(!text.contains(&BASE64.encode(key.seed().expose())));
    }

    #[test]
    fn a_key_that_was_tampered_with_does_not_open() {
        let key = made("ann");
        let other = SealedKey::make(
            "bob",
            &passphrase("correct horse battery"),
            &Entropy::seeded(2),
        );
        let mut renamed = key.clone();
        renamed.name = "bob".to_owned();
        let mut swapped = key.clone();
        swapped.public = other.unwrap().public;
        let mut cut = key;
        cut.sealed.truncate(8);
        for changed in [renamed, swapped, cut] {
            let opened = changed.open(&passphrase("correct horse battery"));
            assert!(matches!(opened, Err(KeyError::Locked)));
        }
    }

    #[test]
    fn a_key_is_never_replaced_and_a_file_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        kept(made("ann")).write(folder.path()).unwrap();
        let again = kept(made("ann")).write(folder.path());
        assert!(matches!(again, Err(KeyError::Exists { .. })));
        fs::write(folder.path().join("bad.key"), "{}").unwrap();
        fs::copy(folder.path().join("ann.key"), folder.path().join("eve.key")).unwrap();
        let listed = KeptKey::list(folder.path()).unwrap();
        assert_eq!(listed.iter().filter(|key| key.is_ok()).count(), 2);
        let passed_off = KeptKey::read(folder.path(), "eve");
        assert!(matches!(passed_off, Err(KeyError::Unreadable { .. })));
        let missing = KeptKey::read(folder.path(), "nobody");
        assert!(matches!(missing, Err(KeyError::Missing { .. })));
    }

    #[test]
    fn a_file_that_asks_too_much_of_this_machine_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut key = made("ann");
        key.memory_kib = MEMORY_KIB_MAX + 1;
        kept(key).write(folder.path()).unwrap();
        let greedy = KeptKey::read(folder.path(), "ann");
        assert!(matches!(greedy, Err(KeyError::Unreadable { .. })));
    }

    #[test]
    fn names_and_passphrases_have_limits() {
        for name in ["", "../x", ".x", "-x", "a b", "a/b"] {
            let made =
                SealedKey::make(name, &passphrase("correct horse battery"), &Entropy::System);
            assert!(matches!(made, Err(KeyError::Name)), "{name:?}");
        }
        let short = SealedKey::make("ann", &passphrase("short"), &Entropy::System);
        assert!(matches!(short, Err(KeyError::Short)));
    }
}
