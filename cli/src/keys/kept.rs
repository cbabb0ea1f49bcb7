//! The keys that this machine knows by name: in a file under a passphrase, or in a token under a PIN. Whatever signs takes
//! either.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tidemark_model::Secret;
use tidemark_model::signing::{PrivateKey, PublicKey, Purpose, Signature};
use tidemark_runtime::durable::{self, Access};

use super::token::{TokenKey, TokenSigner};
use super::{FILE_BYTES_MAX, KeyError, SealedKey, check_name, file_name};

/// A key that this machine knows, still closed.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum KeptKey {
    /// In a file.
    Sealed(SealedKey),
    /// In a token.
    Token(TokenKey),
}

/// A key that can sign.
pub enum OpenKey {
    /// Out of a file.
    Held(PrivateKey),
    /// In a token.
    Token(TokenSigner),
}

impl KeptKey {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Sealed(key) => &key.name,
            Self::Token(key) => &key.name,
        }
    }

    /// The key that hosts are told.
    pub const fn public(&self) -> PublicKey {
        match self {
            Self::Sealed(key) => key.public,
            Self::Token(key) => key.public,
        }
    }

    /// Where its secret is, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Sealed(_) => "file".to_owned(),
            Self::Token(key) => format!("token {}", key.token),
        }
    }

    /// Writes it to `folder`; a key that is there already is never replaced.
    ///
    /// # Errors
    /// When it is there already or cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, KeyError> {
        let path = folder.join(file_name(self.name()));
        let failed = |source| KeyError::Io {
            path: path.clone(),
            source,
        };
        durable::make_private_folder(folder).map_err(failed)?;
        Self::check_free(folder, self.name())?;
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        durable::replace_file(&path, &text, Access::Owner).map_err(failed)?;
        Ok(path)
    }

    /// Whether no key of that name is in `folder`.
    ///
    /// # Errors
    /// When one is, or the name is none.
    pub fn check_free(folder: &Path, name: &str) -> Result<(), KeyError> {
        check_name(name)?;
        if fs::symlink_metadata(folder.join(file_name(name))).is_ok() {
            return Err(KeyError::Exists {
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    /// Reads the key of that name from `folder`.
    ///
    /// # Errors
    /// When there is none, or the file is no key.
    pub fn read(folder: &Path, name: &str) -> Result<Self, KeyError> {
        check_name(name)?;
        let path = folder.join(file_name(name));
        let key = match Self::read_file(&path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Missing {
                    name: name.to_owned(),
                    folder: folder.to_owned(),
                });
            }
            read => read?,
        };
        if key.name() == name {
            return Ok(key);
        }
        let reason = format!("it holds the key {:?}", key.name());
        Err(KeyError::Unreadable { path, reason })
    }

    /// Every key in `folder`, by name; files that are none are told by their error.
    ///
    /// # Errors
    /// When the folder cannot be listed; one that is not there holds none.
    pub fn list(folder: &Path) -> Result<Vec<Result<Self, KeyError>>, KeyError> {
        let failed = |source| KeyError::Io {
            path: folder.to_owned(),
            source,
        };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "key") {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths.iter().map(|path| Self::read_file(path)).collect())
    }

    fn read_file(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        let unreadable = |reason: String| KeyError::Unreadable {
            path: path.to_owned(),
            reason,
        };
        if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
            return Err(unreadable("it is larger than any key".to_owned()));
        }
        let text = fs::read(path).map_err(failed)?;
        let read: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        let is_token = read.get("tidemark_token_key").is_some();
        let key = if is_token {
            serde_json::from_slice(&text).map(Self::Token)
        } else {
            serde_json::from_slice(&text).map(Self::Sealed)
        };
        let key = key.map_err(|error| unreadable(error.to_string()))?;
        let is_usable = match &key {
            Self::Sealed(key) => key.is_usable(),
            Self::Token(key) => key.is_of_this_form(),
        };
        if is_usable {
            return Ok(key);
        }
        Err(unreadable(
            "it is of a newer form, or asks too much of this machine".to_owned(),
        ))
    }

    /// Opens it with its passphrase or PIN.
    ///
    /// # Errors
    /// When that is wrong, the file was changed, or the token is not there.
    pub fn open(&self, secret: &Secret<String>) -> Result<OpenKey, KeyError> {
        Ok(match self {
            Self::Sealed(key) => OpenKey::Held(key.open(secret)?),
            Self::Token(key) => OpenKey::Token(key.open(secret)?),
        })
    }
}

impl OpenKey {
    /// Signs `bytes` for `purpose`.
    ///
    /// # Errors
    /// When its token does not.
    pub fn sign(&self, purpose: Purpose, bytes: &[u8]) -> Result<Signature, KeyError> {
        match self {
            Self::Held(key) => Ok(key.sign(purpose, bytes)),
            Self::Token(key) => key.sign(purpose, bytes),
        }
    }
}
