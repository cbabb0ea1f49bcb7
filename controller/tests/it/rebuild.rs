//! A restart forgets no verdict: detectors are rebuilt from the stored history.

use std::time::Duration;

use tidemark_model::forecast::{Forecast, Road};
use tidemark_model::{HostId, Timestamp};

use crate::backtest::leaky_history;
use crate::made_up::{MadeUp, sample};

fn forecast(fleet: &MadeUp, host: HostId) -> Option<Forecast> {
    let app = &fleet.started.app;
    let read = |live: &tidemark_controller::live::HostLive| {
        let space = live.spaces.values().next()?;
        Some(space.detector.forecast(app.clock.now()))
    };
    app.live.read(host, read).flatten()
}

/// The forecast once the host's history was read.
async fn rebuilt(fleet: &MadeUp, host: HostId) -> Forecast {
    let wait = async {
        loop {
            if let Some(forecast) = forecast(fleet, host) {
                return forecast;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_leak_of_days_has_the_same_date_cause_and_words_after_a_restart() {
    let fleet = MadeUp::start().await;
    let host = leaky_history(&fleet, "db-1").await;
    let before = forecast(&fleet, host).unwrap();
    assert_eq!(before.road, Some(Road::Leak), "{}", before.explanation);
    let fleet = fleet.restart().await;
    let after = rebuilt(&fleet, host).await;
    assert_eq!(after.road, before.road, "{}", after.explanation);
    assert_eq!(after.culprit, before.culprit);
    let now = fleet.started.app.clock.now();
    let rest = |forecast: &Forecast| forecast.eta.unwrap().at.ms_since(now) as f64;
    assert!(
        (rest(&before) - rest(&after)).abs() <= 0.05 * rest(&before),
        "{}\n{}",
        before.explanation,
        after.explanation
    );
}

/// A process that is restarted each day in time: without its restarts the last rise would be a leak.
#[tokio::test]
async fn restarts_and_boots_are_seen_in_history_too() {
    let fleet = MadeUp::start().await;
    let host = fleet.host("app-1").await;
    let now = fleet.started.app.clock.now().unix_ms();
    let days = 8;
    let samples = (0..days * 288 - 40)
        .map(|number: i64| {
            let at = Timestamp::from_unix_ms(now - (days * 288 - 40 - number) * 300_000);
            let since_restart = (number % 288) as u32;
            let mut sample = sample(at, 400 + since_restart * 20 + (number % 5) as u32, 100);
            for owner in &mut sample.port_spaces[0].owners {
                owner.process.started_at = Timestamp::from_unix_ms(number / 288);
            }
            sample
        })
        .collect();
    fleet.deliver(host, samples).await;
    let before = forecast(&fleet, host).unwrap();
    assert_eq!(before.eta, None, "{}", before.explanation);
    let fleet = fleet.restart().await;
    let after = rebuilt(&fleet, host).await;
    assert_eq!(after.eta, None, "{}", after.explanation);
}
