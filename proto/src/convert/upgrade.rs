//! Releases of the agent on the wire: what is offered, the pieces of its files, and what hosts tell of themselves.

use tidemark_model::release::{
    FileDigest, MANIFEST_BYTES_MAX, ManifestDigest, PIECE_BYTES_MAX, SignedManifest,
};
use tidemark_model::upgrade::{HostNews, HostStage, REASON_CHARS_MAX, UpgradeReport};

use super::action::{malformed, signatures_to_wire, signed_from_wire};
use super::{ConvertError, at_most, cut_chars};
use crate::v1;

/// A release for the wire.
#[must_use]
pub fn offer_to_wire(manifest: &SignedManifest) -> v1::UpgradeOffer {
    v1::UpgradeOffer {
        manifest: manifest.bytes.clone(),
        signatures: signatures_to_wire(&manifest.signatures),
    }
}

/// A release from the wire; what it says is not looked at yet.
///
/// # Errors
/// When it is too long, or has too many or malformed signatures.
pub fn offer_from_wire(wire: v1::UpgradeOffer) -> Result<SignedManifest, ConvertError> {
    let limit = ("upgrade_offer.manifest", MANIFEST_BYTES_MAX);
    let (bytes, signatures) = signed_from_wire(limit, wire.manifest, &wire.signatures)?;
    Ok(SignedManifest { bytes, signatures })
}

/// A piece of a file that a host asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceWanted {
    /// Which file.
    pub sha256: FileDigest,
    /// From which byte on.
    pub offset: u64,
    /// How many, 1 to [`PIECE_BYTES_MAX`].
    pub length: u32,
}

/// A piece that a host asks for, for the wire.
#[must_use]
pub fn wanted_to_wire(wanted: &PieceWanted) -> v1::UpgradePieceWanted {
    v1::UpgradePieceWanted {
        sha256: wanted.sha256.as_bytes().to_vec(),
        offset: wanted.offset,
        length: wanted.length,
    }
}

/// A piece that a host asks for.
///
/// # Errors
/// When it is too long, or of no file.
pub fn wanted_from_wire(wire: &v1::UpgradePieceWanted) -> Result<PieceWanted, ConvertError> {
    at_most(
        "upgrade_piece_wanted.length",
        wire.length.into(),
        PIECE_BYTES_MAX.into(),
    )?;
    Ok(PieceWanted {
        sha256: digest("upgrade_piece_wanted.sha256", &wire.sha256)?,
        offset: wire.offset,
        length: wire.length,
    })
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Of which file.
    pub sha256: FileDigest,
    /// From which byte on.
    pub offset: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A piece from the wire.
///
/// # Errors
/// When it is too long, or of no file.
pub fn piece_from_wire(wire: v1::UpgradePiece) -> Result<Piece, ConvertError> {
    at_most(
        "upgrade_piece.data",
        wire.data.len() as u64,
        PIECE_BYTES_MAX.into(),
    )?;
    Ok(Piece {
        sha256: digest("upgrade_piece.sha256", &wire.sha256)?,
        offset: wire.offset,
        bytes: wire.data,
    })
}

/// A piece for the wire.
#[must_use]
pub fn piece_to_wire(piece: Piece) -> v1::UpgradePiece {
    v1::UpgradePiece {
        sha256: piece.sha256.as_bytes().to_vec(),
        offset: piece.offset,
        data: piece.bytes,
    }
}

/// What a host says of its program, for the wire.
#[must_use]
pub fn report_to_wire(report: &UpgradeReport) -> v1::UpgradeReport {
    let cut = |text: &String| cut_chars(text, REASON_CHARS_MAX).to_owned();
    v1::UpgradeReport {
        running: report.running,
        seen: report.seen,
        floor: report.floor,
        unable: report.unable.as_ref().map(cut),
        news: report.news.as_ref().map(|news| v1::UpgradeNews {
            manifest_sha256: news.manifest.as_bytes().to_vec(),
            stage: stage_to_wire(news.stage).into(),
            text: cut(&news.text),
        }),
    }
}

/// What a host says of its program.
///
/// # Errors
/// When it is of no manifest, or of no stage that a host can be in.
pub fn report_from_wire(wire: v1::UpgradeReport) -> Result<UpgradeReport, ConvertError> {
    let cut = |text: String| cut_chars(&text, REASON_CHARS_MAX).to_owned();
    let news = wire.news.map(|news| {
        let stage = news.stage();
        Ok::<_, ConvertError>(HostNews {
            manifest: news
                .manifest_sha256
                .try_into()
                .map(ManifestDigest::from_bytes)
                .map_err(|_| malformed("upgrade.manifest_sha256", "it is 32 bytes long"))?,
            stage: stage_from_wire(stage)?,
            text: cut(news.text),
        })
    });
    Ok(UpgradeReport {
        running: wire.running,
        seen: wire.seen,
        floor: wire.floor,
        unable: wire.unable.map(cut),
        news: news.transpose()?,
    })
}

fn digest(field: &'static str, bytes: &[u8]) -> Result<FileDigest, ConvertError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| malformed(field, "it is 32 bytes long"))?;
    Ok(FileDigest::from_bytes(bytes))
}

/// What is the controller's alone to say is nothing on the wire.
const fn stage_to_wire(stage: HostStage) -> v1::UpgradeStage {
    match stage {
        HostStage::Downloading => v1::UpgradeStage::Downloading,
        HostStage::Staged => v1::UpgradeStage::Staged,
        HostStage::Switched => v1::UpgradeStage::Switched,
        HostStage::Healthy => v1::UpgradeStage::Healthy,
        HostStage::RolledBack => v1::UpgradeStage::RolledBack,
        HostStage::Refused => v1::UpgradeStage::Refused,
        HostStage::Waiting
        | HostStage::Offered
        | HostStage::Overdue
        | HostStage::Missed
        | HostStage::Left => v1::UpgradeStage::Unspecified,
    }
}

const fn stage_from_wire(stage: v1::UpgradeStage) -> Result<HostStage, ConvertError> {
    Ok(match stage {
        v1::UpgradeStage::Downloading => HostStage::Downloading,
        v1::UpgradeStage::Staged => HostStage::Staged,
        v1::UpgradeStage::Switched => HostStage::Switched,
        v1::UpgradeStage::Healthy => HostStage::Healthy,
        v1::UpgradeStage::RolledBack => HostStage::RolledBack,
        v1::UpgradeStage::Refused => HostStage::Refused,
        v1::UpgradeStage::Unspecified => {
            return Err(malformed(
                "upgrade.stage",
                "it is no stage that is known here",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_tells_arrives_as_it_was_told() {
        for stage in [
            HostStage::Downloading,
            HostStage::Staged,
            HostStage::Switched,
            HostStage::Healthy,
            HostStage::RolledBack,
            HostStage::Refused,
        ] {
            let report = UpgradeReport {
                running: Some(3),
                seen: 4,
                floor: 2,
                unable: Some("no".to_owned()),
                news: Some(HostNews {
                    manifest: ManifestDigest::of_bytes(b"x"),
                    stage,
                    text: "it hung".to_owned(),
                }),
            };
            assert_eq!(report_from_wire(report_to_wire(&report)), Ok(report));
        }
    }

    #[test]
    fn what_is_out_of_its_limits_is_refused_and_named() {
        let mut wanted = v1::UpgradePieceWanted {
            sha256: vec![1; 32],
            offset: u64::MAX,
            length: PIECE_BYTES_MAX + 1,
        };
        let error = wanted_from_wire(&wanted).unwrap_err().to_string();
        assert!(error.contains("upgrade_piece_wanted.length"), "{error}");
        wanted.length = PIECE_BYTES_MAX;
        wanted_from_wire(&wanted).unwrap();
        wanted.sha256.pop();
        let error = wanted_from_wire(&wanted).unwrap_err().to_string();
        assert!(error.contains("32 bytes"), "{error}");
        let long = v1::UpgradePiece {
            sha256: vec![1; 32],
            offset: 0,
            data: vec![0; PIECE_BYTES_MAX as usize + 1],
        };
        piece_from_wire(long).unwrap_err();
        let vast = v1::UpgradeOffer {
            manifest: vec![b' '; MANIFEST_BYTES_MAX + 1],
            signatures: Vec::new(),
        };
        offer_from_wire(vast).unwrap_err();
    }
}
