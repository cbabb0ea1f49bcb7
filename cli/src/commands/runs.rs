//! `run`, `get runs`, `describe run`: maintenance runs, planned, approved, signed, followed and stopped.

mod report;
mod sign;

use tidemark_model::view::RunWord;

use self::report::{Described, RunList};
use super::Ctx;
use super::apply::file::value_of;
use super::consent::{self, Consent};
use super::show::{show, show_once};
use crate::api::{Effect, Query};
use crate::args::{PlanArgs, Run, RunWordArgs, RunsArgs};
use crate::failure::Failure;
use crate::render::Report as _;

/// Does what was asked.
pub async fn run(ctx: &Ctx<'_>, wanted: &Run) -> Result<(), Failure> {
    match wanted {
        Run::Plan(wanted) => plan(ctx, wanted).await,
        Run::Approve { word, plan } => approve(ctx, word, plan.as_deref()).await,
        Run::Sign {
            number,
            key,
            yes,
            passphrase,
        } => sign::sign(ctx, *number, (key, passphrase), Consent::of(*yes)).await,
        Run::Reject(word) => judge(ctx, "reject", word).await,
        Run::Stop(word) => judge(ctx, "stop", word).await,
    }
}

/// Lists runs.
pub async fn list(ctx: &Ctx<'_>, wanted: &RunsArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || {
        let state = wanted.state.as_ref();
        let query: Query = state
            .map(|state| ("state", state.clone()))
            .into_iter()
            .collect();
        api.runs(query, wanted.limit as usize).await.map(RunList)
    })
    .await
}

/// Describes one run.
pub async fn describe(ctx: &Ctx<'_>, number: i64) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.run(number).await.map(Described)).await
}

async fn plan(ctx: &Ctx<'_>, wanted: &PlanArgs) -> Result<(), Failure> {
    let spec = value_of(&wanted.file)?;
    let effect = Effect::of(wanted.dry_run);
    let planned = ctx.api()?.plan_run(&spec, effect).await?;
    show_once(ctx, &Described(planned))
}

/// What is approved is the plan that was shown: the controller refuses another one.
async fn approve(ctx: &Ctx<'_>, word: &RunWordArgs, plan: Option<&str>) -> Result<(), Failure> {
    let api = ctx.api()?;
    let hash = match plan {
        Some(hash) => hash.to_owned(),
        None => {
            let shown = Described(api.run(word.number).await?);
            let instead = "there is no terminal to ask; look at the plan with `tidemark describe run`, and give its hash with --plan";
            consent::check_terminal(ctx, instead)?;
            ctx.console.write(&shown.table(&ctx.screen()))?;
            if !consent::agrees(ctx, "Approve this plan?")? {
                return Ok(());
            }
            shown.0.plan.hash
        }
    };
    let said = RunWord {
        text: word.text.clone(),
        plan_hash: hash,
    };
    let approved = api.judge_run(word.number, "approve", &said).await?;
    show_once(ctx, &Described(approved))
}

async fn judge(ctx: &Ctx<'_>, verb: &str, word: &RunWordArgs) -> Result<(), Failure> {
    let said = RunWord {
        text: word.text.clone(),
        ..RunWord::default()
    };
    let judged = ctx.api()?.judge_run(word.number, verb, &said).await?;
    show_once(ctx, &Described(judged))
}
