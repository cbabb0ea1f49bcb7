//! Why something is not done with a run, by what the caller can do about it.

use tidemark_model::ErrorCode;
use tidemark_model::error_code::ApiError;
use tidemark_store::StoreError;

/// Why it is not done; nothing is changed then, but a plan that was made again.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no such run.
    #[error("there is no such run; the list of runs has their numbers")]
    Unknown,
    /// Values that are out of limits, one sentence each.
    #[error("{}", .0.join("; "))]
    Limits(Vec<String>),
    /// The requester tried to approve.
    #[error("you asked for this run; somebody else must approve it")]
    OwnApproval,
    /// One person tried to approve twice.
    #[error("you have approved this plan already; it takes one more person")]
    ApprovedBefore,
    /// Another plan was approved or signed than there is.
    #[error("the plan that is meant is {found}, and the run's is {plan}; look at it again")]
    OtherPlan {
        /// Which was meant, cut.
        found: String,
        /// What there is.
        plan: String,
    },
    /// What the plan was made from changed.
    #[error(
        "the plan is older than what it was made from, and was made again; look at it, and approve that"
    )]
    PlanOlder,
    /// Somebody brought a signature of that key at the same moment.
    #[error(
        "that key's signature was brought at the same moment; look at the run, and sign what is left"
    )]
    SignedMeanwhile,
    /// It stands elsewhere.
    #[error("a run that is {state} cannot be {verb}")]
    Standing {
        /// Where.
        state: &'static str,
        /// What was to be done.
        verb: &'static str,
    },
    /// Too many have not ended.
    #[error("{0} runs have not ended; wait for them, or stop some")]
    TooMany(usize),
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for RunError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::NotFound,
            Self::Limits(_) => ErrorCode::InvalidArgument,
            Self::OwnApproval => ErrorCode::Forbidden,
            Self::ApprovedBefore | Self::SignedMeanwhile => ErrorCode::Conflict,
            Self::OtherPlan { .. } | Self::PlanOlder | Self::Standing { .. } => {
                ErrorCode::Precondition
            }
            Self::TooMany(_) => ErrorCode::Exhausted,
            Self::Store(error) => error.code(),
        }
    }
}
