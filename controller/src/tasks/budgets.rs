//! Looks at hosts' newest samples by the budgets that hold, and now and then at what another controller applied.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::view::BudgetCounts;
use tidemark_runtime::telemetry::SPANS;
use tidemark_store::StoreError;

use crate::app::App;
use crate::budgets::{self, standing};
use crate::gateway::outcome::chain;

/// Between two activations: no agent samples more often.
const PERIOD: Duration = Duration::from_secs(1);

/// After so many activations the store is asked what holds. What this controller applies holds at once.
const REFRESH_EVERY: u32 = 10;

/// Takes samples in by the budgets that hold.
pub struct BudgetWatch {
    app: Arc<App>,
    activations: u32,
}

impl BudgetWatch {
    /// Begins by asking the store.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self {
            app,
            activations: 0,
        }
    }

    /// Runs until the stop.
    pub async fn run(mut self) {
        let stop = self.app.life.stop_token();
        loop {
            if let Err(error) = self.activate().await {
                self.app.metrics.budget_sweeps_failed.add(1);
                tracing::warn!(
                    error = chain(&error),
                    "budgets cannot be read; those known before hold, and it is tried again"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Looks at everything once.
    ///
    /// # Errors
    /// What the database says.
    #[tracing::instrument(target = SPANS, name = "budgets", skip_all, err)]
    pub async fn activate(&mut self) -> Result<(), StoreError> {
        let asks = self.activations.is_multiple_of(REFRESH_EVERY);
        self.activations = self.activations.wrapping_add(1);
        if !asks {
            budgets::look(&self.app);
            return Ok(());
        }
        budgets::refresh(&self.app).await?;
        let held = self.app.budgets.held().len() as u64;
        self.app.metrics.budgets.set(held);
        if held > 0 {
            let counts = standing::counts_of_all(&self.app);
            self.app.metrics.budgets_of(counts);
        } else {
            self.app.metrics.budgets_of(BudgetCounts::default());
        }
        Ok(())
    }
}
