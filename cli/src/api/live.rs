//! The live stream of changes: connects, reads, and connects again with backoff. What is done with it is not here.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tidemark_model::view::{EventView, HostView};
use tidemark_runtime::Entropy;
use tokio::time::Sleep;

use super::refusal;
use super::sse::{EventParser, ServerEvent};
use crate::failure::{Failure, TokenSent};

/// First wait before connecting again; doubles up to [`BACKOFF_MAX`], drawn with full jitter.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Something that the stream says.
#[derive(Debug)]
pub enum Heard {
    /// Changes were missed, as before the stream was open or when it was too fast: read the lists again.
    ReadAgain,
    /// A host changed.
    Host(Box<HostView>),
    /// Something happened.
    Notice(Box<EventView>),
    /// An event that cannot be read; it is counted, not shown.
    Garbled,
    /// The stream broke; it is opened again after the wait.
    Lost {
        /// Why, in words.
        reason: String,
        /// How long it waits.
        retry_in: Duration,
    },
}

type Opening = Pin<Box<dyn Future<Output = reqwest::Result<Response>> + Send>>;

enum Connection {
    Idle,
    Opening(Opening),
    Open(Box<Response>),
    Waiting(Pin<Box<Sleep>>),
}

/// The stream. [`Live::next`] may be dropped and called again at any time without losing anything.
pub struct Live {
    request: RequestBuilder,
    server: String,
    sent: TokenSent,
    connection: Connection,
    parser: EventParser,
    events: VecDeque<ServerEvent>,
    entropy: Entropy,
    failures_in_a_row: u32,
}

impl Live {
    /// Prepares to follow the stream that `request` opens.
    pub fn new(request: RequestBuilder, server: String, sent: TokenSent) -> Self {
        Self {
            request,
            server,
            sent,
            connection: Connection::Idle,
            parser: EventParser::default(),
            events: VecDeque::new(),
            entropy: Entropy::System,
            failures_in_a_row: 0,
        }
    }

    /// The next thing that it says; an error when connecting again would change nothing.
    pub async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            if let Some(heard) = self.take_event() {
                return Ok(heard);
            }
            match &mut self.connection {
                Connection::Idle => {
                    let request = self
                        .request
                        .try_clone()
                        .expect("a request without a body can be cloned");
                    self.connection = Connection::Opening(Box::pin(request.send()));
                }
                Connection::Opening(opening) => match opening.await {
                    Ok(response) if response.status() == StatusCode::OK => {
                        self.parser = EventParser::default();
                        self.connection = Connection::Open(Box::new(response));
                        return Ok(Heard::ReadAgain);
                    }
                    Ok(response) => return self.turned_away(response.status()),
                    Err(error) => return Ok(self.lose(reason(&error))),
                },
                Connection::Open(response) => match response.chunk().await {
                    Ok(Some(bytes)) => {
                        self.failures_in_a_row = 0;
                        if let Err(error) = self.parser.push(&bytes, &mut self.events) {
                            return Ok(self.lose(error.to_string()));
                        }
                    }
                    Ok(None) => return Ok(self.lose("the controller ended the stream".to_owned())),
                    Err(error) => return Ok(self.lose(reason(&error))),
                },
                Connection::Waiting(sleep) => {
                    sleep.as_mut().await;
                    self.connection = Connection::Idle;
                }
            }
        }
    }

    fn take_event(&mut self) -> Option<Heard> {
        loop {
            let event = self.events.pop_front()?;
            match event.name.as_str() {
                "host" => return Some(read(&event.data).map_or(Heard::Garbled, Heard::Host)),
                "notice" => return Some(read(&event.data).map_or(Heard::Garbled, Heard::Notice)),
                "resync" => return Some(Heard::ReadAgain),
                // Kinds that later versions add.
                _ => {}
            }
        }
    }

    fn turned_away(&mut self, status: StatusCode) -> Result<Heard, Failure> {
        let failure = refusal(status, &[], &self.server, self.sent);
        if failure.is_passing() || status.is_server_error() {
            return Ok(self.lose(failure.to_string()));
        }
        self.connection = Connection::Idle;
        Err(failure)
    }

    fn lose(&mut self, reason: String) -> Heard {
        let doublings = self.failures_in_a_row.min(16);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let ceiling = BACKOFF_FIRST
            .saturating_mul(1 << doublings)
            .min(BACKOFF_MAX);
        let ceiling_ms = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
        let retry_in = Duration::from_millis(self.entropy.below(ceiling_ms));
        self.events.clear();
        self.connection = Connection::Waiting(Box::pin(tokio::time::sleep(retry_in)));
        Heard::Lost { reason, retry_in }
    }
}

fn read<T: DeserializeOwned>(data: &str) -> Option<Box<T>> {
    serde_json::from_str(data).map(Box::new).ok()
}

fn reason(error: &reqwest::Error) -> String {
    if error.is_connect() {
        "the controller cannot be reached".to_owned()
    } else if error.is_timeout() {
        "the controller is silent".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}
