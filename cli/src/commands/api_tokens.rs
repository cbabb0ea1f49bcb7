//! `api-token create|list|revoke`: who may use the API.

use serde::Serialize;
use tidemark_model::Timestamp;
use tidemark_model::view::{ApiTokenCreated, ApiTokenRequest, ApiTokenView};

use super::Ctx;
use super::one_by_one::one_by_one;
use super::show::{show, show_once};
use crate::args::ApiToken;
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Shortest and longest life of an API token, in seconds.
const TTL_LIMITS_S: std::ops::RangeInclusive<u64> = 60..=31_536_000;

/// Does what was asked.
pub async fn run(ctx: &Ctx<'_>, wanted: &ApiToken) -> Result<(), Failure> {
    match wanted {
        ApiToken::Create {
            name,
            role,
            ttl,
            scope,
        } => {
            let request = ApiTokenRequest {
                name: name.clone(),
                role: tidemark_model::Role::from(*role).as_str().to_owned(),
                ttl_s: ttl.map(|ttl| ttl.as_secs()),
                scope: scope.as_ref().map(ToString::to_string),
            };
            create(ctx, &request).await
        }
        ApiToken::List => list(ctx).await,
        ApiToken::Revoke { ids } => {
            let api = ctx.api()?;
            let said = |id: &String| format!("revoked API token {}", visible(id));
            one_by_one(ctx, ids, said, async |id| api.revoke_api_token(id).await).await
        }
    }
}

/// Lists the API tokens.
pub async fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.api_tokens().await.map(TokenList)).await
}

async fn create(ctx: &Ctx<'_>, request: &ApiTokenRequest) -> Result<(), Failure> {
    if request
        .ttl_s
        .is_some_and(|ttl_s| !TTL_LIMITS_S.contains(&ttl_s))
    {
        return Err(Failure::usage("--ttl must be 1m to 365d"));
    }
    let created = ctx.api()?.create_api_token(request).await?;
    show_once(ctx, &Created(created))
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Created(ApiTokenCreated);

impl Report for Created {
    fn table(&self, screen: &Screen) -> String {
        let Self(token) = self;
        let until = token.expires_ms.map_or_else(
            || "until it is revoked".to_owned(),
            |at| {
                let at = words::date_time(at, &screen.zone, screen.now);
                format!("until {at}")
            },
        );
        format!(
            "API token {id} of {name}, as {role} for {scope}, {until}. It is shown only this once:\n\n  {secret}\n\n\
             Its holder logs in with:\n\n\
             \x20 tidemark login --server URL\n\n\
             and gives the token when asked. It ends with: tidemark api-token revoke {id}\n",
            id = visible(&token.id),
            name = visible(&token.name),
            role = visible(&token.role),
            scope = visible(scope_of(token.scope.as_deref())),
            secret = visible(&token.token),
        )
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let Self(token) = self;
        Sheet {
            header: vec!["id", "token", "name", "role", "expires_ms", "scope"],
            rows: vec![vec![
                Value::text(&token.id),
                Value::text(&token.token),
                Value::text(&token.name),
                Value::text(&token.role),
                Value::maybe(token.expires_ms),
                Value::text(token.scope.as_deref().unwrap_or_default()),
            ]],
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct TokenList(Vec<ApiTokenView>);

/// The hosts of a token as people read it.
fn scope_of(scope: Option<&str>) -> &str {
    scope.unwrap_or("all hosts")
}

fn standing(token: &ApiTokenView, now: Timestamp) -> (&'static str, Tone) {
    if token.revoked_ms.is_some() {
        ("× revoked", Tone::Muted)
    } else if token.expires_ms.is_some_and(|at| at <= now.unix_ms()) {
        ("○ expired", Tone::Muted)
    } else {
        ("● good", Tone::Good)
    }
}

impl Report for TokenList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No API tokens. Make one: tidemark api-token create NAME --role viewer\n"
                .to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            left("ID"),
            left("STATE"),
            left("NAME"),
            left("ROLE"),
            left("SCOPE"),
            left("EXPIRES"),
            left("CREATED"),
        ]);
        for token in &self.0 {
            let (word, tone) = standing(token, screen.now);
            let expires = token.expires_ms;
            let expires = expires.map(|at| words::relative(at, screen.now));
            table.row([
                token.id.as_str().into(),
                Cell::toned(word, tone),
                token.name.as_str().into(),
                token.role.as_str().into(),
                scope_of(token.scope.as_deref()).into(),
                expires.unwrap_or_else(|| "never".to_owned()).into(),
                words::relative(token.created_ms, screen.now).into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |token: &ApiTokenView| {
            vec![
                Value::text(&token.id),
                Value::text(&token.name),
                Value::text(&token.role),
                Value::number(token.created_ms),
                Value::maybe(token.expires_ms),
                Value::maybe(token.revoked_ms),
                Value::text(token.scope.as_deref().unwrap_or_default()),
            ]
        };
        Sheet {
            header: vec![
                "id",
                "name",
                "role",
                "created_ms",
                "expires_ms",
                "revoked_ms",
                "scope",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}
