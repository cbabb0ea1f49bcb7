//! The audit log: in order, chained, append-only, and together with what it tells.

use tidemark_model::Role;
use tidemark_model::audit_log::{Chain, Deed, Doer, DoerKind, NewEntry, Outcome, Subject};

use super::*;
use crate::{AuditQuery, StoredCheckpoint, Tx, Witness};

contract!(
    entries_follow_one_another_without_holes,
    nobody_changes_deletes_or_slips_in_an_entry,
    an_entry_goes_with_the_transaction_of_its_change,
    writers_at_once_share_one_chain,
    entries_are_paged_and_filtered,
    every_altered_column_is_noticed,
    checkpoints_and_witnesses_are_kept,
);

fn entry(number: i64) -> NewEntry {
    NewEntry {
        at: at(number),
        who: Doer {
            kind: DoerKind::Operator,
            name: if number % 2 == 0 { "ann" } else { "bob" }.into(),
            role: Some(Role::Admin),
            credential: Some("token x".into()),
            address: Some("10.0.0.1:1".into()),
        },
        what: if number % 3 == 0 {
            Deed::SignIn
        } else {
            Deed::HostRevoke
        },
        on: Subject {
            kind: "hosts".into(),
            id: number.to_string(),
            host: (number % 2 == 0).then(|| host_id(0)),
        },
        outcome: Outcome::Done,
        detail: BTreeMap::from([("number".to_owned(), number.to_string())]),
    }
}

async fn append(store: &Store, numbers: std::ops::RangeInclusive<i64>) {
    for number in numbers {
        let mut tx = store.begin().await.unwrap();
        tx.audit_append(entry(number)).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Follows the whole log; where it breaks.
async fn followed(store: &Store) -> Result<u64, u64> {
    let mut chain = Chain::default();
    let kept = store.read().await.unwrap().audit_after(0, 1_000).await;
    for (_, entry) in kept.unwrap() {
        let entry = entry.map_err(|_| chain.size() + 1)?;
        chain.take(&entry).map_err(|fault| fault.seq())?;
    }
    Ok(chain.size())
}

async fn entries_follow_one_another_without_holes(store: Store) {
    append(&store, 1..=5).await;
    let mut tx = store.begin().await.unwrap();
    for number in 6..=8 {
        tx.audit_append(entry(number)).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(followed(&store).await, Ok(8));
    let mut tx = store.read().await.unwrap();
    let (_, third) = tx.audit_after(2, 1).await.unwrap().remove(0);
    let third = third.unwrap();
    assert_eq!((third.seq, third.at_ms), (3, at(3)));
    assert_eq!(third.detail["number"], "3");
    assert!(tx.audit_after(8, 1).await.unwrap().is_empty());
    assert_eq!(tx.audit_head().await.unwrap().0, 8);
    let hashes = tx.audit_hashes(2, 1).await.unwrap();
    assert_eq!(hashes, [(3, third.hash)]);
}

async fn run(store: &Store, sql: &'static str) -> Result<u64, sqlx::Error> {
    match store.begin().await.unwrap() {
        Tx::Sqlite(mut tx) => {
            let done = sqlx::query(sql).execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
            Ok(done)
        }
        Tx::Postgres(mut tx) => {
            let done = sqlx::query(sql).execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
            Ok(done)
        }
    }
}

const COPY: &str = "INSERT INTO audit_log SELECT seq + 2, at, who_kind, who_name, role, credential, address, what, on_kind, \
    on_id, on_host, outcome, detail, prev, hash FROM audit_log WHERE seq = 3";

async fn nobody_changes_deletes_or_slips_in_an_entry(store: Store) {
    append(&store, 1..=3).await;
    for sql in [
        "UPDATE audit_log SET who_name = 'eve' WHERE seq = 2",
        "DELETE FROM audit_log WHERE seq = 3",
        "DELETE FROM audit_log",
        COPY,
    ] {
        let refused = run(&store, sql).await.unwrap_err().to_string();
        assert!(refused.contains("audit log"), "{sql}: {refused}");
    }
    if store.backend_name() == "postgres" {
        run(&store, "TRUNCATE audit_log").await.unwrap_err();
    } else {
        let replace = "REPLACE INTO audit_log SELECT seq, 0, who_kind, 'eve', role, credential, address, what, on_kind, \
            on_id, on_host, outcome, detail, prev, hash FROM audit_log WHERE seq = 2";
        run(&store, replace).await.unwrap_err();
    }
    assert_eq!(followed(&store).await, Ok(3));
}

async fn an_entry_goes_with_the_transaction_of_its_change(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.host_insert(&new_host(0)).await.unwrap();
    tx.audit_append(entry(1)).await.unwrap();
    drop(tx);
    let mut tx = store.read().await.unwrap();
    assert_eq!(tx.host_find(host_id(0)).await.unwrap(), None);
    assert_eq!(tx.audit_head().await.unwrap().0, 0);
}

async fn writers_at_once_share_one_chain(store: Store) {
    let writer = |first: i64| {
        let store = store.clone();
        async move { append(&store, first..=first + 9).await }
    };
    futures::future::join_all([0, 100, 200, 300].map(writer)).await;
    assert_eq!(followed(&store).await, Ok(40));
}

async fn entries_are_paged_and_filtered(store: Store) {
    append(&store, 1..=9).await;
    let mut tx = store.read().await.unwrap();
    let mut query = AuditQuery {
        limit: 4,
        ..AuditQuery::default()
    };
    let seqs = |kept: Vec<crate::Kept>| kept.into_iter().map(|one| one.0).collect::<Vec<_>>();
    assert_eq!(seqs(tx.audit_page(&query).await.unwrap()), [9, 8, 7, 6]);
    query.before = Some(6);
    assert_eq!(seqs(tx.audit_page(&query).await.unwrap()), [5, 4, 3, 2]);
    query.before = None;
    query.who = Some("ann".into());
    assert_eq!(seqs(tx.audit_page(&query).await.unwrap()), [8, 6, 4, 2]);
    query.what = Some(Deed::SignIn);
    assert_eq!(seqs(tx.audit_page(&query).await.unwrap()), [6]);
    query.who = None;
    query.since = Some(at(4));
    assert_eq!(seqs(tx.audit_page(&query).await.unwrap()), [9, 6]);
    query.host = Some(host_id(0));
    assert_eq!(seqs(tx.audit_page(&query).await.unwrap()), [6]);
    query.outcome = Some(Outcome::Refused);
    assert!(tx.audit_page(&query).await.unwrap().is_empty());
}

/// What somebody writes who owns the database and has taken its guards away.
const ALTERED: [&str; 14] = [
    "UPDATE audit_log SET at = at + 1 WHERE seq = 2",
    "UPDATE audit_log SET who_kind = 'host' WHERE seq = 2",
    "UPDATE audit_log SET who_name = 'eve' WHERE seq = 2",
    "UPDATE audit_log SET role = 'viewer' WHERE seq = 2",
    "UPDATE audit_log SET credential = NULL WHERE seq = 2",
    "UPDATE audit_log SET address = '10.0.0.2:1' WHERE seq = 2",
    "UPDATE audit_log SET what = 'sign_out' WHERE seq = 2",
    "UPDATE audit_log SET on_kind = 'runs' WHERE seq = 2",
    "UPDATE audit_log SET on_id = '7' WHERE seq = 2",
    "UPDATE audit_log SET on_host = NULL WHERE seq = 2",
    "UPDATE audit_log SET outcome = 'refused' WHERE seq = 2",
    "UPDATE audit_log SET detail = '{\"number\": \"2\"}' WHERE seq = 2",
    "UPDATE audit_log SET prev = hash WHERE seq = 2",
    "UPDATE audit_log SET hash = prev WHERE seq = 2",
];

async fn every_altered_column_is_noticed(store: Store) {
    append(&store, 1..=4).await;
    let guards: &[&str] = match store.backend_name() {
        "postgres" => &["ALTER TABLE audit_log DISABLE TRIGGER USER"],
        _ => &[
            "DROP TRIGGER audit_log_takes_the_next_entry",
            "DROP TRIGGER audit_log_keeps_entries",
            "DROP TRIGGER audit_log_changes_no_entry",
        ],
    };
    for sql in guards {
        run(&store, sql).await.unwrap();
    }
    run(&store, "CREATE TABLE kept AS SELECT * FROM audit_log")
        .await
        .unwrap();
    let restore = async || {
        run(&store, "DELETE FROM audit_log").await.unwrap();
        run(&store, "INSERT INTO audit_log SELECT * FROM kept")
            .await
            .unwrap();
        assert_eq!(followed(&store).await, Ok(4));
    };
    for sql in ALTERED {
        assert_eq!(run(&store, sql).await.unwrap(), 1, "{sql}");
        assert_eq!(followed(&store).await, Err(2), "{sql}");
        restore().await;
    }
    run(&store, "DELETE FROM audit_log WHERE seq = 2")
        .await
        .unwrap();
    assert_eq!(followed(&store).await, Err(2));
    run(&store, "UPDATE audit_log SET seq = seq - 1 WHERE seq > 2")
        .await
        .unwrap();
    assert_eq!(followed(&store).await, Err(2), "the hole was closed");
}

async fn checkpoints_and_witnesses_are_kept(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let checkpoint = |size: u64| StoredCheckpoint {
        size,
        at: at(5),
        note: format!("note {size}"),
    };
    for size in [3, 9, 12] {
        tx.audit_checkpoint_put(&checkpoint(size), 2).await.unwrap();
    }
    let other = StoredCheckpoint {
        note: "other".into(),
        ..checkpoint(12)
    };
    tx.audit_checkpoint_put(&other, 2).await.unwrap();
    let kept = tx.audit_checkpoints(10).await.unwrap();
    assert_eq!(kept, [checkpoint(12), checkpoint(9)]);
    let witness = |number: u32, size: u64, fault: Option<&str>| Witness {
        host: host_id(number),
        at: at(6),
        size,
        note: "note".into(),
        fault: fault.map(str::to_owned),
    };
    for one in [witness(0, 3, None), witness(1, 12, Some("other root"))] {
        tx.audit_witness_put(&one).await.unwrap();
    }
    tx.audit_witness_put(&witness(0, 9, None)).await.unwrap();
    let mut all = tx.audit_witnesses(None, 10).await.unwrap();
    all.sort_by_key(|one| one.size);
    assert_eq!(
        all,
        [witness(0, 9, None), witness(1, 12, Some("other root"))]
    );
    let contradicting = tx.audit_contradictions(10).await.unwrap();
    assert_eq!(contradicting, [witness(1, 12, Some("other root"))]);
    let count = tx.audit_witness_count().await.unwrap();
    assert_eq!(
        (count.hosts, count.contradicting, count.size_max),
        (2, 1, 12)
    );
}
