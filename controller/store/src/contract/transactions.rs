//! Transactions: what is not committed never was, readers see one moment, and failures are named.

use sqlx::Executor;

use super::*;
use crate::store::Pools;
use crate::{Backend, NewRecent, News, Replacement, Span, StoreError, Tx};

contract!(
    what_is_not_committed_never_was,
    a_reader_sees_one_moment_and_does_not_hold_up_the_writer,
    a_reader_cannot_write,
    writers_take_turns,
    a_store_answers_pings_and_knows_its_size,
    a_closed_store_is_unavailable,
    news_are_heard_once_they_are_committed,
);

async fn news_are_heard_once_they_are_committed(store: Store) {
    let Some(mut listener) = store.listen().await.unwrap() else {
        assert_eq!(store.backend(), Backend::Sqlite);
        return;
    };
    let mut undone = store.begin().await.unwrap();
    undone.host_insert(&new_host(1)).await.unwrap();
    undone.rollback().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.host_insert(&new_host(2)).await.unwrap();
    tx.commit().await.unwrap();
    let heard = tokio::time::timeout(std::time::Duration::from_secs(20), listener.next());
    assert_eq!(heard.await.unwrap().unwrap(), Some(News::Host(host_id(2))));
    let mut tx = store.begin().await.unwrap();
    tx.host_set_state(host_id(2), 0, tidemark_model::HostState::Revoked)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let apart = store.read().await.unwrap().hosts_apart(None, 10).await;
    assert_eq!(
        apart.unwrap(),
        [(host_id(2), tidemark_model::HostState::Revoked)]
    );
}

async fn what_is_not_committed_never_was(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.host_insert(&new_host(1)).await.unwrap();
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.hosts_count().await.unwrap(), 0);
    tx.host_insert(&new_host(1)).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(store.read().await.unwrap().hosts_count().await.unwrap(), 0);
}

async fn a_reader_sees_one_moment_and_does_not_hold_up_the_writer(store: Store) {
    enrol(&store, 1).await;
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.hosts_count().await.unwrap(), 1);
    let mut writer = store.begin().await.unwrap();
    writer.host_insert(&new_host(5)).await.unwrap();
    writer.commit().await.unwrap();
    assert_eq!(reader.hosts_count().await.unwrap(), 1);
    assert_eq!(store.read().await.unwrap().hosts_count().await.unwrap(), 2);
}

async fn a_reader_cannot_write(store: Store) {
    let mut tx = store.read().await.unwrap();
    tx.host_insert(&new_host(1)).await.unwrap_err();
    drop(tx);
    assert_eq!(store.read().await.unwrap().hosts_count().await.unwrap(), 0);
}

async fn writers_take_turns(store: Store) {
    let enrol_one = async |number: u32| {
        let mut tx = store.begin().await.unwrap();
        let before = tx.hosts_count().await.unwrap();
        tx.host_insert(&new_host(number)).await.unwrap();
        assert!(tx.hosts_count().await.unwrap() > before);
        tx.commit().await.unwrap();
    };
    futures::future::join_all((0..20).map(enrol_one)).await;
    assert_eq!(store.read().await.unwrap().hosts_count().await.unwrap(), 20);
}

async fn a_store_answers_pings_and_knows_its_size(store: Store) {
    store.ping().await.unwrap();
    assert!(store.bytes_on_disk().await.unwrap() > 50_000);
    store.shrink().await.unwrap();
}

async fn a_closed_store_is_unavailable(store: Store) {
    store.close().await;
    assert!(matches!(
        store.ping().await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.begin().await.err(),
        Some(StoreError::Unavailable(_))
    ));
}

fn batch(size_bytes: usize) -> NewRecent {
    NewRecent {
        host: host_id(0),
        first_at: at(0),
        last_at: at(1),
        points: 1,
        body: vec![0x5a; size_bytes],
    }
}

async fn recent_count(tx: &mut Tx) -> usize {
    let mut count = 0;
    let all = Span {
        from: at(0),
        to: at(100),
    };
    tx.recent_each(host_id(0), all, |_| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    })
    .await
    .unwrap();
    count
}

#[tokio::test]
async fn a_full_sqlite_disk_is_named_and_room_heals_it() {
    crate::testing::on_sqlite(async |store: Store| {
        let Pools::Sqlite { writer, .. } = &store.pools else {
            panic!("not SQLite");
        };
        let mut tx = store.begin().await.unwrap();
        tx.recent_append(&[batch(1_000)]).await.unwrap();
        tx.commit().await.unwrap();
        // The engine's own limit on pages answers as a full disk does: SQLITE_FULL.
        writer.execute("PRAGMA max_page_count = 100").await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let full = loop {
            if let Err(error) = tx.recent_append(&[batch(10_000)]).await {
                break error;
            }
        };
        assert!(matches!(full, StoreError::DiskFull(_)), "{full:?}");
        drop(tx);
        let mut tx = store.read().await.unwrap();
        assert_eq!(recent_count(&mut tx).await, 1);
        drop(tx);
        writer
            .execute("PRAGMA max_page_count = 4000")
            .await
            .unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.recent_append(&[batch(1_000_000)]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_sqlite_file_gets_smaller_after_retention() {
    crate::testing::on_sqlite(async |store: Store| {
        let mut tx = store.begin().await.unwrap();
        tx.recent_append(&[batch(4_000_000)]).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let always = Span {
            from: at(i64::MIN),
            to: at(i64::MAX),
        };
        let heads = tx.history_heads(&[host_id(0)], always, 1).await.unwrap();
        let old = Replacement {
            host: host_id(0),
            recent: vec![heads[&host_id(0)].recent[0].id],
            segments: vec![],
            put: vec![],
        };
        tx.history_replace(&[old]).await.unwrap();
        tx.commit().await.unwrap();
        assert!(store.shrink().await.unwrap() > 3_900_000);
        assert_eq!(store.shrink().await.unwrap(), 0);
        let Pools::Sqlite { writer, .. } = &store.pools else {
            panic!("not SQLite");
        };
        writer
            .execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .await
            .unwrap();
        assert!(store.bytes_on_disk().await.unwrap() < 600_000);
    })
    .await;
}

#[tokio::test]
async fn postgres_failures_are_told_apart_by_their_sqlstate() {
    crate::testing::on_postgres(async |store: Store| {
        let Pools::Postgres(pool) = &store.pools else {
            panic!("not Postgres");
        };
        let raise = async |state: &str| {
            let text =
                format!("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$");
            let failed = sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(pool).await;
            StoreError::from(failed.unwrap_err())
        };
        assert!(matches!(raise("53100").await, StoreError::DiskFull(_)));
        assert!(matches!(raise("40001").await, StoreError::Contended(_)));
        assert!(matches!(raise("57P01").await, StoreError::Unavailable(_)));
        assert!(matches!(raise("XX001").await, StoreError::Corrupt(_)));
        assert!(matches!(raise("22012").await, StoreError::Query(_)));
    })
    .await;
}

#[tokio::test]
async fn a_lost_postgres_connection_is_unavailable_and_the_next_one_works() {
    crate::testing::on_postgres(async |store: Store| {
        let Tx::Postgres(mut tx) = store.begin().await.unwrap() else {
            panic!("not Postgres");
        };
        let session: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        let Pools::Postgres(pool) = &store.pools else {
            panic!("not Postgres");
        };
        sqlx::query("SELECT pg_terminate_backend($1, 10000)")
            .bind(session)
            .execute(pool)
            .await
            .unwrap();
        let mut tx = Tx::Postgres(tx);
        let lost = tx.hosts_count().await.unwrap_err();
        assert!(matches!(lost, StoreError::Unavailable(_)), "{lost:?}");
        drop(tx);
        enrol(&store, 1).await;
    })
    .await;
}
