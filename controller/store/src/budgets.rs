//! Port budgets by version: the newest of a name holds, the others say who applied what before.

use tidemark_model::Timestamp;

use crate::documents::{DocumentVersion, documents};
use crate::{StoreError, Tx};

/// One version of a budget.
pub type BudgetVersion = DocumentVersion;

documents!("budget_versions", "budget");

impl Tx {
    /// Adds a version. The oldest ones beyond [`crate::DOCUMENT_VERSIONS_MAX`] go.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else added that version meanwhile.
    pub async fn budget_append(&mut self, version: &BudgetVersion) -> Result<(), StoreError> {
        DOCUMENTS.append(self, version).await
    }

    /// The budgets that hold, by name, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budgets_standing(&mut self, limit: u32) -> Result<Vec<BudgetVersion>, StoreError> {
        DOCUMENTS.standing(self, limit).await
    }

    /// The newest version of a name, also when it is a deletion.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budget_newest(&mut self, name: &str) -> Result<Option<BudgetVersion>, StoreError> {
        DOCUMENTS.newest(self, name).await
    }

    /// The versions of a name, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budget_versions(
        &mut self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<BudgetVersion>, StoreError> {
        DOCUMENTS.versions(self, name, limit).await
    }

    /// Deletes versions from before `cutoff` that do not hold any more, at most `limit`. Answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budget_versions_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        DOCUMENTS.delete_before(self, cutoff, limit).await
    }
}
