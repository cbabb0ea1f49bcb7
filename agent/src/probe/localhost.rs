//! In which order `localhost` resolves: a flip from ::1 to 127.0.0.1 is a symptom worth knowing.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use tidemark_model::sample::ProbeOutcome;

/// A resolver that asks a name server for `localhost` may hang for its own timeouts; the collection does not wait.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// `ETIMEDOUT` on Linux.
const TIMED_OUT: i32 = 110;

/// The `localhost` probe. At most one question is out at a time.
#[derive(Debug, Default)]
pub(super) struct LocalhostOrder {
    pending: Option<Receiver<io::Result<Option<SocketAddr>>>>,
}

impl LocalhostOrder {
    /// 1 when ::1 comes first, 2 when 127.0.0.1 does.
    pub(super) fn ask(&mut self) -> (Option<u32>, ProbeOutcome) {
        let answers = match self.pending.take() {
            Some(answers) => answers,
            None => match start() {
                Ok(answers) => answers,
                Err(error) => return (None, failed(&error)),
            },
        };
        match answers.recv_timeout(ANSWER_TIMEOUT) {
            Ok(Ok(Some(SocketAddr::V6(_)))) => (Some(1), ProbeOutcome::Succeeded),
            Ok(Ok(Some(SocketAddr::V4(_)))) => (Some(2), ProbeOutcome::Succeeded),
            Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => (None, ProbeOutcome::Failed(0)),
            Ok(Err(error)) => (None, failed(&error)),
            Err(RecvTimeoutError::Timeout) => {
                self.pending = Some(answers);
                (None, ProbeOutcome::Failed(TIMED_OUT))
            }
        }
    }
}

fn start() -> io::Result<Receiver<io::Result<Option<SocketAddr>>>> {
    let (answer, answers) = sync_channel(1);
    thread::Builder::new()
        .name("localhost".to_owned())
        .spawn(move || {
            let first = ("localhost", 0).to_socket_addrs().map(|mut all| all.next());
            // Nobody waits any more when the agent stops; there is no one to tell.
            drop(answer.send(first));
        })?;
    Ok(answers)
}

/// Errors of the resolver have no number.
fn failed(error: &io::Error) -> ProbeOutcome {
    ProbeOutcome::Failed(error.raw_os_error().unwrap_or(0))
}
