//! A hook that leaves a line each time it runs: how often something was done is counted on the host, whatever anybody says of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::AgentFolder;

/// What a host allows that is asked for the same again and again.
pub const TIRELESS_POLICY: &str = "profile = \"full\"\n[limits]\nper_hour = 100000\nper_day = 100000\ncooldown = \"1s\"\nreboot_pause = \"1s\"\n";
/// The controller's limits to match.
pub const TIRELESS_SETTINGS: &str = "[remediation]\nown_host = \"none\"\nhold = \"1s\"\ncooldown = \"1s\"\nfixes_per_day_max = 100000\nhost_per_hour_max = 100000\nper_hour_max = 100000\n";

/// The hook `count` of a host.
#[derive(Clone, Debug)]
pub struct CountedHook {
    ran: PathBuf,
}

impl CountedHook {
    /// Adds it. It leaves its argument `mark` in the file `ran`, and goes on as `then` tells the shell.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn add_to(folder: &AgentFolder, ran: PathBuf, then: &str) -> anyhow::Result<Self> {
        let hooks = folder.path().join("hooks");
        fs::create_dir(&hooks)?;
        fs::write(&ran, "")?;
        let hook = Self { ran };
        let line = hook.leaving("\"$TIDEMARK_ARG_MARK\"");
        write_script(&hooks.join("count"), &format!("{line}{then}\n"))?;
        Ok(hook)
    }

    /// What to ask for so that it leaves `mark`.
    #[must_use]
    pub fn spec(mark: &str) -> Value {
        json!({"action": "run_hook", "name": "count", "arguments": {"mark": mark}})
    }

    /// A line of a script that leaves `word` where the hook leaves its marks.
    #[must_use]
    pub fn leaving(&self, word: &str) -> String {
        format!("echo {word} >> {}\n", self.ran.display())
    }

    /// The marks that were left, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn marks(&self) -> anyhow::Result<Vec<String>> {
        let ran = fs::read_to_string(&self.ran)?;
        Ok(ran.lines().map(str::to_owned).collect())
    }

    /// How often `mark` was left.
    ///
    /// # Errors
    /// As [`CountedHook::marks`].
    pub fn runs(&self, mark: &str) -> anyhow::Result<usize> {
        Ok(self.marks()?.iter().filter(|one| *one == mark).count())
    }
}

/// Writes a script of the shell that may be run.
///
/// # Errors
/// When it cannot be written.
pub fn write_script(path: &Path, commands: &str) -> anyhow::Result<()> {
    fs::write(path, format!("#!/bin/sh\n{commands}"))?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o755))?)
}
