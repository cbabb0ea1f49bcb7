//! The desk: a thread that judges orders, writes the journal, hands work to the hands and tells the session.
//!
//! Order of everything: journal, then act; journal, then tell.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use tidemark_agent_core::actions::{
    Circumstances, JournalRecord, Judgement, Ledger, Obstacle, judge,
};
use tidemark_model::action::{HostPolicyView, Refusal, RefusedStatement, SignedOrder};
use tidemark_model::grant::GrantId;
use tidemark_model::signing::KeyId;
use tidemark_model::{ActionId, ActionReport, ActionState, HostId, Order, Timestamp};
use tidemark_platform::host;
use tidemark_proto::convert::action::StoredReport;
use tidemark_runtime::Clock;

use super::confirm::Confirmations;
use super::feed::{ActionFeed, Message, Outbox};
use super::grants::{Grants, Witness};
use super::hands::{Hands, Task, Work};
use super::journal::{self, AppendError, Found, Journal};
use super::lockdown::Lockdown;
use super::overflow::Overflow;
use super::policy_file::{PolicyFile, ReadPolicy};
use crate::collect::CollectSettings;
use crate::owned_thread::{Joined, OwnedThread};
use crate::session::chain;

/// Most messages that wait for the desk.
const INPUTS_MAX: usize = 64;
/// Most orders that wait for the hands: what was accepted at once, and what a crash left behind.
const WORK_MAX: usize = 64;
/// How often the policy file and the lockdown are looked at for people who ask the controller.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// How long a stop waits for the action that runs to come to a safe point.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a desk works with.
#[derive(Clone, Debug)]
pub struct DeskParts {
    /// Who this host is.
    pub(crate) host: HostId,
    /// Its policy.
    pub(crate) policy: PolicyFile,
    /// The agent's folder: journal, lockdown, evidence.
    pub(crate) folder: PathBuf,
    /// Folder of the hooks.
    pub(crate) hooks: PathBuf,
    /// What evidence is collected with.
    pub(crate) collect: CollectSettings,
    /// Wall-clock time.
    pub(crate) clock: Clock,
    /// The name that its system gives this host.
    pub(crate) host_name: String,
    /// What this host saw by itself.
    pub(crate) witness: Witness,
}

/// The running desk.
#[derive(Debug)]
pub struct Desk {
    desk: OwnedThread,
    hands: OwnedThread,
    inputs: SyncSender<Input>,
    confirmations: Arc<Confirmations>,
    feed: ActionFeed,
}

/// Why a desk cannot begin, or did not end.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// Nothing can be remembered, so nothing may be done.
    #[error("the journal of actions at {} cannot be opened", path.display())]
    Journal {
        /// Where.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("the system gives no thread for actions")]
    Thread(#[source] io::Error),
    /// A thread panicked.
    #[error("a thread of the actions panicked: this is a bug")]
    Panicked,
}

/// What the desk hears.
#[derive(Debug)]
pub(crate) enum Input {
    /// From the session.
    Session(Message),
    /// From the hands: a report, to be durable before they go on; `false` when it cannot be.
    Progress(Box<ActionReport>, SyncSender<bool>),
    /// From the hands: an order under a grant that waited and is about to begin; what stands in its way, if anything does.
    Begins(Box<Order>, GrantId, SyncSender<Option<Obstacle>>),
    /// The agent stops.
    Stop,
}

impl Desk {
    /// Opens the journal and begins; what a crash left behind is taken up first.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn start(parts: DeskParts) -> Result<Self, DeskError> {
        let path = journal::path_in(&parts.folder);
        let now = parts.clock.now();
        let (journal, ledger, found) =
            Journal::open(&path, now).map_err(|source| DeskError::Journal { path, source })?;
        tell_found(&found);
        let (to_desk, inputs) = sync_channel(INPUTS_MAX);
        let (to_hands, work) = sync_channel(WORK_MAX);
        let confirmations = Arc::new(Confirmations::default());
        let outbox = Arc::new(Outbox::default());
        let overflow = Arc::new(Overflow::default());
        let hands = Hands::new(&parts, to_desk.clone(), Arc::clone(&confirmations));
        let grants = Grants::open(&parts, &found);
        let clerk = Clerk {
            lockdown: Lockdown::in_folder(&parts.folder),
            parts,
            journal,
            ledger,
            to_hands,
            confirmations: Arc::clone(&confirmations),
            overflow: Arc::clone(&overflow),
            outbox: Arc::clone(&outbox),
            told_policy: None,
            refused_statements: VecDeque::new(),
            grants,
        };
        let hands = OwnedThread::start("hands", move || hands.run(&work));
        let desk = OwnedThread::start("desk", move || clerk.run(&inputs));
        Ok(Self {
            desk: desk.map_err(DeskError::Thread)?,
            hands: hands.map_err(DeskError::Thread)?,
            feed: ActionFeed::new(to_desk.clone(), overflow, outbox),
            inputs: to_desk,
            confirmations,
        })
    }

    /// The session's end of it.
    #[must_use]
    pub fn feed(&self) -> ActionFeed {
        self.feed.clone()
    }

    /// Completes when it has ended, which it does only when it panicked.
    pub async fn ended(&self) {
        tokio::select! {
            () = self.desk.ended() => {}
            () = self.hands.ended() => {}
        }
    }

    /// Ends it: the action that runs comes to a safe point, or is taken up at the next start.
    ///
    /// # Errors
    /// [`DeskError::Panicked`].
    pub async fn stop(self) -> Result<(), DeskError> {
        self.confirmations.stop();
        // A desk that is full ends by the hands' end of the channel, or is left behind.
        drop(self.inputs.try_send(Input::Stop));
        let ends = [
            self.hands.join_within(STOP_TIMEOUT).await,
            self.desk.join_within(STOP_TIMEOUT).await,
        ];
        if ends.contains(&Joined::Panicked) {
            return Err(DeskError::Panicked);
        }
        Ok(())
    }
}

fn tell_found(found: &Found) {
    match found {
        Found::Whole | Found::Missing => {}
        Found::Removed => tracing::error!(
            "the journal of actions is gone; orders that were made before this moment are refused"
        ),
        Found::Damaged(aside) => tracing::error!(
            aside = %aside.display(),
            "the journal of actions was damaged; orders that were made before this moment are refused"
        ),
        Found::Older => tracing::error!(
            "the journal of actions is an old one, as out of a backup; orders that were made before this moment are refused"
        ),
    }
}

/// The desk's thread.
struct Clerk {
    parts: DeskParts,
    lockdown: Lockdown,
    journal: Journal,
    ledger: Ledger,
    to_hands: SyncSender<Work>,
    confirmations: Arc<Confirmations>,
    /// What the queue had no room for.
    overflow: Arc<Overflow>,
    outbox: Arc<Outbox>,
    /// The policy as it was told last.
    told_policy: Option<HostPolicyView>,
    /// Statements about keys that were not followed, the last ones.
    refused_statements: VecDeque<RefusedStatement>,
    grants: Grants,
}

impl Clerk {
    fn run(mut self, inputs: &Receiver<Input>) {
        self.take_up();
        loop {
            match self.next(inputs) {
                Ok(Input::Session(message)) => self.hear(message),
                Ok(Input::Progress(report, durable)) => {
                    let is_durable = self.report(*report);
                    // Hands that are gone wait for no answer.
                    durable.send(is_durable).ok();
                }
                Ok(Input::Begins(order, grant, answer)) => {
                    answer.send(self.hinders(&order, grant)).ok();
                }
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.grants.keep_lived();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
            }
        }
    }

    /// The next input; what overflowed comes behind what was queued before it.
    fn next(&mut self, inputs: &Receiver<Input>) -> Result<Input, RecvTimeoutError> {
        match inputs.try_recv() {
            Ok(input) => return Ok(input),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        for message in self.overflow.take() {
            self.hear(message);
        }
        inputs.recv_timeout(LOOK_INTERVAL)
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Opened => self.tell_all(),
            Message::Order(signed) => self.order(&signed, None),
            Message::Granted(signed, grant) => self.order(&signed, Some(grant)),
            Message::Grants(list) => self.list(list),
            Message::Acked(stored) => self.acked(&stored),
            Message::Confirmed(id) => self.confirmations.confirm(id),
            Message::Undo(id) => self.undo(id),
            Message::Stop => self.stop_all(),
            Message::GoOn { unlock, signatures } => self.go_on(&unlock, &signatures),
            Message::KeyStatement(statement) => self.hear_of_keys(&statement),
        }
    }

    fn order(&mut self, signed: &SignedOrder, grant: Option<GrantId>) {
        let read = self.parts.policy.read();
        let now = self.now();
        if let (Ok(policy), Some(_)) = (&read.policy, grant) {
            self.grants.look(policy, now);
        }
        let (by_grant, judgement) = self.judge(signed, (grant, &read), now);
        match judgement {
            Judgement::Take(order) => {
                let signatures = match by_grant {
                    Some(grant) => self.grants.signatures(grant),
                    None => &signed.signatures,
                };
                // Strangers may have signed a grant as well, and count for nothing.
                let is_believed = |key: &KeyId| {
                    let policy = read.policy.as_ref();
                    policy.is_ok_and(|policy| policy.key(*key).is_some())
                };
                let signers = signatures.iter().map(|signature| signature.key);
                let signers = signers.filter(is_believed).collect();
                self.take(*order, (signers, by_grant), now);
            }
            Judgement::Known(report) => self.outbox.tell(*report),
            Judgement::Refuse(report) => {
                tracing::warn!(
                    action = %report.id,
                    refusal = report.refusal.map_or("", Refusal::as_str),
                    reason = %report.text,
                    "order refused"
                );
                self.outbox.tell(*report);
            }
        }
    }

    /// What becomes of an order, and the grant by which it is taken, if one stands for its signatures.
    fn judge(
        &self,
        signed: &SignedOrder,
        (grant, read): (Option<GrantId>, &ReadPolicy),
        now: Timestamp,
    ) -> (Option<GrantId>, Judgement) {
        let seen = self.parts.witness.seen();
        let circumstances = Circumstances {
            host: self.parts.host,
            policy: read.policy.as_ref().map_err(String::as_str),
            ledger: &self.ledger,
            lockdown: self.lockdown.holds(),
            now,
            minute: minute_of_day(now),
            booted_at: booted_at(now),
            waiting: self.ledger.unfinished().len(),
            granting: grant.map(|id| self.grants.granting(id, &seen, now)),
        };
        let by_grant = circumstances.grant_of(signed).map(|granting| granting.id);
        (by_grant, judge::judge(signed, &circumstances))
    }

    /// The intent is durable before the hands hear of it.
    fn take(
        &mut self,
        order: Order,
        (signers, by_grant): (Vec<KeyId>, Option<GrantId>),
        now: Timestamp,
    ) {
        let id = order.id;
        if let Some(grant) = by_grant
            && let Err(error) = self.grants.count(grant, id)
        {
            let Obstacle { refusal, text } = grants::uncounted(&error);
            self.outbox
                .tell(ActionReport::refused(id, refusal, now, &text));
            return;
        }
        let record = JournalRecord::Began {
            order: order.clone(),
            at_ms: now,
            signers: signers.clone(),
            grant: by_grant,
        };
        if let Err(error) = self.write(record) {
            self.not_remembered(id, &error, now);
            return;
        }
        tracing::info!(
            action = %id,
            what = %order.spec.summary(),
            requester = %order.requester,
            dry_run = order.dry_run,
            grant = by_grant.map(tracing::field::display),
            "order accepted"
        );
        let accepted = ActionReport::new(id, ActionState::Accepted, now, "accepted");
        self.report(accepted);
        let work = Work {
            order,
            signers,
            grant: by_grant,
            last: None,
            task: Task::Do,
        };
        if self.to_hands.try_send(work).is_err() {
            let text = "as many actions wait as may; nothing was done";
            self.report(ActionReport::refused(id, Refusal::Busy, now, text));
        }
    }

    /// What cannot be remembered is not done, and that is told where the agent's next start cannot find it remembered after all.
    fn not_remembered(&self, id: ActionId, error: &AppendError, now: Timestamp) {
        let text = format!(
            "the host cannot remember it, so it does not do it: {}",
            chain(error)
        );
        tracing::error!(action = %id, %text, "order not taken");
        if let AppendError::Refused(_) = error {
            self.outbox
                .tell(ActionReport::refused(id, Refusal::Unsafe, now, &text));
        }
    }

    /// Makes a report durable and tells it; whether it is durable.
    fn report(&mut self, report: ActionReport) -> bool {
        let is_durable = match self.write(JournalRecord::Reported {
            report: report.clone(),
        }) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(action = %report.id, error = %chain(&error), "the journal of actions cannot be written");
                false
            }
        };
        self.outbox.tell(report);
        is_durable
    }

    /// One that comes late, about a report before the newest, ends nothing: a host that did not undo tells the same state once
    /// more.
    fn acked(&mut self, stored: &StoredReport) {
        let id = stored.action;
        let is_end = self.ledger.get(id).is_some_and(|entry| {
            let is_newest = entry.report.as_ref().is_some_and(|report| {
                report.state == stored.state && stored.at.is_none_or(|at| at == report.at_ms)
            });
            !entry.is_acked && entry.has_ended() && is_newest
        });
        if !is_end {
            return;
        }
        // Without it the report is told once more after the next connect.
        if let Err(error) = self.write(JournalRecord::Acked { id }) {
            tracing::warn!(action = %id, error = %chain(&error), "the journal of actions cannot be written");
        }
        if self.ledger.prune(self.now())
            && let Err(error) = self.journal.compact(&self.ledger)
        {
            tracing::warn!(error = %chain(&error), "the journal of actions cannot be shortened");
        }
    }

    fn write(&mut self, record: JournalRecord) -> Result<(), AppendError> {
        self.journal.append(&record)?;
        self.ledger.apply(record);
        Ok(())
    }

    fn tell_all(&mut self) {
        self.told_policy = None;
        self.look();
        for report in self.ledger.untold() {
            self.outbox.tell(report.clone());
        }
    }

    /// Tells the policy when it changed.
    fn look(&mut self) {
        self.keep_unkept();
        let read = self.parts.policy.read();
        let now = self.now();
        let mut view = read.view(self.lockdown.holds());
        view.refused_statements = self.refused_statements.iter().cloned().collect();
        if let Ok(policy) = &read.policy {
            self.grants.look(policy, now);
            view.grants = self.grants.holding(policy, now);
        }
        if self.told_policy.as_ref() != Some(&view) {
            self.told_policy = Some(view.clone());
            self.outbox.tell_policy(view);
        }
    }

    fn stop_all(&mut self) {
        match self.lockdown.impose(self.now(), "told by the controller") {
            Ok(()) => tracing::warn!("lockdown: every action is stopped"),
            Err(error) => {
                tracing::error!(error = %chain(&error), "the lockdown cannot be kept through a restart")
            }
        }
        self.look();
    }

    fn go_on(&mut self, unlock: &[u8], signatures: &[tidemark_model::signing::Signature]) {
        let lifted = self.parts.policy.read().policy.and_then(|policy| {
            let (host, now) = (self.parts.host, self.now());
            self.lockdown
                .lift_from_afar(&policy, host, now, (unlock, signatures))
        });
        match lifted {
            Ok(()) => tracing::info!("no lockdown: the policy decides"),
            Err(why) => tracing::warn!(%why, "the lockdown holds on"),
        }
        self.look();
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }
}

/// The minute of this host's local day.
pub(super) fn minute_of_day(now: Timestamp) -> u16 {
    let zoned = jiff::Timestamp::from_millisecond(now.unix_ms())
        .map(|at| at.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map_or(0, |at| {
        let minute = i32::from(at.hour()) * 60 + i32::from(at.minute());
        u16::try_from(minute).unwrap_or(0)
    })
}

/// When the host started; this moment when it does not say, so that it is not restarted in a loop.
pub(super) fn booted_at(now: Timestamp) -> Timestamp {
    host::boot_time().map_or(now, |since| Timestamp::EPOCH.saturating_add(since))
}

mod grants;
mod keys;
mod left_behind;
#[cfg(test)]
mod tests;
mod undo;
