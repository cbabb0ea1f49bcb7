//! Reconcilers: work that the controller does for itself, again and again, each idempotent.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use crate::app::App;
use crate::audit_log::{Exporter, Keeper};
use crate::company;
use crate::incidents::reconcile::Reconciler;
use crate::keys::carry::KeyCarrier;
use crate::leader::elect;
use crate::maintain::run::RunDriver;
use crate::notify::courier::Courier;
use crate::notify::dispatch::Dispatcher;
use crate::remediate::dispatch::ActionDispatcher;
use crate::remediate::effect::EffectMeter;
use crate::settings::Settings;
use crate::upgrades::drive::UpgradeDriver;

pub mod budgets;
pub mod causes;
pub mod compact;
pub mod expire;
pub mod findings;
pub mod news;
pub mod policies;
pub mod rebuild;
mod reissue;
mod windows;

/// Starts them all; the lifecycle owns them.
pub fn start(app: &Arc<App>, settings: &Settings, tls: Arc<ArcSwap<rustls::ServerConfig>>) {
    let life = &app.life;
    life.spawn("leader", elect::run(Arc::clone(app)));
    life.spawn(
        "compact",
        compact::Compactor::new(Arc::clone(app), settings.retention).run(),
    );
    life.spawn(
        "expire",
        expire::Expirer::new(Arc::clone(app), settings.retention.hour).run(),
    );
    let keeper = Keeper::new(Arc::clone(app)).every(settings.audit_log.checkpoint_every);
    life.spawn("audit_log", keeper.run());
    for exporter in Exporter::all(app, &settings.audit_log) {
        life.spawn("audit_export", exporter.run());
    }
    life.spawn("news", news::run(Arc::clone(app)));
    life.spawn("company", company::run(Arc::clone(app)));
    life.spawn("budgets", budgets::BudgetWatch::new(Arc::clone(app)).run());
    let (rebuilt, when_rebuilt) = oneshot::channel();
    life.spawn("rebuild", rebuild::run(Arc::clone(app), rebuilt));
    life.spawn(
        "causes",
        causes::CauseFinder::new(Arc::clone(app)).run(when_rebuilt),
    );
    life.spawn(
        "findings",
        findings::FindingsWatch::new(Arc::clone(app)).run(),
    );
    life.spawn("actions", ActionDispatcher::new(Arc::clone(app)).run());
    life.spawn("keys", KeyCarrier::new(Arc::clone(app)).run());
    life.spawn("runs", RunDriver::new(Arc::clone(app)).run());
    life.spawn("upgrades", UpgradeDriver::new(Arc::clone(app)).run());
    life.spawn("effects", EffectMeter::new(Arc::clone(app)).run());
    life.spawn(
        "policies",
        policies::PolicyWatch::new(Arc::clone(app)).run(),
    );
    life.spawn("reissue", reissue::run(Arc::clone(app), tls));
    life.spawn("windows", windows::run(Arc::clone(app)));
    life.spawn("incidents", Reconciler::new(Arc::clone(app)).run());
    life.spawn("dispatch", Dispatcher::new(Arc::clone(app)).run());
    for receiver in &app.notify.receivers {
        let courier = Courier::new(Arc::clone(app), receiver.clone());
        life.spawn("courier", courier.run());
    }
}
