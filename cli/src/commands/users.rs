//! `user`: people who sign in; `whoami`: who the caller is to the controller.

use std::path::Path;

use serde::Serialize;
use tidemark_model::scope::ScopeMatchers;
use tidemark_model::view::{MeView, OwnPasswordRequest, UserRequest, UserView};

use super::consent::Consent;
use super::one_by_one::one_by_one;
use super::show::{show, show_once};
use super::{Ctx, passwords};
use crate::args::{PasswordArgs, Role, User};
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Does what was asked.
pub async fn run(ctx: &Ctx<'_>, wanted: &User) -> Result<(), Failure> {
    match wanted {
        User::Create {
            name,
            role,
            scope,
            password,
        } => create(ctx, name, (*role, scope.as_ref()), password).await,
        User::List => list(ctx).await,
        User::Show { name } => {
            let api = ctx.api()?;
            show(ctx, async || api.user(name).await.map(OneUser)).await
        }
        User::SetRole { name, role } => {
            let role = tidemark_model::Role::from(*role).as_str();
            let changed = ctx.api()?.set_role(name, role).await?;
            show_once(ctx, &OneUser(changed))
        }
        User::SetScope {
            name,
            scope,
            all: _,
        } => {
            let scope = scope.as_ref().map(ToString::to_string);
            let changed = ctx.api()?.set_scope(name, scope).await?;
            show_once(ctx, &OneUser(changed))
        }
        User::Disable { names, yes } => {
            let listed = listed(names);
            let question = format!("Shut out {listed}? Their browsers and command lines end.");
            let else_say = format!("this shuts out {listed}");
            let consent = Consent::of(*yes).is_given(ctx, &question, &else_say)?;
            tell(ctx, names, ("disable", "disabled"), consent).await
        }
        User::Enable { names } => tell(ctx, names, ("enable", "enabled"), true).await,
        User::Unlock { names } => tell(ctx, names, ("unlock", "unlocked"), true).await,
        User::SetPassword {
            name: Some(name),
            password,
            ..
        } => set_password(ctx, name, password).await,
        User::SetPassword {
            name: None,
            password,
            current_password_file,
        } => change_own(ctx, current_password_file.as_deref(), password).await,
        User::Delete { names, yes } => delete(ctx, names, Consent::of(*yes)).await,
    }
}

/// Lists the users.
pub async fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.users().await.map(UserList)).await
}

/// Shows who the caller is to the controller.
pub async fn whoami(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || {
        let me = api.me().await?;
        let server = api.server().to_owned();
        Ok(Me { server, me })
    })
    .await
}

async fn create(
    ctx: &Ctx<'_>,
    name: &str,
    (role, scope): (Role, Option<&ScopeMatchers>),
    from: &PasswordArgs,
) -> Result<(), Failure> {
    let api = ctx.api()?;
    let question = format!("First password of {}: ", visible(name));
    let wanted = UserRequest {
        name: name.to_owned(),
        role: tidemark_model::Role::from(role).as_str().to_owned(),
        password: passwords::new(ctx, from.password_file.as_deref(), &question)?,
        scope: scope.map(ToString::to_string),
    };
    let made = api.create_user(&wanted).await?;
    show_once(ctx, &OneUser(made))?;
    let (server, name) = (visible(api.server()), visible(name));
    ctx.console.note(&format!(
        "they sign in on the page, or with: tidemark login --server {server} --user {name}"
    ));
    Ok(())
}

async fn tell(
    ctx: &Ctx<'_>,
    names: &[String],
    (deed, done): (&str, &str),
    consent: bool,
) -> Result<(), Failure> {
    if !consent {
        return Ok(());
    }
    let api = ctx.api()?;
    let said = |name: &String| format!("{done} user {}", visible(name));
    one_by_one(ctx, names, said, async |name| {
        api.tell_user(name, deed).await
    })
    .await
}

async fn set_password(ctx: &Ctx<'_>, name: &str, from: &PasswordArgs) -> Result<(), Failure> {
    let question = format!("New password of {}: ", visible(name));
    let password = passwords::new(ctx, from.password_file.as_deref(), &question)?;
    ctx.api()?.set_password(name, password).await?;
    ctx.console.write(&format!(
        "user {} has another password; whatever was signed in as them ended",
        visible(name)
    ))
}

async fn change_own(
    ctx: &Ctx<'_>,
    current: Option<&Path>,
    from: &PasswordArgs,
) -> Result<(), Failure> {
    let wanted = OwnPasswordRequest {
        current: passwords::known(ctx, current, "Password that you have: ")?,
        new: passwords::new(ctx, from.password_file.as_deref(), "New password: ")?,
    };
    ctx.api()?.change_password(&wanted).await?;
    ctx.console
        .write("your password is changed; whatever else was signed in as you ended")
}

async fn delete(ctx: &Ctx<'_>, names: &[String], consent: Consent) -> Result<(), Failure> {
    let api = ctx.api()?;
    let listed = listed(names);
    let question = format!("Delete {listed}? Their browsers and command lines end.");
    let else_say = format!("this deletes {listed}");
    if !consent.is_given(ctx, &question, &else_say)? {
        return Ok(());
    }
    let said = |name: &String| format!("deleted user {}", visible(name));
    one_by_one(ctx, names, said, async |name| api.delete_user(name).await).await
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| visible(name)).collect();
    names.join(", ")
}

fn standing(user: &UserView) -> (&'static str, Tone) {
    match user.state.as_str() {
        "enabled" => ("● enabled", Tone::Good),
        "locked" => ("◆ locked", Tone::Watch),
        "disabled" => ("× disabled", Tone::Muted),
        _ => ("? unknown", Tone::Muted),
    }
}

fn signs_in_by(user: &UserView) -> String {
    match (user.has_password, &user.provider) {
        (true, None) => "password".to_owned(),
        (false, Some(issuer)) => visible(issuer),
        (true, Some(issuer)) => format!("password, {}", visible(issuer)),
        (false, None) => "nothing".to_owned(),
    }
}

fn scope_of(scope: Option<&str>) -> String {
    scope.map_or_else(|| "all".to_owned(), visible)
}

fn when(at: Option<i64>, screen: &Screen) -> String {
    at.map_or_else(|| "never".to_owned(), |at| words::relative(at, screen.now))
}

const HEADER: [&str; 11] = [
    "name",
    "role",
    "state",
    "has_password",
    "provider",
    "created_ms",
    "signed_in_ms",
    "disabled_ms",
    "locked_until_ms",
    "failed_attempts",
    "scope",
];

fn row(user: &UserView) -> Vec<Value> {
    vec![
        Value::text(&user.name),
        Value::text(&user.role),
        Value::text(&user.state),
        Value::number(user.has_password),
        Value::maybe_text(user.provider.as_deref()),
        Value::number(user.created_ms),
        Value::maybe(user.signed_in_ms),
        Value::maybe(user.disabled_ms),
        Value::maybe(user.locked_until_ms),
        Value::number(user.failed_attempts),
        Value::text(user.scope.as_deref().unwrap_or_default()),
    ]
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct OneUser(UserView);

impl Report for OneUser {
    fn table(&self, screen: &Screen) -> String {
        let Self(user) = self;
        let (state, _) = standing(user);
        let mut lines = vec![
            format!("user       {}", visible(&user.name)),
            format!("role       {}", visible(&user.role)),
            format!("hosts      {}", scope_of(user.scope.as_deref())),
            format!("state      {state}"),
            format!("signs in   by {}", signs_in_by(user)),
            format!("last       {}", when(user.signed_in_ms, screen)),
            format!("made       {}", when(Some(user.created_ms), screen)),
        ];
        if let Some(until) = user.locked_until_ms {
            lines.push(format!(
                "locked     ends {}; sooner with: tidemark user unlock {}",
                words::relative(until, screen.now),
                visible(&user.name)
            ));
        }
        lines.join("\n") + "\n"
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: HEADER.to_vec(),
            rows: vec![row(&self.0)],
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct UserList(Vec<UserView>);

impl Report for UserList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No users. Make one: tidemark user create NAME --role admin\n".to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            left("NAME"),
            left("STATE"),
            left("ROLE"),
            left("HOSTS"),
            left("SIGNS IN BY"),
            left("LAST"),
        ]);
        for user in &self.0 {
            let (word, tone) = standing(user);
            table.row([
                user.name.as_str().into(),
                Cell::toned(word, tone),
                user.role.as_str().into(),
                scope_of(user.scope.as_deref()).into(),
                signs_in_by(user).into(),
                when(user.signed_in_ms, screen).into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: HEADER.to_vec(),
            rows: self.0.iter().map(row).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Me {
    server: String,
    #[serde(flatten)]
    me: MeView,
}

/// Which hosts somebody sees, and how many that are.
fn hosts_of(me: &MeView) -> String {
    let count = match me.hosts {
        None => "how many is unknown".to_owned(),
        Some(1) => "1 host".to_owned(),
        Some(count) => format!("{count} hosts"),
    };
    me.scope.as_deref().map_or_else(
        || format!("all, {count}"),
        |scope| format!("those with {}, {count}", visible(scope)),
    )
}

impl Report for Me {
    fn table(&self, screen: &Screen) -> String {
        let Self { server, me } = self;
        let kind = if me.is_user {
            "a user"
        } else {
            "the holder of an API token"
        };
        let end = me.expires_ms.map_or_else(
            || "until it is revoked".to_owned(),
            |at| format!("until {}", words::date_time(at, &screen.zone, screen.now)),
        );
        format!(
            "name       {}, {kind}\nrole       {}\nhosts      {}\ncame with  {} {}, {end}\ncontroller {}\n",
            visible(&me.name),
            visible(&me.role),
            hosts_of(me),
            visible(&me.by).replace('_', " "),
            visible(&me.id),
            visible(server),
        )
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let Self { server, me } = self;
        Sheet {
            header: vec![
                "server",
                "name",
                "role",
                "by",
                "id",
                "is_user",
                "has_password",
                "expires_ms",
                "scope",
                "hosts",
            ],
            rows: vec![vec![
                Value::text(server),
                Value::text(&me.name),
                Value::text(&me.role),
                Value::text(&me.by),
                Value::text(&me.id),
                Value::number(me.is_user),
                Value::number(me.has_password),
                Value::maybe(me.expires_ms),
                Value::text(me.scope.as_deref().unwrap_or_default()),
                Value::maybe(me.hosts),
            ]],
        }
    }
}
