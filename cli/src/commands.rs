//! One module a command: ask the API, make a report, show it.

mod actions;
mod api_tokens;
mod apply;
mod audit_log;
mod budgets;
mod causes;
pub mod check;
mod consent;
mod context;
mod describe;
mod drift;
mod events;
mod findings;
mod forecast;
mod grants;
mod history;
mod hosts;
mod incidents;
mod install;
mod keys;
mod label;
mod lockdown;
mod login;
mod notify;
mod one_by_one;
mod orders;
mod passwords;
mod policies;
mod releases;
mod revoke;
mod runs;
mod sessions;
mod show;
mod status;
mod tokens;
mod top;
mod upgrades;
mod users;
mod version;
mod windows;

use std::path::Path;

use clap::CommandFactory as _;
use tidemark_model::Timestamp;
use tidemark_runtime::Clock;

use self::consent::Consent;
use crate::api::{Api, ScopeSeen, Target};
use crate::args::{
    Args, Budget, Command, Describe, Get, Global, Notify, Revoke, Silence, Token, Window,
};
use crate::console::Console;
use crate::failure::Failure;
use crate::render::Screen;

/// What every command works with.
struct Ctx<'a> {
    console: &'a Console,
    global: Global,
    clock: Clock,
    scope_seen: ScopeSeen,
}

impl Ctx<'_> {
    /// The controller that is meant.
    fn api(&self) -> Result<Api, Failure> {
        let api = Api::new(Target::find(&self.global)?, self.global.timeout)?;
        Ok(api.noting(self.scope_seen.clone()))
    }

    /// What there is to draw on, at this moment.
    fn screen(&self) -> Screen {
        self.console.screen(self.clock.now())
    }
}

/// Does what `args` ask for, and answers the exit code.
pub async fn run(args: Args, console: &Console) -> Result<u8, Failure> {
    let clock = args.global.now_ms.map_or(Clock::System, |ms| {
        Clock::manual(Timestamp::from_unix_ms(ms))
    });
    let ctx = Ctx {
        console,
        global: args.global,
        clock,
        scope_seen: ScopeSeen::default(),
    };
    let done = match args.command {
        // Its exit codes are a monitoring system's, also when it fails.
        Command::Check(wanted) => return Ok(check::run(&ctx, &wanted).await),
        Command::Get(wanted) => get(&ctx, wanted).await,
        Command::Describe(wanted) => describe_one(&ctx, wanted).await,
        Command::Apply(wanted) => apply::apply(&ctx, &wanted).await,
        Command::Budget(Budget::Remove { names }) => budgets::remove(&ctx, &names).await,
        Command::Grant(wanted) => grants::run(&ctx, &wanted).await,
        Command::Release(wanted) => releases::run(&ctx, &wanted).await,
        Command::Upgrade(wanted) => upgrades::run(&ctx, &wanted).await,
        Command::Policy(wanted) => policies::run(&ctx, &wanted).await,
        Command::Window(Window::Next { name, host, count }) => {
            windows::next(&ctx, &name, host.as_deref(), count).await
        }
        Command::Window(Window::Remove { names }) => windows::remove(&ctx, &names).await,
        Command::Silence(Silence::List) => notify::list_silences(&ctx).await,
        Command::Silence(Silence::Add(wanted)) => notify::add_silence(&ctx, &wanted).await,
        Command::Silence(Silence::Remove { ids }) => notify::remove_silences(&ctx, &ids).await,
        Command::Action(wanted) => actions::run(&ctx, &wanted).await,
        Command::Run(wanted) => runs::run(&ctx, &wanted).await,
        Command::Key(wanted) => keys::run(&ctx, &wanted).await,
        Command::Lockdown(wanted) => lockdown::run(&ctx, &wanted).await,
        Command::Audit(wanted) => audit_log::run(&ctx, &wanted).await,
        Command::User(wanted) => users::run(&ctx, &wanted).await,
        Command::Session(wanted) => sessions::run(&ctx, &wanted).await,
        Command::Whoami => users::whoami(&ctx).await,
        Command::ApiToken(wanted) => api_tokens::run(&ctx, &wanted).await,
        Command::Incident(wanted) => incidents::act(&ctx, &wanted).await,
        Command::Notify(Notify::Test { receiver }) => notify::test(&ctx, &receiver).await,
        Command::Install(wanted) => install::install(&ctx, &wanted).await,
        Command::Token(Token::List) => tokens::list(&ctx).await,
        Command::Token(Token::Create(wanted)) => tokens::create(&ctx, &wanted).await,
        Command::Token(Token::Revoke { ids }) => revoke::tokens(&ctx, &ids).await,
        Command::Top(wanted) => top::watch(&ctx, &wanted).await,
        Command::History(wanted) => history::history(&ctx, &wanted).await,
        Command::Compare(wanted) => history::compare(&ctx, &wanted).await,
        Command::Forecast(wanted) => forecast::forecast(&ctx, &wanted).await,
        Command::Label(wanted) => label::label(&ctx, &wanted).await,
        Command::Revoke(Revoke::Host { hosts, yes }) => {
            revoke::hosts(&ctx, &hosts, Consent::of(yes)).await
        }
        Command::Status => status::status(&ctx).await,
        Command::Login(wanted) => login::login(&ctx, &wanted).await,
        Command::Context(wanted) => context::context(&ctx, &wanted),
        Command::Completion { shell } => completion(&ctx, shell),
        Command::Man { folder } => man(&folder),
        Command::Version => version::version(&ctx).await,
    };
    done.map(|()| 0)
}

async fn get(ctx: &Ctx<'_>, wanted: Get) -> Result<(), Failure> {
    match wanted {
        Get::Hosts(wanted) => hosts::list(ctx, &wanted).await,
        Get::Events(wanted) => events::list(ctx, &wanted).await,
        Get::Drift(wanted) => drift::list(ctx, &wanted).await,
        Get::Findings { hosts } => findings::list(ctx, &hosts).await,
        Get::Causes => causes::list(ctx).await,
        Get::Incidents(wanted) => incidents::list(ctx, &wanted).await,
        Get::Actions(wanted) => actions::list(ctx, &wanted).await,
        Get::Recoveries => actions::recoveries(ctx).await,
        Get::Runs(wanted) => runs::list(ctx, &wanted).await,
        Get::Budgets(wanted) => budgets::list(ctx, &wanted).await,
        Get::Keys => keys::list_fleet(ctx).await,
        Get::KeyStatements => keys::list_statements(ctx).await,
        Get::Grants => grants::list(ctx).await,
        Get::Releases => releases::list(ctx).await,
        Get::Upgrades => upgrades::list(ctx).await,
        Get::Policies => policies::list(ctx).await,
        Get::Windows => windows::list(ctx).await,
        Get::Silences => notify::list_silences(ctx).await,
        Get::Receivers => notify::receivers(ctx).await,
        Get::Notifications(wanted) => notify::notifications(ctx, &wanted).await,
        Get::Tokens => tokens::list(ctx).await,
        Get::Users => users::list(ctx).await,
        Get::Sessions => sessions::list(ctx, None).await,
        Get::ApiTokens => api_tokens::list(ctx).await,
    }
}

async fn describe_one(ctx: &Ctx<'_>, wanted: Describe) -> Result<(), Failure> {
    match wanted {
        Describe::Host { hosts } => describe::hosts(ctx, &hosts).await,
        Describe::Incident { id } => incidents::describe(ctx, id).await,
        Describe::Action { id } => actions::describe(ctx, &id).await,
        Describe::Run { number } => runs::describe(ctx, number).await,
        Describe::Budget { name } => budgets::describe(ctx, &name).await,
        Describe::Grant { id } => grants::describe(ctx, &id).await,
        Describe::Upgrade { number } => upgrades::describe(ctx, number).await,
        Describe::Policy { name } => policies::describe(ctx, &name).await,
        Describe::Window { name } => windows::describe(ctx, &name).await,
    }
}

fn man(folder: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Args::command(), folder).map_err(|source| Failure::Io {
        action: "write the manual pages",
        source,
    })
}

fn completion(ctx: &Ctx<'_>, shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tidemark", &mut script);
    ctx.console.write(&String::from_utf8_lossy(&script))
}
