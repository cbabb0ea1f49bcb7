//! The axes of a chart: where a value or a time lies, and round numbers to label.

use jiff::tz::TimeZone;
use tidemark_model::Timestamp;

use crate::render::text::width;
use crate::render::words;

/// `part / whole` of two spans; 0 when the whole is empty.
#[expect(
    clippy::cast_precision_loss,
    reason = "spans of a chart are far below 2^53 ms"
)]
pub fn ratio(part_ms: i64, whole_ms: i64) -> f64 {
    if whole_ms > 0 {
        part_ms as f64 / whole_ms as f64
    } else {
        0.0
    }
}

/// How values of a unit are written for people.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    divisor: f64,
    /// The unit after dividing.
    pub name: &'static str,
}

impl Scale {
    /// The scale for values of the API's `unit` up to about `highest`.
    pub fn of(unit: &str, highest: f64) -> Self {
        let (divisor, name) = match unit {
            "1/1000 s" => (1_000.0, "per s"),
            "us" if highest >= 1_000_000.0 => (1_000_000.0, "s"),
            "us" if highest >= 1_000.0 => (1_000.0, "ms"),
            "us" => (1.0, "us"),
            "bytes" if highest >= 1_048_576.0 => (1_048_576.0, "MiB"),
            "bytes" if highest >= 1_024.0 => (1_024.0, "KiB"),
            "bytes" => (1.0, "bytes"),
            "ports" => (1.0, "ports"),
            "sockets" => (1.0, "sockets"),
            "handles" => (1.0, "handles"),
            "s" => (1.0, "s"),
            _ => (1.0, ""),
        };
        Self { divisor, name }
    }

    /// `value` as a short number, without its unit.
    pub fn format(self, value: f64) -> String {
        let scaled = value / self.divisor;
        match scaled.abs() {
            size if size >= 1e12 => format!("{scaled:.1e}"),
            size if size >= 10_000_000.0 => format!("{:.0}M", scaled / 1_000_000.0),
            size if size >= 1_000_000.0 => format!("{:.1}M", scaled / 1_000_000.0),
            size if size >= 100_000.0 => format!("{:.0}k", scaled / 1_000.0),
            _ => words::number(scaled),
        }
    }
}

/// Highest values that an axis is made for: for one beyond them, a tick would be zero or infinite.
const DRAWN: std::ops::RangeInclusive<f64> = 1e-300..=1e300;

/// The axis of values, from zero at the bottom.
#[derive(Debug)]
pub struct ValueAxis {
    /// The value at the upper edge.
    pub top: f64,
    tick: f64,
    rows: usize,
    scale: Scale,
}

impl ValueAxis {
    /// An axis over `rows` rows that `highest` just fits on, with ticks at round numbers.
    pub fn new(highest: f64, unit: &str, rows: usize) -> Self {
        let scale = Scale::of(unit, highest);
        let highest = if DRAWN.contains(&highest) {
            highest
        } else {
            scale.divisor
        };
        let ticks_wanted = if rows >= 12 { 4.0 } else { 2.0 };
        let tick = round_number(highest / scale.divisor / ticks_wanted) * scale.divisor;
        Self {
            top: (highest / tick).ceil() * tick,
            tick,
            rows,
            scale,
        }
    }

    const fn dots(&self) -> usize {
        self.rows * 4 - 1
    }

    /// The row of dots, counted from the top, at which `value` lies.
    pub fn dot_row(&self, value: f64) -> usize {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of 0 to 1 of the few dots of a screen"
        )]
        let from_bottom =
            ((value / self.top).clamp(0.0, 1.0) * self.dots() as f64).round() as usize;
        self.dots().saturating_sub(from_bottom)
    }

    /// The label of a row of cells; `None` where no tick is.
    pub fn label(&self, row: usize) -> Option<String> {
        let ticks = std::iter::successors(Some(0.0), |value| Some(value + self.tick));
        ticks
            .take_while(|value| *value <= self.top + self.tick / 2.0)
            .find(|value| self.dot_row(*value) / 4 == row)
            .map(|value| {
                if row == 0 {
                    format!("{} {}", self.scale.name, self.format(value))
                } else {
                    self.format(value)
                }
            })
            .map(|label| label.trim_start().to_owned())
    }

    /// Columns that the widest label takes.
    pub fn label_width(&self) -> usize {
        (0..self.rows)
            .filter_map(|row| self.label(row))
            .map(|label| width(&label))
            .max()
            .unwrap_or(0)
    }

    /// `value` as its labels are written.
    pub fn format(&self, value: f64) -> String {
        self.scale.format(value)
    }
}

/// The next number of 1, 2 or 5 times a power of ten.
fn round_number(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round >= value)
        .unwrap_or(value)
}

/// The axis of time.
#[derive(Debug)]
pub struct TimeAxis {
    /// Left edge.
    pub from_ms: i64,
    /// Right edge.
    pub to_ms: i64,
    /// Cells between them.
    pub columns: usize,
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Distances of ticks.
const STEPS: [i64; 18] = [
    10_000,
    30_000,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    56 * DAY,
];

/// Columns that a tick with its label needs.
const TICK_COLUMNS: usize = 14;

impl TimeAxis {
    /// Whether a time lies between the edges.
    pub const fn contains(&self, at_ms: i64) -> bool {
        self.from_ms <= at_ms && at_ms <= self.to_ms
    }

    /// The column of dots at which a time lies; times outside lie at the edge.
    pub fn dot_of(&self, at_ms: i64) -> usize {
        let share = ratio(
            at_ms.saturating_sub(self.from_ms),
            self.to_ms.saturating_sub(self.from_ms),
        );
        let last = (self.columns * 2).saturating_sub(1);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of 0 to 1 of the few dots of a screen"
        )]
        let dot = (share.clamp(0.0, 1.0) * last as f64).round() as usize;
        dot
    }

    /// The time at a column of dots.
    pub fn time_of_dot(&self, dot: usize) -> i64 {
        let last = i64::try_from((self.columns * 2).saturating_sub(1))
            .unwrap_or(i64::MAX)
            .max(1);
        let dot = i64::try_from(dot).unwrap_or(i64::MAX);
        let offset = i128::from(self.to_ms.saturating_sub(self.from_ms)) * i128::from(dot)
            / i128::from(last);
        self.from_ms
            .saturating_add(i64::try_from(offset).unwrap_or(i64::MAX))
    }

    /// The axis and its labels, two lines, after a gutter for the labels of values.
    pub fn draw(&self, gutter: usize, zone: &TimeZone) -> String {
        let mut line: Vec<char> = vec!['─'; self.columns];
        let mut labels: Vec<char> = Vec::new();
        for (at_ms, label) in self.ticks(zone) {
            let column = self.dot_of(at_ms) / 2;
            let start = (gutter + 1 + column).saturating_sub(label.chars().count() / 2);
            let fits = start + label.chars().count() <= gutter + 1 + self.columns;
            if fits && (labels.is_empty() || start >= labels.len() + 2) {
                labels.resize(start, ' ');
                labels.extend(label.chars());
                if let Some(cell) = line.get_mut(column) {
                    *cell = '┬';
                }
            }
        }
        let line: String = line.into_iter().collect();
        let labels: String = labels.into_iter().collect();
        format!("{}└{line}\n{labels}\n", " ".repeat(gutter))
    }

    /// Times at round local times, with their labels.
    fn ticks(&self, zone: &TimeZone) -> Vec<(i64, String)> {
        let span = self.to_ms.saturating_sub(self.from_ms).max(1);
        let most = i64::try_from((self.columns / TICK_COLUMNS).max(2)).unwrap_or(2);
        let step = STEPS
            .into_iter()
            .find(|step| span / step <= most)
            .unwrap_or(span);
        let mut ticks = Vec::new();
        let mut at_ms = self.from_ms;
        while ticks.len() < self.columns {
            let Some(local) = words::zoned(at_ms, zone) else {
                break;
            };
            let offset_ms = i64::from(local.offset().seconds()) * 1_000;
            let aligned =
                Timestamp::from_unix_ms(at_ms.saturating_add(offset_ms + step - 1)).floor_to(step);
            let tick = aligned.unix_ms() - offset_ms;
            if tick > self.to_ms {
                break;
            }
            if let Some(local) = words::zoned(tick, zone) {
                ticks.push((tick, tick_label(&local, step)));
            }
            at_ms = tick.saturating_add(1);
        }
        ticks
    }
}

fn tick_label(at: &jiff::Zoned, step: i64) -> String {
    let midnight = at.hour() == 0 && at.minute() == 0 && at.second() == 0;
    let format = if step >= DAY || midnight {
        "%-d %b"
    } else if step < MINUTE {
        "%H:%M:%S"
    } else {
        "%H:%M"
    };
    at.strftime(format).to_string()
}
