//! How hosts stand to budgets, as the API and the pages show it. A silent host is unknown, whatever it said last.

use tidemark_model::budget::Budget;
use tidemark_model::view::{BudgetCounts, BudgetStanding, BudgetUse};
use tidemark_model::{HostId, PortSpaceKey, Timestamp};

use super::measure::Measured;
use super::track::{Standing, Track};
use super::{Held, HostSeen, TrackKey, measure_spaces};
use crate::app::App;
use crate::incidents::text::clean;
use crate::web::words;

const NO_SAMPLE: &str = "it has not been heard since the controller started";
const NO_SPACE: &str = "its newest sample has no such port space";

/// Standings of one list: all are counted, and those that need attention first are kept.
#[derive(Debug)]
pub struct Board {
    /// How many stand how.
    pub counts: BudgetCounts,
    kept: Vec<(Standing, BudgetStanding)>,
    rows_max: usize,
    left_out: u64,
}

impl Board {
    /// Keeps `rows_max` of them.
    #[must_use]
    pub fn new(rows_max: usize) -> Self {
        Self {
            counts: BudgetCounts::default(),
            kept: Vec::new(),
            rows_max,
            left_out: 0,
        }
    }

    fn take(&mut self, found: Found<'_>) {
        count(&mut self.counts, found.standing);
        if self.rows_max == 0 {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.kept.push((found.standing, found.view()));
        if self.kept.len() > self.rows_max.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.kept.sort_by(|(left, a), (right, b)| {
            let by_place = (&a.host_name, &a.host, &a.budget, &a.namespace);
            left.cmp(right)
                .then_with(|| by_place.cmp(&(&b.host_name, &b.host, &b.budget, &b.namespace)))
        });
        let beyond = self.kept.len().saturating_sub(self.rows_max);
        self.left_out = self.left_out.saturating_add(beyond as u64);
        self.kept.truncate(self.rows_max);
    }

    /// The rows that were kept, what needs attention first, and how many were not.
    #[must_use]
    pub fn rows(mut self) -> (Vec<BudgetStanding>, u64) {
        self.cut();
        let rows = self.kept.into_iter().map(|(_, view)| view).collect();
        (rows, self.left_out)
    }
}

/// How each port space of a host stands to each budget that is about it.
#[must_use]
pub fn of_host(app: &App, id: HostId, now: Timestamp, rows_max: usize) -> Board {
    let mut board = Board::new(rows_max);
    let held = app.budgets.held();
    if let Some(host) = host_of(app, id, now) {
        let tracks = app.budgets.tracks(id);
        for held in held.iter() {
            for found in of_tracks(&held.budget, &host, &tracks) {
                board.take(found);
            }
        }
    }
    board
}

/// How every host stands to each of these budgets, in their order.
#[must_use]
pub fn of_budgets(app: &App, held: &[Held], now: Timestamp, rows_max: usize) -> Vec<Board> {
    let mut boards: Vec<Board> = held.iter().map(|_| Board::new(rows_max)).collect();
    for id in app.live.ids() {
        let Some(host) = host_of(app, id, now) else {
            continue;
        };
        let tracks = app.budgets.tracks(id);
        for (held, board) in held.iter().zip(&mut boards) {
            for found in of_tracks(&held.budget, &host, &tracks) {
                board.take(found);
            }
        }
    }
    boards
}

/// How every host stands to each of these budgets, which do not hold yet, by newest samples alone; rows are kept of what
/// is over.
#[must_use]
pub fn of_new(app: &App, budgets: &[Budget], now: Timestamp, rows_max: usize) -> Vec<Board> {
    let mut boards: Vec<Board> = budgets.iter().map(|_| Board::new(rows_max)).collect();
    for id in app.live.ids() {
        let Some(host) = host_of(app, id, now) else {
            continue;
        };
        for (budget, board) in budgets.iter().zip(&mut boards) {
            if !budget.is_for_host(&host.seen.labels) {
                continue;
            }
            let newest = host.seen.newest.iter();
            let tracks: Vec<(TrackKey, Track)> = newest
                .flat_map(|(at, sample)| {
                    measure_spaces(budget, sample, host.seen.sight)
                        .into_iter()
                        .map(|(key, budget, measurement)| {
                            (key, Track::begin(budget, measurement, *at))
                        })
                })
                .collect();
            for found in of_tracks(budget, &host, &tracks) {
                board.take(found);
            }
        }
    }
    boards
}

/// How many port spaces of all hosts stand how to all budgets.
#[must_use]
pub fn counts_of_all(app: &App) -> BudgetCounts {
    let held = app.budgets.held();
    let mut counts = BudgetCounts::default();
    for board in of_budgets(app, &held, app.clock.now(), 0) {
        counts.within = counts.within.saturating_add(board.counts.within);
        counts.over = counts.over.saturating_add(board.counts.over);
        counts.exceeded = counts.exceeded.saturating_add(board.counts.exceeded);
        counts.unknown = counts.unknown.saturating_add(board.counts.unknown);
    }
    counts
}

/// The figures of a track in sentences: `432 ports are held, 400 are allowed, in tcp/default`.
#[must_use]
pub fn sentence_of(track: &Track, space: &PortSpaceKey) -> Vec<String> {
    let sentence = |limit: &Measured| {
        let held = limit.held?;
        let allowed = limit.allowed?;
        let least = if held.most == Some(held.least) {
            ""
        } else {
            "at least "
        };
        Some(format!(
            "{least}{} {} are held, {} are allowed, in {}/{}",
            words::count(held.least),
            what(limit),
            words::count(allowed),
            space.protocol,
            clean(&space.namespace)
        ))
    };
    let is_over = |limit: &&Measured| track.of_limit(limit) == Standing::Over;
    track
        .measurement
        .limits
        .iter()
        .filter(is_over)
        .filter_map(sentence)
        .collect()
}

const fn what(limit: &Measured) -> &'static str {
    use tidemark_model::budget::Quantity;
    match limit.quantity {
        Quantity::Ports => "ports",
        Quantity::Bound => "ports of bound sockets",
        Quantity::CloseWait => "sockets in CLOSE_WAIT",
        Quantity::Sockets => "sockets",
        Quantity::Connections => "connections",
        Quantity::TimeWait => "connections in TIME_WAIT",
    }
}

const fn count(counts: &mut BudgetCounts, standing: Standing) {
    let one = match standing {
        Standing::Exceeded => &mut counts.exceeded,
        Standing::Over => &mut counts.over,
        Standing::Unknown => &mut counts.unknown,
        Standing::Within => &mut counts.within,
    };
    *one = one.saturating_add(1);
}

/// A host as its standings name it.
struct HostOf {
    id: String,
    name: String,
    seen: HostSeen,
    /// Why nothing that it said counts.
    silence: Option<String>,
}

/// `None` for a host that is shut out: nobody waits for it.
fn host_of(app: &App, id: HostId, now: Timestamp) -> Option<HostOf> {
    app.live.read(id, |live| {
        let state = live.state(now);
        (state != "revoked").then(|| HostOf {
            id: id.to_string(),
            name: live.profile.name.to_string(),
            seen: HostSeen::of(live),
            silence: match (state, &live.newest) {
                ("online", Some(_)) => None,
                ("online", None) => Some(NO_SAMPLE.to_owned()),
                (state, _) => Some(format!("the host is {state}")),
            },
        })
    })?
}

/// One port space, or that there is none, and how it stands.
struct Found<'a> {
    budget: &'a Budget,
    host: &'a HostOf,
    track: Option<(&'a PortSpaceKey, &'a Track)>,
    standing: Standing,
}

/// One for each port space, and one without any when nothing was measured.
fn of_tracks<'a>(
    budget: &'a Budget,
    host: &'a HostOf,
    tracks: &'a [(TrackKey, Track)],
) -> Vec<Found<'a>> {
    if !budget.is_for_host(&host.seen.labels) {
        return Vec::new();
    }
    let of_budget = tracks.iter().filter(|((name, _), _)| *name == budget.name);
    let mut found: Vec<Found<'a>> = of_budget
        .map(|((_, space), track)| Found {
            budget,
            host,
            track: Some((space, track)),
            standing: if host.silence.is_some() {
                Standing::Unknown
            } else {
                track.standing
            },
        })
        .collect();
    // Namespaces of a pattern come and go: one that is not there holds nothing.
    let may_be_none = budget.namespace.contains('*') && host.silence.is_none();
    if found.is_empty() && !may_be_none {
        found.push(Found {
            budget,
            host,
            track: None,
            standing: Standing::Unknown,
        });
    }
    found
}

impl Found<'_> {
    fn view(&self) -> BudgetStanding {
        let Some((space, track)) = self.track else {
            let mut view = blank(self.budget, self.host, self.budget.namespace.clone());
            let silence = self.host.silence.clone();
            view.why_unknown = silence.or_else(|| Some(NO_SPACE.to_owned()));
            return view;
        };
        let mut view = blank(self.budget, self.host, space.namespace.to_string());
        let limits = track.measurement.limits.iter();
        view.limits = limits.map(|limit| self.usage(track, limit)).collect();
        view.culprit = track.measurement.culprit.clone();
        view.over_since_ms = track.over_since.map(Timestamp::unix_ms);
        view.state = self.standing.as_str().to_owned();
        if self.standing == Standing::Unknown {
            let why = track.measurement.why_open.map(str::to_owned);
            view.why_unknown = self.host.silence.clone().or(why);
        }
        view
    }

    /// A limit is over at once, and exceeded when the port space is; a silent host's figures are old.
    fn usage(&self, track: &Track, limit: &Measured) -> BudgetUse {
        let state = match (self.standing, track.of_limit(limit)) {
            _ if self.host.silence.is_some() => Standing::Unknown,
            (Standing::Exceeded, Standing::Over) => Standing::Exceeded,
            (_, of_limit) => of_limit,
        };
        BudgetUse {
            what: limit.quantity.as_str().to_owned(),
            used: limit.held.map(|held| held.least),
            used_max: limit.held.and_then(|held| held.most),
            allowed: limit.allowed,
            state: state.as_str().to_owned(),
        }
    }
}

fn blank(budget: &Budget, host: &HostOf, namespace: String) -> BudgetStanding {
    BudgetStanding {
        budget: budget.name.clone(),
        subject: budget.subject.to_string(),
        severity: budget.severity.as_str().to_owned(),
        host: host.id.clone(),
        host_name: host.name.clone(),
        protocol: budget.protocol.as_str().to_owned(),
        namespace,
        state: Standing::Unknown.as_str().to_owned(),
        over_since_ms: None,
        culprit: None,
        limits: Vec::new(),
        why_unknown: None,
        advice: budget.advice.clone(),
    }
}
