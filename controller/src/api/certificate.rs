//! The certificate of the pages and the API, where the controller speaks TLS itself: files that others renew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tidemark_runtime::tls::{self, TlsIdentity};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the files were replaced.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the chain, leaf first.
    pub certificate: PathBuf,
    /// PEM: the leaf's key.
    pub key: PathBuf,
}

/// What the files held.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate that follows its files.
pub struct Certificate {
    files: CertificateFiles,
    seen: Content,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl CertificateFiles {
    /// Reads them.
    ///
    /// # Errors
    /// When they cannot be read, or do not hold a chain and its key; the error names the file.
    pub async fn open(self) -> anyhow::Result<Certificate> {
        let seen = self.read().await?;
        let current = Arc::new(ArcSwap::new(self.config(&seen)?));
        Ok(Certificate {
            files: self,
            seen,
            current,
        })
    }

    async fn read(&self) -> anyhow::Result<Content> {
        Ok(Content {
            certificate: read(&self.certificate).await?,
            key: read(&self.key).await?,
        })
    }

    fn config(&self, content: &Content) -> anyhow::Result<Arc<ServerConfig>> {
        let wrong = |path: &Path, what: &str| format!("{} holds no {what} in PEM", path.display());
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&content.certificate).collect();
        let chain = chain.with_context(|| wrong(&self.certificate, "certificates"))?;
        anyhow::ensure!(!chain.is_empty(), wrong(&self.certificate, "certificate"));
        let key = PrivateKeyDer::from_pem_slice(&content.key)
            .with_context(|| wrong(&self.key, "private key"))?;
        tls::web_config(TlsIdentity { chain, key }).with_context(|| {
            let (certificate, key) = (self.certificate.display(), self.key.display());
            format!("the certificate of {certificate} and the key of {key} are not one pair")
        })
    }
}

async fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let content = tokio::fs::read(path).await;
    content.with_context(|| format!("{} cannot be read", path.display()))
}

impl Certificate {
    /// The configuration of each new connection.
    pub fn current(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.current)
    }

    /// Takes what the files hold when they are replaced, until `stop`. What cannot be used changes nothing.
    pub async fn follow(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match self.files.read().await {
                Ok(content) if content == self.seen => {}
                Ok(content) => self.take(content),
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "the certificate of the pages and the API cannot be looked at; the one before goes on"
                ),
            }
        }
    }

    fn take(&mut self, content: Content) {
        match self.files.config(&content) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(file = %self.files.certificate.display(), "the certificate of the pages and the API is replaced");
            }
            // Half of a renewal: the next look may find the other half.
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "the new certificate of the pages and the API cannot be used; the one before goes on"
            ),
        }
        self.seen = content;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["tidemark.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[tokio::test]
    async fn a_pair_that_is_replaced_is_taken_and_half_of_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate: folder.path().join("chain.pem"),
            key: folder.path().join("key.pem"),
        };
        let ((one, key), (other, other_key)) = (pair(), pair());
        std::fs::write(&files.certificate, &one).unwrap();
        let missing = files.clone().open().await.err().unwrap();
        assert!(format!("{missing:#}").contains("key.pem cannot be read"));
        std::fs::write(&files.key, "no key").unwrap();
        let wrong = files.clone().open().await.err().unwrap();
        assert!(format!("{wrong:#}").contains("key.pem holds no private key"));
        std::fs::write(&files.key, &key).unwrap();
        let mut certificate = files.clone().open().await.unwrap();
        let before = certificate.current().load_full();
        std::fs::write(&files.certificate, &other).unwrap();
        certificate.take(files.read().await.unwrap());
        assert!(Arc::ptr_eq(&before, &certificate.current().load_full()));
        std::fs::write(&files.key, &other_key).unwrap();
        certificate.take(files.read().await.unwrap());
        assert!(!Arc::ptr_eq(&before, &certificate.current().load_full()));
    }
}
