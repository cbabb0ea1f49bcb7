//! Updates of Windows whose `tcpip.sys` is known to be faulty, by build and revision. The agent and the rules ask here.

/// An update with a fault, and the one that mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpipFault {
    /// Build of Windows, as in 14393.
    pub build: u32,
    /// First revision of that build with the fault.
    pub first_faulty: u32,
    /// First revision after it without.
    pub first_mended: u32,
    /// The update that brought `first_mended`.
    pub mended_by: &'static str,
}

/// The updates of 2018-07-10 brought a race: a query of the TCP table may end in stop error 0xD1 or leave ports behind
/// that nothing frees. Those of 2018-07-16 mended it. Revisions as in the release history of each build.
///
/// Systems before build 10240 do not number their updates, so that the fault (mended there by KB4345424 and KB4345459)
/// cannot be told from the build.
const JULY_2018: [TcpipFault; 5] = [
    fault(10_240, 17_914, 17_918, "KB4345455"),
    fault(14_393, 2_363, 2_368, "KB4345418"),
    fault(15_063, 1_206, 1_209, "KB4345419"),
    fault(16_299, 547, 551, "KB4345420"),
    fault(17_134, 165, 166, "KB4345421"),
];

const fn fault(
    build: u32,
    first_faulty: u32,
    first_mended: u32,
    mended_by: &'static str,
) -> TcpipFault {
    TcpipFault {
        build,
        first_faulty,
        first_mended,
        mended_by,
    }
}

impl TcpipFault {
    /// The fault of July 2018, where this build had it.
    #[must_use]
    pub fn july_2018(build: u32) -> Option<Self> {
        JULY_2018.into_iter().find(|fault| fault.build == build)
    }

    /// Whether a revision of its build has the fault.
    #[must_use]
    pub const fn is_in(&self, revision: u32) -> bool {
        self.first_faulty <= revision && revision < self.first_mended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_updates_of_one_week_are_faulty() {
        let mended_by = |build, revision| {
            let fault = TcpipFault::july_2018(build)?;
            fault.is_in(revision).then_some(fault.mended_by)
        };
        assert_eq!(mended_by(14_393, 2_362), None);
        assert_eq!(mended_by(14_393, 2_363), Some("KB4345418"));
        assert_eq!(mended_by(14_393, 2_367), Some("KB4345418"));
        assert_eq!(mended_by(14_393, 2_368), None);
        assert_eq!(mended_by(17_134, 165), Some("KB4345421"));
        assert_eq!(mended_by(17_763, 2_363), None);
    }
}
