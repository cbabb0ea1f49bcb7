//! Enrolment: trades a join token for a certificate. The host trusts nothing but the CA that the token pins.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::{HostFacts, HostId, JoinToken};
use tidemark_proto::convert::facts::facts_to_wire;
use tidemark_proto::v1::{self, enrollment_client::EnrollmentClient};
use tidemark_runtime::tls::{self, Trust};
use tonic::{Code, Status};

use crate::identity::credentials::certificate_request;
use crate::identity::{Credentials, Vault, VaultError};
use crate::link::failure::shown;
use crate::link::{Dialer, LinkFailure, LinkService};

/// How long the controller may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer; a chain of four certificates takes less than 8 KiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why a host did not enrol.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The controller cannot be reached, or is not the one that the token names.
    #[error(transparent)]
    Link(#[from] LinkFailure),
    /// The token is wrong, used up or over.
    #[error(
        "the controller refused join token {token_id}: {reason}; make a new one with `tidemark token create` on that \
         controller"
    )]
    Token {
        /// Public name of the token.
        token_id: String,
        /// The controller's words.
        reason: String,
    },
    /// The controller shuts this identity out.
    #[error(
        "the controller refused this host's identity: {reason}; if the host may come back, run `tidemark-agent \
         reset-identity` and enrol with a new token"
    )]
    Forbidden {
        /// The controller's words.
        reason: String,
    },
    /// The controller gave the identity another host id than its key has.
    #[error("the controller answered for host {answered}, but this host is {own}")]
    ForeignHostId {
        /// What the controller said.
        answered: String,
        /// What follows from the key.
        own: HostId,
    },
    /// The identity cannot be used or kept.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl EnrollError {
    /// Whether asking again later, unchanged, may succeed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Link(failure) => !matches!(failure, LinkFailure::ForeignCa(_)),
            Self::Vault(error) => matches!(
                error,
                VaultError::Storage { .. } | VaultError::Unreadable { .. }
            ),
            Self::Token { .. } | Self::Forbidden { .. } | Self::ForeignHostId { .. } => false,
        }
    }
}

/// Enrols this host. After a lost answer the same call asks again with the same keys, and gets the same host.
///
/// # Errors
/// [`EnrollError`]; nothing secret has left the host when the controller is not the one that the token names.
pub async fn enroll(
    dialer: &Dialer,
    vault: &Vault,
    token: &JoinToken,
    facts: &HostFacts,
) -> Result<Arc<Credentials>, EnrollError> {
    let request = enroll_request(vault, token, facts)?;
    let config =
        tls::client_config(Trust::Pin(token.ca_pin), None).map_err(LinkFailure::OwnCertificate)?;
    let answer = dialer
        .dial(config)
        .await?
        .drive(|service| async move {
            answered_in_time(async move { enrollment_client(service).enroll(request).await }).await
        })
        .await
        .map_err(|failure| refused(failure, token))?;
    let own = vault.identity().host_id();
    if answer.host_id != own.to_string() {
        return Err(EnrollError::ForeignHostId {
            answered: shown(&answer.host_id),
            own,
        });
    }
    let credentials = vault.accept(answer.credentials.unwrap_or_default())?;
    tracing::info!(host.id = %own, generation = credentials.generation(), "host enrolled");
    Ok(credentials)
}

/// What this host asks with, for the key of its vault.
///
/// # Errors
/// [`VaultError`] when there is no key to ask for.
pub fn enroll_request(
    vault: &Vault,
    token: &JoinToken,
    facts: &HostFacts,
) -> Result<v1::EnrollRequest, VaultError> {
    let csr_der = certificate_request(&*vault.pending_key()?)?;
    let identity = vault.identity();
    Ok(v1::EnrollRequest {
        token_id: token.id.to_string(),
        token_secret: token.secret.expose().to_vec(),
        identity_signature: identity.sign_enroll(&csr_der)?,
        identity_spki_der: identity.spki_der().to_vec(),
        csr_der,
        facts: Some(facts_to_wire(facts)),
    })
}

/// The generated client over one connection.
pub(crate) fn enrollment_client(service: LinkService) -> EnrollmentClient<LinkService> {
    EnrollmentClient::with_origin(service, LinkService::origin())
        .max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// Waits for an answer as long as an operator would.
pub(crate) async fn answered_in_time<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, LinkFailure> {
    match tokio::time::timeout(ANSWER_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(LinkFailure::from_status(status)),
        Err(_) => Err(LinkFailure::Timeout {
            step: "the controller's answer",
            limit: ANSWER_TIMEOUT,
        }),
    }
}

fn refused(failure: LinkFailure, token: &JoinToken) -> EnrollError {
    let LinkFailure::Answer { code, message, .. } = &failure else {
        return EnrollError::Link(failure);
    };
    match code {
        Code::Unauthenticated | Code::NotFound | Code::FailedPrecondition => EnrollError::Token {
            token_id: token.id.to_string(),
            reason: message.clone(),
        },
        Code::PermissionDenied => EnrollError::Forbidden {
            reason: message.clone(),
        },
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => EnrollError::Link(failure),
    }
}

#[cfg(test)]
mod tests;
