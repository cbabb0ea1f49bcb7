//! Name tables: names that repeat are sent once a session and are numbers from then on.
//!
//! Both ends keep the same table in the same order; numbers count from 1 and 0 is "no name".

use std::collections::HashMap;
use std::sync::Arc;

use super::{ConvertError, at_most, list_at_most};

/// Names that a table may hold.
pub const NAMES_MAX: usize = 65_536;
/// Bytes of text that a table may hold.
pub const NAMES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one name: the longest path that Linux and Windows programs meet in practice (`PATH_MAX`).
pub const NAME_BYTES_MAX: usize = 4096;

/// A name does not fit into the table, which is to start anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name table is full: at most 65,536 names and 4 MiB")]
pub struct TableFull;

/// The sender's table.
#[derive(Debug, Default)]
pub struct NameWriter {
    numbers: HashMap<Arc<str>, u32>,
    order: Vec<Arc<str>>,
    bytes: usize,
    /// How many of `order` the other end knows.
    sent: usize,
    /// What the others take in a record body.
    unsent_encoded_bytes: usize,
}

/// A state of a [`NameWriter`] to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

impl NameWriter {
    /// The number of `name`, which is added if it is new. Names are cut to [`NAME_BYTES_MAX`] and their NULs replaced,
    /// because databases cannot hold them.
    ///
    /// # Errors
    /// When the table is full.
    pub fn intern(&mut self, name: &str) -> Result<u32, TableFull> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let name: Arc<str> = legal_name(name).into();
        if let Some(number) = self.numbers.get(&name) {
            return Ok(*number);
        }
        let bytes = self.bytes.saturating_add(name.len());
        if self.order.len() >= NAMES_MAX || bytes > NAMES_BYTES_MAX {
            return Err(TableFull);
        }
        self.unsent_encoded_bytes += encoded_bytes(&name);
        self.order.push(Arc::clone(&name));
        let number = u32::try_from(self.order.len()).map_err(|_| TableFull)?;
        self.numbers.insert(name, number);
        self.bytes = bytes;
        Ok(number)
    }

    /// The state to which [`NameWriter::rollback`] returns.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        Mark(self.order.len())
    }

    /// Forgets the names added since `mark`, which must be younger than the last [`NameWriter::take_new`].
    pub fn rollback(&mut self, mark: Mark) {
        while self.order.len() > mark.0.max(self.sent) {
            if let Some(name) = self.order.pop() {
                self.bytes -= name.len();
                self.unsent_encoded_bytes -= encoded_bytes(&name);
                self.numbers.remove(&name);
            }
        }
    }

    /// Bytes that the names added since the last [`NameWriter::take_new`] take in a record body.
    #[must_use]
    pub const fn unsent_encoded_bytes(&self) -> usize {
        self.unsent_encoded_bytes
    }

    /// The names added since the last call, which the caller is about to send.
    pub fn take_new(&mut self) -> Vec<String> {
        let new = self
            .order
            .iter()
            .skip(self.sent)
            .map(|name| name.as_ref().to_owned())
            .collect();
        self.sent = self.order.len();
        self.unsent_encoded_bytes = 0;
        new
    }

    /// Whether it holds no name.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// Bytes of one element of `RecordBody.new_names`.
fn encoded_bytes(name: &str) -> usize {
    1 + prost::length_delimiter_len(name.len()) + name.len()
}

fn legal_name(name: &str) -> String {
    let cut = name
        .get(..name.floor_char_boundary(NAME_BYTES_MAX))
        .unwrap_or(name);
    if !cut.contains('\0') {
        return cut.to_owned();
    }
    // A question mark, not U+FFFD: the replacement must not make the name longer than it may be.
    cut.replace('\0', "?")
}

/// The receiver's table. The sender is hostile until shown otherwise.
#[derive(Debug, Default)]
pub struct NameReader {
    names: Vec<Arc<str>>,
    bytes: usize,
}

impl NameReader {
    /// Starts anew, as `reset_names` asks for.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Adds names in their order.
    ///
    /// # Errors
    /// When a name is too long or holds a NUL, or the table would outgrow its limits. The table is then useless: its
    /// session must end.
    pub fn extend(&mut self, new: Vec<String>) -> Result<(), ConvertError> {
        list_at_most("new_names", self.names.len() + new.len(), NAMES_MAX)?;
        for name in new {
            list_at_most("new_names bytes of a name", name.len(), NAME_BYTES_MAX)?;
            if name.contains('\0') {
                return Err(ConvertError::Malformed {
                    field: "new_names",
                    reason: "a name holds a NUL",
                });
            }
            self.bytes += name.len();
            list_at_most("new_names bytes of the table", self.bytes, NAMES_BYTES_MAX)?;
            self.names.push(name.into());
        }
        Ok(())
    }

    /// The name of a number; `None` for 0.
    ///
    /// # Errors
    /// When the number was never announced.
    pub fn optional(
        &self,
        field: &'static str,
        number: u32,
    ) -> Result<Option<Arc<str>>, ConvertError> {
        let Some(index) = number.checked_sub(1) else {
            return Ok(None);
        };
        let known = self.names.len() as u64;
        at_most(field, number.into(), known)?;
        Ok(self.names.get(index as usize).cloned())
    }

    /// The name of a number that may not be 0.
    ///
    /// # Errors
    /// When it is 0 or was never announced.
    pub fn required(&self, field: &'static str, number: u32) -> Result<Arc<str>, ConvertError> {
        self.optional(field, number)?
            .ok_or(ConvertError::Missing { field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_table_says_so_and_keeps_its_names() {
        let mut writer = NameWriter::default();
        for number in 1..=NAMES_MAX {
            assert_eq!(writer.intern(&number.to_string()), Ok(number as u32));
        }
        assert_eq!(writer.intern("one more"), Err(TableFull));
        assert_eq!(writer.intern("17"), Ok(17));
    }

    #[test]
    fn a_table_is_bounded_by_bytes_too() {
        let mut writer = NameWriter::default();
        let fitting = NAMES_BYTES_MAX / NAME_BYTES_MAX;
        for number in 0..fitting {
            let name = format!("{number:0width$}", width = NAME_BYTES_MAX);
            assert!(writer.intern(&name).is_ok(), "{number}");
        }
        assert_eq!(writer.intern("x"), Err(TableFull));
    }

    #[test]
    fn names_that_databases_cannot_hold_are_mended_by_the_sender_and_refused_by_the_receiver() {
        let mut writer = NameWriter::default();
        writer.intern("a\0b").unwrap();
        writer.intern(&"ü".repeat(NAME_BYTES_MAX)).unwrap();
        let sent = writer.take_new();
        assert_eq!(sent.first().map(String::as_str), Some("a?b"));
        assert_eq!(sent.get(1).map(String::len), Some(NAME_BYTES_MAX));
        assert!(NameReader::default().extend(sent).is_ok());
        assert!(
            NameReader::default()
                .extend(vec!["a\0b".to_owned()])
                .is_err()
        );
        assert!(
            NameReader::default()
                .extend(vec!["x".repeat(NAME_BYTES_MAX + 1)])
                .is_err()
        );
    }

    #[test]
    fn a_number_that_was_never_announced_is_refused() {
        let mut reader = NameReader::default();
        reader.extend(vec!["nginx".to_owned()]).unwrap();
        assert_eq!(reader.optional("owner.name", 0), Ok(None));
        assert_eq!(reader.required("owner.name", 1).as_deref(), Ok("nginx"));
        assert_eq!(
            reader.required("owner.name", 2),
            Err(ConvertError::OutOfRange {
                field: "owner.name",
                value: 2,
                limit: 1
            })
        );
        assert_eq!(
            reader.required("owner.name", 0),
            Err(ConvertError::Missing {
                field: "owner.name"
            })
        );
    }

    proptest! {
        #[test]
        fn both_ends_agree_on_every_name(batches in proptest::collection::vec(
            (proptest::collection::vec("[a-c]{0,2}|.{0,9}", 0..9), any::<bool>()), 0..9,
        )) {
            let (mut writer, mut reader) = (NameWriter::default(), NameReader::default());
            for (names, keep) in batches {
                let mark = writer.mark();
                let numbers: Vec<u32> = names.iter().map(|name| writer.intern(name).unwrap()).collect();
                if !keep {
                    writer.rollback(mark);
                    continue;
                }
                reader.extend(writer.take_new()).unwrap();
                for (name, number) in names.iter().zip(numbers) {
                    let mended = name.replace('\0', "?");
                    prop_assert_eq!(&*reader.required("name", number).unwrap(), mended.as_str());
                }
            }
        }
    }
}
