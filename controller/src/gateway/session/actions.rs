//! A session's part in actions: frames out of its lane, reports and policies in. A report is acknowledged when it is stored;
//! while the database is away, reports wait and the session lasts.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tidemark_model::ErrorCode;
use tidemark_model::action::{ActionReport, HostPolicyView};
use tidemark_model::error_code::ApiError as _;
use tidemark_proto::convert::action::ack_to_wire;
use tidemark_proto::v1::controller_frame;
use tokio::sync::mpsc;
use tonic::Status;

use super::Session;
use crate::gateway::outcome::status_of;
use crate::remediate::report::{Next, Teller, take_policy, take_report};

/// Reports and policies that an agent may send a second over time, and at once: each may cost a transaction.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(5).expect("5 is not 0");
const AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("100 is not 0");
/// Reports that wait for the database; an agent tells those again that were not acknowledged.
const WAITING_MAX: usize = 64;

/// What a session holds for actions.
pub(super) struct Actions {
    frames: Option<mpsc::Receiver<controller_frame::Kind>>,
    limiter: DefaultDirectRateLimiter,
    reports: VecDeque<ActionReport>,
    policy: Option<HostPolicyView>,
}

impl Actions {
    /// Opens the session's lane.
    pub(super) fn open(session: &Session) -> Self {
        let remediation = &session.app.remediation;
        let frames =
            remediation
                .lanes
                .open(session.host, session.id, session.opened_at, session.taking);
        remediation.changed.notify_one();
        session.app.keys.changed.notify_one();
        Self {
            frames,
            limiter: RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(AT_ONCE)),
            reports: VecDeque::new(),
            policy: None,
        }
    }

    /// The next frame for the agent; waits for good when there will be none.
    pub(super) async fn next(&mut self) -> controller_frame::Kind {
        let frame = match &mut self.frames {
            Some(frames) => frames.recv().await,
            None => None,
        };
        match frame {
            Some(frame) => frame,
            None => std::future::pending().await,
        }
    }

    /// Takes what the host says of an action.
    pub(super) async fn take_report(
        &mut self,
        session: &Session,
        report: ActionReport,
    ) -> Result<(), Status> {
        self.limiter.until_ready().await;
        if self.reports.len() >= WAITING_MAX {
            return Err(Status::unavailable(
                "the database does not answer; tell what was not acknowledged again",
            ));
        }
        self.reports.push_back(report);
        self.store(session).await
    }

    /// Takes what the host says of its policy; only the last word counts.
    pub(super) async fn take_policy(
        &mut self,
        session: &Session,
        policy: HostPolicyView,
    ) -> Result<(), Status> {
        self.limiter.until_ready().await;
        self.policy = Some(policy);
        self.store(session).await
    }

    /// Stores what waits. While the database is away it goes on waiting.
    pub(super) async fn store(&mut self, session: &Session) -> Result<(), Status> {
        if let Some(policy) = &self.policy {
            match take_policy(&session.app, session.host, policy).await {
                Ok(()) => self.policy = None,
                Err(error) if is_away(error.code()) => return Ok(()),
                Err(error) => return Err(status_of(&error)),
            }
        }
        let teller = Teller {
            host: session.host,
            skew_ms: session.skew_ms,
            opened_at: session.opened_at,
        };
        while let Some(report) = self.reports.front() {
            let next = match take_report(&session.app, teller, report).await {
                Ok(next) => next,
                Err(error) if is_away(error.code()) => return Ok(()),
                Err(error) => return Err(session.refused(&error)),
            };
            let ack = ack_to_wire(report).map(controller_frame::Kind::ActionAck);
            self.reports.pop_front();
            if let Some(ack) = ack {
                session.send(ack).await?;
            }
            match next {
                Next::Ack => {}
                Next::Send(frame) => session.send(frame).await?,
                Next::ComeBack => {
                    return Err(Status::aborted(
                        "come back over a new connection, so that the change can be confirmed",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Whether the database is away or full, so that what waits for it goes on waiting.
pub(super) const fn is_away(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Unavailable | ErrorCode::Exhausted)
}
