//! A signature as it is stored, with who brought it and when: of an action, or of a statement about keys.

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::action::BroughtSignature;
use tidemark_model::signing::Signature;

use crate::StoreError;
use crate::columns::Table;

#[derive(FromRow)]
pub(crate) struct SignatureRow {
    key_id: String,
    at: i64,
    author: String,
    signature: Vec<u8>,
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
