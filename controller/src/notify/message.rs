//! What a receiver is told, before it is put in the receiver's own form. Stored in the queue as JSON, which is also what
//! the generic webhook gets.

use serde::{Deserialize, Serialize};
use tidemark_model::Timestamp;
use tidemark_model::incident::{Incident, IncidentState};
use tidemark_model::problem::Severity;
use tidemark_model::silence::Labels;

use crate::app::App;
use crate::incidents::{labels, text};

/// Incidents told in one message; the others are counted.
pub const INCIDENTS_MAX: usize = 50;

/// Hosts of an incident that are named; the others are counted.
const HOSTS_MAX: usize = 20;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Two messages with the same key are one.
    pub key: String,
    /// Name of the receiver.
    pub receiver: String,
    /// `firing` while any incident of the group is, `resolved` when none is, `test` for a test.
    pub status: Status,
    /// Why it is told at this time.
    pub reason: Reason,
    /// What the incidents have in common, by the route's `group_by`.
    pub group: Labels,
    /// Incidents that are not over.
    pub firing: Vec<Told>,
    /// Incidents that are over since the last message.
    pub resolved: Vec<Told>,
    /// Incidents that found no room.
    pub left_out: u64,
    /// When it was queued.
    pub at_ms: i64,
    /// The list of incidents on the controller's pages.
    pub url: Option<String>,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Something is not over.
    Firing,
    /// All is over.
    Resolved,
    /// Nothing: it tries the way.
    Test,
}

impl Status {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}

/// Why something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Something changed.
    News,
    /// Nothing changed for long.
    Repeat,
    /// Somebody tries the way.
    Test,
}

/// One incident in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its number.
    pub id: i64,
    /// Names its problem; the same when it comes again.
    pub fingerprint: String,
    /// `open`, `acknowledged` or `resolved`.
    pub state: String,
    /// How much it matters.
    pub severity: Severity,
    /// Its kind, as in `leak`.
    pub kind: String,
    /// In a line.
    pub title: String,
    /// As a colleague tells it.
    pub sentence: String,
    /// Names of its hosts, the first twenty.
    pub hosts: Vec<String>,
    /// How many there are.
    pub host_count: usize,
    /// Whom to blame.
    pub culprit: Option<String>,
    /// What its hosts' labels have in common.
    pub labels: Labels,
    /// The labels that it was told with before, when they were others.
    pub former_labels: Option<Labels>,
    /// Figures to check by hand.
    pub evidence: Vec<String>,
    /// What to do.
    pub advice: Vec<String>,
    /// Since when the problem is there.
    pub since_ms: i64,
    /// When ports run out.
    pub eta_ms: Option<i64>,
    /// Who takes care of it.
    pub acknowledged_by: Option<String>,
    /// When it was over.
    pub resolved_ms: Option<i64>,
    /// Its page.
    pub url: Option<String>,
    /// The page with what to do about it.
    #[serde(default)]
    pub runbook_url: Option<String>,
}

impl Told {
    /// An incident as it is told at `now`.
    #[must_use]
    pub fn new(app: &App, incident: &Incident, now: Timestamp) -> Self {
        let problem = &incident.problem;
        let hosts = text::hosts(app, problem);
        let names = problem.hosts.iter().take(HOSTS_MAX);
        Self {
            id: incident.id,
            fingerprint: incident.fingerprint.to_string(),
            state: incident.state.as_str().to_owned(),
            severity: incident.severity,
            kind: problem.kind.clone(),
            title: text::title(&hosts, incident),
            sentence: text::sentence(&hosts, incident, now, app.notify.public_url.as_deref()),
            hosts: names.map(|id| text::host_name(app, *id)).collect(),
            host_count: problem.hosts.len(),
            culprit: problem.culprit.clone(),
            labels: labels::common(&labels::labels_of(app, incident)),
            former_labels: None,
            evidence: problem.evidence.clone(),
            advice: problem.advice.clone(),
            since_ms: problem.since.unix_ms(),
            eta_ms: problem.eta.map(|eta| eta.at.unix_ms()),
            acknowledged_by: match &incident.state {
                IncidentState::Acknowledged { by, .. } => Some(text::clean(by)),
                IncidentState::Open { .. } | IncidentState::Resolved { .. } => None,
            },
            resolved_ms: incident.state.resolved_at().map(Timestamp::unix_ms),
            url: url(app, &format!("/incidents/{}", incident.id)),
            runbook_url: url(app, &text::runbook_of(problem)),
        }
    }
}

impl Message {
    /// A message that tries the way to a receiver.
    #[must_use]
    pub fn test(app: &App, receiver: &str, by: &str) -> Self {
        let now = app.clock.now();
        let key = format!(
            "test-{}",
            data_encoding::HEXLOWER.encode(&app.entropy.bytes::<12>())
        );
        let sentence = format!(
            "{} sent this test from Tidemark. Nothing is wrong; no ports run out.",
            text::clean(by)
        );
        let told = Told {
            id: 0,
            fingerprint: key.clone(),
            state: "open".to_owned(),
            severity: Severity::Info,
            kind: "test".to_owned(),
            title: "Test from Tidemark".to_owned(),
            sentence,
            hosts: vec![],
            host_count: 0,
            culprit: None,
            labels: Labels::from([("kind".to_owned(), "test".to_owned())]),
            former_labels: None,
            evidence: vec![],
            advice: vec!["Nothing".to_owned()],
            since_ms: now.unix_ms(),
            eta_ms: None,
            acknowledged_by: None,
            resolved_ms: None,
            url: url(app, "/notifications"),
            runbook_url: None,
        };
        Self {
            key,
            receiver: receiver.to_owned(),
            status: Status::Test,
            reason: Reason::Test,
            group: Labels::new(),
            firing: vec![told],
            resolved: vec![],
            left_out: 0,
            at_ms: now.unix_ms(),
            url: url(app, "/incidents"),
        }
    }

    /// All incidents of it, those that are not over first.
    pub fn told(&self) -> impl Iterator<Item = &Told> {
        self.firing.iter().chain(&self.resolved)
    }

    /// The message in a line.
    #[must_use]
    pub fn subject(&self) -> String {
        let count = self.firing.len() as u64 + self.left_out;
        match (self.status, self.told().next()) {
            (Status::Test, _) | (_, None) => "[test] Test from Tidemark".to_owned(),
            (Status::Resolved, Some(first)) if self.resolved.len() == 1 => {
                format!("[resolved] {}", first.title)
            }
            (Status::Resolved, Some(_)) => {
                format!("[resolved] {} incidents are over", self.resolved.len())
            }
            (Status::Firing, Some(first)) if count == 1 => {
                format!("[{}] {}", first.severity.as_str(), first.title)
            }
            (Status::Firing, Some(first)) => {
                let highest = self
                    .firing
                    .iter()
                    .map(|told| told.severity)
                    .max()
                    .unwrap_or(first.severity);
                format!(
                    "[{}] {count} incidents: {} and others",
                    highest.as_str(),
                    first.title
                )
            }
        }
    }
}

/// An address on the controller's pages, when it is known where they are.
#[must_use]
pub fn url(app: &App, path: &str) -> Option<String> {
    let base = app.notify.public_url.as_ref()?;
    Some(format!("{base}{path}"))
}
