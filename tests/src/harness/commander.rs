//! A controller of a test's own that gives orders: it enrols whoever comes, takes what hosts tell, and sends what the test
//! says. Real TLS, the product's own wire, and nothing between the test and the host.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tidemark_model::action::SignedOrder;
use tidemark_model::grant::GrantId;
use tidemark_model::token::{CaPin, TokenId};
use tidemark_model::{
    ActionId, ActionReport, ActionSpec, ActionState, HostId, JoinToken, Order, Secret, Timestamp,
};
use tidemark_proto::convert::action::{ack_to_wire, order_to_wire, report_from_wire};
use tidemark_proto::v1::agent_gateway_server::{AgentGateway, AgentGatewayServer};
use tidemark_proto::v1::enrollment_server::{Enrollment, EnrollmentServer};
use tidemark_proto::v1::{self, ActionUndo, ControllerFrame, agent_frame, controller_frame};
use tidemark_runtime::tls;
use tidemark_runtime::{Clock, Entropy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

mod authority;

use authority::Authority;

const HOUR_MS: i64 = 3_600_000;
/// How long an order is valid.
const VALID_MS: i64 = HOUR_MS;
const BATCH_RECORDS_MAX: u32 = 256;
const BATCH_BYTES_MAX: u32 = 1024 * 1024;
const CREDIT: u32 = 1_024;

type Answer = Result<ControllerFrame, Status>;

/// The running controller.
#[derive(Debug)]
pub struct Commander {
    address: SocketAddr,
    pin: Option<CaPin>,
    world: watch::Sender<World>,
    _connections: JoinSet<()>,
}

/// What it knows.
#[derive(Clone, Debug, Default)]
struct World {
    /// The host that enrolled last.
    host: Option<HostId>,
    /// The session with it.
    session: Option<mpsc::Sender<Answer>>,
    /// The last word about each action.
    reports: BTreeMap<ActionId, ActionReport>,
    /// Whether it leaves unread what hosts say.
    is_deaf: bool,
    /// Reports that came.
    told: u64,
    /// Sessions that were opened.
    sessions: u64,
    /// What a host said that is no report.
    faults: Vec<String>,
}

impl Commander {
    /// Begins, at a port that the system chooses.
    ///
    /// # Errors
    /// When it cannot listen, or make its certificates.
    pub async fn start() -> anyhow::Result<Self> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::with(Authority::new()?, anywhere, None).await
    }

    /// Takes the place of a real controller whose folder was stolen, at its address, for one of its hosts.
    ///
    /// # Errors
    /// When it cannot listen there, or the folder holds no authority.
    pub async fn in_place_of(
        data_dir: &Path,
        address: SocketAddr,
        host: HostId,
    ) -> anyhow::Result<Self> {
        Self::with(Authority::stolen(data_dir)?, address, Some(host)).await
    }

    async fn with(
        authority: Authority,
        address: SocketAddr,
        host: Option<HostId>,
    ) -> anyhow::Result<Self> {
        let authority = Arc::new(authority);
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let pin = authority.pin;
        let acceptor = TlsAcceptor::from(tls::server_config(
            authority.server()?,
            authority.root.clone(),
        )?);
        let world = watch::Sender::new(World {
            host,
            ..World::default()
        });
        let service = Service {
            world: world.clone(),
            authority,
        };
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(service.clone(), acceptor.clone(), stream));
            }
        });
        Ok(Self {
            address,
            pin,
            world,
            _connections: connections,
        })
    }

    /// Where hosts find it.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// A token that it takes, as it takes any.
    ///
    /// # Errors
    /// When its authority is a stolen one.
    pub fn token(&self) -> anyhow::Result<String> {
        let token = JoinToken {
            id: TokenId::from_bytes([1; 10]),
            secret: Secret::new([2; 32]),
            ca_pin: self.pin.context("nobody joins a usurper")?,
        };
        Ok(token.expose_text())
    }

    /// Sends one frame over the session, whatever is in it.
    ///
    /// # Errors
    /// When no host is there within `patience`, or it is gone again.
    pub async fn send_frame(
        &self,
        kind: controller_frame::Kind,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let world = self
            .until("a session", patience, |world| world.session.is_some())
            .await?;
        let session = world.session.context("a session")?;
        session
            .send(Ok(ControllerFrame { kind: Some(kind) }))
            .await
            .context("the session is gone")
    }

    /// Sends these bytes as an order and waits for the host's next last word about its id.
    ///
    /// # Errors
    /// When it does not come within `patience`.
    pub async fn deliver(
        &self,
        signed: &SignedOrder,
        patience: Duration,
    ) -> anyhow::Result<ActionReport> {
        let frame = controller_frame::Kind::Action(order_to_wire(signed));
        self.answer_to(frame, signed.id, patience).await
    }

    /// The same of an order that names a grant.
    ///
    /// # Errors
    /// When it does not come within `patience`.
    pub async fn deliver_under(
        &self,
        signed: &SignedOrder,
        grant: GrantId,
        patience: Duration,
    ) -> anyhow::Result<ActionReport> {
        let mut order = order_to_wire(signed);
        order.grant_id = grant.as_bytes().to_vec();
        let frame = controller_frame::Kind::Action(order);
        self.answer_to(frame, signed.id, patience).await
    }

    /// Asks that an action be undone, and waits for the host's word about it.
    ///
    /// # Errors
    /// When it does not come within `patience`.
    pub async fn undo(&self, id: ActionId, patience: Duration) -> anyhow::Result<ActionReport> {
        let frame = controller_frame::Kind::ActionUndo(ActionUndo {
            action_id: id.as_bytes().to_vec(),
        });
        self.answer_to(frame, id, patience).await
    }

    async fn answer_to(
        &self,
        frame: controller_frame::Kind,
        id: ActionId,
        patience: Duration,
    ) -> anyhow::Result<ActionReport> {
        self.world.send_modify(|world| {
            world.reports.remove(&id);
        });
        self.send_frame(frame, patience).await?;
        let has_ended = |report: &ActionReport| is_last_word(report.state);
        let world = self
            .until("the host's last word", patience, |world| {
                world.reports.get(&id).is_some_and(has_ended)
            })
            .await?;
        world.reports.get(&id).cloned().context("no report")
    }

    /// Sends something and waits until the host has ended the session over it and come back.
    ///
    /// # Errors
    /// When it does not within `patience`.
    pub async fn drives_away(
        &self,
        kind: controller_frame::Kind,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let before = self.world.borrow().sessions;
        self.send_frame(kind, patience).await?;
        let is_another = |world: &World| world.sessions > before && world.session.is_some();
        self.until("another session", patience, is_another)
            .await
            .map(drop)
    }

    /// Reads nothing of what hosts say from here on, or goes on reading.
    pub fn turn_deaf(&self, is_deaf: Deaf) {
        self.world
            .send_modify(|world| world.is_deaf = is_deaf == Deaf::Yes);
    }

    /// Reports that came since the start, of whatever action.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.world.borrow().told
    }

    /// Has the host do it, and waits for its last word.
    ///
    /// # Errors
    /// When no host is there, or it does not come to an end within `patience`.
    pub async fn order(
        &self,
        spec: ActionSpec,
        patience: Duration,
    ) -> anyhow::Result<ActionReport> {
        self.send(spec, Wish::Effect, patience).await
    }

    /// Has the host say what it would do.
    ///
    /// # Errors
    /// As [`Commander::order`].
    pub async fn ask(&self, spec: ActionSpec, patience: Duration) -> anyhow::Result<ActionReport> {
        self.send(spec, Wish::Answer, patience).await
    }

    async fn send(
        &self,
        spec: ActionSpec,
        wish: Wish,
        patience: Duration,
    ) -> anyhow::Result<ActionReport> {
        let what = spec.summary();
        let world = self
            .until("a session", patience, |world| world.session.is_some())
            .await?;
        let host = world.host.context("a session without a host")?;
        let now = Clock::System.now();
        let entropy = Entropy::System;
        let order = Order {
            id: ActionId::from_random(
                (u128::from(entropy.u64()) << 64) | u128::from(entropy.u64()),
            ),
            host,
            spec,
            dry_run: wish == Wish::Answer,
            issued_at_ms: now,
            not_before_ms: now,
            expires_at_ms: Timestamp::from_unix_ms(now.unix_ms() + VALID_MS),
            requester: "test".to_owned(),
            reason: "a test wants it".to_owned(),
            undo_within_s: None,
        };
        let signed = SignedOrder {
            id: order.id,
            bytes: order.to_bytes(),
            signatures: Vec::new(),
        };
        let told = self.deliver(&signed, patience).await;
        told.with_context(|| what)
    }

    async fn until(
        &self,
        what: &str,
        patience: Duration,
        is_so: impl FnMut(&World) -> bool,
    ) -> anyhow::Result<World> {
        let mut seen = self.world.subscribe();
        let waited = tokio::time::timeout(patience, seen.wait_for(is_so)).await;
        let world = waited.with_context(|| {
            let world = self.world.borrow();
            format!(
                "waited {} s in vain for {what}: {} reports, the first {:?}, {:?}",
                patience.as_secs(),
                world.reports.len(),
                world.reports.values().take(5).collect::<Vec<_>>(),
                world.faults
            )
        })?;
        Ok(world?.clone())
    }
}

/// Whether a commander reads what hosts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deaf {
    /// It does not.
    Yes,
    /// It does.
    No,
}

/// What an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Effect,
    Answer,
}

/// Whether a host says nothing more about an action.
const fn is_last_word(state: ActionState) -> bool {
    matches!(
        state,
        ActionState::Verifying
            | ActionState::Answered
            | ActionState::Refused
            | ActionState::Failed
            | ActionState::RolledBack
    )
}

#[derive(Clone)]
struct Service {
    world: watch::Sender<World>,
    authority: Arc<Authority>,
}

async fn serve(service: Service, acceptor: TlsAcceptor, stream: TcpStream) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let routes = Routes::new(EnrollmentServer::new(service.clone()))
        .add_service(AgentGatewayServer::new(service))
        .prepare();
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .await;
    drop(served);
}

#[tonic::async_trait]
impl Enrollment for Service {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let request = request.into_inner();
        let host = HostId::of_identity_spki(&request.identity_spki_der);
        let issued = self
            .authority
            .issue(&request.csr_der)
            .map_err(|error| Status::internal(error.to_string()))?;
        self.world.send_modify(|world| world.host = Some(host));
        Ok(Response::new(v1::EnrollResponse {
            host_id: host.to_string(),
            credentials: Some(issued),
        }))
    }

    async fn renew(
        &self,
        _request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        Err(Status::unimplemented("no test is that long"))
    }
}

#[tonic::async_trait]
impl AgentGateway for Service {
    type SessionStream = ReceiverStream<Answer>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (answers, queue) = mpsc::channel(64);
        let conversation = Conversation {
            world: self.world.clone(),
            answers,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(conversation.run(request.into_inner()));
        tasks.detach_all();
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

/// One session.
struct Conversation {
    world: watch::Sender<World>,
    answers: mpsc::Sender<Answer>,
}

impl Conversation {
    async fn run(self, mut frames: Streaming<v1::AgentFrame>) {
        let mut seen = self.world.subscribe();
        while seen.wait_for(|world| !world.is_deaf).await.is_ok()
            && let Ok(Some(frame)) = frames.message().await
        {
            if let Some(kind) = frame.kind {
                self.take(kind).await;
            }
        }
        self.world.send_modify(|world| {
            let is_own = |session: &mpsc::Sender<Answer>| session.same_channel(&self.answers);
            if world.session.as_ref().is_some_and(is_own) {
                world.session = None;
            }
        });
    }

    async fn take(&self, kind: agent_frame::Kind) {
        match kind {
            agent_frame::Kind::Hello(hello) => self.welcome(&hello).await,
            agent_frame::Kind::Records(batch) => {
                let last = batch.first_seq + u64::from(batch.count) - 1;
                self.ack(last).await;
            }
            agent_frame::Kind::Gap(gap) => self.ack(gap.last_seq).await,
            agent_frame::Kind::Action(update) => match report_from_wire(update) {
                Ok(report) => self.note(report).await,
                Err(error) => self
                    .world
                    .send_modify(|world| world.faults.push(error.to_string())),
            },
            agent_frame::Kind::Spool(_)
            | agent_frame::Kind::Audit(_)
            | agent_frame::Kind::Policy(_)
            | agent_frame::Kind::Checkpoint(_)
            | agent_frame::Kind::Upgrade(_)
            | agent_frame::Kind::UpgradePieceWanted(_) => {}
        }
    }

    async fn note(&self, report: ActionReport) {
        if is_last_word(report.state)
            && let Some(ack) = ack_to_wire(&report)
        {
            self.answer(controller_frame::Kind::ActionAck(ack)).await;
        }
        self.world.send_modify(|world| {
            world.told += 1;
            world.reports.insert(report.id, report);
        });
    }

    async fn welcome(&self, hello: &v1::Hello) {
        self.answer(controller_frame::Kind::Welcome(v1::Welcome {
            protocol: hello.protocol_max,
            session_id: 1,
            acked_seq: hello.oldest_seq.saturating_sub(1),
            credit: CREDIT,
            batch_records_max: BATCH_RECORDS_MAX,
            batch_bytes_max: BATCH_BYTES_MAX,
            clock_ms: Clock::System.now().unix_ms(),
            settings: None,
            takes_audits: true,
            sends_actions: true,
            takes_checkpoints: false,
            sends_releases: false,
            incarnation: 1,
        }))
        .await;
        if hello.takes_actions {
            let session = self.answers.clone();
            self.world.send_modify(|world| {
                world.sessions += 1;
                world.session = Some(session);
            });
        }
    }

    async fn ack(&self, through_seq: u64) {
        self.answer(controller_frame::Kind::Ack(v1::Ack {
            through_seq,
            credit: CREDIT,
        }))
        .await;
    }

    async fn answer(&self, kind: controller_frame::Kind) {
        // A session that is gone hears nothing.
        drop(
            self.answers
                .send(Ok(ControllerFrame { kind: Some(kind) }))
                .await,
        );
    }
}
