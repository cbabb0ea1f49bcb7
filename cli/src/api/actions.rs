//! Actions as typed calls.

use reqwest::Method;
use tidemark_model::view::{
    ActionDetail, ActionRequest, ActionView, ActionWord, Page, RecoveryView, SignatureRequest,
};

use super::{Api, Query, with_body};
use crate::failure::Failure;

/// What a person says about an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done.
    Approve,
    /// It may not.
    Reject,
    /// It is taken back.
    Cancel,
}

impl Verdict {
    /// The verb.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Cancel => "cancel",
        }
    }
}

impl Api {
    /// At most `rows` actions, newest first.
    pub async fn actions(&self, query: Query, rows: usize) -> Result<Vec<ActionView>, Failure> {
        self.list(&["actions"], query, rows).await
    }

    /// One action by its id.
    pub async fn action(&self, id: &str) -> Result<ActionDetail, Failure> {
        self.get(&["actions", id]).await
    }

    /// Asks for an action.
    pub async fn propose_action(&self, wanted: &ActionRequest) -> Result<ActionView, Failure> {
        let request = self.request(Method::POST, &["actions"])?;
        self.json(with_body(request, wanted)).await
    }

    /// Says something about an action.
    pub async fn judge_action(
        &self,
        id: &str,
        verdict: Verdict,
        text: &str,
    ) -> Result<ActionDetail, Failure> {
        let request = self.request(Method::POST, &["actions", id, verdict.as_str()])?;
        let word = ActionWord {
            text: text.to_owned(),
        };
        self.json(with_body(request, &word)).await
    }

    /// The bytes of an action's order.
    pub async fn action_order(&self, id: &str) -> Result<Vec<u8>, Failure> {
        let request = self.request(Method::GET, &["actions", id, "order"])?;
        self.bytes(request).await
    }

    /// Brings a signature.
    pub async fn sign_action(
        &self,
        id: &str,
        signature: &SignatureRequest,
    ) -> Result<ActionDetail, Failure> {
        let request = self.request(Method::POST, &["actions", id, "signatures"])?;
        self.json(with_body(request, signature)).await
    }

    /// What has worked on what, the most effective first.
    pub async fn recoveries(&self) -> Result<Vec<RecoveryView>, Failure> {
        let page: Page<RecoveryView> = self
            .json(self.request(Method::GET, &["recoveries"])?)
            .await?;
        Ok(page.items)
    }
}
