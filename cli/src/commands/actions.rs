//! `action`, `get actions`, `describe action`, `get recoveries`: remediation, asked for, approved, signed, followed.

mod report;

use tidemark_model::ActionSpec;
use tidemark_model::Order;
use tidemark_model::signing::Purpose;
use tidemark_model::view::{ActionRequest, SignatureRequest};

use self::report::{ActionList, Described, Proposed, Recoveries};
use super::Ctx;
use super::consent::Consent;
use super::keys;
use super::orders;
use super::show::{show, show_once};
use crate::api::{Query, Verdict};
use crate::args::{Action, ActionsArgs, PassphraseArgs, ProposeArgs, WordArgs};
use crate::failure::Failure;

/// Does what was asked.
pub async fn run(ctx: &Ctx<'_>, wanted: &Action) -> Result<(), Failure> {
    match wanted {
        Action::Propose(wanted) => propose(ctx, wanted).await,
        Action::Approve(word) => judge(ctx, Verdict::Approve, word).await,
        Action::Reject(word) => judge(ctx, Verdict::Reject, word).await,
        Action::Cancel(word) => judge(ctx, Verdict::Cancel, word).await,
        Action::Sign {
            id,
            key,
            yes,
            passphrase,
        } => sign(ctx, id, (key, passphrase), Consent::of(*yes)).await,
    }
}

/// Lists actions, newest first.
pub async fn list(ctx: &Ctx<'_>, wanted: &ActionsArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let rows = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    show(ctx, async || {
        let mut query = Query::new();
        query.extend(wanted.host.clone().map(|host| ("host", host)));
        query.extend(wanted.state.clone().map(|state| ("state", state)));
        api.actions(query, rows).await.map(ActionList)
    })
    .await
}

/// Describes one action.
pub async fn describe(ctx: &Ctx<'_>, id: &str) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.action(id).await.map(Described)).await
}

/// Shows what has worked on what.
pub async fn recoveries(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.recoveries().await.map(Recoveries)).await
}

async fn propose(ctx: &Ctx<'_>, wanted: &ProposeArgs) -> Result<(), Failure> {
    let spec = ActionSpec::from_words(&wanted.action, &wanted.parameters)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let problems: Vec<String> = spec.problems().iter().map(ToString::to_string).collect();
    if !problems.is_empty() {
        return Err(Failure::usage(problems.join("; ")));
    }
    let request = ActionRequest {
        host: wanted.host.clone(),
        spec: serde_json::to_value(&spec).map_err(|error| Failure::usage(error.to_string()))?,
        dry_run: wanted.dry_run,
        reason: wanted.reason.clone(),
        incident: wanted.incident,
        not_before_ms: None,
        undo_if_worse: wanted.keep_if_worse.then_some(false),
        expires_ms: None,
    };
    let proposed = ctx.api()?.propose_action(&request).await?;
    show_once(ctx, &Proposed(proposed))
}

async fn judge(ctx: &Ctx<'_>, verdict: Verdict, word: &WordArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let judged = api.judge_action(&word.id, verdict, &word.text).await?;
    show_once(ctx, &Described(judged))
}

/// What is signed is read from the very bytes that are signed: a controller that shows one thing and sends another gains
/// nothing.
async fn sign(
    ctx: &Ctx<'_>,
    id: &str,
    (name, passphrase): (&str, &PassphraseArgs),
    consent: Consent,
) -> Result<(), Failure> {
    let api = ctx.api()?;
    let bytes = api.action_order(id).await?;
    let order = Order::from_bytes(&bytes)
        .map_err(|error| Failure::usage(format!("the controller sent no order: {error}")))?;
    if order.id.to_string() != id {
        return Err(Failure::usage(
            "the controller sent another order than was asked for; nothing was signed",
        ));
    }
    ctx.console.write(&visible_order(&order))?;
    if !consent.is_given(ctx, "Sign it?", "this signs it")? {
        return Ok(());
    }
    let key = keys::open(ctx, name, passphrase)?;
    let signature = key.sign(Purpose::Order, &bytes)?;
    let request = SignatureRequest {
        key_id: signature.key.to_string(),
        signature: signature.to_base64(),
    };
    let signed = api.sign_action(id, &request).await?;
    show_once(ctx, &Described(signed))
}

fn visible_order(order: &Order) -> String {
    format!(
        "{}\non host  {}\n{}id       {}\n",
        orders::title(order),
        order.host,
        orders::particulars(order),
        order.id
    )
}

/// An instant as it stands in an order, in UTC.
pub(super) fn at(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| unix_ms.to_string(), |at| at.to_string())
}
