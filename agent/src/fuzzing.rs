//! Readers of untrusted bytes that are nobody's business but this crate's, for the fuzz targets (`tests/fuzz`).

use tidemark_model::token::CaPin;
use tidemark_proto::v1;

use crate::identity::Credentials;

/// Whether a controller's frame says something that is known and legal.
#[must_use]
pub fn is_heard(frame: v1::ControllerFrame) -> bool {
    matches!(crate::session::heard(frame), Ok(Some(_)))
}

/// Whether these credentials are taken by the holder of the key under the pinned root. Kept and read again they must be so, too.
#[must_use]
pub fn takes_credentials(key_pkcs8: &[u8], issued: &[u8], pin: &CaPin) -> bool {
    let stored = |key: &[u8]| {
        let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes(), key, issued].concat()
    };
    match Credentials::from_stored(&stored(key_pkcs8), pin) {
        Ok(taken) => Credentials::from_stored(&taken.to_stored(), pin).is_ok(),
        Err(_) => false,
    }
}
