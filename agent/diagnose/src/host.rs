//! Facts of the host that rules ask for; unknown where nobody stated them.

use std::time::Duration;

use tidemark_model::{Sample, Timestamp};

use crate::situation::{Os, Situation};

/// How long TIME_WAIT holds a port where nothing says otherwise (windows.md, 1.8 and 2.2).
const WINDOWS_TIME_WAIT: Duration = Duration::from_secs(120);
const LINUX_TIME_WAIT: Duration = Duration::from_secs(60);

/// What is known of the host itself.
pub(crate) struct Host<'a> {
    situation: &'a Situation,
    /// Time since boot at the newest sample.
    pub(crate) uptime: Option<Duration>,
    /// Build and revision of Windows, as in 17763 and 5122.
    pub(crate) build: Option<u32>,
    pub(crate) revision: Option<u32>,
}

impl<'a> Host<'a> {
    pub(crate) fn of(situation: &'a Situation, samples: &[&Sample]) -> Self {
        let uptime_ms = samples
            .last()
            .map(|sample| sample.at.ms_since(sample.booted_at));
        let (build, revision) = windows_build(&situation.os_name);
        Self {
            situation,
            uptime: uptime_ms
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis),
            build,
            revision,
        }
    }

    pub(crate) fn is_windows(&self) -> bool {
        self.situation.os == Os::Windows
    }

    /// How long TIME_WAIT holds a port.
    pub(crate) fn time_wait(&self) -> Duration {
        match self.situation.os {
            Os::Windows => WINDOWS_TIME_WAIT,
            Os::Linux => LINUX_TIME_WAIT,
        }
    }

    /// Whether an event and a time belong together.
    pub(crate) fn is_near(one: Timestamp, other: Timestamp, window: Duration) -> bool {
        u128::from(one.ms_since(other).unsigned_abs()) <= window.as_millis()
    }
}

/// Build and revision in `Windows Server 2019 (17763.5122)`.
fn windows_build(os_name: &str) -> (Option<u32>, Option<u32>) {
    let inside = os_name
        .strip_prefix("Windows")
        .and_then(|rest| rest.rsplit_once('('))
        .and_then(|(_, rest)| rest.split_once(')'));
    let Some((inside, _)) = inside else {
        return (None, None);
    };
    let mut numbers = inside.split('.').map(|number| number.parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_is_read_from_the_name_of_the_system() {
        let cases = [
            (
                "Windows Server 2019 (17763.5122)",
                (Some(17_763), Some(5_122)),
            ),
            ("Windows Server 2008 R2 (7601)", (Some(7_601), None)),
            ("Windows (Wine 8.0)", (None, Some(0))),
            ("Linux 6.1 (7601)", (None, None)),
            ("Windows", (None, None)),
        ];
        for (name, expected) in cases {
            assert_eq!(windows_build(name), expected, "{name}");
        }
    }
}
