//! Releases of the agent: the manifests that were signed, and their files in pieces. Decides nothing.

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::release::{FileDigest, PIECE_BYTES_MAX, SignedManifest};
use tidemark_model::signing::{KeyId, Signature};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("releases");

/// A release as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRecord {
    /// Its number.
    pub number: u32,
    /// What was signed, and by whom.
    pub signed: SignedManifest,
    /// When it was brought.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
}

macro_rules! select_releases {
    ($rest:literal) => {
        concat!(
            "SELECT number, document, signatures, created_at, created_by FROM releases ",
            $rest
        )
    };
}

statements! {
    INSERT = "INSERT INTO releases (number, document, signatures, created_at, created_by) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    FIND = select_releases!("WHERE number = $1");
    PAGE = select_releases!("ORDER BY number DESC LIMIT $1");
    DELETE = "DELETE FROM releases WHERE number = $1";
    FILE_INSERT = "INSERT INTO release_files (sha256, size_bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    PIECE_INSERT = "INSERT INTO release_pieces (sha256, place, body) VALUES ($1, $2, $3)";
    FILES = "SELECT sha256 FROM release_files ORDER BY sha256";
    PIECE = "SELECT body FROM release_pieces WHERE sha256 = $1 AND place = $2";
    FILE_DELETE = "DELETE FROM release_files WHERE sha256 = $1";
}

#[derive(FromRow)]
struct ReleaseRow {
    number: i64,
    document: String,
    signatures: String,
    created_at: i64,
    created_by: String,
}

impl TryFrom<ReleaseRow> for ReleaseRecord {
    type Error = StoreError;

    fn try_from(row: ReleaseRow) -> Result<Self, StoreError> {
        let ReleaseRow {
            number,
            document,
            signatures,
            created_at,
            created_by,
        } = row;
        let listed: Vec<(KeyId, String)> = TABLE.json("signatures", &signatures)?;
        let signatures = listed.iter().map(|(key, text)| {
            Signature::from_base64(*key, text).map_err(|_| TABLE.unreadable("signatures", text))
        });
        Ok(Self {
            number: TABLE.unsigned_32("number", number)?,
            signed: SignedManifest {
                bytes: document.into_bytes(),
                signatures: signatures.collect::<Result<_, _>>()?,
            },
            created_at: Timestamp::from_unix_ms(created_at),
            created_by,
        })
    }
}

fn written(signatures: &[Signature]) -> Result<String, StoreError> {
    let listed: Vec<(KeyId, String)> = signatures
        .iter()
        .map(|one| (one.key, one.to_base64()))
        .collect();
    columns::json("signatures of a release", &listed)
}

impl Tx {
    /// Adds a release; `false` when one of that number is kept already.
    ///
    /// # Errors
    /// When the database fails, or a text holds a NUL.
    pub async fn release_insert(&mut self, record: &ReleaseRecord) -> Result<bool, StoreError> {
        // One that was read is JSON, which is text.
        let document = String::from_utf8_lossy(&record.signed.bytes);
        let document = columns::text("manifest of a release", &document)?;
        let created_by = columns::text("who brought a release", &record.created_by)?;
        let signatures = written(&record.signed.signatures)?;
        let rows = on_conn!(self, conn => sqlx::query(INSERT)
            .bind(i64::from(record.number)).bind(document).bind(signatures)
            .bind(record.created_at.unix_ms()).bind(created_by)
            .execute(conn).await?.rows_affected());
        Ok(rows == 1)
    }

    /// The release of that number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_find(&mut self, number: u32) -> Result<Option<ReleaseRecord>, StoreError> {
        let row: Option<ReleaseRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(i64::from(number)).fetch_optional(conn).await?);
        row.map(ReleaseRecord::try_from).transpose()
    }

    /// Releases, the highest number first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn releases_page(&mut self, limit: u32) -> Result<Vec<ReleaseRecord>, StoreError> {
        let rows: Vec<ReleaseRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter().map(ReleaseRecord::try_from).collect()
    }

    /// Deletes a release; `false` when there is none of that number. Its files stay until [`Tx::release_file_delete`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_delete(&mut self, number: u32) -> Result<bool, StoreError> {
        let rows = on_conn!(self, conn => sqlx::query(DELETE)
            .bind(i64::from(number)).execute(conn).await?.rows_affected());
        Ok(rows == 1)
    }

    /// Keeps a whole file; `false` when it is kept already.
    ///
    /// # Errors
    /// When the database fails, or it is empty.
    pub async fn release_file_insert(
        &mut self,
        sha256: FileDigest,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let size = columns::signed("size of a release's file", bytes.len() as u64)?;
        let name = sha256.to_string();
        let rows = on_conn!(self, conn => sqlx::query(FILE_INSERT)
            .bind(&name).bind(size).execute(conn).await?.rows_affected());
        if rows == 0 {
            return Ok(false);
        }
        let pieces = bytes.chunks(usize::try_from(PIECE_BYTES_MAX).unwrap_or(usize::MAX));
        for (place, piece) in pieces.enumerate() {
            let place = columns::signed("place of a piece", place as u64)?;
            let rows = on_conn!(self, conn => sqlx::query(PIECE_INSERT)
                .bind(&name).bind(place).bind(piece).execute(conn).await?.rows_affected());
            if rows != 1 {
                return Err(StoreError::Stale { what: "release" });
            }
        }
        Ok(true)
    }

    /// The files that are kept whole.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_files(&mut self) -> Result<Vec<FileDigest>, StoreError> {
        let rows: Vec<String> =
            on_conn!(self, conn => sqlx::query_scalar(FILES).fetch_all(conn).await?);
        let table = Table("release_files");
        rows.iter()
            .map(|text| text.parse().map_err(|_| table.unreadable("sha256", text)))
            .collect()
    }

    /// The piece of a file that begins at so many times [`PIECE_BYTES_MAX`]; `None` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_piece(
        &mut self,
        sha256: FileDigest,
        place: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let place = columns::signed("place of a piece", place)?;
        Ok(on_conn!(self, conn => sqlx::query_scalar(PIECE)
            .bind(sha256.to_string()).bind(place).fetch_optional(conn).await?))
    }

    /// Deletes a file with its pieces; `false` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_file_delete(&mut self, sha256: FileDigest) -> Result<bool, StoreError> {
        let rows = on_conn!(self, conn => sqlx::query(FILE_DELETE)
            .bind(sha256.to_string()).execute(conn).await?.rows_affected());
        Ok(rows == 1)
    }
}
