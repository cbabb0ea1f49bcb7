//! The stack's port and TCP settings.

use tidemark_model::action::spec::{IpFamily, TcpParameter};
use tidemark_model::{PortRange, Protocol};

use crate::remedy_facts::RemedyError;

fn unsupported<T>() -> Result<T, RemedyError> {
    Err(RemedyError::Unsupported(
        "this build changes no settings of Windows".to_owned(),
    ))
}

/// What the system calls the setting, as an operator finds it.
#[must_use]
pub fn range_name(protocol: Protocol, family: IpFamily) -> String {
    format!("netsh int {} dynamicport {protocol}", family.as_str())
}

/// The dynamic range.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build changes no settings of Windows.
pub fn range(_protocol: Protocol, _family: IpFamily) -> Result<PortRange, RemedyError> {
    unsupported()
}

/// Sets the dynamic range at once.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build changes no settings of Windows.
pub fn set_range(
    _protocol: Protocol,
    _family: IpFamily,
    _range: PortRange,
) -> Result<(), RemedyError> {
    unsupported()
}

/// Keeps the dynamic range for the next starts.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build changes no settings of Windows.
pub fn keep_range(
    _protocol: Protocol,
    _family: IpFamily,
    _range: PortRange,
) -> Result<(), RemedyError> {
    unsupported()
}

/// A parameter's value; `None` when it is not set, so that the default holds.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build changes no settings of Windows.
pub fn parameter(_parameter: TcpParameter) -> Result<Option<u32>, RemedyError> {
    unsupported()
}

/// Sets a parameter; `None` removes it.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build changes no settings of Windows.
pub fn set_parameter(_parameter: TcpParameter, _value: Option<u32>) -> Result<(), RemedyError> {
    unsupported()
}

/// Whether a parameter holds only after a restart of the host.
#[must_use]
pub const fn needs_reboot(_parameter: TcpParameter) -> bool {
    true
}
