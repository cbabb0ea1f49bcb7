//! What ends when a database is brought back from a copy. The copy does not know what was used, revoked, done or cancelled since it
//! was made, so nothing of it may act by itself: open actions and runs end, roll-outs stop, policies are disabled, credentials and
//! messages on their way end, and the fleet begins another incarnation, which agents tell from the one before.

use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::action::{Action, ActionState, LifeStep};
use tidemark_model::audit_log::Deed;
use tidemark_model::notice::NoticeKind;
use tidemark_model::policy::PolicySpec;
use tidemark_model::upgrade::{HostStage, UpgradeState};
use tidemark_store::{
    ActionQuery, DocumentKind, DocumentVersion, Ended, NewNotice, RunQuery, Store, StoreError, Tx,
};

use crate::audit_log::Record;
use crate::maintain::run;

/// Actions and runs that are read at once.
const PAGE: u32 = 500;
/// Policies that a controller keeps at most, with room.
const POLICIES_MAX: u32 = 10_000;

/// How a database is brought back.
#[derive(Clone, Debug)]
pub(super) struct Retirement {
    /// When.
    pub now: Timestamp,
    /// In whose name it is done.
    pub command: &'static str,
    /// From what, in words.
    pub from: String,
    /// Nobody revoked an API token since.
    pub keep_api_tokens: bool,
    /// How long an action's effect is to hold, as settings say.
    pub hold: Duration,
    /// What else is to be on record of it.
    pub details: Vec<(&'static str, String)>,
}

impl Retirement {
    fn record(&self, what: Deed, kind: &str, id: impl ToString) -> Record {
        Record::of_machine(self.now, self.command, (what, kind, id))
    }
}

/// What ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retired {
    /// Which incarnation began.
    pub incarnation: u64,
    /// Credentials and messages.
    pub ended: Ended,
    /// Actions that had not ended.
    pub actions: u64,
    /// Runs that had not ended.
    pub runs: u64,
    /// Roll-outs that had not ended.
    pub roll_outs: u64,
    /// Policies that looked at hosts.
    pub policies: u64,
}

impl Retired {
    /// What ended: its name, how many, and the words for whoever restores.
    pub(super) fn counts(&self) -> [(&'static str, u64, &'static str); 8] {
        let Ended {
            join_tokens,
            api_tokens,
            sessions,
            messages,
        } = self.ended;
        [
            (
                "actions",
                self.actions,
                "actions ended: what became of those that were sent, their hosts tell",
            ),
            ("runs", self.runs, "maintenance runs ended: plan them again"),
            (
                "roll_outs",
                self.roll_outs,
                "roll-outs of agents stopped: start them again",
            ),
            (
                "policies",
                self.policies,
                "policies disabled: look at them, and apply those that still hold",
            ),
            (
                "join_tokens",
                join_tokens,
                "join tokens ended: make new ones",
            ),
            ("api_tokens", api_tokens, "API tokens ended: make new ones"),
            ("sessions", sessions, "browsers signed out"),
            (
                "messages",
                messages,
                "messages to receivers given up: they may have been delivered",
            ),
        ]
    }
}

/// Ends what the database cannot know, in one transaction.
///
/// # Errors
/// When the database fails; nothing ended then.
pub(super) async fn retire(store: &Store, how: &Retirement) -> anyhow::Result<Retired> {
    let mut tx = store.begin().await?;
    let before = tx.incarnation().await?;
    let mut retired = Retired {
        incarnation: tx.incarnation_begin(how.now).await?,
        ended: tx
            .incarnation_end_credentials(how.now, !how.keep_api_tokens)
            .await?,
        ..Retired::default()
    };
    retired.actions = end_actions(&mut tx, how).await?;
    retired.runs = end_runs(&mut tx, how).await?;
    retired.roll_outs = stop_roll_outs(&mut tx, how).await?;
    retired.policies = disable_policies(&mut tx, how).await?;
    let mut record = how
        .record(Deed::Restore, "incarnations", retired.incarnation)
        .with("from", &how.from)
        .with("incarnation_before", before);
    for (name, count, _) in retired.counts() {
        record = record.with(name, count);
    }
    for (name, value) in &how.details {
        record = record.with(name, value);
    }
    record.keep(&mut tx).await?;
    tx.notices_append(&[NewNotice {
        at: how.now,
        host: None,
        kind: NoticeKind::Controller,
        text: format!(
            "the controller was restored from {}: incarnation {} of the fleet",
            how.from, retired.incarnation
        )
        .into(),
    }])
    .await?;
    tx.commit().await?;
    Ok(retired)
}

/// An action that no host has is cancelled; what became of another one, its host may still tell.
async fn end_actions(tx: &mut Tx, how: &Retirement) -> Result<u64, StoreError> {
    let mut ended = 0;
    let mut before = None;
    loop {
        let query = ActionQuery {
            before,
            only_open: true,
            limit: PAGE,
            ..ActionQuery::default()
        };
        let page = tx.actions_page(&query).await?;
        let Some(last) = page.last() else {
            return Ok(ended);
        };
        before = Some(last.number);
        for mut action in page {
            let steps = end_action(&mut action, how);
            tx.action_update(&mut action, &steps).await?;
            how.record(Deed::ActionEnd, "actions", action.id())
                .about(action.order.host)
                .with("action", action.order.spec.summary())
                .with("state", action.state.as_str())
                .keep(tx)
                .await?;
            ended += 1;
        }
    }
}

fn end_action(action: &mut Action, how: &Retirement) -> Vec<LifeStep> {
    let to: &[ActionState] = if action.sent_at.is_none() && !action.state.may_have_begun() {
        &[ActionState::Cancelled]
    } else if action.state == ActionState::Queued {
        // It was sent before, and its host may have it.
        &[ActionState::Sent, ActionState::TimedOut]
    } else {
        &[ActionState::TimedOut]
    };
    let text = format!(
        "the controller was restored from {}, which does not know what became of it since",
        how.from
    );
    let steps = to
        .iter()
        .filter_map(|to| action.go(*to, how.now, how.hold).ok());
    let steps = steps.map(|step| LifeStep {
        text: text.clone(),
        ..step
    });
    steps.collect()
}

async fn end_runs(tx: &mut Tx, how: &Retirement) -> Result<u64, StoreError> {
    let open = RunQuery {
        only_open: true,
        limit: PAGE,
        ..RunQuery::default()
    };
    let mut ended = 0;
    for found in tx.runs_page(&open).await? {
        let mut found = tx.run_with_hosts(found).await?;
        let why = format!("the controller was restored from {}", how.from);
        run::cut_off(tx, &mut found, &why, how.now).await?;
        how.record(Deed::RunStep, "runs", found.number)
            .with("name", &found.spec.name)
            .with("state", found.state.as_str())
            .keep(tx)
            .await?;
        ended += 1;
    }
    Ok(ended)
}

async fn stop_roll_outs(tx: &mut Tx, how: &Retirement) -> Result<u64, StoreError> {
    let mut stopped = 0;
    for mut upgrade in tx.upgrades_open().await? {
        let left = (HostStage::Waiting, HostStage::Left);
        let why = format!("the controller was restored from {}", how.from);
        tx.upgrade_hosts_move(upgrade.number, left, (how.now, &why))
            .await?;
        upgrade.state = UpgradeState::Stopped;
        upgrade.note = format!("stopped: the controller was restored from {}", how.from);
        upgrade.changed_at = how.now;
        tx.upgrade_update(&upgrade).await?;
        how.record(Deed::UpgradeStop, "upgrades", upgrade.number)
            .with("note", &upgrade.note)
            .keep(tx)
            .await?;
        stopped += 1;
    }
    Ok(stopped)
}

/// A policy may have been deleted or disabled since, and acts by itself.
async fn disable_policies(tx: &mut Tx, how: &Retirement) -> anyhow::Result<u64> {
    let mut disabled = 0;
    let standing = tx
        .documents_standing(DocumentKind::Policy, POLICIES_MAX)
        .await?;
    for policy in standing {
        let body = policy.body.as_deref().unwrap_or_default();
        let mut spec: PolicySpec = serde_json::from_str(body)?;
        if !spec.enabled {
            continue;
        }
        spec.enabled = false;
        let version = DocumentVersion {
            version: policy.version.saturating_add(1),
            at: how.now,
            author: how.command.to_owned(),
            body: Some(serde_json::to_string(&spec)?),
            ..policy
        };
        tx.document_append(DocumentKind::Policy, &version).await?;
        how.record(Deed::PoliciesApply, "policies", &version.name)
            .with("enabled", false)
            .keep(tx)
            .await?;
        disabled += 1;
    }
    Ok(disabled)
}

#[cfg(test)]
mod tests;
