//! Builds of Windows on which reading the socket tables does harm.

use tidemark_model::tcpip_fault::TcpipFault;

/// Why the tables are left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableHazard {
    /// The update that mends it.
    pub mended_by: &'static str,
}

/// Whether reading the socket tables does harm on this build; `None` where nothing is known against it.
#[must_use]
pub fn of_build(build: u32, revision: Option<u32>) -> Option<TableHazard> {
    let fault = TcpipFault::july_2018(build)?;
    fault.is_in(revision?).then_some(TableHazard {
        mended_by: fault.mended_by,
    })
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
