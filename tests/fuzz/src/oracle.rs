//! What must hold of everything that is read: written again it is the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What `bytes` are as JSON; written and read again it must be the same.
pub fn json<T>(bytes: &[u8]) -> Option<T>
where
    T: DeserializeOwned + Serialize + PartialEq + Debug,
{
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(
        again, read,
        "JSON was read as one thing and written as another"
    );
    Some(read)
}

/// Whether `bytes` are legal text of that type; its own text must be read as the same.
pub fn text<T>(bytes: &[u8]) -> bool
where
    T: FromStr<Err: Display> + Display + PartialEq + Debug,
{
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match text.parse::<T>() {
        Ok(read) => {
            let written = read.to_string();
            match written.parse::<T>() {
                Ok(again) => assert_eq!(again, read, "{text:?} is written as {written:?}"),
                Err(error) => {
                    panic!("{text:?} is written as {written:?}, which is refused: {error}")
                }
            }
            true
        }
        Err(error) => {
            assert!(
                !error.to_string().is_empty(),
                "{text:?} is refused without a word"
            );
            false
        }
    }
}

/// What `decode` makes of `bytes`; encoded and decoded again it must be the same. What is encoded must be legal.
pub fn round<T, E>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Option<T>
where
    T: PartialEq + Debug,
    E: Display,
{
    let read = decode(bytes).ok()?;
    match decode(&encode(&read)) {
        Ok(again) => assert_eq!(again, read, "decoded as one thing and encoded as another"),
        Err(error) => panic!("what was encoded is refused: {error}\n{read:?}"),
    }
    Some(read)
}

/// What `from` makes of a message; turned back `to` a message and read again it must be the same.
pub fn wire<M, T, E>(
    message: M,
    from: impl Fn(M) -> Result<T, E>,
    to: impl Fn(&T) -> M,
) -> Option<T>
where
    T: PartialEq + Debug,
    E: Display,
{
    match from(message) {
        Ok(read) => {
            match from(to(&read)) {
                Ok(again) => assert_eq!(again, read, "read as one thing and told as another"),
                Err(error) => panic!("what is told is refused: {error}\n{read:?}"),
            }
            Some(read)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty(), "refused without a word");
            None
        }
    }
}
