//! Actions: typed remediation on one host, what it may say, who signed it, where it stands and what came of it.
//!
//! An action is never a shell string. What may be done on a host is that host's policy's business.

pub mod host_policy;
pub mod kind;
pub mod life;
pub mod order;
pub mod report;
pub mod spec;
pub mod state;
pub mod unlock;

pub use host_policy::{HostKey, HostPolicyView, KeyStanding, Profile, RefusedStatement};
pub use kind::{ActionKind, Tier};
pub use life::{Action, ActionBody, Approval, BroughtSignature, Effect, LifeStep, Watch};
pub use order::{ActionId, Order, SignedOrder};
pub use report::{ActionReport, Change, Refusal, Step, StepState};
pub use spec::{ActionSpec, SpecProblem};
pub use state::{ActionState, InvalidActionStep};
pub use unlock::Unlock;
