//! Which hosts somebody may see and act on: all of them, or those that the controller has put labels on.
//!
//! A scope chooses by the labels that the controller holds of a host, never by what a host says of itself.

use std::fmt;
use std::str::FromStr;

use crate::silence::{InvalidMatcher, Labels, Matcher};

/// Most matchers of one scope.
pub const SCOPE_MATCHERS_MAX: usize = 8;

/// Longest text of a scope, in characters.
pub const SCOPE_CHARS_MAX: usize = 512;

/// Names under which matchers elsewhere find what hosts say of themselves.
const SAID_BY_HOSTS: [&str; 2] = ["host", "host_id"];

/// Which hosts somebody may see and act on. Written as matchers that must all take a host: `team=payments,env=prod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostScope {
    /// Every host, and what concerns the whole fleet.
    All,
    /// The hosts with these labels, and nothing else.
    Chosen(ScopeMatchers),
}

/// What a host must match to be in a scope: 1 to 8 matchers, in the order of their texts, each once. A host without any
/// label is never taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeMatchers(Vec<Matcher>);

/// A text that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// Nothing chooses.
    #[error("a scope must have a matcher, as in team=payments; leave it out for all hosts")]
    Empty,
    /// Too much to ask of each host.
    #[error(
        "a scope must have {SCOPE_MATCHERS_MAX} matchers or fewer, in {SCOPE_CHARS_MAX} characters"
    )]
    TooLong,
    /// A part of it chooses nothing.
    #[error(transparent)]
    Matcher(InvalidMatcher),
    /// A host says that of itself, and could say otherwise.
    #[error(
        "a scope cannot choose by {label}, which is what a host says of itself; choose by a label of its join token"
    )]
    SaidByHosts {
        /// The label.
        label: String,
    },
    /// It would take whatever nobody has labelled.
    #[error(
        "a scope must name a label that its hosts have: {text} also takes hosts without any label; add one such as team=payments"
    )]
    TakesUnlabelled {
        /// What was given, which is short.
        text: String,
    },
}

impl HostScope {
    /// Whether it is every host.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// Whether a host that the controller has put these labels on is in it.
    #[must_use]
    pub fn takes(&self, controller_labels: &Labels) -> bool {
        match self {
            Self::All => true,
            Self::Chosen(ScopeMatchers(matchers)) => matchers
                .iter()
                .all(|matcher| matcher.takes(controller_labels)),
        }
    }

    /// Whether it surely takes no host that `other` does not: it asks for all that `other` asks for, word by word.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::All) => true,
            (Self::All, Self::Chosen(_)) => false,
            (Self::Chosen(ScopeMatchers(own)), Self::Chosen(ScopeMatchers(others))) => {
                others.iter().all(|matcher| own.contains(matcher))
            }
        }
    }

    /// As it is stored and sent: `None` for all hosts.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        (!self.is_all()).then(|| self.to_string())
    }

    /// Of how it is stored and sent: `None` is all hosts.
    ///
    /// # Errors
    /// [`InvalidScope`]; an empty text is no scope, so that a variable that nobody set does not stand for all hosts.
    pub fn from_text(text: Option<&str>) -> Result<Self, InvalidScope> {
        text.map_or(Ok(Self::All), |text| text.parse().map(Self::Chosen))
    }
}

impl fmt::Display for HostScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all hosts"),
            Self::Chosen(matchers) => matchers.fmt(f),
        }
    }
}

impl fmt::Display for ScopeMatchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, matcher) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{matcher}")?;
        }
        Ok(())
    }
}

impl FromStr for ScopeMatchers {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        if text.trim().is_empty() {
            return Err(InvalidScope::Empty);
        }
        let parts = text.split(',').take(SCOPE_MATCHERS_MAX.saturating_add(1));
        if text.chars().count() > SCOPE_CHARS_MAX || parts.clone().count() > SCOPE_MATCHERS_MAX {
            return Err(InvalidScope::TooLong);
        }
        let mut matchers = parts
            .map(str::parse)
            .collect::<Result<Vec<Matcher>, _>>()
            .map_err(InvalidScope::Matcher)?;
        let own = |matcher: &&Matcher| SAID_BY_HOSTS.contains(&matcher.label());
        if let Some(matcher) = matchers.iter().find(own) {
            let label = matcher.label().to_owned();
            return Err(InvalidScope::SaidByHosts { label });
        }
        matchers.sort_by_cached_key(ToString::to_string);
        matchers.dedup();
        let scope = Self(matchers);
        let unlabelled = Labels::new();
        if scope.0.iter().all(|matcher| matcher.takes(&unlabelled)) {
            let text = scope.to_string();
            return Err(InvalidScope::TakesUnlabelled { text });
        }
        Ok(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn scope(text: &str) -> HostScope {
        HostScope::from_text(Some(text)).unwrap()
    }

    #[test]
    fn every_matcher_of_a_scope_must_take_a_host() {
        let both = labels(&[("team", "payments"), ("env", "prod")]);
        for (text, takes) in [
            ("team=payments", true),
            ("team=pay*,env=prod", true),
            ("team=payments,env!=prod", false),
            ("team=payments,env=test", false),
            ("team=payment", false),
            ("team=payments,region!=eu", true),
            ("tea=payments", false),
        ] {
            assert_eq!(scope(text).takes(&both), takes, "{text}");
            assert!(!scope(text).takes(&Labels::new()), "{text}");
        }
        assert!(HostScope::All.takes(&Labels::new()));
    }

    #[test]
    fn a_scope_is_written_in_one_way() {
        let written = scope(" team = payments ,env=prod,team=payments");
        assert_eq!(written.to_string(), "env=prod,team=payments");
        assert_eq!(written, scope("env=prod,team=payments"));
        assert_eq!(HostScope::from_text(None), Ok(HostScope::All));
        assert_eq!(HostScope::All.to_text(), None);
    }

    #[test]
    fn what_could_take_more_than_was_meant_is_no_scope() {
        for (text, says) in [
            ("", "must have a matcher"),
            (" ", "must have a matcher"),
            (",", "is no matcher"),
            ("team=payments,", "is no matcher"),
            ("payments", "is no matcher"),
            ("team!=web", "hosts without any label"),
            ("team=*", "hosts without any label"),
            ("team=", "hosts without any label"),
            ("team=a,host=web-1", "cannot choose by host,"),
            ("host_id!=x,team=a", "cannot choose by host_id,"),
            ("a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1", "8 matchers or fewer"),
        ] {
            let error = HostScope::from_text(Some(text)).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let long = format!("team={}", "x".repeat(SCOPE_CHARS_MAX));
        assert_eq!(
            HostScope::from_text(Some(&long)),
            Err(InvalidScope::TooLong)
        );
    }

    #[test]
    fn a_scope_is_within_another_that_asks_for_less() {
        let (wide, narrow) = (scope("team=payments"), scope("team=payments,env=prod"));
        for (one, other, is_within) in [
            (&narrow, &wide, true),
            (&wide, &wide, true),
            (&wide, &narrow, false),
            (&wide, &HostScope::All, true),
            (&HostScope::All, &wide, false),
            (&HostScope::All, &HostScope::All, true),
            (&scope("team=pay*"), &wide, false),
        ] {
            assert_eq!(one.is_within(other), is_within, "{one} in {other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_read_again_alike(
            text in "[ab,=!* ]{0,24}",
            other in "[ab,=!* ]{0,24}",
            a in "[ab]{0,2}",
            b in "[ab]{0,2}",
        ) {
            let labels = Labels::from([("a".to_owned(), a), ("b".to_owned(), b)]);
            let read = |text: &str| HostScope::from_text(Some(text)).ok();
            if let Some(one) = read(&text) {
                proptest::prop_assert_eq!(read(&one.to_string()), Some(one.clone()));
                proptest::prop_assert!(!one.takes(&Labels::new()));
                if let Some(other) = read(&other) && one.is_within(&other) {
                    proptest::prop_assert!(!one.takes(&labels) || other.takes(&labels));
                }
            }
        }
    }
}
