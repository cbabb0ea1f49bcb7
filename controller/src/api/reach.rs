//! Which routes answer a caller whose scope is not the whole fleet. A route that is not named here refuses them, so that a new one
//! shows and does nothing of other teams' hosts before somebody has thought about it.

use axum::http::Method;

use super::problem::ApiProblem;
use crate::access::Caller;

/// What those who see a part of the fleet may ask for: each of these cuts its answer to their scope.
const WITHIN_SCOPE: [(Method, &str); 47] = [
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
    (Method::GET, "/api/v1/events"),
    (Method::GET, "/api/v1/incidents"),
    (Method::GET, "/api/v1/incidents/{incident}"),
    (Method::POST, "/api/v1/incidents/{incident}/{deed}"),
    (Method::GET, "/api/v1/actions"),
    (Method::POST, "/api/v1/actions"),
    (Method::GET, "/api/v1/actions/{action}"),
    (Method::GET, "/api/v1/actions/{action}/order"),
    (Method::POST, "/api/v1/actions/{action}/approve"),
    (Method::POST, "/api/v1/actions/{action}/reject"),
    (Method::POST, "/api/v1/actions/{action}/cancel"),
    (Method::POST, "/api/v1/actions/{action}/signatures"),
    (Method::GET, "/api/v1/lockdown"),
    (Method::GET, "/api/v1/live"),
    (Method::GET, "/api/v1/api-tokens"),
    (Method::POST, "/api/v1/api-tokens"),
    (Method::DELETE, "/api/v1/api-tokens/{id}"),
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
    (Method::GET, "/api"),
    (Method::GET, "/live"),
];

/// Refuses a caller whose scope is not the whole fleet where the answer is about the whole fleet.
///
/// # Errors
/// Forbidden, with their scope and who may ask.
pub fn check_reach(caller: &Caller, (method, path): (&Method, &str)) -> Result<(), ApiProblem> {
    let is_cut = || {
        let mut cut = WITHIN_SCOPE.iter();
        cut.any(|(one, of)| one == method && *of == path)
    };
    if caller.scope.is_all() || is_cut() {
        return Ok(());
    }
    Err(ApiProblem::beyond_scope(&caller.scope))
}
