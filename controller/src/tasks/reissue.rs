//! Renews the gateway's own certificate long before it ends; sessions that are open are not disturbed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::app::App;
use crate::boot::server_config;

/// A thirtieth of the certificate's life.
const PERIOD: Duration = Duration::from_secs(86_400);

/// Runs until the stop.
pub async fn run(app: Arc<App>, tls: Arc<ArcSwap<rustls::ServerConfig>>) {
    let stop = app.life.stop_token();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        match server_config(&app) {
            Ok(config) => tls.store(config),
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the gateway's certificate cannot be renewed; it is tried again tomorrow"
            ),
        }
    }
}
