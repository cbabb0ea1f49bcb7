//! Room that the system writes answers into: aligned for any struct, grown until the answer fits.

use std::ffi::c_void;

/// How often an answer may have grown beyond the room that was made for it.
const TRIES_MAX: u32 = 5;
/// More than was asked for, because the system's lists grow while they are asked about.
const SLACK_BYTES: usize = 64 * 1024;
/// No answer needs more: a host has at most 65,536 rows of 192 bytes in a table, and some thousand processes.
const ROOM_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Room above this is given back when it is mostly unused.
const KEPT_BYTES: usize = 1024 * 1024;

/// Bytes for an answer; kept from one answer to the next.
#[derive(Debug, Default)]
pub(crate) struct AnswerBuffer {
    words: Vec<u64>,
}

/// How one attempt to get an answer went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The answer is there.
    Answered,
    /// It needs more room: so many bytes, if the system said so.
    NeedsRoom(usize),
    /// It failed with this code.
    Failed(i32),
}

/// The answer failed with this code, or never fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unanswered(pub(crate) i32);

/// `ERROR_INSUFFICIENT_BUFFER`: what an answer that never fitted fails with.
const NEVER_FITTED: i32 = 122;

impl AnswerBuffer {
    /// Calls `ask` with room and its size in bytes until the answer fits, at most five times.
    pub(crate) fn fill(
        &mut self,
        mut ask: impl FnMut(*mut c_void, u32) -> Attempt,
    ) -> Result<(), Unanswered> {
        if self.words.is_empty() {
            self.make_room(0);
        }
        for _ in 0..TRIES_MAX {
            let bytes = u32::try_from(self.len()).unwrap_or(u32::MAX);
            match ask(self.words.as_mut_ptr().cast(), bytes) {
                Attempt::Answered => return Ok(()),
                Attempt::NeedsRoom(bytes) if bytes > ROOM_BYTES_MAX => break,
                Attempt::NeedsRoom(bytes) => self.make_room(bytes.max(self.len())),
                Attempt::Failed(code) => return Err(Unanswered(code)),
            }
        }
        Err(Unanswered(NEVER_FITTED))
    }

    /// The room, whose beginning the last answer takes up.
    #[expect(unsafe_code, reason = "integers are looked at as bytes")]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the integers are initialised, a byte has no alignment, and the length is theirs.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.len()) }
    }

    /// The address of the room: pointers in an answer lead into it.
    pub(crate) fn address(&self) -> u64 {
        self.words.as_ptr().addr() as u64
    }

    /// Gives back room that is many times what the last answer `used`.
    pub(crate) fn trim(&mut self, used: usize) {
        if self.len() > KEPT_BYTES && used < self.len() / 8 {
            self.words = Vec::new();
        }
    }

    fn len(&self) -> usize {
        self.words.len().saturating_mul(8)
    }

    fn make_room(&mut self, bytes: usize) {
        let bytes = bytes.saturating_add(bytes / 4).saturating_add(SLACK_BYTES);
        self.words.resize(bytes / 8, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system whose answer has `bytes` bytes and grows by `growth` each time.
    fn answer_of(mut bytes: usize, growth: usize) -> impl FnMut(*mut c_void, u32) -> Attempt {
        move |_, room| {
            if room as usize >= bytes {
                return Attempt::Answered;
            }
            bytes += growth;
            Attempt::NeedsRoom(bytes)
        }
    }

    #[test]
    fn room_grows_with_the_answer_and_is_kept_while_it_is_used() {
        let mut buffer = AnswerBuffer::default();
        assert_eq!(buffer.fill(answer_of(3_000_000, 1_000)), Ok(()));
        let room = buffer.bytes().len();
        assert!(room > 3_000_000, "{room}");
        buffer.trim(2_000_000);
        assert_eq!(buffer.bytes().len(), room);
        buffer.trim(1_000);
        assert_eq!(buffer.bytes().len(), 0);
        assert_eq!(buffer.fill(answer_of(10, 0)), Ok(()));
    }

    #[test]
    fn an_answer_that_outgrows_all_room_is_given_up() {
        let mut buffer = AnswerBuffer::default();
        let mut asked = 0;
        let filled = buffer.fill(|_, room| {
            asked += 1;
            Attempt::NeedsRoom(room as usize * 2)
        });
        assert_eq!(filled, Err(Unanswered(NEVER_FITTED)));
        assert_eq!(asked, TRIES_MAX);
        let room = buffer.bytes().len();
        assert_eq!(
            buffer.fill(|_, _| Attempt::NeedsRoom(usize::MAX)),
            Err(Unanswered(NEVER_FITTED))
        );
        assert_eq!(buffer.bytes().len(), room);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut buffer = AnswerBuffer::default();
        let mut at = 0;
        let filled = buffer.fill(|room, _| {
            at = room.addr() as u64;
            Attempt::Answered
        });
        assert_eq!((filled, buffer.address()), (Ok(()), at));
        assert_eq!(at % 8, 0);
        assert_eq!(buffer.fill(|_, _| Attempt::Failed(5)), Err(Unanswered(5)));
    }
}
