//! Actions on the wire: orders and their signatures, what hosts report, and what their policies let be done.

use data_encoding::HEXLOWER;
use tidemark_model::Timestamp;
use tidemark_model::action::report::{REPORT_CHARS_MAX, REPORT_ITEMS_MAX};
use tidemark_model::action::{
    ActionId, ActionKind, ActionReport, ActionState, Change, HostPolicyView, Profile, Refusal,
    SignedOrder, Step, StepState, host_policy::HOST_KEYS_MAX, order::ORDER_BYTES_MAX,
};
use tidemark_model::signing::{KeyId, SIGNATURES_MAX, Signature, TRUSTED_KEYS_MAX};

use super::key_statement::{
    host_key_to_wire, host_keys_from_wire, refused_statements_from_wire, refused_statements_to_wire,
};
use super::{ConvertError, at_most, cut_chars, list_at_most, time_from_wire};
use crate::v1;

/// Declares which name of the wire stands for which of the model.
macro_rules! enumeration {
    ($to:ident, $from:ident, $model:ident, $wire:ident, $field:literal, [$($name:ident),* $(,)?]) => {
        const fn $to(value: $model) -> v1::$wire {
            match value { $($model::$name => v1::$wire::$name,)* }
        }

        fn $from(number: i32) -> Result<$model, ConvertError> {
            match v1::$wire::try_from(number) {
                $(Ok(v1::$wire::$name) => Ok($model::$name),)*
                Ok(v1::$wire::Unspecified) | Err(_) => Err(malformed($field, "it is not one of this protocol's")),
            }
        }
    };
}

enumeration!(
    refusal_to_wire,
    refusal_from_wire,
    Refusal,
    ActionRefusal,
    "action.refusal",
    [
        Malformed,
        WrongHost,
        Expired,
        NotYet,
        Replayed,
        Unsigned,
        UnknownKey,
        BadSignature,
        TwiceSigned,
        NotAllowed,
        OutsideHours,
        TooOften,
        Busy,
        Lockdown,
        PolicyUnusable,
        Unsupported,
        Protected,
        NoSuchTarget,
        Unsafe,
        NotGranted,
    ]
);
enumeration!(
    step_to_wire,
    step_from_wire,
    StepState,
    ActionStepState,
    "action.steps.state",
    [Planned, Done, Skipped, Failed,]
);
enumeration!(
    profile_to_wire,
    profile_from_wire,
    Profile,
    HostProfile,
    "policy.profile",
    [Observe, Safe, Full,]
);
enumeration!(
    kind_to_wire,
    kind_from_wire,
    ActionKind,
    ActionKind,
    "policy.allowed",
    [
        CollectEvidence,
        WriteEvent,
        RestartService,
        RecycleAppPool,
        EndProcess,
        SetDynamicPortRange,
        SetTcpParameter,
        SetTcpGlobal,
        SetNicOffload,
        SetInterruptModeration,
        SetDotnetConnectionLimit,
        ResetTcpStack,
        Reboot,
        RunHook,
    ]
);

/// The states that a host can tell; a host never says where the controller stands.
const fn state_to_wire(state: ActionState) -> Option<v1::ActionState> {
    Some(match state {
        ActionState::Accepted => v1::ActionState::Accepted,
        ActionState::Running => v1::ActionState::Running,
        ActionState::Verifying => v1::ActionState::Verifying,
        ActionState::Answered => v1::ActionState::Answered,
        ActionState::Refused => v1::ActionState::Refused,
        ActionState::Failed => v1::ActionState::Failed,
        ActionState::RolledBack => v1::ActionState::RolledBack,
        ActionState::Proposed
        | ActionState::Approved
        | ActionState::Queued
        | ActionState::Sent
        | ActionState::Verified
        | ActionState::Rejected
        | ActionState::Expired
        | ActionState::NotEffective
        | ActionState::TimedOut
        | ActionState::Cancelled => return None,
    })
}

fn state_from_wire(number: i32) -> Result<ActionState, ConvertError> {
    ActionState::ALL
        .iter()
        .copied()
        .find(|state| state_to_wire(*state).is_some_and(|wire| i32::from(wire) == number))
        .ok_or_else(|| malformed("action.state", "it is not one that a host tells"))
}

/// A signed order for the wire.
#[must_use]
pub fn order_to_wire(order: &SignedOrder) -> v1::ActionOrder {
    v1::ActionOrder {
        order: order.bytes.clone(),
        signatures: signatures_to_wire(&order.signatures),
        action_id: order.id.as_bytes().to_vec(),
        grant_id: Vec::new(),
    }
}

/// A signed order from the wire; what it says is not looked at.
///
/// # Errors
/// When it is too long, or has too many or malformed signatures.
pub fn order_from_wire(order: v1::ActionOrder) -> Result<SignedOrder, ConvertError> {
    let limit = ("action.order", ORDER_BYTES_MAX);
    let (bytes, signatures) = signed_from_wire(limit, order.order, &order.signatures)?;
    Ok(SignedOrder {
        id: action_id_from_wire(&order.action_id)?,
        signatures,
        bytes,
    })
}

/// Bytes that were signed, at most so many, and who signed them; what they say is not looked at.
pub(super) fn signed_from_wire(
    (field, bytes_max): (&'static str, usize),
    bytes: Vec<u8>,
    signatures: &[v1::OperatorSignature],
) -> Result<(Vec<u8>, Vec<Signature>), ConvertError> {
    list_at_most(field, bytes.len(), bytes_max)?;
    Ok((bytes, signatures_from_wire(signatures)?))
}

/// Signatures for the wire.
#[must_use]
pub fn signatures_to_wire(signatures: &[Signature]) -> Vec<v1::OperatorSignature> {
    signatures
        .iter()
        .map(|signature| v1::OperatorSignature {
            key_id: signature.key.as_bytes().to_vec(),
            signature: signature.bytes.to_vec(),
        })
        .collect()
}

/// Signatures from the wire.
///
/// # Errors
/// When there are too many, or one is not 64 bytes of a key named by 8.
pub fn signatures_from_wire(
    signatures: &[v1::OperatorSignature],
) -> Result<Vec<Signature>, ConvertError> {
    list_at_most("signatures", signatures.len(), SIGNATURES_MAX)?;
    signatures
        .iter()
        .map(|one| {
            let bytes = one.signature.as_slice().try_into();
            Ok(Signature {
                key: key_from_wire("signatures.key_id", &one.key_id)?,
                bytes: bytes
                    .map_err(|_| malformed("signatures.signature", "it is 64 bytes long"))?,
            })
        })
        .collect()
}

pub(super) fn key_from_wire(field: &'static str, bytes: &[u8]) -> Result<KeyId, ConvertError> {
    bytes
        .try_into()
        .map(KeyId::from_bytes)
        .map_err(|_| malformed(field, "it is 8 bytes long"))
}

/// An action's id from the wire.
///
/// # Errors
/// When it is not 16 bytes.
pub fn action_id_from_wire(bytes: &[u8]) -> Result<ActionId, ConvertError> {
    bytes
        .try_into()
        .map(ActionId::from_bytes)
        .map_err(|_| malformed("action_id", "it is 16 bytes long"))
}

/// A host's report for the wire; `None` for a state that is not a host's to tell.
#[must_use]
pub fn report_to_wire(report: &ActionReport) -> Option<v1::ActionUpdate> {
    let wire_text = |text: &str| cut_chars(text, REPORT_CHARS_MAX).to_owned();
    Some(v1::ActionUpdate {
        action_id: report.id.as_bytes().to_vec(),
        state: state_to_wire(report.state)?.into(),
        at_ms: report.at_ms.unix_ms(),
        refusal: report
            .refusal
            .map_or(v1::ActionRefusal::Unspecified, refusal_to_wire)
            .into(),
        text: wire_text(&report.text),
        steps: report
            .steps
            .iter()
            .take(REPORT_ITEMS_MAX)
            .map(|step| v1::ActionStep {
                what: wire_text(&step.what),
                state: step_to_wire(step.state).into(),
                text: wire_text(&step.text),
            })
            .collect(),
        changes: report
            .changes
            .iter()
            .take(REPORT_ITEMS_MAX)
            .map(|change| v1::ActionChange {
                what: wire_text(&change.what),
                before: change.before.as_deref().map(wire_text),
                after: change.after.as_deref().map(wire_text),
            })
            .collect(),
        needs_reboot: report.needs_reboot,
        boot_id: report.boot_id.as_deref().map(wire_text),
        undo_refused: report.undo_refused.as_deref().map(wire_text),
    })
}

/// A host's report from the wire. Texts are cut.
///
/// # Errors
/// When a state is not a host's to tell, a refusal has no reason or another state has one, or a list is too long.
pub fn report_from_wire(update: v1::ActionUpdate) -> Result<ActionReport, ConvertError> {
    list_at_most("action.steps", update.steps.len(), REPORT_ITEMS_MAX)?;
    list_at_most("action.changes", update.changes.len(), REPORT_ITEMS_MAX)?;
    let state = state_from_wire(update.state)?;
    let refusal = match (state, update.refusal) {
        (ActionState::Refused, number) => Some(refusal_from_wire(number)?),
        (_, 0) => None,
        (_, _) => {
            return Err(malformed("action.refusal", "only what was refused has one"));
        }
    };
    let cut = |text: &str| cut_chars(text, REPORT_CHARS_MAX).to_owned();
    let steps = update.steps.iter().map(|step| {
        Ok(Step {
            what: cut(&step.what),
            state: step_from_wire(step.state)?,
            text: cut(&step.text),
        })
    });
    Ok(ActionReport {
        id: action_id_from_wire(&update.action_id)?,
        state,
        at_ms: time_from_wire("action.at_ms", update.at_ms)?,
        refusal,
        text: cut(&update.text),
        steps: steps.collect::<Result<_, _>>()?,
        changes: update
            .changes
            .iter()
            .map(|change| Change {
                what: cut(&change.what),
                before: change.before.as_deref().map(cut),
                after: change.after.as_deref().map(cut),
            })
            .collect(),
        needs_reboot: update.needs_reboot,
        boot_id: update.boot_id.as_deref().map(cut),
        undo_refused: update.undo_refused.as_deref().map(cut),
    })
}

/// A report that the controller has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredReport {
    /// The action that it is about.
    pub action: ActionId,
    /// The state that it told.
    pub state: ActionState,
    /// Its own time; `None` from a controller that does not say.
    pub at: Option<Timestamp>,
}

/// The acknowledgement of a report.
#[must_use]
pub fn ack_to_wire(report: &ActionReport) -> Option<v1::ActionAck> {
    Some(v1::ActionAck {
        action_id: report.id.as_bytes().to_vec(),
        state: state_to_wire(report.state)?.into(),
        at_ms: Some(report.at_ms.unix_ms()),
    })
}

/// Which report is stored.
///
/// # Errors
/// When the id is malformed, the state not a host's or the time out of range.
pub fn ack_from_wire(ack: &v1::ActionAck) -> Result<StoredReport, ConvertError> {
    let at = ack
        .at_ms
        .map(|at_ms| time_from_wire("action_ack.at_ms", at_ms));
    Ok(StoredReport {
        action: action_id_from_wire(&ack.action_id)?,
        state: state_from_wire(ack.state)?,
        at: at.transpose()?,
    })
}

/// A host's policy for the wire.
#[must_use]
pub fn policy_to_wire(policy: &HostPolicyView) -> v1::HostPolicy {
    v1::HostPolicy {
        profile: policy
            .profile
            .map_or(v1::HostProfile::Unspecified, profile_to_wire)
            .into(),
        unusable: policy.unusable.clone(),
        allowed: policy
            .allowed
            .iter()
            .map(|kind| kind_to_wire(*kind).into())
            .collect(),
        key_ids: policy
            .keys
            .iter()
            .take(TRUSTED_KEYS_MAX)
            .map(|key| key.as_bytes().to_vec())
            .collect(),
        lockdown: policy.lockdown,
        digest: HEXLOWER
            .decode(policy.digest.as_bytes())
            .unwrap_or_default(),
        keys: policy
            .all_keys
            .iter()
            .take(HOST_KEYS_MAX)
            .map(host_key_to_wire)
            .collect(),
        refused_statements: refused_statements_to_wire(&policy.refused_statements),
        undoes: policy.undoes,
        grant_ids: super::grant::ids_to_wire(&policy.grants),
    }
}

/// A host's policy from the wire. Kinds that this build does not know are left out, so that newer agents work.
///
/// # Errors
/// When a list is too long, a key or the digest malformed, or neither a profile nor a reason for none is there.
pub fn policy_from_wire(policy: v1::HostPolicy) -> Result<HostPolicyView, ConvertError> {
    list_at_most("policy.allowed", policy.allowed.len(), REPORT_ITEMS_MAX)?;
    list_at_most("policy.key_ids", policy.key_ids.len(), TRUSTED_KEYS_MAX)?;
    at_most("policy.digest", policy.digest.len() as u64, 32)?;
    let unusable = policy
        .unusable
        .as_deref()
        .map(|text| cut_chars(text, REPORT_CHARS_MAX).to_owned());
    let profile = match &unusable {
        Some(_) => None,
        None => Some(profile_from_wire(policy.profile)?),
    };
    let keys = policy
        .key_ids
        .iter()
        .map(|key| key_from_wire("policy.key_ids", key));
    Ok(HostPolicyView {
        profile,
        unusable,
        allowed: policy
            .allowed
            .iter()
            .filter_map(|kind| kind_from_wire(*kind).ok())
            .collect(),
        keys: keys.collect::<Result<_, _>>()?,
        lockdown: policy.lockdown,
        digest: HEXLOWER.encode(&policy.digest),
        all_keys: host_keys_from_wire(policy.keys)?,
        refused_statements: refused_statements_from_wire(policy.refused_statements)?,
        undoes: policy.undoes,
        grants: super::grant::ids_from_wire(&policy.grant_ids)?,
    })
}

pub(super) const fn malformed(field: &'static str, reason: &'static str) -> ConvertError {
    ConvertError::Malformed { field, reason }
}

#[cfg(test)]
mod tests;
