//! How the tables of the new file look, and so the rows of the damaged one: both have the same schema.

use std::borrow::Cow;

use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Sqlite};

use super::cells::Keys;
use super::record::Value;
use super::walk::Row;

const TABLES: &str = "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' \
    AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT IN ('_sqlx_migrations', 'schema_readers') ORDER BY name";
const COLUMNS: &str = "SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid";
const INDEXES: &str = "SELECT name FROM pragma_index_list($1) WHERE partial = 0 AND NOT (origin = 'pk' AND $2) ORDER BY seq";
const INDEX_COLUMNS: &str = "SELECT name FROM pragma_index_xinfo($1) ORDER BY seqno";

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub name: String,
    pub keys: Keys,
    /// Names of columns in the order in which rows have them.
    pub stored: Vec<String>,
    /// The columns of its primary key.
    pub primary: Vec<String>,
    /// The column that is the row's number.
    pub rowid: Option<usize>,
    /// Whether a new database has rows in it.
    pub is_seeded: bool,
}

/// An index that has every row of its table.
pub(super) struct Index {
    pub name: String,
    /// Its columns, those that lead to the row included; `None` for the row's number.
    pub columns: Vec<Option<String>>,
}

impl Shape {
    /// Every table that has rows of its own.
    pub(super) async fn all(draft: &mut SqliteConnection) -> Result<Vec<Self>, sqlx::Error> {
        let tables: Vec<(String, bool)> = sqlx::query_as(TABLES).fetch_all(&mut *draft).await?;
        let mut shapes = Vec::new();
        for (name, without_rowid) in tables {
            shapes.push(Self::of(draft, name, without_rowid).await?);
        }
        Ok(shapes)
    }

    async fn of(
        draft: &mut SqliteConnection,
        name: String,
        without_rowid: bool,
    ) -> Result<Self, sqlx::Error> {
        let columns: Vec<(String, String, i64)> = sqlx::query_as(COLUMNS)
            .bind(&name)
            .fetch_all(&mut *draft)
            .await?;
        let mut primary: Vec<&(String, String, i64)> =
            columns.iter().filter(|(_, _, pk)| *pk > 0).collect();
        primary.sort_by_key(|(_, _, pk)| *pk);
        let rowid = match primary.as_slice() {
            [(key, kind, _)] if !without_rowid && kind.eq_ignore_ascii_case("INTEGER") => {
                columns.iter().position(|(name, _, _)| name == key)
            }
            _ => None,
        };
        let primary: Vec<String> = primary
            .into_iter()
            .map(|(name, _, _)| name.clone())
            .collect();
        let mut stored = Vec::new();
        if without_rowid {
            // The key comes first.
            stored.clone_from(&primary);
        }
        for (name, _, _) in &columns {
            if !stored.contains(name) {
                stored.push(name.clone());
            }
        }
        let count = format!("SELECT EXISTS (SELECT 1 FROM \"{name}\")");
        let is_seeded = sqlx::query_scalar(AssertSqlSafe(count))
            .fetch_one(draft)
            .await?;
        Ok(Self {
            keys: if without_rowid {
                Keys::Columns(primary.len())
            } else {
                Keys::Rowid
            },
            name,
            stored,
            primary,
            rowid,
            is_seeded,
        })
    }

    /// Its indexes that have every row, those that name hosts first.
    pub(super) async fn indexes(
        &self,
        draft: &mut SqliteConnection,
    ) -> Result<Vec<Index>, sqlx::Error> {
        let names: Vec<String> = sqlx::query_scalar(INDEXES)
            .bind(&self.name)
            .bind(self.keys != Keys::Rowid)
            .fetch_all(&mut *draft)
            .await?;
        let mut indexes = Vec::new();
        for name in names {
            let columns = sqlx::query_scalar(INDEX_COLUMNS)
                .bind(&name)
                .fetch_all(&mut *draft)
                .await?;
            indexes.push(Index { name, columns });
        }
        indexes.sort_by_key(|index| !index.columns.contains(&Some("host".to_owned())));
        Ok(indexes)
    }

    /// The columns' values of a row as the table has them; `None` when it cannot be one of this table.
    pub(super) fn values(&self, row: Row) -> Option<Vec<Value>> {
        let Row { rowid, mut values } = row;
        if values.len() > self.stored.len() || values.len() < self.primary.len() {
            return None;
        }
        if let Some(place) = self.rowid {
            *values.get_mut(place)? = Value::Integer(rowid?);
        }
        Some(values)
    }

    /// The statement that takes so many of the first columns; the others were added later, and have their default.
    pub(super) fn insert(&self, columns: usize) -> String {
        // A row of the damaged file stands for the one that a new database begins with.
        let verb = if self.is_seeded {
            "INSERT OR REPLACE"
        } else {
            "INSERT"
        };
        let named: Vec<String> = self
            .stored
            .iter()
            .take(columns)
            .map(|name| format!("\"{name}\""))
            .collect();
        let places = vec!["?"; named.len()].join(", ");
        let table = self.target();
        format!(
            "{verb} INTO \"{table}\" ({}) VALUES ({places})",
            named.join(", ")
        )
    }

    /// Where its rows go first: entries of the audit log must be looked at before the log takes them.
    pub(super) fn target(&self) -> Cow<'_, str> {
        if self.name == super::audit::LOG {
            Cow::Borrowed(super::audit::REST)
        } else {
            Cow::Borrowed(&self.name)
        }
    }
}

/// Binds values to a statement's places.
pub(super) fn bound(
    sql: String,
    values: impl IntoIterator<Item = Value>,
) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in values {
        query = match value {
            Value::Null => query.bind(None::<i64>),
            Value::Integer(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Blob(value) => query.bind(value),
        };
    }
    query
}
