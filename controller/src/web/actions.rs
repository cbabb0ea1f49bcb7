//! Actions as pages show them: what was asked for and what came of it, and what can be asked for next.

use tidemark_model::action::{ActionState, Effect};
use tidemark_model::view::{ActionView, ProposalView, RecoveryView};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{ActionQuery, StoreError};

use super::words;
use crate::access::Horizon;
use crate::api::actions::{page, view};
use crate::remediate::last_word;

/// Actions that a page lists, the newest.
const LISTED_MAX: u32 = 20;

/// One action in a line.
#[derive(Clone, Debug)]
pub(crate) struct ActionRow {
    pub(crate) at_ms: i64,
    pub(crate) at: String,
    pub(crate) state: String,
    pub(crate) tone: &'static str,
    pub(crate) who: String,
    pub(crate) text: String,
}

impl ActionRow {
    /// `why` is what its last step says.
    fn new(action: &ActionView, why: &str, now: Timestamp) -> Self {
        let host = action.host_name.as_deref().unwrap_or(&action.host);
        let dry = if action.dry_run { " (dry run)" } else { "" };
        let mut text = format!("{host}: {}{dry}", action.summary);
        let effect = action.effect.as_ref().map(effect_words);
        // What went wrong says its figures itself.
        let more = Some(why.to_owned()).filter(|why| !why.is_empty());
        let more = more.or(effect).or_else(|| action.waits_for.clone());
        if let Some(more) = more {
            text.push_str(&format!(" - {more}"));
        }
        Self {
            at_ms: action.state_ms,
            at: words::moment(Timestamp::from_unix_ms(action.state_ms), now),
            state: action.state.as_str().replace('_', " "),
            tone: tone(action.state),
            who: action.requester.clone(),
            text,
        }
    }
}

/// The actions of an incident, newest first.
///
/// # Errors
/// What the database says.
pub(crate) async fn of_incident(
    horizon: &Horizon,
    incident: i64,
) -> Result<Vec<ActionRow>, StoreError> {
    let query = ActionQuery {
        incident: Some(incident),
        limit: LISTED_MAX,
        ..ActionQuery::default()
    };
    rows(horizon, &query).await
}

/// The actions of a host, newest first.
///
/// # Errors
/// What the database says.
pub(crate) async fn of_host(horizon: &Horizon, host: HostId) -> Result<Vec<ActionRow>, StoreError> {
    let query = ActionQuery {
        host: Some(host),
        limit: LISTED_MAX,
        ..ActionQuery::default()
    };
    rows(horizon, &query).await
}

async fn rows(horizon: &Horizon, query: &ActionQuery) -> Result<Vec<ActionRow>, StoreError> {
    let app = horizon.app();
    let now = app.clock.now();
    let found = page(horizon, query).await?;
    let mut tx = app.store.read().await?;
    let mut rows = Vec::new();
    for action in found.rows {
        let why = if is_in_vain(action.state) {
            last_word(&mut tx, action.id()).await?.1
        } else {
            String::new()
        };
        rows.push(ActionRow::new(&view(app, &action), &why, now));
    }
    Ok(rows)
}

/// Whether it ended and did not do what was asked for, so that people want to know why.
const fn is_in_vain(state: ActionState) -> bool {
    state.is_final() && !matches!(state, ActionState::Verified | ActionState::Answered)
}

const fn tone(state: ActionState) -> &'static str {
    match state {
        ActionState::Failed
        | ActionState::NotEffective
        | ActionState::RolledBack
        | ActionState::TimedOut
        | ActionState::Refused => "urgent",
        ActionState::Proposed
        | ActionState::Approved
        | ActionState::Queued
        | ActionState::Sent
        | ActionState::Accepted
        | ActionState::Running
        | ActionState::Verifying => "watch",
        ActionState::Verified
        | ActionState::Answered
        | ActionState::Rejected
        | ActionState::Expired
        | ActionState::Cancelled => "calm",
    }
}

fn effect_words(effect: &Effect) -> String {
    let protocol = effect.port_space.protocol.as_str().to_uppercase();
    format!(
        "{protocol} headroom {} before, {} after",
        words::count(effect.headroom_before),
        words::count(effect.headroom_after)
    )
}

/// One thing that can be asked for.
#[derive(Clone, Debug)]
pub(crate) struct OfferRow {
    pub(crate) what: String,
    pub(crate) tier: u8,
    pub(crate) disturbs: String,
    pub(crate) record: String,
}

impl OfferRow {
    pub(crate) fn new(offer: &ProposalView) -> Self {
        let host = offer.host_name.as_deref().unwrap_or(&offer.host);
        let what = offer
            .spec
            .as_ref()
            .map_or_else(|| offer.text.clone(), |spec| spec.summary());
        let forbidden = match offer.allowed {
            Some(false) => "; the host's policy does not allow it",
            Some(true) | None => "",
        };
        Self {
            what: format!("{host}: {what}"),
            tier: offer.tier,
            disturbs: offer.disturbs.clone(),
            record: format!("{}{forbidden}", record_words(offer.recovery.as_ref())),
        }
    }
}

fn record_words(recovery: Option<&RecoveryView>) -> String {
    let Some(recovery) = recovery else {
        return "not tried yet".to_owned();
    };
    let mut text = format!("worked {} of {} times", recovery.worked, recovery.tried);
    if let Some(freed) = recovery.ports_freed_median {
        text.push_str(&format!(", median {freed:+} ports"));
    }
    if let Some(held_ms) = recovery.held_ms_median {
        text.push_str(&format!(", held {}", words::span(held_ms)));
    }
    text
}

#[cfg(test)]
mod tests {
    use tidemark_model::action::ActionKind;

    use super::*;

    #[test]
    fn a_record_says_how_often_how_much_and_how_long() {
        assert_eq!(record_words(None), "not tried yet");
        let recovery = RecoveryView {
            action: ActionKind::RestartService,
            subject: "AppSvc".to_owned(),
            hosts: 3,
            tried: 14,
            worked: 14,
            ports_freed_median: Some(11_240),
            held_ms_median: Some(9 * 86_400_000),
            still_hold: 1,
            last_ms: 0,
        };
        assert_eq!(
            record_words(Some(&recovery)),
            "worked 14 of 14 times, median +11240 ports, held 9 d"
        );
    }
}
