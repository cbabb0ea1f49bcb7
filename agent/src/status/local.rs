//! The status as a running agent tells it to who asks on its own host: fresher than the file, and without a port.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_platform::local_answer::LocalAnswerError;
use tidemark_platform::local_pipe::{self, LocalPipe};

use super::{AgentStatus, StatusWriter};

/// What is answered. One agent a host answers, so it says which one it is.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    data_dir: PathBuf,
    status: AgentStatus,
}

/// Answers whoever asks, until it is dropped. `None` where there is no such way, or where another agent answers.
#[must_use]
pub fn open(writer: &Arc<StatusWriter>) -> Option<LocalPipe> {
    let writer = Arc::clone(writer);
    match LocalPipe::open(Box::new(move || answer(&writer))) {
        Ok(pipe) => Some(pipe),
        Err(LocalAnswerError::Elsewhere) => None,
        Err(error) => {
            tracing::warn!(
                error = %crate::session::chain(&error),
                "`tidemark-agent status` reads the status file alone"
            );
            None
        }
    }
}

/// The status of the agent that uses `data_dir`, if it runs and may be asked.
#[must_use]
pub fn ask(data_dir: &Path) -> Option<AgentStatus> {
    match local_pipe::ask() {
        Ok(answer) => parse(&answer, data_dir),
        Err(LocalAnswerError::Elsewhere) => None,
        Err(error) => {
            tracing::debug!(%error, "the agent does not answer");
            None
        }
    }
}

fn answer(writer: &StatusWriter) -> Vec<u8> {
    let told = Told {
        data_dir: absolute(&writer.folder),
        status: writer.gather(),
    };
    // A client takes nothing for no answer.
    serde_json::to_vec(&told).unwrap_or_default()
}

fn parse(answer: &[u8], data_dir: &Path) -> Option<AgentStatus> {
    let told: Told = serde_json::from_slice(answer).ok()?;
    (told.data_dir == absolute(data_dir)).then_some(told.status)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_another_agent_is_not_taken_for_this_ones() {
        let status = AgentStatus {
            version: "1".to_owned(),
            pid: 7,
            started_at_ms: tidemark_model::Timestamp::EPOCH,
            written_at_ms: tidemark_model::Timestamp::EPOCH,
            controller: "c:1".to_owned(),
            link: crate::status::LinkStatus::default(),
            sampler: crate::status::SamplerSummary::default(),
            spool: tidemark_model::SpoolCounts::default(),
            capabilities: Vec::new(),
        };
        let told = Told {
            data_dir: absolute(Path::new("/var/lib/tidemark")),
            status: status.clone(),
        };
        let answer = serde_json::to_vec(&told).unwrap();
        let mine = Path::new("/var/lib/tidemark");
        assert_eq!(parse(&answer, mine), Some(status));
        assert_eq!(parse(&answer, Path::new("/srv/other")), None);
        let (cut, _) = answer.split_at(answer.len() / 2);
        assert_eq!(parse(cut, mine), None);
        assert_eq!(parse(b"", mine), None);
    }
}
