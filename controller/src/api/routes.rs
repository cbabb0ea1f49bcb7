//! The one table of what is served and who may ask for it. A route that is not in it does not exist; one without a role
//! is open on purpose.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::routing::{self, MethodRouter};
use tidemark_model::Role;

use super::{
    actions, api_tokens, audit_log, audits, budgets, causes, events, findings, forecast, grants,
    history, host_events, host_metrics, hosts, incidents, keys, labels, live, me, notifications,
    openapi, policies, remediation, runs, sessions, silences, status, tokens, upgrades, users,
    windows,
};
use crate::app::App;
use crate::web;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: it says nothing about the fleet.
    Open,
    /// Anybody on this machine; others as with [`Access::Role`].
    LoopbackOr(Role),
    /// Callers of that role or a more powerful one.
    Role(Role),
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A program: problems are JSON.
    Program,
    /// A person with a browser: problems are pages, and the first of them is the sign-in.
    Person,
}

/// How a route's handler is made.
type Handler = fn() -> MethodRouter<Arc<App>>;

/// One thing that is served.
#[derive(Debug)]
pub struct Route {
    /// How.
    pub method: Method,
    /// Where, in the router's syntax.
    pub path: &'static str,
    /// For whom.
    pub access: Access,
    /// To whom.
    pub reader: Reader,
    handler: Handler,
}

const fn api(method: Method, path: &'static str, role: Role, handler: Handler) -> Route {
    Route {
        method,
        path,
        access: Access::Role(role),
        reader: Reader::Program,
        handler,
    }
}

const fn open(path: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::GET,
        path,
        access: Access::Open,
        reader: Reader::Program,
        handler,
    }
}

const fn page(path: &'static str, handler: Handler) -> Route {
    page_of(path, Role::Viewer, handler)
}

/// A page that takes another role.
const fn page_of(path: &'static str, role: Role, handler: Handler) -> Route {
    Route {
        method: Method::GET,
        path,
        access: Access::Role(role),
        reader: Reader::Person,
        handler,
    }
}

/// A form of a page that changes something.
const fn form(path: &'static str, handler: Handler) -> Route {
    form_of(path, Role::Operator, handler)
}

/// A form of a page that takes another role.
const fn form_of(path: &'static str, role: Role, handler: Handler) -> Route {
    Route {
        method: Method::POST,
        path,
        access: Access::Role(role),
        reader: Reader::Person,
        handler,
    }
}

const fn sign_in(method: Method, path: &'static str, handler: Handler) -> Route {
    Route {
        method,
        path,
        access: Access::Open,
        reader: Reader::Person,
        handler,
    }
}

/// A page for anybody.
const fn open_page(path: &'static str, handler: Handler) -> Route {
    sign_in(Method::GET, path, handler)
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// Everything that is served.
pub static ROUTES: [Route; 163] = [
    api(GET, "/api/v1/hosts", Role::Viewer, || {
        routing::get(hosts::list)
    }),
    api(GET, "/api/v1/hosts/{host}", Role::Viewer, || {
        routing::get(hosts::detail)
    }),
    api(PATCH, "/api/v1/hosts/{host}", Role::Admin, || {
        routing::patch(labels::change)
    }),
    api(GET, "/api/v1/hosts/{host}/events", Role::Viewer, || {
        routing::get(host_events::list)
    }),
    api(GET, "/api/v1/hosts/{host}/audit", Role::Viewer, || {
        routing::get(audits::audit)
    }),
    api(GET, "/api/v1/hosts/{host}/drift", Role::Viewer, || {
        routing::get(audits::drift_of_host)
    }),
    api(GET, "/api/v1/drift", Role::Viewer, || {
        routing::get(audits::drift)
    }),
    api(GET, "/api/v1/hosts/{host}/findings", Role::Viewer, || {
        routing::get(findings::of_host)
    }),
    api(GET, "/api/v1/findings", Role::Viewer, || {
        routing::get(findings::list)
    }),
    api(POST, "/api/v1/hosts/{host}/revoke", Role::Admin, || {
        routing::post(hosts::revoke)
    }),
    api(GET, "/api/v1/history", Role::Viewer, || {
        routing::get(history::history)
    }),
    api(GET, "/api/v1/compare", Role::Viewer, || {
        routing::get(history::compare)
    }),
    api(GET, "/api/v1/forecast", Role::Viewer, || {
        routing::get(forecast::list)
    }),
    api(GET, "/api/v1/causes", Role::Viewer, || {
        routing::get(causes::list)
    }),
    api(GET, "/api/v1/events", Role::Viewer, || {
        routing::get(events::list)
    }),
    api(GET, "/api/v1/audit-log", Role::Viewer, || {
        routing::get(audit_log::list)
    }),
    api(GET, "/api/v1/audit-log/{seq}", Role::Viewer, || {
        routing::get(audit_log::detail)
    }),
    api(GET, "/api/v1/audit-log/entries", Role::Viewer, || {
        routing::get(audit_log::entries)
    }),
    api(GET, "/api/v1/audit-log/status", Role::Viewer, || {
        routing::get(audit_log::status)
    }),
    api(GET, "/api/v1/audit-log/witnesses", Role::Viewer, || {
        routing::get(audit_log::witnesses)
    }),
    api(GET, "/api/v1/incidents", Role::Viewer, || {
        routing::get(incidents::list)
    }),
    api(GET, "/api/v1/incidents/{incident}", Role::Viewer, || {
        routing::get(incidents::detail)
    }),
    api(
        POST,
        "/api/v1/incidents/{incident}/{deed}",
        Role::Operator,
        || routing::post(incidents::act),
    ),
    api(GET, "/api/v1/budgets", Role::Viewer, || {
        routing::get(budgets::list)
    }),
    api(PUT, "/api/v1/budgets", Role::Operator, || {
        routing::put(budgets::apply).layer(DefaultBodyLimit::max(budgets::BODY_BYTES_MAX))
    }),
    api(GET, "/api/v1/budgets/{budget}", Role::Viewer, || {
        routing::get(budgets::detail)
    }),
    api(DELETE, "/api/v1/budgets/{budget}", Role::Operator, || {
        routing::delete(budgets::delete)
    }),
    api(GET, "/api/v1/hosts/{host}/budgets", Role::Viewer, || {
        routing::get(budgets::of_host)
    }),
    api(GET, "/api/v1/silences", Role::Viewer, || {
        routing::get(silences::list)
    }),
    api(POST, "/api/v1/silences", Role::Operator, || {
        routing::post(silences::create)
    }),
    api(DELETE, "/api/v1/silences/{silence}", Role::Operator, || {
        routing::delete(silences::end)
    }),
    api(GET, "/api/v1/notifications", Role::Viewer, || {
        routing::get(notifications::list)
    }),
    api(GET, "/api/v1/receivers", Role::Viewer, || {
        routing::get(notifications::receivers)
    }),
    api(
        POST,
        "/api/v1/receivers/{receiver}/test",
        Role::Operator,
        || routing::post(notifications::test),
    ),
    api(GET, "/api/v1/windows", Role::Viewer, || {
        routing::get(windows::list)
    }),
    api(PUT, "/api/v1/windows", Role::Operator, || {
        routing::put(windows::apply)
    }),
    api(GET, "/api/v1/windows/{window}", Role::Viewer, || {
        routing::get(windows::detail)
    }),
    api(DELETE, "/api/v1/windows/{window}", Role::Operator, || {
        routing::delete(windows::delete)
    }),
    api(GET, "/api/v1/windows/{window}/next", Role::Viewer, || {
        routing::get(windows::next)
    }),
    api(GET, "/windows.ics", Role::Viewer, || {
        routing::get(windows::calendar)
    }),
    api(GET, "/api/v1/actions", Role::Viewer, || {
        routing::get(actions::list)
    }),
    api(POST, "/api/v1/actions", Role::Operator, || {
        routing::post(actions::create)
    }),
    api(GET, "/api/v1/actions/{action}", Role::Viewer, || {
        routing::get(actions::detail)
    }),
    api(GET, "/api/v1/actions/{action}/order", Role::Viewer, || {
        routing::get(actions::order)
    }),
    api(
        POST,
        "/api/v1/actions/{action}/approve",
        Role::Approver,
        || routing::post(actions::approve),
    ),
    api(
        POST,
        "/api/v1/actions/{action}/reject",
        Role::Approver,
        || routing::post(actions::reject),
    ),
    api(
        POST,
        "/api/v1/actions/{action}/cancel",
        Role::Operator,
        || routing::post(actions::cancel),
    ),
    api(
        POST,
        "/api/v1/actions/{action}/signatures",
        Role::Operator,
        || routing::post(actions::sign),
    ),
    api(GET, "/api/v1/grants", Role::Viewer, || {
        routing::get(grants::list)
    }),
    api(POST, "/api/v1/grants", Role::Operator, || {
        routing::post(grants::create)
    }),
    api(GET, "/api/v1/grants/{grant}", Role::Viewer, || {
        routing::get(grants::detail)
    }),
    api(DELETE, "/api/v1/grants/{grant}", Role::Operator, || {
        routing::delete(grants::delete)
    }),
    api(POST, "/api/v1/grants/{grant}/end", Role::Operator, || {
        routing::post(grants::end)
    }),
    api(GET, "/api/v1/releases", Role::Viewer, || {
        routing::get(upgrades::releases)
    }),
    api(POST, "/api/v1/releases", Role::Admin, || {
        routing::post(upgrades::bring)
    }),
    api(GET, "/api/v1/releases/{release}", Role::Viewer, || {
        routing::get(upgrades::release)
    }),
    api(DELETE, "/api/v1/releases/{release}", Role::Admin, || {
        routing::delete(upgrades::delete)
    }),
    api(
        PUT,
        "/api/v1/releases/{release}/files/{sha256}",
        Role::Admin,
        || {
            routing::put(upgrades::bring_file)
                .layer(DefaultBodyLimit::max(upgrades::BODY_BYTES_MAX))
        },
    ),
    api(GET, "/api/v1/upgrades", Role::Viewer, || {
        routing::get(upgrades::list)
    }),
    api(POST, "/api/v1/upgrades", Role::Admin, || {
        routing::post(upgrades::start)
    }),
    api(GET, "/api/v1/upgrades/{upgrade}", Role::Viewer, || {
        routing::get(upgrades::detail)
    }),
    api(
        POST,
        "/api/v1/upgrades/{upgrade}/pause",
        Role::Operator,
        || routing::post(upgrades::pause),
    ),
    api(
        POST,
        "/api/v1/upgrades/{upgrade}/resume",
        Role::Admin,
        || routing::post(upgrades::resume),
    ),
    api(
        POST,
        "/api/v1/upgrades/{upgrade}/stop",
        Role::Operator,
        || routing::post(upgrades::stop),
    ),
    api(GET, "/api/v1/policies", Role::Viewer, || {
        routing::get(policies::list)
    }),
    api(PUT, "/api/v1/policies", Role::Operator, || {
        routing::put(policies::apply).layer(DefaultBodyLimit::max(policies::BODY_BYTES_MAX))
    }),
    api(GET, "/api/v1/policies/{policy}", Role::Viewer, || {
        routing::get(policies::detail)
    }),
    api(DELETE, "/api/v1/policies/{policy}", Role::Operator, || {
        routing::delete(policies::delete)
    }),
    api(
        POST,
        "/api/v1/policies/{policy}/dry-run",
        Role::Operator,
        || routing::post(policies::dry_run),
    ),
    api(GET, "/api/v1/runs", Role::Viewer, || {
        routing::get(runs::list)
    }),
    api(POST, "/api/v1/runs", Role::Operator, || {
        routing::post(runs::create).layer(DefaultBodyLimit::max(runs::BODY_BYTES_MAX))
    }),
    api(GET, "/api/v1/runs/{run}", Role::Viewer, || {
        routing::get(runs::detail)
    }),
    api(POST, "/api/v1/runs/{run}/approve", Role::Approver, || {
        routing::post(runs::approve)
    }),
    api(POST, "/api/v1/runs/{run}/reject", Role::Approver, || {
        routing::post(runs::reject)
    }),
    api(POST, "/api/v1/runs/{run}/stop", Role::Operator, || {
        routing::post(runs::stop)
    }),
    api(GET, "/api/v1/runs/{run}/orders", Role::Viewer, || {
        routing::get(runs::signing::orders)
    }),
    api(
        POST,
        "/api/v1/runs/{run}/signatures",
        Role::Operator,
        || {
            routing::post(runs::signing::sign)
                .layer(DefaultBodyLimit::max(runs::signing::BODY_BYTES_MAX))
        },
    ),
    api(GET, "/api/v1/recoveries", Role::Viewer, || {
        routing::get(remediation::recoveries)
    }),
    api(GET, "/api/v1/hosts/{host}/policy", Role::Viewer, || {
        routing::get(remediation::policy)
    }),
    api(POST, "/api/v1/hosts/{host}/unlock", Role::Operator, || {
        routing::post(remediation::unlock)
    }),
    api(GET, "/api/v1/keys", Role::Viewer, || {
        routing::get(keys::list)
    }),
    api(GET, "/api/v1/key-statements", Role::Viewer, || {
        routing::get(keys::statements)
    }),
    api(POST, "/api/v1/key-statements", Role::Operator, || {
        routing::post(keys::create)
    }),
    api(
        GET,
        "/api/v1/key-statements/{statement}",
        Role::Viewer,
        || routing::get(keys::detail),
    ),
    api(
        POST,
        "/api/v1/key-statements/{statement}/signatures",
        Role::Operator,
        || routing::post(keys::sign),
    ),
    api(GET, "/api/v1/lockdown", Role::Viewer, || {
        routing::get(remediation::lockdown)
    }),
    api(POST, "/api/v1/lockdown", Role::Operator, || {
        routing::post(remediation::lock)
    }),
    api(POST, "/api/v1/lockdown/lift", Role::Admin, || {
        routing::post(remediation::lift)
    }),
    api(GET, "/api/v1/live", Role::Viewer, || {
        routing::get(live::stream)
    }),
    api(POST, "/api/v1/tokens", Role::Admin, || {
        routing::post(tokens::create)
    }),
    api(GET, "/api/v1/tokens", Role::Admin, || {
        routing::get(tokens::list)
    }),
    api(DELETE, "/api/v1/tokens/{id}", Role::Admin, || {
        routing::delete(tokens::revoke)
    }),
    api(POST, "/api/v1/api-tokens", Role::Admin, || {
        routing::post(api_tokens::create)
    }),
    api(GET, "/api/v1/api-tokens", Role::Admin, || {
        routing::get(api_tokens::list)
    }),
    api(DELETE, "/api/v1/api-tokens/{id}", Role::Admin, || {
        routing::delete(api_tokens::revoke)
    }),
    api(GET, "/api/v1/users", Role::Admin, || {
        routing::get(users::list)
    }),
    api(POST, "/api/v1/users", Role::Admin, || {
        routing::post(users::create)
    }),
    api(GET, "/api/v1/users/{user}", Role::Admin, || {
        routing::get(users::detail)
    }),
    api(DELETE, "/api/v1/users/{user}", Role::Admin, || {
        routing::delete(users::delete)
    }),
    api(PUT, "/api/v1/users/{user}/role", Role::Admin, || {
        routing::put(users::set_role)
    }),
    api(PUT, "/api/v1/users/{user}/scope", Role::Admin, || {
        routing::put(users::set_scope)
    }),
    api(PUT, "/api/v1/users/{user}/password", Role::Admin, || {
        routing::put(users::set_password)
    }),
    api(POST, "/api/v1/users/{user}/{deed}", Role::Admin, || {
        routing::post(users::act)
    }),
    api(GET, "/api/v1/sessions", Role::Viewer, || {
        routing::get(sessions::list)
    }),
    api(DELETE, "/api/v1/sessions/{session}", Role::Viewer, || {
        routing::delete(sessions::end)
    }),
    api(GET, "/api/v1/me", Role::Viewer, || routing::get(me::me)),
    api(PUT, "/api/v1/me/password", Role::Viewer, || {
        routing::put(me::change_password)
    }),
    Route {
        method: POST,
        path: "/api/v1/sign-in",
        access: Access::Open,
        reader: Reader::Program,
        handler: || routing::post(me::sign_in),
    },
    api(GET, "/api/v1/status", Role::Viewer, || {
        routing::get(status::status)
    }),
    open("/api/v1/openapi.json", || routing::get(openapi::document)),
    open("/healthz", || routing::get(status::healthz)),
    open("/readyz", || routing::get(status::readyz)),
    Route {
        method: GET,
        path: "/metrics",
        access: Access::LoopbackOr(Role::Viewer),
        reader: Reader::Program,
        handler: || routing::get(status::metrics),
    },
    api(GET, "/metrics/hosts", Role::Viewer, || {
        routing::get(host_metrics::host_metrics)
    }),
    sign_in(GET, "/login", || routing::get(web::login::with_code)),
    sign_in(POST, "/login", || routing::post(web::login::with_form)),
    sign_in(GET, "/login/oidc", || routing::get(web::oidc::begin)),
    sign_in(GET, "/login/oidc/callback", || {
        routing::get(web::oidc::callback)
    }),
    Route {
        method: POST,
        path: "/logout",
        access: Access::Role(Role::Viewer),
        reader: Reader::Person,
        handler: || routing::post(web::login::out),
    },
    page("/", || routing::get(web::fleet::page)),
    page("/fleet/rows", || routing::get(web::fleet::rows)),
    page("/hosts/{host}", || routing::get(web::host::page)),
    form_of("/hosts/{host}/labels", Role::Admin, || {
        routing::post(web::host::labels::change)
    }),
    page("/hosts/{host}/now", || routing::get(web::host::now)),
    page("/history", || routing::get(web::history::page)),
    page("/events", || routing::get(web::events::page)),
    page("/audit-log", || routing::get(web::audit_log::page)),
    page("/incidents", || routing::get(web::incidents::page)),
    page("/incidents/{incident}", || {
        routing::get(web::incident::page)
    }),
    form("/incidents/{incident}", || {
        routing::post(web::incident::act)
    }),
    page("/maintenance", || routing::get(web::maintenance::page)),
    page("/upgrades", || routing::get(web::upgrades::page)),
    form_of("/upgrades", Role::Admin, || {
        routing::post(web::upgrades::acts::start)
    }),
    page("/upgrades/{upgrade}", || routing::get(web::upgrade::page)),
    form("/upgrades/{upgrade}/pause", || {
        routing::post(web::upgrades::acts::pause)
    }),
    form_of("/upgrades/{upgrade}/resume", Role::Admin, || {
        routing::post(web::upgrades::acts::resume)
    }),
    form("/upgrades/{upgrade}/stop", || {
        routing::post(web::upgrades::acts::stop)
    }),
    page("/policies", || routing::get(web::policies::page)),
    page("/keys", || routing::get(web::keys::page)),
    form("/maintenance", || routing::post(web::plan::plan)),
    page("/runs/{run}", || routing::get(web::run::page)),
    form("/runs/{run}", || routing::post(web::run::act)),
    page("/notifications", || routing::get(web::notifications::page)),
    form("/notifications/test", || {
        routing::post(web::notifications::test)
    }),
    form("/silences", || routing::post(web::notifications::silence)),
    form("/silences/{silence}/end", || {
        routing::post(web::notifications::end_silence)
    }),
    page("/settings", || routing::get(web::settings::page)),
    form_of("/settings/password", Role::Viewer, || {
        routing::post(web::settings::acts::password)
    }),
    form_of("/settings/sessions/{session}", Role::Viewer, || {
        routing::post(web::settings::acts::end_session)
    }),
    form_of("/settings/users", Role::Admin, || {
        routing::post(web::settings::acts::create_user)
    }),
    form_of("/settings/users/{user}", Role::Admin, || {
        routing::post(web::settings::acts::user)
    }),
    form_of("/settings/api-tokens", Role::Admin, || {
        routing::post(web::settings::acts::create_api_token)
    }),
    form_of("/settings/api-tokens/{token}", Role::Admin, || {
        routing::post(web::settings::acts::end_api_token)
    }),
    form_of("/settings/tokens", Role::Admin, || {
        routing::post(web::settings::acts::create_token)
    }),
    form_of("/settings/tokens/{token}", Role::Admin, || {
        routing::post(web::settings::acts::end_token)
    }),
    page("/api", || routing::get(web::api::page)),
    page_of("/install", Role::Admin, || routing::get(web::install::page)),
    form_of("/install", Role::Admin, || {
        routing::post(web::install::create)
    }),
    page("/live", || routing::get(web::live::stream)),
    open("/assets/{name}", || routing::get(web::assets::asset)),
    open_page("/docs", || routing::get(web::docs::root)),
    open_page("/docs/", || routing::get(web::docs::first)),
    open_page("/docs/{*page}", || routing::get(web::docs::page)),
];

/// The route of a matched path and method; asking for the head alone is asking.
#[must_use]
pub fn find(method: &Method, path: &str) -> Option<&'static Route> {
    let method = if *method == Method::HEAD {
        &GET
    } else {
        method
    };
    ROUTES
        .iter()
        .find(|route| route.path == path && route.method == *method)
}

/// The router, made from the table alone.
pub fn router() -> Router<Arc<App>> {
    ROUTES.iter().fold(Router::new(), |router, route| {
        router.route(route.path, (route.handler)())
    })
}
