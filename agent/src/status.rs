//! What the agent knows of itself, in a file for `tidemark-agent status`: readable when the controller is not.

pub mod local;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tidemark_model::host::CapabilityReport;
use tidemark_model::{HostId, SpoolCounts, Timestamp};
use tidemark_runtime::Clock;
use tidemark_runtime::durable::{self, Access};
use tokio_util::sync::CancellationToken;

use crate::checkpoints::HeldStatus;
use crate::facts;
use crate::identity::Vault;
use crate::outbox::OutboxHandle;
use crate::sampler::SamplerControl;
use crate::session::SessionEvent;

/// How often the file is written while something changes.
const WRITE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);
const FILE_NAME: &str = "status.json";

/// The file's content. Times are Unix milliseconds; what is unknown is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Version of the agent that wrote it.
    pub version: String,
    /// Process that wrote it.
    pub pid: u32,
    /// When that process started.
    pub started_at_ms: Timestamp,
    /// When it was written.
    pub written_at_ms: Timestamp,
    /// The controller's address as configured.
    pub controller: String,
    /// Enrolment, session and certificate.
    pub link: LinkStatus,
    /// The sampler.
    pub sampler: SamplerSummary,
    /// What became of all records.
    pub spool: SpoolCounts,
    /// What the agent can see on this host, and by which means. Empty when an older agent wrote the file.
    #[serde(default)]
    pub capabilities: Vec<CapabilityReport>,
}

/// How the agent gets on with its controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// The host's id; null before the identity is made.
    pub host_id: Option<HostId>,
    /// Where it stands.
    pub state: LinkState,
    /// Since when.
    pub since_ms: Option<Timestamp>,
    /// When the controller last made records durable.
    pub last_ack_ms: Option<Timestamp>,
    /// The host's clock less the controller's, at the last greeting.
    pub clock_skew_ms: Option<i64>,
    /// What went wrong last; null when it goes well.
    pub failure: Option<FailureStatus>,
    /// The certificate.
    pub certificate: Option<CertificateStatus>,
    /// What the host holds of the controller's audit log; null when nothing, or when an older agent wrote the file.
    #[serde(default)]
    pub audit_log: Option<HeldStatus>,
}

/// Where the agent stands with its controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Not enrolled yet; tries to.
    #[default]
    Enrolling,
    /// Enrolled and not connected; tries to.
    Disconnected,
    /// Connected.
    Connected,
    /// The agent has ended.
    Stopped,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureStatus {
    /// A short stable name.
    pub kind: String,
    /// What went wrong and what to do about it.
    pub text: String,
    /// When it was last seen.
    pub at_ms: Timestamp,
}

/// The certificate that the host holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Counts the certificates of this identity.
    pub generation: u64,
    /// Its end.
    pub not_after_ms: Timestamp,
}

/// How the sampler does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplerSummary {
    /// Milliseconds between samples at present.
    pub interval_ms: u64,
    /// Samples taken since the start.
    pub taken: u64,
    /// Samples that could not be taken.
    pub failed: u64,
    /// Samples whose time passed unused.
    pub missed: u64,
    /// When the last one was taken.
    pub last_sample_ms: Option<Timestamp>,
    /// Milliseconds that the collection under way has lasted; null between collections.
    pub collecting_for_ms: Option<u64>,
    /// Why the last sample was not taken or kept.
    pub last_error: Option<String>,
}

/// Collects what the parts of the agent report.
#[derive(Clone, Debug)]
pub struct StatusBoard {
    shared: Arc<Mutex<LinkStatus>>,
    clock: Clock,
}

/// What a status file is made of.
pub struct StatusWriter {
    /// The link's side.
    pub board: StatusBoard,
    /// The sampler's side.
    pub sampler: SamplerControl,
    /// The outbox's side.
    pub outbox: OutboxHandle,
    /// The controller's address as configured.
    pub controller: String,
    /// Folder of the file.
    pub folder: PathBuf,
    /// When the agent started.
    pub started_at: Timestamp,
    /// What it could see then.
    pub capabilities: Vec<CapabilityReport>,
}

impl StatusBoard {
    /// An empty board.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            shared: Arc::default(),
            clock,
        }
    }

    /// The host is enrolled, with this certificate or none that is usable.
    pub fn enrolled(&self, vault: &Vault) {
        let now = self.clock.now();
        let mut link = self.link();
        link.host_id = Some(vault.identity().host_id());
        link.state = LinkState::Disconnected;
        link.since_ms = Some(now);
        link.failure = None;
        link.certificate = vault.current().map(|credentials| CertificateStatus {
            generation: credentials.generation(),
            not_after_ms: credentials.not_after(),
        });
    }

    /// Something went wrong.
    pub fn failed(&self, kind: &str, text: &str) {
        let at_ms = self.clock.now();
        self.link().failure = Some(FailureStatus {
            kind: kind.to_owned(),
            text: text.to_owned(),
            at_ms,
        });
    }

    /// The agent ends.
    pub fn stopped(&self) {
        self.become_state(LinkState::Stopped);
    }

    /// Takes a session's event.
    pub fn note(&self, event: &SessionEvent) {
        match event {
            SessionEvent::Connected { clock_skew_ms, .. } => {
                self.become_state(LinkState::Connected);
                let mut link = self.link();
                link.clock_skew_ms = Some(*clock_skew_ms);
                link.failure = None;
            }
            SessionEvent::Acked { .. } => {
                let now = self.clock.now();
                self.link().last_ack_ms = Some(now);
            }
            SessionEvent::Renewed {
                generation,
                not_after,
            } => {
                self.link().certificate = Some(CertificateStatus {
                    generation: *generation,
                    not_after_ms: *not_after,
                });
            }
            SessionEvent::RenewalFailed { kind, text } => self.failed(kind, text),
            SessionEvent::Disconnected { kind, text } => {
                self.become_state(LinkState::Disconnected);
                self.failed(kind, text);
            }
            SessionEvent::Witnessed(held) => self.link().audit_log = Some(held.clone()),
            SessionEvent::SampleInterval(_) | SessionEvent::GaveUp(_) => {}
        }
    }

    fn become_state(&self, state: LinkState) {
        let now = self.clock.now();
        let mut link = self.link();
        if link.state != state {
            link.state = state;
            link.since_ms = Some(now);
        }
    }

    fn link(&self) -> MutexGuard<'_, LinkStatus> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StatusWriter {
    /// Writes the file now and then until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut written: Option<AgentStatus> = None;
        loop {
            let status = self.gather();
            let is_news = written
                .as_ref()
                .is_none_or(|old| !status.says_the_same_as(old));
            if is_news {
                self.write(&status);
                written = Some(status);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(WRITE_INTERVAL) => {}
            }
        }
    }

    /// Writes the file a last time, once everything else has ended.
    pub fn finish(&self) {
        self.board.stopped();
        self.write(&self.gather());
    }

    fn write(&self, status: &AgentStatus) {
        if let Err(error) = status.write(&self.folder) {
            tracing::debug!(%error, "status file cannot be written");
        }
    }

    fn gather(&self) -> AgentStatus {
        let sampler = self.sampler.status();
        let mut capabilities = self.capabilities.clone();
        facts::refresh(&mut capabilities);
        let collecting = sampler.collecting_since.map(|since| since.elapsed());
        let ms =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at_ms: self.started_at,
            written_at_ms: self.board.clock.now(),
            controller: self.controller.clone(),
            link: self.board.link().clone(),
            sampler: SamplerSummary {
                interval_ms: ms(sampler.interval),
                taken: sampler.taken,
                failed: sampler.failed,
                missed: sampler.missed,
                last_sample_ms: sampler.last_sample_at,
                collecting_for_ms: collecting.map(ms),
                last_error: sampler.last_error.as_deref().map(str::to_owned),
            },
            spool: self.outbox.counts(),
            capabilities,
        }
    }
}

impl AgentStatus {
    /// Reads the file in `folder`.
    ///
    /// # Errors
    /// What the file system says, or that the file is not a status.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let text = std::fs::read(folder.join(FILE_NAME))?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        let written_at_ms = other.written_at_ms;
        *other
            == Self {
                written_at_ms,
                ..self.clone()
            }
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        durable::replace_file(&folder.join(FILE_NAME), &text, Access::Folder)
    }
}
