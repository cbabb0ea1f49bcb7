//! Maintenance windows as typed calls.

use reqwest::Method;
use serde_json::{Value, json};
use tidemark_model::view::{WindowDetail, WindowTimes, WindowView, WindowsApplied};

use super::{Api, Effect, LIST_ROWS_MAX, Query};
use crate::failure::Failure;

impl Api {
    /// All windows by name.
    pub async fn windows(&self) -> Result<Vec<WindowView>, Failure> {
        self.list(&["windows"], Query::new(), LIST_ROWS_MAX).await
    }

    /// One window with its versions.
    pub async fn window(&self, name: &str) -> Result<WindowDetail, Failure> {
        self.get(&["windows", name]).await
    }

    /// When a window comes.
    pub async fn window_times(&self, name: &str, query: Query) -> Result<WindowTimes, Failure> {
        let request = self.request(Method::GET, &["windows", name, "next"])?;
        self.json(request.query(&query)).await
    }

    /// Applies windows as they are written; the controller checks them.
    pub async fn apply_windows(
        &self,
        windows: Vec<Value>,
        effect: Effect,
    ) -> Result<WindowsApplied, Failure> {
        self.apply("windows", &json!({ "window": windows }), effect)
            .await
    }

    /// Deletes a window.
    pub async fn delete_window(&self, name: &str) -> Result<(), Failure> {
        self.delete(&["windows", name]).await
    }
}
