//! Maintenance runs as lines of the maintenance page, and at the head of their own.

use tidemark_model::Timestamp;
use tidemark_model::run::RunState;
use tidemark_model::view::RunView;
use tidemark_store::RunQuery;

use super::words;
use crate::access::Horizon;
use crate::api::problem::Answer;
use crate::api::runs as api;

/// Runs that the page lists, the newest.
const LISTED_MAX: u32 = 20;

/// One run as a line.
#[derive(Clone, Debug)]
pub(super) struct RunRow {
    pub(super) view: RunView,
    pub(super) tone: &'static str,
    pub(super) state: String,
    pub(super) since: String,
    /// Share of its hosts that are through, 0 to 100.
    pub(super) percent: u64,
    pub(super) through: String,
    pub(super) finish: String,
    /// How many of its orders are signed; empty when no host wants that.
    pub(super) signed: String,
    pub(super) can_stop: bool,
}

/// The newest runs.
///
/// # Errors
/// When the database fails.
pub(super) async fn rows(horizon: &Horizon, now: Timestamp) -> Answer<Vec<RunRow>> {
    let query = RunQuery {
        limit: LISTED_MAX,
        ..RunQuery::default()
    };
    let (views, _) = api::views(horizon, &query).await?;
    Ok(views
        .into_iter()
        .map(|view| RunRow::new(view, now))
        .collect())
}

impl RunRow {
    pub(super) fn new(view: RunView, now: Timestamp) -> Self {
        let progress = view.progress;
        let through = progress.through();
        let is_over = view.state.is_final();
        let at = |ms: i64| words::relative(Timestamp::from_unix_ms(ms), now);
        Self {
            tone: tone(&view),
            state: view.state.as_str().to_owned(),
            since: at(view.state_ms),
            percent: through
                .saturating_mul(100)
                .checked_div(progress.hosts)
                .unwrap_or(0),
            through: format!("{through} of {}", words::count(progress.hosts)),
            finish: match view.finishes_ms.filter(|_| !is_over) {
                Some(ms) => format!("expected {}", at(ms)),
                None => String::new(),
            },
            signed: match view.orders {
                0 => String::new(),
                orders => format!("signed {} of {}", view.orders_signed, words::count(orders)),
            },
            can_stop: !is_over && view.state != RunState::Stopping,
            view,
        }
    }
}

const fn tone(view: &RunView) -> &'static str {
    if view.progress.failed > 0 || matches!(view.state, RunState::Failed) {
        return "urgent";
    }
    if view.state.is_final() {
        "calm"
    } else {
        "watch"
    }
}
