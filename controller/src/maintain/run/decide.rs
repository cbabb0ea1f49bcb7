//! What people do with a run: ask for it, approve its plan, reject it, stop it. Each is one transaction by generation.

use tidemark_model::Timestamp;
use tidemark_model::action::Approval;
use tidemark_model::action::order::REASON_CHARS_MAX;
use tidemark_model::audit_log::Deed;
use tidemark_model::run::{Run, RunSpec, RunState};
use tidemark_store::{RunApproval, RunQuery, StoreError, Tx};

use super::machine::{self, EXPIRES_AFTER};
use super::{OPEN_MAX, OPEN_OF_SCOPE_MAX, RunError, ahead, approvals, plan, put, record, tell};
use crate::access::users::By;
use crate::app::App;
use crate::audit_log::of_run;
use crate::incidents::text::clean;

/// What somebody says about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Yes, to the plan of that hash.
    Approve(String),
    /// No.
    Reject,
    /// Nothing new is to begin.
    Stop,
}

/// How many people must approve a run: as many as its most disruptive action needs, and one at least, for it touches
/// many hosts.
#[must_use]
pub fn approvals_needed(spec: &RunSpec) -> usize {
    usize::from(spec.tier().approvals_min()).max(1)
}

/// Plans a run in the name of `by`, over their hosts, to be approved.
///
/// # Errors
/// [`RunError`]; nothing is made then.
pub async fn create(app: &App, spec: RunSpec, by: &By) -> Result<Run, RunError> {
    let requester = by.name.as_str();
    let mut run = plan::preview(app, spec, by).await?;
    let rules = run.spec.check().map_err(RunError::Limits)?;
    let mut tx = app.store.begin().await?;
    let open = RunQuery {
        only_open: true,
        limit: OPEN_MAX,
        ..RunQuery::default()
    };
    let open = tx.runs_page(&open).await?;
    let own = open.iter().filter(|run| run.is_within(&by.scope)).count();
    if open.len() >= OPEN_MAX as usize || (!by.scope.is_all() && own >= OPEN_OF_SCOPE_MAX) {
        return Err(RunError::TooMany(own));
    }
    let step = record(app, &run, Some(requester), &run.spec.reason);
    run.number = tx.run_insert(&run, &step).await?;
    let orders = ahead::orders(&run, &rules);
    tx.run_orders_put(run.number, &orders).await?;
    let record = of_run(app, Deed::RunPlan, &run).by(requester);
    record
        .with("reason", &run.spec.reason)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    tell(app, &run, &step);
    Ok(run)
}

/// Does it in the name of `by`; answers the run as it is then.
///
/// # Errors
/// [`RunError`]; nothing is changed then, but a plan that was made again.
pub async fn decide(
    app: &App,
    number: i64,
    (word, by): (Word, &str),
    text: &str,
) -> Result<Run, RunError> {
    let text = clean(text.trim());
    let length = text.chars().count();
    if length > REASON_CHARS_MAX || (length == 0 && word == Word::Reject) {
        return Err(RunError::Limits(vec![format!(
            "text has {length} characters; it must have {REASON_CHARS_MAX} at most, and a rejection at least 1: say why"
        )]));
    }
    let by = clean(by);
    if let Word::Approve(hash) = &word {
        check_plan(app, number, (hash, &by)).await?;
    }
    let mut tx = app.store.begin().await?;
    let mut run = tx.run_find(number).await?.ok_or(RunError::Unknown)?;
    let now = app.clock.now();
    let before = run.clone();
    let deed = match &word {
        Word::Approve(_) => Deed::RunApprove,
        Word::Reject => Deed::RunReject,
        Word::Stop => Deed::RunStop,
    };
    let said = match word {
        Word::Approve(hash) => {
            check_approval(&run, &hash, &by)?;
            approve(&mut tx, &mut run, (&by, &text), now).await?
        }
        Word::Reject => {
            if run.state != RunState::Planned {
                return Err(standing(&run, "rejected"));
            }
            machine::go(&mut run, RunState::Rejected, text.clone(), now);
            text
        }
        Word::Stop => {
            let why = stopped_by(&by, &text);
            machine::stop(&mut run, why, now);
            if run.state == before.state {
                return Err(standing(&run, "stopped"));
            }
            text
        }
    };
    let step = record(app, &run, Some(&by), &said);
    put(&mut tx, &before, &mut run, std::slice::from_ref(&step)).await?;
    let record = of_run(app, deed, &run).by(&by);
    record.with("text", &step.text).keep(&mut tx).await?;
    tx.commit().await?;
    tell(app, &run, &step);
    app.runs_changed.notify_one();
    Ok(run)
}

/// Makes the plan again when what it was made from changed, so that nobody approves what would not be done. What is read for
/// that holds up nobody who writes; whoever changes the run meanwhile changes its plan or its generation.
async fn check_plan(app: &App, number: i64, (hash, by): (&str, &str)) -> Result<(), RunError> {
    let mut tx = app.store.read().await?;
    let run = tx.run_find(number).await?.ok_or(RunError::Unknown)?;
    check_approval(&run, hash, by)?;
    let rules = run.spec.check().map_err(RunError::Limits)?;
    drop(tx);
    let why = "planned again: what it was made from changed";
    if plan::renew(app, (&run, &rules), why).await? {
        return Err(RunError::PlanOlder);
    }
    Ok(())
}

pub(super) fn standing(run: &Run, verb: &'static str) -> RunError {
    let state = run.state.as_str();
    RunError::Standing { state, verb }
}

fn stopped_by(by: &str, text: &str) -> String {
    if text.is_empty() {
        format!("{by} stopped it")
    } else {
        format!("{by} stopped it: {text}")
    }
}

fn check_approval(run: &Run, hash: &str, by: &str) -> Result<(), RunError> {
    if run.state != RunState::Planned {
        return Err(standing(run, "approved"));
    }
    if run.body.requester == by {
        return Err(RunError::OwnApproval);
    }
    if run.body.plan.hash != hash {
        return Err(RunError::OtherPlan {
            found: hash.chars().take(64).collect(),
            plan: run.body.plan.hash.clone(),
        });
    }
    Ok(())
}

/// Adds an approval, and begins to wait for the window with the last that is needed. Answers the words of the record.
async fn approve(
    tx: &mut Tx,
    run: &mut Run,
    (by, text): (&str, &str),
    now: Timestamp,
) -> Result<String, RunError> {
    let approved = RunApproval {
        plan_hash: run.body.plan.hash.clone(),
        approval: Approval {
            approver: by.to_owned(),
            at: now,
            text: text.to_owned(),
        },
    };
    match tx.run_approve(run.number, &approved).await {
        Ok(()) => {}
        Err(StoreError::AlreadyExists { .. }) => return Err(RunError::ApprovedBefore),
        Err(error) => return Err(error.into()),
    }
    let approvals = approvals(tx, run).await?;
    let (count, needed) = (approvals.len(), approvals_needed(&run.spec));
    if count >= needed {
        machine::go(run, RunState::Approved, String::new(), now);
        run.deadline = Some(run.created_at.saturating_add(EXPIRES_AFTER));
        return Ok(text.to_owned());
    }
    let said = format!("approved by {count} of {needed} people; {text}");
    Ok(said.trim_end_matches("; ").to_owned())
}
