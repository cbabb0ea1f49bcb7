//! Does what the core's session asks for and tells it what came of it: one loop, one task, no state of its own beyond
//! the connection.

mod actions;
mod checkpoints;
mod upgrades;

use std::sync::Arc;
use std::time::Duration;

use tidemark_agent_core::{
    Action, CertificateStep, DisconnectCause, DisconnectReason, Incoming, OutboxView, Sent,
    Session, SessionState,
};
use tidemark_model::{Epoch, Seq};
use tidemark_proto::v1;
use tidemark_runtime::tls;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::failures::{FailureLog, chain};
use super::flow::RecordFlow;
use super::frames::{self, Greeting, Heard};
use super::renewal::Renewal;
use super::wire::{Connecting, Wire, WireEvent};
use super::{SessionEnd, SessionEvent, SessionParts};
use crate::actions::Message;
use crate::facts;
use crate::identity::{Credentials, Vault};
use crate::incarnation::NotTaken;
use crate::link::{Dialer, FORBIDDEN_PAUSE, Link, LinkFailure};
use crate::renew::{RenewError, renew};
use crate::upgrades::UpgradeMessage;

/// A refused certificate is replaced at most this often.
const FORCED_RENEWAL_PAUSE: Duration = Duration::from_secs(300);
/// From this difference on the host's clock is worth a word.
const CLOCK_SKEW_WARNED_MS: i64 = 30_000;

/// The running session.
pub(super) struct Shell {
    parts: SessionParts,
    core: Session,
    wire: Wire,
    records: RecordFlow,
    renewal: Renewal,
    failures: FailureLog,
    began: Instant,
    drain_until: Option<Instant>,
    /// A connection failed after the stop: another attempt would only make the stop longer.
    failed_while_draining: bool,
    /// The controller refused the certificate: the next connect renews it first.
    replace_certificate: bool,
    replaced_at: Option<Instant>,
    sessions: u64,
    /// The controller of this connection takes audits; an older one would end the session over the frame.
    takes_audits: bool,
    /// The controller of this connection sends actions and takes what is told about them.
    sends_actions: bool,
    /// The controller of this connection takes what is told of its audit log.
    takes_checkpoints: bool,
    /// The controller of this connection sends releases and takes what is told about them.
    sends_releases: bool,
}

/// What the loop woke up for.
enum Wake {
    Stop,
    Time,
    Appended,
    Audited,
    Acted,
    Upgrading,
    Wire(WireEvent),
    Renewed(Result<Arc<Credentials>, RenewError>),
}

impl Shell {
    pub(super) fn new(parts: SessionParts) -> Self {
        let entropy = parts.entropy.clone();
        let records = RecordFlow::new(parts.outbox.clone());
        let renewal = Renewal::new(
            Arc::clone(&parts.dialer),
            Arc::clone(&parts.vault),
            parts.clock.clone(),
            parts.entropy.clone(),
        );
        let draw = Box::new(move || entropy.u64());
        Self {
            core: Session::new(parts.settings.core, records.view(), draw, Duration::ZERO),
            wire: Wire::Idle,
            records,
            renewal,
            failures: FailureLog::default(),
            began: Instant::now(),
            drain_until: None,
            failed_while_draining: false,
            replace_certificate: false,
            replaced_at: None,
            sessions: 0,
            takes_audits: false,
            sends_actions: false,
            takes_checkpoints: false,
            sends_releases: false,
            parts,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> SessionEnd {
        self.tell_witnessed();
        loop {
            while let Some(action) = self.core.poll_action() {
                self.perform(action);
            }
            if self.is_over() {
                break;
            }
            match self.wake(&stop).await {
                Wake::Stop => {
                    self.drain_until = Some(Instant::now() + self.parts.settings.drain_timeout);
                }
                Wake::Time => self.core.handle_timeout(self.now()),
                Wake::Appended => {
                    let newest = self.parts.outbox.lock().bounds().newest;
                    self.core.handle_appended(newest);
                }
                Wake::Audited => self.send_audit(),
                Wake::Acted => self.send_actions(),
                Wake::Upgrading => self.send_upgrades(),
                Wake::Wire(event) => self.handle_wire(event),
                Wake::Renewed(renewed) => self.handle_renewed(renewed),
            }
        }
        self.wire.close().await;
        SessionEnd {
            counts: self.parts.outbox.counts(),
            sessions: self.sessions,
        }
    }

    async fn wake(&mut self, stop: &CancellationToken) -> Wake {
        let core_timeout = self.core.poll_timeout().map(|after| self.began + after);
        let deadline = match (core_timeout, self.drain_until) {
            (Some(core), Some(drain)) => Some(core.min(drain)),
            (one, other) => one.or(other),
        };
        tokio::select! {
            () = stop.cancelled(), if self.drain_until.is_none() => Wake::Stop,
            () = sleep_until(deadline) => Wake::Time,
            () = self.parts.outbox.appended() => Wake::Appended,
            () = self.parts.audits.changed() => Wake::Audited,
            () = self.parts.actions.changed() => Wake::Acted,
            () = self.parts.upgrades.changed() => Wake::Upgrading,
            event = self.wire.next() => Wake::Wire(event),
            renewed = self.renewal.next() => Wake::Renewed(renewed),
        }
    }

    /// Time on the core's clock.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether a stop has nothing more to wait for.
    fn is_over(&self) -> bool {
        let Some(drain_until) = self.drain_until else {
            return false;
        };
        let comes_back_too_late = matches!(
            self.core.state(),
            SessionState::Waiting { until } if self.began + until >= drain_until
        );
        let bounds = self.parts.outbox.lock().bounds();
        Instant::now() >= drain_until
            || comes_back_too_late
            || self.failed_while_draining
            || bounds.oldest > bounds.newest
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Connect => self.wire = Wire::Connecting(self.connect()),
            Action::SendHello(view) => self.send_hello(view),
            Action::SendRecords {
                from,
                records_max,
                bytes_max,
            } => self.send_records(from, records_max, bytes_max),
            Action::SendGap(gap) => self.wire.send(frames::gap(gap), None),
            Action::SendStatus => {
                let counts = self.parts.outbox.counts();
                self.wire.send(frames::status(counts), None);
            }
            Action::Trim { through } => {
                self.records.trim(through);
                self.tell(SessionEvent::Acked { through });
            }
            Action::GiveUp(gap) => {
                self.records.give_up(gap);
                self.tell(SessionEvent::GaveUp(gap));
            }
            Action::ApplySettings(settings) => {
                let wish_ms = u64::from(settings.sample_interval_ms);
                let interval = (wish_ms > 0).then(|| Duration::from_millis(wish_ms));
                self.tell(SessionEvent::SampleInterval(interval));
            }
            Action::RestartEpoch => {
                let epoch = Epoch::from_random(self.parts.entropy.u64());
                let view = self.records.restart_epoch(epoch);
                self.core.handle_epoch_restarted(self.now(), view);
            }
            Action::Disconnect(cause) => self.disconnect(cause),
        }
    }

    /// The core hears of the frame once it is on its way; of nothing to send, at once.
    fn send_records(&mut self, from: Seq, records_max: u32, bytes_max: u32) {
        match self.records.next_frame(from, records_max, bytes_max) {
            Some(outgoing) => {
                if let Some(gap) = outgoing.gave_up {
                    self.tell(SessionEvent::GaveUp(gap));
                }
                self.wire.send(outgoing.frame, Some(outgoing.sent));
            }
            None => self.core.handle_sent(self.now(), Sent::Nothing),
        }
    }

    fn tell(&mut self, event: SessionEvent) {
        (self.parts.events)(event);
    }

    fn connect(&mut self) -> Connecting {
        let replaced_lately = self
            .replaced_at
            .is_some_and(|at| at.elapsed() < FORCED_RENEWAL_PAUSE);
        let replace = std::mem::take(&mut self.replace_certificate) && !replaced_lately;
        if replace {
            self.replaced_at = Some(Instant::now());
        }
        let (dialer, vault) = (
            Arc::clone(&self.parts.dialer),
            Arc::clone(&self.parts.vault),
        );
        let now = self.parts.clock.now();
        let usable = vault
            .current()
            .filter(|held| !replace && held.plan(0).step(now) != CertificateStep::ProveIdentity);
        Box::pin(connect(dialer, vault, usable))
    }

    fn send_hello(&mut self, view: OutboxView) {
        self.records.begin();
        facts::refresh(&mut self.parts.settings.facts.capabilities);
        self.takes_audits = false;
        self.sends_actions = false;
        self.takes_checkpoints = false;
        self.sends_releases = false;
        let hello = frames::hello(
            view,
            &Greeting {
                config: &self.parts.settings.core,
                facts: &self.parts.settings.facts,
                now: self.parts.clock.now(),
                certificate_generation: self.wire.certificate_generation().unwrap_or(0),
                counts: self.parts.outbox.counts(),
                takes_actions: self.parts.actions.is_there(),
            },
        );
        self.wire.send(hello, None);
    }

    /// An audit is a state, not a record: without a session it waits for the next one, which sends the newest.
    fn send_audit(&mut self) {
        let newest = self.parts.audits.newest();
        let is_open = matches!(self.core.state(), SessionState::Open { .. });
        if let Some(audit) = newest.filter(|_| is_open && self.takes_audits) {
            self.wire.send(frames::audit(&audit), None);
        }
    }

    fn disconnect(&mut self, cause: DisconnectCause) {
        self.wire = Wire::Idle;
        let (kind, text): (_, String) = match cause {
            DisconnectCause::Drained => ("drained", "the controller is about to close".into()),
            DisconnectCause::ConnectTimeout => (
                "timeout",
                "no connection in time: check the network and firewalls on the way".into(),
            ),
            DisconnectCause::WelcomeTimeout => (
                "silent",
                "the controller took the connection but did not answer: check its load and log"
                    .into(),
            ),
            DisconnectCause::AckTimeout => (
                "silent",
                "the controller stopped acknowledging: check its database, load and log".into(),
            ),
            DisconnectCause::EpochRestart => ("epoch", "the spool begins a new epoch".into()),
            DisconnectCause::Protocol(reason) => (
                "protocol",
                format!(
                    "the controller broke the protocol ({reason}): compare the versions of both"
                ),
            ),
            DisconnectCause::Disagreement => (
                "protocol",
                "session and spool disagree about what was sent: this is a bug".into(),
            ),
        };
        self.report_disconnect(kind, &text);
    }

    fn report_disconnect(&mut self, kind: &'static str, text: &str) {
        self.failed_while_draining |= self.drain_until.is_some();
        if kind == "drained" {
            tracing::info!("controller drains; coming back later");
        } else {
            self.failures.failed(kind, text);
        }
        self.tell(SessionEvent::Disconnected {
            kind,
            text: Arc::from(text),
        });
    }

    fn handle_wire(&mut self, event: WireEvent) {
        let now = self.now();
        match event {
            WireEvent::Connected => self.core.handle_connected(now),
            WireEvent::Sent(Some(sent)) => self.core.handle_sent(now, sent),
            // What waited for room may have it.
            WireEvent::Sent(None) => {
                self.send_actions();
                self.send_upgrades();
            }
            WireEvent::Frame(frame) => self.handle_frame(frame),
            WireEvent::Ended(failure) => self.handle_ended(&failure),
            WireEvent::Closed => {
                let text = "the controller closed the session";
                self.break_off("closed", text, DisconnectReason::Lost);
            }
        }
    }

    fn handle_ended(&mut self, failure: &LinkFailure) {
        self.replace_certificate |= failure.needs_new_certificate();
        let reason = failure
            .pause()
            .map_or(DisconnectReason::Lost, DisconnectReason::RetryAfter);
        self.break_off(failure.kind(), &chain(failure), reason);
    }

    fn handle_frame(&mut self, frame: v1::ControllerFrame) {
        let now = self.now();
        let controller_clock_ms = match &frame.kind {
            Some(v1::controller_frame::Kind::Welcome(welcome)) => {
                if let Err(error) = self.parts.incarnation.take(welcome.incarnation) {
                    let (kind, pause) = match &error {
                        // Somebody may put the right controller in its place.
                        NotTaken::LeftBehind(_) => {
                            ("left_behind", DisconnectReason::RetryAfter(FORBIDDEN_PAUSE))
                        }
                        NotTaken::Unknown(_) => ("incarnation_unreadable", DisconnectReason::Lost),
                    };
                    self.break_off(kind, &chain(&error), pause);
                    return;
                }
                self.takes_audits = welcome.takes_audits;
                self.sends_actions = welcome.sends_actions && self.parts.actions.is_there();
                self.takes_checkpoints =
                    welcome.takes_checkpoints && self.parts.checkpoints.is_kept();
                self.sends_releases = welcome.sends_releases && self.parts.upgrades.is_there();
                Some(welcome.clock_ms)
            }
            Some(_) | None => None,
        };
        match frames::heard(frame) {
            Ok(Some(Heard::Desk(message))) => self.handle_message(message),
            Ok(Some(Heard::Checkpoint(offered))) => self.take_checkpoint(&offered),
            Ok(Some(Heard::Upgrade(message))) => self.hand_to_upgrades(message),
            Ok(Some(Heard::Core(incoming))) => {
                if let Incoming::Refused { reason, .. } = &incoming {
                    tracing::warn!(%reason, "controller refuses records");
                }
                self.core.handle_incoming(now, incoming);
            }
            Ok(None) => tracing::debug!("frame of an unknown kind passed over"),
            Err(error) => self.break_off("protocol", &chain(&error), DisconnectReason::Lost),
        }
        if let Some(clock_ms) = controller_clock_ms {
            self.welcomed(clock_ms);
        }
    }

    /// The connection is over; the session comes back later.
    fn break_off(&mut self, kind: &'static str, text: &str, reason: DisconnectReason) {
        self.wire = Wire::Idle;
        self.report_disconnect(kind, text);
        let now = self.now();
        self.core.handle_disconnected(now, reason);
    }

    fn welcomed(&mut self, controller_clock_ms: i64) {
        let SessionState::Open { session } = self.core.state() else {
            return;
        };
        self.sessions = self.sessions.saturating_add(1);
        self.failures.recovered();
        let own_ms = self.parts.clock.now().unix_ms();
        let clock_skew_ms = own_ms.saturating_sub(controller_clock_ms);
        tracing::info!(session.id = session.get(), clock_skew_ms, "session opened");
        if clock_skew_ms.saturating_abs() > CLOCK_SKEW_WARNED_MS {
            tracing::warn!(
                clock_skew_ms,
                "this host's clock differs from the controller's: check time synchronisation on both"
            );
        }
        self.tell(SessionEvent::Connected {
            session,
            clock_skew_ms,
        });
        self.send_audit();
        self.report_checkpoint();
        if self.sends_actions {
            self.hand_over(Message::Opened);
        }
        self.hand_to_upgrades(UpgradeMessage::Opened);
    }

    /// A new certificate is put to use at once: the controller looks at the old one's end during a session, too.
    fn handle_renewed(&mut self, renewed: Result<Arc<Credentials>, RenewError>) {
        match renewed {
            Ok(credentials) => {
                self.tell(SessionEvent::Renewed {
                    generation: credentials.generation(),
                    not_after: credentials.not_after(),
                });
                if self.wire.certificate_generation().is_some() {
                    self.wire = Wire::Idle;
                    let now = self.now();
                    self.core.handle_disconnected(now, DisconnectReason::Lost);
                }
            }
            Err(error) => {
                let kind = match &error {
                    RenewError::Link(failure) => failure.kind(),
                    RenewError::Vault(_) => "identity",
                };
                let text = chain(&error);
                tracing::warn!(kind, error = %text, "certificate not renewed; trying again");
                self.tell(SessionEvent::RenewalFailed { kind, text });
            }
        }
    }
}

/// Connects with a usable certificate, or gets one first by the identity key.
async fn connect(
    dialer: Arc<Dialer>,
    vault: Arc<Vault>,
    usable: Option<Arc<Credentials>>,
) -> Result<(Link, u64), LinkFailure> {
    let credentials = match usable {
        Some(credentials) => credentials,
        None => renew(&dialer, &vault).await.map_err(|error| match error {
            RenewError::Link(failure) => failure,
            RenewError::Vault(error) => LinkFailure::Identity(Box::new(error)),
        })?,
    };
    let config = tls::client_config(credentials.trust(), Some(credentials.tls_identity()))?;
    let link = dialer.dial(config).await?;
    Ok((link, credentials.generation()))
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
