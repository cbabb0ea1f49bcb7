//! Telling people that a policy gave up: the incident rises and says why, and receivers are told as with every incident that
//! rises.

use tidemark_model::incident::{Entry, EntryKind, Incident};
use tidemark_model::notice::NoticeKind;
use tidemark_model::policy::{Case, Condition};
use tidemark_model::problem::{ProblemKey, Severity};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{IncidentQuery, Standing, StoreError, Tx};

use super::sight::Seen;
use crate::app::App;
use crate::incidents::text::{clean, host_name};

/// Open incidents of a host that are looked at.
const INCIDENTS_MAX: u32 = 100;

/// The incident that a policy's case is about: the one that its condition names, or else that of the same port space, or of
/// any.
///
/// # Errors
/// When the database fails.
pub(super) async fn incident_of(
    tx: &mut Tx,
    (host, seen): (HostId, &Seen),
    condition: &Condition,
) -> Result<Option<i64>, StoreError> {
    if seen.incident.is_some() {
        return Ok(seen.incident);
    }
    let open = tx
        .incidents_page(&IncidentQuery {
            before: None,
            state: None,
            standing: Standing::NotOver,
            severity: None,
            host: Some(host),
            since: None,
            limit: INCIDENTS_MAX,
        })
        .await?;
    let best = open
        .iter()
        .filter_map(|one| Some((closeness(one, seen, condition)?, one.id)))
        .max();
    Ok(best.map(|(_, id)| id))
}

/// How close an incident is to what was seen; `None` when it is of another port space.
fn closeness(incident: &Incident, seen: &Seen, condition: &Condition) -> Option<u8> {
    let is_other = |space| seen.space.as_ref().is_some_and(|seen| seen != space);
    match (&incident.problem.key, condition) {
        (ProblemKey::Budget { budget, .. }, Condition::Budget { name }) => {
            (budget == name).then_some(3)
        }
        (ProblemKey::Finding { rule, .. }, Condition::Finding { rule: seen, .. })
            if rule == seen.as_str() =>
        {
            Some(3)
        }
        (ProblemKey::Ports { space, .. }, _) => (!is_other(space)).then_some(2),
        (ProblemKey::Finding { .. }, _) => Some(1),
        (ProblemKey::Cause { .. } | ProblemKey::Budget { .. }, _) => Some(0),
    }
}

/// Raises the incident of a case, in the transaction that says that it is escalated; one that was opened only after the case
/// was begun is found.
///
/// # Errors
/// [`StoreError::Stale`] when somebody else changed the incident meanwhile.
pub(super) async fn raise(
    tx: &mut Tx,
    case: &mut Case,
    (condition, now): (&Condition, Timestamp),
) -> Result<(), StoreError> {
    if case.body.incident.is_none() {
        let seen = Seen {
            text: String::new(),
            space: None,
            incident: None,
        };
        case.body.incident = incident_of(tx, (case.host, &seen), condition).await?;
    }
    let Some(id) = case.body.incident else {
        return Ok(());
    };
    let Some(incident) = tx.incident_find(id).await? else {
        return Ok(());
    };
    if incident.state.resolved_at().is_some() {
        return Ok(());
    }
    let entry = Entry::own(now, EntryKind::Escalated, clean(&words(case)));
    tx.incident_update(&Incident {
        severity: Severity::Critical,
        ..incident
    })
    .await?;
    tx.incident_entries_append(id, &[entry]).await
}

/// Tells operators' lists of it, once it is stored.
pub(super) fn tell(app: &App, case: &Case) {
    let text = format!("{}: {}", host_name(app, case.host), words(case));
    app.note(Some(case.host), NoticeKind::ActionEscalated, clean(&text));
    app.metrics.policies_escalated.add(1);
    app.incidents_changed.notify_one();
    app.live.announce_incidents(&[case.host]);
}

fn words(case: &Case) -> String {
    let why = case.body.why.as_deref().unwrap_or("it gave up");
    format!("policy {}: {why}", case.policy)
}
