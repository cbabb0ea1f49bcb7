//! How people write aggregates, groupings, steps and durations.

use std::str::FromStr;
use std::time::Duration;

use super::{Across, Agg, GroupBy, Step};

/// A text that is not what it should be; says what is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// No aggregate.
    #[error(
        "there is no aggregate `{text}`; the aggregates are min, avg, max, last, sum, count, p50, p95, p99, rate, slope, time_to_exhaustion"
    )]
    Agg {
        /// What was written.
        text: String,
    },
    /// No way of joining series.
    #[error("series are not joined by `{text}` but by sum, avg, min or max")]
    Across {
        /// What was written.
        text: String,
    },
    /// No grouping.
    #[error(
        "series are not grouped by `{text}` but by series, host, entity or label:NAME, or by none into one"
    )]
    GroupBy {
        /// What was written.
        text: String,
    },
    /// No duration.
    #[error(
        "`{text}` is no duration; write a whole number with ms, s, m, h, d or w, as in 90s, 1h30m or 14d, at most 3660d"
    )]
    Duration {
        /// What was written.
        text: String,
    },
}

impl FromStr for Agg {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let mut all = Self::ALL.into_iter();
        all.find(|agg| agg.as_str() == text)
            .ok_or_else(|| BadText::Agg {
                text: text.to_owned(),
            })
    }
}

impl FromStr for Across {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let mut all = Self::ALL.into_iter();
        all.find(|across| across.as_str() == text)
            .ok_or_else(|| BadText::Across {
                text: text.to_owned(),
            })
    }
}

impl FromStr for GroupBy {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        match text {
            "series" => Ok(Self::Series),
            "none" | "all" => Ok(Self::All),
            "host" => Ok(Self::Host),
            "entity" => Ok(Self::Entity),
            _ => match text.strip_prefix("label:") {
                Some(label) if !label.is_empty() => Ok(Self::Label(label.to_owned())),
                Some(_) | None => Err(BadText::GroupBy {
                    text: text.to_owned(),
                }),
            },
        }
    }
}

impl FromStr for Step {
    type Err = BadText;

    /// `auto`, `whole`, or a duration.
    fn from_str(text: &str) -> Result<Self, BadText> {
        match text {
            "auto" => Ok(Self::Auto),
            "whole" => Ok(Self::Whole),
            _ => parse_duration(text).map(Self::Of),
        }
    }
}

/// Longest duration that is read: ten years, beyond every retention.
const DURATION_MAX: Duration = Duration::from_secs(3_660 * 86_400);

/// The duration that `text` says, as in `90s`, `1h30m`, `14d`; up to 3,660 days.
///
/// # Errors
/// When it says none.
pub fn parse_duration(text: &str) -> Result<Duration, BadText> {
    let parsed = tidemark_model::duration::parse_duration(text).ok();
    parsed
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or_else(|| BadText::Duration {
            text: text.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("90s", 90),
            ("1h", 3_600),
            ("1h30m", 5_400),
            ("14d", 1_209_600),
            ("2w", 1_209_600),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in [
            "",
            "1",
            "h",
            "1y",
            "-1h",
            "1 h",
            "1.5h",
            "99999999999999999999d",
            "9999d",
            "1h\u{e9}",
        ] {
            let message = parse_duration(text).unwrap_err().to_string();
            assert!(message.contains("as in 90s"), "{text}: {message}");
        }
    }

    #[test]
    fn every_name_leads_back_and_others_are_answered_with_the_known_ones() {
        for agg in Agg::ALL {
            assert_eq!(agg.as_str().parse(), Ok(agg));
            let message = "median".parse::<Agg>().unwrap_err().to_string();
            assert!(message.contains(agg.as_str()), "{message}");
        }
        for across in Across::ALL {
            assert_eq!(across.as_str().parse(), Ok(across));
        }
        assert_eq!("label:dc".parse(), Ok(GroupBy::Label("dc".to_owned())));
        assert_eq!("none".parse(), Ok(GroupBy::All));
        assert!("label:".parse::<GroupBy>().is_err());
        assert!("dc".parse::<GroupBy>().is_err());
    }

    proptest! {
        #[test]
        fn hostile_texts_are_refused_without_a_panic(text in ".*") {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert!(duration <= DURATION_MAX);
            }
            if let Ok(GroupBy::Label(label)) = text.parse() {
                prop_assert!(text.ends_with(&label));
            }
        }
    }
}
