//! Which deed each route is. A test fails for one that changes something and is not here.

use axum::http::Method;
use tidemark_model::audit_log::Deed;

/// Who records what a route did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its handler, in the transaction of the change. When nothing was to change, the guard says so.
    Change,
    /// The guard, after it was done: nothing is stored but what came of it.
    Guard,
    /// Its handler when it acts, the guard when it is refused; asking for the page, or being asked whether one is sure, is
    /// no deed.
    Refusal,
}

const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

static DEEDS: &[(Method, &str, Deed, By)] = &[
    (PATCH, "/api/v1/hosts/{host}", Deed::HostLabel, By::Change),
    (POST, "/hosts/{host}/labels", Deed::HostLabel, By::Change),
    (
        POST,
        "/api/v1/hosts/{host}/revoke",
        Deed::HostRevoke,
        By::Change,
    ),
    (
        POST,
        "/api/v1/hosts/{host}/unlock",
        Deed::HostUnlock,
        By::Change,
    ),
    (
        POST,
        "/api/v1/incidents/{incident}/{deed}",
        Deed::IncidentOperate,
        By::Change,
    ),
    (
        POST,
        "/incidents/{incident}",
        Deed::IncidentOperate,
        By::Change,
    ),
    (PUT, "/api/v1/budgets", Deed::BudgetsApply, By::Change),
    (
        DELETE,
        "/api/v1/budgets/{budget}",
        Deed::BudgetDelete,
        By::Change,
    ),
    (POST, "/api/v1/silences", Deed::SilenceCreate, By::Change),
    (POST, "/silences", Deed::SilenceCreate, By::Change),
    (
        DELETE,
        "/api/v1/silences/{silence}",
        Deed::SilenceEnd,
        By::Change,
    ),
    (
        POST,
        "/silences/{silence}/end",
        Deed::SilenceEnd,
        By::Change,
    ),
    (
        POST,
        "/api/v1/receivers/{receiver}/test",
        Deed::ReceiverTest,
        By::Guard,
    ),
    (POST, "/notifications/test", Deed::ReceiverTest, By::Guard),
    (PUT, "/api/v1/windows", Deed::WindowsApply, By::Change),
    (
        DELETE,
        "/api/v1/windows/{window}",
        Deed::WindowDelete,
        By::Change,
    ),
    (POST, "/api/v1/actions", Deed::ActionPropose, By::Change),
    (
        POST,
        "/api/v1/actions/{action}/approve",
        Deed::ActionApprove,
        By::Change,
    ),
    (
        POST,
        "/api/v1/actions/{action}/reject",
        Deed::ActionReject,
        By::Change,
    ),
    (
        POST,
        "/api/v1/actions/{action}/cancel",
        Deed::ActionCancel,
        By::Change,
    ),
    (
        POST,
        "/api/v1/actions/{action}/signatures",
        Deed::ActionSign,
        By::Change,
    ),
    (POST, "/api/v1/grants", Deed::GrantBring, By::Change),
    (
        DELETE,
        "/api/v1/grants/{grant}",
        Deed::GrantWithdraw,
        By::Change,
    ),
    (
        POST,
        "/api/v1/grants/{grant}/end",
        Deed::GrantEnd,
        By::Change,
    ),
    (POST, "/api/v1/releases", Deed::ReleaseBring, By::Change),
    (
        DELETE,
        "/api/v1/releases/{release}",
        Deed::ReleaseDelete,
        By::Change,
    ),
    (
        PUT,
        "/api/v1/releases/{release}/files/{sha256}",
        Deed::ReleaseFileBring,
        By::Change,
    ),
    (POST, "/api/v1/upgrades", Deed::UpgradeStart, By::Change),
    (
        POST,
        "/api/v1/upgrades/{upgrade}/pause",
        Deed::UpgradePause,
        By::Change,
    ),
    (
        POST,
        "/api/v1/upgrades/{upgrade}/resume",
        Deed::UpgradeResume,
        By::Change,
    ),
    (
        POST,
        "/api/v1/upgrades/{upgrade}/stop",
        Deed::UpgradeStop,
        By::Change,
    ),
    (POST, "/upgrades", Deed::UpgradeStart, By::Refusal),
    (
        POST,
        "/upgrades/{upgrade}/pause",
        Deed::UpgradePause,
        By::Change,
    ),
    (
        POST,
        "/upgrades/{upgrade}/resume",
        Deed::UpgradeResume,
        By::Refusal,
    ),
    (
        POST,
        "/upgrades/{upgrade}/stop",
        Deed::UpgradeStop,
        By::Refusal,
    ),
    (PUT, "/api/v1/policies", Deed::PoliciesApply, By::Change),
    (
        DELETE,
        "/api/v1/policies/{policy}",
        Deed::PolicyDelete,
        By::Change,
    ),
    (
        POST,
        "/api/v1/policies/{policy}/dry-run",
        Deed::PolicyDryRun,
        By::Guard,
    ),
    (POST, "/api/v1/runs", Deed::RunPlan, By::Change),
    (POST, "/maintenance", Deed::RunPlan, By::Change),
    (
        POST,
        "/api/v1/runs/{run}/approve",
        Deed::RunApprove,
        By::Change,
    ),
    (
        POST,
        "/api/v1/runs/{run}/reject",
        Deed::RunReject,
        By::Change,
    ),
    (POST, "/api/v1/runs/{run}/stop", Deed::RunStop, By::Change),
    (POST, "/runs/{run}", Deed::RunDecide, By::Change),
    (
        POST,
        "/api/v1/runs/{run}/signatures",
        Deed::RunSign,
        By::Change,
    ),
    (
        POST,
        "/api/v1/key-statements",
        Deed::KeyStatementBring,
        By::Change,
    ),
    (
        POST,
        "/api/v1/key-statements/{statement}/signatures",
        Deed::KeyStatementSign,
        By::Change,
    ),
    (POST, "/api/v1/lockdown", Deed::LockdownImpose, By::Change),
    (
        POST,
        "/api/v1/lockdown/lift",
        Deed::LockdownLift,
        By::Change,
    ),
    (POST, "/api/v1/tokens", Deed::JoinTokenCreate, By::Change),
    (
        DELETE,
        "/api/v1/tokens/{id}",
        Deed::JoinTokenRevoke,
        By::Change,
    ),
    (POST, "/api/v1/api-tokens", Deed::ApiTokenCreate, By::Change),
    (
        DELETE,
        "/api/v1/api-tokens/{id}",
        Deed::ApiTokenRevoke,
        By::Change,
    ),
    (POST, "/api/v1/users", Deed::UserCreate, By::Change),
    (POST, "/settings/users", Deed::UserCreate, By::Change),
    (DELETE, "/api/v1/users/{user}", Deed::UserDelete, By::Change),
    (
        PUT,
        "/api/v1/users/{user}/role",
        Deed::UserSetRole,
        By::Change,
    ),
    (
        PUT,
        "/api/v1/users/{user}/scope",
        Deed::UserSetScope,
        By::Change,
    ),
    (
        PUT,
        "/api/v1/users/{user}/password",
        Deed::UserSetPassword,
        By::Change,
    ),
    (
        PUT,
        "/api/v1/me/password",
        Deed::UserSetPassword,
        By::Change,
    ),
    (
        POST,
        "/settings/password",
        Deed::UserSetPassword,
        By::Change,
    ),
    (
        POST,
        "/api/v1/users/{user}/{deed}",
        Deed::UserOperate,
        By::Change,
    ),
    (
        POST,
        "/settings/users/{user}",
        Deed::UserOperate,
        By::Refusal,
    ),
    (
        DELETE,
        "/api/v1/sessions/{session}",
        Deed::SessionEnd,
        By::Change,
    ),
    (
        POST,
        "/settings/sessions/{session}",
        Deed::SessionEnd,
        By::Refusal,
    ),
    (
        POST,
        "/settings/api-tokens",
        Deed::ApiTokenCreate,
        By::Change,
    ),
    (
        POST,
        "/settings/api-tokens/{token}",
        Deed::ApiTokenRevoke,
        By::Refusal,
    ),
    (POST, "/settings/tokens", Deed::JoinTokenCreate, By::Change),
    (POST, "/install", Deed::JoinTokenCreate, By::Change),
    (
        POST,
        "/settings/tokens/{token}",
        Deed::JoinTokenRevoke,
        By::Refusal,
    ),
    (POST, "/api/v1/sign-in", Deed::SignIn, By::Change),
    (
        Method::GET,
        "/login/oidc/callback",
        Deed::SignIn,
        By::Refusal,
    ),
    (Method::GET, "/login", Deed::SignIn, By::Refusal),
    (POST, "/login", Deed::SignIn, By::Change),
    (POST, "/logout", Deed::SignOut, By::Guard),
];

/// The deed of a route; `None` for one that changes nothing.
#[must_use]
pub fn deed_of(method: &Method, path: &str) -> Option<(Deed, By)> {
    DEEDS
        .iter()
        .find(|(of, route, ..)| of == method && *route == path)
        .map(|(_, _, deed, by)| (*deed, *by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes::ROUTES;

    #[test]
    fn every_route_that_changes_something_is_a_deed_and_every_deed_a_route() {
        for route in &ROUTES {
            let changes = !matches!(route.method, Method::GET | Method::HEAD);
            let deed = deed_of(&route.method, route.path);
            assert!(
                deed.is_some() || !changes,
                "{} {} leaves no record: say in DEEDS which deed it is",
                route.method,
                route.path
            );
        }
        for (method, path, ..) in DEEDS {
            let is_route = ROUTES
                .iter()
                .any(|one| one.method == *method && one.path == *path);
            assert!(is_route, "{method} {path} is no route");
        }
    }
}
