//! The name under which agents find several controllers: this program starts itself anew where it is known.

use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use super::field::{NAME, address_of};

/// Set where the name is known.
const NAME_KNOWN: &str = "HERD_NAME_KNOWN";
/// Puts the file $1 over the machine's names, for this process alone, and goes on as the rest says.
const WITH_NAMES: &str = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;

/// Comes back where the name of so many controllers is known, or not needed; until then this program is replaced by itself.
///
/// # Errors
/// When it cannot be started anew.
pub fn make_known(controllers: u8) -> anyhow::Result<()> {
    if controllers < 2 || std::env::var_os(NAME_KNOWN).is_some() {
        return Ok(());
    }
    let mut names = "127.0.0.1 localhost\n".to_owned();
    for place in 0..controllers {
        writeln!(names, "{} {NAME}", address_of(place))?;
    }
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), names)?;
    let (_, hosts) = file.keep()?;
    let error = Command::new("unshare")
        .args(["--mount", "sh", "-c", WITH_NAMES, "sh"])
        .arg(hosts)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(NAME_KNOWN, "yes")
        .exec();
    Err(error).context("cannot run unshare (util-linux), as root")
}
