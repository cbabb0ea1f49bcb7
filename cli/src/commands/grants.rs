//! `get grants`, `describe grant`, `grant new` and `grant withdraw`: what hosts may do without a signature of its own.

mod report;

use tidemark_model::grant::{
    Culprit, Grant as Document, GrantEnd, GrantId, RuleProblem, Scope, Trigger, rule_hash,
    template_of, trigger_of,
};
use tidemark_model::policy::Policy;
use tidemark_model::port::OWN_NAMESPACE;
use tidemark_model::signing::{Purpose, Signature};
use tidemark_model::view::{GrantEndRequest, GrantRequest, GrantSignature};
use tidemark_model::{HostId, Protocol};
use tidemark_runtime::Entropy;

use self::report::{Description, GrantList, visible_grant};
use super::Ctx;
use super::consent::Consent;
use super::keys;
use super::one_by_one::{hosts_named, one_by_one};
use super::show::{show, show_once};
use crate::api::Api;
use crate::args::{Grant, NewGrantArgs};
use crate::failure::Failure;
use crate::keys::OpenKey;

/// Lists grants.
pub async fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.grants().await.map(GrantList)).await
}

/// Describes one grant.
pub async fn describe(ctx: &Ctx<'_>, id: &str) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.grant(id).await.map(Description)).await
}

/// Does what is wanted of grants.
pub async fn run(ctx: &Ctx<'_>, wanted: &Grant) -> Result<(), Failure> {
    match wanted {
        Grant::New(wanted) => new(ctx, wanted).await,
        Grant::Withdraw {
            ids,
            key,
            passphrase,
        } => {
            let key = match key {
                Some(name) => Some(keys::open(ctx, name, passphrase)?),
                None => None,
            };
            withdraw(ctx, ids, key.as_ref()).await
        }
    }
}

/// The document is made here, and what is shown is read from the very bytes that are signed.
async fn new(ctx: &Ctx<'_>, wanted: &NewGrantArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let bytes = document(ctx, &api, wanted).await?.to_bytes();
    let read = Document::from_bytes(&bytes).map_err(|error| Failure::usage(error.to_string()))?;
    ctx.console.write(&visible_grant(&read))?;
    let consent = Consent::of(wanted.yes);
    if !consent.is_given(ctx, "Sign it?", "this signs it")? {
        return Ok(());
    }
    let key = keys::open(ctx, &wanted.key, &wanted.passphrase)?;
    let signature = key.sign(Purpose::Grant, &bytes)?;
    let request = GrantRequest {
        document: text_of(bytes)?,
        signatures: vec![signature_of(&signature)],
    };
    show_once(ctx, &Description(api.bring_grant(&request).await?))
}

async fn document(ctx: &Ctx<'_>, api: &Api, wanted: &NewGrantArgs) -> Result<Document, Failure> {
    let usage = |problem: RuleProblem| Failure::usage(problem.to_string());
    let detail = api.policy(&wanted.policy).await?;
    let spec = detail
        .policy
        .ok_or_else(|| Failure::usage("that policy was deleted; apply it again first"))?
        .spec;
    let policy = Policy::read(spec).map_err(|problems| Failure::usage(problems.join("; ")))?;
    let place = usize::from(wanted.rung).saturating_sub(1);
    let (Some(rung), Some(rule)) = (policy.ladder.get(place), rule_hash(&policy.spec, place))
    else {
        return Err(Failure::usage(format!(
            "the policy has {} rungs; --rung is one of them",
            policy.ladder.len()
        )));
    };
    let culprit = wanted.culprit.map(|percent| Culprit { percent });
    let now = ctx.clock.now();
    let hosts = scope(api, wanted).await?;
    Ok(Document {
        id: GrantId::from_random(
            u128::from(Entropy::System.u64()) << 64 | u128::from(Entropy::System.u64()),
        ),
        policy: policy.name().to_owned(),
        rule,
        action: template_of(&rung.deed, wanted.subject.as_deref()).map_err(usage)?,
        hosts,
        trigger: trigger(&policy, wanted, culprit)?,
        per_hour: wanted.per_hour,
        per_day: wanted.per_day,
        issued_at_ms: now,
        not_before_ms: now,
        expires_at_ms: now.saturating_add(wanted.valid),
        issuer: wanted.key.clone(),
        reason: wanted.reason.clone(),
    })
}

/// Names of hosts become their ids, which nobody can claim.
async fn scope(api: &Api, wanted: &NewGrantArgs) -> Result<Scope, Failure> {
    let mut ids = Vec::new();
    if !wanted.hosts.is_empty() {
        let (hosts, _) = hosts_named(api, &wanted.hosts).await?;
        for host in hosts {
            ids.push(host.id.parse::<HostId>().map_err(|_| {
                Failure::usage("the controller names the host by no id; nothing was signed")
            })?);
        }
    }
    Ok(Scope {
        ids,
        names: wanted.names.clone(),
    })
}

fn trigger(
    policy: &Policy,
    wanted: &NewGrantArgs,
    culprit: Option<Culprit>,
) -> Result<Trigger, Failure> {
    let seconds = |span: std::time::Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    if let Some(event) = &wanted.event {
        let event = event
            .rsplit_once('/')
            .and_then(|(source, code)| Some((source.to_owned(), code.parse().ok()?)));
        let (source, code) =
            event.ok_or_else(|| Failure::usage("--event is SOURCE/ID, as in Tcpip/4231"))?;
        return Ok(Trigger::Event {
            source,
            code,
            within_s: seconds(wanted.within),
        });
    }
    match wanted.level {
        Some(percent) => Ok(Trigger::Level {
            percent,
            protocol: Protocol::Tcp,
            namespace: OWN_NAMESPACE.to_owned(),
            held_s: seconds(policy.hold),
            culprit,
        }),
        None => trigger_of(policy, culprit).map_err(|problem| Failure::usage(problem.to_string())),
    }
}

async fn withdraw(ctx: &Ctx<'_>, ids: &[String], key: Option<&OpenKey>) -> Result<(), Failure> {
    let api = ctx.api()?;
    let said = |id: &String| format!("withdrew grant {id}");
    one_by_one(ctx, ids, said, async |id| {
        let Some(key) = key else {
            return api.withdraw_grant(id).await;
        };
        let end = GrantEnd {
            grant: id
                .parse()
                .map_err(|error: tidemark_model::grant::InvalidGrantId| {
                    Failure::usage(error.to_string())
                })?,
            issued_at_ms: ctx.clock.now(),
        };
        let bytes = end.to_bytes();
        let signature = key.sign(Purpose::GrantEnd, &bytes)?;
        let request = GrantEndRequest {
            document: text_of(bytes)?,
            signature: signature_of(&signature),
        };
        api.end_grant(id, &request).await
    })
    .await
}

fn text_of(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| Failure::usage(error.to_string()))
}

fn signature_of(signature: &Signature) -> GrantSignature {
    GrantSignature {
        key_id: signature.key.to_string(),
        signature: signature.to_base64(),
    }
}
