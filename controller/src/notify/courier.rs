//! Takes queued messages to one receiver: claims, sends, and writes down what became of it. At least once, with the same
//! key each time; one that cannot be delivered for a day is given up and said so.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::incident::{Entry, EntryKind, Incident};
use tidemark_model::notice::NoticeKind;
use tidemark_model::silence::Labels;
use tidemark_runtime::telemetry::SPANS;
use tidemark_store::{Notification, StoreError};
use tokio::time::Instant;

use super::backoff;
use super::dispatch::is_worth_a_line;
use super::message::{INCIDENTS_MAX, Message, Reason, Status, Told, url};
use super::plan::Group;
use super::receiver::{Receiver, ReceiverKind, Retry, SendError, Sender};
use crate::app::App;
use crate::gateway::outcome::chain;
use crate::incidents::labels::{self, SILENCES_MAX};

/// Between two looks at the queue, when nothing wakes it.
const PERIOD: Duration = Duration::from_secs(1);

/// Messages claimed at once.
const BATCH: u32 = 16;

/// A claim lapses after this: longer than a receiver may take to answer.
const CLAIM: Duration = Duration::from_secs(60);

/// A message is given up after this.
const GIVE_UP_AFTER: Duration = Duration::from_secs(86_400);

/// Longest error that is kept, in characters.
const ERROR_CHARS_MAX: usize = 500;

/// Groups that are kept alive.
const GROUPS_MAX: u32 = 50_000;

/// Takes messages to one receiver.
pub struct Courier {
    app: Arc<App>,
    sender: Sender,
}

impl Courier {
    /// For that receiver.
    #[must_use]
    pub fn new(app: Arc<App>, receiver: Receiver) -> Self {
        Self {
            app,
            sender: Sender::new(receiver),
        }
    }

    /// Runs until the stop.
    pub async fn run(self) {
        let stop = self.app.life.stop_token();
        let mut queued = self.app.notifications_queued.subscribe();
        let mut kept_alive_at = Instant::now();
        loop {
            let worked = tokio::select! {
                () = stop.cancelled() => return,
                worked = self.work(&mut kept_alive_at) => worked,
            };
            if let Err(error) = worked {
                tracing::warn!(
                    receiver = self.sender.receiver().name,
                    error = chain(&error),
                    "the queue of messages cannot be read; it is tried again"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                // An error says that the application ends.
                changed = queued.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    async fn work(&self, kept_alive_at: &mut Instant) -> Result<(), StoreError> {
        while self.deliver_due().await? > 0 {}
        if let ReceiverKind::Alertmanager {
            resend_interval, ..
        } = self.sender.receiver().kind
            && kept_alive_at.elapsed() >= resend_interval
            && self.app.leader.term().is_some()
        {
            *kept_alive_at = Instant::now();
            self.keep_alive().await?;
        }
        Ok(())
    }

    /// Delivers what is due; answers how many messages were delivered or given up.
    async fn deliver_due(&self) -> Result<u64, StoreError> {
        let name = &self.sender.receiver().name;
        let mut tx = self.app.store.read().await?;
        let due = tx
            .notifications_due(name, self.app.clock.now(), BATCH)
            .await?;
        drop(tx);
        let mut ended = 0;
        for notification in due {
            let until = self.app.clock.now().saturating_add(CLAIM);
            let mut tx = self.app.store.begin().await?;
            let is_mine = tx.notification_claim(&notification, until).await?;
            tx.commit().await?;
            if is_mine {
                ended += u64::from(self.deliver(&notification).await?);
            }
        }
        Ok(ended)
    }

    /// Tries once; says whether the message has ended.
    #[tracing::instrument(
        target = SPANS,
        name = "delivery",
        skip_all,
        err,
        fields(otel.kind = "client", receiver = self.sender.receiver().name)
    )]
    async fn deliver(&self, notification: &Notification) -> Result<bool, StoreError> {
        let attempts = notification.attempts.saturating_add(1);
        let claimed = (notification.id, attempts);
        let message: Result<Message, SendError> = serde_json::from_str(&notification.message)
            .map_err(|error| {
                SendError::never(format!("the queued message is unreadable: {error}"))
            });
        let sent = match &message {
            Ok(message) => {
                let now = self.app.clock.now();
                self.sender.send(message, &notification.message, now).await
            }
            Err(error) => Err(error.clone()),
        };
        let now = self.app.clock.now();
        let message = message.ok();
        let outcome = match sent {
            Ok(()) => None,
            Err(error) => {
                self.app.metrics.notification_tries_failed.add(1);
                let age_ms = now.ms_since(notification.created_at);
                let text: String = error.text.chars().take(ERROR_CHARS_MAX).collect();
                let is_old = u128::try_from(age_ms).unwrap_or(0) >= GIVE_UP_AFTER.as_millis();
                match error.retry {
                    Retry::Later(asked) if !is_old => {
                        let wait = backoff::wait_after(attempts, asked, &self.app.entropy);
                        let mut tx = self.app.store.begin().await?;
                        tx.notification_retry(claimed, now.saturating_add(wait), &text)
                            .await?;
                        tx.commit().await?;
                        return Ok(false);
                    }
                    Retry::Later(_) | Retry::Never => Some(text),
                }
            }
        };
        self.end(claimed, message.as_ref(), outcome.as_deref())
            .await?;
        Ok(true)
    }

    async fn end(
        &self,
        claimed: (i64, u32),
        message: Option<&Message>,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let now = self.app.clock.now();
        let name = &self.sender.receiver().name;
        let mut tx = self.app.store.begin().await?;
        tx.notification_end(claimed, now, error).await?;
        for told in message
            .into_iter()
            .filter(|message| error.is_some() || is_worth_a_line(message))
            .flat_map(Message::told)
        {
            let entry = match error {
                None => Entry::own(
                    now,
                    EntryKind::Notified,
                    format!("{name} was told: {}", told.state),
                ),
                Some(error) => {
                    let text = format!("{name} could not be told, and it was given up: {error}");
                    Entry::own(now, EntryKind::NotifyFailed, text)
                }
            };
            tx.incident_entries_append(told.id, &[entry]).await?;
        }
        tx.commit().await?;
        match error {
            None => self.app.metrics.notifications_delivered.add(1),
            Some(error) => {
                self.app.metrics.notifications_given_up.add(1);
                tracing::error!(receiver = name, error, "a message was given up");
                let text = format!("receiver {name} could not be told of an incident: {error}");
                self.app.note(None, NoticeKind::NotificationFailed, text);
            }
        }
        Ok(())
    }

    /// Tells Alertmanager again what it was told, before that lapses there. The leader does: messages are claimed, this is not.
    async fn keep_alive(&self) -> Result<(), StoreError> {
        let name = &self.sender.receiver().name;
        let now = self.app.clock.now();
        let mut tx = self.app.store.read().await?;
        let silences = tx.silences_unexpired(now, SILENCES_MAX).await?;
        let is_silenced = |incident: &Incident| {
            let on_hosts = labels::labels_of(&self.app, incident);
            labels::silence_on(&self.app, incident, &on_hosts, &silences).is_some()
        };
        let mut told = Vec::new();
        for row in tx.notification_groups_all(GROUPS_MAX).await? {
            let Ok(group) = serde_json::from_str::<Group>(&row.body) else {
                continue;
            };
            if group.receiver != *name || group.last_sent_at.is_none() {
                continue;
            }
            for id in group.told.keys() {
                let incident = tx.incident_find(*id).await?;
                // A silenced one lapses there: nobody is told of it.
                let open =
                    incident.filter(|one| one.state.resolved_at().is_none() && !is_silenced(one));
                told.extend(open.map(|one| Told::new(&self.app, &one, now)));
            }
        }
        drop(tx);
        for part in told.chunks(INCIDENTS_MAX) {
            let message = Message {
                key: String::new(),
                receiver: name.clone(),
                status: Status::Firing,
                reason: Reason::Repeat,
                group: Labels::new(),
                firing: part.to_vec(),
                resolved: vec![],
                left_out: 0,
                at_ms: now.unix_ms(),
                url: url(&self.app, "/incidents"),
            };
            if let Err(error) = self.sender.send(&message, "", now).await {
                self.app.metrics.notification_tries_failed.add(1);
                tracing::warn!(
                    receiver = name,
                    error = error.text,
                    "alerts could not be kept alive; it is tried again"
                );
            }
        }
        Ok(())
    }
}
