//! Wire frames <-> the core's words.

use std::sync::Arc;
use std::time::Duration;

use tidemark_agent_core::{Incoming, OutboxView, SessionConfig, Settings, Welcome};
use tidemark_model::action::HostPolicyView;
use tidemark_model::audit_log::{Offered, Reported};
use tidemark_model::upgrade::UpgradeReport;
use tidemark_model::{
    ActionReport, HostAudit, HostFacts, RecordGap, Seq, SessionId, SpoolCounts, Timestamp,
};
use tidemark_proto::convert::ConvertError;
use tidemark_proto::convert::action::{
    ack_from_wire, action_id_from_wire, order_from_wire, policy_to_wire, report_to_wire,
    signatures_from_wire,
};
use tidemark_proto::convert::audit::audit_to_wire;
use tidemark_proto::convert::checkpoint::{offered_from_wire, reported_to_wire};
use tidemark_proto::convert::delivery::{SEQ_MAX, counts_to_wire, gap_to_wire, seq_range};
use tidemark_proto::convert::facts::facts_to_wire;
use tidemark_proto::convert::grant;
use tidemark_proto::convert::key_statement::statement_from_wire;
use tidemark_proto::convert::upgrade;
use tidemark_proto::v1::{self, agent_frame, controller_frame};

use crate::actions::Message;
use crate::link::failure::shown;
use crate::upgrades::UpgradeMessage;

/// Largest signed end of a lockdown: a host id and a time.
const UNLOCK_BYTES_MAX: usize = 1024;

/// What a hello says beside the core's view of the outbox.
pub(super) struct Greeting<'a> {
    pub(super) config: &'a SessionConfig,
    pub(super) facts: &'a HostFacts,
    pub(super) now: Timestamp,
    pub(super) certificate_generation: u64,
    pub(super) counts: SpoolCounts,
    pub(super) takes_actions: bool,
}

pub(super) fn hello(view: OutboxView, greeting: &Greeting<'_>) -> v1::AgentFrame {
    frame(agent_frame::Kind::Hello(v1::Hello {
        protocol_min: greeting.config.protocol_min,
        protocol_max: greeting.config.protocol_max,
        facts: Some(facts_to_wire(greeting.facts)),
        epoch: view.epoch.get(),
        oldest_seq: view.oldest.get(),
        newest_seq: view.newest.get(),
        clock_ms: greeting.now.unix_ms(),
        certificate_generation: greeting.certificate_generation,
        spool: Some(counts_to_wire(greeting.counts)),
        takes_actions: greeting.takes_actions,
    }))
}

pub(super) const fn records(batch: v1::RecordBatch) -> v1::AgentFrame {
    frame(agent_frame::Kind::Records(batch))
}

pub(super) fn gap(gap: RecordGap) -> v1::AgentFrame {
    frame(agent_frame::Kind::Gap(gap_to_wire(gap)))
}

pub(super) const fn status(counts: SpoolCounts) -> v1::AgentFrame {
    frame(agent_frame::Kind::Spool(counts_to_wire(counts)))
}

pub(super) fn audit(audit: &HostAudit) -> v1::AgentFrame {
    frame(agent_frame::Kind::Audit(audit_to_wire(audit)))
}

pub(super) fn policy(policy: &HostPolicyView) -> v1::AgentFrame {
    frame(agent_frame::Kind::Policy(policy_to_wire(policy)))
}

pub(super) fn checkpoint(report: &Reported) -> v1::AgentFrame {
    frame(agent_frame::Kind::Checkpoint(reported_to_wire(report)))
}

pub(super) fn upgrade(report: &UpgradeReport) -> v1::AgentFrame {
    frame(agent_frame::Kind::Upgrade(upgrade::report_to_wire(report)))
}

pub(super) fn piece_wanted(wanted: &upgrade::PieceWanted) -> v1::AgentFrame {
    frame(agent_frame::Kind::UpgradePieceWanted(
        upgrade::wanted_to_wire(wanted),
    ))
}

/// `None` for a report in a state that is not a host's to tell.
pub(super) fn report(report: &ActionReport) -> Option<v1::AgentFrame> {
    report_to_wire(report).map(|update| frame(agent_frame::Kind::Action(update)))
}

const fn check_unlock_length(length: usize) -> Result<(), ConvertError> {
    if length > UNLOCK_BYTES_MAX {
        return Err(ConvertError::OutOfRange {
            field: "lockdown.unlock",
            value: length as u64,
            limit: UNLOCK_BYTES_MAX as u64,
        });
    }
    Ok(())
}

const fn frame(kind: agent_frame::Kind) -> v1::AgentFrame {
    v1::AgentFrame { kind: Some(kind) }
}

/// What a frame says, and to whom.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// To the core's session.
    Core(Incoming),
    /// To the desk of actions.
    Desk(Message),
    /// How the controller's audit log stands.
    Checkpoint(Offered),
    /// To the desk of upgrades.
    Upgrade(UpgradeMessage),
}

/// What a frame says; `None` for a kind that this build does not know, which newer controllers may send.
///
/// # Errors
/// When a known frame is malformed.
pub(crate) fn heard(frame: v1::ControllerFrame) -> Result<Option<Heard>, ConvertError> {
    let Some(kind) = frame.kind else {
        return Ok(None);
    };
    Ok(Some(match kind {
        controller_frame::Kind::Welcome(welcome) => Heard::Core(Incoming::Welcome(Welcome {
            protocol: welcome.protocol,
            session: SessionId::new(welcome.session_id),
            acked: seq("welcome.acked_seq", welcome.acked_seq)?,
            credit: welcome.credit,
            batch_records_max: welcome.batch_records_max,
            batch_bytes_max: welcome.batch_bytes_max,
            settings: welcome.settings.map(settings),
        })),
        controller_frame::Kind::Ack(ack) => Heard::Core(Incoming::Ack {
            through: seq("ack.through_seq", ack.through_seq)?,
            credit: ack.credit,
        }),
        controller_frame::Kind::Settings(wish) => Heard::Core(Incoming::Settings(settings(wish))),
        controller_frame::Kind::Drain(drain) => Heard::Core(Incoming::Drain {
            spread: Duration::from_millis(drain.spread_ms.into()),
        }),
        controller_frame::Kind::Refused(refused) => {
            let (first, last) = seq_range("refused", refused.first_seq, refused.last_seq)?;
            Heard::Core(Incoming::Refused {
                first,
                last,
                reason: Arc::from(shown(&refused.reason)),
            })
        }
        controller_frame::Kind::Action(order) => {
            let grant_id = order.grant_id.clone();
            let order = order_from_wire(order)?;
            Heard::Desk(if grant_id.is_empty() {
                Message::Order(order)
            } else {
                Message::Granted(order, grant::id_from_wire(&grant_id)?)
            })
        }
        controller_frame::Kind::Grants(list) => {
            Heard::Desk(Message::Grants(grant::list_from_wire(list)?))
        }
        controller_frame::Kind::ActionAck(ack) => Heard::Desk(Message::Acked(ack_from_wire(&ack)?)),
        controller_frame::Kind::ActionUndo(undo) => {
            Heard::Desk(Message::Undo(action_id_from_wire(&undo.action_id)?))
        }
        controller_frame::Kind::ActionConfirm(confirm) => {
            Heard::Desk(Message::Confirmed(action_id_from_wire(&confirm.action_id)?))
        }
        controller_frame::Kind::Lockdown(lockdown) if lockdown.stop => Heard::Desk(Message::Stop),
        controller_frame::Kind::Lockdown(lockdown) => {
            check_unlock_length(lockdown.unlock.len())?;
            Heard::Desk(Message::GoOn {
                signatures: signatures_from_wire(&lockdown.signatures)?,
                unlock: lockdown.unlock,
            })
        }
        controller_frame::Kind::Checkpoint(offered) => {
            Heard::Checkpoint(offered_from_wire(offered)?)
        }
        controller_frame::Kind::UpgradeOffer(offer) => {
            Heard::Upgrade(UpgradeMessage::Offered(upgrade::offer_from_wire(offer)?))
        }
        controller_frame::Kind::UpgradePiece(piece) => {
            Heard::Upgrade(UpgradeMessage::Piece(upgrade::piece_from_wire(piece)?))
        }
        controller_frame::Kind::KeyStatement(statement) => {
            Heard::Desk(Message::KeyStatement(statement_from_wire(statement)?))
        }
    }))
}

const fn settings(wish: v1::Settings) -> Settings {
    Settings {
        sample_interval_ms: wish.sample_interval_ms,
    }
}

const fn seq(field: &'static str, number: u64) -> Result<Seq, ConvertError> {
    if number > SEQ_MAX {
        return Err(ConvertError::OutOfRange {
            field,
            value: number,
            limit: SEQ_MAX,
        });
    }
    Ok(Seq::new(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    proptest! {
        #[test]
        fn hostile_frames_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(frame) = v1::ControllerFrame::decode(bytes.as_slice()) {
                drop(heard(frame));
            }
        }
    }

    #[test]
    fn a_frame_of_an_unknown_kind_is_passed_over() {
        let unknown = v1::ControllerFrame::decode([0xfa, 0x02, 0x00].as_slice()).unwrap();
        assert_eq!(heard(unknown), Ok(None));
    }
}
