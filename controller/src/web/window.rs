//! The maintenance window of a host or an incident in a few words: which, when, and whether ports last until then.

use tidemark_model::Timestamp;
use tidemark_model::view::WindowStanding;
use tidemark_model::window::Survival;

use super::words;

/// A window in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowWords {
    /// Its name.
    pub name: String,
    /// `begins Sat 02:00, in 5 d 4 h` or `open until 06:00, for 2 h more`.
    pub when: String,
    /// `lasts until it begins`, `will not last until it begins`, `may not last until it is over`; empty when it is unknown.
    pub verdict: String,
    /// How it is marked.
    pub tone: &'static str,
    /// When it begins and when it is over, in Unix milliseconds.
    pub span_ms: (i64, i64),
}

impl WindowWords {
    /// Of a window as seen at `now`.
    #[must_use]
    pub fn of(window: &WindowStanding, now: Timestamp) -> Self {
        let at = window.at();
        let survives = window.survives.as_deref().and_then(Survival::from_name);
        let (when, until) = if at.contains(now) {
            let left = words::span(at.end.ms_since(now));
            let end = words::instant(at.end, now);
            (
                format!("open until {end}, for {left} more"),
                "until it is over",
            )
        } else {
            let ahead = words::relative(at.start, now);
            let start = words::instant(at.start, now);
            (format!("begins {start}, {ahead}"), "until it begins")
        };
        Self {
            name: window.name.clone(),
            when,
            verdict: survives
                .map(|survives| format!("{} {until}", survives.words()))
                .unwrap_or_default(),
            tone: match survives {
                Some(Survival::WillNot) => "urgent",
                Some(Survival::May) => "watch",
                Some(Survival::Will) => "calm",
                None => "unknown",
            },
            span_ms: (at.start.unix_ms(), at.end.unix_ms()),
        }
    }

    /// How a forecast that ends at `eta` stands to the window, as in `1 d before its window`; empty without an end.
    #[must_use]
    pub fn against(window: &WindowStanding, eta: Option<Timestamp>, now: Timestamp) -> String {
        let Some(eta) = eta else {
            return String::new();
        };
        let at = window.at();
        let (deadline, what) = if at.contains(now) {
            (at.end, "the end of its window")
        } else {
            (at.start, "its window")
        };
        let ms = eta.ms_since(deadline);
        if ms < 0 {
            format!("{} before {what}", words::span(ms.saturating_neg()))
        } else {
            format!("{} after {what}", words::span(ms))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_said_with_what_will_become_of_the_ports() {
        // Monday 2026-11-23 01:05:59 UTC.
        let now = Timestamp::from_unix_ms(1_795_395_959_000);
        let hour = 3_600_000;
        let window = |starts_in: i64, survives: Option<&str>| WindowStanding {
            name: "saturday-night".to_owned(),
            starts_ms: now.unix_ms() + starts_in,
            ends_ms: now.unix_ms() + starts_in + 4 * hour,
            is_open: false,
            survives: survives.map(str::to_owned),
        };
        let ahead = WindowWords::of(&window(26 * hour, Some("will_not")), now);
        assert_eq!(ahead.when, "begins Tue 03:05, in 1 d 2 h");
        assert_eq!(
            (ahead.verdict.as_str(), ahead.tone),
            ("will not last until it begins", "urgent")
        );
        let open = WindowWords::of(&window(-hour, Some("may")), now);
        assert_eq!(open.when, "open until 04:05, for 3 h more");
        assert_eq!(
            (open.verdict.as_str(), open.tone),
            ("may not last until it is over", "watch")
        );
        let unknown = WindowWords::of(&window(hour, None), now);
        assert_eq!((unknown.verdict.as_str(), unknown.tone), ("", "unknown"));
        let eta = |hours: i64| Some(Timestamp::from_unix_ms(now.unix_ms() + hours * hour));
        let against = |hours| WindowWords::against(&window(26 * hour, None), eta(hours), now);
        assert_eq!(against(2), "1 d before its window");
        assert_eq!(against(28), "2 h after its window");
        assert_eq!(WindowWords::against(&window(hour, None), None, now), "");
    }
}
