//! The kernel's port and TCP settings of the agent's own network namespace, at once and for the next start.

use std::fs;
use std::path::Path;

use tidemark_model::action::spec::{IpFamily, TcpParameter};
use tidemark_model::{PortRange, Protocol};

use crate::linux::ports::PortSettings;
use crate::remedy_facts::RemedyError;

/// Read by `sysctl --system` and systemd-sysctl at every start; later names win.
const KEPT: &str = "/etc/sysctl.d/90-tidemark.conf";
const RANGE: &str = "net.ipv4.ip_local_port_range";

/// What both systems call the setting, as an operator finds it.
#[must_use]
pub fn range_name(_protocol: Protocol, _family: IpFamily) -> String {
    RANGE.to_owned()
}

/// The dynamic range. TCP and UDP, v4 and v6 share one.
///
/// # Errors
/// When it cannot be read.
pub fn range(protocol: Protocol, _family: IpFamily) -> Result<PortRange, RemedyError> {
    let read = PortSettings::open().and_then(|mut settings| settings.range(protocol));
    read.map_err(|error| RemedyError::Failed(error.to_string()))
}

/// Sets the dynamic range at once.
///
/// # Errors
/// When the kernel refuses.
pub fn set_range(
    _protocol: Protocol,
    _family: IpFamily,
    range: PortRange,
) -> Result<(), RemedyError> {
    write(RANGE, &format!("{} {}", range.first, range.last))
}

/// Keeps the dynamic range for the next starts.
///
/// # Errors
/// When the file cannot be written.
pub fn keep_range(
    _protocol: Protocol,
    _family: IpFamily,
    range: PortRange,
) -> Result<(), RemedyError> {
    keep(
        Path::new(KEPT),
        RANGE,
        Some(&format!("{} {}", range.first, range.last)),
    )
}

/// The dynamic range that is kept for the next starts; `None` when none is.
///
/// # Errors
/// When the file cannot be read, or what it keeps is no range.
pub fn kept_range(
    _protocol: Protocol,
    _family: IpFamily,
) -> Result<Option<PortRange>, RemedyError> {
    let Some(text) = kept(Path::new(KEPT), RANGE)? else {
        return Ok(None);
    };
    let mut ports = text.split_whitespace().map(str::parse);
    let range = match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) => PortRange::new(first, last),
        _ => None,
    };
    range
        .map(Some)
        .ok_or_else(|| RemedyError::Failed(format!("{KEPT} keeps no range but {text:?}")))
}

/// Keeps the range that was kept before, or none.
///
/// # Errors
/// When the file cannot be written.
pub fn restore_kept_range(
    _protocol: Protocol,
    _family: IpFamily,
    range: Option<PortRange>,
) -> Result<(), RemedyError> {
    let text = range.map(|range| format!("{} {}", range.first, range.last));
    keep(Path::new(KEPT), RANGE, text.as_deref())
}

/// Whether what is kept of a parameter for the next starts is another value than the one that holds.
pub const KEEPS_BESIDE: bool = true;

/// What is kept of a parameter for the next starts; `None` when nothing is.
///
/// # Errors
/// When the file cannot be read, or what it keeps is no number.
pub fn kept_parameter(parameter: TcpParameter) -> Result<Option<u32>, RemedyError> {
    let text = kept(Path::new(KEPT), name_of(parameter)?)?;
    let value = text.as_deref().map(str::parse).transpose();
    value.map_err(|_| RemedyError::Failed(format!("{KEPT} keeps no number but {text:?}")))
}

/// Keeps a parameter for the next starts, or no longer keeps it.
///
/// # Errors
/// When the file cannot be written.
pub fn keep_parameter(parameter: TcpParameter, value: Option<u32>) -> Result<(), RemedyError> {
    let text = value.map(|value| value.to_string());
    keep(Path::new(KEPT), name_of(parameter)?, text.as_deref())
}

/// Sets the value that holds, and leaves what is kept.
///
/// # Errors
/// When the kernel refuses, or there is no value.
pub fn restore_parameter(parameter: TcpParameter, value: Option<u32>) -> Result<(), RemedyError> {
    let name = name_of(parameter)?;
    let value =
        value.ok_or_else(|| RemedyError::Failed(format!("{name} has a value at any time")))?;
    write(name, &value.to_string())
}

/// A parameter's value; `None` when it is not set, so that the default holds. Here every one has a value.
///
/// # Errors
/// [`RemedyError::Unsupported`] for what only other systems have.
pub fn parameter(parameter: TcpParameter) -> Result<Option<u32>, RemedyError> {
    let name = name_of(parameter)?;
    let path = path_of(name);
    let text = fs::read_to_string(&path)
        .map_err(|error| RemedyError::Failed(format!("{path} cannot be read: {error}")))?;
    let value = text.trim().parse();
    value
        .map(Some)
        .map_err(|_| RemedyError::Failed(format!("{path} holds no number")))
}

/// Sets a parameter at once and for the next starts; `None` takes back what was kept, and leaves the running value.
///
/// # Errors
/// When the kernel or the file system refuses.
pub fn set_parameter(parameter: TcpParameter, value: Option<u32>) -> Result<(), RemedyError> {
    let name = name_of(parameter)?;
    if let Some(value) = value {
        write(name, &value.to_string())?;
    }
    let text = value.map(|value| value.to_string());
    keep(Path::new(KEPT), name, text.as_deref())
}

/// Whether a parameter holds only after a restart of the host.
#[must_use]
pub const fn needs_reboot(_parameter: TcpParameter) -> bool {
    false
}

fn name_of(parameter: TcpParameter) -> Result<&'static str, RemedyError> {
    match parameter {
        TcpParameter::TcpTwReuse => Ok("net.ipv4.tcp_tw_reuse"),
        TcpParameter::TcpFinTimeout => Ok("net.ipv4.tcp_fin_timeout"),
        TcpParameter::TcpTimedWaitDelay
        | TcpParameter::MaxUserPort
        | TcpParameter::StrictTimeWaitSeqCheck => Err(RemedyError::Unsupported(format!(
            "{} is a parameter of Windows; Linux has tcp_tw_reuse and tcp_fin_timeout",
            parameter.as_str()
        ))),
    }
}

fn path_of(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

fn write(name: &str, value: &str) -> Result<(), RemedyError> {
    fs::write(path_of(name), value)
        .map_err(|error| RemedyError::Failed(format!("{name} cannot be set to {value}: {error}")))
}

/// What the file keeps under a name; the last line of it counts.
fn kept(path: &Path, name: &str) -> Result<Option<String>, RemedyError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| {
            RemedyError::Failed(format!("{} cannot be read: {error}", path.display()))
        })?,
    };
    let mut lines = text.lines().rev().filter_map(|line| line.split_once('='));
    let found = lines.find(|(key, _)| key.trim() == name);
    Ok(found.map(|(_, value)| value.trim().to_owned()))
}

/// Sets or removes one line of the file, and leaves the others as they are.
fn keep(path: &Path, name: &str, value: Option<&str>) -> Result<(), RemedyError> {
    let failed = |error: std::io::Error| {
        RemedyError::Failed(format!("{} cannot be written: {error}", path.display()))
    };
    let old = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            "# Kept by tidemark-agent.\n".to_owned()
        }
        read => read.map_err(failed)?,
    };
    let is_ours = |line: &&str| {
        line.split_once('=')
            .is_some_and(|(key, _)| key.trim() == name)
    };
    let others: Vec<&str> = old.lines().filter(|line| !is_ours(line)).collect();
    let mut new = others.join("\n");
    new.push('\n');
    if let Some(value) = value {
        new.push_str(&format!("{name} = {value}\n"));
    }
    let beside = path.with_extension("conf.new");
    fs::write(&beside, new)
        .and_then(|()| fs::File::open(&beside)?.sync_all())
        .and_then(|()| fs::rename(&beside, path))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_the_next_start_leaves_other_lines_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("90-tidemark.conf");
        let read = || fs::read_to_string(&path).unwrap();
        keep(&path, "net.a", Some("1 2")).unwrap();
        keep(&path, "net.b", Some("3")).unwrap();
        keep(&path, "net.a", Some("4 5")).unwrap();
        assert_eq!(
            read(),
            "# Kept by tidemark-agent.\nnet.b = 3\nnet.a = 4 5\n"
        );
        assert_eq!(kept(&path, "net.a"), Ok(Some("4 5".to_owned())));
        keep(&path, "net.b", None).unwrap();
        assert_eq!(kept(&path, "net.b"), Ok(None));
        assert_eq!(read(), "# Kept by tidemark-agent.\nnet.a = 4 5\n");
    }

    #[test]
    fn parameters_of_windows_are_refused_by_name() {
        let refused = parameter(TcpParameter::MaxUserPort).unwrap_err();
        assert!(matches!(refused, RemedyError::Unsupported(_)));
        assert!(parameter(TcpParameter::TcpFinTimeout).unwrap().is_some());
    }
}
