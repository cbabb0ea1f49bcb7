//! Ends one process: the one that was meant, or none.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tidemark_model::Timestamp;

use crate::linux::process::Processes;
use crate::remedy_facts::{RemedyError, Teller, tried};

/// How long a process may take to end by itself, then by force.
const PATIENCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(5)];
/// A start time is known to a clock tick (10 ms), and the boot time to a second.
const START_TOLERANCE_MS: u64 = 1_500;

/// A process that is the one that was meant, for as long as this is held.
#[derive(Debug)]
pub struct Target {
    pid: u32,
    handle: OwnedFd,
}

/// The process of that number, start and image; on this system the image is its short name or its executable's.
///
/// # Errors
/// [`RemedyError::NoSuchTarget`] when any of the three does not match.
pub fn find(
    pid: u32,
    started_at: Timestamp,
    image: &str,
    booted_at: Timestamp,
) -> Result<Target, RemedyError> {
    let gone = || RemedyError::NoSuchTarget(format!("there is no process {pid}"));
    let number = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(gone)?;
    // The handle comes first: what is read afterwards is of this process or of none.
    let handle = pidfd_open(number, PidfdFlags::empty()).map_err(|errno| match errno {
        Errno::SRCH => gone(),
        errno => RemedyError::Failed(format!("process {pid} cannot be held: {errno}")),
    })?;
    let processes = Processes::open().map_err(|error| RemedyError::Failed(error.to_string()))?;
    let start = processes.start(pid).ok_or_else(gone)?.at(booted_at);
    let description = processes.describe(pid).ok_or_else(gone)?;
    let executable = description
        .executable
        .as_deref()
        .and_then(|path| path.rsplit('/').next());
    let name = description.name.as_str();
    if name != image && executable != Some(image) {
        return Err(RemedyError::NoSuchTarget(format!(
            "process {pid} is {name}, not {image}"
        )));
    }
    if start.ms_since(started_at).unsigned_abs() > START_TOLERANCE_MS {
        return Err(RemedyError::NoSuchTarget(format!(
            "process {pid} started at another time: it is another {image} than was meant"
        )));
    }
    Ok(Target { pid, handle })
}

impl Target {
    /// Asks it to end, then ends it by force.
    ///
    /// # Errors
    /// [`RemedyError::Failed`] when it may not be ended, or is still there.
    pub fn end(self, tell: Teller<'_>) -> Result<(), RemedyError> {
        for (signal, patience, what) in [
            (Signal::TERM, PATIENCE[0], "ask the process to end"),
            (Signal::KILL, PATIENCE[1], "end the process by force"),
        ] {
            match pidfd_send_signal(&self.handle, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => {
                    let text = format!("process {} cannot be ended: {errno}", self.pid);
                    return tried(tell, what, Err(RemedyError::Failed(text)));
                }
            }
            if self.ends_within(patience) {
                return tried(tell, what, Ok(()));
            }
            let text = format!("it is still there after {} s", patience.as_secs());
            tried(tell, what, Err::<(), _>(RemedyError::Failed(text))).ok();
        }
        Err(RemedyError::Failed(format!(
            "process {} does not end: the kernel waits for something in its name",
            self.pid
        )))
    }

    /// A pidfd becomes readable when its process ends.
    fn ends_within(&self, patience: Duration) -> bool {
        let mut watched = [PollFd::new(&self.handle, PollFlags::IN)];
        let patience = Timespec::try_from(patience).ok();
        loop {
            match poll(&mut watched, patience.as_ref()) {
                Err(Errno::INTR) => {}
                ended => return ended.is_ok_and(|ready| ready > 0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::linux::host;

    fn booted_at() -> Timestamp {
        Timestamp::EPOCH.saturating_add(host::boot_time().unwrap())
    }

    fn sleeper() -> (Child, Timestamp) {
        let child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let start = Processes::open().unwrap().start(child.id()).unwrap();
        (child, start.at(booted_at()))
    }

    #[test]
    fn the_process_that_was_meant_ends() {
        let (mut child, started_at) = sleeper();
        let target = find(child.id(), started_at, "sleep", booted_at()).unwrap();
        let mut steps = Vec::new();
        target.end(&mut |step| steps.push(step.what)).unwrap();
        assert_eq!(steps, ["ask the process to end"]);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn another_process_of_that_number_is_left_alone() {
        let (mut child, started_at) = sleeper();
        let find = |pid, at, image| find(pid, at, image, booted_at()).unwrap_err();
        let other_image = find(child.id(), started_at, "java");
        let later = started_at.saturating_add(Duration::from_secs(5));
        let other_start = find(child.id(), later, "sleep");
        for error in [other_image, other_start, find(0, started_at, "sleep")] {
            assert!(matches!(error, RemedyError::NoSuchTarget(_)), "{error}");
        }
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
