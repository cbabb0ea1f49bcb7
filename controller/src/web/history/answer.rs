//! One chart of the page: its points for the script, its figures for everybody.

use serde::Serialize;
use tidemark_model::Metric;
use tidemark_model::view::{HistoryView, SeriesView};

use super::asked::Asked;
use crate::access::Horizon;
use crate::api::history::answer_of;
use crate::api::params::Params;
use crate::web::measure::Measure;
use crate::web::words;

/// Colours and dashes of lines, after which they come again.
const STYLES: usize = 24;

/// One chart.
pub(super) struct Panel {
    pub(super) name: String,
    /// `ports, highest of each 5 min`.
    pub(super) what: String,
    /// What should be known of the figures; empty when they are exact and all there.
    pub(super) note: String,
    pub(super) lines: Vec<Line>,
    /// Points as JSON.
    pub(super) points: String,
    pub(super) compares: bool,
    /// Why there is no answer.
    pub(super) problem: Option<String>,
    pub(super) csv: String,
    pub(super) json: String,
}

/// One series in figures.
pub(super) struct Line {
    /// Which colour and dash it has.
    pub(super) style: usize,
    pub(super) name: String,
    pub(super) host: Option<String>,
    /// The lowest and the highest step, and the aggregate over all; unknown without any value.
    lowest: Option<String>,
    highest: Option<String>,
    overall: Option<String>,
    before: Option<String>,
    change: Option<String>,
}

/// What the script draws. A gap is `null`.
#[derive(Serialize)]
struct Points<'a> {
    from: i64,
    to: i64,
    step: i64,
    scale: f64,
    suffix: &'static str,
    series: Vec<SeriesPoints<'a>>,
}

#[derive(Serialize)]
struct SeriesPoints<'a> {
    name: &'a str,
    start: i64,
    values: Vec<Option<f64>>,
    before: Option<Vec<Option<f64>>>,
}

impl Panel {
    /// Asks for the points of `metric`; what goes wrong stands where the chart would.
    pub(super) async fn of(horizon: &Horizon, asked: &Asked, metric: Metric) -> Self {
        let params = Params::of_pairs(asked.of_api(metric));
        let answered = answer_of(horizon, &params, asked.offset()).await;
        let mut panel = Self {
            name: metric.as_str().replace('_', " "),
            what: String::new(),
            note: String::new(),
            lines: Vec::new(),
            points: String::new(),
            compares: asked.offset().is_some(),
            problem: None,
            csv: asked.api_link(metric, "csv"),
            json: asked.api_link(metric, "json"),
        };
        match answered {
            Ok(view) => panel.fill(&view),
            Err(problem) => panel.problem = Some(problem.title().to_owned()),
        }
        panel
    }

    fn fill(&mut self, view: &HistoryView) {
        let measure = Measure::of_unit(&view.unit);
        self.what = format!(
            "{}, {} of each {}",
            measure.unit,
            view.agg.replace('_', " "),
            words::span(view.step_ms)
        );
        self.note = note(view);
        self.lines = view
            .series
            .iter()
            .enumerate()
            .map(|(index, series)| Line::new(series, measure, index % STYLES))
            .collect();
        let points = Points {
            from: view.from_ms,
            to: view.to_ms,
            step: view.step_ms,
            scale: measure.scale,
            suffix: measure.suffix,
            series: view.series.iter().map(SeriesPoints::of).collect(),
        };
        // Numbers and texts are always JSON.
        self.points = serde_json::to_string(&points).unwrap_or_default();
    }

    /// Whether there is any point to draw.
    pub(super) fn has_points(&self) -> bool {
        self.lines
            .iter()
            .any(|line| line.highest.is_some() || line.before.is_some())
    }
}

fn note(view: &HistoryView) -> String {
    let mut notes = Vec::new();
    if view.approximate {
        notes.push(format!(
            "approximate: made from points of {}, which do not keep it",
            view.tier
        ));
    }
    match view.series_left_out {
        0 => {}
        more => notes.push(format!("{} more lines are left out", words::count(more))),
    }
    notes.join("; ")
}

impl Line {
    /// The lowest, the highest, and that of the whole range.
    pub(super) fn figures(&self) -> [Option<&str>; 3] {
        [&self.lowest, &self.highest, &self.overall].map(Option::as_deref)
    }

    /// That of the range before, and how it changed.
    pub(super) fn comparison(&self) -> [Option<&str>; 2] {
        [&self.before, &self.change].map(Option::as_deref)
    }

    fn new(series: &SeriesView, measure: Measure, style: usize) -> Self {
        let known = || series.points.iter().filter_map(|(_, value)| *value);
        let words = |value: Option<f64>| value.map(|value| measure.words(value));
        let change = series.overall.zip(series.overall_before);
        Self {
            style,
            name: series.name.clone(),
            host: series.host.clone(),
            lowest: words(known().reduce(f64::min)),
            highest: words(known().reduce(f64::max)),
            overall: words(series.overall),
            before: words(series.overall_before),
            change: change.map(|(now, before)| measure.change(now, before)),
        }
    }
}

impl<'a> SeriesPoints<'a> {
    fn of(series: &'a SeriesView) -> Self {
        let values =
            |points: &[(i64, Option<f64>)]| points.iter().map(|(_, value)| *value).collect();
        Self {
            name: &series.name,
            start: series.points.first().map_or(0, |(at, _)| *at),
            values: values(&series.points),
            before: series.points_before.as_deref().map(values),
        }
    }
}
