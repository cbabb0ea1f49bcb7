//! Grants as typed calls.

use reqwest::Method;
use tidemark_model::view::{GrantDetail, GrantEndRequest, GrantRequest, GrantView};

use super::{Api, LIST_ROWS_MAX, Query, with_body};
use crate::failure::Failure;

impl Api {
    /// All grants, newest first.
    pub async fn grants(&self) -> Result<Vec<GrantView>, Failure> {
        self.list(&["grants"], Query::new(), LIST_ROWS_MAX).await
    }

    /// One grant by its id.
    pub async fn grant(&self, id: &str) -> Result<GrantDetail, Failure> {
        self.get(&["grants", id]).await
    }

    /// Brings a grant.
    pub async fn bring_grant(&self, wanted: &GrantRequest) -> Result<GrantDetail, Failure> {
        let request = self.request(Method::POST, &["grants"])?;
        self.json(with_body(request, wanted)).await
    }

    /// Withdraws a grant.
    pub async fn withdraw_grant(&self, id: &str) -> Result<(), Failure> {
        self.delete(&["grants", id]).await
    }

    /// Withdraws a grant with its signed end.
    pub async fn end_grant(&self, id: &str, end: &GrantEndRequest) -> Result<(), Failure> {
        let request = self.request(Method::POST, &["grants", id, "end"])?;
        let _ended: GrantDetail = self.json(with_body(request, end)).await?;
        Ok(())
    }
}
