//! The running session: frames in, acks and heartbeats out, and the drain at the end.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tidemark_model::error_code::ApiError;
use tidemark_model::notice::NoticeKind;
use tidemark_model::{HostAudit, Seq};
use tidemark_proto::convert::ConvertError;
use tidemark_proto::convert::action::{policy_from_wire, report_from_wire};
use tidemark_proto::convert::audit::audit_from_wire;
use tidemark_proto::convert::checkpoint::reported_from_wire;
use tidemark_proto::convert::delivery::{counts_from_wire, gap_from_wire};
use tidemark_proto::convert::record::DecodedBatch;
use tidemark_proto::convert::upgrade;
use tidemark_proto::v1::{
    self, Ack, AgentFrame, RecordBatch, SpoolStatus, agent_frame, controller_frame,
};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tonic::{Status, Streaming};

use super::actions::{Actions, is_away};
use super::checkpoints::Checkpoints;
use super::inflow::{Inflow, Missing, refused_batch, refused_records};
use super::{CREDIT_RECORDS, DRAIN_PATIENCE, HEARTBEAT, Session};
use crate::gateway::outcome::status_of;
use crate::ingest::Delivered;

/// Frames a second that an agent may send over time, and at once after a pause. Beyond it the controller reads slower.
const FRAMES_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("50 is not 0");
const FRAMES_AT_ONCE: NonZeroU32 = NonZeroU32::new(400).expect("400 is not 0");

/// Audits that an agent may send over time, and at once: each may cost a transaction of the database.
const AUDIT_PERIOD: Duration = Duration::from_secs(5);
const AUDITS_AT_ONCE: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");

/// Runs the session until the agent ends it, it is cut, or it drained. What it does rarely is boxed: a session's memory is that of the
/// largest thing it may ever do, for as long as it lasts.
pub(super) async fn run(
    session: Session,
    mut frames: Streaming<AgentFrame>,
    acked: Seq,
) -> Result<(), Status> {
    let mut running = Running {
        inflow: Inflow::from(acked.next().get()),
        limiter: RateLimiter::direct(
            Quota::per_second(FRAMES_PER_SECOND).allow_burst(FRAMES_AT_ONCE),
        ),
        audit_limiter: RateLimiter::direct(audit_quota()),
        audit: None,
        actions: Actions::open(&session),
        checkpoints: Checkpoints::open(&session),
        acked,
        session,
    };
    let stop = running.session.app.life.stop_token();
    let cut = running.session.cut.clone();
    let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leave_by: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = cut.cancelled() => return Err(running.why_cut()),
            () = stop.cancelled(), if leave_by.is_none() => {
                running.session.drain().await?;
                leave_by = Some(Instant::now() + DRAIN_PATIENCE);
            }
            () = tokio::time::sleep_until(leave_by.unwrap_or_else(Instant::now)), if leave_by.is_some() => return Ok(()),
            through = running.session.lane.acked() => running.send_ack(through).await?,
            frame = running.actions.next() => running.session.send(frame).await?,
            () = running.checkpoints.changed() => {
                Box::pin(running.checkpoints.offer_newest(&running.session)).await?;
            }
            _ = heartbeat.tick() => {
                running.send_ack(running.acked).await?;
                Box::pin(running.store_audit()).await?;
                Box::pin(running.actions.store(&running.session)).await?;
            }
            frame = frames.message() => match frame? {
                Some(frame) => running.take(frame, &mut heartbeat).await?,
                None => return Ok(()),
            },
        }
    }
}

fn missing(missing: Missing) -> Status {
    Status::invalid_argument(missing.to_string())
}

/// See [`AUDIT_PERIOD`].
fn audit_quota() -> Quota {
    Quota::with_period(AUDIT_PERIOD)
        .unwrap_or_else(|| Quota::per_second(AUDITS_AT_ONCE))
        .allow_burst(AUDITS_AT_ONCE)
}

struct Running {
    session: Session,
    inflow: Inflow,
    limiter: DefaultDirectRateLimiter,
    audit_limiter: DefaultDirectRateLimiter,
    /// The newest audit, while the database is away or full; the session lasts meanwhile.
    audit: Option<HostAudit>,
    actions: Actions,
    checkpoints: Checkpoints,
    acked: Seq,
}

impl Running {
    fn why_cut(&self) -> Status {
        let now = self.session.app.clock.now();
        let revoked = self
            .session
            .app
            .live
            .read(self.session.host, |host| host.state(now) == "revoked");
        if revoked == Some(true) {
            Status::permission_denied(
                "this host is revoked; reset its identity and enrol it with a new token",
            )
        } else {
            Status::aborted("another session of this host took over")
        }
    }

    async fn send_ack(&mut self, through: Seq) -> Result<(), Status> {
        self.acked = through;
        let ack = Ack {
            through_seq: through.get(),
            credit: CREDIT_RECORDS,
        };
        self.session.send(controller_frame::Kind::Ack(ack)).await
    }

    async fn take(&mut self, frame: AgentFrame, heartbeat: &mut Interval) -> Result<(), Status> {
        self.limiter.until_ready().await;
        match frame.kind {
            Some(agent_frame::Kind::Records(batch)) => match self.inflow.decode(&batch) {
                Ok(decoded) => {
                    let session = &self.session;
                    session
                        .app
                        .places
                        .pace
                        .records(session.host, batch.count)
                        .await;
                    self.inflow.expect_records(&batch).map_err(missing)?;
                    self.tell_refused(&decoded).await?;
                    self.deliver(Delivered::Records(decoded), heartbeat).await
                }
                Err(error) => self.refuse(&batch, &error).await,
            },
            Some(agent_frame::Kind::Gap(gap)) => {
                let gap = gap_from_wire(&gap).map_err(|error| self.session.refused(&error))?;
                self.inflow.expect_gap(gap).map_err(missing)?;
                self.deliver(Delivered::Gap(gap), heartbeat).await
            }
            Some(agent_frame::Kind::Spool(status)) => self.session.take_spool_status(&status),
            Some(agent_frame::Kind::Audit(audit)) => Box::pin(self.take_audit(audit)).await,
            Some(agent_frame::Kind::Action(update)) => {
                let report =
                    report_from_wire(update).map_err(|error| self.session.refused(&error))?;
                Box::pin(self.actions.take_report(&self.session, report)).await
            }
            Some(agent_frame::Kind::Policy(policy)) => {
                let policy =
                    policy_from_wire(policy).map_err(|error| self.session.refused(&error))?;
                Box::pin(self.actions.take_policy(&self.session, policy)).await
            }
            Some(agent_frame::Kind::Checkpoint(told)) => {
                let told =
                    reported_from_wire(told).map_err(|error| self.session.refused(&error))?;
                Box::pin(self.checkpoints.take(&self.session, told)).await
            }
            Some(agent_frame::Kind::Upgrade(told)) => {
                let told = upgrade::report_from_wire(told)
                    .map_err(|error| self.session.refused(&error))?;
                Box::pin(self.session.take_upgrade(told)).await
            }
            Some(agent_frame::Kind::UpgradePieceWanted(wanted)) => {
                let wanted = upgrade::wanted_from_wire(&wanted)
                    .map_err(|error| self.session.refused(&error))?;
                Box::pin(self.session.send_piece(wanted)).await
            }
            Some(agent_frame::Kind::Hello(_)) => Err(Status::invalid_argument(
                "hello must be the first frame, and only the first",
            )),
            None => Err(Status::invalid_argument(
                "an empty frame, or one of a newer protocol",
            )),
        }
    }

    /// An audit is taken whole or refused whole.
    async fn take_audit(&mut self, audit: v1::HostAudit) -> Result<(), Status> {
        self.audit_limiter.until_ready().await;
        let audit = audit_from_wire(audit).map_err(|error| self.session.refused(&error))?;
        self.audit = Some(audit);
        self.store_audit().await
    }

    /// Stores the audit that waits. While the database is away it goes on waiting.
    async fn store_audit(&mut self) -> Result<(), Status> {
        let Some(audit) = self.audit.take() else {
            return Ok(());
        };
        let Session {
            app, host, skew_ms, ..
        } = &self.session;
        match app.take_audit(*host, audit.clone(), *skew_ms).await {
            Ok(()) => Ok(()),
            Err(error) if is_away(error.code()) => {
                self.audit = Some(audit);
                Ok(())
            }
            Err(error) => Err(status_of(&error)),
        }
    }

    async fn tell_refused(&self, decoded: &DecodedBatch) -> Result<(), Status> {
        for (_, error) in &decoded.refused {
            let _: Status = self.session.refused(error);
        }
        for refused in refused_records(decoded) {
            self.session
                .send(controller_frame::Kind::Refused(refused))
                .await?;
        }
        Ok(())
    }

    /// Hands records to ingest; while ingest is busy, heartbeats go on.
    async fn deliver(
        &mut self,
        delivered: Delivered,
        heartbeat: &mut Interval,
    ) -> Result<(), Status> {
        let cut = self.session.cut.clone();
        let place = loop {
            tokio::select! {
                () = cut.cancelled() => return Err(self.why_cut()),
                place = self.session.lane.reserve() => break place.map_err(|error| status_of(&error))?,
                _ = heartbeat.tick() => {
                    let ack = Ack { through_seq: self.acked.get(), credit: CREDIT_RECORDS };
                    self.session.send(controller_frame::Kind::Ack(ack)).await?;
                }
            }
        };
        place.send(delivered);
        Ok(())
    }

    /// Tells the agent which records cannot be taken, and ends the session: its name table may be half read.
    async fn refuse(&mut self, batch: &RecordBatch, error: &ConvertError) -> Result<(), Status> {
        let status = self.session.refused(error);
        let refused = refused_batch(batch, error);
        self.session
            .send(controller_frame::Kind::Refused(refused))
            .await?;
        Err(status)
    }
}

impl Session {
    /// Notes that a frame was refused, and says so in the agent's terms.
    pub(super) fn refused(&self, error: &impl ApiError) -> Status {
        self.app.metrics.frames_refused.add(1);
        self.app.note(
            Some(self.host),
            NoticeKind::FrameRefused,
            format!("a frame was refused: {error}"),
        );
        status_of(error)
    }

    pub(super) fn take_spool_status(&self, status: &SpoolStatus) -> Result<(), Status> {
        let counts = counts_from_wire(status).map_err(|error| status_of(&error))?;
        let now = self.app.clock.now();
        self.app.live.update(self.host, |host| {
            host.delivery.spool = Some(counts);
            host.last_seen = Some(now);
        });
        Ok(())
    }
}
