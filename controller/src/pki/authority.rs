//! A root CA (P-384, signs only the issuing CA) and an issuing CA (P-256, signs controllers and agents), kept as files.
//!
//! Created once for a data folder. A folder with only some of the files is refused: a new root would shut out every
//! agent that trusts the old one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tidemark_model::Timestamp;
use tidemark_model::token::CaPin;
use tidemark_runtime::Entropy;
use tidemark_runtime::durable::{self, Access};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::issue::{offset, serial};

/// Ten years: hosts trust the root for as long as they run.
const ROOT_DAYS: u64 = 3_650;

const FILES: [&str; 4] = [
    "root.key.der",
    "root.crt.der",
    "issuing.key.der",
    "issuing.crt.der",
];

/// The authority that agents and controllers of one fleet descend from.
pub struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) issuing: CertificateDer<'static>,
    root: CertificateDer<'static>,
    pin: CaPin,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.pin)
    }
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
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
    /// Some of the files are gone.
    #[error(
        "{} lacks {}; restore the folder from a backup, since agents trust no other authority (only for a fleet without \
         agents: remove the folder, and a new authority is made)",
        folder.display(), missing.join(", ")
    )]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        missing: Vec<&'static str>,
    },
    /// A file is damaged.
    #[error("{} is damaged; restore it from a backup", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rcgen::Error,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Issue(#[source] rcgen::Error),
}

impl Authority {
    /// Reads the authority of `folder`, or makes it when the folder does not exist or is empty.
    ///
    /// # Errors
    /// [`AuthorityError`]; nothing is overwritten then.
    pub fn open(folder: &Path, now: Timestamp, entropy: &Entropy) -> Result<Self, AuthorityError> {
        let contents = FILES.map(|name| read(&folder.join(name)));
        let mut present = Vec::new();
        let mut missing = Vec::new();
        for (name, content) in FILES.into_iter().zip(contents) {
            match content? {
                Some(content) => present.push(content),
                None => missing.push(name),
            }
        }
        if present.is_empty() {
            Self::create(folder, now, entropy)?;
            return Self::open_existing(folder);
        }
        if missing.is_empty() {
            return Self::open_existing(folder);
        }
        Err(AuthorityError::Incomplete {
            folder: folder.to_owned(),
            missing,
        })
    }

    /// The root's certificate.
    #[must_use]
    pub fn root(&self) -> CertificateDer<'static> {
        self.root.clone()
    }

    /// What join tokens pin.
    #[must_use]
    pub const fn pin(&self) -> CaPin {
        self.pin
    }

    /// Reads the authority of `folder`, and makes none.
    ///
    /// # Errors
    /// [`AuthorityError`] when it is not there or not whole.
    pub fn open_existing(folder: &Path) -> Result<Self, AuthorityError> {
        let load = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|source| AuthorityError::Io {
                action: "read",
                path,
                source,
            })
        };
        let damaged = |name: &str| {
            let path = folder.join(name);
            move |source| AuthorityError::Damaged { path, source }
        };
        let root = CertificateDer::from(load("root.crt.der")?);
        let issuing = CertificateDer::from(load("issuing.crt.der")?);
        let key_der = load("issuing.key.der")?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(key_der),
            &PKCS_ECDSA_P256_SHA256,
        )
        .map_err(damaged("issuing.key.der"))?;
        let issuer = Issuer::from_ca_cert_der(&issuing, key).map_err(damaged("issuing.crt.der"))?;
        let pin = {
            let (_, parsed) = X509Certificate::from_der(&root)
                .map_err(|_| damaged("root.crt.der")(rcgen::Error::CouldNotParseCertificate))?;
            CaPin::of_spki(parsed.tbs_certificate.subject_pki.raw)
        };
        Ok(Self {
            issuer,
            issuing,
            root,
            pin,
        })
    }

    fn create(folder: &Path, now: Timestamp, entropy: &Entropy) -> Result<(), AuthorityError> {
        let made = make(now, entropy).map_err(AuthorityError::Issue)?;
        durable::make_private_folder(folder).map_err(|source| AuthorityError::Io {
            action: "create",
            path: folder.to_owned(),
            source,
        })?;
        for (name, content) in FILES.into_iter().zip(made) {
            let path = folder.join(name);
            durable::replace_file(&path, &content, Access::Owner).map_err(|source| {
                AuthorityError::Io {
                    action: "write",
                    path,
                    source,
                }
            })?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, AuthorityError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AuthorityError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

/// The content of [`FILES`], in their order.
fn make(now: Timestamp, entropy: &Entropy) -> Result<[Vec<u8>; 4], rcgen::Error> {
    let root_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
    let issuing_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let root_params = ca_params(
        "Tidemark root",
        IsCa::Ca(BasicConstraints::Constrained(1)),
        now,
        entropy,
    )?;
    let root = root_params.self_signed(&root_key)?;
    let root_key_der = root_key.serialize_der();
    let issuing_params = ca_params(
        "Tidemark issuing",
        IsCa::Ca(BasicConstraints::Constrained(0)),
        now,
        entropy,
    )?;
    let issuing = issuing_params.signed_by(&issuing_key, &Issuer::new(root_params, root_key))?;
    Ok([
        root_key_der,
        root.der().to_vec(),
        issuing_key.serialize_der(),
        issuing.der().to_vec(),
    ])
}

fn ca_params(
    name: &str,
    is_ca: IsCa,
    now: Timestamp,
    entropy: &Entropy,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{name} {}", now.unix_ms()));
    params.is_ca = is_ca;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial(entropy));
    // Clocks of hosts may be behind: an authority that is not valid yet would refuse them all.
    params.not_before = offset(now, -(86_400 * 7));
    params.not_after = offset(now, i64::try_from(ROOT_DAYS * 86_400).unwrap_or(i64::MAX));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

    #[test]
    fn an_authority_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pki");
        let first = Authority::open(&path, NOW, &Entropy::System).unwrap();
        let again = Authority::open(&path, NOW, &Entropy::System).unwrap();
        assert_eq!(first.pin().to_string(), again.pin().to_string());
        assert_eq!(first.root(), again.root());
        let other = Authority::open(&folder.path().join("other"), NOW, &Entropy::System).unwrap();
        assert_ne!(first.pin().to_string(), other.pin().to_string());
    }

    #[test]
    fn a_lost_file_is_named_and_nothing_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        Authority::open(folder.path(), NOW, &Entropy::System).unwrap();
        fs::remove_file(folder.path().join("issuing.key.der")).unwrap();
        let error = Authority::open(folder.path(), NOW, &Entropy::System)
            .unwrap_err()
            .to_string();
        assert!(error.contains("lacks issuing.key.der; restore"), "{error}");
        assert!(fs::metadata(folder.path().join("issuing.key.der")).is_err());
    }

    #[test]
    fn a_damaged_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        Authority::open(folder.path(), NOW, &Entropy::System).unwrap();
        fs::write(folder.path().join("issuing.key.der"), [0; 138]).unwrap();
        let error = Authority::open(folder.path(), NOW, &Entropy::System)
            .unwrap_err()
            .to_string();
        assert!(error.contains("issuing.key.der is damaged"), "{error}");
    }
}
