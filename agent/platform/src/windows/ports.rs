//! The dynamic port ranges of the host and the ports excluded from them, as they were asked for some minutes ago.
//!
//! WMI and `netsh` take seconds and may hang, so a thread of its own asks them; whoever samples gets the last answer.
//! IPv4 and IPv6 draw from one pool for each protocol, and `netsh` sets both at once, so IPv4's setting counts.

mod ask;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tidemark_model::{PortRange, Protocol};

use crate::ReadError;
pub use crate::port_tools::Tools;

/// Whether one setting holds for TCP and UDP.
pub const SHARED_BY_PROTOCOLS: bool = false;

/// How old an answer gets before the system is asked again.
const REFRESH_INTERVAL: Duration = Duration::from_mins(5);
/// How long the first reader waits for the first answer: as long as a hanging WMI is waited for, and `netsh` after it.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Room for the thread that asks, which does next to nothing itself.
const STACK_BYTES: usize = 256 * 1024;

/// The port settings of the host. Clones of one answer: opening them costs nothing after the first time.
#[derive(Debug)]
pub struct PortSettings {
    shared: &'static Shared,
}

/// What the system said of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    range: PortRange,
    source: RangeSource,
    excluded: Vec<PortRange>,
}

/// Where the dynamic range was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSource {
    /// `MSFT_NetTCPSetting` and `MSFT_NetUDPSetting`.
    Management,
    /// `netsh`.
    Netsh,
    /// The registry's `MaxUserPort`, which reaches the system at the next boot.
    Registry,
    /// Nobody told: the range that Windows ships with.
    Shipped,
}

/// What came of asking once.
#[derive(Debug)]
struct Told {
    /// Of TCP and UDP.
    answers: [Answer; 2],
    tools: Tools,
}

/// The last answers.
#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<Option<Arc<Told>>>,
    changed: Condvar,
    /// Whether they are known to be out of date.
    is_outdated: AtomicBool,
}

static SHARED: Shared = Shared {
    answers: Mutex::new(None),
    changed: Condvar::new(),
    is_outdated: AtomicBool::new(false),
};

/// Has the system asked at once: a range was set.
pub(super) fn ask_again() {
    // Under the lock, so that whoever is about to wait sees it.
    let _answers = SHARED
        .answers
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    SHARED.is_outdated.store(true, Ordering::Relaxed);
    SHARED.changed.notify_all();
}

/// The range that was last told; `None` when none was yet. Never takes long.
#[must_use]
pub fn known_range(protocol: Protocol) -> Option<PortRange> {
    let answers = SHARED
        .answers
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let told = answers.as_deref()?;
    Some(of(&told.answers, protocol).range)
}

/// Whether the tools answer that tell about ports, once they were asked or `patience` is over. `None` on systems that need
/// none.
#[must_use]
pub fn tools(patience: Duration) -> Option<Tools> {
    PortSettings::open().ok();
    let told = SHARED.last_within(patience);
    Some(told.map_or_else(Tools::default, |told| told.tools.clone()))
}

impl PortSettings {
    /// Opens the settings, and has them asked for from then on.
    ///
    /// # Errors
    /// When the system gives no thread to ask them.
    pub fn open() -> Result<Self, ReadError> {
        static STARTED: OnceLock<bool> = OnceLock::new();
        let started = *STARTED.get_or_init(|| {
            let keep_asking = thread::Builder::new()
                .name("port-settings".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(|| SHARED.keep_asking());
            keep_asking.is_ok()
        });
        if !started {
            return Err(ReadError::System {
                what: "its port settings, for want of a thread",
                source: io::Error::from(io::ErrorKind::OutOfMemory),
            });
        }
        Ok(Self { shared: &SHARED })
    }

    /// The range from which ports are handed out, before exclusions.
    ///
    /// # Errors
    /// Never: where nobody tells, the range that Windows ships with is taken, see [`PortSettings::source`].
    pub fn range(&mut self, protocol: Protocol) -> Result<PortRange, ReadError> {
        Ok(self.answer(protocol, |answer| answer.range))
    }

    /// Where the range was learnt.
    #[must_use]
    pub fn source(&mut self, protocol: Protocol) -> RangeSource {
        self.answer(protocol, |answer| answer.source)
    }

    /// Hands each excluded range to `on_range`.
    ///
    /// # Errors
    /// Never: without `netsh` no exclusion is known.
    pub fn reserved(
        &mut self,
        protocol: Protocol,
        on_range: impl FnMut(PortRange),
    ) -> Result<(), ReadError> {
        self.answer(protocol, |answer| {
            answer.excluded.iter().copied().for_each(on_range);
        });
        Ok(())
    }

    fn answer<R>(&self, protocol: Protocol, use_it: impl FnOnce(&Answer) -> R) -> R {
        match self.shared.last() {
            Some(told) => use_it(of(&told.answers, protocol)),
            None => use_it(&ask::registry_or_shipped()),
        }
    }
}

const fn of([tcp, udp]: &[Answer; 2], protocol: Protocol) -> &Answer {
    match protocol {
        Protocol::Tcp => tcp,
        Protocol::Udp => udp,
    }
}

impl Shared {
    /// The last answers; waits for the first ones.
    fn last(&self) -> Option<Arc<Told>> {
        self.last_within(FIRST_ANSWER_TIMEOUT)
    }

    fn last_within(&self, patience: Duration) -> Option<Arc<Told>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (answers, _) = self
            .changed
            .wait_timeout_while(answers, patience, |answers| answers.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        answers.clone()
    }

    /// Asks again and again, for as long as the process lives.
    fn keep_asking(&self) {
        loop {
            let told = Arc::new(ask::ask());
            let mut last = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(told);
            self.changed.notify_all();
            // Time has to pass, or somebody to know better.
            let waited = self
                .changed
                .wait_timeout_while(last, REFRESH_INTERVAL, |_| {
                    !self.is_outdated.swap(false, Ordering::Relaxed)
                });
            drop(waited);
        }
    }
}
