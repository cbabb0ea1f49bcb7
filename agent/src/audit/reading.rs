//! One audit: every topic on a thread of its own that is given up after a while, all of it within what may be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::audit::{AuditFact, FACTS_MAX, FactKey, HostAudit, Topic, TopicState};
use tidemark_platform::{ReadError, audit};
use tidemark_proto::convert::audit::{AUDIT_BYTES_MAX, audit_bytes};

use super::holders::Holders;
use super::programs::Programs;
use crate::session::chain;

/// What a topic's thread hands over.
type Answer = Result<Vec<AuditFact>, ReadError>;

/// What can be read, and how.
#[derive(Clone)]
pub struct Topics {
    /// In the order in which they are read.
    pub topics: Vec<Topic>,
    /// Reads one; may block.
    pub read: Arc<dyn Fn(Topic) -> Answer + Send + Sync>,
    /// How long one may take.
    pub timeout: Duration,
    /// Between two looks for programs that were started again: a deploy is to be dated.
    pub look_every: Duration,
    /// Whether one was since they were read.
    pub has_restarted: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Topics");
        debug.field("topics", &self.topics);
        debug.field("timeout", &self.timeout);
        debug.finish_non_exhaustive()
    }
}

impl Topics {
    /// Those of this system, with the programs of these holders of ports, which are digested for `digest_time` at most.
    #[must_use]
    pub fn of_system(holders: Holders, digest_time: Duration) -> Self {
        let programs = Arc::new(Programs::new(holders, digest_time));
        let looked_at = Arc::clone(&programs);
        let read = move |topic| {
            if topic == Topic::Programs {
                programs.read()
            } else {
                audit::read(topic)
            }
        };
        Self {
            topics: [audit::TOPICS, &[Topic::Programs]].concat(),
            read: Arc::new(read),
            timeout: super::TOPIC_TIMEOUT,
            look_every: super::LOOK_EVERY,
            has_restarted: Arc::new(move || looked_at.has_restarted()),
        }
    }
}

/// Reads audits. A topic that hangs is not asked again until it has come back, so that no more threads hang than there are
/// topics.
#[derive(Debug)]
pub struct Reader {
    topics: Topics,
    hanging: BTreeMap<Topic, Receiver<Answer>>,
}

impl Reader {
    /// A reader of these topics.
    #[must_use]
    pub const fn new(topics: Topics) -> Self {
        Self {
            topics,
            hanging: BTreeMap::new(),
        }
    }

    /// Reads every topic.
    pub fn audit(&mut self, now: Timestamp) -> HostAudit {
        let mut audit = HostAudit::empty(now);
        for topic in &self.topics.topics.clone() {
            match self.read(*topic) {
                Ok(facts) if audit.facts.len() + facts.len() > FACTS_MAX => {
                    let reason = format!("more than {FACTS_MAX} facts in all");
                    audit.topics.insert(*topic, TopicState::unread(&reason));
                }
                Ok(facts) => {
                    audit.facts.extend(facts);
                    audit.topics.insert(*topic, TopicState::Read);
                }
                Err(reason) => {
                    tracing::debug!(%topic, reason = &*reason, "topic of the audit not read");
                    audit.topics.insert(*topic, TopicState::unread(&reason));
                }
            }
        }
        audit.facts.sort_by(|one, other| one.key.cmp(&other.key));
        within_bytes(audit)
    }

    /// How long to wait before the next look for programs that were started again.
    #[must_use]
    pub const fn look_every(&self) -> Duration {
        self.topics.look_every
    }

    /// The audit `before` with programs as they are now; `None` when none was started again. What holds no ports at this
    /// moment stays as it was until its turn.
    pub fn look(&mut self, before: &HostAudit, now: Timestamp) -> Option<HostAudit> {
        if !(self.topics.has_restarted)() {
            return None;
        }
        let programs = self.read(Topic::Programs).ok()?;
        let renewed: BTreeSet<&FactKey> = programs.iter().map(|fact| &fact.key).collect();
        let mut audit = before.clone();
        audit.taken_at = now;
        audit.topics.insert(Topic::Programs, TopicState::Read);
        audit.facts.retain(|fact| !renewed.contains(&fact.key));
        audit.facts.extend(programs);
        audit.facts.sort_by(|one, other| one.key.cmp(&other.key));
        (audit.facts.len() <= FACTS_MAX).then(|| within_bytes(audit))
    }

    fn read(&mut self, topic: Topic) -> Result<Vec<AuditFact>, Arc<str>> {
        if let Some(earlier) = self.hanging.get(&topic)
            && let Err(TryRecvError::Empty) = earlier.try_recv()
        {
            return Err("an earlier reading has not come back".into());
        }
        self.hanging.remove(&topic);
        let (answer, answered) = mpsc::sync_channel(1);
        let read = Arc::clone(&self.topics.read);
        let started = thread::Builder::new()
            .name(format!("audit-{topic}"))
            .spawn(move || {
                // Nobody may be waiting any more.
                answer.send(read(topic)).ok();
            });
        if let Err(error) = started {
            return Err(format!("the system gives no thread: {error}").into());
        }
        match answered.recv_timeout(self.topics.timeout) {
            Ok(Ok(facts)) => Ok(facts),
            Ok(Err(error)) => Err(chain(&error)),
            Err(RecvTimeoutError::Timeout) => {
                self.hanging.insert(topic, answered);
                let seconds = self.topics.timeout.as_secs();
                Err(format!("no answer within {seconds} s").into())
            }
            Err(RecvTimeoutError::Disconnected) => Err("its thread panicked: this is a bug".into()),
        }
    }
}

/// Leaves out the topics with the most facts until the rest may be sent.
fn within_bytes(mut audit: HostAudit) -> HostAudit {
    while audit_bytes(&audit) > AUDIT_BYTES_MAX {
        let mut counts: BTreeMap<Topic, usize> = BTreeMap::new();
        for fact in &audit.facts {
            *counts.entry(fact.key.name.topic()).or_default() += 1;
        }
        let Some((largest, _)) = counts.into_iter().max_by_key(|(_, facts)| *facts) else {
            return audit;
        };
        audit.facts.retain(|fact| fact.key.name.topic() != largest);
        let reason = TopicState::unread("its facts are too long to be sent");
        audit.topics.insert(largest, reason);
    }
    audit
}
