//! Reconcilers: work that the controller does for itself, again and again, each idempotent.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::app::App;
use crate::settings::Settings;

mod reissue;

/// Starts them all; the lifecycle owns them.
pub fn start(app: &Arc<App>, _settings: &Settings, tls: Arc<ArcSwap<rustls::ServerConfig>>) {
    let life = &app.life;
    life.spawn("reissue", reissue::run(Arc::clone(app), tls));
}
