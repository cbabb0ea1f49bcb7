//! Operators' keys and what was signed about them, as typed calls.

use reqwest::Method;
use tidemark_model::view::{FleetKeyView, KeyStatementRequest, KeyStatementView, SignatureRequest};

use super::{Api, LIST_ROWS_MAX, Query, with_body};
use crate::failure::Failure;

impl Api {
    /// Every key that hosts list.
    pub async fn keys(&self) -> Result<Vec<FleetKeyView>, Failure> {
        self.list(&["keys"], Query::new(), LIST_ROWS_MAX).await
    }

    /// Every statement about keys, newest first.
    pub async fn key_statements(&self) -> Result<Vec<KeyStatementView>, Failure> {
        self.list(&["key-statements"], Query::new(), LIST_ROWS_MAX)
            .await
    }

    /// One statement.
    pub async fn key_statement(&self, id: &str) -> Result<KeyStatementView, Failure> {
        self.get(&["key-statements", id]).await
    }

    /// Brings a signed statement.
    pub async fn bring_key_statement(
        &self,
        signed: &KeyStatementRequest,
    ) -> Result<KeyStatementView, Failure> {
        let request = self.request(Method::POST, &["key-statements"])?;
        self.json(with_body(request, signed)).await
    }

    /// Adds a signature to a statement.
    pub async fn sign_key_statement(
        &self,
        id: &str,
        signature: &SignatureRequest,
    ) -> Result<KeyStatementView, Failure> {
        let request = self.request(Method::POST, &["key-statements", id, "signatures"])?;
        self.json(with_body(request, signature)).await
    }
}
