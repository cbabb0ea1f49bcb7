//! The generic webhook: the message as JSON, with a key that tells repeated tries apart from new messages, and a signature
//! over time and body.

use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use tidemark_model::{Secret, Timestamp};

use super::SendError;
use crate::notify::message::Message;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TIMESTAMP: HeaderName = HeaderName::from_static("tidemark-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("tidemark-signature");

pub(super) fn add_headers(
    headers: &mut HeaderMap,
    (message, written): (&Message, &str),
    secret: Option<&Secret<String>>,
    now: Timestamp,
) -> Result<(), SendError> {
    let value = |text: &str| {
        HeaderValue::from_str(text)
            .map_err(|_| SendError::never("the message's key fits no header"))
    };
    let seconds = now.unix_ms().div_euclid(1_000).to_string();
    headers.insert(IDEMPOTENCY_KEY, value(&message.key)?);
    headers.insert(TIMESTAMP, value(&seconds)?);
    if let Some(secret) = secret {
        headers.insert(SIGNATURE, value(&signature(secret, &seconds, written))?);
    }
    Ok(())
}

/// `v1=` and HMAC-SHA256 over the timestamp, a dot and the body, in hexadecimal digits.
pub(super) fn signature(secret: &Secret<String>, seconds: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in [seconds.as_bytes(), b".", body.as_bytes()] {
        context.update(part);
    }
    format!("v1={}", HEXLOWER.encode(context.sign().as_ref()))
}
