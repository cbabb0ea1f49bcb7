//! Renewal: trades a proof of the identity key for a new certificate, before or after the old one ended.
//!
//! The request shows no client certificate, so it works just as well when the old one is over or lost.

use std::sync::Arc;

use tidemark_proto::v1;
use tidemark_runtime::tls::{self, Trust};

use crate::enroll::{answered_in_time, enrollment_client};
use crate::identity::credentials::certificate_request;
use crate::identity::{Credentials, Vault, VaultError};
use crate::link::{Dialer, LinkFailure};

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The controller cannot be reached, or refuses.
    #[error(transparent)]
    Link(#[from] LinkFailure),
    /// The identity cannot be used or kept.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Renews this host's certificate. After a lost answer the same call asks again with the same key.
///
/// # Errors
/// [`RenewError`]; the old certificate stays.
pub async fn renew(dialer: &Dialer, vault: &Vault) -> Result<Arc<Credentials>, RenewError> {
    let request = renew_request(vault)?;
    let config = tls::client_config(Trust::Pin(*vault.ca_pin()), None)
        .map_err(LinkFailure::OwnCertificate)?;
    let answer = dialer
        .dial(config)
        .await?
        .drive(|service| async move {
            answered_in_time(async move { enrollment_client(service).renew(request).await }).await
        })
        .await?;
    let credentials = vault.accept(answer.credentials.unwrap_or_default())?;
    tracing::info!(generation = credentials.generation(), "certificate renewed");
    Ok(credentials)
}

/// What this host asks with, for the key of its vault.
///
/// # Errors
/// [`VaultError`] when there is no key to ask for.
pub fn renew_request(vault: &Vault) -> Result<v1::RenewRequest, VaultError> {
    let csr_der = certificate_request(&*vault.pending_key()?)?;
    let generation = vault.generation();
    let identity = vault.identity();
    Ok(v1::RenewRequest {
        identity_signature: identity.sign_renew(&csr_der, generation)?,
        identity_spki_der: identity.spki_der().to_vec(),
        csr_der,
        generation,
    })
}
