//! Enrolment and renewal: a join token or the identity key against a certificate.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tidemark_model::error_code::ApiError;
use tidemark_model::notice::NoticeKind;
use tidemark_model::token::{JoinToken, TokenId};
use tidemark_model::{ErrorCode, HostId};
use tidemark_proto::convert::ConvertError;
use tidemark_proto::convert::facts::facts_from_wire;
use tidemark_proto::v1::enrollment_server::Enrollment;
use tidemark_proto::v1::{Credentials, EnrollRequest, EnrollResponse, RenewRequest, RenewResponse};
use tidemark_store::HostCertificate;
use tonic::{Request, Response, Status};

use super::connection::Peer;
use super::outcome::status_of;
use crate::app::App;
use crate::fair::rates::quota;
use crate::fair::{Rates, network_of};
use crate::pki::issue::{AgentCertificate, IssueError};
use crate::pki::request::{IdentityFault, request_key_hash, verify_identity};

/// Enrolments a second over all agents, and renewals of those whose certificate is over; each costs two signatures and a durable write.
const STRANGERS_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("200 is not 0");

/// Of them those of one network, and at once: who tries tokens leaves room for others.
const NETWORK_RATE: (NonZeroU32, NonZeroU32) = quota(150, 150);

/// Renewals a second over all agents that have a valid certificate, which no stranger can use up.
const RENEWALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("200 is not 0");

/// Of them those of one host, and at once.
const HOST_RATE: (NonZeroU32, NonZeroU32) = quota(1, 5);

const ENROLL_CONTEXT: &[u8] = b"tidemark/enroll/v1\0";
const RENEW_CONTEXT: &[u8] = b"tidemark/renew/v1\0";

/// The service that gives hosts their identity.
pub struct Enrolment {
    app: Arc<App>,
    strangers: DefaultDirectRateLimiter,
    networks: Rates<IpAddr>,
    renewals: DefaultDirectRateLimiter,
    hosts: Rates<HostId>,
}

/// Why an enrolment or renewal was refused.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// Too many at once.
    #[error(
        "too many enrolments at once (limit {STRANGERS_PER_SECOND} a second, and {} from one address); try again in a moment",
        NETWORK_RATE.0
    )]
    Busy,
    /// The token's id is malformed.
    #[error("token_id is malformed: copy the join token again in full")]
    TokenId,
    /// Unknown, revoked, or with a wrong secret: which of them is nobody's business.
    #[error(
        "this join token is not valid here: it is unknown, revoked or damaged; make a new one with `tidemark token create`"
    )]
    TokenUnknown,
    /// Its time is over.
    #[error("this join token expired; make a new one with `tidemark token create`")]
    TokenExpired,
    /// Every use is used.
    #[error(
        "this join token is used up; make a new one with `tidemark token create`, with more --uses for more hosts"
    )]
    TokenUsedUp,
    /// Whoever asks does not show that it holds the identity key.
    #[error(transparent)]
    Identity(#[from] IdentityFault),
    /// The host is not enrolled here.
    #[error("this host is unknown to this controller; enrol it with a new token")]
    HostUnknown,
    /// The host was shut out.
    #[error("this host is revoked; reset its identity and enrol it with a new token")]
    HostRevoked,
    /// A second holder of the identity.
    #[error(
        "this identity renewed certificate {presented} but {current} was issued since: two machines share it (a cloned \
         disk?); the host is quarantined. On the clone run `tidemark-agent reset-identity` and enrol it with a new token"
    )]
    Clone {
        /// What the agent holds.
        presented: u64,
        /// What was issued last.
        current: u64,
    },
    /// The facts are malformed.
    #[error(transparent)]
    Facts(#[from] ConvertError),
    /// No certificate could be issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The database did not answer.
    #[error("the enrolment could not be stored")]
    Store(#[from] tidemark_store::StoreError),
}

impl ApiError for EnrolmentError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Busy => ErrorCode::Exhausted,
            Self::TokenId | Self::Identity(IdentityFault::Key) => ErrorCode::InvalidArgument,
            Self::TokenUnknown
            | Self::TokenExpired
            | Self::TokenUsedUp
            | Self::Identity(IdentityFault::Signature) => ErrorCode::Unauthenticated,
            Self::HostUnknown => ErrorCode::NotFound,
            Self::HostRevoked => ErrorCode::Forbidden,
            Self::Clone { .. } => ErrorCode::Precondition,
            Self::Facts(error) => error.code(),
            Self::Issue(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl Enrolment {
    /// The service over `app`.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self {
            app,
            strangers: RateLimiter::direct(Quota::per_second(STRANGERS_PER_SECOND)),
            networks: Rates::per_second(NETWORK_RATE),
            renewals: RateLimiter::direct(Quota::per_second(RENEWALS_PER_SECOND)),
            hosts: Rates::per_second(HOST_RATE),
        }
    }

    /// The narrow rates come first: who goes beyond them takes nothing of what is for all.
    fn admit_stranger(&self, peer: Option<&Peer>) -> Result<(), EnrolmentError> {
        if let Some(peer) = peer {
            let network = network_of(peer.address.ip());
            self.networks
                .pass(&network)
                .map_err(|_| EnrolmentError::Busy)?;
        }
        self.strangers.check().map_err(|_| EnrolmentError::Busy)
    }

    fn admit_renewal(&self, peer: Option<&Peer>) -> Result<(), EnrolmentError> {
        let Some(Ok(agent)) = peer.and_then(|peer| peer.agent) else {
            return self.admit_stranger(peer);
        };
        self.hosts
            .pass(&agent.host)
            .map_err(|_| EnrolmentError::Busy)?;
        self.renewals.check().map_err(|_| EnrolmentError::Busy)
    }

    fn refuse(&self, what: &str, error: &EnrolmentError) -> Status {
        self.app.metrics.enrolments_refused.add(1);
        self.app.note(
            None,
            NoticeKind::EnrolmentRefused,
            format!("{what} refused: {error}"),
        );
        status_of(error)
    }
}

#[tonic::async_trait]
impl Enrollment for Enrolment {
    async fn enroll(
        &self,
        request: Request<EnrollRequest>,
    ) -> Result<Response<EnrollResponse>, Status> {
        let peer = request.extensions().get::<Peer>().copied();
        match self.enroll_host(peer, request.into_inner()).await {
            Ok(response) => Ok(Response::new(response)),
            Err(error) => Err(self.refuse("an enrolment was", &error)),
        }
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let peer = request.extensions().get::<Peer>().copied();
        match self.renew_certificate(peer, request.into_inner()).await {
            Ok(response) => Ok(Response::new(response)),
            Err(error) => Err(self.refuse("a renewal was", &error)),
        }
    }
}

impl Enrolment {
    async fn enroll_host(
        &self,
        peer: Option<Peer>,
        request: EnrollRequest,
    ) -> Result<EnrollResponse, EnrolmentError> {
        self.admit_stranger(peer.as_ref())?;
        let token: TokenId = request
            .token_id
            .parse()
            .map_err(|_| EnrolmentError::TokenId)?;
        verify_identity(
            ENROLL_CONTEXT,
            &request.csr_der,
            &[],
            &request.identity_spki_der,
            &request.identity_signature,
        )?;
        let facts = facts_from_wire(
            request
                .facts
                .ok_or(ConvertError::Missing { field: "facts" })?,
        )?;
        let claim = TokenClaim {
            token,
            secret_hash: JoinToken::secret_hash(&request.token_secret),
            identity_hash: JoinToken::secret_hash(&request.identity_spki_der),
            host: HostId::of_identity_spki(&request.identity_spki_der),
        };
        // Nothing is signed, and no transaction begun, for a token that lets nobody in.
        self.app.look_at_token(&claim).await?;
        let now = self.app.clock.now();
        let certificate =
            self.app
                .authority
                .issue_agent(&request.csr_der, claim.host, now, &self.app.entropy)?;
        let key_hash = request_key_hash(&request.csr_der).map_err(IssueError::from)?;
        let generation = self
            .app
            .enrol(
                &claim,
                &request.identity_spki_der,
                &facts,
                &Issued {
                    key_hash,
                    certificate: &certificate,
                },
            )
            .await?;
        self.app.metrics.enrolments.add(1);
        Ok(EnrollResponse {
            host_id: claim.host.to_string(),
            credentials: Some(self.credentials(certificate, generation)),
        })
    }

    async fn renew_certificate(
        &self,
        peer: Option<Peer>,
        request: RenewRequest,
    ) -> Result<RenewResponse, EnrolmentError> {
        self.admit_renewal(peer.as_ref())?;
        verify_identity(
            RENEW_CONTEXT,
            &request.csr_der,
            &request.generation.to_be_bytes(),
            &request.identity_spki_der,
            &request.identity_signature,
        )?;
        let host = HostId::of_identity_spki(&request.identity_spki_der);
        self.app.look_at_renewal(host).await?;
        let now = self.app.clock.now();
        let certificate =
            self.app
                .authority
                .issue_agent(&request.csr_der, host, now, &self.app.entropy)?;
        let key_hash = request_key_hash(&request.csr_der).map_err(IssueError::from)?;
        let generation = self
            .app
            .renew(
                host,
                request.generation,
                &Issued {
                    key_hash,
                    certificate: &certificate,
                },
            )
            .await?;
        self.app.metrics.renewals.add(1);
        Ok(RenewResponse {
            credentials: Some(self.credentials(certificate, generation)),
        })
    }

    fn credentials(&self, certificate: AgentCertificate, generation: u64) -> Credentials {
        Credentials {
            chain_der: certificate.chain.iter().map(|der| der.to_vec()).collect(),
            root_der: self.app.authority.root().to_vec(),
            not_before_ms: certificate.not_before.unix_ms(),
            not_after_ms: certificate.not_after.unix_ms(),
            generation,
        }
    }
}

/// Who asks to be enrolled, and with what.
#[derive(Clone, Copy, Debug)]
pub struct TokenClaim {
    /// The token.
    pub token: TokenId,
    /// Hash of the secret that was shown.
    pub secret_hash: [u8; 32],
    /// Hash of the identity key that asks.
    pub identity_hash: [u8; 32],
    /// The host, by its identity key.
    pub host: HostId,
}

/// A certificate that is to be recorded before it is handed out.
#[derive(Clone, Copy, Debug)]
pub struct Issued<'a> {
    /// Hash of the request's public key.
    pub key_hash: [u8; 32],
    /// The certificate.
    pub certificate: &'a AgentCertificate,
}

impl Issued<'_> {
    /// What is recorded of it.
    #[must_use]
    pub const fn as_generation(&self, generation: u64) -> HostCertificate {
        HostCertificate {
            generation,
            not_after: self.certificate.not_after,
            spki_hash: self.key_hash,
        }
    }
}
