//! One agent's session: Hello, Welcome, records in, acks out, until either side ends it.
//!
//! Knows the order of frames and the limits; what becomes of records is `ingest`'s business.

mod actions;
mod checkpoints;
pub mod drain;
mod inbound;
pub(crate) mod inflow;
pub mod pace;
mod upgrades;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tidemark_model::notice::NoticeKind;
use tidemark_model::{Epoch, HostFacts, HostId, HostState, Seq, SessionId, Timestamp};
use tidemark_proto::PROTOCOL_VERSION;
use tidemark_proto::convert::ConvertError;
use tidemark_proto::convert::facts::facts_from_wire;
use tidemark_proto::v1::agent_gateway_server::AgentGateway;
use tidemark_proto::v1::{
    AgentFrame, ControllerFrame, Drain, Hello, Settings, Welcome, agent_frame, controller_frame,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::connection::Peer;
use super::outcome::status_of;
use crate::app::App;
use crate::ingest::{Lane, OpenLane};
use crate::live::SessionClaim;
use crate::pki::peer::AgentHeld;
use crate::remediate::lanes::Taking;

/// Frames to the agent that wait for the network.
const OUTBOUND_MAX: usize = 16;

/// An agent that does not introduce itself within this time is not one.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a draining session waits for the agent to end it.
pub(crate) const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

/// An ack that says nothing new tells the agent that the controller lives, also while the database does not.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Greetings at once that ask the database about their hosts; others wait. A fleet that comes back together would else keep every
/// connection to the database from those who ask the API and from ingest.
pub const GREETINGS: usize = 8;

/// Records that an agent may send beyond the last ack. 4 batches keep a link of 100 ms busy.
pub const CREDIT_RECORDS: u32 = 1_024;

/// Records of one batch.
pub const BATCH_RECORDS_MAX: u32 = 256;

/// Bytes of one batch before compression.
pub const BATCH_BYTES_MAX: u32 = 1024 * 1024;

/// The service that agents stream to.
#[derive(Clone)]
pub struct Gateway {
    app: Arc<App>,
}

impl Gateway {
    /// The service over `app`.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

type Outbound = Pin<Box<dyn Stream<Item = Result<ControllerFrame, Status>> + Send>>;

#[tonic::async_trait]
impl AgentGateway for Gateway {
    type SessionStream = Outbound;

    async fn session(
        &self,
        request: Request<Streaming<AgentFrame>>,
    ) -> Result<Response<Outbound>, Status> {
        let peer = *request
            .extensions()
            .get::<Peer>()
            .ok_or_else(|| Status::internal("the connection has no identity"))?;
        let agent = authenticated(&self.app, &peer).await?;
        let (outbound_tx, outbound_rx) = mpsc::channel(OUTBOUND_MAX);
        let app = Arc::clone(&self.app);
        let frames = request.into_inner();
        self.app.life.spawn("session", async move {
            let outbound = outbound_tx.clone();
            if let Err(status) = converse(app, agent, frames, outbound_tx).await {
                // A full or closed queue means that the agent is gone and needs no status.
                outbound.try_send(Err(status)).ok();
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound_rx))))
    }
}

/// The agent of the host that a connection may speak for. One that is unknown here may have enrolled at another controller a
/// moment ago.
pub(super) async fn authenticated(app: &App, peer: &Peer) -> Result<AgentHeld, Status> {
    let agent = match peer.agent {
        None => {
            return Err(Status::unauthenticated(
                "a client certificate is required; enrol first, with a join token",
            ));
        }
        Some(Err(error)) => return Err(Status::unauthenticated(error.to_string())),
        Some(Ok(agent)) => agent,
    };
    let host = agent.host;
    let standing = || app.live.read(host, |host| host.profile.standing);
    let known = match standing() {
        Some(standing) => Some(standing),
        None => {
            let learnt = app.learn_host(host).await;
            learnt.map_err(|error| status_of(&error))?;
            standing()
        }
    };
    match known {
        Some(HostState::Enrolled | HostState::Quarantined) => Ok(agent),
        Some(HostState::Revoked) => Err(Status::permission_denied(
            "this host is revoked; reset its identity and enrol it with a new token",
        )),
        None => Err(Status::permission_denied(
            "this host is unknown to this controller; enrol it with a new token",
        )),
    }
}

/// A session that was introduced.
pub(crate) struct Session {
    pub(crate) app: Arc<App>,
    pub(crate) host: HostId,
    pub(crate) id: SessionId,
    pub(crate) lane: Lane,
    /// The host's clock less the controller's, in milliseconds, as its greeting showed it.
    pub(crate) skew_ms: i64,
    pub(crate) outbound: mpsc::Sender<Result<ControllerFrame, Status>>,
    /// Cancelled when the host is revoked or another session takes over.
    pub(crate) cut: CancellationToken,
    /// When the agent opened it, by the host's clock.
    pub(crate) opened_at: Timestamp,
    /// Whether the agent takes actions.
    pub(crate) taking: Taking,
}

async fn converse(
    app: Arc<App>,
    agent: AgentHeld,
    mut frames: Streaming<AgentFrame>,
    outbound: mpsc::Sender<Result<ControllerFrame, Status>>,
) -> Result<(), Status> {
    let hello = first_frame(&mut frames).await?;
    let (session, acked) = Box::pin(introduce(app, agent, hello, outbound)).await?;
    let app = Arc::clone(&session.app);
    let (host, id) = (session.host, session.id);
    app.metrics.sessions_opened.add(1);
    app.metrics.sessions.set(app.sessions_open.add());
    let result = inbound::run(session, frames, acked).await;
    app.remediation.lanes.close(host, id);
    app.upgrades.forget(host, id);
    app.remediation.changed.notify_one();
    app.metrics.sessions.set(app.sessions_open.remove());
    if app.live.close_session(host, id) {
        app.company.sessions_changed.notify_one();
        let reason = match &result {
            Ok(()) => "the agent said goodbye".to_owned(),
            Err(status) => status.message().to_owned(),
        };
        app.note(
            Some(host),
            NoticeKind::HostDisconnected,
            format!("disconnected: {reason}"),
        );
    }
    result
}

async fn first_frame(frames: &mut Streaming<AgentFrame>) -> Result<Hello, Status> {
    let frame = tokio::time::timeout(HELLO_TIMEOUT, frames.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello within 10 s"))??;
    match frame.and_then(|frame| frame.kind) {
        Some(agent_frame::Kind::Hello(hello)) => Ok(hello),
        Some(
            agent_frame::Kind::Records(_)
            | agent_frame::Kind::Gap(_)
            | agent_frame::Kind::Spool(_)
            | agent_frame::Kind::Audit(_)
            | agent_frame::Kind::Action(_)
            | agent_frame::Kind::Policy(_)
            | agent_frame::Kind::Checkpoint(_)
            | agent_frame::Kind::Upgrade(_)
            | agent_frame::Kind::UpgradePieceWanted(_),
        )
        | None => Err(Status::invalid_argument("the first frame must be hello")),
    }
}

async fn introduce(
    app: Arc<App>,
    agent: AgentHeld,
    hello: Hello,
    outbound: mpsc::Sender<Result<ControllerFrame, Status>>,
) -> Result<(Session, Seq), Status> {
    let protocol = common_protocol(&hello)?;
    let now = app.clock.now();
    let skew_ms = hello.clock_ms.saturating_sub(now.unix_ms());
    let (host, generation) = (agent.host, hello.certificate_generation);
    let facts = hello
        .facts
        .ok_or(ConvertError::Missing {
            field: "hello.facts",
        })
        .and_then(facts_from_wire)
        .map_err(|error| status_of(&error))?;
    let rebooted = app.greet(&agent, generation, &facts).await?;
    let epoch = Epoch::new(hello.epoch);
    let opened = app
        .ingest
        .open(OpenLane {
            host,
            epoch,
            skew_ms,
        })
        .await
        .map_err(|error| status_of(&error))?;
    let session = Session {
        id: SessionId::new(app.entropy.u64()),
        host,
        lane: opened.lane,
        skew_ms,
        outbound,
        cut: CancellationToken::new(),
        opened_at: Timestamp::from_unix_ms(hello.clock_ms),
        taking: if hello.takes_actions {
            Taking::Actions
        } else {
            Taking::Nothing
        },
        app,
    };
    let welcome = Welcome {
        protocol,
        session_id: session.id.get(),
        acked_seq: opened.acked.get(),
        credit: CREDIT_RECORDS,
        batch_records_max: BATCH_RECORDS_MAX,
        batch_bytes_max: BATCH_BYTES_MAX,
        clock_ms: session.app.clock.now().unix_ms(),
        settings: Some(Settings {
            sample_interval_ms: 0,
        }),
        takes_audits: true,
        sends_actions: true,
        takes_checkpoints: true,
        sends_releases: true,
        incarnation: session.app.incarnation,
    };
    session
        .send(controller_frame::Kind::Welcome(welcome))
        .await?;
    session.register(&facts, skew_ms, rebooted)?;
    if let Some(status) = hello.spool {
        session.take_spool_status(&status)?;
    }
    Ok((session, opened.acked))
}

fn common_protocol(hello: &Hello) -> Result<u32, Status> {
    if (hello.protocol_min..=hello.protocol_max).contains(&PROTOCOL_VERSION) {
        return Ok(PROTOCOL_VERSION);
    }
    Err(Status::failed_precondition(format!(
        "the agent speaks protocol versions {} to {}, this controller speaks {PROTOCOL_VERSION}: update the older of them",
        hello.protocol_min, hello.protocol_max
    )))
}

impl Session {
    pub(crate) async fn send(&self, kind: controller_frame::Kind) -> Result<(), Status> {
        let frame = ControllerFrame { kind: Some(kind) };
        self.outbound
            .send(Ok(frame))
            .await
            .map_err(|_| Status::cancelled("the connection was lost"))
    }

    fn register(&self, facts: &HostFacts, skew_ms: i64, rebooted: bool) -> Result<(), Status> {
        let claim = SessionClaim {
            id: self.id,
            stop: self.cut.clone(),
        };
        if !self
            .app
            .live
            .open_session(self.host, claim, self.app.clock.now())
        {
            return Err(Status::permission_denied("this host is revoked"));
        }
        self.app
            .live
            .update(self.host, |host| host.clock_skew_ms = Some(skew_ms));
        self.app.company.sessions_changed.notify_one();
        if rebooted {
            self.app.note(
                Some(self.host),
                NoticeKind::HostRebooted,
                format!("{} has rebooted", facts.name),
            );
        }
        self.app.note(
            Some(self.host),
            NoticeKind::HostConnected,
            format!(
                "{} connected (agent {}, {})",
                facts.name, facts.agent_version, facts.os
            ),
        );
        Ok(())
    }

    /// Asks the agent to come back later and waits a moment for it to go.
    pub(crate) async fn drain(&self) -> Result<(), Status> {
        let spread_ms = self.app.drain_spread.ms(self.app.sessions_open.count());
        self.send(controller_frame::Kind::Drain(Drain { spread_ms }))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what a function with such arguments runs as.
    const fn bytes_of<A, B, C, D, F: Future>(_task: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn ten_thousand_sessions_take_less_than_a_hundred_megabytes() {
        let bytes = bytes_of(converse);
        assert!(bytes < 10 * 1_024, "a session is a task of {bytes} bytes");
    }
}
