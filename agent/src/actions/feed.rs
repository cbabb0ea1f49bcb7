//! What passes between the session and the desk: bounded both ways, and never waited for by the session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use tidemark_model::action::{HostPolicyView, SignedOrder};
use tidemark_model::grant::{GrantId, GrantList};
use tidemark_model::key_statement::SignedKeyStatement;
use tidemark_model::signing::Signature;
use tidemark_model::{ActionId, ActionReport};
use tidemark_proto::convert::action::StoredReport;
use tokio::sync::mpsc;

use super::desk::Input;
use super::overflow::{Overflow, Unsent};
use crate::desk_outbox::DeskOutbox;

/// Most reports that wait for a session; the desk tells those that are not stored again with the next one.
const WAITING_MAX: usize = 1_024;

/// Messages that wait for a desk that the caller plays.
const PLAYED_MAX: usize = 64;

/// A message of the controller about actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A session with a controller that sends actions began.
    Opened,
    /// An order.
    Order(SignedOrder),
    /// An order, and the grant by which the host may take it without signatures.
    Granted(SignedOrder, GrantId),
    /// Every grant that the controller lists for this host.
    Grants(GrantList),
    /// A report is stored.
    Acked(StoredReport),
    /// The controller heard of the action after it took effect.
    Confirmed(ActionId),
    /// What the action changed is to be put back.
    Undo(ActionId),
    /// Every action is to stop.
    Stop,
    /// Actions may go on, if this is signed.
    GoOn {
        /// What was signed.
        unlock: Vec<u8>,
        /// By whom.
        signatures: Vec<Signature>,
    },
    /// Operators signed something about their keys.
    KeyStatement(SignedKeyStatement),
}

/// What is to be told to the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// The host's policy, when it is new.
    pub(crate) policy: Option<HostPolicyView>,
    /// The newest report of each action.
    pub(crate) reports: BTreeMap<ActionId, ActionReport>,
}

/// The desk's outbox.
pub(super) type Outbox = DeskOutbox<Outgoing>;

impl Outbox {
    pub(super) fn tell(&self, report: ActionReport) {
        self.put(|waiting| {
            let reports = &mut waiting.reports;
            if reports.len() < WAITING_MAX || reports.contains_key(&report.id) {
                reports.insert(report.id, report);
            }
        });
    }

    pub(super) fn tell_policy(&self, policy: HostPolicyView) {
        self.put(|waiting| waiting.policy = Some(policy));
    }
}

/// The session's end of the desk.
#[derive(Clone, Debug)]
pub struct ActionFeed(Option<Ends>);

#[derive(Clone, Debug)]
struct Ends {
    to_desk: ToDesk,
    overflow: Arc<Overflow>,
    outbox: Arc<Outbox>,
}

#[derive(Clone, Debug)]
enum ToDesk {
    Thread(SyncSender<Input>),
    Played(mpsc::Sender<Message>),
}

/// The other end of a feed whose desk the caller plays, as a simulation does.
#[derive(Debug)]
pub struct PlayedDesk {
    messages: mpsc::Receiver<Message>,
    outbox: Arc<Outbox>,
}

impl PlayedDesk {
    /// The next message of the controller; `None` when no session is left that could bring one. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// Has a report told, now or in the next session.
    pub fn tell(&self, report: ActionReport) {
        self.outbox.tell(report);
    }

    /// Has the host's policy told.
    pub fn tell_policy(&self, policy: HostPolicyView) {
        self.outbox.tell_policy(policy);
    }
}

impl ActionFeed {
    /// The feed of a host that takes no actions.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    pub(super) const fn new(
        to_desk: SyncSender<Input>,
        overflow: Arc<Overflow>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self(Some(Ends {
            to_desk: ToDesk::Thread(to_desk),
            overflow,
            outbox,
        }))
    }

    /// A feed with the other end of it, for a desk that the caller plays.
    #[must_use]
    pub fn played() -> (Self, PlayedDesk) {
        let (sender, messages) = mpsc::channel(PLAYED_MAX);
        let outbox = Arc::new(Outbox::default());
        let desk = PlayedDesk {
            messages,
            outbox: Arc::clone(&outbox),
        };
        let ends = Ends {
            to_desk: ToDesk::Played(sender),
            overflow: Arc::default(),
            outbox,
        };
        (Self(Some(ends)), desk)
    }

    /// Whether this host takes actions.
    pub(crate) const fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a message over; `false` when the desk has no room for it, or is gone. What must not be lost is kept until it has.
    pub(crate) fn hand(&self, message: Message) -> bool {
        let Some(ends) = &self.0 else {
            return false;
        };
        match &ends.to_desk {
            ToDesk::Thread(desk) => ends.overflow.hand(message, |message| {
                let sent = desk.try_send(Input::Session(message));
                sent.map_err(|error| match error {
                    TrySendError::Full(Input::Session(message)) => Unsent::Full(message),
                    TrySendError::Full(_) | TrySendError::Disconnected(_) => Unsent::Gone,
                })
            }),
            ToDesk::Played(desk) => desk.try_send(message).is_ok(),
        }
    }

    /// Takes what is to be told.
    pub(crate) fn take(&self) -> Outgoing {
        let ends = self.0.as_ref();
        ends.map(|ends| ends.outbox.take()).unwrap_or_default()
    }

    /// Completes when there is something to tell. Cancelling it loses nothing.
    pub(crate) async fn changed(&self) {
        match &self.0 {
            Some(ends) => ends.outbox.changed().await,
            None => std::future::pending().await,
        }
    }
}
