//! The stack's port and TCP settings: the dynamic range through `netsh`, parameters in the registry.

use std::io;

use tidemark_model::action::spec::{IpFamily, TcpParameter};
use tidemark_model::{PortRange, Protocol};

use crate::remedy_facts::RemedyError;
use crate::windows::{ports, program, registry, registry_read};
use crate::windows_data::port_range;

const PARAMETERS: &str = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";

/// What the system calls the setting, as an operator finds it.
#[must_use]
pub fn range_name(protocol: Protocol, family: IpFamily) -> String {
    format!("netsh int {} dynamicport {protocol}", family.as_str())
}

/// The dynamic range, as it is at this moment.
///
/// # Errors
/// [`RemedyError::Unsupported`] where `netsh` tells none, as under Wine: what cannot be read back is not set.
pub fn range(protocol: Protocol, family: IpFamily) -> Result<PortRange, RemedyError> {
    show(protocol, family, &[])
}

fn show(protocol: Protocol, family: IpFamily, store: &[&str]) -> Result<PortRange, RemedyError> {
    let words = [
        "int",
        family.as_str(),
        "show",
        "dynamicport",
        protocol.as_str(),
    ];
    let words = [&words, store].concat();
    let printed = netsh(&words)?;
    port_range::in_netsh_output(&printed).ok_or_else(|| {
        RemedyError::Unsupported(format!(
            "`{}` prints no range here, so that one could not be read back after it was set",
            range_name(protocol, family)
        ))
    })
}

/// Sets the dynamic range at once, until the next start.
///
/// # Errors
/// What `netsh` says.
pub fn set_range(
    protocol: Protocol,
    family: IpFamily,
    range: PortRange,
) -> Result<(), RemedyError> {
    set(protocol, family, range, "store=active")
}

/// Keeps the dynamic range for the next starts.
///
/// # Errors
/// What `netsh` says.
pub fn keep_range(
    protocol: Protocol,
    family: IpFamily,
    range: PortRange,
) -> Result<(), RemedyError> {
    set(protocol, family, range, "store=persistent")
}

/// The dynamic range that is kept for the next starts.
///
/// # Errors
/// As [`range`].
pub fn kept_range(protocol: Protocol, family: IpFamily) -> Result<Option<PortRange>, RemedyError> {
    show(protocol, family, &["store=persistent"]).map(Some)
}

/// Keeps the range that was kept before.
///
/// # Errors
/// What `netsh` says; [`RemedyError::Failed`] without a range, because Windows always keeps one.
pub fn restore_kept_range(
    protocol: Protocol,
    family: IpFamily,
    range: Option<PortRange>,
) -> Result<(), RemedyError> {
    let range = range.ok_or_else(|| {
        RemedyError::Failed("what range was kept for the next starts is not known".to_owned())
    })?;
    keep_range(protocol, family, range)
}

fn set(
    protocol: Protocol,
    family: IpFamily,
    range: PortRange,
    store: &str,
) -> Result<(), RemedyError> {
    let first = format!("start={}", range.first);
    let ports = format!("num={}", range.size());
    let words = [
        "int",
        family.as_str(),
        "set",
        "dynamicport",
        protocol.as_str(),
        &first,
        &ports,
        store,
    ];
    // Its words are in the host's language: the exit code counts, and what is read back afterwards.
    let outcome = netsh(&words).map(drop);
    ports::ask_again();
    outcome
}

fn netsh(words: &[&str]) -> Result<Vec<u8>, RemedyError> {
    program::output_of("netsh.exe", words).map_err(|error| {
        let text = format!("`netsh {}`: {error}", words.join(" "));
        if error.kind() == io::ErrorKind::NotFound {
            RemedyError::Unsupported(text)
        } else {
            RemedyError::Failed(text)
        }
    })
}

/// A parameter's value; `None` when it is not set, so that the default holds.
///
/// # Errors
/// [`RemedyError::Unsupported`] for what only other systems have; otherwise what the registry says.
pub fn parameter(parameter: TcpParameter) -> Result<Option<u32>, RemedyError> {
    let name = name_of(parameter)?;
    registry_read::number(PARAMETERS, name)
        .map_err(|error| RemedyError::Failed(format!("{name} cannot be read: {error}")))
}

/// Sets a parameter; `None` removes it.
///
/// # Errors
/// What the registry says.
pub fn set_parameter(parameter: TcpParameter, value: Option<u32>) -> Result<(), RemedyError> {
    let name = name_of(parameter)?;
    let written = match value {
        Some(value) => {
            registry::Key::create(PARAMETERS).and_then(|key| key.set_number(name, value))
        }
        None => registry::remove_value(PARAMETERS, name).map(drop),
    };
    written.map_err(|error| RemedyError::Failed(format!("{name} cannot be written: {error}")))
}

/// Whether what is kept of a parameter for the next starts is another value than the one that holds.
pub const KEEPS_BESIDE: bool = false;

/// What is kept of a parameter, which is its value.
///
/// # Errors
/// As [`parameter`].
pub fn kept_parameter(of: TcpParameter) -> Result<Option<u32>, RemedyError> {
    parameter(of)
}

/// Keeps a parameter, which is setting it.
///
/// # Errors
/// What the registry says.
pub fn keep_parameter(parameter: TcpParameter, value: Option<u32>) -> Result<(), RemedyError> {
    set_parameter(parameter, value)
}

/// Puts a value back that it had; `None` when there was none.
///
/// # Errors
/// What the registry says.
pub fn restore_parameter(parameter: TcpParameter, value: Option<u32>) -> Result<(), RemedyError> {
    set_parameter(parameter, value)
}

/// Whether a parameter holds only after a restart of the host.
#[must_use]
pub const fn needs_reboot(_parameter: TcpParameter) -> bool {
    true
}

fn name_of(parameter: TcpParameter) -> Result<&'static str, RemedyError> {
    match parameter {
        TcpParameter::TcpTimedWaitDelay => Ok("TcpTimedWaitDelay"),
        TcpParameter::MaxUserPort => Ok("MaxUserPort"),
        TcpParameter::StrictTimeWaitSeqCheck => Ok("StrictTimeWaitSeqCheck"),
        TcpParameter::TcpTwReuse | TcpParameter::TcpFinTimeout => {
            Err(RemedyError::Unsupported(format!(
                "{} is a parameter of Linux; Windows has tcp_timed_wait_delay, max_user_port and \
                 strict_time_wait_seq_check",
                parameter.as_str()
            )))
        }
    }
}
