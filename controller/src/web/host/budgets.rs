//! How a host stands to port budgets, a row for each limit.

use tidemark_model::view::{BudgetStanding, BudgetUse};
use tidemark_model::{HostId, Timestamp};

use crate::app::App;
use crate::budgets::standing;
use crate::web::words;

/// Lines of the table; budgets beyond are counted.
const ROWS_MAX: usize = 20;

/// The table, and how many of the host's port spaces it leaves out.
pub(super) struct BudgetTable {
    pub(super) rows: Vec<BudgetRow>,
    pub(super) left_out: u64,
}

/// One limit of one budget in one port space.
pub(super) struct BudgetRow {
    pub(super) budget: String,
    pub(super) subject: String,
    pub(super) space: String,
    pub(super) what: String,
    /// `?` where nothing is known.
    pub(super) used: String,
    pub(super) allowed: String,
    pub(super) state: String,
    /// As the style sheet names urgencies.
    pub(super) urgency: &'static str,
    /// Since when it is over, or why nobody can tell.
    pub(super) note: String,
}

impl BudgetTable {
    pub(super) fn of(app: &App, host: &str, now: Timestamp) -> Self {
        let Ok(id) = host.parse::<HostId>() else {
            return Self {
                rows: Vec::new(),
                left_out: 0,
            };
        };
        let (standings, left_out) = standing::of_host(app, id, now, ROWS_MAX).rows();
        Self {
            rows: standings.iter().flat_map(|one| rows(one, now)).collect(),
            left_out,
        }
    }
}

fn rows(standing: &BudgetStanding, now: Timestamp) -> Vec<BudgetRow> {
    if standing.limits.is_empty() {
        return vec![row(standing, None, now)];
    }
    let limits = standing.limits.iter();
    limits
        .map(|limit| row(standing, Some(limit), now))
        .collect()
}

fn row(standing: &BudgetStanding, limit: Option<&BudgetUse>, now: Timestamp) -> BudgetRow {
    let state = limit.map_or("unknown", |limit| limit.state.as_str());
    let since = standing.over_since_ms.map(Timestamp::from_unix_ms);
    let note = match (state, since) {
        ("over" | "exceeded", Some(since)) => format!("since {}", words::relative(since, now)),
        ("unknown", _) => standing.why_unknown.clone().unwrap_or_default(),
        _ => String::new(),
    };
    let unknown = || "?".to_owned();
    BudgetRow {
        budget: standing.budget.clone(),
        subject: standing.subject.clone(),
        space: super::standing::space_name(&standing.protocol, &standing.namespace),
        what: limit.map_or_else(String::new, |limit| limit.what.replace('_', " ")),
        used: limit.map_or_else(unknown, used),
        allowed: limit
            .and_then(|limit| limit.allowed)
            .map_or_else(unknown, words::count),
        urgency: match state {
            "exceeded" => "urgent",
            "over" => "watch",
            "within" => "calm",
            _ => "unknown",
        },
        state: state.to_owned(),
        note,
    }
}

/// `120`, `120 to 150` where some holders are not known, `120 or more` where nothing bounds it.
fn used(limit: &BudgetUse) -> String {
    match (limit.used, limit.used_max) {
        (Some(used), Some(most)) if used == most => words::count(used),
        (Some(used), Some(most)) => format!("{} to {}", words::count(used), words::count(most)),
        (Some(used), None) => format!("{} or more", words::count(used)),
        (None, _) => "?".to_owned(),
    }
}
