//! The tables: the same on both databases, and every statement fits them.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::{Executor, SqlSafeStr};
use tidemark_model::action::ActionState;
use tidemark_model::incident::IncidentState;
use tidemark_model::key_statement::StatementKind;
use tidemark_model::policy::CaseState;
use tidemark_model::problem::Severity;
use tidemark_model::run::{RunHostState, RunState};
use tidemark_model::upgrade::{HostStage, UpgradeState};
use tidemark_model::{HostState, Protocol, Role};

use super::*;
use crate::{DocumentKind, NotificationState, Tier, Tx};

contract!(
    every_statement_prepares,
    checks_allow_exactly_the_names_of_the_model,
);

const STATEMENTS: &[&[(&str, &str, &str)]] = &[
    crate::action_steps::STATEMENTS,
    crate::actions::STATEMENTS,
    crate::api_tokens::STATEMENTS,
    crate::audit_log::STATEMENTS,
    crate::audit_witnesses::STATEMENTS,
    crate::bodies::STATEMENTS,
    crate::browser_sessions::STATEMENTS,
    crate::controllers::STATEMENTS,
    crate::cursors::STATEMENTS,
    crate::documents::STATEMENTS,
    crate::entities::STATEMENTS,
    crate::events::STATEMENTS,
    crate::grants::STATEMENTS,
    crate::heads::STATEMENTS,
    crate::host_audits::STATEMENTS,
    crate::host_changes::STATEMENTS,
    crate::host_hourly::STATEMENTS,
    crate::host_policies::STATEMENTS,
    crate::host_sessions::STATEMENTS,
    crate::hosts::STATEMENTS,
    crate::incarnation::STATEMENTS,
    crate::incident_entries::STATEMENTS,
    crate::incidents::STATEMENTS,
    crate::join_tokens::STATEMENTS,
    crate::key_statements::STATEMENTS,
    crate::leases::STATEMENTS,
    crate::lockdowns::STATEMENTS,
    crate::news::STATEMENTS,
    crate::notices::STATEMENTS,
    crate::notification_groups::STATEMENTS,
    crate::notifications::STATEMENTS,
    crate::policy_cases::STATEMENTS,
    crate::recent::STATEMENTS,
    crate::releases::STATEMENTS,
    crate::run_orders::STATEMENTS,
    crate::runs::STATEMENTS,
    crate::segments::STATEMENTS,
    crate::settings::STATEMENTS,
    crate::silences::STATEMENTS,
    crate::upgrade_reports::STATEMENTS,
    crate::upgrades::STATEMENTS,
    crate::users::STATEMENTS,
];

async fn every_statement_prepares(store: Store) {
    for (name, sqlite, postgres) in STATEMENTS.concat() {
        let prepared = match store.begin().await.unwrap() {
            Tx::Sqlite(mut tx) => tx.prepare(sqlite.into_sql_str()).await.map(drop),
            Tx::Postgres(mut tx) => tx.prepare(postgres.into_sql_str()).await.map(drop),
        };
        prepared.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// The text of the CHECK on a column, as the database has it.
async fn check_of(tx: &mut Tx, table: &str, column: &str) -> String {
    match tx {
        Tx::Sqlite(tx) => {
            let sql: String = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE name = $1")
                .bind(table)
                .fetch_one(&mut **tx)
                .await
                .unwrap();
            let begin = format!("CHECK ({column} IN (");
            let (_, rest) = sql.split_once(&begin).unwrap();
            rest.split_once(')').unwrap().0.to_owned()
        }
        Tx::Postgres(tx) => {
            let all: Vec<String> = sqlx::query_scalar(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c'",
            )
            .bind(table)
            .fetch_all(&mut **tx)
            .await
            .unwrap();
            let begin = format!("CHECK (({column} = ANY");
            all.into_iter()
                .find(|text| text.starts_with(&begin))
                .unwrap()
        }
    }
}

/// Tables and columns with the names that their CHECK allows.
#[expect(clippy::too_many_lines, reason = "a table of columns")]
fn names_of_the_model() -> Vec<(&'static str, &'static str, BTreeSet<String>)> {
    let names = |all: &[&str]| all.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    vec![
        (
            "hosts",
            "state",
            names(&HostState::ALL.map(HostState::as_str)),
        ),
        ("api_tokens", "role", names(&Role::ALL.map(Role::as_str))),
        (
            "upgrade_hosts",
            "stage",
            names(&Vec::from_iter(
                HostStage::ALL.iter().map(|stage| stage.as_str()),
            )),
        ),
        (
            "upgrades",
            "state",
            names(&Vec::from_iter(
                UpgradeState::ALL.iter().map(|state| state.as_str()),
            )),
        ),
        ("users", "role", names(&Role::ALL.map(Role::as_str))),
        (
            "actions",
            "state",
            names(&Vec::from_iter(
                ActionState::ALL.iter().map(|state| state.as_str()),
            )),
        ),
        (
            "document_versions",
            "kind",
            names(&DocumentKind::ALL.map(DocumentKind::as_str)),
        ),
        (
            "policy_cases",
            "state",
            names(&Vec::from_iter(
                CaseState::ALL.iter().map(|state| state.as_str()),
            )),
        ),
        (
            "key_statements",
            "kind",
            names(&Vec::from_iter(
                StatementKind::ALL.iter().map(|kind| kind.as_str()),
            )),
        ),
        ("incidents", "state", names(&IncidentState::NAMES)),
        (
            "runs",
            "state",
            names(&Vec::from_iter(
                RunState::ALL.iter().map(|state| state.as_str()),
            )),
        ),
        (
            "run_hosts",
            "state",
            names(&Vec::from_iter(
                RunHostState::ALL.iter().map(|state| state.as_str()),
            )),
        ),
        (
            "incidents",
            "severity",
            names(&Severity::ALL.map(Severity::as_str)),
        ),
        (
            "notifications",
            "state",
            names(&NotificationState::ALL.map(NotificationState::as_str)),
        ),
        (
            "host_hourly",
            "protocol",
            names(&Protocol::ALL.map(Protocol::as_str)),
        ),
    ]
}

async fn checks_allow_exactly_the_names_of_the_model(store: Store) {
    let mut tx = store.read().await.unwrap();
    for (table, column, names) in names_of_the_model() {
        let check = check_of(&mut tx, table, column).await;
        let quoted = check.split('\'').skip(1).step_by(2).map(str::to_owned);
        assert_eq!(quoted.collect::<BTreeSet<_>>(), names, "{table}.{column}");
    }
    let check = check_of(&mut tx, "segments", "tier").await;
    let numbers = check
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect::<BTreeSet<i64>>();
    assert_eq!(numbers, BTreeSet::from(Tier::ALL.map(Tier::number)));
}

#[test]
fn both_folders_hold_the_same_migrations() {
    let names = |folder: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../migrations")
            .join(folder);
        std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(names("sqlite"), names("postgres"));
    assert!(!names("sqlite").is_empty());
}

type Column = (String, String, String, bool);

async fn columns(store: &Store) -> BTreeSet<Column> {
    let rows: Vec<Column> = match store.read().await.unwrap() {
        Tx::Sqlite(mut tx) => sqlx::query_as(
            "SELECT tables.name, columns.name, CASE columns.type WHEN 'INTEGER' THEN 'bigint' WHEN 'TEXT' THEN 'text' \
             WHEN 'BLOB' THEN 'bytea' WHEN 'REAL' THEN 'double precision' ELSE columns.type END, columns.\"notnull\" = 0 \
             FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns \
             WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite%' AND tables.name <> '_sqlx_migrations'",
        )
        .fetch_all(&mut *tx)
        .await
        .unwrap(),
        Tx::Postgres(mut tx) => sqlx::query_as(
            "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES' \
             FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
        )
        .fetch_all(&mut *tx)
        .await
        .unwrap(),
    };
    rows.into_iter().collect()
}

#[tokio::test]
async fn both_databases_have_the_same_columns() {
    let (url, _folder) = crate::testing::sqlite_url();
    let sqlite = Store::open(&url).await.unwrap();
    let postgres = Store::open(&crate::testing::postgres_url().await)
        .await
        .unwrap();
    let of_sqlite = columns(&sqlite).await;
    assert!(of_sqlite.len() > 60, "{of_sqlite:?}");
    assert_eq!(of_sqlite, columns(&postgres).await);
}
