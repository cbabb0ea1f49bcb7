//! The event log through wevtapi: a pull subscription, counts, and what the service says of a log.
//!
//! Never called under Wine, whose `EvtRender` and bookmark calls end the process: [`availability`] says so, and every other
//! call asks it first.
#![expect(unsafe_code, reason = "wevtapi is called through pointers and handles")]

mod handle;

use std::io;
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_EVT_QUERY_RESULT_STALE, ERROR_INSUFFICIENT_BUFFER, ERROR_INVALID_OPERATION,
    ERROR_NO_MORE_ITEMS, ERROR_NOT_FOUND, ERROR_TIMEOUT, WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::EventLog::{
    EVT_HANDLE, EVT_LOG_PROPERTY_ID, EVT_VARIANT, EvtCreateBookmark, EvtGetLogInfo,
    EvtLogCreationTime, EvtLogNumberOfLogRecords, EvtLogOldestRecordNumber, EvtNext,
    EvtOpenChannelPath, EvtOpenLog, EvtQuery, EvtQueryChannelPath, EvtQueryReverseDirection,
    EvtQueryTolerateQueryErrors, EvtRender, EvtRenderEventXml, EvtSubscribe,
    EvtSubscribeStartAfterBookmark, EvtSubscribeStartAtOldestRecord, EvtSubscribeStrict,
    EvtSubscribeTolerateQueryErrors, EvtVarTypeFileTime, EvtVarTypeUInt64,
};
use windows_sys::Win32::System::Threading::WaitForSingleObject;

use super::text::{from_wide, wide};
use super::wine;
use crate::event_source::{BATCH, Begin, EventLogError, LogFacts};
use handle::{LogHandle, Signal};

/// Most batches of one call, so that a log that is written faster than it is read cannot keep the caller from stopping.
const BATCHES_MAX: usize = 16;
/// Largest rendered event, in bytes; the service's own limit for an event is 64 KiB before escaping.
const RENDERED_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// What a rendered event usually takes, in bytes.
const RENDERED_BYTES_USUAL: u32 = 8 * 1024;
/// `RPC_S_INVALID_BOUND` (winerror.h): what the service says when a batch is larger than its answer may be.
const ANSWER_TOO_LARGE: u32 = 1734;
/// 1601-01-01 to 1970-01-01, in milliseconds.
const FILETIME_EPOCH_MS: i64 = 11_644_473_600_000;

/// Whether there is an event log that can be read.
///
/// # Errors
/// [`EventLogError::Unsupported`] under Wine.
pub fn availability() -> Result<(), EventLogError> {
    match wine::version() {
        Some(_) => Err(EventLogError::Unsupported(
            "Wine has the names of the calls, and nothing behind them",
        )),
        None => Ok(()),
    }
}

/// What the log service says of a log. What it does not tell is unknown, never an error.
///
/// # Errors
/// When there is no event log, or the log cannot be opened.
pub fn facts(channel: &str) -> Result<LogFacts, EventLogError> {
    availability()?;
    let path = wide(channel);
    // SAFETY: the path ends with a zero and outlives the call; session 0 is this computer.
    let log = unsafe { EvtOpenLog(0, path.as_ptr(), EvtOpenChannelPath) };
    let log = LogHandle::new(log).ok_or_else(|| failed("EvtOpenLog"))?;
    let records = log_number(&log, EvtLogNumberOfLogRecords);
    Ok(LogFacts {
        oldest_record: log_number(&log, EvtLogOldestRecordNumber)
            .filter(|_| records.is_none_or(|records| records > 0)),
        records,
        created_ms: log_number(&log, EvtLogCreationTime).and_then(unix_ms),
    })
}

fn log_number(log: &LogHandle, property: EVT_LOG_PROPERTY_ID) -> Option<u64> {
    let mut value = EVT_VARIANT::default();
    let mut used = 0;
    let bytes = u32::try_from(size_of_val(&value)).ok()?;
    // SAFETY: the variant is as large as `bytes` says, and a number needs no more than the variant itself.
    let told = unsafe {
        EvtGetLogInfo(
            log.get(),
            property,
            bytes,
            ptr::from_mut(&mut value),
            &raw mut used,
        )
    };
    let is_number =
        value.Type == EvtVarTypeUInt64 as u32 || value.Type == EvtVarTypeFileTime as u32;
    if told == 0 || !is_number {
        return None;
    }
    // SAFETY: both types hold 64 bits in the same place.
    Some(unsafe { value.Anonymous.UInt64Val })
}

/// A `FILETIME` as unix milliseconds.
fn unix_ms(filetime: u64) -> Option<i64> {
    let since_1601_ms = i64::try_from(filetime / 10_000).ok()?;
    since_1601_ms.checked_sub(FILETIME_EPOCH_MS)
}

/// How many events a structured query finds, up to `max`; nothing is rendered.
///
/// # Errors
/// When there is no event log, or the query is refused.
pub fn count(query: &str, max: u64) -> Result<u64, EventLogError> {
    availability()?;
    let query = wide(query);
    let flags = EvtQueryChannelPath | EvtQueryReverseDirection | EvtQueryTolerateQueryErrors;
    // SAFETY: the query ends with a zero and outlives the call; a structured query names its logs itself.
    let results = unsafe { EvtQuery(0, ptr::null(), query.as_ptr(), flags) };
    let results = LogHandle::new(results).ok_or_else(|| failed("EvtQuery"))?;
    let mut found = 0_u64;
    while found < max {
        let events = next_handles(&results, BATCH, Wait::UntilThere)?;
        if events.is_empty() {
            break;
        }
        found += events.len() as u64;
    }
    Ok(found.min(max))
}

/// Events as they are written, asked for rather than called for.
#[derive(Debug)]
pub struct Subscription {
    events: LogHandle,
    /// Set by the service when there is something to take.
    signal: Signal,
    /// Rendered text, in UTF-16 units; kept for the next event.
    rendered: Vec<u16>,
    /// There may be more than the last call took.
    has_more: bool,
    batch: u32,
}

impl Subscription {
    /// Subscribes with a structured query, to take at most `batch` events at a time, itself at most [`BATCH`].
    ///
    /// # Errors
    /// [`EventLogError::Stale`] when the bookmarked record is gone; else when there is no event log, or it refuses.
    pub fn open(query: &str, begin: Begin<'_>, batch: u32) -> Result<Self, EventLogError> {
        availability()?;
        let query = wide(query);
        let signal = Signal::new().ok_or_else(|| failed("CreateEventW"))?;
        let (bookmark, flags) = match begin {
            Begin::Oldest => (None, EvtSubscribeStartAtOldestRecord),
            Begin::AfterBookmark(xml) => {
                let xml = wide(xml);
                // SAFETY: the text ends with a zero and outlives the call.
                let bookmark = unsafe { EvtCreateBookmark(xml.as_ptr()) };
                let bookmark =
                    LogHandle::new(bookmark).ok_or_else(|| failed("EvtCreateBookmark"))?;
                (
                    Some(bookmark),
                    EvtSubscribeStartAfterBookmark | EvtSubscribeStrict,
                )
            }
        };
        // SAFETY: the query ends with a zero; signal and bookmark outlive the call, and the signal the subscription.
        let events = unsafe {
            EvtSubscribe(
                0,
                signal.get(),
                ptr::null(),
                query.as_ptr(),
                bookmark.as_ref().map_or(0, LogHandle::get),
                ptr::null(),
                None,
                flags | EvtSubscribeTolerateQueryErrors,
            )
        };
        Ok(Self {
            events: LogHandle::new(events).ok_or_else(|| failed("EvtSubscribe"))?,
            signal,
            rendered: Vec::new(),
            has_more: true,
            batch: batch.clamp(1, BATCH),
        })
    }

    /// Appends the XML of the events that are there, after at most `wait`; none is no error. A large backlog comes in
    /// several calls.
    ///
    /// # Errors
    /// [`EventLogError::Stale`] when the place is lost; else when the service fails. The subscription is then useless.
    pub fn next(&mut self, wait: Duration, events: &mut Vec<String>) -> Result<(), EventLogError> {
        if !self.has_more && !self.signalled(wait)? {
            return Ok(());
        }
        // Before asking: what is written after the last answer sets it again.
        self.signal.reset();
        for _ in 0..BATCHES_MAX {
            let batch = next_handles(&self.events, self.batch, Wait::No)?;
            if batch.is_empty() {
                self.has_more = false;
                return Ok(());
            }
            for event in &batch {
                events.push(self.render(event)?);
            }
        }
        self.has_more = true;
        Ok(())
    }

    fn signalled(&self, wait: Duration) -> Result<bool, EventLogError> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX - 1);
        // SAFETY: the signal is open for as long as `self` is.
        match unsafe { WaitForSingleObject(self.signal.get(), wait_ms) } {
            WAIT_OBJECT_0 => Ok(true),
            WAIT_TIMEOUT => Ok(false),
            _ => Err(failed("WaitForSingleObject")),
        }
    }

    /// The event's XML. One that is beyond every limit is left empty, which no reader takes for an event.
    fn render(&mut self, event: &LogHandle) -> Result<String, EventLogError> {
        if self.rendered.is_empty() {
            self.rendered = vec![0; RENDERED_BYTES_USUAL as usize / 2];
        }
        loop {
            let bytes = u32::try_from(self.rendered.len() * 2).unwrap_or(RENDERED_BYTES_MAX);
            let (mut used, mut properties) = (0, 0);
            // SAFETY: the buffer is as large as `bytes` says; the event is open.
            let rendered = unsafe {
                EvtRender(
                    0,
                    event.get(),
                    EvtRenderEventXml,
                    bytes,
                    self.rendered.as_mut_ptr().cast(),
                    &raw mut used,
                    &raw mut properties,
                )
            };
            if rendered != 0 {
                let units = (used as usize / 2).min(self.rendered.len());
                return Ok(from_wide(self.rendered.get(..units).unwrap_or_default()));
            }
            let error = failed("EvtRender");
            if !is(&error, ERROR_INSUFFICIENT_BUFFER) {
                return Err(error);
            }
            if used <= bytes || used > RENDERED_BYTES_MAX {
                return Ok(String::new());
            }
            self.rendered.resize(used as usize / 2 + 1, 0);
        }
    }
}

/// How long to wait for the next events of a result set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    No,
    /// Query results come from disk.
    UntilThere,
}

/// The next events, each closed when dropped; none at the end.
fn next_handles(
    results: &LogHandle,
    batch: u32,
    wait: Wait,
) -> Result<Vec<LogHandle>, EventLogError> {
    let mut handles: [EVT_HANDLE; BATCH as usize] = [0; BATCH as usize];
    let mut returned = 0;
    let timeout_ms = match wait {
        Wait::No => 0,
        Wait::UntilThere => 10_000,
    };
    // SAFETY: there is room for as many handles as it is told, and `returned` says how many were written.
    let any = unsafe {
        EvtNext(
            results.get(),
            batch.min(BATCH),
            handles.as_mut_ptr(),
            timeout_ms,
            0,
            &raw mut returned,
        )
    };
    if any == 0 {
        let error = failed("EvtNext");
        // A subscription that is asked while there is nothing calls that an invalid operation.
        let at_end = [ERROR_NO_MORE_ITEMS, ERROR_TIMEOUT, ERROR_INVALID_OPERATION];
        if at_end.iter().any(|code| is(&error, *code)) {
            return Ok(Vec::new());
        }
        return Err(if is(&error, ANSWER_TOO_LARGE) {
            EventLogError::TooLarge
        } else {
            error
        });
    }
    Ok(handles
        .into_iter()
        .take(returned as usize)
        .filter_map(LogHandle::new)
        .collect())
}

/// The last error of this thread; must follow the call at once.
fn failed(call: &'static str) -> EventLogError {
    let source = io::Error::last_os_error();
    match code_of(&source) {
        // Strict subscriptions say the one or the other, by version.
        Some(ERROR_EVT_QUERY_RESULT_STALE | ERROR_NOT_FOUND) => EventLogError::Stale,
        _ => EventLogError::System { call, source },
    }
}

fn is(error: &EventLogError, code: u32) -> bool {
    matches!(error, EventLogError::System { source, .. } if code_of(source) == Some(code))
}

fn code_of(error: &io::Error) -> Option<u32> {
    error
        .raw_os_error()
        .and_then(|code| u32::try_from(code).ok())
}
