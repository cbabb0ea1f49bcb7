//! Which routes answer a caller whose scope is not the whole fleet. A route that is not named here refuses them, so that a new one
//! shows and does nothing of other teams' hosts before somebody has thought about it.

use axum::http::Method;
use tidemark_model::HostScope;

use super::problem::ApiProblem;
use crate::access::Caller;

/// What those who see a part of the fleet may ask for: each of these cuts its answer to their scope.
static WITHIN_SCOPE: &[(Method, &str)] = &[
    (Method::GET, "/api/v1/hosts"),
    (Method::GET, "/api/v1/hosts/{host}"),
    (Method::POST, "/api/v1/hosts/{host}/revoke"),
    (Method::GET, "/api/v1/hosts/{host}/events"),
    (Method::GET, "/api/v1/hosts/{host}/audit"),
    (Method::GET, "/api/v1/hosts/{host}/drift"),
    (Method::GET, "/api/v1/hosts/{host}/findings"),
    (Method::GET, "/api/v1/hosts/{host}/budgets"),
    (Method::GET, "/api/v1/hosts/{host}/policy"),
    (Method::POST, "/api/v1/hosts/{host}/unlock"),
    (Method::GET, "/api/v1/drift"),
    (Method::GET, "/api/v1/findings"),
    (Method::GET, "/api/v1/history"),
    (Method::GET, "/api/v1/compare"),
    (Method::GET, "/api/v1/forecast"),
    (Method::GET, "/api/v1/causes"),
    (Method::GET, "/api/v1/events"),
    (Method::GET, "/api/v1/incidents"),
    (Method::GET, "/api/v1/incidents/{incident}"),
    (Method::POST, "/api/v1/incidents/{incident}/{deed}"),
    (Method::GET, "/api/v1/silences"),
    (Method::POST, "/api/v1/silences"),
    (Method::DELETE, "/api/v1/silences/{silence}"),
    (Method::GET, "/api/v1/actions"),
    (Method::POST, "/api/v1/actions"),
    (Method::GET, "/api/v1/actions/{action}"),
    (Method::GET, "/api/v1/actions/{action}/order"),
    (Method::POST, "/api/v1/actions/{action}/approve"),
    (Method::POST, "/api/v1/actions/{action}/reject"),
    (Method::POST, "/api/v1/actions/{action}/cancel"),
    (Method::POST, "/api/v1/actions/{action}/signatures"),
    (Method::GET, "/api/v1/runs"),
    (Method::POST, "/api/v1/runs"),
    (Method::GET, "/api/v1/runs/{run}"),
    (Method::POST, "/api/v1/runs/{run}/approve"),
    (Method::POST, "/api/v1/runs/{run}/reject"),
    (Method::POST, "/api/v1/runs/{run}/stop"),
    (Method::GET, "/api/v1/runs/{run}/orders"),
    (Method::POST, "/api/v1/runs/{run}/signatures"),
    (Method::GET, "/api/v1/lockdown"),
    (Method::GET, "/api/v1/live"),
    (Method::GET, "/api/v1/api-tokens"),
    (Method::POST, "/api/v1/api-tokens"),
    (Method::DELETE, "/api/v1/api-tokens/{id}"),
    (Method::GET, "/api/v1/users"),
    (Method::POST, "/api/v1/users"),
    (Method::GET, "/api/v1/users/{user}"),
    (Method::DELETE, "/api/v1/users/{user}"),
    (Method::PUT, "/api/v1/users/{user}/role"),
    (Method::PUT, "/api/v1/users/{user}/scope"),
    (Method::PUT, "/api/v1/users/{user}/password"),
    (Method::POST, "/api/v1/users/{user}/{deed}"),
    (Method::GET, "/api/v1/sessions"),
    (Method::DELETE, "/api/v1/sessions/{session}"),
    (Method::PUT, "/api/v1/me/password"),
    (Method::GET, "/api/v1/status"),
    (Method::GET, "/api/v1/me"),
    (Method::GET, "/metrics/hosts"),
    (Method::POST, "/logout"),
    (Method::GET, "/"),
    (Method::GET, "/fleet/rows"),
    (Method::GET, "/hosts/{host}"),
    (Method::GET, "/hosts/{host}/now"),
    (Method::GET, "/history"),
    (Method::GET, "/events"),
    (Method::GET, "/incidents"),
    (Method::GET, "/incidents/{incident}"),
    (Method::POST, "/incidents/{incident}"),
    (Method::GET, "/maintenance"),
    (Method::POST, "/maintenance"),
    (Method::GET, "/runs/{run}"),
    (Method::POST, "/runs/{run}"),
    (Method::GET, "/notifications"),
    (Method::POST, "/silences"),
    (Method::POST, "/silences/{silence}/end"),
    (Method::GET, "/api"),
    (Method::GET, "/live"),
    (Method::GET, "/settings"),
    (Method::POST, "/settings/password"),
    (Method::POST, "/settings/sessions/{session}"),
    (Method::POST, "/settings/users"),
    (Method::POST, "/settings/users/{user}"),
    (Method::POST, "/settings/api-tokens"),
    (Method::POST, "/settings/api-tokens/{token}"),
];

/// Refuses a caller whose scope is not the whole fleet where the answer is about the whole fleet.
///
/// # Errors
/// Forbidden, with their scope and who may ask.
pub fn check_reach(caller: &Caller, route: (&Method, &str)) -> Result<(), ApiProblem> {
    if answers(&caller.scope, route) {
        return Ok(());
    }
    Err(ApiProblem::beyond_scope(&caller.scope))
}

/// Whether the route answers callers of that scope; it may still refuse their role.
#[must_use]
pub fn answers(scope: &HostScope, (method, path): (&Method, &str)) -> bool {
    let mut cut = WITHIN_SCOPE.iter();
    scope.is_all() || cut.any(|(one, of)| one == method && *of == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes::ROUTES;

    #[test]
    fn whatever_answers_within_a_scope_is_a_route() {
        for (method, path) in WITHIN_SCOPE {
            let mut routes = ROUTES.iter();
            let is_route = routes.any(|one| one.method == *method && one.path == *path);
            assert!(is_route, "{method} {path} is no route");
        }
    }
}
