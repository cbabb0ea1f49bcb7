//! A controller for tests: real TLS on loopback, a CA of its own, and knobs for everything that can go wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tidemark_model::host::HostFacts;
use tidemark_model::token::{CaPin, TokenId};
use tidemark_model::{HostId, JoinToken, Secret, Seq};
use tidemark_proto::SERVER_NAME;
use tidemark_proto::convert::record::{BatchDecoder, BatchLimits, Record};
use tidemark_proto::v1::agent_gateway_server::{AgentGateway, AgentGatewayServer};
use tidemark_proto::v1::enrollment_server::{Enrollment, EnrollmentServer};
use tidemark_proto::v1::{self, agent_frame, controller_frame};
use tidemark_runtime::tls::{self, TlsIdentity};
use tidemark_runtime::{Clock, Entropy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::link::{Dialer, SourcePorts};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: BatchLimits = BatchLimits {
    records_max: 4,
    bytes_max: 1024 * 1024,
};
const CREDIT: u32 = 16;
const HOUR_MS: i64 = 3_600_000;

/// What the controller saw, and how it behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) enrolled: Vec<v1::EnrollRequest>,
    pub(crate) renewed: Vec<v1::RenewRequest>,
    pub(crate) hellos: Vec<v1::Hello>,
    /// SHA-256 of the certificate that each session showed.
    pub(crate) session_keys: Vec<Option<Vec<u8>>>,
    /// Source ports of the connections that came.
    pub(crate) ports: Vec<u16>,
    pub(crate) records: Vec<(Seq, Record)>,
    pub(crate) gaps: Vec<v1::Gap>,
    pub(crate) statuses: Vec<v1::SpoolStatus>,
    pub(crate) audits: Vec<v1::HostAudit>,
    pub(crate) updates: Vec<v1::ActionUpdate>,
    pub(crate) policies: Vec<v1::HostPolicy>,
    /// What hosts told of an audit log.
    pub(crate) checkpoints: Vec<v1::CheckpointReport>,
    /// Streams that the agent ended by itself.
    pub(crate) half_closed: usize,
    pub(crate) generation: u64,
    pub(crate) knobs: Knobs,
}

/// How the controller behaves.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    /// Answers that are made but never sent.
    pub(crate) answers_lost: u32,
    /// Answer to enrolment, instead of the right one.
    pub(crate) enroll_error: Option<(tonic::Code, &'static str)>,
    /// Answer to sessions, instead of the right one.
    pub(crate) session_error: Option<(tonic::Code, &'static str)>,
    /// Life of the certificates, in milliseconds from an hour ago.
    pub(crate) life_ms: i64,
    /// Acks are sent.
    pub(crate) acks: bool,
    /// This seq is refused.
    pub(crate) refuses: Option<u64>,
    /// Acked before, whatever is stored.
    pub(crate) claims_acked: Option<u64>,
    /// Which incarnation of the fleet it says it is of.
    pub(crate) incarnation: u64,
    pub(crate) sample_interval_ms: u32,
    pub(crate) clock_ahead_ms: i64,
    /// Audits are taken, as this build's controller says in its welcome.
    pub(crate) takes_audits: bool,
    /// Actions are sent and their updates taken.
    pub(crate) sends_actions: bool,
    /// What hosts hold of an audit log is taken.
    pub(crate) takes_checkpoints: bool,
    /// Sent after each welcome.
    pub(crate) after_welcome: Vec<controller_frame::Kind>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            answers_lost: 0,
            enroll_error: None,
            session_error: None,
            life_ms: 72 * HOUR_MS,
            acks: true,
            refuses: None,
            claims_acked: None,
            incarnation: 1,
            sample_interval_ms: 0,
            clock_ahead_ms: 0,
            takes_audits: true,
            sends_actions: true,
            takes_checkpoints: true,
            after_welcome: Vec::new(),
        }
    }
}

/// A running controller.
pub(crate) struct TestController {
    pub(crate) world: watch::Sender<World>,
    authority: Arc<Authority>,
    address: SocketAddr,
    connections: JoinSet<()>,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    pin: CaPin,
}

impl TestController {
    pub(crate) async fn start() -> Self {
        let authority = Arc::new(Authority::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut controller = Self {
            world: watch::Sender::new(World::default()),
            address: listener.local_addr().unwrap(),
            connections: JoinSet::new(),
            authority,
        };
        controller.accept_on(listener);
        controller
    }

    fn accept_on(&mut self, listener: TcpListener) {
        let service = Service {
            world: self.world.clone(),
            authority: Arc::clone(&self.authority),
        };
        let config =
            tls::server_config(self.authority.server(), self.authority.root.clone()).unwrap();
        let acceptor = TlsAcceptor::from(config);
        self.connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, peer)) = listener.accept().await {
                service
                    .world
                    .send_modify(|world| world.ports.push(peer.port()));
                open.spawn(serve(service.clone(), acceptor.clone(), stream));
            }
        });
    }

    /// Ends every connection without a word and goes on listening at the same address.
    pub(crate) async fn cut(&mut self) {
        self.connections.shutdown().await;
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.accept_on(socket.listen(64).unwrap());
    }

    /// Stops listening for good.
    pub(crate) async fn stop(&mut self) {
        self.connections.shutdown().await;
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Knobs)) {
        self.world.send_modify(|world| change(&mut world.knobs));
    }

    pub(crate) fn token(&self) -> JoinToken {
        JoinToken {
            id: TokenId::from_bytes([1; 10]),
            secret: Secret::new([2; 32]),
            ca_pin: self.authority.pin,
        }
    }

    pub(crate) fn dialer(&self) -> Arc<Dialer> {
        Arc::new(Dialer::new(
            self.address.to_string().parse().unwrap(),
            SourcePorts::KernelChoice,
            Entropy::System,
        ))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn world(&self) -> World {
        self.world.borrow().clone()
    }

    /// Waits until the controller has seen what the test expects.
    pub(crate) async fn until(&self, what: &str, is_so: impl FnMut(&World) -> bool) -> World {
        let mut seen = self.world.subscribe();
        match tokio::time::timeout(PATIENCE, seen.wait_for(is_so)).await {
            Ok(world) => world.unwrap().clone(),
            Err(_) => panic!("{what} did not happen: {:?}", self.world()),
        }
    }
}

/// What a host of the tests says about itself.
pub(crate) fn facts() -> HostFacts {
    HostFacts {
        name: "host-1".into(),
        os: "Linux".into(),
        agent_version: "0.1.0".into(),
        boot_id: "boot".into(),
        time_zone: None,
        capabilities: Vec::new(),
        labels: std::collections::BTreeMap::new(),
    }
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let pin = CaPin::of_spki(&key.subject_public_key_info());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            root,
            pin,
        }
    }

    fn server(&self) -> TlsIdentity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::DnsName(SERVER_NAME.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        TlsIdentity {
            chain: vec![leaf.der().clone(), self.root.clone()],
            key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        }
    }

    fn issue(&self, csr_der: &[u8], life_ms: i64, generation: u64) -> v1::Credentials {
        let csr = CertificateSigningRequestParams::from_der(&csr_der.into()).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&csr.public_key, &self.issuer).unwrap();
        let not_before_ms = Clock::System.now().unix_ms() - HOUR_MS;
        v1::Credentials {
            chain_der: vec![leaf.der().to_vec()],
            root_der: self.root.to_vec(),
            not_before_ms,
            not_after_ms: not_before_ms + life_ms,
            generation,
        }
    }
}

#[derive(Clone)]
struct Service {
    world: watch::Sender<World>,
    authority: Arc<Authority>,
}

/// The certificate that a connection showed.
#[derive(Clone)]
struct PeerKey(Option<Vec<u8>>);

async fn serve(service: Service, acceptor: TlsAcceptor, stream: TcpStream) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let shown = stream.get_ref().1.peer_certificates();
    let key = PeerKey(shown.and_then(|chain| Some(Sha256::digest(chain.first()?).to_vec())));
    let routes = Routes::new(EnrollmentServer::new(service.clone()))
        .add_service(AgentGatewayServer::new(service))
        .prepare();
    let with_key = tower::ServiceBuilder::new()
        .map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(key.clone());
            request.map(tonic::body::Body::new)
        })
        .service(routes);
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(with_key))
        .await;
    drop(served);
}

impl Service {
    /// Whether this answer is to be lost.
    fn loses_answer(&self) -> bool {
        let mut loses = false;
        self.world.send_modify(|world| {
            loses = world.knobs.answers_lost > 0;
            world.knobs.answers_lost = world.knobs.answers_lost.saturating_sub(1);
        });
        loses
    }

    fn next_generation(&self) -> u64 {
        let mut generation = 0;
        self.world.send_modify(|world| {
            world.generation += 1;
            generation = world.generation;
        });
        generation
    }
}

fn check_proof(spki: &[u8], message: &[&[u8]], signature: &[u8]) -> Result<(), Status> {
    // The uncompressed point is the last 65 bytes of a P-256 SubjectPublicKeyInfo.
    let point = spki
        .len()
        .checked_sub(65)
        .and_then(|start| spki.get(start..))
        .unwrap_or(spki);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
        .verify(&message.concat(), signature)
        .map_err(|_| Status::unauthenticated("the proof of the identity key is wrong"))
}

#[tonic::async_trait]
impl Enrollment for Service {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let request = request.into_inner();
        let hash = Sha256::digest(&request.csr_der);
        let message: [&[u8]; 2] = [b"tidemark/enroll/v1\0", &hash];
        check_proof(
            &request.identity_spki_der,
            &message,
            &request.identity_signature,
        )?;
        self.world
            .send_modify(|world| world.enrolled.push(request.clone()));
        let knobs = self.world.borrow().knobs.clone();
        if let Some((code, message)) = knobs.enroll_error {
            return Err(Status::new(code, message));
        }
        if self.loses_answer() {
            return Err(Status::unavailable("the answer is lost"));
        }
        let generation = self.next_generation();
        let issued = self
            .authority
            .issue(&request.csr_der, knobs.life_ms, generation);
        Ok(Response::new(v1::EnrollResponse {
            host_id: HostId::of_identity_spki(&request.identity_spki_der).to_string(),
            credentials: Some(issued),
        }))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        let request = request.into_inner();
        let hash = Sha256::digest(&request.csr_der);
        let generation_bytes = request.generation.to_be_bytes();
        let message: [&[u8]; 3] = [b"tidemark/renew/v1\0", &hash, &generation_bytes];
        check_proof(
            &request.identity_spki_der,
            &message,
            &request.identity_signature,
        )?;
        self.world
            .send_modify(|world| world.renewed.push(request.clone()));
        if self.loses_answer() {
            return Err(Status::unavailable("the answer is lost"));
        }
        let life_ms = self.world.borrow().knobs.life_ms;
        let issued = self
            .authority
            .issue(&request.csr_der, life_ms, self.next_generation());
        Ok(Response::new(v1::RenewResponse {
            credentials: Some(issued),
        }))
    }
}

#[tonic::async_trait]
impl AgentGateway for Service {
    type SessionStream = ReceiverStream<Result<v1::ControllerFrame, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let key = request.extensions().get::<PeerKey>().cloned();
        let shown = key.and_then(|key| key.0);
        self.world
            .send_modify(|world| world.session_keys.push(shown.clone()));
        if shown.is_none() {
            return Err(Status::unauthenticated("a session needs a certificate"));
        }
        if let Some((code, message)) = self.world.borrow().knobs.session_error {
            return Err(Status::new(code, message));
        }
        let (answers, queue) = mpsc::channel(16);
        let conversation = Conversation {
            world: self.world.clone(),
            decoder: BatchDecoder::default(),
            answers,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(conversation.run(request.into_inner()));
        tasks.detach_all();
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

struct Conversation {
    world: watch::Sender<World>,
    decoder: BatchDecoder,
    answers: mpsc::Sender<Result<v1::ControllerFrame, Status>>,
}

impl Conversation {
    async fn run(mut self, mut frames: Streaming<v1::AgentFrame>) {
        loop {
            match frames.message().await {
                Ok(Some(frame)) => self.take(frame.kind.unwrap()).await,
                Ok(None) => {
                    self.world.send_modify(|world| world.half_closed += 1);
                    return;
                }
                Err(_) => return,
            }
        }
    }

    async fn answer(&self, kind: controller_frame::Kind) {
        let frame = v1::ControllerFrame { kind: Some(kind) };
        drop(self.answers.send(Ok(frame)).await);
    }

    async fn take(&mut self, kind: agent_frame::Kind) {
        let knobs = self.world.borrow().knobs.clone();
        match kind {
            agent_frame::Kind::Hello(hello) => {
                let stored = self.stored();
                self.world.send_modify(|world| world.hellos.push(hello));
                self.welcome(&knobs, knobs.claims_acked.unwrap_or(stored))
                    .await;
            }
            agent_frame::Kind::Records(batch) => {
                let decoded = self.decoder.decode(&batch, LIMITS).unwrap();
                let last = batch.first_seq + u64::from(batch.count) - 1;
                let refused = knobs
                    .refuses
                    .filter(|seq| (batch.first_seq..=last).contains(seq));
                self.world.send_modify(|world| {
                    let taken = decoded.records.into_iter();
                    let kept = taken.filter(|(seq, _)| Some(seq.get()) != refused);
                    world.records.extend(kept);
                });
                if let Some(seq) = refused {
                    self.answer(controller_frame::Kind::Refused(v1::Refused {
                        first_seq: seq,
                        last_seq: seq,
                        reason: "not legal".to_owned(),
                    }))
                    .await;
                }
                self.ack(&knobs, last).await;
            }
            agent_frame::Kind::Gap(gap) => {
                let last = gap.last_seq;
                self.world.send_modify(|world| world.gaps.push(gap));
                self.ack(&knobs, last).await;
            }
            agent_frame::Kind::Spool(status) => {
                self.world.send_modify(|world| world.statuses.push(status));
            }
            agent_frame::Kind::Audit(audit) => {
                self.world.send_modify(|world| world.audits.push(audit));
            }
            agent_frame::Kind::Action(update) => {
                self.world.send_modify(|world| world.updates.push(update));
            }
            agent_frame::Kind::Policy(policy) => {
                self.world.send_modify(|world| world.policies.push(policy));
            }
            // This controller sends no releases.
            agent_frame::Kind::Upgrade(_) | agent_frame::Kind::UpgradePieceWanted(_) => {}
            agent_frame::Kind::Checkpoint(report) => {
                self.world
                    .send_modify(|world| world.checkpoints.push(report));
            }
        }
    }

    /// The highest seq that was stored or told as a gap.
    fn stored(&self) -> u64 {
        let world = self.world.borrow();
        let record = world.records.iter().map(|(seq, _)| seq.get()).max();
        let gap = world.gaps.iter().map(|gap| gap.last_seq).max();
        record.max(gap).unwrap_or(0)
    }

    async fn welcome(&self, knobs: &Knobs, acked_seq: u64) {
        let clock_ms = Clock::System.now().unix_ms() + knobs.clock_ahead_ms;
        self.answer(controller_frame::Kind::Welcome(v1::Welcome {
            protocol: 1,
            session_id: 7,
            acked_seq,
            credit: CREDIT,
            batch_records_max: LIMITS.records_max,
            batch_bytes_max: LIMITS.bytes_max,
            clock_ms,
            settings: Some(v1::Settings {
                sample_interval_ms: knobs.sample_interval_ms,
            }),
            takes_audits: knobs.takes_audits,
            sends_actions: knobs.sends_actions,
            takes_checkpoints: knobs.takes_checkpoints,
            sends_releases: false,
            incarnation: knobs.incarnation,
        }))
        .await;
        for kind in &knobs.after_welcome {
            self.answer(kind.clone()).await;
        }
    }

    async fn ack(&self, knobs: &Knobs, through_seq: u64) {
        if knobs.acks {
            self.answer(controller_frame::Kind::Ack(v1::Ack {
                through_seq,
                credit: CREDIT,
            }))
            .await;
        }
    }
}
