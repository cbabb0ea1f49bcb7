//! Programs of the system, run to their end within a time limit: no shell, no window, no input.

use std::env;
use std::io::{self, Read as _};
use std::os::windows::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a program may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of its output; the longest list of excluded ports is far below.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;
/// What an error tells of the output, in the host's language.
const SAID_CHARS_MAX: usize = 300;
/// `CREATE_NO_WINDOW` (`processthreadsapi.h`).
const NO_WINDOW: u32 = 0x0800_0000;

/// What `name`, a program in `System32`, prints.
///
/// # Errors
/// When it cannot be started, takes too long, or fails.
pub(super) fn output_of(name: &str, arguments: &[&str]) -> io::Result<Vec<u8>> {
    output_within(name, arguments, RUN_TIMEOUT)
}

/// The same, for a program that may take longer.
///
/// # Errors
/// As [`output_of`].
pub(super) fn output_within(
    name: &str,
    arguments: &[&str],
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let mut child = Command::new(system_folder().join(name))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .creation_flags(NO_WINDOW)
        .spawn()?;
    let (done, output) = mpsc::sync_channel(1);
    let pipe = child.stdout.take();
    let reader = thread::Builder::new()
        .name("program-output".to_owned())
        .spawn(move || {
            let mut bytes = Vec::new();
            let read = pipe.map_or(Ok(0), |pipe| {
                pipe.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)
            });
            // Nobody may be waiting any more.
            done.send(read.map(|_| bytes)).ok();
        });
    let printed = reader.and_then(|_| match output.recv_timeout(patience) {
        Ok(printed) => printed,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    });
    if printed.is_err() {
        // It may have ended meanwhile, which is what is wanted.
        child.kill().ok();
    }
    let status = child.wait()?;
    let printed = printed?;
    if status.success() {
        Ok(printed)
    } else {
        let said = String::from_utf8_lossy(&printed);
        let words: Vec<&str> = said.split_whitespace().collect();
        let said: String = words.join(" ").chars().take(SAID_CHARS_MAX).collect();
        Err(io::Error::other(format!("it ended with {status}: {said}")))
    }
}

/// `System32`, by its absolute path.
pub(super) fn system_folder() -> PathBuf {
    let windows =
        env::var_os("SystemRoot").map_or_else(|| PathBuf::from(r"C:\Windows"), PathBuf::from);
    windows.join("System32")
}
