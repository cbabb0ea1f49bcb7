//! A signature as it is stored, with who brought it and when: of an action, or of a statement about keys.

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::action::BroughtSignature;
use tidemark_model::signing::Signature;

use crate::columns::{self, Table};
use crate::tx::on_conn;
use crate::{StoreError, Tx};

#[derive(FromRow)]
pub(crate) struct SignatureRow {
    key_id: String,
    at: i64,
    author: String,
    signature: Vec<u8>,
}

impl Tx {
    /// Keeps a signature by a statement that takes what it is of, its key, when and by whom it was brought, and its bytes.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when that key has signed it before.
    pub(crate) async fn signature_insert(
        &mut self,
        statement: &'static str,
        of: String,
        brought: &BroughtSignature,
    ) -> Result<(), StoreError> {
        let author = columns::text("author of a signature", &brought.author)?;
        on_conn!(self, conn => sqlx::query(statement)
            .bind(of)
            .bind(brought.signature.key.to_string())
            .bind(brought.at.unix_ms())
            .bind(author)
            .bind(brought.signature.bytes.to_vec())
            .execute(conn).await.map_err(StoreError::unless_exists("signature"))?
            .rows_affected());
        Ok(())
    }
}

impl SignatureRow {
    /// What the row of `table` says.
    pub(crate) fn read(self, table: Table) -> Result<BroughtSignature, StoreError> {
        let Self {
            key_id,
            at,
            author,
            signature,
        } = self;
        let key = key_id
            .parse()
            .map_err(|_| table.unreadable("key_id", &key_id))?;
        let length = signature.len();
        let bytes = signature
            .try_into()
            .map_err(|_| table.unreadable("signature", format_args!("{length} bytes")))?;
        Ok(BroughtSignature {
            signature: Signature { key, bytes },
            at: Timestamp::from_unix_ms(at),
            author,
        })
    }
}
