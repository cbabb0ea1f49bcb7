//! `/history`: any metric of any hosts over any time, as charts and figures. Everything that is chosen stands in the
//! address; the answers are those of `/api/v1/history` and `/api/v1/compare`.

mod answer;
mod asked;

use std::collections::BTreeSet;

use askama::Template;
use axum::Extension;
use axum::response::{IntoResponse as _, Response};
use tidemark_history::query::Agg;
use tidemark_model::entity::EntityKind;
use tidemark_model::{Metric, Timestamp};

use self::answer::Panel;
use self::asked::{Asked, COMPARES, METRICS_MAX, RANGES, STEPS, TOPS};
use super::{Frame, page as respond, words};
use crate::access::Horizon;
use crate::api::guard::Asking;
use crate::api::history::hosts_of;
use crate::api::params::Params;
use crate::api::problem::{Answer, ApiProblem};

/// Hosts of which charts are drawn without a choice; a larger fleet is asked which ones, so that the page opens at once.
const HOSTS_UNASKED_MAX: usize = 1_000;

/// Hosts whose names stand on the page; the others are counted.
const NAMES_MAX: usize = 12;

/// Labels that series can be grouped by, as the form offers them.
const LABELS_MAX: usize = 20;

/// `GET /history`.
pub async fn page(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    let now = horizon.app().clock.now();
    let (asked, refused) = match Asked::of(params, now) {
        Ok(asked) => (asked, None),
        Err(problem) => (Asked::usual(now), Some(problem)),
    };
    let found = match refused {
        Some(problem) => Err(problem),
        None => Found::of(&horizon, &asked).await,
    };
    let status = found.as_ref().err().map(ApiProblem::status);
    let frame = Frame::new("history", &asking);
    let mut response = respond(&HistoryPage::new(&horizon, frame, asked, found));
    if let Some(status) = status {
        *response.status_mut() = status;
    }
    response.into_response()
}

/// What there is to show of what was asked.
struct Found {
    /// Hosts that are asked about.
    hosts: usize,
    /// Names of the first of them.
    names: Vec<String>,
    panels: Vec<Panel>,
    /// Whether the fleet is so large that somebody must say what they want to see of it.
    is_for_choice: bool,
}

impl Found {
    async fn of(horizon: &Horizon, asked: &Asked) -> Answer<Self> {
        let hosts = hosts_of(horizon, &asked.of_hosts())?;
        let is_for_choice = asked.is_unasked() && hosts.len() > HOSTS_UNASKED_MAX;
        let mut panels = Vec::new();
        if !is_for_choice && !hosts.is_empty() {
            for metric in &asked.metrics {
                panels.push(Panel::of(horizon, asked, *metric).await);
            }
        }
        let mut names: Vec<String> = hosts
            .iter()
            .take(NAMES_MAX)
            .filter_map(|id| horizon.app().live.name_of(*id))
            .collect();
        names.sort_unstable();
        Ok(Self {
            hosts: hosts.len(),
            names,
            panels,
            is_for_choice,
        })
    }
}

/// One choice of a list.
struct Choice {
    value: String,
    words: String,
    is_chosen: bool,
}

/// Choices under a heading.
struct Group {
    name: String,
    choices: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    asked: Asked,
    /// One list of metrics for each chart, and an empty one for the next.
    metrics: Vec<Vec<Group>>,
    aggs: Vec<Choice>,
    groups: Vec<Choice>,
    steps: Vec<Choice>,
    compares: Vec<Choice>,
    tops: Vec<Choice>,
    kinds: Vec<Choice>,
    ranges: Vec<(String, &'static str, bool)>,
    /// What is wrong with what was asked.
    problem: Option<String>,
    hosts: usize,
    hosts_words: String,
    from_words: String,
    to_words: String,
    names: Vec<String>,
    total: usize,
    panels: Vec<Panel>,
    is_for_choice: bool,
}

impl HistoryPage {
    fn new(horizon: &Horizon, frame: Frame, asked: Asked, found: Answer<Found>) -> Self {
        let (found, problem) = match found {
            Ok(found) => (Some(found), None),
            Err(problem) => (None, Some(problem.title().to_owned())),
        };
        let (hosts, names, panels, is_for_choice) = match found {
            Some(found) => (found.hosts, found.names, found.panels, found.is_for_choice),
            None => (0, Vec::new(), Vec::new(), false),
        };
        let wanted = |index: usize| asked.metrics.get(index).copied();
        let (from, to) = asked.window();
        let now = horizon.app().clock.now();
        let instant = |at_ms| words::instant(Timestamp::from_unix_ms(at_ms), now);
        let lists = (asked.metrics.len() + 1).min(METRICS_MAX);
        Self {
            frame,
            metrics: (0..lists)
                .map(|index| metric_groups(wanted(index)))
                .collect(),
            aggs: choices(
                Agg::ALL.map(|agg| (agg.as_str(), agg_words(agg))),
                asked.agg(),
            ),
            groups: group_choices(horizon, &asked),
            steps: choices(STEPS, asked.value("step_ms")),
            compares: choices(COMPARES, asked.value("offset_ms")),
            tops: choices(TOPS, asked.top()),
            kinds: kind_choices(&asked),
            ranges: RANGES
                .iter()
                .map(|range| {
                    (
                        asked.link_to_range(range.name),
                        range.words,
                        asked.is_of(range),
                    )
                })
                .collect(),
            problem,
            hosts,
            hosts_words: words::hosts(hosts as u64),
            from_words: instant(from),
            to_words: instant(to),
            names,
            total: horizon.count(),
            panels,
            is_for_choice,
            asked,
        }
    }
}

fn choices<const N: usize>(all: [(&str, &str); N], chosen: &str) -> Vec<Choice> {
    let choice = |(value, words): (&str, &str)| Choice {
        value: value.to_owned(),
        words: words.to_owned(),
        is_chosen: value == chosen,
    };
    let mut found: Vec<Choice> = all.into_iter().map(choice).collect();
    // What an address asks for stays chosen when the form does not offer it.
    if !found.iter().any(|one| one.is_chosen) {
        found.push(Choice {
            value: chosen.to_owned(),
            words: chosen.to_owned(),
            is_chosen: true,
        });
    }
    found
}

fn metric_groups(chosen: Option<Metric>) -> Vec<Group> {
    let of_kind = |kind: EntityKind| Group {
        name: format!("of a {}", spaced(kind.as_str())),
        choices: Metric::ALL
            .iter()
            .filter(|metric| metric.entity_kind() == kind)
            .map(|metric| Choice {
                value: metric.as_str().to_owned(),
                words: spaced(metric.as_str()),
                is_chosen: chosen == Some(*metric),
            })
            .collect(),
    };
    let groups = EntityKind::ALL.into_iter().map(of_kind);
    let mut groups: Vec<Group> = groups.filter(|group| !group.choices.is_empty()).collect();
    // Ports of port spaces are what people come for.
    groups.sort_by_key(|group| group.name != "of a port space");
    groups
}

fn kind_choices(asked: &Asked) -> Vec<Choice> {
    let chosen = asked.value("kind");
    let kinds = EntityKind::ALL.into_iter().map(|kind| Choice {
        value: kind.as_str().to_owned(),
        words: spaced(kind.as_str()),
        is_chosen: kind.as_str() == chosen,
    });
    let usual = Choice {
        value: String::new(),
        words: "the metric's own".to_owned(),
        is_chosen: chosen.is_empty(),
    };
    std::iter::once(usual).chain(kinds).collect()
}

fn group_choices(horizon: &Horizon, asked: &Asked) -> Vec<Choice> {
    const FIXED: [(&str, &str); 4] = [
        ("host", "one line a host"),
        ("none", "all in one line"),
        ("entity", "one line for what it is of"),
        ("series", "each apart"),
    ];
    let chosen = asked.group_by();
    let mut keys = BTreeSet::new();
    for id in horizon.hosts() {
        horizon.app().live.read(id, |host| {
            for key in host.profile.labels.keys() {
                if keys.len() < LABELS_MAX && !keys.contains(key) {
                    keys.insert(key.clone());
                }
            }
        });
    }
    let mut found = choices(
        FIXED,
        if is_one_of(&FIXED, chosen) {
            chosen
        } else {
            "host"
        },
    );
    for one in &mut found {
        one.is_chosen = one.value == chosen;
    }
    let given = chosen.strip_prefix("label:").map(str::to_owned);
    keys.extend(given);
    found.extend(keys.into_iter().map(|key| {
        let value = format!("label:{key}");
        Choice {
            is_chosen: value == chosen,
            words: format!("by label {key}"),
            value,
        }
    }));
    found
}

fn is_one_of(all: &[(&str, &str)], name: &str) -> bool {
    all.iter().any(|(value, _)| *value == name)
}

fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// Filters of the template.
mod filters {
    use std::fmt::Display;

    /// A name of the API as words.
    #[askama::filter_fn]
    pub(super) fn spaced(name: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(super::spaced(&name.to_string()))
    }
}

const fn agg_words(agg: Agg) -> &'static str {
    match agg {
        Agg::Min => "lowest",
        Agg::Avg => "mean",
        Agg::Max => "highest",
        Agg::Last => "last",
        Agg::Sum => "sum",
        Agg::Count => "number of values",
        Agg::P50 => "median",
        Agg::P95 => "95th percentile",
        Agg::P99 => "99th percentile",
        Agg::Rate => "change a second",
        Agg::Slope => "slope an hour",
        Agg::TimeToExhaustion => "time to exhaustion",
    }
}
