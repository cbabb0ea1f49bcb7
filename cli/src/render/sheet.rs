//! Comma-separated values (RFC 4180) that are safe to open in a spreadsheet.

use crate::failure::Failure;

/// Rows under a heading.
#[derive(Debug)]
pub struct Sheet {
    /// Names of the columns.
    pub header: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
}

/// One value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text, maybe hostile.
    Text(String),
    /// A number, written as it is.
    Number(String),
    /// Written as nothing at all.
    Unknown,
}

impl Value {
    /// A number.
    pub fn number(number: impl ToString) -> Self {
        Self::Number(number.to_string())
    }

    /// A number that may be unknown.
    pub fn maybe<T: ToString>(number: Option<T>) -> Self {
        number.map_or(Self::Unknown, Self::number)
    }

    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Text that may be unknown.
    pub fn maybe_text(text: Option<&str>) -> Self {
        text.map_or(Self::Unknown, Self::text)
    }

    /// What is written. Text that a spreadsheet would run as a formula gets a quote in front
    /// (<https://owasp.org/www-community/attacks/CSV_Injection>).
    fn written(&self) -> String {
        match self {
            Self::Text(text)
                if text.starts_with([
                    '=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠',
                ]) =>
            {
                format!("'{text}")
            }
            Self::Text(text) | Self::Number(text) => text.clone(),
            Self::Unknown => String::new(),
        }
    }
}

impl Sheet {
    /// Writes it, with the heading or only the rows.
    pub fn write(&self, heading: Heading) -> Result<String, Failure> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let written = (|| {
            if heading == Heading::With {
                writer.write_record(&self.header)?;
            }
            for row in &self.rows {
                writer.write_record(row.iter().map(Value::written))?;
            }
            writer.flush()?;
            Ok(())
        })();
        let failed = |source| Failure::Io {
            action: "write the values",
            source,
        };
        written.map_err(|error: csv::Error| failed(error.into()))?;
        let bytes = writer
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        String::from_utf8(bytes).map_err(|error| failed(std::io::Error::other(error)))
    }
}

/// Whether the names of the columns come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading {
    /// They do.
    With,
    /// They were written before.
    Without,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_disarmed_and_numbers_are_not_touched() {
        let sheet = Sheet {
            header: vec!["a", "b", "c"],
            rows: vec![
                vec![
                    Value::text("=cmd|' /C calc'!A0"),
                    Value::number(-5),
                    Value::Unknown,
                ],
                vec![
                    Value::text("@x"),
                    Value::text("a,\"b\""),
                    Value::text("-1+1"),
                ],
            ],
        };
        assert_eq!(
            sheet.write(Heading::With).unwrap(),
            "a,b,c\n'=cmd|' /C calc'!A0,-5,\n'@x,\"a,\"\"b\"\"\",'-1+1\n"
        );
    }
}
