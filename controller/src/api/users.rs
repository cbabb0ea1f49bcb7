//! `/api/v1/users`: people who sign in. What may be done about them is `access::users`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::view::{
    Page, PasswordRequest, Problem, RoleRequest, ScopeRequest, UserRequest, UserView,
};
use tidemark_model::{ErrorCode, Role, Timestamp};
use tidemark_store::User;

use super::body::{self, Request};
use super::guard::Asking;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use super::seen::SeenPage;
use super::{api_tokens, fleet};
use crate::access::users::{self, By, Deed, UserError, Wanted};
use crate::app::App;

/// Users by name: those whose hosts are among the caller's.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    tag = "users",
    params(
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of users.", body = Page<UserView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Answer<Json<Page<UserView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let after: Option<String> = params.parsed("cursor", fleet::cursor_limit, |text| {
        users::name_problem(text).is_none().then(|| text.to_owned())
    })?;
    let (items, next_cursor) = page(&app, &asking.by(), (after, limit)).await?;
    Ok(Json(Page { items, next_cursor }))
}

/// A page of the users whom `by` knows, and the cursor to the next one.
///
/// # Errors
/// What the database says.
pub async fn page(
    app: &App,
    by: &By,
    (after, limit): (Option<String>, usize),
) -> Answer<(Vec<UserView>, Option<String>)> {
    let rows = u32::try_from(limit).unwrap_or(u32::MAX);
    let mut found = SeenPage::new(&by.scope, rows, after);
    let mut tx = app.store.read().await?;
    while let Some((after, rows)) = found.next_read() {
        let page = tx.users_page(after.as_deref(), rows).await?;
        let is_theirs = |user: &User| user.scope.is_within(&by.scope);
        found.take(page, |user| user.name.clone(), is_theirs);
    }
    let now = app.clock.now();
    let items = found.rows.into_iter().map(|user| view(user, now)).collect();
    Ok((items, found.next))
}

/// Makes a user with a first password.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "users",
    request_body = UserRequest,
    responses(
        (status = 201, description = "The user.", body = UserView),
        (status = 400, description = "A value is out of limits.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is taken.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<UserView>)> {
    params.only(&[])?;
    let request: UserRequest = body::json(&headers, &body, "the body is no user request")?;
    let by = asking.by();
    let wanted = Wanted {
        scope: by.scope_of(request.scope.as_deref())?,
        role: role_of(&request.role)?,
        password: request.password.secret(),
        name: request.name,
    };
    let user = users::create(&app, &by, wanted).await?;
    Ok((StatusCode::CREATED, Json(view(user, app.clock.now()))))
}

/// One user.
#[utoipa::path(
    get,
    path = "/api/v1/users/{user}",
    tag = "users",
    params(("user" = String, Path, description = "Name of the user.")),
    responses(
        (status = 200, description = "The user.", body = UserView),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(user): Path<String>,
    params: Params,
) -> Answer<Json<UserView>> {
    params.only(&[])?;
    let found = users::find(&mut app.store.read().await?, &asking.by(), &user).await?;
    Ok(Json(view(found, app.clock.now())))
}

/// Deletes a user; their sessions and the tokens of their sign-ins end at once.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{user}",
    tag = "users",
    params(("user" = String, Path, description = "Name of the user.")),
    responses(
        (status = 204, description = "They are deleted."),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They are the last admin.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(user): Path<String>,
    params: Params,
) -> Answer<StatusCode> {
    params.only(&[])?;
    users::delete(&app, &asking.by(), &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a user another role. Nobody raises their own.
#[utoipa::path(
    put,
    path = "/api/v1/users/{user}/role",
    tag = "users",
    params(("user" = String, Path, description = "Name of the user.")),
    request_body = RoleRequest,
    responses(
        (status = 200, description = "The user.", body = UserView),
        (status = 403, description = "It would be the caller's own, and higher.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They are the last admin.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn set_role(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(user): Path<String>,
    (params, headers, body): Request,
) -> Answer<Json<UserView>> {
    params.only(&[])?;
    let request: RoleRequest = body::json(&headers, &body, "the body is no role")?;
    let role = role_of(&request.role)?;
    let changed = users::set_role(&app, &asking.by(), &user, role).await?;
    Ok(Json(view(changed, app.clock.now())))
}

/// Gives a user other hosts to see and act on; their browsers see those within 5 s. Nobody widens their own scope, or gives away
/// more than it.
#[utoipa::path(
    put,
    path = "/api/v1/users/{user}/scope",
    tag = "users",
    params(("user" = String, Path, description = "Name of the user.")),
    request_body = ScopeRequest,
    responses(
        (status = 200, description = "The user.", body = UserView),
        (status = 400, description = "It is no scope, or not within the caller's.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "It would be the caller's own, and wider.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They are the last admin of all hosts.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn set_scope(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(user): Path<String>,
    (params, headers, body): Request,
) -> Answer<Json<UserView>> {
    params.only(&[])?;
    let request: ScopeRequest = body::json(&headers, &body, "the body is no scope")?;
    let by = asking.by();
    let scope = by.exactly(request.scope.as_deref())?;
    let changed = users::set_scope(&app, &by, &user, scope).await?;
    Ok(Json(view(changed, app.clock.now())))
}

/// Gives another user a password, unlocks them, and ends their sessions and the tokens of their sign-ins.
#[utoipa::path(
    put,
    path = "/api/v1/users/{user}/password",
    tag = "users",
    params(("user" = String, Path, description = "Name of the user.")),
    request_body = PasswordRequest,
    responses(
        (status = 200, description = "The user.", body = UserView),
        (status = 403, description = "It would be the caller's own: that is /api/v1/me/password.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn set_password(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(user): Path<String>,
    (params, headers, body): Request,
) -> Answer<Json<UserView>> {
    params.only(&[])?;
    let request: PasswordRequest = body::json(&headers, &body, "the body is no password")?;
    let password = request.password.secret();
    let changed = users::set_password(&app, &asking.by(), &user, password).await?;
    Ok(Json(view(changed, app.clock.now())))
}

/// Disables a user, with their sessions and the tokens of their sign-ins; enables them; unlocks them after failures.
#[utoipa::path(
    post,
    path = "/api/v1/users/{user}/{deed}",
    tag = "users",
    params(
        ("user" = String, Path, description = "Name of the user."),
        ("deed" = String, Path, description = "`disable`, `enable` or `unlock`."),
    ),
    responses(
        (status = 200, description = "The user.", body = UserView),
        (status = 404, description = "There is none, or no such deed.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They are the last admin.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn act(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path((user, deed)): Path<(String, String)>,
    params: Params,
) -> Answer<Json<UserView>> {
    params.only(&[])?;
    let deed = Deed::from_name(&deed).ok_or_else(|| {
        ApiProblem::new(
            ErrorCode::NotFound,
            "a user can be told to disable, enable or unlock",
        )
    })?;
    let changed = users::act(&app, &asking.by(), &user, deed).await?;
    Ok(Json(view(changed, app.clock.now())))
}

/// The role of that name.
///
/// # Errors
/// When there is none.
pub fn role_of(name: &str) -> Result<Role, UserError> {
    Role::from_name(name).ok_or_else(|| UserError::Invalid(vec![api_tokens::role_problem(name)]))
}

/// A user as listed.
#[must_use]
pub fn view(user: User, now: Timestamp) -> UserView {
    let User {
        name,
        role,
        scope,
        password_hash,
        subject,
        created_at,
        disabled_at,
        failed_attempts,
        locked_until,
        signed_in_at,
    } = user;
    let locked_until = locked_until.filter(|until| *until > now);
    let state = match (disabled_at, locked_until) {
        (Some(_), _) => "disabled",
        (None, Some(_)) => "locked",
        (None, None) => "enabled",
    };
    UserView {
        name,
        role: role.as_str().to_owned(),
        state: state.to_owned(),
        has_password: password_hash.is_some(),
        provider: subject.map(|who| who.issuer),
        created_ms: created_at.unix_ms(),
        signed_in_ms: signed_in_at.map(Timestamp::unix_ms),
        disabled_ms: disabled_at.map(Timestamp::unix_ms),
        locked_until_ms: locked_until.map(Timestamp::unix_ms),
        failed_attempts,
        scope: scope.to_text(),
    }
}
