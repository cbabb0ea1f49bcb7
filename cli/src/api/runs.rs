//! Maintenance runs as typed calls.

use reqwest::Method;
use serde_json::Value;
use tidemark_model::view::{RunDetail, RunOrderView, RunSignatures, RunView, RunWord};

use super::{Api, Effect, Query, with_body};
use crate::failure::Failure;

impl Api {
    /// At most `rows` runs, newest first.
    pub async fn runs(&self, query: Query, rows: usize) -> Result<Vec<RunView>, Failure> {
        self.list(&["runs"], query, rows).await
    }

    /// One run by its number.
    pub async fn run(&self, number: i64) -> Result<RunDetail, Failure> {
        let number = number.to_string();
        self.get(&["runs", &number]).await
    }

    /// Plans a run.
    pub async fn plan_run(&self, spec: &Value, effect: Effect) -> Result<RunDetail, Failure> {
        let request = effect.asked(self.request(Method::POST, &["runs"])?);
        self.json(with_body(request, spec)).await
    }

    /// Every order that was made with the plan of a run, to be signed.
    pub async fn run_orders(&self, number: i64) -> Result<Vec<RunOrderView>, Failure> {
        let number = number.to_string();
        self.list(&["runs", &number, "orders"], Query::new(), usize::MAX)
            .await
    }

    /// Brings signatures of orders of a run.
    pub async fn sign_run(
        &self,
        number: i64,
        signatures: &RunSignatures,
    ) -> Result<RunDetail, Failure> {
        let number = number.to_string();
        let request = self.request(Method::POST, &["runs", &number, "signatures"])?;
        self.json(with_body(request, signatures)).await
    }

    /// Says `verb` about a run.
    pub async fn judge_run(
        &self,
        number: i64,
        verb: &str,
        word: &RunWord,
    ) -> Result<RunDetail, Failure> {
        let number = number.to_string();
        let request = self.request(Method::POST, &["runs", &number, verb])?;
        self.json(with_body(request, word)).await
    }
}
