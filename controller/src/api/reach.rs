//! Which routes answer a caller whose scope is not the whole fleet. A route that is not named here refuses them, so that a new one
//! shows and does nothing of other teams' hosts before somebody has thought about it.

use axum::http::Method;

use super::problem::ApiProblem;
use crate::access::Caller;

/// What those who see a part of the fleet may ask for: each of these cuts its answer to their scope.
const WITHIN_SCOPE: [(Method, &str); 4] = [
    (Method::GET, "/api/v1/api-tokens"),
    (Method::POST, "/api/v1/api-tokens"),
    (Method::DELETE, "/api/v1/api-tokens/{token}"),
    (Method::POST, "/logout"),
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
