//! Queues what receivers are to be told: reads incidents, silences and what groups were told, plans, and stores message and
//! plan in one transaction, so that a crash between neither loses nor repeats a message.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tidemark_model::Timestamp;
use tidemark_model::incident::Incident;
use tidemark_model::silence::{Labels, Silence};
use tidemark_store::{Backend, NewNotification, NotificationState, StoreError, Term, Tx};

use super::Route;
use super::message::{INCIDENTS_MAX, Message, Reason, Status, Told, url};
use super::plan::{Also, Group, Member, Plan, Sending, Terms, plan};
use super::receiver::{Receiver, Voice};
use crate::app::App;
use crate::gateway::outcome::chain;
use crate::incidents::labels::{self, SILENCES_MAX};
use crate::maintain;

/// Between two activations, when nothing wakes it.
const PERIOD: Duration = Duration::from_secs(2);

/// Incidents, silences and groups that are looked at.
const INCIDENTS_READ_MAX: u32 = 20_000;
/// See [`INCIDENTS_READ_MAX`].
const GROUPS_MAX: u32 = 50_000;

/// An end is told within this; a receiver that could not be reached for longer has it in its queue.
const ENDED_WITHIN: Duration = Duration::from_secs(86_400);

/// Messages on their way to one receiver. Beyond, news waits in the incidents themselves and is told together later.
const PENDING_MAX: u64 = 1_000;

/// What an activation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DispatchStatus {
    /// Messages queued.
    pub queued: u64,
    /// Messages on their way.
    pub pending: u64,
    /// Groups that another controller changed meanwhile, or whose receiver has too much on its way.
    pub left: u64,
}

/// Queues messages.
pub struct Dispatcher {
    app: Arc<App>,
}

/// An incident with what routes and silences look at.
struct Standing {
    incident: Incident,
    on_hosts: Vec<Labels>,
    common: Labels,
    is_silenced: bool,
}

/// A group as the store has it.
type Known = (u64, Group);

impl Dispatcher {
    /// Works by the settings of the application.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Runs until the stop.
    pub async fn run(self) {
        let stop = self.app.life.stop_token();
        let mut last = None;
        loop {
            let term = self.app.leader.term();
            if term.is_some() && term != last {
                self.look_at_settings().await;
                last = term;
            }
            match self.activate().await {
                Ok(status) => {
                    self.app.metrics.notifications_pending.set(status.pending);
                    tracing::debug!(?status, "messages are queued");
                }
                // Another controller leads, and goes on with it.
                Err(StoreError::Fenced { .. }) => {}
                Err(error) => tracing::warn!(
                    error = chain(&error),
                    "messages cannot be queued; it is tried again"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.app.incidents_changed.notified() => {}
                _ = self.app.leader.next_term(last.as_ref()) => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Says so when this controller, which tells of incidents from now on, has nobody to tell, and somebody was told before:
    /// another controller may have other settings.
    async fn look_at_settings(&self) {
        if self.app.store.backend() == Backend::Postgres
            && self.app.notify.routes.is_empty()
            && let Ok(groups) = self.groups().await
            && !groups.is_empty()
        {
            tracing::warn!(
                "nobody is told of incidents any more: this controller leads and has no [notify]; all controllers need the same"
            );
        }
    }

    /// Queues what is due, where this controller leads.
    ///
    /// # Errors
    /// What the database says; what was queued stays queued.
    pub async fn activate(&self) -> Result<DispatchStatus, StoreError> {
        let mut status = DispatchStatus::default();
        if self.app.notify.routes.is_empty() {
            return Ok(status);
        }
        let Some(term) = self.app.leader.term() else {
            return Ok(status);
        };
        let now = self.app.clock.now();
        let mut known = self.groups().await?;
        let standing = self.standing(&known, now).await?;
        let pending = self.pending().await?;
        status.pending = pending.values().sum();
        for route in &self.app.notify.routes {
            let Some(receiver) = self.app.notify.receiver(&route.receiver) else {
                continue;
            };
            let is_full = pending.get(&route.receiver).copied().unwrap_or(0) >= PENDING_MAX;
            for (key, members) in group(route, receiver, &standing, &known) {
                let former = known.remove(&key);
                if is_full {
                    status.left = status.left.saturating_add(1);
                    continue;
                }
                let (generation, body) = former.unwrap_or_else(|| {
                    let labels = group_labels(route, receiver, members.first().copied());
                    (0, Group::new(&route.receiver, labels, now))
                });
                let task = Task {
                    dispatcher: self,
                    term: &term,
                    terms: terms(route, receiver),
                    key,
                    now,
                };
                match task.carry_out((generation, body), &members).await {
                    Ok(queued) => status.queued = status.queued.saturating_add(queued),
                    Err(StoreError::Stale { .. } | StoreError::AlreadyExists { .. }) => {
                        status.left = status.left.saturating_add(1);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        self.forget_strangers(known, &term).await?;
        if status.queued > 0 {
            self.app
                .notifications_queued
                .send_modify(|count| *count += 1);
        }
        Ok(status)
    }

    async fn groups(&self) -> Result<HashMap<String, Known>, StoreError> {
        let mut tx = self.app.store.read().await?;
        let rows = tx.notification_groups_all(GROUPS_MAX).await?;
        let read = rows.into_iter().filter_map(|row| {
            // One that cannot be read is told anew, which is better than never.
            let group = serde_json::from_str(&row.body).ok()?;
            Some((row.key, (row.generation, group)))
        });
        Ok(read.collect())
    }

    async fn pending(&self) -> Result<HashMap<String, u64>, StoreError> {
        let mut tx = self.app.store.read().await?;
        let counts = tx.notification_counts().await?;
        let pending = counts
            .into_iter()
            .filter(|count| count.state == NotificationState::Pending);
        Ok(pending.map(|count| (count.receiver, count.count)).collect())
    }

    /// Incidents that are not over, and those that ended and were told.
    async fn standing(
        &self,
        known: &HashMap<String, Known>,
        now: Timestamp,
    ) -> Result<Vec<Standing>, StoreError> {
        let told: HashSet<i64> = known
            .values()
            .flat_map(|(_, group)| group.told.keys().copied())
            .collect();
        let mut tx = self.app.store.read().await?;
        let silences = tx.silences_unexpired(now, SILENCES_MAX).await?;
        let mut incidents = tx.incidents_watched(0, INCIDENTS_READ_MAX).await?;
        let since = now.saturating_sub(ENDED_WITHIN);
        let ended = tx.incidents_ended_since(since, INCIDENTS_READ_MAX).await?;
        let is_listed: HashSet<i64> = incidents.iter().map(|one| one.id).collect();
        incidents.extend(ended.into_iter().filter(|one| !is_listed.contains(&one.id)));
        // What is over and was never told is nobody's news.
        incidents.retain(|one| one.state.resolved_at().is_none() || told.contains(&one.id));
        drop(tx);
        let standing = incidents
            .into_iter()
            .map(|incident| self.standing_of(incident, &silences, now));
        Ok(standing.collect())
    }

    fn standing_of(&self, incident: Incident, silences: &[Silence], now: Timestamp) -> Standing {
        let on_hosts = labels::labels_of(&self.app, &incident);
        let is_silenced = labels::silence_on(&self.app, &incident, &on_hosts, silences).is_some()
            || maintain::silence_on(&self.app, &incident.problem.hosts, now).is_some();
        Standing {
            common: labels::common(&on_hosts),
            incident,
            on_hosts,
            is_silenced,
        }
    }

    /// Groups that no route has any more: their receiver or route was taken out of the configuration.
    async fn forget_strangers(
        &self,
        known: HashMap<String, Known>,
        term: &Term,
    ) -> Result<(), StoreError> {
        if known.is_empty() {
            return Ok(());
        }
        let mut tx = self.app.begin_in(term).await?;
        for (key, (generation, _)) in known {
            match tx.notification_group_delete(&key, generation).await {
                Ok(()) | Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        tx.commit().await
    }
}

/// One group of one activation.
struct Task<'a> {
    dispatcher: &'a Dispatcher,
    term: &'a Term,
    terms: Terms,
    key: String,
    now: Timestamp,
}

impl Task<'_> {
    /// Plans and stores; answers how many messages were queued.
    async fn carry_out(
        &self,
        (generation, group): Known,
        standing: &[&Standing],
    ) -> Result<u64, StoreError> {
        let members: Vec<Member<'_>> = standing
            .iter()
            .map(|one| Member {
                incident: &one.incident,
                labels: &one.common,
                is_silenced: one.is_silenced,
            })
            .collect();
        match plan(self.terms, group.clone(), &members, self.now) {
            Plan::Nothing => Ok(0),
            Plan::Keep(group) => {
                let mut tx = self.begin().await?;
                tx.notification_group_put(&self.key, generation, &body_of(&group)?)
                    .await?;
                tx.commit().await?;
                Ok(0)
            }
            Plan::Forget => {
                if generation > 0 {
                    let mut tx = self.begin().await?;
                    tx.notification_group_delete(&self.key, generation).await?;
                    tx.commit().await?;
                }
                Ok(0)
            }
            Plan::Send(sending) => {
                let message = self.message(&sending, &group, standing);
                let mut tx = self.begin().await?;
                let is_new = tx
                    .notification_insert(&NewNotification {
                        receiver: message.receiver.clone(),
                        group_key: self.key.clone(),
                        key: message.key.clone(),
                        created_at: self.now,
                        message: serde_json::to_string(&message).map_err(|_| unwritable())?,
                    })
                    .await?;
                tx.notification_group_put(&self.key, generation, &body_of(&sending.group)?)
                    .await?;
                tx.commit().await?;
                Ok(u64::from(is_new))
            }
        }
    }

    async fn begin(&self) -> Result<Tx, StoreError> {
        self.dispatcher.app.begin_in(self.term).await
    }

    fn message(&self, sending: &Sending, before: &Group, standing: &[&Standing]) -> Message {
        let app = &self.dispatcher.app;
        let by_id: BTreeMap<i64, &Standing> =
            standing.iter().map(|one| (one.incident.id, *one)).collect();
        let tell = |ids: &[i64]| -> Vec<Told> {
            let known = ids.iter().filter_map(|id| by_id.get(id));
            known
                .take(INCIDENTS_MAX)
                .map(|one| {
                    let mut told = Told::new(app, &one.incident, self.now);
                    let former = before.told.get(&one.incident.id);
                    told.former_labels = former
                        .map(|former| former.labels.clone())
                        .filter(|former| *former != told.labels);
                    told
                })
                .collect()
        };
        let (firing, resolved) = (tell(&sending.firing), tell(&sending.resolved));
        let all = sending.firing.len().saturating_add(sending.resolved.len());
        let told = firing.len().saturating_add(resolved.len());
        let group = &sending.group;
        Message {
            key: digest(&[
                &self.key,
                &group.begun_at.unix_ms().to_string(),
                &group.sequence.to_string(),
            ]),
            receiver: group.receiver.clone(),
            status: if firing.is_empty() {
                Status::Resolved
            } else {
                Status::Firing
            },
            reason: sending.reason,
            group: group.labels.clone(),
            firing,
            resolved,
            left_out: all.saturating_sub(told) as u64,
            at_ms: self.now.unix_ms(),
            url: url(app, "/incidents"),
        }
    }
}

fn body_of(group: &Group) -> Result<String, StoreError> {
    serde_json::to_string(group).map_err(|_| unwritable())
}

const fn unwritable() -> StoreError {
    StoreError::InvalidValue {
        field: "message",
        limit: "representable as JSON",
    }
}

fn terms(route: &Route, receiver: &Receiver) -> Terms {
    let voice = receiver.voice();
    Terms {
        group_wait: route.group_wait,
        repeat_interval: match voice {
            // It is kept alive by the courier, and repeats by rules of its own.
            Voice::Alerts | Voice::Pages => None,
            Voice::Messages => Some(route.repeat_interval),
        },
        also: Also {
            resolved: route.send_resolved,
            acknowledged: voice == Voice::Pages,
            relabelled: voice == Voice::Alerts,
        },
    }
}

/// Sorts incidents into the groups of a route, by key. One that was told in a group stays there.
fn group<'s>(
    route: &Route,
    receiver: &Receiver,
    standing: &'s [Standing],
    known: &HashMap<String, Known>,
) -> BTreeMap<String, Vec<&'s Standing>> {
    let prefix = route_key(route);
    let mut groups: BTreeMap<String, Vec<&Standing>> = BTreeMap::new();
    let mut told_in: HashMap<i64, &String> = HashMap::new();
    for (key, (_, group)) in known.iter().filter(|(key, _)| key.starts_with(&prefix)) {
        groups.entry(key.clone()).or_default();
        told_in.extend(group.told.keys().map(|id| (*id, key)));
    }
    for one in standing {
        let key = match told_in.get(&one.incident.id) {
            Some(key) => (*key).clone(),
            None if route.takes(&one.on_hosts) => {
                let labels = group_labels(route, receiver, Some(one));
                let mut parts: Vec<&str> = Vec::new();
                for (name, value) in &labels {
                    parts.extend([name.as_str(), value.as_str()]);
                }
                format!("{prefix}{}", digest(&parts))
            }
            None => continue,
        };
        groups.entry(key).or_default().push(one);
    }
    groups
}

/// Names a route, whatever its place in the file and its times.
fn route_key(route: &Route) -> String {
    let matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
    let mut parts: Vec<&str> = matchers.iter().map(String::as_str).collect();
    parts.push("by");
    parts.extend(route.group_by.iter().map(String::as_str));
    format!("{}/{}/", route.receiver, digest(&parts))
}

/// What a group's incidents have in common.
fn group_labels(route: &Route, receiver: &Receiver, first: Option<&Standing>) -> Labels {
    let Some(first) = first else {
        return Labels::new();
    };
    match receiver.voice() {
        Voice::Messages => {
            let value = |name: &String| first.common.get(name).cloned().unwrap_or_default();
            let pairs = route
                .group_by
                .iter()
                .map(|name| (name.clone(), value(name)));
            pairs.collect()
        }
        // Each incident is an alert of its own there.
        Voice::Alerts | Voice::Pages => {
            Labels::from([("incident".to_owned(), first.incident.id.to_string())])
        }
    }
}

/// A short name for parts, none of which runs into another.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    HEXLOWER.encode(digest.get(..16).unwrap_or_default())
}

/// Whether a repeat belongs in an incident's time line: it says nothing new.
#[must_use]
pub fn is_worth_a_line(message: &Message) -> bool {
    message.reason == Reason::News
}
