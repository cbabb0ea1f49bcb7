//! What grows with hosts and time can be spread over machines by host, as the page on several controllers says.

use std::collections::BTreeSet;

use crate::Store;
use crate::Tx;

const PAGE: &str = include_str!("../../../../docs/tasks/scale-out.md");

/// Tables that are named in calls of `function` on the page.
fn named(function: &str) -> BTreeSet<String> {
    let call = format!("SELECT {function}('");
    PAGE.split(&call)
        .skip(1)
        .filter_map(|rest| rest.split('\'').next())
        .map(str::to_owned)
        .collect()
}

/// Unique indexes of tables with a column `host` that is not null: table, the first column, and whether `host` is in it.
const UNIQUE: &str = "SELECT tables.relname::text, first.attname::text, \
    EXISTS (SELECT 1 FROM pg_attribute AS host WHERE host.attrelid = tables.oid AND host.attname = 'host' \
        AND host.attnotnull AND host.attnum = ANY (indexes.indkey)) \
    FROM pg_index AS indexes JOIN pg_class AS tables ON tables.oid = indexes.indrelid \
    JOIN pg_attribute AS first ON first.attrelid = tables.oid AND first.attnum = indexes.indkey[0] \
    WHERE indexes.indisunique AND tables.relnamespace = 'public'::regnamespace";

/// References: from which table and columns to which.
const REFERENCES: &str = "SELECT conrelid::regclass::text, confrelid::regclass::text, \
    (SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]), \
    (SELECT attname::text FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[1]) \
    FROM pg_constraint WHERE contype = 'f'";

#[tokio::test]
async fn what_grows_with_hosts_and_time_can_be_distributed_by_host() {
    let distributed = named("create_distributed_table");
    let everywhere = named("create_reference_table");
    let store = Store::open(&crate::testing::postgres_url().await)
        .await
        .unwrap();
    let Tx::Postgres(mut tx) = store.read().await.unwrap() else {
        panic!("not Postgres");
    };
    let unique: Vec<(String, String, bool)> =
        sqlx::query_as(UNIQUE).fetch_all(&mut *tx).await.unwrap();
    for table in &distributed {
        let keys: Vec<_> = unique.iter().filter(|(of, ..)| of == table).collect();
        assert!(!keys.is_empty(), "{table} is not a table with a key");
        assert!(
            keys.iter().all(|(_, _, has_host)| *has_host),
            "{table}: {keys:?}"
        );
    }
    let references: Vec<(String, String, String, String)> = sqlx::query_as(REFERENCES)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    for (from, to, column, target) in &references {
        if distributed.contains(from) {
            let within_a_host =
                distributed.contains(to) && (column.as_str(), target.as_str()) == ("host", "host");
            assert!(within_a_host || everywhere.contains(to), "{from} to {to}");
        } else {
            assert!(
                !distributed.contains(to),
                "{from} stays behind and refers to {to}"
            );
        }
    }
    // A new table of hosts' data is spread as well, or it is named here with why it need not be.
    let small = [
        "host_policies",   // one row a host
        "host_sessions",   // one row a host, read by controller
        "incident_hosts",  // incidents are not of one host
        "audit_witnesses", // one row a host, beside the log that it is of
        "upgrade_reports", // one row a host
    ];
    let by_host: BTreeSet<String> = unique
        .iter()
        .filter(|(_, first, _)| first == "host")
        .map(|(table, ..)| table.clone())
        .filter(|table| !small.contains(&table.as_str()))
        .collect();
    assert_eq!(by_host, distributed);
}
