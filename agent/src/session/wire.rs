//! The one connection of a session: being made, open for frames both ways, or not there.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tidemark_agent_core::Sent;
use tidemark_proto::v1::agent_gateway_client::AgentGatewayClient;
use tidemark_proto::v1::{AgentFrame, ControllerFrame};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use crate::link::{Driver, Link, LinkFailure, LinkService};

/// Frames between the session and HTTP/2; the credit bounds what is behind them.
const FRAMES_QUEUED_MAX: usize = 2;
/// Largest frame of a controller, in bytes; a refusal with its reason is the largest there is.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// How long the controller gets to answer the half-closed stream of an agent that stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Frames that wait behind those, from which on nothing is added that can wait or be said again: what a controller that
/// asks and does not listen makes an agent keep.
const FRAMES_WAITING_MAX: usize = 1_024;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Answer = Result<Response<Streaming<ControllerFrame>>, Status>;

/// A connection being made, with the generation of the certificate that it shows.
pub(super) type Connecting = Boxed<Result<(Link, u64), LinkFailure>>;

/// The connection.
pub(super) enum Wire {
    Idle,
    Connecting(Connecting),
    Open(Box<OpenWire>),
}

/// An open stream of frames.
pub(super) struct OpenWire {
    frames: Option<mpsc::Sender<AgentFrame>>,
    outgoing: VecDeque<(AgentFrame, Option<Sent>)>,
    side: ReceivingSide,
    driver: Option<Driver>,
    certificate_generation: u64,
}

enum ReceivingSide {
    Awaited(Boxed<Answer>),
    Open(Box<Streaming<ControllerFrame>>),
}

/// What happens on the connection.
pub(super) enum WireEvent {
    /// It is there.
    Connected,
    /// A frame is on its way; what the core is to know of it.
    Sent(Option<Sent>),
    /// A frame came.
    Frame(ControllerFrame),
    /// It is gone, or never came to be.
    Ended(LinkFailure),
    /// The controller closed it without an error.
    Closed,
}

impl Wire {
    /// The next thing that happens; never for [`Wire::Idle`]. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> WireEvent {
        match self {
            Self::Idle => std::future::pending().await,
            Self::Connecting(connecting) => match connecting.await {
                Ok((link, certificate_generation)) => {
                    *self = Self::Open(Box::new(OpenWire::new(link, certificate_generation)));
                    WireEvent::Connected
                }
                Err(failure) => {
                    *self = Self::Idle;
                    WireEvent::Ended(failure)
                }
            },
            Self::Open(open) => open.next().await,
        }
    }

    /// Puts a frame behind the others; without a connection it is dropped, and the core knows that.
    pub(super) fn send(&mut self, frame: AgentFrame, report: Option<Sent>) {
        if let Self::Open(open) = self {
            open.outgoing.push_back((frame, report));
        }
    }

    /// Whether so many frames wait that no more should.
    pub(super) fn is_backed_up(&self) -> bool {
        match self {
            Self::Open(open) => open.outgoing.len() >= FRAMES_WAITING_MAX,
            Self::Idle | Self::Connecting(_) => false,
        }
    }

    /// Generation of the certificate that the connection shows.
    pub(super) fn certificate_generation(&self) -> Option<u64> {
        match self {
            Self::Open(open) => Some(open.certificate_generation),
            Self::Idle | Self::Connecting(_) => None,
        }
    }

    /// Ends the stream as an agent that has nothing more to say, and waits a moment for the controller's own end.
    pub(super) async fn close(mut self) {
        let Self::Open(open) = &mut self else { return };
        open.frames = None;
        open.outgoing.clear();
        let end = async {
            loop {
                match open.next().await {
                    WireEvent::Ended(_) | WireEvent::Closed => return,
                    WireEvent::Connected | WireEvent::Sent(_) | WireEvent::Frame(_) => {}
                }
            }
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, end).await.is_err() {
            tracing::debug!("controller did not end the session in time");
        }
    }
}

impl OpenWire {
    fn new(link: Link, certificate_generation: u64) -> Self {
        let (frames, queue) = mpsc::channel(FRAMES_QUEUED_MAX);
        let (service, driver) = link.into_parts();
        Self {
            frames: Some(frames),
            outgoing: VecDeque::new(),
            side: ReceivingSide::Awaited(Box::pin(call(service, queue))),
            driver: Some(driver),
            certificate_generation,
        }
    }

    async fn next(&mut self) -> WireEvent {
        loop {
            tokio::select! {
                () = reserve(self.frames.as_ref()), if !self.outgoing.is_empty() => {
                    if let Some(event) = self.pass_one_on() {
                        return event;
                    }
                }
                event = self.side.next() => {
                    if let Some(event) = event {
                        return event;
                    }
                }
                // The receiving side ends with an error of its own once the connection has.
                () = drive(&mut self.driver) => self.driver = None,
            }
        }
    }

    /// Passes the first frame on. `None` when there is no room after all, or the stream is gone, which the receiving side
    /// tells better.
    fn pass_one_on(&mut self) -> Option<WireEvent> {
        let permit = self.frames.as_ref()?.try_reserve().ok()?;
        let (frame, report) = self.outgoing.pop_front()?;
        permit.send(frame);
        Some(WireEvent::Sent(report))
    }
}

/// Completes when a frame may be queued; never when the stream has ended.
async fn reserve(frames: Option<&mpsc::Sender<AgentFrame>>) {
    let room = match frames {
        Some(frames) => frames.reserve().await.is_ok(),
        None => false,
    };
    if !room {
        std::future::pending::<()>().await;
    }
}

async fn drive(driver: &mut Option<Driver>) {
    match driver {
        Some(driver) => driver.await,
        None => std::future::pending().await,
    }
}

async fn call(service: LinkService, queue: mpsc::Receiver<AgentFrame>) -> Answer {
    AgentGatewayClient::with_origin(service, LinkService::origin())
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .session(ReceiverStream::new(queue))
        .await
}

impl ReceivingSide {
    /// What comes next; `None` when only the answer's head came.
    async fn next(&mut self) -> Option<WireEvent> {
        match self {
            Self::Awaited(answer) => match answer.await {
                Ok(response) => {
                    *self = Self::Open(Box::new(response.into_inner()));
                    None
                }
                Err(status) => Some(WireEvent::Ended(LinkFailure::from_status(status))),
            },
            Self::Open(frames) => Some(match frames.message().await {
                Ok(Some(frame)) => WireEvent::Frame(frame),
                Ok(None) => WireEvent::Closed,
                Err(status) => WireEvent::Ended(LinkFailure::from_status(status)),
            }),
        }
    }
}
