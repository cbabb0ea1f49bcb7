//! The session with a controller: connects, greets, sends with credit, trims by acks, and comes back after any failure.
//!
//! ```text
//! waiting -> connecting -> greeting -> open -> waiting
//!    ^           |            |  \-> restarting epoch -\
//!    \-----------+------------+------------------------/
//! ```
//! Time is a `Duration` since any fixed instant, from a clock that never goes back.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tidemark_model::{GapReason, RecordGap, Seq, SessionId};

use crate::Draw;
use crate::backoff::{Backoff, BackoffConfig, uniform};

mod event;
mod in_flight;
mod open;
#[cfg(test)]
mod tests;

pub use event::{
    Action, DisconnectCause, DisconnectReason, Incoming, OutboxView, Sent, Settings, Welcome,
};
use open::{Disagreement, Drain, Open};

/// Longest time that a controller can send an agent away, by `Drain` or by asking to retry later.
const ABSENCE_MAX: Duration = Duration::from_secs(15 * 60);
/// Smallest batch that a controller may ask for; every ordinary sample fits. Less would make an agent give its samples up.
const BATCH_BYTES_MIN: u32 = 64 * 1024;

/// The session's times and versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Lowest protocol version that this agent speaks.
    pub protocol_min: u32,
    /// Highest protocol version that this agent speaks.
    pub protocol_max: u32,
    /// When to connect again.
    pub backoff: BackoffConfig,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long the `Welcome` may take.
    pub welcome_timeout: Duration,
    /// How long the controller may be silent while records are in flight. One that cannot commit repeats its last `Ack`.
    pub ack_timeout: Duration,
    /// How long a draining controller gets to ack what is in flight.
    pub drain_timeout: Duration,
    /// Time between two `SpoolStatus` frames.
    pub status_interval: Duration,
}

impl SessionConfig {
    /// The times that ship, for an agent that speaks `protocol` alone.
    #[must_use]
    pub fn for_protocol(protocol: u32) -> Self {
        Self {
            protocol_min: protocol,
            protocol_max: protocol,
            backoff: BackoffConfig::default(),
            connect_timeout: Duration::from_secs(15),
            welcome_timeout: Duration::from_secs(15),
            ack_timeout: Duration::from_secs(90),
            drain_timeout: Duration::from_secs(5),
            status_interval: Duration::from_secs(60),
        }
    }
}

/// Where the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Not connected; connects at `until`.
    Waiting {
        /// When.
        until: Duration,
    },
    /// A connection is being made.
    Connecting,
    /// The hello is sent.
    Greeting,
    /// Records flow.
    Open {
        /// The controller's name for it.
        session: SessionId,
    },
    /// The spool begins a new epoch.
    RestartingEpoch,
}

/// The session of one agent, over all its connections.
pub struct Session {
    config: SessionConfig,
    outbox: OutboxView,
    /// The newest record that a controller can have: one that was durable when this session began, or that it sent since, over
    /// any connection.
    deliverable: Seq,
    backoff: Backoff,
    draw: Draw,
    state: State,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Duration },
    Connecting { deadline: Duration },
    Greeting { deadline: Duration },
    Open(Box<Open>),
    RestartingEpoch,
}

impl Session {
    /// A session that connects at once, for a spool with these ends.
    #[must_use]
    pub fn new(config: SessionConfig, outbox: OutboxView, draw: Draw, now: Duration) -> Self {
        Self {
            config,
            outbox,
            deliverable: outbox.newest,
            backoff: Backoff::new(config.backoff),
            draw,
            state: State::Waiting { until: now },
            actions: VecDeque::new(),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> SessionState {
        match &self.state {
            State::Waiting { until } => SessionState::Waiting { until: *until },
            State::Connecting { .. } => SessionState::Connecting,
            State::Greeting { .. } => SessionState::Greeting,
            State::Open(open) => SessionState::Open {
                session: open.session,
            },
            State::RestartingEpoch => SessionState::RestartingEpoch,
        }
    }

    /// The next thing to do; call it until it is `None` after every other call.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Session::handle_timeout`] at the latest; `None` when only an event can bring it forward.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Connecting { deadline } | State::Greeting { deadline } => Some(*deadline),
            State::Open(open) => {
                let drain = open.drain.map(|drain| drain.deadline);
                let ack = open
                    .has_in_flight()
                    .then(|| open.heard_at + self.config.ack_timeout);
                [Some(open.status_at), drain, ack]
                    .into_iter()
                    .flatten()
                    .min()
            }
            State::RestartingEpoch => None,
        }
    }

    /// Time has passed. Safe to call at any time.
    pub fn handle_timeout(&mut self, now: Duration) {
        match &mut self.state {
            State::Waiting { until } if *until <= now => {
                let deadline = now + self.config.connect_timeout;
                self.state = State::Connecting { deadline };
                self.actions.push_back(Action::Connect);
            }
            State::Connecting { deadline } if *deadline <= now => {
                self.disconnect(now, DisconnectCause::ConnectTimeout);
            }
            State::Greeting { deadline } if *deadline <= now => {
                self.disconnect(now, DisconnectCause::WelcomeTimeout);
            }
            State::Open(open) => {
                if open.drain.is_some_and(|drain| drain.deadline <= now) {
                    self.disconnect(now, DisconnectCause::Drained);
                } else if open.has_in_flight() && open.heard_at + self.config.ack_timeout <= now {
                    self.disconnect(now, DisconnectCause::AckTimeout);
                } else if open.status_at <= now {
                    open.status_at = now + self.config.status_interval;
                    self.actions.push_back(Action::SendStatus);
                }
            }
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::RestartingEpoch => {}
        }
    }

    /// The connection that [`Action::Connect`] asked for is there.
    pub fn handle_connected(&mut self, now: Duration) {
        if let State::Connecting { .. } = self.state {
            self.state = State::Greeting {
                deadline: now + self.config.welcome_timeout,
            };
            self.actions.push_back(Action::SendHello(self.outbox));
        }
    }

    /// The connection ended, or could not be made.
    pub fn handle_disconnected(&mut self, now: Duration, reason: DisconnectReason) {
        if matches!(self.state, State::Waiting { .. } | State::RestartingEpoch) {
            return;
        }
        // What was asked of the connection that is gone has no addressee; what concerns the spool stays.
        self.actions.retain(Action::concerns_spool);
        let wait = self.absence(now);
        let floor = match reason {
            DisconnectReason::Lost => Duration::ZERO,
            DisconnectReason::RetryAfter(floor) => floor.min(ABSENCE_MAX),
        };
        self.state = State::Waiting {
            until: now + floor + wait,
        };
    }

    /// The spool holds records up to `newest`, durably.
    pub fn handle_appended(&mut self, newest: Seq) {
        if newest <= self.outbox.newest {
            return;
        }
        self.outbox.newest = newest;
        if let State::Open(open) = &mut self.state {
            open.note_appended();
        }
        self.send_more();
    }

    /// What became of [`Action::SendRecords`].
    pub fn handle_sent(&mut self, now: Duration, sent: Sent) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        if let Err(Disagreement) = open.note_sent(now, sent) {
            self.disconnect(now, DisconnectCause::Disagreement);
            return;
        }
        if open.is_drained() {
            self.disconnect(now, DisconnectCause::Drained);
            return;
        }
        match sent {
            Sent::Records { last, .. } | Sent::Gap { last, .. } => {
                self.outbox.newest = self.outbox.newest.max(last);
                self.deliverable = self.deliverable.max(last);
            }
            Sent::Nothing => {}
        }
        self.send_more();
    }

    /// The spool began a new epoch, as [`Action::RestartEpoch`] asked.
    pub fn handle_epoch_restarted(&mut self, now: Duration, outbox: OutboxView) {
        self.outbox = outbox;
        // Nothing of the new epoch was ever sent.
        self.deliverable = Seq::ZERO;
        if matches!(self.state, State::RestartingEpoch) {
            let wait = self.backoff.after_failure((self.draw)());
            self.state = State::Waiting { until: now + wait };
        }
    }

    /// A frame came.
    pub fn handle_incoming(&mut self, now: Duration, incoming: Incoming) {
        match (&mut self.state, incoming) {
            (State::Greeting { .. }, Incoming::Welcome(welcome)) => {
                self.handle_welcome(now, welcome)
            }
            (State::Greeting { .. }, Incoming::Drain { spread }) => {
                self.actions
                    .push_back(Action::Disconnect(DisconnectCause::Drained));
                self.stay_away(now, spread);
            }
            (State::Greeting { .. }, _) => {
                self.disconnect(
                    now,
                    DisconnectCause::Protocol("the first frame is not a welcome"),
                );
            }
            (State::Open(open), incoming) => {
                open.heard_at = now;
                self.handle_open(now, incoming);
            }
            // A frame of a connection that the session has already left.
            (State::Waiting { .. } | State::Connecting { .. } | State::RestartingEpoch, _) => {}
        }
    }

    fn handle_welcome(&mut self, now: Duration, welcome: Welcome) {
        if let Err(error) = self.check_welcome(&welcome) {
            self.disconnect(now, DisconnectCause::Protocol(error));
            return;
        }
        // A host that was put back to an older image of itself gives out seqs again that were acked as others.
        if welcome.acked > self.deliverable {
            self.actions
                .push_back(Action::Disconnect(DisconnectCause::EpochRestart));
            self.actions.push_back(Action::RestartEpoch);
            self.state = State::RestartingEpoch;
            return;
        }
        let status_at = now + self.config.status_interval;
        self.state = State::Open(Box::new(Open::new(&welcome, now, status_at)));
        if let Some(settings) = welcome.settings {
            self.actions.push_back(Action::ApplySettings(settings));
        }
        self.trim(welcome.acked);
        self.send_more();
    }

    const fn check_welcome(&self, welcome: &Welcome) -> Result<(), &'static str> {
        if welcome.protocol < self.config.protocol_min
            || welcome.protocol > self.config.protocol_max
        {
            return Err("the controller chose a protocol version that was not offered");
        }
        if welcome.batch_records_max == 0 {
            return Err("batches of no records");
        }
        if welcome.batch_bytes_max < BATCH_BYTES_MIN {
            return Err("batches of less than 64 KiB");
        }
        Ok(())
    }

    fn handle_open(&mut self, now: Duration, incoming: Incoming) {
        match incoming {
            Incoming::Welcome(_) => {
                self.disconnect(now, DisconnectCause::Protocol("a second welcome"));
            }
            Incoming::Ack { through, credit } => self.handle_ack(now, through, credit),
            Incoming::Settings(settings) => self.actions.push_back(Action::ApplySettings(settings)),
            Incoming::Drain { spread } => self.handle_drain(now, spread),
            Incoming::Refused { first, last, .. } => self.handle_refused(now, first, last),
        }
    }

    /// An ack may cover records that this connection has yet to send: an earlier one sent them, and they were committed
    /// only when a record before them was settled. It cannot cover what was never sent.
    fn handle_ack(&mut self, now: Duration, through: Seq, credit: u32) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        if through >= open.next() && through > self.deliverable {
            let cause = DisconnectCause::Protocol("an ack of records that were not sent");
            self.disconnect(now, cause);
            return;
        }
        open.note_ack(through, credit);
        let drained = open.is_drained();
        self.trim(through);
        if drained {
            self.disconnect(now, DisconnectCause::Drained);
        } else {
            self.send_more();
        }
    }

    fn handle_drain(&mut self, now: Duration, spread: Duration) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        open.drain = Some(Drain {
            deadline: now + self.config.drain_timeout,
            spread,
        });
        if open.is_drained() {
            self.disconnect(now, DisconnectCause::Drained);
        }
    }

    fn handle_refused(&mut self, now: Duration, first: Seq, last: Seq) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        if last >= open.next() || first > last {
            self.disconnect(
                now,
                DisconnectCause::Protocol("a refusal of records that were not sent"),
            );
            return;
        }
        // What is acked is stored; a refusal that comes later changes nothing.
        if last >= self.outbox.oldest {
            let gap = RecordGap {
                first: first.max(self.outbox.oldest),
                last,
                reason: GapReason::Refused,
            };
            self.actions.push_back(Action::GiveUp(gap));
            self.actions.push_back(Action::SendGap(gap));
        }
    }

    fn trim(&mut self, through: Seq) {
        if through >= self.outbox.oldest {
            self.outbox.oldest = through.next();
            self.actions.push_back(Action::Trim { through });
        }
    }

    /// Asks for the next frame, when one can be sent.
    fn send_more(&mut self) {
        if let State::Open(open) = &mut self.state {
            let ask = open.ask(self.outbox.newest);
            self.actions.extend(ask);
        }
    }

    /// Closes the connection and comes back later.
    fn disconnect(&mut self, now: Duration, cause: DisconnectCause) {
        self.actions.retain(Action::concerns_spool);
        self.actions.push_back(Action::Disconnect(cause));
        let until = now + self.absence(now);
        self.state = State::Waiting { until };
    }

    /// How long to stay away from here on.
    fn absence(&mut self, now: Duration) -> Duration {
        let draw = (self.draw)();
        match &self.state {
            State::Open(open) => match open.drain {
                Some(drain) => uniform(draw, drain.spread.min(ABSENCE_MAX)),
                None => self
                    .backoff
                    .after_loss(now.saturating_sub(open.since), draw),
            },
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::RestartingEpoch => self.backoff.after_failure(draw),
        }
    }

    fn stay_away(&mut self, now: Duration, spread: Duration) {
        let until = now + uniform((self.draw)(), spread.min(ABSENCE_MAX));
        self.state = State::Waiting { until };
    }
}

impl Action {
    /// Whether it is still to be done after its connection is gone.
    fn concerns_spool(&self) -> bool {
        match self {
            Self::Trim { .. }
            | Self::GiveUp(_)
            | Self::ApplySettings(_)
            | Self::RestartEpoch
            | Self::Disconnect(_) => true,
            Self::Connect
            | Self::SendHello(_)
            | Self::SendRecords { .. }
            | Self::SendGap(_)
            | Self::SendStatus => false,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("outbox", &self.outbox)
            .field("state", &self.state)
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}
