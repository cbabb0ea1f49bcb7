//! History as CSV for spreadsheets: one row a point, and no cell that a spreadsheet would run.

use std::fmt::Write as _;

use tidemark_model::Timestamp;
use tidemark_model::view::HistoryView;

use crate::web::words;

/// The columns `time_ms,time,series,value`, and `value_before` in a comparison. A gap is an empty cell.
#[must_use]
pub fn text_of(view: &HistoryView) -> String {
    let compares = view.series.iter().any(|one| one.points_before.is_some());
    let mut text = String::from("time_ms,time,series,value");
    text.push_str(if compares {
        ",value_before\r\n"
    } else {
        "\r\n"
    });
    for series in &view.series {
        let name = cell(&series.name);
        let mut before = series.points_before.iter().flatten();
        for (at_ms, value) in &series.points {
            let time = words::iso_utc(Timestamp::from_unix_ms(*at_ms));
            // Writing to a String cannot fail.
            write!(text, "{at_ms},{time},{name},{}", number(*value)).ok();
            if compares {
                let value = before.next().and_then(|(_, value)| *value);
                write!(text, ",{}", number(value)).ok();
            }
            text.push_str("\r\n");
        }
    }
    text
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A text as a cell: quoted where CSV needs it (RFC 4180), and with an apostrophe before what a spreadsheet takes for a
/// formula (OWASP, CSV injection).
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let guard = if is_formula { "'" } else { "" };
    if is_formula || text.contains([',', '"', '\r', '\n', '\'', ';']) {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use tidemark_model::view::SeriesView;

    use super::*;

    fn view(name: &str) -> HistoryView {
        HistoryView {
            metric: "in_use".to_owned(),
            unit: "ports".to_owned(),
            agg: "max".to_owned(),
            from_ms: 0,
            to_ms: 2_000,
            step_ms: 1_000,
            tier: "raw".to_owned(),
            approximate: false,
            points_read: 1,
            series_left_out: 0,
            series: vec![SeriesView {
                name: name.to_owned(),
                host: None,
                points: vec![(0, Some(12.5)), (1_000, None)],
                overall: None,
                overall_before: None,
                points_before: None,
            }],
        }
    }

    #[test]
    fn a_gap_is_an_empty_cell() {
        assert_eq!(
            text_of(&view("web-1")),
            "time_ms,time,series,value\r\n0,1970-01-01T00:00:00.000Z,web-1,12.5\r\n1000,1970-01-01T00:00:01.000Z,web-1,\r\n"
        );
    }

    #[test]
    fn a_name_is_never_a_formula() {
        for name in [
            "=cmd|' /C calc'!A0",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "a\",=1",
        ] {
            let text = text_of(&view(name));
            let row = text.lines().nth(1).unwrap();
            let field = row.strip_prefix("0,1970-01-01T00:00:00.000Z,").unwrap();
            assert!(field.starts_with("\"'") || name.starts_with('a'), "{field}");
            assert!(
                !field.contains(",=") || field.contains("\"\",=1\""),
                "{field}"
            );
        }
    }
}
