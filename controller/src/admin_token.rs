//! `tidemark-controller admin-token`: the way in for the first administrator, and for one who lost every token. Whoever can
//! write the controller's database can let themselves in anyway; this says so among the events.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::Role;
use tidemark_model::audit_log::Deed;
use tidemark_model::duration::{format_duration, parse_duration};
use tidemark_model::notice::NoticeKind;
use tidemark_runtime::{Clock, Entropy};
use tidemark_store::{NewNotice, Store};

use crate::access::{ApiKey, Holder, TTL_LIMITS, holder_problem};
use crate::audit_log::Record;
use crate::settings::Settings;

/// Whose token it is, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminTokenArgs {
    /// Whose token it is, as a person is called
    #[arg(long, value_name = "NAME", value_parser = holder)]
    pub name: String,
    /// How long it is valid, 1m to 365d
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = ttl)]
    pub ttl: Duration,
}

fn holder(text: &str) -> Result<String, String> {
    holder_problem(text).map_or_else(|| Ok(text.to_owned()), Err)
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = parse_duration(text).map_err(|error| error.to_string())?;
    if (TTL_LIMITS.0..=TTL_LIMITS.1).contains(&ttl) {
        return Ok(ttl);
    }
    Err(format!("{text} is out of limits; a token lives 1m to 365d"))
}

/// Makes the token in the database of `settings`, beside a controller that serves or not, and prints it alone, so that it can be
/// piped; what to do with it goes to standard error.
///
/// # Errors
/// When there is no database yet, or it says no; no token exists then.
#[expect(clippy::print_stderr, reason = "standard output is the token alone")]
pub async fn run(settings: &Settings, args: &AdminTokenArgs) -> anyhow::Result<()> {
    let store = Store::open_existing(&settings.database)
        .await
        .context("start the controller once, and say which with --config or --data-dir")?;
    let (now, key) = (Clock::System.now(), ApiKey::generate(&Entropy::System));
    let expires_at = now.saturating_add(args.ttl);
    let mut tx = store.begin().await?;
    let holder = Holder::of_all_hosts(&args.name, Role::Admin);
    tx.api_token_insert(&key.record(holder, (now, Some(expires_at))))
        .await?;
    let text = format!(
        "API token {} was made for {} as {} on the controller's machine",
        key.id,
        args.name,
        Role::Admin.as_str()
    );
    let what = (Deed::ApiTokenCreate, "api-tokens", key.id);
    Record::of_machine(now, "tidemark-controller admin-token", what)
        .with("name", &args.name)
        .with("role", Role::Admin.as_str())
        .keep(&mut tx)
        .await?;
    tx.notices_append(&[NewNotice {
        at: now,
        host: None,
        kind: NoticeKind::TokenCreated,
        text: text.into(),
    }])
    .await?;
    tx.commit().await?;
    store.close().await;
    writeln!(std::io::stdout(), "{}", key.expose_text())?;
    eprintln!(
        "valid for {}; on the machine where you work: tidemark login --server URL --token-file FILE",
        format_duration(args.ttl)
    );
    Ok(())
}
