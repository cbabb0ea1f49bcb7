//! The query part of an address, read strictly: an unknown or doubled name is an error that says what is legal.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::{FromRequestParts, MatchedPath, Query};
use axum::http::request::Parts;
use tidemark_model::ErrorCode;
use tidemark_model::error_code::ApiError;

use super::problem::ApiProblem;
use super::routes::{self, Reader};

/// Parameters of one request; a history query may name this many hosts.
const PARAMS_MAX: usize = 256;

/// Rows of a page unless the caller says otherwise.
pub const LIMIT_DEFAULT: usize = 100;

/// Rows of a page at most.
pub const LIMIT_MAX: usize = 1_000;

/// Parameters by name, in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

/// Why parameters are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// Not `name=value&...` in UTF-8.
    #[error("the query is no list of name=value pairs in UTF-8")]
    Malformed,
    /// More than a request may have.
    #[error("the query has {count} parameters; at most {PARAMS_MAX} are taken")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A name that this address does not know.
    #[error("there is no parameter {name:?} here; {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Which exist.
        known: String,
    },
    /// A name without a value.
    #[error("{name} is empty; leave it out, or give it a value")]
    Empty {
        /// The name.
        name: String,
    },
    /// A name that may come once came again.
    #[error("{name} may be given once")]
    Repeated {
        /// The name.
        name: &'static str,
    },
    /// A value that is out of limits.
    #[error("{name} is {value:?}; it must be {limit}")]
    Value {
        /// Whose.
        name: &'static str,
        /// What came, cut.
        value: String,
        /// What is legal.
        limit: String,
    },
    /// A name that must be there is not.
    #[error("{name} is missing; it must be {limit}")]
    Missing {
        /// The name.
        name: &'static str,
        /// What is legal.
        limit: String,
    },
}

impl ApiError for ParamError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiProblem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ParamError::Malformed)?;
        if pairs.len() > PARAMS_MAX {
            return Err(ParamError::TooMany { count: pairs.len() }.into());
        }
        let reader = parts
            .extensions
            .get::<MatchedPath>()
            .and_then(|path| routes::find(&parts.method, path.as_str()))
            .map_or(Reader::Program, |route| route.reader);
        Ok(Self::of(pairs, reader)?)
    }
}

impl Params {
    /// A page's form sends each of its fields, empty ones for what is not said; a program says what it means.
    fn of(mut pairs: Vec<(String, String)>, reader: Reader) -> Result<Self, ParamError> {
        match reader {
            Reader::Person => pairs.retain(|(_, value)| !value.is_empty()),
            Reader::Program => {
                if let Some((name, _)) = pairs.iter().find(|(_, value)| value.is_empty()) {
                    return Err(ParamError::Empty { name: cut(name) });
                }
            }
        }
        Ok(Self(pairs))
    }

    /// Those that a page asks with, as if they had come of its form: empty ones are not said.
    pub fn of_pairs(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        let said = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        Self(said.map(owned).collect())
    }

    /// Refuses any name that is not among `known`.
    ///
    /// # Errors
    /// [`ParamError::Unknown`].
    pub fn only(self, known: &[&str]) -> Result<Self, ParamError> {
        match self.0.iter().find(|(name, _)| !known.contains(&&**name)) {
            None => Ok(self),
            Some((name, _)) => Err(ParamError::Unknown {
                name: cut(name),
                known: match known {
                    [] => "it takes none".to_owned(),
                    known => format!("there are: {}", known.join(", ")),
                },
            }),
        }
    }

    /// The value of a name that may come once; `None` without it.
    ///
    /// # Errors
    /// [`ParamError::Repeated`].
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, ParamError> {
        let mut values = self.many(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(ParamError::Repeated { name }),
        }
    }

    /// The values of a name that may come more than once.
    pub fn many(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| &**value)
    }

    /// A number within `range`.
    ///
    /// # Errors
    /// [`ParamError::Value`] or [`ParamError::Repeated`].
    pub fn number<N: FromStr + PartialOrd + Display>(
        &self,
        name: &'static str,
        range: RangeInclusive<N>,
    ) -> Result<Option<N>, ParamError> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            invalid(
                name,
                text,
                format!("a whole number from {} to {}", range.start(), range.end()),
            )
        })
    }

    /// How many rows a page is to have.
    ///
    /// # Errors
    /// [`ParamError::Value`] or [`ParamError::Repeated`].
    pub fn limit(&self) -> Result<usize, ParamError> {
        Ok(self
            .number("limit", 1..=LIMIT_MAX)?
            .unwrap_or(LIMIT_DEFAULT))
    }

    /// Whether something is asked for; not when it is not said.
    ///
    /// # Errors
    /// [`ParamError::Value`] or [`ParamError::Repeated`].
    pub fn flag(&self, name: &'static str) -> Result<bool, ParamError> {
        let said = self.parsed(
            name,
            || "true or false".to_owned(),
            |text| text.parse().ok(),
        )?;
        Ok(said.unwrap_or(false))
    }

    /// A value that `parse` understands.
    ///
    /// # Errors
    /// [`ParamError::Value`] or [`ParamError::Repeated`].
    pub fn parsed<T>(
        &self,
        name: &'static str,
        limit: impl FnOnce() -> String,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ParamError> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        parse(text)
            .map(Some)
            .ok_or_else(|| invalid(name, text, limit()))
    }
}

/// The refusal of a value.
pub fn invalid(name: &'static str, value: &str, limit: impl Into<String>) -> ParamError {
    ParamError::Value {
        name,
        value: cut(value),
        limit: limit.into(),
    }
}

/// What of a refused text is repeated.
fn cut(text: &str) -> String {
    const CHARACTERS_MAX: usize = 64;
    text.chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_refusal_names_the_field_and_the_limit() {
        let cases = [
            (
                params(&[("limit", "0")]),
                "limit is \"0\"; it must be a whole number from 1 to 1000",
            ),
            (
                params(&[("limit", "1"), ("limit", "2")]),
                "limit may be given once",
            ),
            (
                params(&[("limit", "x")]),
                "limit is \"x\"; it must be a whole number from 1 to 1000",
            ),
        ];
        for (params, message) in cases {
            assert_eq!(params.limit().unwrap_err().to_string(), message);
        }
        let error = params(&[("hots", "a")])
            .only(&["host", "limit"])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no parameter \"hots\" here; there are: host, limit"
        );
        let error = params(&[("hots", "a")]).only(&[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no parameter \"hots\" here; it takes none"
        );
    }

    #[test]
    fn an_empty_value_is_absent_in_a_form_and_a_mistake_of_a_program() {
        let pairs = [("host", ""), ("host", "a"), ("host", "b"), ("text", "")];
        let sent = || params(&pairs).0;
        let form = Params::of(sent(), Reader::Person).unwrap();
        assert_eq!(form.many("host").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(form.one("text"), Ok(None));
        assert_eq!(form.limit(), Ok(LIMIT_DEFAULT));
        let refused = Params::of(sent(), Reader::Program).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "host is empty; leave it out, or give it a value"
        );
    }
}
