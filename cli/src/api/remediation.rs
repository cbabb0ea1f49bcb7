//! What may be done to hosts, and the switch that stops it all, as typed calls.

use reqwest::Method;
use tidemark_model::view::{
    ApiTokenCreated, ApiTokenRequest, ApiTokenView, HostPolicyAnswer, LockdownRequest,
    LockdownView, UnlockRequest,
};

use super::{Api, LIST_ROWS_MAX, Query, with_body};
use crate::failure::Failure;

/// Where the switch that stops every action is turned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Every action stops.
    Stop,
    /// Actions may go on.
    GoOn,
}

impl Api {
    /// What a host lets be done to it; `None` from a controller that does not say yet.
    pub async fn host_policy(&self, host: &str) -> Result<Option<HostPolicyAnswer>, Failure> {
        self.get_if_known(&["hosts", host, "policy"]).await
    }

    /// Brings the signed end of its lockdown to a host.
    pub async fn unlock(&self, host: &str, signed: &UnlockRequest) -> Result<(), Failure> {
        let request = self.request(Method::POST, &["hosts", host, "unlock"])?;
        self.bytes(with_body(request, signed)).await.map(drop)
    }

    /// Whether every action is stopped.
    pub async fn lockdown(&self) -> Result<LockdownView, Failure> {
        self.get(&["lockdown"]).await
    }

    /// Turns the switch that stops every action.
    pub async fn turn_lockdown(&self, to: Turn, reason: &str) -> Result<LockdownView, Failure> {
        let path: &[&str] = match to {
            Turn::Stop => &["lockdown"],
            Turn::GoOn => &["lockdown", "lift"],
        };
        let wanted = LockdownRequest {
            reason: reason.to_owned(),
        };
        let request = self.request(Method::POST, path)?;
        self.json(with_body(request, &wanted)).await
    }

    /// Makes an API token.
    pub async fn create_api_token(
        &self,
        wanted: &ApiTokenRequest,
    ) -> Result<ApiTokenCreated, Failure> {
        let request = self.request(Method::POST, &["api-tokens"])?;
        self.json(with_body(request, wanted)).await
    }

    /// All API tokens.
    pub async fn api_tokens(&self) -> Result<Vec<ApiTokenView>, Failure> {
        self.list(&["api-tokens"], Query::new(), LIST_ROWS_MAX)
            .await
    }

    /// Ends an API token.
    pub async fn revoke_api_token(&self, id: &str) -> Result<(), Failure> {
        self.delete(&["api-tokens", id]).await
    }
}
