//! Takes signatures of the orders that were made with a run's plan. All of them hold and are wanted, or none is kept.

use std::collections::{HashMap, HashSet};

use tidemark_model::HostId;
use tidemark_model::action::{ActionId, BroughtSignature, HostPolicyView, Order};
use tidemark_model::audit_log::Deed;
use tidemark_model::run::{Run, RunState};
use tidemark_model::signing::{PublicKey, Purpose, SIGNATURES_MAX, Signature};
use tidemark_store::{StoreError, StoredKeyStatement, Tx};

use super::decide::standing;
use super::signed::{NotBelieved, signers_of};
use super::{RunError, record, tell};
use crate::app::App;
use crate::audit_log::of_run;
use crate::incidents::text::clean;
use crate::keys::bring::newest;
use crate::keys::why_not;

/// Signatures that are taken at once.
const BROUGHT_MAX: usize = 1_000;
/// Problems that are told at once.
const PROBLEMS_MAX: usize = 10;

/// What somebody brings.
#[derive(Clone, Debug)]
pub struct Brought {
    /// Hash of the plan that the orders were made with.
    pub plan_hash: String,
    /// The key. Hosts tell only its id; with it, what does not hold is found before the night.
    pub key: PublicKey,
    /// Signatures with the orders that they are of.
    pub signatures: Vec<(ActionId, Signature)>,
}

/// Keeps signatures that `by` brings, up to when an order is sent. What that key has signed before is passed over.
///
/// # Errors
/// [`RunError`]; nothing is kept then.
pub async fn sign(app: &App, number: i64, brought: &Brought, by: &str) -> Result<(), RunError> {
    let count = brought.signatures.len();
    if !(1..=BROUGHT_MAX).contains(&count) {
        return Err(RunError::Limits(vec![format!(
            "signatures has {count} entries; it must have 1 to {BROUGHT_MAX}, bring the others in another request"
        )]));
    }
    let mut tx = app.store.read().await?;
    let mut run = tx.run_find(number).await?.ok_or(RunError::Unknown)?;
    check_standing(&run, brought)?;
    let new = look(&mut tx, &run, brought).await?;
    drop(tx);
    if new.is_empty() {
        return Ok(());
    }
    let (now, author) = (app.clock.now(), clean(by));
    let said = format!(
        "brought {} signatures by key {}",
        new.len(),
        brought.key.id()
    );
    let step = record(app, &run, Some(by), &said);
    let mut tx = app.store.begin().await?;
    tx.run_update(&mut run, std::slice::from_ref(&step)).await?;
    let signed = |(id, signature): (ActionId, Signature)| {
        let signed = BroughtSignature {
            signature,
            at: now,
            author: author.clone(),
        };
        (id, signed)
    };
    let signed: Vec<_> = new.into_iter().map(signed).collect();
    match tx.actions_sign(&signed).await {
        Ok(()) => {}
        // Somebody brought it for the action that the order has become.
        Err(StoreError::AlreadyExists { .. }) => return Err(RunError::SignedMeanwhile),
        Err(error) => return Err(error.into()),
    }
    let record = of_run(app, Deed::RunSign, &run).by(by);
    record
        .with("key", brought.key.id())
        .with("signatures", signed.len())
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    tell(app, &run, &step);
    app.remediation.changed.notify_one();
    Ok(())
}

fn check_standing(run: &Run, brought: &Brought) -> Result<(), RunError> {
    match run.state {
        RunState::Planned | RunState::Approved | RunState::Waiting | RunState::Running => {}
        RunState::Stopping
        | RunState::Finished
        | RunState::Stopped
        | RunState::Failed
        | RunState::Rejected
        | RunState::Expired
        | RunState::Cancelled => return Err(standing(run, "signed")),
    }
    if run.body.plan.hash == brought.plan_hash {
        return Ok(());
    }
    Err(RunError::OtherPlan {
        found: brought.plan_hash.chars().take(64).collect(),
        plan: run.body.plan.hash.clone(),
    })
}

/// Those that are new and that their hosts want; every problem with any of them is told.
async fn look(
    tx: &mut Tx,
    run: &Run,
    brought: &Brought,
) -> Result<Vec<(ActionId, Signature)>, RunError> {
    let ids = brought.signatures.iter().map(|(id, _)| *id);
    let signers = signers_of(tx, run.number, ids).await?;
    let by_it = signers
        .iter()
        .filter(|(_, keys)| keys.contains(&brought.key.id()));
    let mut signed: HashSet<ActionId> = by_it.map(|(id, _)| *id).collect();
    let hosts: Vec<HostId> = run.hosts.iter().map(|host| host.host).collect();
    let policies = tx.host_policies_of(&hosts).await?;
    let mut known = Known {
        policies,
        statements: newest(tx).await?,
        not_believed: NotBelieved::default(),
    };
    let (mut new, mut problems) = (Vec::new(), Vec::new());
    for (id, signature) in &brought.signatures {
        let Some(stored) = tx.run_order(run.number, *id).await? else {
            problems.push(format!("{id} is no order of this run"));
            continue;
        };
        let problem = wrong(brought, (&stored.bytes, signature), &mut known);
        let is_full = signers.get(id).map_or(0, Vec::len) >= SIGNATURES_MAX;
        if let Some(problem) = problem {
            problems.push(format!("{id}: {problem}"));
        } else if signed.insert(*id) {
            if is_full {
                problems.push(format!(
                    "{id} has {SIGNATURES_MAX} signatures, and takes no more"
                ));
            }
            new.push((*id, *signature));
        }
    }
    if problems.is_empty() {
        return Ok(new);
    }
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    problems.truncate(PROBLEMS_MAX);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    Err(RunError::Limits(problems))
}

/// What signatures are held against.
struct Known {
    policies: HashMap<HostId, HostPolicyView>,
    statements: Vec<StoredKeyStatement>,
    not_believed: NotBelieved,
}

fn wrong(
    brought: &Brought,
    (bytes, signature): (&[u8], &Signature),
    known: &mut Known,
) -> Option<String> {
    let key = brought.key.id();
    let order = match Order::from_bytes(bytes) {
        Ok(order) => order,
        Err(error) => return Some(error.to_string()),
    };
    let why = match known.policies.get(&order.host) {
        None => Some("its host told nothing of its policy".to_owned()),
        Some(policy) => {
            let lost = known
                .not_believed
                .of((order.host, policy), &known.statements);
            why_not((policy, lost), order.spec.tier(), key)
        }
    };
    if let Some(why) = why {
        return Some(format!("{why}; sign with a key that the host takes"));
    }
    let held = brought.key.verify(Purpose::Order, bytes, signature);
    held.err()
        .map(|error| format!("{error}; sign the order's bytes again"))
}
