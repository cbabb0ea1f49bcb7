//! Facts and totals of the whole host.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::system::uname;
use rustix::thread::{CapabilitySet, capabilities};

use super::procfile::{self, unexpected};
use crate::ReadError;

/// The host's name, as the kernel has it.
#[must_use]
pub fn name() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// The operating system, as in `Linux 6.18 (Debian 12)`.
#[must_use]
pub fn os() -> String {
    let release = uname().release().to_string_lossy().into_owned();
    let kernel = match parse_version(&release) {
        Some((major, minor)) => format!("Linux {major}.{minor}"),
        None => format!("Linux {release}"),
    };
    match distribution_name() {
        Some(distribution) => format!("{kernel} ({distribution})"),
        None => kernel,
    }
}

/// Name and version of the distribution; `None` when it does not say.
pub(super) fn distribution_name() -> Option<String> {
    distribution(&procfile::text("/etc/os-release").ok()?)
}

/// Major and minor version of the kernel; `None` when it does not begin with two numbers.
#[must_use]
pub fn kernel_version() -> Option<(u32, u32)> {
    parse_version(&uname().release().to_string_lossy())
}

/// Random text that changes with each boot.
///
/// # Errors
/// When `/proc` is not readable.
pub fn boot_id() -> Result<String, ReadError> {
    Ok(procfile::text("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// IANA name of the time zone of the clock on the wall; `None` where the host does not say it by name.
#[must_use]
pub fn time_zone() -> Option<String> {
    let asked = env::var("TZ").ok().and_then(|zone| zone_name(&zone));
    asked.or_else(|| zone_in(Path::new("/etc")))
}

/// From `localtime` in `etc`, which links to the zone's file (localtime(5)), or from Debian's `timezone`.
fn zone_in(etc: &Path) -> Option<String> {
    let link = fs::read_link(etc.join("localtime"));
    let is_absent = matches!(&link, Err(error) if error.kind() == io::ErrorKind::NotFound);
    let linked = link.ok().and_then(|target| {
        let target = target.into_os_string().into_string().ok()?;
        zone_name(target.rsplit_once("zoneinfo/")?.1)
    });
    let written = || {
        let text = fs::read_to_string(etc.join("timezone")).ok()?;
        zone_name(text.trim())
    };
    // A host without either shows UTC.
    linked
        .or_else(written)
        .or_else(|| is_absent.then(|| "UTC".to_owned()))
}

/// What may be the IANA name of a zone, as `TZ` and links have it; a rule like `CET-1CEST` is none.
pub(super) fn zone_name(text: &str) -> Option<String> {
    let name = text.strip_prefix(':').unwrap_or(text);
    let name = name.strip_prefix("posix/").unwrap_or(name);
    let is_legible = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-');
    let is_name = name.contains('/') || matches!(name, "UTC" | "GMT" | "Zulu" | "Universal");
    let is_relative = !name.starts_with('/') && name.len() <= 64;
    (is_name && is_relative && name.chars().all(is_legible)).then(|| name.to_owned())
}

/// When the host booted, in whole seconds since the Unix epoch by the host's clock as it is set at the moment.
///
/// # Errors
/// When `/proc/stat` is not readable or has no boot time.
pub fn boot_time() -> Result<Duration, ReadError> {
    const PATH: &str = "/proc/stat";
    let text = procfile::text(PATH)?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "));
    seconds
        .and_then(|seconds| seconds.trim().parse().ok())
        .map(Duration::from_secs)
        .ok_or_else(|| unexpected(PATH, "a boot time"))
}

/// Open file handles of the whole host.
///
/// # Errors
/// When `/proc/sys/fs/file-nr` is not readable.
pub fn open_files() -> Result<u64, ReadError> {
    const PATH: &str = "/proc/sys/fs/file-nr";
    let text = procfile::text(PATH)?;
    let allocated = text.split_whitespace().next();
    allocated
        .and_then(|files| files.parse().ok())
        .ok_or_else(|| unexpected(PATH, "a number of files"))
}

/// Whether this process may look into processes of other users.
#[must_use]
pub fn sees_all_processes() -> bool {
    holds(CapabilitySet::SYS_PTRACE)
}

/// Whether this process may enter other network namespaces.
#[must_use]
pub fn enters_namespaces() -> bool {
    holds(CapabilitySet::SYS_ADMIN)
}

fn holds(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

pub(super) fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Name and version from an os-release file (freedesktop.org, `os-release(5)`).
pub(super) fn distribution(text: &str) -> Option<String> {
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'']))
    };
    let name = value("NAME")?
        .trim_end_matches(" GNU/Linux")
        .trim_end_matches(" Linux");
    Some(match value("VERSION_ID") {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_named_as_people_say_it() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n";
        assert_eq!(distribution(debian).as_deref(), Some("Debian 12"));
        assert_eq!(distribution("NAME='Arch Linux'\n").as_deref(), Some("Arch"));
        assert_eq!(distribution("ID=x\n"), None);
        assert_eq!(parse_version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(parse_version("next"), None);
    }

    #[test]
    fn the_time_zone_is_that_of_the_clock_on_the_wall_or_not_known() {
        use std::os::unix::fs::symlink;

        let etc = tempfile::tempdir().unwrap();
        let zone = || zone_in(etc.path());
        let localtime = etc.path().join("localtime");
        assert_eq!(zone().as_deref(), Some("UTC"));
        // A copy of a zone's file does not say which zone it is.
        fs::write(&localtime, "TZif2").unwrap();
        assert_eq!(zone(), None);
        fs::write(etc.path().join("timezone"), "America/New_York\n").unwrap();
        assert_eq!(zone().as_deref(), Some("America/New_York"));
        fs::remove_file(&localtime).unwrap();
        symlink("../usr/share/zoneinfo/Europe/Vienna", &localtime).unwrap();
        assert_eq!(zone().as_deref(), Some("Europe/Vienna"));
        for (text, name) in [
            (":Asia/Tokyo", Some("Asia/Tokyo")),
            ("UTC", Some("UTC")),
            ("CET-1CEST", None),
            ("/etc/localtime", None),
            ("a/\u{7}", None),
            ("", None),
        ] {
            assert_eq!(zone_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn this_host_has_booted_once() {
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
        assert!(boot_time().unwrap() > Duration::from_secs(1_500_000_000));
        assert!(open_files().unwrap() > 0);
    }
}
