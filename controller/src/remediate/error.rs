//! Why something is not done with an action, by what the caller can do about it.

use tidemark_model::ErrorCode;
use tidemark_model::action::InvalidActionStep;
use tidemark_model::error_code::ApiError;
use tidemark_model::signing::KeyId;
use tidemark_store::StoreError;

/// Why it is not done; nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// There is no such action.
    #[error("there is no such action; the list of actions has their ids")]
    Unknown,
    /// Values that are out of limits, one sentence each.
    #[error("{}", .0.join("; "))]
    Limits(Vec<String>),
    /// Its life has no such step.
    #[error(transparent)]
    Step(#[from] InvalidActionStep),
    /// The requester tried to approve.
    #[error("you asked for this action; somebody else must approve it")]
    OwnApproval,
    /// One person tried to approve twice.
    #[error("you have approved this action already; it takes one more person")]
    ApprovedBefore,
    /// That key has signed before.
    #[error("that key has signed this action already")]
    SignedBefore,
    /// The host may have it.
    #[error(
        "it was sent to its host, which may have begun; it cannot be taken back, only stopped by a lockdown"
    )]
    Sent,
    /// Nobody may sign it any more.
    #[error("an action that is {0} takes no more signatures; they must come before it is sent")]
    NotSignable(&'static str),
    /// There is no such grant.
    #[error("there is no such grant; the list of grants has their ids")]
    UnknownGrant,
    /// That grant was brought before.
    #[error("a grant of that id is kept already")]
    GrantBefore,
    /// It has a signed end.
    #[error("that grant has a signed end by key {0} already, of which its hosts are told")]
    EndedBefore(KeyId),
    /// The same key of a request came with another request.
    #[error("that Idempotency-Key belongs to another request of yours; use a new one")]
    RequestDiffers,
    /// Too many wait for that host.
    #[error("{0} actions of that host have not ended; wait for them, or cancel some")]
    TooMany(usize),
    /// The host is this controller's own.
    #[error(
        "this controller runs on that host, and would pull the ground from under itself; do it by hand, or see remediation.own_host in the configuration"
    )]
    OwnHost,
    /// The host was shut out.
    #[error("that host is revoked or quarantined; it takes no orders")]
    HostOut,
    /// Everything is stopped, so that no host may go on.
    #[error("every action is stopped; lift the lockdown first")]
    Locked,
    /// The host is not connected, or takes no actions.
    #[error("that host is not connected to this controller, or its agent takes no actions")]
    NotHere,
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for ActionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown | Self::UnknownGrant => ErrorCode::NotFound,
            Self::Limits(_) => ErrorCode::InvalidArgument,
            Self::OwnApproval | Self::OwnHost => ErrorCode::Forbidden,
            Self::ApprovedBefore
            | Self::SignedBefore
            | Self::GrantBefore
            | Self::EndedBefore(_)
            | Self::RequestDiffers => ErrorCode::Conflict,
            Self::Step(_)
            | Self::Sent
            | Self::NotSignable(_)
            | Self::HostOut
            | Self::Locked
            | Self::NotHere => ErrorCode::Precondition,
            Self::TooMany(_) => ErrorCode::Exhausted,
            Self::Store(error) => error.code(),
        }
    }
}
