//! Standing policies as typed calls.

use reqwest::Method;
use serde_json::{Value, json};
use tidemark_model::view::{PoliciesApplied, PolicyDetail, PolicyReplay, PolicyView};

use super::{Api, Effect, LIST_ROWS_MAX, Query};
use crate::failure::Failure;

impl Api {
    /// All policies by name, with what they do.
    pub async fn policies(&self) -> Result<Vec<PolicyView>, Failure> {
        self.list(&["policies"], Query::new(), LIST_ROWS_MAX).await
    }

    /// One policy with what it did and its history.
    pub async fn policy(&self, name: &str) -> Result<PolicyDetail, Failure> {
        self.get(&["policies", name]).await
    }

    /// What a policy would have done in so many days.
    pub async fn replay_policy(&self, name: &str, days: u64) -> Result<PolicyReplay, Failure> {
        let request = self.request(Method::POST, &["policies", name, "dry-run"])?;
        self.json(request.query(&[("days", days)])).await
    }

    /// Applies policies as they are written; the controller checks them.
    pub async fn apply_policies(
        &self,
        policies: Vec<Value>,
        effect: Effect,
    ) -> Result<PoliciesApplied, Failure> {
        self.apply("policies", &json!({ "policy": policies }), effect)
            .await
    }

    /// Deletes a policy.
    pub async fn delete_policy(&self, name: &str) -> Result<(), Failure> {
        self.delete(&["policies", name]).await
    }
}
