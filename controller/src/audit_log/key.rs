//! The key that signs checkpoints: made once, kept beside the authority's keys, and known to the database by its public
//! half, so that no controller begins to sign the same log with another one.

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use tidemark_model::Secret;
use tidemark_model::audit_log::{LogKey, LogSigner};
use tidemark_model::token::CaPin;
use tidemark_runtime::Entropy;
use tidemark_runtime::durable::{self, Access};
use tidemark_store::{Store, StoreError};

/// The secret half's file in the authority's folder.
const FILE: &str = "audit-log.key";
/// The public half in the database.
const SETTING: &str = "audit_log_key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system refuses.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no key.
    #[error("{} is damaged; restore it from a backup", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key of the log in that database, from the authority's folder; made when neither has one. Answers why this controller
/// signs nothing when the folder has another key than the database, or none.
///
/// # Errors
/// [`KeyError`].
pub async fn open_key(
    store: &Store,
    folder: &Path,
    (entropy, pin): (&Entropy, CaPin),
) -> Result<Result<LogSigner, String>, KeyError> {
    let path = folder.join(FILE);
    let seed = read(&path)?;
    let known = store.read().await?.setting_find(SETTING).await?;
    if let Some(known) = known {
        return Ok(match seed {
            None => Err(format!(
                "{} is missing: copy it from the controller that made it, or from a backup",
                path.display()
            )),
            Some(seed) => held(&known.value, seed, &path),
        });
    }
    let seed = match seed {
        Some(seed) => seed,
        None => make(&path, entropy)?,
    };
    let pin = pin
        .as_bytes()
        .first_chunk::<8>()
        .copied()
        .unwrap_or_default();
    let name = format!("tidemark/{}", HEXLOWER.encode(&pin));
    let Some(signer) = LogSigner::from_seed(&name, *seed.expose()) else {
        return Err(KeyError::Damaged { path });
    };
    let mut tx = store.begin().await?;
    match tx.setting_insert(SETTING, &signer.key().to_string()).await {
        Ok(()) => tx.commit().await?,
        // Another controller was quicker.
        Err(StoreError::AlreadyExists { .. }) => {
            drop(tx);
            let known = store.read().await?.setting_find(SETTING).await?;
            return Ok(held(
                &known.map(|known| known.value).unwrap_or_default(),
                seed,
                &path,
            ));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Ok(signer))
}

/// The key of that public half, if the secret one belongs to it.
fn held(known: &str, seed: Secret<[u8; 32]>, path: &Path) -> Result<LogSigner, String> {
    let name = known.parse::<LogKey>().map(|key| key.name().to_owned());
    name.ok()
        .and_then(|name| LogSigner::from_seed(&name, *seed.expose()))
        .filter(|signer| signer.key().to_string() == known)
        .ok_or_else(|| {
            format!(
                "{} is not the key of the log in this database: copy it from the controller that made the log",
                path.display()
            )
        })
}

fn read(path: &Path) -> Result<Option<Secret<[u8; 32]>>, KeyError> {
    match std::fs::read(path) {
        Ok(bytes) => match bytes.try_into() {
            Ok(seed) => Ok(Some(Secret::new(seed))),
            Err(_) => Err(KeyError::Damaged {
                path: path.to_owned(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

fn make(path: &Path, entropy: &Entropy) -> Result<Secret<[u8; 32]>, KeyError> {
    let seed: [u8; 32] = entropy.bytes();
    durable::replace_file(path, &seed, Access::Owner).map_err(|source| KeyError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })?;
    Ok(Secret::new(seed))
}
