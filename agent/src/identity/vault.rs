//! Where the identity and its certificates are kept: on disk for an agent, in memory for simulated hosts.
//!
//! Three state files: `identity` (key and CA pin, two equal copies), `credentials` (two generations) and `pending` (the key
//! of a request whose answer has not come). The highest certificate generation is kept beside the pin, so that a host
//! whose newest certificate is damaged is not mistaken for its own clone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::KeyPair;
use tidemark_disk::{Disk, SystemDisk};
use tidemark_model::token::CaPin;
use tidemark_platform::private::{self, Exposure};
use tidemark_proto::v1;
use zeroize::Zeroizing;

use super::credentials::{Credentials, InvalidCredentials};
use super::{IdentityKey, KeyError, generate_key, key_from_pkcs8};
use crate::state_file::{Found, StateFile};

/// The identity of a host, its current certificate, and the request in flight.
#[derive(Debug)]
pub struct Vault {
    identity: IdentityKey,
    ca_pin: CaPin,
    keep: Keep,
    held: Mutex<Held>,
}

#[derive(Debug)]
enum Keep {
    Disk(Box<Files>),
    Memory,
}

#[derive(Debug)]
struct Files {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    entrance: Entrance,
    identity: StateFile,
    credentials: StateFile,
    generation: StateFile,
    pending: StateFile,
}

/// Who may enter the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entrance {
    /// Whom the system lets in.
    System,
    /// Nobody but this process.
    Closed,
}

/// An identity as it is kept.
#[derive(Debug)]
struct Kept {
    identity: IdentityKey,
    ca_pin: CaPin,
    held: Held,
}

#[derive(Debug, Default)]
struct Held {
    current: Option<Arc<Credentials>>,
    generation: u64,
    pending: Option<Pending>,
}

/// The key of a request in flight.
#[derive(Debug)]
struct Pending {
    key: Arc<KeyPair>,
    /// Whether this process saw it synced. One that is read may be of a write whose sync failed: it would be gone with the power,
    /// after the controller has issued a certificate for it.
    is_durable: bool,
}

impl Pending {
    fn new(key: KeyPair) -> Self {
        Self {
            key: Arc::new(key),
            is_durable: false,
        }
    }
}

/// Why the identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Both copies of the identity are lost.
    #[error(
        "the identity in {} is damaged in both copies; run `tidemark-agent reset-identity`, then enrol with a new token",
        folder.display()
    )]
    IdentityLost {
        /// Where it was kept.
        folder: PathBuf,
    },
    /// Others may read the identity.
    #[error(
        "the identity folder {} is open to other users ({exposure}): {}; if others may have read it, run \
         `tidemark-agent reset-identity` and enrol with a new token", folder.display(), private::REMEDY
    )]
    Exposed {
        /// Which folder.
        folder: PathBuf,
        /// Who may enter it.
        exposure: Exposure,
    },
    /// The file system does not show what is kept: too many open files, or a medium that fails.
    #[error("the identity in {} cannot be read now", folder.display())]
    Unreadable {
        /// Where it is kept.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file system refuses.
    #[error("the state folder {} cannot be written", folder.display())]
    Storage {
        /// Which folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Cryptography failed.
    #[error("no key could be made")]
    Key(#[from] KeyError),
    /// The controller issued what this host cannot use.
    #[error("the controller's answer cannot be used")]
    Credentials(#[from] InvalidCredentials),
}

impl Vault {
    /// A new identity that lives as long as the process.
    ///
    /// # Errors
    /// [`VaultError::Key`] when no key can be made.
    pub fn in_memory(ca_pin: CaPin) -> Result<Self, VaultError> {
        Ok(Self {
            identity: IdentityKey::generate()?,
            ca_pin,
            keep: Keep::Memory,
            held: Mutex::default(),
        })
    }

    /// Opens the identity in `folder`; `None` when there has never been one.
    ///
    /// # Errors
    /// [`VaultError::IdentityLost`] when there was one and neither copy can be read; [`VaultError::Unreadable`] when what is kept
    /// is unknown for now; [`VaultError::Exposed`] when others may read it.
    pub fn open(folder: &Path) -> Result<Option<Self>, VaultError> {
        let files = Files::in_folder(folder);
        Ok(files.read()?.map(|kept| Self::of(files, kept)))
    }

    /// Opens the identity in `folder`, or makes one that trusts the CA of `ca_pin`. An identity that trusts another
    /// CA is moved to this one: its certificates are dropped and its key stays.
    ///
    /// # Errors
    /// As [`Vault::open`]; [`VaultError::Storage`] when it cannot be written.
    pub fn open_or_create(folder: &Path, ca_pin: CaPin) -> Result<Self, VaultError> {
        Self::open_or_create_in(Files::in_folder(folder), ca_pin)
    }

    /// As [`Vault::open_or_create`], in a folder of a disk that nobody else enters.
    ///
    /// # Errors
    /// As [`Vault::open_or_create`].
    pub fn open_or_create_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        ca_pin: CaPin,
    ) -> Result<Self, VaultError> {
        Self::open_or_create_in(Files::on(disk, folder, Entrance::Closed), ca_pin)
    }

    fn open_or_create_in(files: Files, ca_pin: CaPin) -> Result<Self, VaultError> {
        let identity = match files.read()? {
            Some(kept) if kept.ca_pin == ca_pin => return Ok(Self::of(files, kept)),
            Some(kept) => kept.identity,
            None => IdentityKey::generate()?,
        };
        files.make_folder()?;
        files
            .start_anew(&identity, &ca_pin)
            .map_err(|source| files.storage_error(source))?;
        let held = Held::default();
        let kept = Kept {
            identity,
            ca_pin,
            held,
        };
        Ok(Self::of(files, kept))
    }

    fn of(files: Files, kept: Kept) -> Self {
        Self {
            identity: kept.identity,
            ca_pin: kept.ca_pin,
            keep: Keep::Disk(Box::new(files)),
            held: Mutex::new(kept.held),
        }
    }

    /// Forgets the identity in `folder` and everything that hangs on it.
    ///
    /// # Errors
    /// [`VaultError::Storage`] when a file cannot be removed.
    pub fn reset(folder: &Path) -> Result<(), VaultError> {
        let files = Files::in_folder(folder);
        [
            &files.pending,
            &files.credentials,
            &files.generation,
            &files.identity,
        ]
        .into_iter()
        .try_for_each(StateFile::remove)
        .map_err(|source| files.storage_error(source))
    }

    /// The long-lived key.
    #[must_use]
    pub const fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// The root CA that this host trusts.
    #[must_use]
    pub const fn ca_pin(&self) -> &CaPin {
        &self.ca_pin
    }

    /// The newest usable certificate; `None` before enrolment and after the loss of both generations.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Credentials>> {
        self.held().current.clone()
    }

    /// Generation of the newest certificate that this host ever held, usable or not; 0 before enrolment.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.held().generation
    }

    /// Whether the host was enrolled, even if its certificate is lost or over.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.generation() > 0
    }

    /// The key for the next certificate. Until an answer is accepted it stays the same, across restarts too, so that a
    /// request whose answer was lost can be asked again.
    ///
    /// # Errors
    /// [`VaultError`] when it can be neither read nor made and kept.
    pub fn pending_key(&self) -> Result<Arc<KeyPair>, VaultError> {
        let mut held = self.held();
        let pending = match held.pending.take() {
            Some(pending) => pending,
            None => Pending::new(generate_key()?),
        };
        let pending = held.pending.insert(pending);
        if let Keep::Disk(files) = &self.keep
            && !pending.is_durable
        {
            let pkcs8 = Zeroizing::new(pending.key.serialize_der());
            files
                .pending
                .write(&pkcs8)
                .map_err(|source| files.storage_error(source))?;
        }
        pending.is_durable = true;
        Ok(Arc::clone(&pending.key))
    }

    /// Takes the answer to the request made with [`Vault::pending_key`].
    ///
    /// # Errors
    /// [`VaultError::Credentials`] when it does not fit; [`VaultError::Storage`] when it cannot be kept: the pending
    /// key stays then, and asking again is safe.
    pub fn accept(&self, issued: v1::Credentials) -> Result<Arc<Credentials>, VaultError> {
        let key = self.pending_key()?;
        let credentials = Arc::new(Credentials::accept(&key, issued, &self.ca_pin)?);
        let mut held = self.held();
        if let Keep::Disk(files) = &self.keep {
            files
                .keep(&credentials)
                .map_err(|source| files.storage_error(source))?;
        }
        held.generation = held.generation.max(credentials.generation());
        held.current = Some(Arc::clone(&credentials));
        held.pending = None;
        Ok(credentials)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn in_folder(folder: &Path) -> Self {
        Self::on(Arc::new(SystemDisk), folder, Entrance::System)
    }

    fn on(disk: Arc<dyn Disk>, folder: &Path, entrance: Entrance) -> Self {
        let file = |name| StateFile::on(Arc::clone(&disk), folder, name);
        Self {
            folder: folder.to_owned(),
            entrance,
            identity: file("identity"),
            credentials: file("credentials"),
            generation: file("generation"),
            pending: file("pending"),
            disk,
        }
    }

    /// The identity and what hangs on it; `None` when there has never been one.
    fn read(&self) -> Result<Option<Kept>, VaultError> {
        let found = self.certain(&self.identity)?;
        if found.is_absent() {
            return Ok(None);
        }
        self.check_private()?;
        for slot in &found.lost {
            tracing::warn!(path = %slot.path.display(), reason = %slot.reason, "a copy of the identity is lost; the other is used");
        }
        let (identity, ca_pin) = found
            .whole
            .iter()
            .find_map(|stored| parse_identity(&stored.payload))
            .ok_or_else(|| VaultError::IdentityLost {
                folder: self.folder.clone(),
            })?;
        let held = self.read_held(&ca_pin)?;
        Ok(Some(Kept {
            identity,
            ca_pin,
            held,
        }))
    }

    fn make_folder(&self) -> Result<(), VaultError> {
        let made = match self.entrance {
            Entrance::System => private::make_folder(&self.folder),
            Entrance::Closed => self.disk.make_folder(&self.folder),
        };
        made.map_err(|source| self.storage_error(source))?;
        self.check_private()
    }

    /// Refuses a folder that anybody but its owner and the system's administrators may enter. One that cannot be asked is
    /// taken for private: reading from it fails by itself.
    fn check_private(&self) -> Result<(), VaultError> {
        if self.entrance == Entrance::Closed {
            return Ok(());
        }
        match private::exposure(&self.folder) {
            Ok(None) | Err(_) => Ok(()),
            Ok(Some(exposure)) => Err(VaultError::Exposed {
                folder: self.folder.clone(),
                exposure,
            }),
        }
    }

    /// What is kept. What the file system hides is not absent: a host without its newest generation, or with another key for a
    /// request whose answer was lost, would pass for a clone of itself.
    fn certain(&self, file: &StateFile) -> Result<Found, VaultError> {
        file.read()
            .certain()
            .map_err(|source| VaultError::Unreadable {
                folder: self.folder.clone(),
                source,
            })
    }

    fn storage_error(&self, source: io::Error) -> VaultError {
        VaultError::Storage {
            folder: self.folder.clone(),
            source,
        }
    }

    fn start_anew(&self, identity: &IdentityKey, ca_pin: &CaPin) -> io::Result<()> {
        self.credentials.remove()?;
        self.generation.remove()?;
        self.pending.remove()?;
        let mut stored = Zeroizing::new(ca_pin.as_bytes().to_vec());
        stored.extend_from_slice(&identity.to_pkcs8());
        self.identity.write_both(&stored)
    }

    /// The generation goes first: a crash in between leaves a host that renews with the right number.
    fn keep(&self, credentials: &Credentials) -> io::Result<()> {
        self.generation
            .write_both(&credentials.generation().to_be_bytes())?;
        self.credentials.write(&credentials.to_stored())?;
        self.pending.remove()
    }

    fn read_held(&self, ca_pin: &CaPin) -> Result<Held, VaultError> {
        let found = self.certain(&self.credentials)?;
        for slot in &found.lost {
            tracing::warn!(path = %slot.path.display(), reason = %slot.reason, "a generation of the credentials is lost");
        }
        let current = found.whole.iter().find_map(|stored| {
            Credentials::from_stored(&stored.payload, ca_pin)
                .inspect_err(|error| tracing::warn!(%error, "a generation of the credentials cannot be used"))
                .ok()
        });
        let marked = self.certain(&self.generation)?;
        let marked = marked.newest().and_then(|stored| {
            let bytes = stored.payload.as_slice().try_into().ok()?;
            Some(u64::from_be_bytes(bytes))
        });
        let shown = current.as_ref().map_or(0, Credentials::generation);
        Ok(Held {
            generation: marked.unwrap_or(0).max(shown),
            current: current.map(Arc::new),
            pending: self.read_pending()?.map(Pending::new),
        })
    }

    fn read_pending(&self) -> Result<Option<KeyPair>, VaultError> {
        let found = self.certain(&self.pending)?;
        let newest = found.newest();
        Ok(newest.and_then(|stored| key_from_pkcs8(&stored.payload).ok()))
    }
}

fn parse_identity(stored: &[u8]) -> Option<(IdentityKey, CaPin)> {
    let (pin, key) = stored.split_first_chunk()?;
    let identity = IdentityKey::from_pkcs8(key).ok()?;
    Some((identity, CaPin::from_bytes(*pin)))
}
