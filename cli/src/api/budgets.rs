//! Budgets as typed calls.

use reqwest::Method;
use serde_json::{Value, json};
use tidemark_model::view::{BudgetDetail, BudgetStanding, BudgetView, BudgetsApplied, Page};

use super::{Api, Effect, LIST_ROWS_MAX, Query};
use crate::failure::Failure;

impl Api {
    /// All budgets by name, with how hosts stand to them.
    pub async fn budgets(&self) -> Result<Vec<BudgetView>, Failure> {
        self.list(&["budgets"], Query::new(), LIST_ROWS_MAX).await
    }

    /// One budget with its history.
    pub async fn budget(&self, name: &str) -> Result<BudgetDetail, Failure> {
        self.get(&["budgets", name]).await
    }

    /// How a host stands to every budget that is about it.
    pub async fn budgets_of_host(&self, host: &str) -> Result<Vec<BudgetStanding>, Failure> {
        let request = self.request(Method::GET, &["hosts", host, "budgets"])?;
        let answer: Result<Page<BudgetStanding>, _> = self.json(request).await;
        let page = self.name_the_host(answer, &[host.to_owned()]).await?;
        Ok(page.items)
    }

    /// Applies budgets as they are written; the controller checks them.
    pub async fn apply_budgets(
        &self,
        budgets: Vec<Value>,
        effect: Effect,
    ) -> Result<BudgetsApplied, Failure> {
        self.apply("budgets", &json!({ "budget": budgets }), effect)
            .await
    }

    /// Deletes a budget.
    pub async fn delete_budget(&self, name: &str) -> Result<(), Failure> {
        self.delete(&["budgets", name]).await
    }
}
