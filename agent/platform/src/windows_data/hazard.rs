//! Builds of Windows on which reading the socket tables does harm.

/// Why the tables are left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableHazard {
    /// The update that mends it.
    pub mended_by: &'static str,
}

/// Build, first revision with the fault, first revision without it, and its update.
type Fault = (u32, u32, u32, &'static str);

/// The updates of 2018-07-10 brought a race to `tcpip.sys`: a query of the TCP table may end in stop error 0xD1 or
/// leave ports behind that nothing frees. Those of 2018-07-16 mended it. Revisions as in the release history of each.
const JULY_2018: [Fault; 5] = [
    (10_240, 17_914, 17_918, "KB4345455"),
    (14_393, 2_363, 2_368, "KB4345418"),
    (15_063, 1_206, 1_209, "KB4345419"),
    (16_299, 547, 551, "KB4345420"),
    (17_134, 165, 166, "KB4345421"),
];

/// Whether reading the socket tables does harm on this build; `None` where nothing is known against it.
///
/// Systems before build 10240 do not number their updates, so that the fault (mended there by KB4345424 and KB4345459)
/// cannot be told from the build.
#[must_use]
pub fn of_build(build: u32, revision: Option<u32>) -> Option<TableHazard> {
    let revision = revision?;
    let fault = JULY_2018
        .iter()
        .find(|(faulty, from, until, _)| *faulty == build && (*from..*until).contains(&revision));
    fault.map(|(_, _, _, mended_by)| TableHazard { mended_by })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_updates_of_one_week_are_hazardous() {
        let mended_by = |build, revision| of_build(build, revision).map(|h| h.mended_by);
        assert_eq!(mended_by(14_393, Some(2_362)), None);
        assert_eq!(mended_by(14_393, Some(2_363)), Some("KB4345418"));
        assert_eq!(mended_by(14_393, Some(2_368)), None);
        assert_eq!(mended_by(17_134, Some(165)), Some("KB4345421"));
        assert_eq!(mended_by(17_763, Some(2_363)), None);
        assert_eq!(mended_by(9_600, None), None);
    }
}
