//! Operators' keys and what was signed about them, as typed calls.

use reqwest::Method;
use tidemark_model::view::{
    FleetKeyView, KeyStatementRequest, KeyStatementView, Page, SignatureRequest,
};

use super::{Api, with_body};
use crate::failure::Failure;

impl Api {
    /// Every key that hosts list.
    pub async fn keys(&self) -> Result<Vec<FleetKeyView>, Failure> {
        let page: Page<FleetKeyView> = self.get(&["keys"]).await?;
        Ok(page.items)
    }

    /// Every statement about keys, newest first.
    pub async fn key_statements(&self) -> Result<Vec<KeyStatementView>, Failure> {
        let page: Page<KeyStatementView> = self.get(&["key-statements"]).await?;
        Ok(page.items)
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
