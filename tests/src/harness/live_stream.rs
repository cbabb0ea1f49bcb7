//! The stream that live views listen to.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::Response;

/// What a live view is told.
#[derive(Debug)]
pub struct LiveStream {
    response: Response,
    heard: String,
}

impl LiveStream {
    /// The one that answers so.
    pub(super) const fn of(response: Response) -> Self {
        Self {
            response,
            heard: String::new(),
        }
    }

    /// Waits until it was told something with that text in it.
    ///
    /// # Errors
    /// When it ends before, or `within` is over.
    pub async fn tells(&mut self, text: &str, within: Duration) -> anyhow::Result<()> {
        let told = async {
            while !self.heard.contains(text) {
                let chunk = self.response.chunk().await?.context("the stream ended")?;
                self.heard.push_str(&String::from_utf8_lossy(&chunk));
            }
            anyhow::Ok(())
        };
        let told = tokio::time::timeout(within, told).await;
        told.with_context(|| format!("nothing with {text:?} was told: {}", self.heard))?
    }
}
