//! Performance data: `'label'=value[UOM];[warn];[crit];[min];[max]`
//! (<https://www.monitoring-plugins.org/doc/guidelines.html>, "Performance data").

use std::fmt::Write as _;

use crate::render::text::{cut, visible};

/// Values that are told: monitoring systems keep a few kilobytes of a check's output.
const VALUES_MAX: usize = 64;

/// Longest label, in columns.
const LABEL_COLUMNS_MAX: usize = 96;

/// Values that a monitoring system keeps, in the order that they were told.
#[derive(Debug, Default)]
pub struct Perfdata {
    values: Vec<String>,
}

/// One value.
#[derive(Clone, Debug, Default)]
pub struct Value {
    /// Name, maybe hostile.
    pub label: String,
    /// `None` is unknown, which is written `U`.
    pub value: Option<String>,
    /// `s`, `%` or nothing.
    pub unit: &'static str,
    /// Range that is no warning.
    pub warn: String,
    /// Range that is not critical.
    pub crit: String,
    /// The least that it can be; empty where there is none.
    pub min: String,
    /// The most that it can be; empty where there is none.
    pub max: String,
}

impl Perfdata {
    /// Tells one more value; what is beyond the limit is left out.
    pub fn push(&mut self, value: &Value) {
        if self.values.len() >= VALUES_MAX {
            return;
        }
        let mut text = format!("'{}'=", label(&value.label));
        match &value.value {
            // Writing to a String cannot fail.
            Some(number) => write!(text, "{number}{}", value.unit).ok(),
            None => write!(text, "U").ok(),
        };
        let Value {
            warn,
            crit,
            min,
            max,
            ..
        } = value;
        let limits = format!(";{warn};{crit};{min};{max}");
        text.push_str(limits.trim_end_matches(';'));
        self.values.push(text);
    }

    /// As it stands after the `|`.
    pub fn line(&self) -> String {
        self.values.join(" ")
    }
}

/// A label without what ends one: `=` and `|` are replaced, and a quote is doubled.
fn label(text: &str) -> String {
    cut(&visible(text), LABEL_COLUMNS_MAX)
        .replace(['=', '|'], "_")
        .replace('\'', "''")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_monitoring_systems_read_them() {
        let mut perfdata = Perfdata::default();
        perfdata.push(&Value {
            label: "tcp_used".to_owned(),
            value: Some("87.3".to_owned()),
            unit: "%",
            warn: "80".to_owned(),
            crit: "95".to_owned(),
            min: "0".to_owned(),
            max: "100".to_owned(),
        });
        perfdata.push(&Value {
            label: "age".to_owned(),
            value: Some("5".to_owned()),
            unit: "s",
            ..Value::default()
        });
        perfdata.push(&Value {
            label: "who=it's|\n\u{1b}[2J".to_owned(),
            crit: "2000".to_owned(),
            unit: "s",
            ..Value::default()
        });
        assert_eq!(
            perfdata.line(),
            "'tcp_used'=87.3%;80;95;0;100 'age'=5s 'who_it''s_\\u{a}\\u{1b}[2J'=U;;2000"
        );
    }

    #[test]
    fn the_line_is_bounded() {
        let mut perfdata = Perfdata::default();
        for _ in 0..1_000 {
            perfdata.push(&Value {
                label: "x".repeat(5_000),
                ..Value::default()
            });
        }
        assert!(perfdata.line().len() < VALUES_MAX * (LABEL_COLUMNS_MAX + 10));
    }
}
