//! People who fix hosts: one asks for actions, two others approve them, all over the API.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tidemark_model::ActionState;
use tidemark_model::view::ActionDetail;

use super::{Controller, until};

/// Their API tokens.
#[derive(Clone, Debug)]
pub struct Operators {
    requester: String,
    approver: String,
    second_approver: String,
}

impl Operators {
    /// Three people of this controller.
    ///
    /// # Errors
    /// When it makes no tokens.
    pub async fn of(controller: &Controller) -> anyhow::Result<Self> {
        Ok(Self {
            requester: controller.token_of("ann", "operator").await?,
            approver: controller.token_of("bob", "approver").await?,
            second_approver: controller.token_of("cid", "approver").await?,
        })
    }

    /// Asks for an action and approves it; its id.
    ///
    /// # Errors
    /// When the controller takes either of them not.
    pub async fn order(
        &self,
        controller: &Controller,
        host: &str,
        spec: Value,
    ) -> anyhow::Result<String> {
        let id = self.ask(controller, host, spec).await?;
        self.approve(controller, &id).await?;
        Ok(id)
    }

    /// Asks for an action; its id.
    ///
    /// # Errors
    /// When the controller does not take it.
    pub async fn ask(
        &self,
        controller: &Controller,
        host: &str,
        spec: Value,
    ) -> anyhow::Result<String> {
        let body = json!({"host": host, "reason": "a test wants it", "spec": spec});
        let (status, action) = controller
            .post_as(&self.requester, "/api/v1/actions", &body)
            .await?;
        anyhow::ensure!(status == 201, "{status}: {action}");
        Ok(action["id"].as_str().context("an id")?.to_owned())
    }

    /// The same under a key: asking again asks for nothing more.
    ///
    /// # Errors
    /// When the controller does not take it.
    pub async fn ask_once(
        &self,
        controller: &Controller,
        (host, key): (&str, &str),
        spec: Value,
    ) -> anyhow::Result<String> {
        let body = json!({"host": host, "reason": "a test wants it", "spec": spec});
        let (status, action) = controller
            .post_once_as((&self.requester, key), "/api/v1/actions", &body)
            .await?;
        anyhow::ensure!(matches!(status, 200 | 201), "{status}: {action}");
        Ok(action["id"].as_str().context("an id")?.to_owned())
    }

    /// Approves an action.
    ///
    /// # Errors
    /// When the controller does not take it.
    pub async fn approve(&self, controller: &Controller, id: &str) -> anyhow::Result<()> {
        approve(controller, &self.approver, id).await
    }

    /// Brings a signature.
    ///
    /// # Errors
    /// When the controller does not take it.
    pub async fn sign(
        &self,
        controller: &Controller,
        id: &str,
        signature: &Value,
    ) -> anyhow::Result<()> {
        let path = format!("/api/v1/actions/{id}/signatures");
        let signed = controller.post_as(&self.requester, &path, signature);
        let (status, answer) = signed.await?;
        anyhow::ensure!(matches!(status, 200 | 201), "{status}: {answer}");
        Ok(())
    }

    /// Approves an action that wants another approval.
    ///
    /// # Errors
    /// When the controller does not take it.
    pub async fn approve_as_third(&self, controller: &Controller, id: &str) -> anyhow::Result<()> {
        approve(controller, &self.second_approver, id).await
    }
}

async fn approve(controller: &Controller, approver: &str, id: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/actions/{id}/approve");
    let (status, answer) = controller.post_as(approver, &path, &json!({})).await?;
    anyhow::ensure!(status == 200, "{status}: {answer}");
    Ok(())
}

/// The action as it stands once it is in one of these states.
///
/// # Errors
/// When it is not within `patience`, with where it stands instead.
pub async fn action_in(
    controller: &Controller,
    id: &str,
    states: &[ActionState],
    patience: Duration,
) -> anyhow::Result<ActionDetail> {
    action_when(controller, id, patience, |state| states.contains(&state)).await
}

/// The action once nothing more is to come.
///
/// # Errors
/// When it has not ended within `patience`, with where it stands instead.
pub async fn action_ended(
    controller: &Controller,
    id: &str,
    patience: Duration,
) -> anyhow::Result<ActionDetail> {
    action_when(controller, id, patience, ActionState::is_final).await
}

async fn action_when(
    controller: &Controller,
    id: &str,
    patience: Duration,
    is_there: impl Fn(ActionState) -> bool,
) -> anyhow::Result<ActionDetail> {
    let path = format!("/api/v1/actions/{id}");
    let mut last = None;
    let found = until("the action's state", patience, async || {
        let detail: ActionDetail = controller.get(&path).await?;
        let found = is_there(detail.action.state).then(|| detail.clone());
        last = Some(detail);
        Ok(found)
    })
    .await;
    found.with_context(|| format!("it stands at {last:#?}"))
}
