//! Programs run to their end within a time limit: by absolute path, no shell, no input, in a process group of their own.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::program_output::Words;
use crate::remedy_facts::RemedyError;

/// The only variables that it gets: what it does must not depend on how the agent was started.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs `path` and waits for its end; its words when it succeeds.
///
/// # Errors
/// [`RemedyError::Failed`], with the end of what it said, when it cannot be started, fails, or is still there after
/// `patience`; it and its children are ended then.
pub(super) fn run(
    path: &Path,
    arguments: &[&str],
    patience: Duration,
) -> Result<String, RemedyError> {
    run_with(path, arguments, &[], patience)
}

/// As [`run`], with variables of its own.
pub(super) fn run_with(
    path: &Path,
    arguments: &[&str],
    variables: &[(String, &str)],
    patience: Duration,
) -> Result<String, RemedyError> {
    let (status, said) = ended(path, arguments, variables, patience)?;
    if status.success() {
        return Ok(said);
    }
    let text = format!("{} ended with {status}: {said}", path.display());
    Err(RemedyError::Failed(text))
}

/// How a program ended and what it said, whether it succeeded or not.
///
/// # Errors
/// [`RemedyError::Failed`] when it cannot be started, or is still there after `patience`; it and its children are ended then.
pub(super) fn ended(
    path: &Path,
    arguments: &[&str],
    variables: &[(String, &str)],
    patience: Duration,
) -> Result<(ExitStatus, String), RemedyError> {
    let failed = |text: String| RemedyError::Failed(format!("{} {text}", path.display()));
    let mut child = Command::new(path)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    let group = Pid::from_child(&child);
    let out = Words::listen(child.stdout.take());
    let err = Words::listen(child.stderr.take());
    let Some(status) =
        wait_within(&mut child, group, patience).map_err(|error| failed(error.to_string()))?
    else {
        let seconds = patience.as_secs();
        return Err(failed(format!(
            "was still there after {seconds} s and was ended"
        )));
    };
    Ok((status, Words::joined([out, err])))
}

/// Its end; `None` when it had to be ended.
fn wait_within(
    child: &mut Child,
    group: Pid,
    patience: Duration,
) -> io::Result<Option<ExitStatus>> {
    let (ended, end) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Nobody may be waiting any more.
            ended.send(child.wait()).ok();
        });
        match end.recv_timeout(patience) {
            Ok(status) => status.map(Some),
            Err(_) => {
                // It may have ended meanwhile, which is what is wanted.
                kill_process_group(group, Signal::KILL).ok();
                end.recv().map_err(io::Error::other)??;
                Ok(None)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program_output::OUTPUT_BYTES_MAX;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn sh(script: &str, patience: Duration) -> Result<String, RemedyError> {
        run(Path::new("/bin/sh"), &["-c", script], patience)
    }

    #[test]
    fn a_program_says_how_it_ended() {
        assert_eq!(
            sh("echo one; echo two >&2", PATIENCE),
            Ok("one two".to_owned())
        );
        let failed = sh("echo no >&2; exit 3", PATIENCE).unwrap_err().to_string();
        assert!(
            failed.contains("exit status: 3") && failed.ends_with("no"),
            "{failed}"
        );
        let missing = run(Path::new("/nonexistent"), &[], PATIENCE);
        assert!(
            missing
                .unwrap_err()
                .to_string()
                .contains("cannot be started")
        );
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        // The children's sleep is longer than the test's own time limit.
        let hung = sh("sleep 1000 & sleep 1000", Duration::from_millis(200));
        assert!(hung.unwrap_err().to_string().contains("was ended"));
    }

    #[test]
    fn a_program_that_floods_neither_blocks_nor_fills_memory() {
        let said = sh("head -c 10000000 /dev/zero | tr '\\0' x", PATIENCE).unwrap();
        assert_eq!(said.len(), OUTPUT_BYTES_MAX);
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_does_not_keep_us() {
        let said = sh("(sleep 1000 &) ; echo started", PATIENCE);
        assert!(said.is_ok(), "{said:?}");
    }

    #[test]
    fn nothing_of_the_agents_own_environment_reaches_it() {
        assert_eq!(
            sh("env | sort | cut -d= -f1 | tr '\\n' ' '", PATIENCE).as_deref(),
            Ok("LC_ALL PATH PWD")
        );
    }
}
