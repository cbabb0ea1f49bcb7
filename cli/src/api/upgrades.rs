//! Releases of the agent and their roll-outs as typed calls.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tidemark_model::view::{
    ReleaseDetail, ReleaseRequest, ReleaseView, UpgradeDetail, UpgradeRequest, UpgradeView,
};

use super::{Api, LIST_ROWS_MAX, Query, with_body};
use crate::failure::Failure;

impl Api {
    /// All releases, the highest number first.
    pub async fn releases(&self) -> Result<Vec<ReleaseView>, Failure> {
        self.list(&["releases"], Query::new(), LIST_ROWS_MAX).await
    }

    /// One release by its number.
    pub async fn release(&self, release: u32) -> Result<ReleaseDetail, Failure> {
        self.get(&["releases", &release.to_string()]).await
    }

    /// Brings a manifest.
    pub async fn bring_release(&self, wanted: &ReleaseRequest) -> Result<ReleaseDetail, Failure> {
        let request = self.request(Method::POST, &["releases"])?;
        self.json(with_body(request, wanted)).await
    }

    /// Brings a file of a release.
    pub async fn bring_release_file(
        &self,
        release: u32,
        sha256: &str,
        bytes: Vec<u8>,
    ) -> Result<(), Failure> {
        let path = ["releases", &release.to_string(), "files", sha256];
        let request = self
            .request(Method::PUT, &path)?
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(bytes);
        self.bytes(request).await.map(drop)
    }

    /// Deletes a release.
    pub async fn remove_release(&self, release: u32) -> Result<(), Failure> {
        self.delete(&["releases", &release.to_string()]).await
    }

    /// All roll-outs, newest first.
    pub async fn upgrades(&self) -> Result<Vec<UpgradeView>, Failure> {
        self.list(&["upgrades"], Query::new(), LIST_ROWS_MAX).await
    }

    /// One roll-out by its number.
    pub async fn upgrade(&self, number: i64) -> Result<UpgradeDetail, Failure> {
        self.get(&["upgrades", &number.to_string()]).await
    }

    /// Starts a roll-out.
    pub async fn start_upgrade(&self, wanted: &UpgradeRequest) -> Result<UpgradeDetail, Failure> {
        let request = self.request(Method::POST, &["upgrades"])?;
        self.json(with_body(request, wanted)).await
    }

    /// Says `word` about a roll-out.
    pub async fn say_of_upgrade(&self, number: i64, word: &str) -> Result<UpgradeDetail, Failure> {
        let path = ["upgrades", &number.to_string(), word];
        let request = self.request(Method::POST, &path)?;
        self.json(request).await
    }
}
