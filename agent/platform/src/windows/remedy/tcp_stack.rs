//! The reset of the stack, through `netsh`, after what it loses was kept in files: addresses, routes, ranges, catalogs.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemark_model::action::spec::ResetStep;

use crate::remedy_facts::{RemedyError, StackView};
use crate::windows::{program, registry_read};
use crate::windows_data::interface_dump::{KeptSetting, addresses_in, kept_settings};

/// A reset is not to be cut short; it takes seconds.
const RESET_TIMEOUT: Duration = Duration::from_secs(120);
const INTERFACES: &str = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces";
const DUMP: [&str; 3] = ["-c", "interface", "dump"];
/// Where `netsh -f` takes the commands from.
const DUMP_FILE: &str = "interface.netsh";
/// Keys that the steps rewrite, and the files for them; `reg import` takes those.
const KEYS: [(&str, &str); 3] = [
    (
        r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters",
        "tcpip.reg",
    ),
    (
        r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters",
        "tcpip6.reg",
    ),
    (
        r"HKLM\SYSTEM\CurrentControlSet\Services\WinSock2\Parameters",
        "winsock2.reg",
    ),
];

/// What these steps would lose; nothing when none of them is a reset.
///
/// # Errors
/// [`RemedyError::Unsupported`] where `netsh` prints no dump, as under Wine: what cannot be kept is not reset.
pub fn look(steps: &[ResetStep]) -> Result<StackView, RemedyError> {
    let mut view = StackView {
        addresses: Vec::new(),
        lost: Vec::new(),
        dump: Ok(Vec::new()),
    };
    if steps.iter().all(|step| command(*step).is_none()) {
        return Ok(view);
    }
    let (ipv4, ipv6) = (
        steps.contains(&ResetStep::Ipv4),
        steps.contains(&ResetStep::Ipv6),
    );
    // The registry first: it is there also where netsh is mute.
    if ipv4 {
        view.addresses = given_addresses()?;
    }
    match dump() {
        Ok((dump, kept)) => {
            let is_lost = |one: &KeptSetting| {
                let is_of_ipv6 = one.context.ends_with("ipv6");
                if is_of_ipv6 { ipv6 } else { ipv4 }
            };
            for one in kept.into_iter().filter(is_lost) {
                if let Some(address) = one.address().map(str::to_owned)
                    && !view.addresses.contains(&address)
                {
                    view.addresses.push(address);
                }
                view.lost.push((one.context, one.command));
            }
            view.dump = Ok(dump);
            Ok(view)
        }
        // That they would be lost is the graver reason, and holds whatever netsh prints.
        Err(error) if !view.addresses.is_empty() => {
            view.dump = Err(error);
            Ok(view)
        }
        Err(error) => Err(error),
    }
}

/// The addresses of IPv4 that interfaces without DHCP were given.
fn given_addresses() -> Result<Vec<String>, RemedyError> {
    let unreadable = |error: io::Error| {
        RemedyError::Failed(format!("the addresses of the host cannot be read: {error}"))
    };
    let mut given = Vec::new();
    for interface in registry_read::keys_below(INTERFACES).map_err(unreadable)? {
        let key = format!(r"{INTERFACES}\{interface}");
        if registry_read::number(&key, "EnableDHCP").map_err(unreadable)? == Some(0) {
            let value = registry_read::multi_text(&key, "IPAddress").map_err(unreadable)?;
            given.extend(addresses_in(&value.unwrap_or_default()));
        }
    }
    Ok(given)
}

fn dump() -> Result<(Vec<u8>, Vec<KeptSetting>), RemedyError> {
    let printed = run("netsh.exe", &DUMP)?;
    let kept = kept_settings(&String::from_utf8_lossy(&printed)).ok_or_else(|| {
        RemedyError::Unsupported(
            "`netsh -c interface dump` prints no settings here, so that they could not be made again after a reset"
                .to_owned(),
        )
    })?;
    Ok((printed, kept))
}

/// Keeps what a reset loses in files of `folder`, which is there.
///
/// # Errors
/// When one cannot be written: nothing may be reset then.
pub fn back_up(folder: &Path, view: &StackView) -> Result<Vec<PathBuf>, RemedyError> {
    let dump = view.to_keep()?;
    let path = folder.join(DUMP_FILE);
    write(&path, dump).map_err(|error| {
        RemedyError::Failed(format!("{} cannot be written: {error}", path.display()))
    })?;
    let mut kept = vec![path];
    for (key, name) in KEYS {
        let path = folder.join(name);
        run("reg.exe", &["export", key, &path.to_string_lossy(), "/y"])?;
        kept.push(path);
    }
    Ok(kept)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The command of a step; `None` for one that is no command.
#[must_use]
pub const fn command(step: ResetStep) -> Option<&'static str> {
    match step {
        ResetStep::RemoteAccess => None,
        ResetStep::Ipv4 => Some("int ipv4 reset"),
        ResetStep::Ipv6 => Some("int ipv6 reset"),
        ResetStep::Winsock => Some("winsock reset"),
    }
}

/// Does one step that is a command.
///
/// # Errors
/// What `netsh` says.
pub fn reset(step: ResetStep) -> Result<(), RemedyError> {
    let Some(command) = command(step) else {
        return Ok(());
    };
    let words: Vec<&str> = command.split(' ').collect();
    run("netsh.exe", &words).map(drop)
}

fn run(name: &str, words: &[&str]) -> Result<Vec<u8>, RemedyError> {
    program::output_within(name, words, RESET_TIMEOUT).map_err(|error| {
        let text = format!("`{name} {}`: {error}", words.join(" "));
        if error.kind() == io::ErrorKind::NotFound {
            RemedyError::Unsupported(text)
        } else {
            RemedyError::Failed(text)
        }
    })
}
