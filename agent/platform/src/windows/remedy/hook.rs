//! Hooks: programs and PowerShell scripts in a folder that only administrators write, run with nothing but what they are
//! given.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::windows::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use windows_sys::Win32::System::Threading::{CREATE_NO_WINDOW, CREATE_SUSPENDED};

use super::job::Job;
use crate::program_output::Words;
use crate::remedy_facts::RemedyError;
use crate::windows::program::system_folder;
use crate::windows::{private, wine};

/// What a hook gets of the system's own variables: without them neither Windows nor PowerShell works. Its search path is
/// made anew, and nothing of the agent's reaches it.
const KEPT: [&str; 16] = [
    "ALLUSERSPROFILE",
    "COMPUTERNAME",
    "ComSpec",
    "CommonProgramFiles",
    "NUMBER_OF_PROCESSORS",
    "OS",
    "PATHEXT",
    "PROCESSOR_ARCHITECTURE",
    "ProgramData",
    "ProgramFiles",
    "ProgramFiles(x86)",
    "SystemDrive",
    "SystemRoot",
    "TEMP",
    "TMP",
    "windir",
];
const POWERSHELL: &str = r"WindowsPowerShell\v1.0\powershell.exe";
/// How long Windows may take to end what runs over its time.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// What runs a hook.
enum Runner {
    Windows,
    PowerShell,
}

/// The hook of that name: the whole name of its file, as in `drain.ps1`.
///
/// # Errors
/// When there is none, or others than administrators may have written it.
pub fn find(folder: &Path, name: &str) -> Result<PathBuf, RemedyError> {
    let path = listed(folder, name).ok_or_else(|| {
        RemedyError::NoSuchTarget(format!(
            "there is no hook {name}: it is no .exe and no .ps1 file in {}",
            folder.display()
        ))
    })?;
    if matches!(runner(&path), Some(Runner::PowerShell)) && wine::version().is_some() {
        return Err(RemedyError::Unsupported(
            "Wine has no PowerShell: give it a hook that is an .exe".to_owned(),
        ));
    }
    for place in [folder, &path] {
        match private::meddlers(place) {
            Ok(None) => {}
            Ok(Some(exposure)) => {
                return Err(RemedyError::Unsafe(format!(
                    "others than administrators may enter {}: {exposure}; {}",
                    place.display(),
                    private::REMEDY
                )));
            }
            Err(error) => {
                return Err(RemedyError::Unsafe(format!(
                    "it is unknown who may write {}: {error}",
                    place.display()
                )));
            }
        }
    }
    Ok(path)
}

/// Looked up in the folder's own list: devices, streams, short names and links lead out of it, or past the host's policy.
fn listed(folder: &Path, name: &str) -> Option<PathBuf> {
    let is_it = |entry: &fs::DirEntry| {
        entry.file_name().eq_ignore_ascii_case(name)
            && entry.metadata().is_ok_and(|metadata| metadata.is_file())
    };
    let mut entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let path = entries.find(is_it)?.path();
    runner(&path).map(|_| path)
}

fn runner(path: &Path) -> Option<Runner> {
    let kind = path.extension()?;
    if kind.eq_ignore_ascii_case("exe") {
        Some(Runner::Windows)
    } else if kind.eq_ignore_ascii_case("ps1") {
        Some(Runner::PowerShell)
    } else {
        None
    }
}

/// Runs it; its words when it succeeds. Scripts run as the host's own execution policy lets them.
///
/// # Errors
/// When it fails, hangs, or cannot be started.
pub fn run(
    script: &Path,
    variables: &[(String, &str)],
    patience: Duration,
) -> Result<String, RemedyError> {
    let failed = |text: String| RemedyError::Failed(format!("{} {text}", script.display()));
    let job = Job::new().map_err(|error| failed(format!("cannot be held together: {error}")))?;
    let mut child = command(script, variables)
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    let out = Words::listen(child.stdout.take());
    let err = Words::listen(child.stderr.take());
    // It waits until it is in the job, so that nothing it starts is outside.
    if let Err(error) = job.take(&child) {
        end_alone(&mut child);
        return Err(failed(format!("cannot be held together: {error}")));
    }
    if !job.ends_within(&child, patience) {
        job.end();
        let is_gone = job.ends_within(&child, END_PATIENCE);
        let outcome = if is_gone {
            "was ended"
        } else {
            "cannot be ended"
        };
        return Err(failed(format!(
            "was still there after {} s and {outcome}",
            patience.as_secs()
        )));
    }
    let status = child
        .wait()
        .map_err(|error| failed(format!("ended unseen: {error}")))?;
    let said = Words::joined([out, err]);
    if status.success() {
        Ok(said)
    } else {
        Err(failed(format!("ended with {status}: {said}")))
    }
}

fn end_alone(child: &mut Child) {
    // One that is gone is what is wanted.
    child.kill().ok();
    child.wait().ok();
}

fn command(script: &Path, variables: &[(String, &str)]) -> Command {
    let system = system_folder();
    let mut command = match runner(script) {
        Some(Runner::PowerShell) => {
            let mut command = Command::new(system.join(POWERSHELL));
            command
                .args(["-NoProfile", "-NonInteractive", "-File"])
                .arg(script);
            command
        }
        Some(Runner::Windows) | None => Command::new(script),
    };
    command
        .env_clear()
        .envs(kept())
        .env("Path", search_path(&system))
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&system)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .creation_flags(CREATE_NO_WINDOW | CREATE_SUSPENDED);
    command
}

fn kept() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    KEPT.into_iter()
        .filter_map(|name| Some((name, env::var_os(name)?)))
}

fn search_path(system: &Path) -> std::ffi::OsString {
    let windows = system.parent().unwrap_or(system);
    let folders = [
        system.as_os_str(),
        OsStr::new(";"),
        windows.as_os_str(),
        OsStr::new(";"),
    ];
    let mut path: std::ffi::OsString = folders.into_iter().collect();
    path.push(system.join("Wbem"));
    path
}
