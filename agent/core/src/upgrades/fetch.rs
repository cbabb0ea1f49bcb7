//! The fetching of a release's file piece by piece: asked for one after the other, never more than the manifest says, and the
//! whole of it hashed before anybody may use it.

use sha2::{Digest as _, Sha256};
use tidemark_model::release::{FileDigest, PIECE_BYTES_MAX, ReleaseFile};

/// A file on its way.
#[derive(Clone)]
pub struct Fetch {
    file: ReleaseFile,
    hasher: Sha256,
    offset: u64,
}

/// Why a file is not taken. What came of it is to be thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchRefusal {
    /// A piece that was not asked for.
    #[error("a piece of another file, or from another place of it")]
    NotAsked,
    /// Nothing came.
    #[error("a piece without a byte: the controller has less of the file than its manifest says")]
    Empty,
    /// More than was asked for.
    #[error("more bytes than the manifest says, or than were asked for")]
    TooLong,
    /// The whole of it is another file.
    #[error("the file is not the one that was signed: its SHA-256 differs")]
    WrongHash,
}

/// What to do after a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Write it and ask for the next piece.
    More,
    /// Write it: the file is whole, and the one that was signed.
    Whole,
}

/// A piece to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Of which file.
    pub sha256: FileDigest,
    /// From which byte on.
    pub offset: u64,
    /// How many, at most [`PIECE_BYTES_MAX`].
    pub length: u32,
}

impl Fetch {
    /// The fetching of a file from its first byte on.
    #[must_use]
    pub fn of(file: ReleaseFile) -> Self {
        Self {
            file,
            hasher: Sha256::new(),
            offset: 0,
        }
    }

    /// What is fetched.
    #[must_use]
    pub const fn file(&self) -> &ReleaseFile {
        &self.file
    }

    /// How many bytes came.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next piece.
    #[must_use]
    pub fn next(&self) -> Piece {
        let left = self.file.length.saturating_sub(self.offset);
        let length = u32::try_from(left).unwrap_or(u32::MAX);
        Piece {
            sha256: self.file.sha256,
            offset: self.offset,
            length: length.min(PIECE_BYTES_MAX),
        }
    }

    /// Takes a piece that came for [`Fetch::next`].
    ///
    /// # Errors
    /// Why the file is given up.
    pub fn take(
        &mut self,
        (sha256, offset): (FileDigest, u64),
        bytes: &[u8],
    ) -> Result<Fetched, FetchRefusal> {
        let asked = self.next();
        if (sha256, offset) != (asked.sha256, asked.offset) {
            return Err(FetchRefusal::NotAsked);
        }
        let length = u32::try_from(bytes.len()).map_err(|_| FetchRefusal::TooLong)?;
        if length > asked.length {
            return Err(FetchRefusal::TooLong);
        }
        if length == 0 {
            return Err(FetchRefusal::Empty);
        }
        self.hasher.update(bytes);
        self.offset = self.offset.saturating_add(u64::from(length));
        if self.offset < self.file.length {
            return Ok(Fetched::More);
        }
        let found: [u8; 32] = self.hasher.clone().finalize().into();
        if FileDigest::from_bytes(found) == self.file.sha256 {
            Ok(Fetched::Whole)
        } else {
            Err(FetchRefusal::WrongHash)
        }
    }
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch")
            .field("file", &self.file)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemark_model::release::{TargetArch, TargetOs};

    use super::*;

    fn file_of(bytes: &[u8]) -> ReleaseFile {
        ReleaseFile {
            os: TargetOs::Linux,
            arch: TargetArch::X86_64,
            file: "tidemark-agent".to_owned(),
            length: bytes.len() as u64,
            sha256: FileDigest::of_bytes(bytes),
        }
    }

    fn bytes() -> Vec<u8> {
        (0..100_000_u32)
            .map(|number| number.to_le_bytes()[1])
            .collect()
    }

    /// Fetches from somebody who answers each request with the bytes that `answer` makes of it.
    fn fetch(
        answer: impl Fn(Piece) -> ((FileDigest, u64), Vec<u8>),
    ) -> Result<Vec<u8>, FetchRefusal> {
        let mut fetch = Fetch::of(file_of(&bytes()));
        let mut got = Vec::new();
        loop {
            let (place, piece) = answer(fetch.next());
            let fetched = fetch.take(place, &piece)?;
            got.extend(piece);
            if fetched == Fetched::Whole {
                return Ok(got);
            }
        }
    }

    fn honest(piece: Piece) -> ((FileDigest, u64), Vec<u8>) {
        let all = bytes();
        let from = usize::try_from(piece.offset).unwrap();
        let until = from + usize::try_from(piece.length).unwrap();
        ((piece.sha256, piece.offset), all[from..until].to_vec())
    }

    #[test]
    fn a_file_comes_whole_and_in_pieces_of_any_length() {
        assert_eq!(fetch(honest), Ok(bytes()));
        let short = |piece: Piece| {
            let (place, mut bytes) = honest(piece);
            bytes.truncate(1_000);
            (place, bytes)
        };
        assert_eq!(fetch(short), Ok(bytes()));
    }

    #[test]
    fn a_courier_that_sends_something_else_is_left_at_once() {
        let endless = |piece: Piece| {
            let (place, mut bytes) = honest(piece);
            bytes.push(0);
            (place, bytes)
        };
        assert_eq!(fetch(endless), Err(FetchRefusal::TooLong));
        let nothing = |piece: Piece| ((piece.sha256, piece.offset), Vec::new());
        assert_eq!(fetch(nothing), Err(FetchRefusal::Empty));
        let elsewhere = |piece: Piece| ((piece.sha256, piece.offset + 1), honest(piece).1);
        assert_eq!(fetch(elsewhere), Err(FetchRefusal::NotAsked));
        let of_another = |piece: Piece| {
            (
                (FileDigest::from_bytes([9; 32]), piece.offset),
                honest(piece).1,
            )
        };
        assert_eq!(fetch(of_another), Err(FetchRefusal::NotAsked));
    }

    proptest! {
        #[test]
        fn one_changed_byte_anywhere_is_another_file(at in 0_usize..100_000, flip in 1_u8..=255) {
            let changed = |piece: Piece| {
                let (place, mut bytes) = honest(piece);
                let from = usize::try_from(piece.offset).unwrap();
                if let Some(byte) = at.checked_sub(from).and_then(|at| bytes.get_mut(at)) {
                    *byte ^= flip;
                }
                (place, bytes)
            };
            prop_assert_eq!(fetch(changed), Err(FetchRefusal::WrongHash));
        }
    }
}
