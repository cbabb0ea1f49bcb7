//! What an address of the page asks for, and the addresses of what lies beside it.

use std::time::Duration;

use tidemark_model::{Metric, Timestamp};

use crate::api::params::{ParamError, Params, invalid};
use crate::api::problem::Answer;

/// Charts of one page.
pub(super) const METRICS_MAX: usize = 4;

/// Lines of a chart unless the address says otherwise, and at most: more cannot be told apart.
const TOP_DEFAULT: usize = 8;
const TOP_MAX: usize = 24;

/// Furthest that a chart can be moved: a range ends within ten years of the epoch's far side.
const RANGE_MS_MAX: i64 = 3_660 * 86_400_000;

/// Steps that a chart draws; a screen has no more.
const STEPS_MAX: i64 = 2_000;

/// A range that ends where the page is opened.
#[derive(Debug)]
pub(super) struct Range {
    /// In addresses.
    pub(super) name: &'static str,
    /// For people.
    pub(super) words: &'static str,
    ms: i64,
}

const fn range(name: &'static str, words: &'static str, hours: i64) -> Range {
    Range {
        name,
        words,
        ms: hours * 3_600_000,
    }
}

/// Every range by name.
pub(super) static RANGES: [Range; 7] = [
    range("1h", "1 h", 1),
    range("6h", "6 h", 6),
    range("24h", "24 h", 24),
    range("7d", "7 d", 168),
    range("30d", "30 d", 720),
    range("90d", "90 d", 2_160),
    range("1y", "1 y", 8_760),
];

/// Which range is shown without a choice.
const RANGE_DEFAULT: &Range = &RANGES[2];

/// Steps that the form offers.
pub(super) const STEPS: [(&str, &str); 9] = [
    ("", "what suits the range"),
    ("10000", "10 s"),
    ("60000", "1 min"),
    ("300000", "5 min"),
    ("900000", "15 min"),
    ("3600000", "1 h"),
    ("21600000", "6 h"),
    ("86400000", "1 d"),
    ("604800000", "1 week"),
];

/// What the form compares with.
pub(super) const COMPARES: [(&str, &str); 4] = [
    ("", "nothing"),
    ("86400000", "the day before"),
    ("604800000", "the week before"),
    ("2419200000", "4 weeks before"),
];

/// How many lines the form offers.
pub(super) const TOPS: [(&str, &str); 4] = [
    ("4", "the largest 4"),
    ("8", "the largest 8"),
    ("16", "the largest 16"),
    ("24", "the largest 24"),
];

/// What the page takes beside `metric`, `range`, `from` and `to`; as the API takes it.
const PASSED_ON: [&str; 11] = [
    "host",
    "text",
    "state",
    "label",
    "kind",
    "entity",
    "protocol",
    "namespace",
    "agg",
    "group_by",
    "step_ms",
];

/// Those of them that say which hosts.
const OF_HOSTS: [&str; 4] = ["host", "text", "state", "label"];

/// From when to when.
#[derive(Clone, Copy, Debug)]
enum Span {
    /// Until now.
    Named(&'static Range),
    /// From one instant to another.
    Fixed(i64, i64),
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Asked {
    /// One chart each.
    pub(super) metrics: Vec<Metric>,
    span: Span,
    now_ms: i64,
    top: usize,
    /// How much earlier the time is that is compared with.
    offset_ms: Option<u64>,
    /// Name and value of everything in [`PASSED_ON`].
    others: Vec<(&'static str, String)>,
    /// Whether the address says nothing at all.
    is_bare: bool,
}

impl Asked {
    /// What an address without anything asks.
    pub(super) fn usual(now: Timestamp) -> Self {
        Self {
            metrics: vec![Metric::InUse],
            span: Span::Named(RANGE_DEFAULT),
            now_ms: now.unix_ms(),
            top: TOP_DEFAULT,
            offset_ms: None,
            others: Vec::new(),
            is_bare: true,
        }
    }

    /// What an address asks.
    pub(super) fn of(params: Params, now: Timestamp) -> Answer<Self> {
        let known: Vec<&str> = PASSED_ON
            .into_iter()
            .chain(["metric", "range", "from", "to", "top", "offset_ms"])
            .collect();
        let params = params.only(&known)?;
        let mut others = Vec::new();
        for name in PASSED_ON {
            others.extend(params.many(name).map(|value| (name, value.to_owned())));
        }
        let top = params.number("top", 1..=TOP_MAX)?;
        let offset_ms = params.number("offset_ms", 1..=RANGE_MS_MAX.unsigned_abs())?;
        let usual = Self::usual(now);
        let metrics = metrics_of(&params)?;
        let asked = Self {
            is_bare: others.is_empty() && metrics.is_empty() && top.is_none(),
            metrics: if metrics.is_empty() {
                usual.metrics
            } else {
                metrics
            },
            span: span_of(&params)?,
            now_ms: usual.now_ms,
            top: top.unwrap_or(TOP_DEFAULT),
            offset_ms,
            others,
        };
        asked.check_steps(&params)?;
        Ok(asked)
    }

    fn check_steps(&self, params: &Params) -> Result<(), ParamError> {
        let Some(step_ms) = params.number("step_ms", 1..=RANGE_MS_MAX)? else {
            return Ok(());
        };
        let (from, to) = self.window();
        let least = to.saturating_sub(from).div_euclid(STEPS_MAX).max(1);
        if step_ms >= least {
            return Ok(());
        }
        let limit = format!(
            "{} at least for this range, because a chart draws {STEPS_MAX} steps; or read finer ones from the API as CSV",
            least.saturating_add(1)
        );
        Err(invalid("step_ms", &step_ms.to_string(), limit))
    }

    /// From when to when, in Unix milliseconds.
    pub(super) fn window(&self) -> (i64, i64) {
        match self.span {
            Span::Named(range) => (self.now_ms.saturating_sub(range.ms), self.now_ms),
            Span::Fixed(from, to) => (from, to),
        }
    }

    /// Whether nobody has said yet what they want to see.
    pub(super) const fn is_unasked(&self) -> bool {
        self.is_bare
    }

    /// Whether the range ends where the page is opened.
    pub(super) const fn is_until_now(&self) -> bool {
        matches!(self.span, Span::Named(_))
    }

    pub(super) fn is_of(&self, range: &Range) -> bool {
        matches!(self.span, Span::Named(named) if named.name == range.name)
    }

    /// What was given for a name that may come once; empty without it.
    pub(super) fn value(&self, name: &str) -> &str {
        if name == "offset_ms" {
            let known = COMPARES.iter().map(|(value, _)| *value);
            let given = self.offset_ms.map(|ms| ms.to_string()).unwrap_or_default();
            return known.into_iter().find(|one| *one == given).unwrap_or("");
        }
        let found = self.others.iter().find(|(given, _)| *given == name);
        found.map_or("", |(_, value)| value)
    }

    /// Everything that was given for a name.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        let is_it = move |(given, value): &'a (&str, String)| (*given == name).then_some(value);
        self.others.iter().filter_map(is_it)
    }

    pub(super) fn agg(&self) -> &str {
        match self.value("agg") {
            "" => "max",
            agg => agg,
        }
    }

    pub(super) fn group_by(&self) -> &str {
        match self.value("group_by") {
            "" => "host",
            group => group,
        }
    }

    pub(super) fn top(&self) -> &'static str {
        let given = self.top.to_string();
        let known = TOPS.iter().map(|(value, _)| *value);
        known.into_iter().find(|one| *one == given).unwrap_or("8")
    }

    /// The time that is compared with lies so much earlier.
    pub(super) fn offset(&self) -> Option<Duration> {
        self.offset_ms.map(Duration::from_millis)
    }

    /// What says which hosts, for the API.
    pub(super) fn of_hosts(&self) -> Params {
        let of_hosts = |(name, _): &&(&'static str, String)| OF_HOSTS.contains(name);
        Params::of_pairs(self.others.iter().filter(of_hosts).cloned())
    }

    /// One chart as the API is asked for it.
    pub(super) fn of_api(&self, metric: Metric) -> Vec<(&'static str, String)> {
        let (from, to) = self.window();
        let mut pairs = vec![
            ("metric", metric.as_str().to_owned()),
            ("from_ms", from.to_string()),
            ("to_ms", to.to_string()),
            ("top", self.top.to_string()),
        ];
        pairs.extend(self.others.iter().cloned());
        pairs.extend(self.offset_ms.map(|ms| ("offset_ms", ms.to_string())));
        pairs
    }

    /// The address of a chart's points, for programs.
    pub(super) fn api_link(&self, metric: Metric, format: &str) -> String {
        let path = match self.offset_ms {
            Some(_) => "/api/v1/compare",
            None => "/api/v1/history",
        };
        let mut pairs = self.of_api(metric);
        pairs.push(("format", format.to_owned()));
        format!("{path}?{}", encoded(&pairs))
    }

    /// This page over a range by name.
    pub(super) fn link_to_range(&self, name: &str) -> String {
        self.link(vec![("range", name.to_owned())])
    }

    /// This page of all hosts, for somebody who wants it so.
    pub(super) fn link_to_all(&self) -> String {
        let mut pairs = self.pairs(self.span_pairs());
        pairs.push(("top", self.top.to_string()));
        address(&pairs)
    }

    /// Whether only a part of what the metric is of is asked for.
    pub(super) fn is_narrowed(&self) -> bool {
        let names = ["kind", "entity", "protocol", "namespace", "step_ms"];
        names.into_iter().any(|name| !self.value(name).is_empty())
    }

    /// This page without one of the hosts that are named.
    pub(super) fn link_without_host(&self, host: &str) -> String {
        let mut rest = self.pairs(self.span_pairs());
        rest.retain(|(name, value)| *name != "host" || value != host);
        address(&rest)
    }

    /// This page half a range earlier.
    pub(super) fn link_earlier(&self) -> String {
        self.link_to_span(|from, to, half| (from.saturating_sub(half), to.saturating_sub(half)))
    }

    /// This page half a range later, but not beyond now.
    pub(super) fn link_later(&self) -> String {
        let now = self.now_ms;
        self.link_to_span(|from, to, half| {
            let by = half.min(now.saturating_sub(to)).max(0);
            (from.saturating_add(by), to.saturating_add(by))
        })
    }

    /// This page over twice the range.
    pub(super) fn link_wider(&self) -> String {
        self.link_to_span(|from, to, half| (from.saturating_sub(half.saturating_mul(2)), to))
    }

    /// This page over the later half of the range.
    pub(super) fn link_narrower(&self) -> String {
        self.link_to_span(|from, to, half| (from.saturating_add(half), to))
    }

    fn link_to_span(&self, place: impl FnOnce(i64, i64, i64) -> (i64, i64)) -> String {
        let (from, to) = self.window();
        let (from, to) = place(from, to, to.saturating_sub(from).div_euclid(2).max(1));
        self.link(vec![("from", from.to_string()), ("to", to.to_string())])
    }

    /// What of the range stands in the address, for the form.
    pub(super) fn span_pairs(&self) -> Vec<(&'static str, String)> {
        match self.span {
            Span::Named(range) => vec![("range", range.name.to_owned())],
            Span::Fixed(from, to) => vec![("from", from.to_string()), ("to", to.to_string())],
        }
    }

    fn link(&self, span: Vec<(&'static str, String)>) -> String {
        address(&self.pairs(span))
    }

    fn pairs(&self, span: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        let metrics = self.metrics.iter();
        let mut pairs: Vec<_> = metrics
            .map(|metric| ("metric", metric.as_str().to_owned()))
            .collect();
        pairs.extend(self.others.iter().cloned());
        if self.top != TOP_DEFAULT {
            pairs.push(("top", self.top.to_string()));
        }
        pairs.extend(self.offset_ms.map(|ms| ("offset_ms", ms.to_string())));
        pairs.extend(span);
        pairs
    }
}

fn metrics_of(params: &Params) -> Result<Vec<Metric>, ParamError> {
    let names = || {
        let names: Vec<_> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
        format!("one of {}", names.join(", "))
    };
    let mut metrics = Vec::new();
    for text in params.many("metric") {
        let metric = text.parse().map_err(|_| invalid("metric", text, names()))?;
        if metrics.len() == METRICS_MAX {
            let limit = format!("given {METRICS_MAX} times at most, one for each chart");
            return Err(invalid("metric", text, limit));
        }
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    Ok(metrics)
}

fn span_of(params: &Params) -> Result<Span, ParamError> {
    let from: Option<i64> = params.number("from", -RANGE_MS_MAX * 10..=RANGE_MS_MAX * 10)?;
    let to: Option<i64> = params.number("to", -RANGE_MS_MAX * 10..=RANGE_MS_MAX * 10)?;
    if let (Some(from), Some(to)) = (from, to) {
        let is_possible = from < to && to - from <= RANGE_MS_MAX;
        let limit = "before `to` and at most ten years before it";
        return match is_possible {
            true => Ok(Span::Fixed(from, to)),
            false => Err(invalid("from", &from.to_string(), limit)),
        };
    }
    if from.is_some() || to.is_some() {
        let name = if from.is_some() { "to" } else { "from" };
        return Err(ParamError::Missing {
            name,
            limit: "a time in Unix milliseconds, because the other end of the range is given"
                .to_owned(),
        });
    }
    let names = || {
        let names: Vec<_> = RANGES.iter().map(|range| range.name).collect();
        format!("one of {}", names.join(", "))
    };
    let find = |text: &str| RANGES.iter().find(|range| range.name == text);
    let range = params.parsed("range", names, find)?;
    Ok(Span::Named(range.unwrap_or(RANGE_DEFAULT)))
}

fn address(pairs: &[(&'static str, String)]) -> String {
    format!("/history?{}", encoded(pairs))
}

fn encoded(pairs: &[(&'static str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

#[cfg(test)]
mod tests;
