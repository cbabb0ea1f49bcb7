//! What goes into the session and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::{Epoch, RecordGap, Seq, SessionId};

/// The spool's epoch and ends, as a `Hello` states them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxView {
    /// The life of the spool.
    pub epoch: Epoch,
    /// First seq that is not acked; one above `newest` when nothing waits.
    pub oldest: Seq,
    /// Last seq that may be sent, which is durable on this host; 0 before the first.
    pub newest: Seq,
}

/// A frame from the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The first frame.
    Welcome(Welcome),
    /// Everything up to `through` is durable there.
    Ack {
        /// The last such record.
        through: Seq,
        /// How many records may be in flight from here on.
        credit: u32,
    },
    /// New settings.
    Settings(Settings),
    /// The controller is about to close.
    Drain {
        /// Come back after a random time up to this.
        spread: Duration,
    },
    /// Records that the controller will never take, both ends included.
    Refused {
        /// The first of them.
        first: Seq,
        /// The last of them.
        last: Seq,
        /// Why, for the log; hostile text.
        reason: Arc<str>,
    },
}

/// The controller's answer to the hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Protocol version that it chose.
    pub protocol: u32,
    /// Its name for this session.
    pub session: SessionId,
    /// Everything up to here is durable there, in the hello's epoch.
    pub acked: Seq,
    /// How many records may be in flight.
    pub credit: u32,
    /// Records of a batch.
    pub batch_records_max: u32,
    /// Uncompressed bytes of a batch.
    pub batch_bytes_max: u32,
    /// Settings, when it has any.
    pub settings: Option<Settings>,
}

/// What the controller wishes of the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Milliseconds between samples; 0 leaves the agent's own setting.
    pub sample_interval_ms: u32,
}

/// What the shell is to do, in the order in which it is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect, then call `handle_connected` or `handle_disconnected`.
    Connect,
    /// Send a `Hello` with these ends of the spool.
    SendHello(OutboxView),
    /// Read the spool at `from` and send what stands there as one frame, a batch or a gap; then call `handle_sent`, once.
    SendRecords {
        /// Where to read.
        from: Seq,
        /// Records of the batch, at least 1.
        records_max: u32,
        /// Uncompressed bytes of the batch.
        bytes_max: u32,
    },
    /// Send this gap, beside the order of records. No answer is needed.
    SendGap(RecordGap),
    /// Send the spool's counts.
    SendStatus,
    /// The spool may let go of everything up to `through`.
    Trim {
        /// The last record that is durable at the controller.
        through: Seq,
    },
    /// The spool is to give these records up and count them as dropped.
    GiveUp(RecordGap),
    /// Take these settings over.
    ApplySettings(Settings),
    /// The controller knows records of this epoch that were never sent from here (a disk that lied, a restored image): begin
    /// a new epoch with what is held, then call `handle_epoch_restarted`. Follows a `Disconnect`.
    RestartEpoch,
    /// Close the connection. Nothing of it may be reported to the session from here on.
    Disconnect(DisconnectCause),
}

/// Why the session closes its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectCause {
    /// The controller drains, and what was in flight is acked or had its time.
    Drained,
    /// The connection could not be made in time.
    ConnectTimeout,
    /// No `Welcome` in time.
    WelcomeTimeout,
    /// Records are in flight and no frame came in time.
    AckTimeout,
    /// The spool begins a new epoch.
    EpochRestart,
    /// The controller broke the protocol; the text says how.
    Protocol(&'static str),
    /// The shell and the session disagree about what was sent: a bug.
    Disagreement,
}

/// Why a connection ended, or was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// It was lost, refused or closed without a word.
    Lost,
    /// The controller asks to stay away for at least this long.
    RetryAfter(Duration),
}

/// What the shell sent for [`Action::SendRecords`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A batch with the records from `first` to `last`.
    Records {
        /// The seq that was asked for.
        first: Seq,
        /// The batch's last record.
        last: Seq,
    },
    /// A gap from `first` to `last`.
    Gap {
        /// The seq that was asked for.
        first: Seq,
        /// The gap's last record.
        last: Seq,
    },
    /// Nothing: the spool could not be read. The next append asks again.
    Nothing,
}
