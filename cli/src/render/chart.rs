//! Charts drawn with braille characters: lines over time, the capacity, and a forecast as a fan.
//!
//! A gap in the data is a gap in the line. Series differ by a letter as well as by colour.

mod axis;
mod grid;

use self::axis::{TimeAxis, ValueAxis};
use self::grid::{Grid, Ink};
use super::Screen;
use super::paint::Tone;
use super::text::{cut, fit_right, visible, width};
use super::words;

/// Most lines in one chart; more cannot be told apart.
pub const LINES_MAX: usize = 7;

/// Lines and columns of a chart where the screen does not say.
const DEFAULT_WIDTH: usize = 80;
const DEFAULT_ROWS: usize = 14;

/// Points of a line: unix milliseconds and the value, `None` in a gap.
pub type Points = Vec<(i64, Option<f64>)>;

/// What is drawn.
#[derive(Debug)]
pub struct Chart {
    /// Over it: what it shows.
    pub title: String,
    /// The lines, at most [`LINES_MAX`].
    pub lines: Vec<Line>,
    /// A level across the chart, as the capacity is.
    pub rule: Option<Rule>,
    /// What is ahead.
    pub fan: Option<Fan>,
    /// Left edge, in unix milliseconds.
    pub from_ms: i64,
    /// Right edge.
    pub to_ms: i64,
    /// The API's unit of the values.
    pub unit: String,
}

/// One line.
#[derive(Debug)]
pub struct Line {
    /// Its name, maybe hostile.
    pub name: String,
    /// Its points, by time.
    pub points: Points,
    /// What is said of it in the legend beside the name.
    pub remark: String,
    /// Whether it is of this period or of the one compared with.
    pub period: Period,
}

/// Which period a line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// The one that was asked for.
    This,
    /// The one that it is compared with: drawn pale.
    Before,
}

/// A level across the chart.
#[derive(Debug)]
pub struct Rule {
    /// At which value.
    pub value: f64,
    /// What it is.
    pub name: &'static str,
}

/// A forecast from a point up to a ceiling.
#[derive(Debug)]
pub struct Fan {
    /// Where it starts: now, at the present level.
    pub start: (i64, f64),
    /// When the ceiling is reached at the earliest (p10).
    pub earliest_ms: i64,
    /// When it is reached in the median.
    pub median_ms: i64,
    /// When it is reached at the latest (p90); `None` when it may never be.
    pub latest_ms: Option<i64>,
    /// The ceiling.
    pub ceiling: f64,
}

impl Fan {
    /// The value at `at_ms` on the way to the ceiling at `end_ms`.
    fn value(&self, at_ms: i64, end_ms: Option<i64>) -> f64 {
        let (start_ms, level) = self.start;
        let Some(end_ms) = end_ms else { return level };
        let share = axis::ratio(
            at_ms.saturating_sub(start_ms),
            end_ms.saturating_sub(start_ms),
        );
        level + (self.ceiling - level) * share.clamp(0.0, 1.0)
    }
}

impl Chart {
    /// Draws it for `screen`.
    pub fn draw(&self, screen: &Screen) -> String {
        let columns = screen.width.unwrap_or(DEFAULT_WIDTH).clamp(40, 240);
        let rows = screen
            .height
            .map_or(DEFAULT_ROWS, |height| height.saturating_sub(9))
            .clamp(6, 20);
        let values = ValueAxis::new(self.highest(), &self.unit, rows);
        let gutter = values.label_width();
        let plot_columns = columns.saturating_sub(gutter + 1).max(16);
        let times = TimeAxis {
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            columns: plot_columns,
        };

        let mut grid = Grid::new(plot_columns, rows);
        self.draw_fan(&mut grid, &times, &values);
        for (position, line) in self.lines.iter().enumerate() {
            draw_line(&mut grid, line, Ink::Line(position), &times, &values);
        }
        self.draw_letters(&mut grid, &times, &values);
        self.draw_rules(&mut grid, &times, &values);

        let mut text = format!(
            "{}\n",
            screen.paint.bold(&cut(&visible(&self.title), columns))
        );
        for (row, cells) in grid.rows(screen.paint, |ink| self.tone(ink)).enumerate() {
            let (label, tick) = match values.label(row) {
                Some(label) => (label, '┤'),
                None => (String::new(), '│'),
            };
            text.push_str(&format!(
                "{}{tick}{}\n",
                fit_right(&label, gutter),
                cells.trim_end()
            ));
        }
        text.push_str(&times.draw(gutter, &screen.zone));
        text.push_str(&self.legend(screen, columns, &values));
        text
    }

    fn tone(&self, ink: Ink) -> Tone {
        match ink {
            Ink::Line(position) => match self.lines.get(position).map(|line| line.period) {
                Some(Period::Before) => Tone::Muted,
                Some(Period::This) | None => Tone::Series(position),
            },
            Ink::Fan | Ink::Median => Tone::Watch,
            Ink::Rule => Tone::Bad,
            Ink::Mark => Tone::Muted,
        }
    }

    fn highest(&self) -> f64 {
        let known = self
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .filter_map(|(_, value)| *value);
        let highest = known
            .filter(|value| value.is_finite())
            .fold(0.0_f64, f64::max);
        match (&self.fan, &self.rule) {
            (Some(fan), _) => highest.max(fan.ceiling),
            (None, Some(rule)) if self.shows_rule(rule, highest) => highest.max(rule.value),
            (None, Some(_) | None) => highest,
        }
    }

    /// A capacity far above the data would press them flat; the legend says it then.
    fn shows_rule(&self, rule: &Rule, highest: f64) -> bool {
        self.fan.is_some() || highest >= rule.value / 4.0
    }

    fn draw_fan(&self, grid: &mut Grid, times: &TimeAxis, values: &ValueAxis) {
        let Some(fan) = &self.fan else { return };
        for dot_column in 0..grid.dot_columns() {
            let at_ms = times.time_of_dot(dot_column);
            if at_ms < fan.start.0 {
                continue;
            }
            let high = values.dot_row(fan.value(at_ms, Some(fan.earliest_ms)));
            let low = values.dot_row(fan.value(at_ms, fan.latest_ms));
            for dot_row in high..=low {
                // Every other dot: a shade that the median stands out from.
                if (dot_column + dot_row) % 2 == 0 {
                    grid.dot(dot_column, dot_row, Ink::Fan);
                }
            }
            if at_ms <= fan.median_ms {
                grid.dot(
                    dot_column,
                    values.dot_row(fan.value(at_ms, Some(fan.median_ms))),
                    Ink::Median,
                );
            }
        }
    }

    fn draw_rules(&self, grid: &mut Grid, times: &TimeAxis, values: &ValueAxis) {
        if let Some(rule) = self.rule.as_ref().filter(|rule| rule.value <= values.top) {
            let row = values.dot_row(rule.value) / 4;
            let label = format!(" {} {} ", rule.name, values.format(rule.value));
            grid.rule(row, '─', Ink::Rule);
            grid.label(row, 2, &label, Ink::Rule);
        }
        if let Some(fan) = &self.fan {
            grid.upright(times.dot_of(fan.start.0) / 2, '┊', Ink::Mark);
        }
    }

    /// A letter on each of several lines, spread over the chart so that they seldom meet.
    fn draw_letters(&self, grid: &mut Grid, times: &TimeAxis, values: &ValueAxis) {
        if self.lines.len() < 2 {
            return;
        }
        for (position, line) in self.lines.iter().enumerate() {
            let known: Vec<_> = line
                .points
                .iter()
                .filter_map(|(at_ms, value)| Some((*at_ms, (*value)?)))
                .collect();
            let place = known.len() * (position + 1) / (self.lines.len() + 1);
            if let Some((at_ms, value)) = known.get(place) {
                let (column, row) = (times.dot_of(*at_ms) / 2, values.dot_row(*value) / 4);
                grid.label(
                    row,
                    column,
                    &letter(position).to_string(),
                    Ink::Line(position),
                );
            }
        }
    }

    fn legend(&self, screen: &Screen, columns: usize, values: &ValueAxis) -> String {
        let mut text = String::new();
        let name_width = self
            .lines
            .iter()
            .map(|line| width(&visible(&line.name)))
            .max()
            .unwrap_or(0)
            .min(40);
        for (position, line) in self.lines.iter().enumerate() {
            let key = if self.lines.len() > 1 {
                letter(position).to_string()
            } else {
                "⠶".to_owned()
            };
            let name = super::text::fit(&visible(&line.name), name_width);
            let rest = cut(
                &format!(" {name}  {}", line.remark),
                columns.saturating_sub(1),
            );
            text.push_str(&format!(
                "{}{}\n",
                screen.paint.apply(self.tone(Ink::Line(position)), &key),
                rest.trim_end()
            ));
        }
        if let Some(rule) = self.rule.as_ref().filter(|rule| rule.value > values.top) {
            text.push_str(&format!(
                "{} {}, above this chart\n",
                rule.name,
                values.format(rule.value)
            ));
        }
        if self.fan.is_some() {
            let shade = screen.paint.apply(Tone::Watch, "⢕");
            text.push_str(&format!("{shade} forecast: 80 % of the outcomes lie in the shade, half of them on each side of its line\n"));
        }
        text
    }
}

/// The remark of a line of history: its last value and its aggregate over all.
pub fn remark(points: &Points, overall: Option<f64>, agg: &str, unit: &str) -> String {
    let scale = axis::Scale::of(unit, overall.unwrap_or(0.0));
    let last = points.iter().rev().find_map(|(_, value)| *value);
    let say =
        |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |value| scale.format(value));
    format!(
        "last {}, {} {} {}",
        say(last),
        visible(agg),
        say(overall),
        scale.name
    )
    .trim_end()
    .to_owned()
}

/// The span that a chart shows, for its title.
pub fn span_title(from_ms: i64, to_ms: i64, screen: &Screen) -> String {
    let zone = words::zoned(to_ms, &screen.zone)
        .map_or_else(String::new, |at| at.strftime(" %Z").to_string());
    let from = words::date_time(from_ms, &screen.zone, screen.now);
    let to = words::date_time(to_ms, &screen.zone, screen.now);
    format!("{from} to {to}{zone}")
}

fn letter(position: usize) -> char {
    u8::try_from(position % 26).map_or('?', |offset| char::from(b'a' + offset))
}

fn draw_line(grid: &mut Grid, line: &Line, ink: Ink, times: &TimeAxis, values: &ValueAxis) {
    let mut before: Option<(usize, usize)> = None;
    for (at_ms, value) in &line.points {
        let here = value
            .filter(|value| value.is_finite() && times.contains(*at_ms))
            .map(|value| (times.dot_of(*at_ms), values.dot_row(value)));
        if let Some(here) = here {
            grid.segment(before.unwrap_or(here), here, ink);
        }
        before = here;
    }
}

#[cfg(test)]
mod tests;
