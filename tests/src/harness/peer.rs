//! A peer of the gateway that a test speaks for, frame by frame: real TLS, a real identity, and nothing that keeps it from
//! breaking the rules.

use std::time::Duration;

use anyhow::Context as _;
use tidemark_agent::enroll::enroll;
use tidemark_agent::identity::{Credentials, Vault};
use tidemark_agent::link::{Dialer, LinkService, SourcePorts};
use tidemark_model::sample::{
    AgentCost, CountQuality, CounterRates, EventHit, OwnerCounts, OwnerSample, PortSpaceSample,
    ProcessIdentity,
};
use tidemark_model::tcp::StateCounts;
use tidemark_model::{
    HostFacts, HostId, JoinToken, PortRange, PortSpaceKey, Protocol, Sample, Seq, Timestamp,
};
use tidemark_proto::PROTOCOL_VERSION;
use tidemark_proto::convert::facts::facts_to_wire;
use tidemark_proto::convert::record::{BatchEncoder, BatchLimits, Record, encode_stored};
use tidemark_proto::v1::agent_gateway_client::AgentGatewayClient;
use tidemark_proto::v1::{self, AgentFrame, ControllerFrame, agent_frame, controller_frame};
use tidemark_runtime::tls::{self, TlsIdentity, Trust};
use tidemark_runtime::{Clock, Entropy};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{Controller, SOON};

/// A host in memory.
#[derive(Debug)]
pub struct Peer {
    vault: Vault,
    dialer: Dialer,
    facts: HostFacts,
}

/// A stream to the gateway.
#[derive(Debug)]
pub struct Session {
    frames: mpsc::Sender<AgentFrame>,
    answers: Streaming<ControllerFrame>,
    encoder: BatchEncoder,
    facts: HostFacts,
}

/// Facts of a made-up host.
#[must_use]
pub fn facts(name: &str) -> HostFacts {
    HostFacts {
        name: name.into(),
        os: "Linux 6.18 (made up)".into(),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        boot_id: "00000000-0000-0000-0000-000000000001".into(),
        time_zone: None,
        capabilities: Vec::new(),
        labels: std::collections::BTreeMap::new(),
    }
}

/// A sample of a made-up host: `in_use` of a thousand TCP ports, all of them of one process.
#[must_use]
pub fn sample(at: Timestamp, in_use: u32) -> Sample {
    let counts = OwnerCounts {
        ports: in_use,
        sockets: in_use,
        ..OwnerCounts::default()
    };
    let process = ProcessIdentity {
        pid: 7,
        started_at: at,
        name: "made-up".into(),
        executable: None,
        service: None,
    };
    let space = PortSpaceSample {
        key: PortSpaceKey::own(Protocol::Tcp),
        range: RANGE,
        capacity: u32::from(RANGE.last - RANGE.first) + 1,
        strong: in_use,
        time_wait_only: 0,
        bound: Some(0),
        quality: CountQuality::Counted,
        light: None,
        states_v4: StateCounts::default(),
        states_v6: StateCounts::default(),
        owners: vec![OwnerSample {
            process,
            counts,
            handles: None,
        }],
        owners_other: OwnerCounts::default(),
        ports_without_owner: 0,
        destinations: Vec::new(),
        destinations_other_ports: 0,
        watch_groups: Vec::new(),
    };
    Sample {
        at,
        booted_at: at,
        interval_ms: 1_000,
        port_spaces: vec![space],
        rates: CounterRates::default(),
        host_handles: None,
        probes: Vec::new(),
        cost: AgentCost::default(),
    }
}

const RANGE: PortRange = PortRange {
    first: 20_000,
    last: 20_999,
};

/// The dialer to a controller.
///
/// # Errors
/// When its address is no address.
pub fn dialer(controller: &Controller) -> anyhow::Result<Dialer> {
    let address = controller.ready.grpc.parse()?;
    Ok(Dialer::new(
        address,
        SourcePorts::KernelChoice,
        Entropy::System,
    ))
}

impl Peer {
    /// Enrols a new host with a token that is made for it.
    ///
    /// # Errors
    /// When the controller refuses.
    pub async fn enrolled(controller: &Controller, name: &str) -> anyhow::Result<Self> {
        Self::enrolled_as(controller, facts(name)).await
    }

    /// The same with everything that it says of itself.
    ///
    /// # Errors
    /// When the controller refuses.
    pub async fn enrolled_as(controller: &Controller, facts: HostFacts) -> anyhow::Result<Self> {
        let token = controller.join_token().await?.token;
        Self::enrolled_with(controller, &token, facts).await
    }

    /// The same with a token that is there already.
    ///
    /// # Errors
    /// When the controller refuses.
    pub async fn enrolled_with(
        controller: &Controller,
        token: &str,
        facts: HostFacts,
    ) -> anyhow::Result<Self> {
        let token: JoinToken = token.parse()?;
        let peer = Self {
            vault: Vault::in_memory(token.ca_pin)?,
            dialer: dialer(controller)?,
            facts,
        };
        enroll(&peer.dialer, &peer.vault, &token, &peer.facts).await?;
        Ok(peer)
    }

    /// Its host id.
    #[must_use]
    pub fn id(&self) -> HostId {
        self.vault.identity().host_id()
    }

    /// What it shows and trusts.
    ///
    /// # Errors
    /// When it is not enrolled.
    pub fn credentials(&self) -> anyhow::Result<(TlsIdentity, Trust)> {
        let credentials = self.vault.current().context("the peer is not enrolled")?;
        Ok((credentials.tls_identity(), Credentials::trust(&credentials)))
    }

    /// Speaks over a connection of its own, until `talk` is done.
    ///
    /// # Errors
    /// When there is no connection, or what `talk` says.
    pub async fn talk<T>(
        &self,
        talk: impl AsyncFnOnce(Session) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (identity, trust) = self.credentials()?;
        self.talk_as(Some(identity), trust, talk).await
    }

    /// The same with another certificate, or none.
    ///
    /// # Errors
    /// When there is no connection, or what `talk` says.
    pub async fn talk_as<T>(
        &self,
        identity: Option<TlsIdentity>,
        trust: Trust,
        talk: impl AsyncFnOnce(Session) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let config = tls::client_config(trust, identity)?;
        let link = self.dialer.dial(config).await?;
        let facts = self.facts.clone();
        link.drive(|service| async move { talk(Session::open(service, facts).await?).await })
            .await
    }

    /// A session that was greeted, at seq 1 of `epoch`.
    ///
    /// # Errors
    /// When the controller does not answer with a welcome, or what `talk` says.
    pub async fn deliver<T>(
        &self,
        epoch: u64,
        talk: impl AsyncFnOnce(Session) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.talk(async |mut session| {
            session.hello(epoch, Clock::System.now()).await?;
            talk(session).await
        })
        .await
    }
}

impl Session {
    async fn open(service: LinkService, facts: HostFacts) -> anyhow::Result<Self> {
        let (frames, queue) = mpsc::channel(64);
        let mut client = AgentGatewayClient::with_origin(service, LinkService::origin());
        let answers = client.session(ReceiverStream::new(queue)).await?;
        Ok(Self {
            frames,
            answers: answers.into_inner(),
            encoder: BatchEncoder::default(),
            facts,
        })
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&self, kind: agent_frame::Kind) -> anyhow::Result<()> {
        self.send_frame(AgentFrame { kind: Some(kind) }).await
    }

    /// Sends one frame, whatever is in it.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_frame(&self, frame: AgentFrame) -> anyhow::Result<()> {
        let sent = self.frames.send(frame).await;
        sent.context("the connection is gone")
    }

    /// Introduces itself with a spool of `epoch` that begins at 1, and waits for the welcome.
    ///
    /// # Errors
    /// What the controller says instead.
    pub async fn hello(&mut self, epoch: u64, clock: Timestamp) -> anyhow::Result<v1::Welcome> {
        let hello = self.hello_frame(epoch, clock);
        self.greet(hello).await
    }

    /// The same of an agent that takes actions.
    ///
    /// # Errors
    /// What the controller says instead.
    pub async fn hello_taking_actions(&mut self, epoch: u64) -> anyhow::Result<v1::Welcome> {
        let hello = v1::Hello {
            takes_actions: true,
            ..self.hello_frame(epoch, Clock::System.now())
        };
        self.greet(hello).await
    }

    fn hello_frame(&self, epoch: u64, clock: Timestamp) -> v1::Hello {
        v1::Hello {
            protocol_min: PROTOCOL_VERSION,
            protocol_max: PROTOCOL_VERSION,
            facts: Some(facts_to_wire(&self.facts)),
            epoch,
            oldest_seq: 1,
            newest_seq: 1_000_000,
            clock_ms: clock.unix_ms(),
            certificate_generation: 1,
            spool: None,
            takes_actions: false,
        }
    }

    async fn greet(&mut self, hello: v1::Hello) -> anyhow::Result<v1::Welcome> {
        self.send(agent_frame::Kind::Hello(hello)).await?;
        let answer = self.answer().await?;
        let controller_frame::Kind::Welcome(welcome) = answer else {
            anyhow::bail!("{answer:?} instead of a welcome");
        };
        Ok(welcome)
    }

    /// Sends samples with consecutive seqs.
    ///
    /// # Errors
    /// When they do not fit a batch, or the connection is gone.
    pub async fn samples(&mut self, first: u64, samples: &[Sample]) -> anyhow::Result<()> {
        let stored = samples
            .iter()
            .map(|sample| encode_stored(&Record::Sample(sample.clone())));
        self.stored(first, stored.collect()).await
    }

    /// Sends one event of nothing in particular.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn event(&mut self, seq: u64, text: &str) -> anyhow::Result<()> {
        let event = EventHit {
            at: Clock::System.now(),
            source: "test".into(),
            code: 1,
            count: 1,
            text: text.into(),
            log: None,
        };
        self.events(seq, &[event]).await
    }

    /// Sends events with consecutive seqs.
    ///
    /// # Errors
    /// When they do not fit a batch, or the connection is gone.
    pub async fn events(&mut self, first: u64, events: &[EventHit]) -> anyhow::Result<()> {
        let stored = events
            .iter()
            .map(|event| encode_stored(&Record::Event(event.clone())));
        self.stored(first, stored.collect()).await
    }

    async fn stored(&mut self, first: u64, stored: Vec<Vec<u8>>) -> anyhow::Result<()> {
        let limits = BatchLimits {
            records_max: 256,
            bytes_max: 1024 * 1024,
        };
        let encoded = self.encoder.encode(Seq::new(first), &stored, limits)?;
        anyhow::ensure!(encoded.taken == stored.len(), "too much for one batch");
        self.send(agent_frame::Kind::Records(encoded.batch)).await
    }

    /// The next answer.
    ///
    /// # Errors
    /// The status that ended the stream, or that nothing came.
    pub async fn answer(&mut self) -> anyhow::Result<controller_frame::Kind> {
        let message = tokio::time::timeout(SOON, self.answers.message()).await;
        let frame = message.context("the controller does not answer")??;
        frame
            .and_then(|frame| frame.kind)
            .context("the controller ended the stream without a word")
    }

    /// Waits until everything up to `seq` is durable.
    ///
    /// # Errors
    /// When the stream ends, or no ack comes.
    pub async fn acked(&mut self, seq: u64) -> anyhow::Result<()> {
        let acked = async {
            loop {
                if let controller_frame::Kind::Ack(ack) = self.answer().await?
                    && ack.through_seq >= seq
                {
                    return Ok(());
                }
            }
        };
        let patience = Duration::from_secs(40);
        let acked: anyhow::Result<()> = tokio::time::timeout(patience, acked)
            .await
            .with_context(|| format!("seq {seq} is not acked"))?;
        acked
    }

    /// How the controller ends the stream: with which code and in which words.
    ///
    /// # Errors
    /// When it does not, or without an error.
    pub async fn refusal(&mut self) -> anyhow::Result<(Code, String)> {
        loop {
            if let Err(error) = self.answer().await {
                let status = error.downcast::<Status>()?;
                return Ok((status.code(), status.message().to_owned()));
            }
        }
    }
}
