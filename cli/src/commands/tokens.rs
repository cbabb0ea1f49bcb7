//! `token create|list`: join tokens, and how a second host gets an agent with one.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};
use tidemark_model::Timestamp;
use tidemark_model::view::{JoinTokenCreated, JoinTokenRequest, JoinTokenView};

use super::Ctx;
use super::show::{show, show_once};
use crate::args::TokenCreateArgs;
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Makes a join token and shows it.
pub async fn create(ctx: &Ctx<'_>, wanted: &TokenCreateArgs) -> Result<(), Failure> {
    show_once(ctx, &Created(make(ctx, wanted).await?))
}

/// Makes a join token.
pub async fn make(ctx: &Ctx<'_>, wanted: &TokenCreateArgs) -> Result<JoinTokenCreated, Failure> {
    let request = JoinTokenRequest {
        ttl_s: wanted.ttl.as_secs(),
        uses: wanted.uses,
        labels: wanted
            .labels
            .iter()
            .map(|label| (label.key.clone(), label.value.clone()))
            .collect(),
    };
    if !(60..=2_592_000).contains(&request.ttl_s) {
        return Err(Failure::usage("--ttl must be 1m to 30d"));
    }
    ctx.api()?.create_token(&request).await
}

/// Lists the join tokens.
pub async fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.tokens().await.map(TokenList)).await
}

/// What is said after the lines that hold a token.
pub const FAREWELL: &str = "The token holds the fingerprint of the authority: the agent trusts this controller and no other.\n\
                            Watch it arrive: tidemark get events --watch --kind host_enrolled\n";

/// The token, whom it is for and until when.
pub fn headline(token: &JoinTokenCreated, screen: &Screen) -> String {
    let uses = if token.uses == 1 {
        "one host".to_owned()
    } else {
        format!("{} hosts", token.uses)
    };
    format!(
        "Join token {id}, for {uses}, until {until} ({relative}). It is shown only this once:\n\n  {secret}\n",
        id = visible(&token.id),
        until = words::date_time(token.expires_ms, &screen.zone, screen.now),
        relative = words::relative(token.expires_ms, screen.now),
        secret = visible(&token.token),
    )
}

#[derive(Debug, Serialize)]
struct Created(JoinTokenCreated);

impl Report for Created {
    fn table(&self, screen: &Screen) -> String {
        let Self(token) = self;
        let (secret, controller) = (visible(&token.token), visible(&token.controller));
        format!(
            "{headline}\n\
             On the other host, with the program tidemark-agent beside you; for packages: tidemark install\n\n\
             \x20 (umask 077; printf %s '{secret}' > join-token)\n\
             \x20 sudo ./tidemark-agent run --controller {controller} --token-file join-token\n\n\
             {loopback}{FAREWELL}",
            headline = headline(token, screen),
            loopback = loopback_warning(&token.controller),
        )
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let Self(token) = self;
        Sheet {
            header: vec!["id", "token", "expires_ms", "uses", "controller"],
            rows: vec![vec![
                Value::text(&token.id),
                Value::text(&token.token),
                Value::number(token.expires_ms),
                Value::number(token.uses),
                Value::text(&token.controller),
            ]],
        }
    }
}

/// An address of this machine alone leads no other host here.
pub fn loopback_warning(controller: &str) -> &'static str {
    let is_loopback = controller
        .parse()
        .is_ok_and(|address: SocketAddr| address.ip().is_loopback());
    if is_loopback || controller.starts_with("localhost:") {
        "That address reaches this machine only. For other hosts, start the controller with --grpc ADDRESS:7443,\n\
         where ADDRESS is one of this machine's that they reach.\n\n"
    } else {
        ""
    }
}

#[derive(Debug)]
struct TokenList(Vec<JoinTokenView>);

impl Serialize for TokenList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

fn standing(token: &JoinTokenView, now: Timestamp) -> (&'static str, Tone) {
    if token.revoked {
        ("× revoked", Tone::Muted)
    } else if token.expires_ms <= now.unix_ms() {
        ("○ expired", Tone::Muted)
    } else if token.used >= token.uses_max {
        ("○ used up", Tone::Muted)
    } else {
        ("● open", Tone::Good)
    }
}

fn labels(token: &JoinTokenView) -> String {
    let pairs: Vec<_> = token
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

impl Report for TokenList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No join tokens. Make one: tidemark token create\n".to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            left("ID"),
            left("STATE"),
            ("USED", Align::Right),
            left("EXPIRES"),
            left("CREATED"),
            left("LABELS"),
        ]);
        for token in &self.0 {
            let (word, tone) = standing(token, screen.now);
            table.row([
                token.id.as_str().into(),
                Cell::toned(word, tone),
                format!("{} of {}", token.used, token.uses_max).into(),
                words::relative(token.expires_ms, screen.now).into(),
                words::relative(token.created_ms, screen.now).into(),
                if token.labels.is_empty() {
                    "-".into()
                } else {
                    labels(token).into()
                },
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |token: &JoinTokenView| {
            vec![
                Value::text(&token.id),
                Value::number(token.created_ms),
                Value::number(token.expires_ms),
                Value::number(token.uses_max),
                Value::number(token.used),
                Value::number(token.revoked),
                Value::text(labels(token)),
            ]
        };
        Sheet {
            header: vec![
                "id",
                "created_ms",
                "expires_ms",
                "uses_max",
                "used",
                "revoked",
                "labels",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}
