//! Where agents come in: TLS with identity, enrolment, sessions.

pub mod connection;
pub mod enrolment;
pub mod listener;
pub mod outcome;
pub mod session;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tidemark_proto::v1::agent_gateway_server::AgentGatewayServer;
use tidemark_proto::v1::enrollment_server::EnrollmentServer;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::app::App;
use listener::Listener;

/// Largest frame that is read, in bytes: a full batch that does not compress, and its envelope.
const FRAME_BYTES_MAX: usize = 1_280 * 1_024;

/// Streams of one connection: one session, and a renewal beside it.
const STREAMS_PER_CONNECTION_MAX: u32 = 4;

/// Pings find agents that are gone without a word; they keep firewalls from forgetting the connection, too.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves agents until `stop`, then drains: sessions tell their agents to come back, and end.
///
/// # Errors
/// What the accept loop or the HTTP/2 server says when it cannot go on.
pub async fn serve(
    app: Arc<App>,
    listener: Listener,
    stop: CancellationToken,
) -> Result<(), GatewayError> {
    let (accepting, connections) = listener::accept(listener, stop.clone());
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_connection_window_size(FRAME_BYTES_MAX as u32)
        .initial_stream_window_size(FRAME_BYTES_MAX as u32)
        .add_service(
            EnrollmentServer::new(enrolment::Enrolment::new(Arc::clone(&app)))
                .max_decoding_message_size(64 * 1_024),
        )
        .add_service(
            AgentGatewayServer::new(session::Gateway::new(app))
                .max_decoding_message_size(FRAME_BYTES_MAX),
        )
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), stop.cancelled_owned());
    join(accepting, server).await
}

async fn join(
    accepting: impl Future<Output = io::Result<()>>,
    server: impl Future<Output = Result<(), tonic::transport::Error>>,
) -> Result<(), GatewayError> {
    let (accepted, served) = tokio::join!(accepting, server);
    accepted.map_err(GatewayError::Accept)?;
    served.map_err(GatewayError::Serve)
}

/// Why agents cannot be served any more.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The accept loop ended.
    #[error("agents' connections cannot be accepted")]
    Accept(#[source] io::Error),
    /// The HTTP/2 server ended.
    #[error("agents' connections cannot be served")]
    Serve(#[source] tonic::transport::Error),
}
