//! What a running agent answers to whoever asks on its own host: who may ask, and how much an answer holds.

use std::io;

/// Most bytes of an answer; they fit the pipe's buffer, so that a client that does not read holds up nobody.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Makes the answer, anew for everyone who asks.
pub type Answer = Box<dyn Fn() -> Vec<u8> + Send>;

/// Why nobody can ask the agent locally.
#[derive(Debug, thiserror::Error)]
pub enum LocalAnswerError {
    /// This system has no such way.
    #[error("this system has no named pipes; the status file stands for it")]
    Elsewhere,
    /// Another process has the name.
    #[error("another process answers as the agent already; there can be one on a host")]
    Taken(#[source] io::Error),
    /// The one who answers is not the agent.
    #[error("whoever answers as the agent is neither the system nor an administrator")]
    Untrusted,
    /// Something else.
    #[error("the agent cannot be asked locally")]
    Failed(#[source] io::Error),
}
