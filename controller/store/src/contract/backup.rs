//! Copies of a database that is in use, and what ends when one is restored.

use std::time::Duration;

use tidemark_model::{HostScope, Role};

use super::*;
use crate::testing::{postgres_url, sqlite_url};
use crate::{BurnOutcome, CopyError, DatabaseUrl, Ended, JoinTokenUse, NewApiToken};

contract!(
    each_restore_is_another_incarnation,
    what_may_have_been_used_up_ends_with_an_incarnation,
);

async fn begin(store: &Store, now: i64) -> u64 {
    let mut tx = store.begin().await.unwrap();
    let number = tx.incarnation_begin(at(now)).await.unwrap();
    tx.commit().await.unwrap();
    number
}

async fn each_restore_is_another_incarnation(store: Store) {
    assert_eq!(store.read().await.unwrap().incarnation().await.unwrap(), 1);
    assert_eq!(begin(&store, 1_700_000_000_000).await, 1_700_000_000);
    // Within one second, and with a clock that was set back.
    assert_eq!(begin(&store, 1_700_000_000_500).await, 1_700_000_001);
    assert_eq!(begin(&store, 5).await, 1_700_000_002);
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.incarnation().await.unwrap(), 1_700_000_002);
}

async fn what_may_have_been_used_up_ends_with_an_incarnation(store: Store) {
    let mut tx = store.begin().await.unwrap();
    for number in 1..=3 {
        tx.join_token_insert(&new_token(number, 2)).await.unwrap();
    }
    tx.join_token_revoke(token_id(3), at(1)).await.unwrap();
    let api_token = NewApiToken {
        id: token_id(9),
        secret_hash: [9; 32],
        name: "ci".to_owned(),
        role: Role::Viewer,
        created_at: at(0),
        expires_at: None,
        owner: None,
        scope: HostScope::All,
    };
    tx.api_token_insert(&api_token).await.unwrap();
    let kept = tx.incarnation_end_credentials(at(5), false).await.unwrap();
    let expected = Ended {
        join_tokens: 2,
        ..Ended::default()
    };
    assert_eq!(kept, expected);
    let found = tx.api_token_find(token_id(9)).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, None);
    let wish = JoinTokenUse {
        token: token_id(1),
        identity_hash: [1; 32],
        host: host_id(1),
        at: at(6),
    };
    let burned = tx.join_token_burn(&wish).await.unwrap();
    assert!(matches!(burned, BurnOutcome::Revoked), "{burned:?}");
    let ended = tx.incarnation_end_credentials(at(7), true).await.unwrap();
    assert_eq!((ended.api_tokens, ended.join_tokens), (1, 0));
    let found = tx.api_token_find(token_id(9)).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(at(7)));
}

#[tokio::test]
async fn a_copy_is_whole_while_somebody_writes_and_nobody_elses_to_read() {
    let (url, folder) = sqlite_url();
    let store = Store::open(&url).await.unwrap();
    enrol(&store, 3).await;
    let mut writing = store.begin().await.unwrap();
    writing.host_insert(&new_host(3)).await.unwrap();
    let copy = folder.path().join("copy.db");
    store.copy_into(&copy).await.unwrap();
    writing.commit().await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let copied = Store::open(&DatabaseUrl::sqlite(&copy)).await.unwrap();
    assert_eq!(copied.damage().await.unwrap(), Vec::<String>::new());
    let hosts = copied.read().await.unwrap().hosts_count().await;
    assert_eq!(hosts.unwrap(), 3, "what was not committed is not in it");
    let again = store.copy_into(&copy).await;
    assert!(matches!(again, Err(CopyError::File { .. })), "{again:?}");
}

#[tokio::test]
async fn a_place_is_vacant_until_a_database_is_there_and_its_controllers_are_counted() {
    let (sqlite, _folder) = sqlite_url();
    for url in [sqlite, postgres_url().await] {
        assert!(url.is_vacant().await.unwrap());
        let store = Store::open(&url).await.unwrap();
        assert!(!url.is_vacant().await.unwrap());
        let is_server = url.sqlite_file().is_none();
        assert_eq!(url.controllers().await.unwrap() > 0, is_server);
        store.close().await;
        tokio::time::timeout(Duration::from_secs(10), async {
            while url.controllers().await.unwrap() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}

#[test]
fn a_password_is_no_part_of_what_a_list_of_processes_shows() {
    let url: DatabaseUrl = "postgres://tide:p%40s%20s+@db.example:5433/mark?sslmode=require"
        .parse()
        .unwrap();
    let place = url.libpq().unwrap();
    assert_eq!(
        place.url,
        "postgres://tide@db.example:5433/mark?sslmode=require"
    );
    assert_eq!(place.password.unwrap().expose(), "p@s s+");
}
