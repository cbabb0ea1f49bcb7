//! Facts of the host that rules ask for; unknown where nobody stated them.

use std::time::Duration;

use tidemark_model::audit::{FactName, HostAudit};
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
        let audited = |name| {
            let number = situation
                .audit
                .as_ref()
                .and_then(|audit| audit.number(name));
            number.and_then(|number| u32::try_from(number).ok())
        };
        Self {
            situation,
            uptime: uptime_ms
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis),
            build: audited(FactName::Build).or(build),
            revision: audited(FactName::Revision).or(revision),
        }
    }

    pub(crate) fn is_windows(&self) -> bool {
        self.situation.os == Os::Windows
    }

    /// How long TIME_WAIT holds a port. Windows takes 30 to 300 s from the registry.
    pub(crate) fn time_wait(&self) -> Duration {
        let set = self.number(FactName::TimedWaitDelaySeconds);
        match self.situation.os {
            Os::Windows => set
                .filter(|seconds| (30..=300).contains(seconds))
                .map_or(WINDOWS_TIME_WAIT, Duration::from_secs),
            Os::Linux => LINUX_TIME_WAIT,
        }
    }

    /// The highest dynamic port by the registry; `None` when it is not set, or not known.
    pub(crate) fn max_user_port(&self) -> Option<u64> {
        self.number(FactName::MaxUserPort)
    }

    /// The kernel's nonpaged pool and the memory of the host, in bytes.
    pub(crate) fn nonpaged_of_memory(&self) -> Option<(u64, u64)> {
        Some((
            self.number(FactName::KernelNonpagedBytes)?,
            self.number(FactName::MemoryBytes)?,
        ))
    }

    /// Ports that sockets may share by `SO_REUSE_UNICASTPORT`, of the template that has most; `None` when not known.
    pub(crate) fn auto_reuse_ports(&self) -> Option<u32> {
        let audit = self.audit()?;
        let sizes = audit
            .items(FactName::TemplateAutoReuseRange)
            .filter_map(|(_, state)| state.ranges())
            .map(|ranges| ranges.iter().map(|range| range.size()).sum());
        sizes.max()
    }

    /// Says so when the TCP templates have different dynamic ranges.
    pub(crate) fn templates_that_disagree(&self) -> Option<String> {
        let ranges: Vec<(&str, String)> = self
            .audit()?
            .items(FactName::TemplateDynamicRange)
            .filter_map(|(item, state)| match state.ranges()? {
                [range] => Some((item, range.to_string())),
                _ => None,
            })
            .collect();
        let (_, first) = ranges.first()?;
        let named: Vec<String> = ranges
            .iter()
            .map(|(item, range)| format!("{item} {range}"))
            .collect();
        let differ = ranges.iter().any(|(_, range)| range != first);
        differ.then(|| format!("The templates have: {}.", named.join(", ")))
    }

    /// Names the products for endpoint protection: they filter the network from within the system.
    pub(crate) fn endpoint_protection(&self) -> Option<String> {
        let products: Vec<String> = self
            .audit()?
            .items(FactName::Edr)
            .map(|(product, state)| match state.text() {
                Some(version) => format!("{product} ({version})"),
                None => product.to_owned(),
            })
            .collect();
        (!products.is_empty())
            .then(|| format!("Endpoint protection on this host: {}.", products.join(", ")))
    }

    fn audit(&self) -> Option<&'a HostAudit> {
        self.situation.audit.as_ref()
    }

    fn number(&self, name: FactName) -> Option<u64> {
        self.audit()?.number(name)
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
