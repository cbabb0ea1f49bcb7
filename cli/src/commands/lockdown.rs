//! `lockdown on|off|status|end`: the switch that stops every action, and the signed end of it on hosts that want one.

use serde::Serialize;
use tidemark_model::action::Unlock;
use tidemark_model::signing::Purpose;
use tidemark_model::view::{HostView, LockdownView, UnlockRequest};

use super::Ctx;
use super::consent::Consent;
use super::keys;
use super::one_by_one::{hosts_named, one_by_one};
use super::show::{show, show_once};
use crate::api::Turn;
use crate::args::{Lockdown, PassphraseArgs};
use crate::failure::Failure;
use crate::render::sheet::{Sheet, Value};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Does what was asked.
pub async fn run(ctx: &Ctx<'_>, wanted: &Lockdown) -> Result<(), Failure> {
    match wanted {
        Lockdown::On { reason } => turn(ctx, Turn::Stop, reason).await,
        Lockdown::Off { reason } => turn(ctx, Turn::GoOn, reason).await,
        Lockdown::Status => {
            let api = ctx.api()?;
            show(ctx, async || api.lockdown().await.map(Standing)).await
        }
        Lockdown::End {
            hosts,
            key,
            yes,
            passphrase,
        } => end(ctx, hosts, (key, passphrase), Consent::of(*yes)).await,
    }
}

async fn turn(ctx: &Ctx<'_>, to: Turn, reason: &str) -> Result<(), Failure> {
    let stands = ctx.api()?.turn_lockdown(to, reason).await?;
    show_once(ctx, &Standing(stands))
}

/// All hosts are looked up first, so that a misspelt name stops it before anything is signed.
async fn end(
    ctx: &Ctx<'_>,
    names: &[String],
    (key, passphrase): (&str, &PassphraseArgs),
    consent: Consent,
) -> Result<(), Failure> {
    let api = ctx.api()?;
    let (hosts, listed) = hosts_named(&api, names).await?;
    let question = format!("Let actions go on on {listed}?");
    let else_say = format!("this lets actions go on on {listed}");
    if !consent.is_given(ctx, &question, &else_say)? {
        return Ok(());
    }
    let key = keys::open(ctx, key, passphrase)?;
    let said = |host: &HostView| {
        let name = visible(&host.name);
        format!(
            "the signed end of its lockdown is on its way to {name}; describe host {name} says whether it holds"
        )
    };
    one_by_one(ctx, &hosts, said, async |host| {
        let issued_at_ms = ctx.clock.now();
        let unlock = Unlock {
            host: host.id.parse().map_err(|_| {
                Failure::usage("the controller names the host by no id; nothing was signed")
            })?,
            issued_at_ms,
        };
        let signature = key.sign(Purpose::Unlock, &unlock.to_bytes())?;
        let request = UnlockRequest {
            issued_at_ms: issued_at_ms.unix_ms(),
            key_id: signature.key.to_string(),
            signature: signature.to_base64(),
        };
        api.unlock(&host.id, &request).await
    })
    .await
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Standing(LockdownView);

impl Report for Standing {
    fn table(&self, screen: &Screen) -> String {
        let Self(view) = self;
        let mut text = match (view.on, view.since_ms) {
            (true, _) => "× every action on every host is stopped\n".to_owned(),
            (false, Some(_)) => "● actions may be done\n".to_owned(),
            (false, None) => "● actions may be done; they were never stopped\n".to_owned(),
        };
        for turn in &view.turns {
            let at = words::date_time(turn.at_ms, &screen.zone, screen.now);
            let what = if turn.on { "stopped" } else { "let go on" };
            let (by, reason) = (visible(&turn.by), visible(&turn.reason));
            text.push_str(&format!("  {at}  {what} by {by}: {reason}\n"));
        }
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec!["at_ms", "on", "by", "reason"],
            rows: self
                .0
                .turns
                .iter()
                .map(|turn| {
                    vec![
                        Value::number(turn.at_ms),
                        Value::number(turn.on),
                        Value::text(&turn.by),
                        Value::text(&turn.reason),
                    ]
                })
                .collect(),
        }
    }
}
