//! What operators signed about their keys, and who signed and brought it. Only ever added to, but for rotations that no host
//! takes any more.

use std::collections::BTreeMap;

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::action::BroughtSignature;
use tidemark_model::key_statement::{KeyStatement, SignedKeyStatement, StatementId};
use tidemark_model::signing::KeyId;

use crate::brought::SignatureRow;
use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("key_statements");
const SIGNATURES: Table = Table("key_statement_signatures");
const USES: Table = Table("action_signatures");

statements! {
    INSERT = "INSERT INTO key_statements (id, kind, at, author, statement) VALUES ($1, $2, $3, $4, $5)";
    FIND = "SELECT id, at, author, statement FROM key_statements WHERE id = $1";
    NEWEST = "SELECT id, at, author, statement FROM key_statements ORDER BY at DESC, id LIMIT $1";
    SIGN = "INSERT INTO key_statement_signatures (statement, key_id, at, author, signature) VALUES ($1, $2, $3, $4, $5)";
    SIGNED = "SELECT statement, key_id, at, author, signature FROM key_statement_signatures ORDER BY at, key_id";
    SIGNED_OF = "SELECT key_id, at, author, signature FROM key_statement_signatures WHERE statement = $1 ORDER BY at, key_id";
    COUNT = "SELECT COUNT(*) FROM key_statements";
    COUNT_SIGNATURES = "SELECT COUNT(*) FROM key_statement_signatures";
    NEWEST_AT = "SELECT max(at) FROM key_statements";
    OLD = "SELECT id FROM key_statements WHERE kind = 'rotation' AND at < $1 ORDER BY at LIMIT $2";
    DELETE = "DELETE FROM key_statements WHERE id = $1";
    DELETE_SIGNATURES = "DELETE FROM key_statement_signatures WHERE statement = $1";
    USES_OF_KEYS = "SELECT key_id, author, COUNT(*) AS signed, MAX(at) AS last_at FROM action_signatures GROUP BY key_id, author \
        ORDER BY MAX(at) DESC LIMIT $1";
}

/// Tells whether there is something new to be carried to hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyStatementsStamp {
    statements: u64,
    signatures: u64,
    newest: Option<Timestamp>,
}

/// A statement as it was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKeyStatement {
    /// What it says.
    pub statement: KeyStatement,
    /// Its bytes, with every signature.
    pub signed: SignedKeyStatement,
    /// When it was brought.
    pub at: Timestamp,
    /// By whom.
    pub author: String,
    /// Who brought which signature, the first first.
    pub brought: Vec<BroughtSignature>,
}

/// How often somebody brought signatures of a key for actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Which key.
    pub key: KeyId,
    /// Who brought them.
    pub author: String,
    /// How many.
    pub signed: u64,
    /// When the last one came.
    pub last_at: Timestamp,
}

#[derive(FromRow)]
struct StatementRow {
    id: String,
    at: i64,
    author: String,
    statement: Vec<u8>,
}

#[derive(FromRow)]
struct SignedRow {
    statement: String,
    #[sqlx(flatten)]
    signature: SignatureRow,
}

#[derive(FromRow)]
struct UseRow {
    key_id: String,
    author: String,
    signed: i64,
    last_at: i64,
}

impl StatementRow {
    fn with(self, brought: Vec<BroughtSignature>) -> Result<StoredKeyStatement, StoreError> {
        let Self {
            id: _,
            at,
            author,
            statement: bytes,
        } = self;
        Ok(StoredKeyStatement {
            statement: KeyStatement::from_bytes(&bytes)
                .map_err(|error| TABLE.unreadable("statement", error))?,
            signed: SignedKeyStatement {
                bytes,
                signatures: brought.iter().map(|one| one.signature).collect(),
            },
            at: Timestamp::from_unix_ms(at),
            author,
            brought,
        })
    }
}

impl Tx {
    /// Keeps a statement that was brought, without signatures.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when it is there.
    pub async fn key_statement_insert(
        &mut self,
        statement: &KeyStatement,
        (at, author): (Timestamp, &str),
    ) -> Result<StatementId, StoreError> {
        let author = columns::text("author of a statement", author)?;
        let bytes = statement.to_bytes();
        let id = StatementId::of_bytes(&bytes);
        on_conn!(self, conn => sqlx::query(INSERT)
            .bind(id.to_string())
            .bind(statement.kind().as_str())
            .bind(at.unix_ms())
            .bind(author)
            .bind(bytes)
            .execute(conn).await.map_err(StoreError::unless_exists("statement"))?
            .rows_affected());
        Ok(id)
    }

    /// Keeps a signature of a statement.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when that key has signed it before.
    pub async fn key_statement_sign(
        &mut self,
        id: StatementId,
        brought: &BroughtSignature,
    ) -> Result<(), StoreError> {
        self.signature_insert(SIGN, id.to_string(), brought).await
    }

    /// One statement.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key_statement(
        &mut self,
        id: StatementId,
    ) -> Result<Option<StoredKeyStatement>, StoreError> {
        let row: Option<StatementRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(id.to_string()).fetch_optional(conn).await?);
        let Some(row) = row else {
            return Ok(None);
        };
        let brought: Vec<SignatureRow> = on_conn!(self, conn => sqlx::query_as(SIGNED_OF)
            .bind(&row.id).fetch_all(conn).await?);
        let brought = brought.into_iter().map(|row| row.read(SIGNATURES));
        row.with(brought.collect::<Result<_, _>>()?).map(Some)
    }

    /// The newest `limit` statements.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key_statements(
        &mut self,
        limit: u32,
    ) -> Result<Vec<StoredKeyStatement>, StoreError> {
        let rows: Vec<StatementRow> = on_conn!(self, conn => sqlx::query_as(NEWEST)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        let mut brought = self.key_statement_signatures().await?;
        rows.into_iter()
            .map(|row| {
                let of_it = brought.remove(&row.id).unwrap_or_default();
                row.with(of_it)
            })
            .collect()
    }

    /// All of them: statements are few, and each has at most eight.
    async fn key_statement_signatures(
        &mut self,
    ) -> Result<BTreeMap<String, Vec<BroughtSignature>>, StoreError> {
        let rows: Vec<SignedRow> =
            on_conn!(self, conn => sqlx::query_as(SIGNED).fetch_all(conn).await?);
        let mut all: BTreeMap<String, Vec<BroughtSignature>> = BTreeMap::new();
        for row in rows {
            let brought = row.signature.read(SIGNATURES)?;
            all.entry(row.statement).or_default().push(brought);
        }
        Ok(all)
    }

    /// What changes whenever a statement or a signature is added, also in the place of one that is forgotten.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key_statements_stamp(&mut self) -> Result<KeyStatementsStamp, StoreError> {
        let (statements, signatures) = self.key_statement_counts().await?;
        let newest: Option<i64> =
            on_conn!(self, conn => sqlx::query_scalar(NEWEST_AT).fetch_one(conn).await?);
        Ok(KeyStatementsStamp {
            statements,
            signatures,
            newest: newest.map(Timestamp::from_unix_ms),
        })
    }

    /// How many statements and signatures of them there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key_statement_counts(&mut self) -> Result<(u64, u64), StoreError> {
        let statements: i64 =
            on_conn!(self, conn => sqlx::query_scalar(COUNT).fetch_one(conn).await?);
        let signatures: i64 =
            on_conn!(self, conn => sqlx::query_scalar(COUNT_SIGNATURES).fetch_one(conn).await?);
        Ok((
            TABLE.unsigned("count", statements)?,
            SIGNATURES.unsigned("count", signatures)?,
        ))
    }

    /// Removes rotations that were brought before then, at most `limit`: no host takes them any more. Revocations stay.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key_statements_forget(
        &mut self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let old: Vec<String> = on_conn!(self, conn => sqlx::query_scalar(OLD)
            .bind(before.unix_ms()).bind(i64::from(limit)).fetch_all(conn).await?);
        for id in &old {
            on_conn!(self, conn => sqlx::query(DELETE_SIGNATURES).bind(id)
                .execute(conn).await?.rows_affected());
            on_conn!(self, conn => sqlx::query(DELETE).bind(id)
                .execute(conn).await?.rows_affected());
        }
        Ok(old.len() as u64)
    }

    /// Who brought signatures of which key for actions, the last first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key_uses(&mut self, limit: u32) -> Result<Vec<KeyUse>, StoreError> {
        let rows: Vec<UseRow> = on_conn!(self, conn => sqlx::query_as(USES_OF_KEYS)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter()
            .map(|row| {
                let UseRow {
                    key_id,
                    author,
                    signed,
                    last_at,
                } = row;
                Ok(KeyUse {
                    key: key_id
                        .parse()
                        .map_err(|_| USES.unreadable("key_id", &key_id))?,
                    author,
                    signed: USES.unsigned("signed", signed)?,
                    last_at: Timestamp::from_unix_ms(last_at),
                })
            })
            .collect()
    }
}
