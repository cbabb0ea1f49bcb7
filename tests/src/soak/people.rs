//! People who ask for actions and approve them whatever happens to controllers: at any that answers, again and again under one key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tidemark_model::Secret;
use tidemark_model::view::ActionDetail;

use crate::fleetsim::controller_api::ControllerApi;
use crate::harness::Controller;
use crate::herd::field::Field;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom they ask, and as whom.
#[derive(Debug)]
pub struct People {
    client: reqwest::Client,
    /// As in `http://127.0.0.1:7080`.
    doors: Vec<String>,
    turn: AtomicUsize,
    requester: String,
    approver: String,
}

impl People {
    /// Two people of the field's controllers.
    ///
    /// # Errors
    /// When no tokens are to be had.
    pub async fn of(field: &Field<'_>) -> anyhow::Result<Self> {
        tidemark_runtime::tls::install_crypto_provider();
        let controller: &Controller = field.controller(0)?;
        let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self {
            client,
            doors: field.running().map(|one| one.ready.http.clone()).collect(),
            turn: AtomicUsize::new(0),
            requester: controller.token_of("ann", "operator").await?,
            approver: controller.token_of("bob", "approver").await?,
        })
    }

    /// Asks for an action under a key: asking again asks for nothing more. Its id.
    ///
    /// # Errors
    /// When nobody answers, or the controller takes it not.
    pub async fn ask(&self, host: &str, key: &str, spec: &Value) -> anyhow::Result<String> {
        let body = json!({"host": host, "reason": "a soak", "spec": spec});
        let request = self.client.post(format!("{}/api/v1/actions", self.door()));
        let request = request.bearer_auth(&self.requester).json(&body);
        let answer = request.header("idempotency-key", key).send().await?;
        let status = answer.status();
        let action: Value = answer.json().await?;
        ensure!(matches!(status.as_u16(), 200 | 201), "{status}: {action}");
        Ok(action["id"].as_str().context("an id")?.to_owned())
    }

    /// Approves an action.
    ///
    /// # Errors
    /// When nobody answers, or the controller takes it not: it may have done so before.
    pub async fn approve(&self, id: &str) -> anyhow::Result<()> {
        let path = format!("{}/api/v1/actions/{id}/approve", self.door());
        let request = self.client.post(path).bearer_auth(&self.approver);
        let answer = request.json(&json!({})).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{status}: {}", answer.text().await?);
        Ok(())
    }

    /// The action as it stands.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn look(&self, id: &str) -> anyhow::Result<ActionDetail> {
        let request = self
            .client
            .get(format!("{}/api/v1/actions/{id}", self.door()));
        let answer = request.bearer_auth(&self.requester).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Their API at that controller alone, for whoever asks for much.
    ///
    /// # Errors
    /// When its address is none.
    pub fn at(&self, controller: &Controller) -> anyhow::Result<ControllerApi> {
        ControllerApi::new(&controller.ready.http, Secret::new(self.requester.clone()))
    }

    /// Another one each time.
    fn door(&self) -> &str {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.doors[turn % self.doors.len()]
    }
}
