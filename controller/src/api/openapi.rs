//! `/api/v1/openapi.json`: the API's description, made from its handlers.

mod limits;

use std::sync::LazyLock;

use axum::Json;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use super::problem::{Answer, ApiProblem};
use super::{
    actions, api_tokens, audit_log, audits, budgets, causes, events, findings, forecast, grants,
    history, host_events, host_metrics, hosts, incidents, keys, labels, live, me, notifications,
    policies, remediation, runs, sessions, silences, status, tokens, upgrades, users, windows,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidemark",
        description = "The operators' API. Times are unix milliseconds; unknown is null. Errors are RFC 9457 problem details."
    ),
    paths(
        hosts::list,
        hosts::detail,
        labels::change,
        hosts::revoke,
        host_events::list,
        audits::audit,
        audits::drift_of_host,
        audits::drift,
        history::history,
        history::compare,
        forecast::list,
        findings::list,
        findings::of_host,
        causes::list,
        audit_log::list,
        audit_log::detail,
        audit_log::entries,
        audit_log::status,
        audit_log::witnesses,
        events::list,
        incidents::list,
        incidents::detail,
        incidents::act,
        budgets::list,
        budgets::detail,
        budgets::of_host,
        budgets::apply,
        budgets::delete,
        silences::list,
        silences::create,
        silences::end,
        notifications::list,
        notifications::receivers,
        notifications::test,
        windows::list,
        windows::apply,
        windows::detail,
        windows::delete,
        windows::next,
        windows::calendar,
        actions::list,
        actions::create,
        actions::detail,
        actions::order,
        actions::approve,
        actions::reject,
        actions::cancel,
        actions::sign,
        keys::list,
        keys::statements,
        keys::create,
        keys::detail,
        keys::sign,
        grants::list,
        grants::detail,
        grants::create,
        grants::delete,
        grants::end,
        upgrades::releases,
        upgrades::bring,
        upgrades::release,
        upgrades::delete,
        upgrades::bring_file,
        upgrades::list,
        upgrades::start,
        upgrades::detail,
        upgrades::pause,
        upgrades::resume,
        upgrades::stop,
        policies::list,
        policies::apply,
        policies::detail,
        policies::delete,
        policies::dry_run,
        runs::list,
        runs::create,
        runs::detail,
        runs::approve,
        runs::reject,
        runs::stop,
        runs::signing::orders,
        runs::signing::sign,
        remediation::recoveries,
        remediation::policy,
        remediation::lockdown,
        remediation::lock,
        remediation::lift,
        remediation::unlock,
        live::stream,
        tokens::create,
        tokens::list,
        tokens::revoke,
        api_tokens::create,
        api_tokens::list,
        api_tokens::revoke,
        users::list,
        users::create,
        users::detail,
        users::delete,
        users::set_role,
        users::set_scope,
        users::set_password,
        users::act,
        sessions::list,
        sessions::end,
        me::me,
        me::change_password,
        me::sign_in,
        status::status,
        document,
        status::healthz,
        status::readyz,
        status::metrics,
        host_metrics::host_metrics,
    ),
    security(("api_token" = [])),
    modifiers(&Bearer),
)]
struct Api;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        components.add_security_scheme(
            "api_token",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    }
}

/// This description, in OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    tag = "status",
    security(()),
    responses((status = 200, description = "The description.", body = Object))
)]
pub async fn document() -> Answer<Json<&'static Value>> {
    Ok(Json(described()?))
}

/// The description itself, which is the same for as long as the program runs.
///
/// # Errors
/// When it cannot be written as JSON, which is a bug.
pub fn described() -> Result<&'static Value, ApiProblem> {
    static DESCRIBED: LazyLock<Result<Value, serde_json::Error>> = LazyLock::new(|| {
        let mut document = serde_json::to_value(Api::openapi())?;
        limits::add(&mut document);
        Ok(document)
    });
    let described = DESCRIBED.as_ref();
    described.map_err(|error| ApiProblem::internal(&format!("the description of the API: {error}")))
}
