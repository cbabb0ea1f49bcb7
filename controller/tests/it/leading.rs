//! Two controllers on one Postgres, of which nothing runs by itself: the one that leads works, the other one does not, and one that
//! was replaced is refused.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidemark_controller::app::App;
use tidemark_controller::boot::{Foundation, assemble};
use tidemark_controller::leader::Standing;
use tidemark_controller::pki::Authority;
use tidemark_controller::tasks::expire::{ExpireStatus, Expirer};
use tidemark_model::Timestamp;
use tidemark_model::notice::NoticeKind;
use tidemark_runtime::{Clock, Entropy};
use tidemark_store::testing::{on_postgres, on_sqlite};
use tidemark_store::{NewNotice, NoticeQuery, NoticeStart, Store, StoreError};

const TODAY: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

pub async fn controller(store: &Store, folder: &TempDir) -> Arc<App> {
    let authority = Authority::open(&folder.path().join("pki"), TODAY, &Entropy::System).unwrap();
    let clock = Clock::manual(TODAY);
    assemble(Foundation::unconfigured(store.clone(), authority, clock))
        .await
        .unwrap()
}

/// Leaves a notice that has had its time.
async fn leave_notice(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let notice = NewNotice {
        at: TODAY.saturating_sub(YEAR),
        host: None,
        kind: NoticeKind::Controller,
        text: "long ago".into(),
    };
    tx.notices_append(&[notice]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn notices(store: &Store) -> usize {
    let mut tx = store.read().await.unwrap();
    let all = NoticeQuery {
        start: NoticeStart::Newest,
        host: None,
        kind: None,
        since: None,
        limit: 10,
    };
    tx.notices_page(&all).await.unwrap().len()
}

async fn expire(app: &Arc<App>) -> Result<ExpireStatus, StoreError> {
    let hour = Duration::from_secs(3_600);
    Expirer::new(Arc::clone(app), hour).activate().await
}

#[tokio::test]
async fn what_one_controller_is_to_do_the_leader_does() {
    on_postgres(async |store: Store| {
        let folder = tempfile::tempdir().unwrap();
        let leads = controller(&store, &folder).await;
        let other = controller(&store, &folder).await;
        assert!(leads.leader.term().is_some());
        assert!(matches!(other.leader.standing(), Standing::Elsewhere(_)));
        assert_eq!(other.leader.view().holder, leads.leader.view().holder);
        leave_notice(&store).await;
        assert_eq!(expire(&other).await.unwrap(), ExpireStatus::default());
        assert_eq!(notices(&store).await, 1);
        assert_eq!(expire(&leads).await.unwrap().notices, 1);
        assert_eq!(notices(&store).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_was_replaced_writes_nothing_and_knows_it_then() {
    on_postgres(async |store: Store| {
        let folder = tempfile::tempdir().unwrap();
        let app = controller(&store, &folder).await;
        let term = app.leader.term().unwrap();
        leave_notice(&store).await;
        let mut tx = store.begin().await.unwrap();
        tx.lease_seize("another", TODAY).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(app.leader.term(), Some(term.clone()), "nothing told it yet");
        let refused = expire(&app).await.unwrap_err();
        assert!(matches!(refused, StoreError::Fenced { .. }), "{refused}");
        assert_eq!(notices(&store).await, 1);
        assert_eq!(app.metrics.led_writes_refused.get(), 1);
        assert_eq!(app.leader.term(), None);
        // What it had begun in that term is refused for good.
        let late = app.begin_in(&term).await.err();
        assert!(matches!(late, Some(StoreError::Fenced { .. })), "{late:?}");
    })
    .await;
}

#[tokio::test]
async fn a_controller_with_sqlite_leads_from_its_start_whoever_did_before() {
    on_sqlite(async |store: Store| {
        let folder = tempfile::tempdir().unwrap();
        let former = controller(&store, &folder).await;
        let app = controller(&store, &folder).await;
        let term = app.leader.term().unwrap();
        assert_eq!(term.epoch, 2);
        app.begin_in(&term).await.unwrap();
        let term = former.leader.term().unwrap();
        let refused = former.begin_in(&term).await.err();
        assert!(
            matches!(refused, Some(StoreError::Fenced { .. })),
            "{refused:?}"
        );
    })
    .await;
}
