//! Which version of a document a request is about (RFC 9110, section 13.1): what somebody else changed meanwhile is not
//! overwritten.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use tidemark_model::ErrorCode;

use super::body::Invalid;
use super::problem::ApiProblem;

/// What the document must be for the request to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Anything,
    /// There, in any version: `If-Match: *`.
    Something,
    /// That version: `If-Match: "3"`.
    Version(u64),
    /// Not there: `If-None-Match: *`.
    Nothing,
}

impl Expected {
    /// As the headers say.
    ///
    /// # Errors
    /// When they say something else, or both.
    pub fn of(headers: &HeaderMap) -> Result<Self, Invalid> {
        let one = |name: HeaderName| headers.get_all(name).iter().collect::<Vec<_>>();
        let matches = one(header::IF_MATCH);
        let none = one(header::IF_NONE_MATCH);
        match (&*matches, &*none) {
            ([], []) => Ok(Self::Anything),
            ([shown], []) if *shown == "*" => Ok(Self::Something),
            ([shown], []) => version_of(shown.as_bytes()).map(Self::Version).ok_or_else(|| {
                Invalid(vec![
                    "If-Match must be the ETag of an answer about this document, as in \"3\", or *".to_owned(),
                ])
            }),
            ([], [shown]) if *shown == "*" => Ok(Self::Nothing),
            _ => Err(Invalid(vec![
                "send one If-Match with one ETag, or If-None-Match: * for what must not be there yet".to_owned(),
            ])),
        }
    }

    /// Whether a document that stands in this version, or does not stand, is what was expected; `what` names it.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(self, standing: Option<u64>, what: &str) -> Result<(), ApiProblem> {
        let title = match (self, standing) {
            (Self::Anything, _) | (Self::Something, Some(_)) | (Self::Nothing, None) => {
                return Ok(());
            }
            (Self::Version(expected), Some(version)) if expected == version => return Ok(()),
            (Self::Version(expected), Some(version)) => format!(
                "{what} is at version {version}, and you changed version {expected}: read it again, then decide"
            ),
            (Self::Version(_) | Self::Something, None) => {
                format!("{what} is not there; somebody may have deleted it")
            }
            (Self::Nothing, Some(version)) => {
                format!("{what} is there already, at version {version}; read it, then decide")
            }
        };
        Err(ApiProblem::new(ErrorCode::Precondition, title)
            .with_status(StatusCode::PRECONDITION_FAILED))
    }
}

impl<S: Sync> FromRequestParts<S> for Expected {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiProblem> {
        Ok(Self::of(&parts.headers)?)
    }
}

/// The header that names a version.
#[must_use]
pub fn etag(version: u64) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{version}\""))]
}

fn version_of(shown: &[u8]) -> Option<u64> {
    let shown = std::str::from_utf8(shown).ok()?;
    let number = shown.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(pairs: &[(HeaderName, &'static str)]) -> Result<Expected, Invalid> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        Expected::of(&headers)
    }

    #[test]
    fn what_is_expected_is_read_and_nothing_is_guessed() {
        let (when, unless) = (header::IF_MATCH, header::IF_NONE_MATCH);
        assert_eq!(of(&[]).unwrap(), Expected::Anything);
        let read = [
            (when.clone(), "\"3\"", Expected::Version(3)),
            (when.clone(), "*", Expected::Something),
            (unless.clone(), "*", Expected::Nothing),
        ];
        for (name, value, expected) in read {
            assert_eq!(of(&[(name, value)]).unwrap(), expected, "{value}");
        }
        for value in ["3", "W/\"3\"", "\"\"", "\"+3\"", "\"3\", \"4\"", "\"x\""] {
            assert!(of(&[(when.clone(), value)]).is_err(), "{value}");
        }
        assert!(of(&[(unless.clone(), "\"3\"")]).is_err());
        assert!(of(&[(when.clone(), "*"), (unless, "*")]).is_err());
        assert!(of(&[(when.clone(), "\"3\""), (when, "\"3\"")]).is_err());
    }
}
