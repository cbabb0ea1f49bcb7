//! The audit log over the API.

use reqwest::Method;
use tidemark_model::view::{AuditEntryView, AuditLogStatus, WitnessView};

use super::{Api, LIST_ROWS_MAX, PAGE_ROWS, Query};
use crate::failure::Failure;

impl Api {
    /// At most `rows` entries, newest first.
    pub async fn audit_entries(
        &self,
        query: Query,
        rows: usize,
    ) -> Result<Vec<AuditEntryView>, Failure> {
        self.list(&["audit-log"], query, rows).await
    }

    /// One entry.
    pub async fn audit_entry(&self, seq: u64) -> Result<AuditEntryView, Failure> {
        self.get(&["audit-log", &seq.to_string()]).await
    }

    /// How the log stands.
    pub async fn audit_status(&self) -> Result<AuditLogStatus, Failure> {
        self.get(&["audit-log", "status"]).await
    }

    /// What every host holds of it.
    pub async fn audit_witnesses(&self) -> Result<Vec<WitnessView>, Failure> {
        self.list(&["audit-log", "witnesses"], Query::new(), LIST_ROWS_MAX)
            .await
    }

    /// Lines of the log after that entry, some of them; none after the last one.
    pub async fn audit_lines(&self, after: u64) -> Result<String, Failure> {
        let query = [
            ("after", after.to_string()),
            ("limit", PAGE_ROWS.to_string()),
        ];
        let request = self
            .request(Method::GET, &["audit-log", "entries"])?
            .query(&query);
        let bytes = self.bytes(request).await?;
        String::from_utf8(bytes).map_err(|_| self.not_understood("the log is no text"))
    }
}
