//! Takes statements about keys to the hosts that list those keys: at once to those that are connected, to others when they
//! connect, and again until a host shows that it followed or says why it did not.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::action::{HostPolicyView, KeyStanding};
use tidemark_model::key_statement::{KeyStatement, ROTATION_VALID, StatementId};
use tidemark_model::{HostId, SessionId, Timestamp};
use tidemark_proto::convert::key_statement::statement_to_wire;
use tidemark_proto::v1::controller_frame::Kind;
use tidemark_store::{KeyStatementsStamp, StoreError, StoredKeyStatement};

use super::bring::newest;
use crate::app::App;
use crate::gateway::outcome::chain;
use crate::remediate::lanes::Way;

/// Between two looks when nothing wakes it: another controller's statements, and hosts that did not answer.
const PERIOD: Duration = Duration::from_secs(2);
/// How long a host has to show that it followed a statement before it is sent again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What an activation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CarryStatus {
    /// Statements given to sessions.
    pub sent: u64,
    /// Hosts that still owe an answer, or to which there was no way.
    pub waiting: u64,
}

/// Carries statements.
pub struct KeyCarrier {
    app: Arc<App>,
    statements: Vec<StoredKeyStatement>,
    /// Statements and signatures, as of the last look.
    stamp: KeyStatementsStamp,
    /// What each host was sent over its session.
    sent: HashMap<HostId, SentTo>,
    /// Hosts to be looked at.
    pending: HashSet<HostId>,
}

#[derive(Debug)]
struct SentTo {
    session: SessionId,
    statements: HashMap<StatementId, Sent>,
}

/// How a statement was sent last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    at: Timestamp,
    /// With so many signatures.
    signatures: usize,
    /// Under that policy file.
    digest: String,
}

impl KeyCarrier {
    /// One that has sent nothing yet.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self {
            app,
            statements: Vec::new(),
            stamp: KeyStatementsStamp::default(),
            sent: HashMap::new(),
            pending: HashSet::new(),
        }
    }

    /// Runs until the stop.
    pub async fn run(mut self) {
        let stop = self.app.life.stop_token();
        loop {
            match self.activate().await {
                Ok(status) if status.sent == 0 => {}
                Ok(status) => tracing::debug!(?status, "statements about keys carried"),
                Err(error) => tracing::error!(
                    error = chain(&error),
                    "statements about keys cannot be read; it is tried again shortly"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.app.keys.changed.notified() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Sends what is due.
    ///
    /// # Errors
    /// What the database says; what was sent stays sent.
    pub async fn activate(&mut self) -> Result<CarryStatus, StoreError> {
        let app = Arc::clone(&self.app);
        // Before anything that can fail: what is taken here is not told again.
        self.pending.extend(app.keys.take_told());
        let mut tx = app.store.read().await?;
        let stamp = tx.key_statements_stamp().await?;
        let is_news = stamp != self.stamp;
        if is_news {
            self.statements = newest(&mut tx).await?;
            self.stamp = stamp;
        }
        if self.statements.is_empty() {
            self.pending.clear();
            return Ok(CarryStatus::default());
        }
        let connected = app.remediation.lanes.sessions();
        self.sent
            .retain(|host, sent| connected.get(host) == Some(&sent.session));
        if is_news {
            self.pending.extend(connected.keys());
        }
        let is_new = |host: &&HostId| !self.sent.contains_key(*host);
        let new: Vec<HostId> = connected.keys().filter(is_new).copied().collect();
        self.pending.extend(new);
        self.pending.retain(|host| connected.contains_key(host));
        let pending: Vec<HostId> = self.pending.iter().copied().collect();
        let mut views = HashMap::with_capacity(pending.len());
        for some in pending.chunks(super::PAGE as usize) {
            views.extend(tx.host_policies_of(some).await?);
        }
        drop(tx);
        Ok(self.send(&connected, &views))
    }

    fn send(
        &mut self,
        connected: &HashMap<HostId, SessionId>,
        views: &HashMap<HostId, HostPolicyView>,
    ) -> CarryStatus {
        let now = self.app.clock.now();
        let mut status = CarryStatus::default();
        for host in std::mem::take(&mut self.pending) {
            let Some(session) = connected.get(&host) else {
                continue;
            };
            let sent = self.sent.entry(host).or_insert_with(|| SentTo {
                session: *session,
                statements: HashMap::new(),
            });
            let Some(view) = views.get(&host) else {
                continue;
            };
            let mut waits = false;
            for stored in owed(view, &self.statements, now) {
                let id = stored.signed.id();
                let this = Sent {
                    at: now,
                    signatures: stored.signed.signatures.len(),
                    digest: view.digest.clone(),
                };
                let last = sent.statements.get(&id);
                let is_answered = is_answered(view, stored);
                waits |= last.is_none() || !is_answered;
                if !is_due(last, &this, is_answered) {
                    continue;
                }
                if let Way::Free(_, permit) = self.app.remediation.lanes.way_to(host) {
                    permit.send(Kind::KeyStatement(statement_to_wire(&stored.signed)));
                    sent.statements.insert(id, this);
                    status.sent = status.sent.saturating_add(1);
                }
            }
            if waits {
                self.pending.insert(host);
                status.waiting = status.waiting.saturating_add(1);
            }
        }
        status
    }
}

/// The statements that a host does not show to have followed yet, revocations first. Of several revocations of one key each
/// is told once: the one that fells the most successors counts, and a host shows only that the key fell.
fn owed<'a>(
    view: &HostPolicyView,
    statements: &'a [StoredKeyStatement],
    now: Timestamp,
) -> Vec<&'a StoredKeyStatement> {
    let is_owed = |stored: &&StoredKeyStatement| {
        let Some(key) = view.key(stored.statement.key().id()) else {
            return false;
        };
        match &stored.statement {
            KeyStatement::Revocation(revocation) => {
                let is_alike = |other: &&StoredKeyStatement| matches!(&other.statement, KeyStatement::Revocation(one) if one.key == revocation.key);
                key.standing != KeyStanding::Revoked
                    || statements.iter().filter(is_alike).count() > 1
            }
            KeyStatement::Rotation(rotation) => {
                key.standing == KeyStanding::Holds
                    && rotation.issued_at_ms.saturating_add(ROTATION_VALID) > now
            }
        }
    };
    let mut owed: Vec<_> = statements.iter().filter(is_owed).collect();
    owed.sort_by_key(|stored| {
        let is_rotation = matches!(stored.statement, KeyStatement::Rotation(_));
        (is_rotation, stored.statement.issued_at())
    });
    owed
}

/// Whether the host said what became of it: it shows that it followed, or why it did not.
fn is_answered(view: &HostPolicyView, stored: &StoredKeyStatement) -> bool {
    let id = stored.signed.id();
    let is_revoked = view
        .key(stored.statement.key().id())
        .is_some_and(|key| key.standing == KeyStanding::Revoked);
    is_revoked || view.refused_statements.iter().any(|one| one.id == id)
}

/// Whether to send it now: it was not sent as it is, or there was no answer in time.
fn is_due(last: Option<&Sent>, this: &Sent, is_answered: bool) -> bool {
    last.is_none_or(|last| {
        last.signatures != this.signatures
            || last.digest != this.digest
            || (!is_answered && this.at >= last.at.saturating_add(ANSWER_TIMEOUT))
    })
}

#[cfg(test)]
mod tests {
    use tidemark_model::action::{HostKey, Profile, RefusedStatement, Tier};
    use tidemark_model::key_statement::{KeyRevocation, KeyRotation, SignedKeyStatement};
    use tidemark_model::signing::PrivateKey;
    use tidemark_runtime::{Clock, Entropy};
    use tidemark_store::{DatabaseUrl, Store};

    use super::*;
    use crate::boot::{Foundation, assemble};
    use crate::pki::Authority;

    const NOW: Timestamp = Timestamp::from_unix_ms(100_000_000_000);

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed([seed; 32])
    }

    fn stored(statement: KeyStatement) -> StoredKeyStatement {
        let bytes = statement.to_bytes();
        StoredKeyStatement {
            signed: SignedKeyStatement {
                signatures: vec![key(1).sign(statement.purpose(), &bytes)],
                bytes,
            },
            statement,
            at: NOW,
            author: "ann".to_owned(),
            brought: Vec::new(),
        }
    }

    fn revocation(seed: u8, since: Option<i64>) -> StoredKeyStatement {
        stored(KeyStatement::Revocation(KeyRevocation {
            key: key(seed).public(),
            since_ms: since.map(Timestamp::from_unix_ms),
            issued_at_ms: NOW,
            reason: "lost".to_owned(),
        }))
    }

    fn rotation(issued_at: Timestamp) -> StoredKeyStatement {
        stored(KeyStatement::Rotation(KeyRotation {
            old: key(1).public(),
            new: key(9).public(),
            tier_max: Tier::Reboot,
            issued_at_ms: issued_at,
            reason: "once a year".to_owned(),
        }))
    }

    fn view(standing: KeyStanding) -> HostPolicyView {
        HostPolicyView {
            profile: Some(Profile::Full),
            all_keys: vec![HostKey {
                name: "ann".to_owned(),
                public: key(1).public(),
                tier_max: Tier::Reboot,
                standing,
                rotated_from: None,
                why: String::new(),
            }],
            ..HostPolicyView::default()
        }
    }

    #[test]
    fn a_host_is_told_what_concerns_its_keys_until_it_shows_it() {
        let statements = [rotation(NOW), revocation(1, None), revocation(2, None)];
        let owed_to = |standing| {
            let view = view(standing);
            let owed = owed(&view, &statements, NOW);
            owed.iter()
                .map(|stored| stored.statement.kind().as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(owed_to(KeyStanding::Holds), ["revocation", "rotation"]);
        assert_eq!(owed_to(KeyStanding::Replaced), ["revocation"]);
        assert!(owed_to(KeyStanding::Revoked).is_empty());
        let old = [rotation(NOW.saturating_sub(ROTATION_VALID))];
        assert!(owed(&view(KeyStanding::Holds), &old, NOW).is_empty());
        let two = [revocation(1, Some(5)), revocation(1, None)];
        assert_eq!(owed(&view(KeyStanding::Revoked), &two, NOW).len(), 2);
    }

    #[test]
    fn what_is_not_answered_is_sent_again_and_a_refusal_is_an_answer() {
        let sent = |signatures, seconds| Sent {
            at: NOW.saturating_add(Duration::from_secs(seconds)),
            signatures,
            digest: String::new(),
        };
        let last = sent(2, 0);
        assert!(is_due(None, &sent(2, 0), false));
        assert!(!is_due(Some(&last), &sent(2, 59), false));
        assert!(is_due(Some(&last), &sent(2, 60), false));
        assert!(!is_due(Some(&last), &sent(2, 60), true));
        assert!(is_due(Some(&last), &sent(3, 1), true));
        let statement = rotation(NOW);
        let mut view = view(KeyStanding::Holds);
        assert!(!is_answered(&view, &statement));
        view.refused_statements.push(RefusedStatement {
            id: statement.signed.id(),
            text: "not here".to_owned(),
        });
        assert!(is_answered(&view, &statement));
    }

    #[tokio::test]
    async fn what_a_host_told_is_not_lost_when_the_database_fails() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::sqlite(folder.path().join("test.db"));
        let store = Store::open(&url).await.unwrap();
        let authority = Authority::open(&folder.path().join("pki"), NOW, &Entropy::System).unwrap();
        let app = assemble(Foundation::unconfigured(
            store,
            authority,
            Clock::manual(NOW),
        ))
        .await
        .unwrap();
        let host = HostId::of_identity_spki(&[1]);
        let mut carrier = KeyCarrier::new(Arc::clone(&app));
        app.keys.note_told(host);
        app.store.close().await;
        carrier.activate().await.unwrap_err();
        assert!(carrier.pending.contains(&host));
    }
}
