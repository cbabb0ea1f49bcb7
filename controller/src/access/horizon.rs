//! What one caller sees of the fleet: the way from a request to hosts. Handlers get it instead of the application, so that a look
//! at a host that forgets the caller's scope does not compile.

use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tidemark_model::error_code::ApiError;
use tidemark_model::{ErrorCode, HostId, HostScope};

use crate::api::guard::Asking;
use crate::api::problem::ApiProblem;
use crate::app::App;

/// The part of the fleet that a caller sees and acts on, as of each look: a host whose labels change is in or out at once.
#[derive(Clone)]
pub struct Horizon {
    app: Arc<App>,
    scope: HostScope,
}

/// Hosts of one caller and how many others there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Those in scope, in their order.
    pub seen: Vec<HostId>,
    /// How many are not.
    pub hidden: usize,
}

/// Something that concerns hosts outside of the scope of whoever asks for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{hidden} of the {all} hosts that this concerns are outside of your scope {scope}; ask somebody whose scope has them all"
)]
pub struct BeyondScope {
    hidden: usize,
    all: usize,
    scope: HostScope,
}

impl ApiError for BeyondScope {
    fn code(&self) -> ErrorCode {
        ErrorCode::Forbidden
    }
}

impl Horizon {
    /// What a scope holds.
    #[must_use]
    pub const fn new(app: Arc<App>, scope: HostScope) -> Self {
        Self { app, scope }
    }

    /// The controller, for what is not about single hosts.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The scope.
    #[must_use]
    pub const fn scope(&self) -> &HostScope {
        &self.scope
    }

    /// Whether the host is in the scope. One that this controller does not know is in that of all hosts alone.
    #[must_use]
    pub fn sees(&self, host: HostId) -> bool {
        self.app.live.is_within(host, &self.scope)
    }

    /// Whether what is about a host, or about none and so about the fleet, is for this caller.
    #[must_use]
    pub fn sees_what_is_of(&self, host: Option<HostId>) -> bool {
        host.map_or(self.scope.is_all(), |host| self.sees(host))
    }

    /// Whether what is about these hosts is for this caller: it has one that they see, or they see all.
    #[must_use]
    pub fn sees_any(&self, hosts: &[HostId]) -> bool {
        self.scope.is_all() || hosts.iter().any(|host| self.sees(*host))
    }

    /// The hosts in the scope, in the order of their ids.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostId> {
        self.app.live.ids_within(&self.scope)
    }

    /// How many hosts are in the scope.
    #[must_use]
    pub fn count(&self) -> usize {
        self.app.live.count_within(&self.scope)
    }

    /// Which of these are in the scope, and how many are not.
    #[must_use]
    pub fn split(&self, hosts: &[HostId]) -> Split {
        let seen: Vec<HostId> = hosts.iter().copied().filter(|id| self.sees(*id)).collect();
        let hidden = hosts.len().saturating_sub(seen.len());
        Split { seen, hidden }
    }

    /// Lets pass what concerns these hosts when all of them are in the scope.
    ///
    /// # Errors
    /// [`BeyondScope`] with how many are not.
    pub fn allow(&self, hosts: &[HostId]) -> Result<(), BeyondScope> {
        match self.split(hosts).hidden {
            0 => Ok(()),
            hidden => Err(BeyondScope {
                hidden,
                all: hosts.len(),
                scope: self.scope.clone(),
            }),
        }
    }
}

impl fmt::Debug for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Horizon")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl FromRequestParts<Arc<App>> for Horizon {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Self::Rejection> {
        // Nobody who has not said who they are sees a host.
        let asking = parts.extensions.get::<Asking>();
        let own = asking.and_then(|asking| asking.horizon.clone());
        own.ok_or_else(|| ApiProblem::internal("a request came past the guard"))
    }
}
