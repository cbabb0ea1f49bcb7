//! What is kept for how long, and in how many bytes.

use std::ops::ControlFlow;
use std::sync::Arc;

use tempfile::TempDir;
use tidemark_controller::app::App;
use tidemark_controller::boot::{Foundation, assemble};
use tidemark_controller::pki::Authority;
use tidemark_controller::tasks::compact::Compactor;
use tidemark_controller::tasks::expire::{ExpireStatus, Expirer};
use tidemark_history::compact::Retention;
use tidemark_model::{HostId, PortSpaceKey, Protocol, Timestamp};
use tidemark_runtime::{Clock, Entropy};
use tidemark_store::testing::new_host;
use tidemark_store::{DatabaseUrl, HourlyRow, NewHost, NewSegment, Span, Store, Tier};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const TODAY: Timestamp = Timestamp::from_unix_ms(20_000 * DAY_MS);

fn host_id() -> HostId {
    HostId::of_identity_spki(&[7])
}

const fn day(before: i64) -> Timestamp {
    Timestamp::from_unix_ms(TODAY.unix_ms() - before * DAY_MS)
}

async fn controller_with_a_host(folder: &TempDir) -> Arc<App> {
    let store = Store::open(&DatabaseUrl::sqlite(folder.path().join("test.db")))
        .await
        .unwrap();
    let mut tx = store.begin().await.unwrap();
    let host = NewHost {
        enrolled_at: day(800),
        ..new_host(&[7], "web-1")
    };
    tx.host_insert(&host).await.unwrap();
    tx.commit().await.unwrap();
    let authority = Authority::open(&folder.path().join("pki"), TODAY, &Entropy::System).unwrap();
    let clock = Clock::manual(TODAY);
    assemble(Foundation::unconfigured(store, authority, clock))
        .await
        .unwrap()
}

fn hours_of(before: i64, size_bytes: usize) -> NewSegment {
    NewSegment {
        host: host_id(),
        tier: Tier::Hour,
        span: Span {
            from: day(before),
            to: day(before - 1),
        },
        points: 24,
        body: vec![0; size_bytes],
    }
}

#[tokio::test]
async fn a_limit_by_bytes_takes_the_oldest_days_of_a_tier_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let app = controller_with_a_host(&folder).await;
    let days = [40, 30, 20].map(|before| hours_of(before, 1_000));
    let mut tx = app.store.begin().await.unwrap();
    tx.segments_put(&days).await.unwrap();
    tx.commit().await.unwrap();
    let retention = Retention {
        hour_bytes_max: Some(2_500),
        ..Retention::default()
    };
    Compactor::new(Arc::clone(&app), retention)
        .activate()
        .await
        .unwrap();
    let mut left = Vec::new();
    let all = Span {
        from: day(1_000),
        to: TODAY,
    };
    let mut tx = app.store.read().await.unwrap();
    tx.segments_each(host_id(), Tier::Hour, all, |segment| {
        left.push(segment.span.from);
        ControlFlow::Continue(())
    })
    .await
    .unwrap();
    assert_eq!(left, [day(30), day(20)]);
}

#[tokio::test]
async fn hourly_rows_go_when_history_of_that_age_does() {
    let folder = tempfile::tempdir().unwrap();
    let app = controller_with_a_host(&folder).await;
    let row = |before| HourlyRow {
        host: host_id(),
        hour_at: day(before),
        space: PortSpaceKey::own(Protocol::Tcp),
        capacity: 28_232,
        in_use_min: 1,
        in_use_avg: 2.0,
        in_use_max: 3,
        in_use_last: 2,
        strong_max: 3,
        time_wait_max: 0,
        bound_max: Some(0),
    };
    let mut tx = app.store.begin().await.unwrap();
    tx.host_hourly_upsert(&[row(731), row(729)]).await.unwrap();
    tx.commit().await.unwrap();
    let expirer = Expirer::new(Arc::clone(&app), Retention::default().hour);
    let first = expirer.activate().await.unwrap();
    assert_eq!(
        first,
        ExpireStatus {
            hours: 1,
            ..ExpireStatus::default()
        }
    );
    assert_eq!(expirer.activate().await.unwrap(), ExpireStatus::default());
}
