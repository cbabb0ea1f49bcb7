//! Silences, and the matchers that silences and routes choose incidents by.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::Timestamp;
use crate::pattern::is_like;
use crate::scope::HostScope;

/// Labels of an incident on one host: the host's own, and `host`, `severity`, `kind`, `culprit`, ... over them.
pub type Labels = BTreeMap<String, String>;

/// Longest text of a matcher, in characters.
pub const MATCHER_CHARS_MAX: usize = 512;

/// Chooses by one label: `tier=db`, `host!=web-*`. `*` stands for any text; a label that is not there is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    label: String,
    is_negated: bool,
    pattern: String,
}

/// A text that is no matcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no matcher; write LABEL=VALUE or LABEL!=VALUE, in which * stands for any text, as in host=web-*"
)]
pub struct InvalidMatcher {
    /// What was given, cut to 64 characters.
    pub text: String,
}

impl Matcher {
    /// The label that it looks at.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether these labels pass.
    #[must_use]
    pub fn takes(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.label).map_or("", String::as_str);
        is_like(value, &self.pattern) != self.is_negated
    }
}

impl FromStr for Matcher {
    type Err = InvalidMatcher;

    fn from_str(text: &str) -> Result<Self, InvalidMatcher> {
        let invalid = || InvalidMatcher {
            text: text.chars().take(64).collect(),
        };
        let (label, pattern) = text.split_once('=').ok_or_else(invalid)?;
        let (label, is_negated) = match label.strip_suffix('!') {
            Some(label) => (label, true),
            None => (label, false),
        };
        let is_short = text.chars().count() <= MATCHER_CHARS_MAX;
        let label = label.trim();
        // `a ! = b` would be written as another matcher than it was read as.
        if label.is_empty()
            || label.ends_with('!')
            || !is_short
            || text.chars().any(char::is_control)
        {
            return Err(invalid());
        }
        Ok(Self {
            label: label.to_owned(),
            is_negated,
            pattern: pattern.trim().to_owned(),
        })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negated { "!=" } else { "=" };
        write!(f, "{}{sign}{}", self.label, self.pattern)
    }
}

/// A time in which nobody is told about the incidents that it chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its number; 0 before it is stored.
    pub id: i64,
    /// All of them must match.
    pub matchers: Vec<Matcher>,
    /// The hosts that whoever made it could see: it holds for no other, whatever a host says of itself, now or later.
    pub scope: HostScope,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who made it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Silence {
    /// `pending`, `active` or `expired`.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> &'static str {
        if now >= self.ends_at {
            "expired"
        } else if now >= self.starts_at {
            "active"
        } else {
            "pending"
        }
    }

    /// Whether it silences an incident at `now` that has these labels on its hosts, one map a host, and whose hosts are `all_within`
    /// a scope: every host must match, so that nothing is hidden that another host still has.
    #[must_use]
    pub fn covers(
        &self,
        on_hosts: &[Labels],
        all_within: impl FnOnce(&HostScope) -> bool,
        now: Timestamp,
    ) -> bool {
        self.standing(now) == "active"
            && !on_hosts.is_empty()
            && on_hosts
                .iter()
                .all(|labels| self.matchers.iter().all(|matcher| matcher.takes(labels)))
            && (self.scope.is_all() || all_within(&self.scope))
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

    #[test]
    fn a_matcher_chooses_by_value_and_by_pattern() {
        let web = labels(&[("host", "web-12"), ("tier", "we")]);
        for (matcher, takes) in [
            ("host=web-12", true),
            ("host=web-*", true),
            ("host=*12", true),
            ("host=w*b*2", true),
            ("host=web-1", false),
            ("host=eb*", false),
            ("host=web-12*2", false),
            ("host!=web-*", false),
            ("tier!=db", true),
            ("site=", true),
            ("site=*", true),
            ("site!=", false),
            (" tier = we ", true),
        ] {
            let parsed: Matcher = matcher.parse().unwrap();
            assert_eq!(parsed.takes(&web), takes, "{matcher}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for text in ["", "host", "=x", "!=x", "! =x", "a! =x", "host=a\nb"] {
            assert!(text.parse::<Matcher>().is_err(), "{text:?}");
        }
        let long = format!("host={}", "x".repeat(MATCHER_CHARS_MAX));
        assert!(long.parse::<Matcher>().is_err());
    }

    #[test]
    fn a_silence_hides_an_incident_only_when_it_covers_every_host() {
        let mut silence = Silence {
            id: 1,
            matchers: vec!["tier=db".parse().unwrap(), "culprit=java*".parse().unwrap()],
            starts_at: Timestamp::from_unix_ms(10),
            ends_at: Timestamp::from_unix_ms(20),
            scope: HostScope::All,
            author: "ann".to_owned(),
            reason: "known".to_owned(),
            created_at: Timestamp::from_unix_ms(0),
        };
        let db = labels(&[("tier", "db"), ("culprit", "java.exe")]);
        let web = labels(&[("tier", "we"), ("culprit", "java.exe")]);
        let at = Timestamp::from_unix_ms;
        let none = |_: &HostScope| false;
        assert!(silence.covers(std::slice::from_ref(&db), none, at(10)));
        assert!(!silence.covers(&[db.clone(), web], none, at(10)));
        assert!(!silence.covers(&[], none, at(10)));
        for (time, standing) in [(9, "pending"), (19, "active"), (20, "expired")] {
            assert_eq!(silence.standing(at(time)), standing);
            let covers = silence.covers(std::slice::from_ref(&db), none, at(time));
            assert_eq!(covers, standing == "active");
        }
        // Made by somebody of a scope, it is held against that as well.
        silence.scope = HostScope::from_text(Some("team=pay")).unwrap();
        let one = std::slice::from_ref(&db);
        assert!(!silence.covers(one, none, at(10)));
        assert!(silence.covers(one, |scope| *scope == silence.scope, at(10)));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_read_again_alike(text in ".{0,60}", value in ".{0,40}") {
            if let Ok(matcher) = text.parse::<Matcher>() {
                let again: Matcher = matcher.to_string().parse().unwrap();
                proptest::prop_assert_eq!(&again, &matcher);
                let labels = Labels::from([("host".to_owned(), value)]);
                proptest::prop_assert_eq!(again.takes(&labels), matcher.takes(&labels));
            }
        }
    }
}
