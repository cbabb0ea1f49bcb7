//! Which controllers the operators' command line knows, and with which token: `contexts.toml` in the user's
//! configuration folder. The command line and `tidemark-controller up` both write it; neither loses the other's entries.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};
use tidemark_model::Secret;

use crate::durable::{self, Access};

/// Name of the file inside the configuration folder.
pub const FILE_NAME: &str = "contexts.toml";

/// Largest file that is read, in bytes; a thousand contexts fit many times.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Longest name of a context, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// One controller as an operator knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Address of the API, as in `http://127.0.0.1:7080`.
    pub server: String,
    /// API token, kept in this file.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "token_text")]
    pub token: Option<Secret<String>>,
    /// File that holds the API token instead; read at each use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// PEM file with the only authorities trusted for an `https` server; without it the system's roots are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Keys of other versions, kept as they are.
    #[serde(flatten)]
    pub other: toml::Table,
}

impl Context {
    /// The controller at `server` with a token kept in the file.
    #[must_use]
    pub fn with_token(server: String, token: Secret<String>) -> Self {
        Self {
            server,
            token: Some(token),
            token_file: None,
            ca_file: None,
            other: toml::Table::new(),
        }
    }
}

/// All contexts of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contexts {
    /// The one that is used when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
    /// Keys of other versions, kept as they are.
    #[serde(flatten)]
    pub other: toml::Table,
}

/// Why the contexts cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ContextsError {
    /// Neither variable that leads to the folder is set.
    #[error("no configuration folder is known; set TIDEMARK_CONFIG_DIR or HOME")]
    NoFolder,
    /// The file system refuses.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not what this module writes.
    #[error("{} is not a valid contexts file; correct it or move it away", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file is larger than any real one.
    #[error("{} has {size_bytes} bytes, more than {FILE_BYTES_MAX}; move it away", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
    /// The contexts do not fit TOML.
    #[error("the contexts cannot be written as TOML")]
    Unwritable(#[source] Box<toml::ser::Error>),
    /// A name that could not be typed back.
    #[error(
        "the context name `{name}` must have 1 to {NAME_CHARS_MAX} characters of a-z, A-Z, 0-9, `-`, `_` and `.`"
    )]
    BadName {
        /// The refused name.
        name: String,
    },
}

/// Where this user's contexts are, by the process's environment.
///
/// # Errors
/// [`ContextsError::NoFolder`] when the environment names no folder.
pub fn default_path() -> Result<PathBuf, ContextsError> {
    path_from(|name| std::env::var_os(name))
}

/// Where the contexts are, by an environment: `TIDEMARK_CONFIG_DIR`, or `tidemark` in `XDG_CONFIG_HOME` or `~/.config`
/// (Windows: `Tidemark` in `APPDATA`).
///
/// # Errors
/// [`ContextsError::NoFolder`] when the environment names no folder.
pub fn path_from(environment: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, ContextsError> {
    let folder = |name: &str| {
        environment(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let own = || folder("TIDEMARK_CONFIG_DIR");
    // The XDG base directory specification says that a relative path must be ignored.
    let xdg = || {
        folder("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .map(|path| path.join("tidemark"))
    };
    let home = || folder("HOME").map(|path| path.join(".config").join("tidemark"));
    let windows = || {
        folder("APPDATA")
            .filter(|_| cfg!(windows))
            .map(|path| path.join("Tidemark"))
    };
    own()
        .or_else(windows)
        .or_else(xdg)
        .or_else(home)
        .map(|path| path.join(FILE_NAME))
        .ok_or(ContextsError::NoFolder)
}

impl Contexts {
    /// Reads the file at `path`; a missing file holds no contexts.
    ///
    /// # Errors
    /// When it cannot be read or is malformed.
    pub fn load(path: &Path) -> Result<Self, ContextsError> {
        let io_error = |source| ContextsError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let size_bytes = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            found => found.map_err(io_error)?.len(),
        };
        if size_bytes > FILE_BYTES_MAX {
            return Err(ContextsError::TooLarge {
                path: path.to_owned(),
                size_bytes,
            });
        }
        let text = fs::read_to_string(path).map_err(io_error)?;
        toml::from_str(&text).map_err(|source| ContextsError::Malformed {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Reads the file at `path`, lets `change` change what it holds, and writes it for its owner alone. Another process
    /// that does the same waits meanwhile, so neither loses an entry.
    ///
    /// # Errors
    /// When it cannot be read, is malformed or cannot be written; the file stays as it was then.
    pub fn update<T>(path: &Path, change: impl FnOnce(&mut Self) -> T) -> Result<T, ContextsError> {
        let io_error = |action, path: &Path, source| ContextsError::Io {
            action,
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            durable::make_private_folder(folder)
                .map_err(|source| io_error("make the folder", folder, source))?;
        }
        let lock_path = path.with_extension("lock");
        let lock =
            File::create(&lock_path).map_err(|source| io_error("open", &lock_path, source))?;
        lock.lock()
            .map_err(|source| io_error("lock", &lock_path, source))?;

        let mut contexts = Self::load(path)?;
        let answer = change(&mut contexts);
        let text = toml::to_string(&contexts)
            .map_err(|source| ContextsError::Unwritable(Box::new(source)))?;
        durable::replace_file(path, text.as_bytes(), Access::Owner)
            .map_err(|source| io_error("write", path, source))?;
        Ok(answer)
    }

    /// Adds or replaces a context, keeping what other versions wrote into it. It becomes the current one when
    /// `selection` says so or none is.
    ///
    /// # Errors
    /// [`ContextsError::BadName`] when the name could not be typed back.
    pub fn put(
        &mut self,
        name: &str,
        mut context: Context,
        selection: Selection,
    ) -> Result<(), ContextsError> {
        check_name(name)?;
        if let Some(before) = self.contexts.remove(name) {
            for (key, value) in before.other {
                context.other.entry(key).or_insert(value);
            }
        }
        self.contexts.insert(name.to_owned(), context);
        if selection == Selection::Use || self.current.is_none() {
            self.current = Some(name.to_owned());
        }
        Ok(())
    }
}

/// Whether a context that is put becomes the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// It does.
    Use,
    /// Only when there is no current one.
    KeepCurrent,
}

/// Whether `name` may name a context.
///
/// # Errors
/// [`ContextsError::BadName`] with the rule.
pub fn check_name(name: &str) -> Result<(), ContextsError> {
    let legal = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(legal) {
        return Err(ContextsError::BadName {
            name: name.chars().take(NAME_CHARS_MAX).collect(),
        });
    }
    Ok(())
}

mod token_text {
    //! The token as text in this file, and nowhere else.

    use serde::Deserializer;

    use super::*;

    pub(super) fn serialize<S: Serializer>(
        token: &Option<Secret<String>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match token {
            Some(token) => to.serialize_str(token.expose()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Secret<String>>, D::Error> {
        Option::<String>::deserialize(from).map(|token| token.map(Secret::new))
    }
}

#[cfg(test)]
mod tests;
