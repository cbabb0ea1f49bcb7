//! How a history and a comparison look in every format.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use tidemark_model::view::{HistoryView, SeriesView};

use crate::render::chart::{self, Chart, LINES_MAX, Line, Period, Rule};
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Chartable, Report, Screen, words};

/// A metric over time.
#[derive(Debug)]
pub struct History {
    /// The answer.
    pub view: HistoryView,
    /// A line to draw over it.
    pub capacity: Option<Rule>,
}

/// A metric over time beside the same time before.
#[derive(Debug)]
pub struct Comparison {
    /// The answer.
    pub view: HistoryView,
    /// A line to draw over it.
    pub capacity: Option<Rule>,
    /// How long before.
    pub offset_ms: i64,
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.view.serialize(to)
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.view.serialize(to)
    }
}

const MINUTE_MS: i64 = 60_000;

const NO_DATA: &str = "No data in this range. Look further back with --since 14d, or see what there is: tidemark get hosts\n";

fn is_empty(view: &HistoryView) -> bool {
    view.series
        .iter()
        .all(|series| series.points.iter().all(|(_, value)| value.is_none()))
}

/// What a reader of the figures should know about them.
fn remarks(view: &HistoryView) -> Vec<String> {
    let count = view.series_left_out;
    let left_out = format!(
        "{count} more series are left out; ask for more with --top, or for fewer with --entity or --label"
    );
    let approximate = format!(
        "{} is approximated from points of {}; a shorter or more recent range is exact",
        view.agg, view.tier
    );
    let left_out = (count > 0).then_some(left_out);
    let approximate = view.approximate.then_some(approximate);
    left_out.into_iter().chain(approximate).collect()
}

fn value_cell(value: Option<f64>) -> Cell {
    value.map(words::number).into()
}

/// Exactly what the API said, for programs.
fn exact(value: Option<f64>) -> Value {
    Value::maybe(value.filter(|value| value.is_finite()))
}

impl Report for History {
    const CHART: Chartable = Chartable::First;

    /// A row for each step, a column for each series.
    fn table(&self, screen: &Screen) -> String {
        if is_empty(&self.view) {
            return NO_DATA.to_owned();
        }
        let mut columns = vec![("TIME", Align::Whole)];
        columns.extend(
            self.view
                .series
                .iter()
                .map(|series| (series.name.as_str(), Align::Right)),
        );
        let mut table = Table::new(&columns);
        let mut steps: BTreeMap<i64, Vec<Option<f64>>> = BTreeMap::new();
        for (position, series) in self.view.series.iter().enumerate() {
            for (at_ms, value) in &series.points {
                let row = steps
                    .entry(*at_ms)
                    .or_insert_with(|| vec![None; self.view.series.len()]);
                if let Some(cell) = row.get_mut(position) {
                    *cell = *value;
                }
            }
        }
        for (at_ms, values) in steps {
            let time = if self.view.step_ms % MINUTE_MS == 0 {
                words::date_time(at_ms, &screen.zone, screen.now)
            } else {
                words::date_time_seconds(at_ms, &screen.zone, screen.now)
            };
            let time = Cell::toned(time, Tone::Muted);
            table.row(std::iter::once(time).chain(values.into_iter().map(value_cell)));
        }
        table.draw(screen)
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        let rows = self.view.series.iter().flat_map(|series| {
            series.points.iter().map(|(at_ms, value)| {
                vec![
                    Value::number(at_ms),
                    Value::text(words::rfc3339(*at_ms, &screen.zone)),
                    Value::text(&series.name),
                    exact(*value),
                ]
            })
        });
        Sheet {
            header: vec!["time_ms", "time", "series", "value"],
            rows: rows.collect(),
        }
    }

    fn chart(&self, screen: &Screen) -> String {
        if is_empty(&self.view) {
            return NO_DATA.to_owned();
        }
        let lines = self
            .view
            .series
            .iter()
            .take(LINES_MAX)
            .map(|series| this_line(series, &self.view))
            .collect();
        draw(&self.view, lines, self.capacity.as_ref(), screen)
    }

    fn notes(&self) -> Vec<String> {
        remarks(&self.view)
    }
}

fn this_line(series: &SeriesView, view: &HistoryView) -> Line {
    Line {
        name: series.name.clone(),
        remark: chart::remark(&series.points, series.overall, &view.agg, &view.unit),
        points: series.points.clone(),
        period: Period::This,
    }
}

fn draw(view: &HistoryView, lines: Vec<Line>, capacity: Option<&Rule>, screen: &Screen) -> String {
    let hidden = view.series.len().saturating_sub(LINES_MAX);
    let chart = Chart {
        title: format!(
            "{}, {} of {} steps, {}",
            view.metric,
            view.agg,
            words::span(view.step_ms),
            chart::span_title(view.from_ms, view.to_ms, screen)
        ),
        lines,
        rule: capacity.map(|rule| Rule {
            value: rule.value,
            name: rule.name,
        }),
        fan: None,
        from_ms: view.from_ms,
        to_ms: view.to_ms,
        unit: view.unit.clone(),
    };
    let mut text = chart.draw(screen);
    if hidden > 0 {
        text.push_str(&format!("and {hidden} more: -o table shows all\n"));
    }
    text
}

impl Report for Comparison {
    const CHART: Chartable = Chartable::First;

    /// A row for each series: this period, the one before, and the change.
    fn table(&self, screen: &Screen) -> String {
        if self.view.series.is_empty() {
            return NO_DATA.to_owned();
        }
        let before = format!("{} BEFORE", words::span(self.offset_ms).to_uppercase());
        let mut table = Table::new(&[
            ("SERIES", Align::Left),
            (
                &visible(&format!("{} {}", self.view.agg, self.view.metric)).to_uppercase(),
                Align::Right,
            ),
            (&before, Align::Right),
            ("CHANGE", Align::Right),
            ("", Align::Right),
        ]);
        for series in &self.view.series {
            let (change, share) = change(series);
            table.row([
                Cell::from(series.name.as_str()),
                value_cell(series.overall),
                value_cell(series.overall_before),
                change,
                share,
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        let mut rows = Vec::new();
        for series in &self.view.series {
            let before: BTreeMap<i64, Option<f64>> =
                series.points_before.iter().flatten().copied().collect();
            for (at_ms, value) in &series.points {
                rows.push(vec![
                    Value::number(at_ms),
                    Value::text(words::rfc3339(*at_ms, &screen.zone)),
                    Value::text(&series.name),
                    exact(*value),
                    exact(before.get(at_ms).copied().flatten()),
                ]);
            }
        }
        Sheet {
            header: vec!["time_ms", "time", "series", "value", "value_before"],
            rows,
        }
    }

    fn chart(&self, screen: &Screen) -> String {
        if is_empty(&self.view) {
            return self.table(screen);
        }
        let ago = words::span(self.offset_ms);
        let mut lines = Vec::new();
        for series in self.view.series.iter().take(LINES_MAX / 2) {
            let before = series.points_before.clone().unwrap_or_default();
            lines.push(Line {
                name: format!("{}, {ago} before", series.name),
                remark: chart::remark(
                    &before,
                    series.overall_before,
                    &self.view.agg,
                    &self.view.unit,
                ),
                points: before,
                period: Period::Before,
            });
            lines.push(this_line(series, &self.view));
        }
        let chart = draw(&self.view, lines, self.capacity.as_ref(), screen);
        format!("{chart}\n{}", self.table(screen))
    }

    fn notes(&self) -> Vec<String> {
        remarks(&self.view)
    }
}

fn change(series: &SeriesView) -> (Cell, Cell) {
    let (Some(value), Some(before)) = (series.overall, series.overall_before) else {
        return (None::<u32>.into(), "".into());
    };
    let change = value - before;
    let mark = if change > 0.0 {
        "▲"
    } else if change < 0.0 {
        "▼"
    } else {
        "="
    };
    let share = if before == 0.0 {
        String::new()
    } else {
        format!("{:+.0} %", change / before * 100.0)
    };
    let sign = if change > 0.0 { "+" } else { "" };
    (
        format!("{mark} {sign}{}", words::number(change)).into(),
        share.into(),
    )
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use tidemark_model::Timestamp;

    use super::*;
    use crate::render::paint::Paint;

    #[test]
    fn steps_below_a_minute_are_told_apart() {
        let view = HistoryView {
            metric: "in_use".to_owned(),
            unit: "ports".to_owned(),
            agg: "max".to_owned(),
            from_ms: 0,
            to_ms: 20_000,
            step_ms: 10_000,
            tier: "raw".to_owned(),
            approximate: false,
            points_read: 2,
            series_left_out: 0,
            series: vec![SeriesView {
                name: "tcp/default".to_owned(),
                host: None,
                points: vec![(0, Some(7.0)), (10_000, Some(8.0))],
                overall: Some(8.0),
                overall_before: None,
                points_before: None,
            }],
        };
        let history = History {
            view,
            capacity: None,
        };
        let screen = Screen {
            width: None,
            height: None,
            paint: Paint::Plain,
            zone: TimeZone::UTC,
            now: Timestamp::from_unix_ms(20_000),
        };
        insta::assert_snapshot!(history.table(&screen), @r"
        TIME                tcp/default
        Thu 1 Jan 00:00:00            7
        Thu 1 Jan 00:00:10            8
        ");
    }
}
