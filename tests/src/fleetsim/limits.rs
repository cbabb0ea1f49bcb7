//! What the process may use and has used: open files up to the hard limit, CPU time.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Open files beside the agents' connections: the recording, pipes, the runtime's own.
const OTHER_FILES: u64 = 64;

/// Too many agents for the process's limit of open files.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{agents} agents need {needed} open files, and this process may have {limit}; raise the hard limit (ulimit -Hn {needed}) or run fewer agents"
)]
pub struct TooManyAgents {
    agents: u64,
    needed: u64,
    limit: u64,
}

/// Raises the limit of open files to the hard limit; each agent needs one.
///
/// # Errors
/// [`TooManyAgents`] when even that is not enough.
pub fn raise_open_files(agents: usize) -> Result<(), TooManyAgents> {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limits) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let agents = u64::try_from(agents).unwrap_or(u64::MAX);
    let needed = agents.saturating_add(OTHER_FILES);
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Err(TooManyAgents {
            agents,
            needed,
            limit,
        }),
        Some(_) | None => Ok(()),
    }
}

/// CPU time that this process has used so far.
#[must_use]
pub fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(used.tv_sec).unwrap_or(0),
        u32::try_from(used.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_agents_than_files_are_refused_with_what_to_do() {
        let text = raise_open_files(usize::MAX).unwrap_err().to_string();
        assert!(text.contains("ulimit -Hn"), "{text}");
        raise_open_files(1).unwrap();
    }
}
