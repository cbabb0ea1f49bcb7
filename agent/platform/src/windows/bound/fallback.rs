//! Bound sockets where `iphlpapi` does not list them: by WMI, else by handles, on a thread of its own, now and then.
//!
//! What is handed out is as old as its age says; nobody who samples waits for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tidemark_model::Protocol;
use tidemark_model::sample::BoundScope;

use super::super::attempt;
use super::super::own::time_since_boot;
use super::{managed, scan};
use crate::SocketRow;
use crate::table_query::BoundMethod;

/// Shortest time between two lists.
const INTERVAL_MIN: Duration = Duration::from_secs(60);
/// A list may take this share of the time: one part in so many.
const COST_SHARE: u32 = 50;
/// Longest time between two lists; also between tries where there is no list.
const INTERVAL_MAX: Duration = Duration::from_mins(10);
/// A list that is older is none: what it names may be long gone.
const AGE_MAX: Duration = Duration::from_mins(15);
/// How long the first one is waited for; what comes later is taken up then.
const FIRST_LIST_TIMEOUT: Duration = Duration::from_secs(8);
const STACK_BYTES: usize = 256 * 1024;

/// A list of bound sockets.
#[derive(Debug)]
pub(in super::super) struct EarlierList {
    pub(in super::super) rows: Vec<SocketRow>,
    pub(in super::super) method: BoundMethod,
    /// When it was begun, since boot.
    taken: Duration,
}

impl EarlierList {
    pub(in super::super) fn age(&self) -> Duration {
        time_since_boot().saturating_sub(self.taken)
    }

    pub(in super::super) const fn scope(&self) -> BoundScope {
        if matches!(self.method, BoundMethod::Handles) {
            BoundScope::Suspects
        } else {
            BoundScope::AllProcesses
        }
    }
}

/// What is known at this moment.
#[derive(Clone, Debug)]
pub(in super::super) enum Known {
    /// No answer came yet.
    Nothing,
    /// The last list.
    List(Arc<EarlierList>),
    /// Why there is none.
    NoList(Arc<str>),
}

static SHARED: Mutex<Known> = Mutex::new(Known::Nothing);
static CHANGED: Condvar = Condvar::new();

/// What is known, without waiting; starts to ask at the first call.
pub(in super::super) fn known() -> Known {
    if !start() {
        return Known::NoList("the system gives no thread to ask for them".into());
    }
    fresh(lock().clone())
}

/// The same, once the first answer is there or has been waited for long enough.
pub(in super::super) fn known_first() -> Known {
    known();
    let (found, _) = CHANGED
        .wait_timeout_while(lock(), FIRST_LIST_TIMEOUT, |known| {
            matches!(known, Known::Nothing)
        })
        .unwrap_or_else(PoisonError::into_inner);
    fresh(found.clone())
}

/// Makes one list by that means alone, and says how many sockets it names.
///
/// # Errors
/// When there is no such means here.
pub(in super::super) fn try_once(method: BoundMethod) -> io::Result<usize> {
    let rows = match method {
        BoundMethod::Management => Asker::default().by_wmi()?,
        BoundMethod::Handles => scan::list()?,
        BoundMethod::Export
        | BoundMethod::SockDiag
        | BoundMethod::Estimate
        | BoundMethod::Nothing
        | BoundMethod::Unknown => return Err(io::Error::from(io::ErrorKind::Unsupported)),
    };
    Ok(rows.len())
}

fn fresh(known: Known) -> Known {
    match known {
        Known::List(list) if list.age() > AGE_MAX => {
            Known::NoList("the last list of them is more than 15 minutes old".into())
        }
        known @ (Known::Nothing | Known::List(_) | Known::NoList(_)) => known,
    }
}

fn lock() -> MutexGuard<'static, Known> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start() -> bool {
    static STARTED: OnceLock<bool> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let asking = thread::Builder::new()
            .name("bound-sockets".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(|| Asker::default().keep_asking());
        asking.is_ok()
    })
}

#[derive(Debug, Default)]
struct Asker {
    /// WMI has shown a bound socket of this process: it does list them on this system.
    wmi_is_proven: bool,
}

impl Asker {
    /// Asks again and again, for as long as the process lives.
    fn keep_asking(mut self) {
        loop {
            let taken = time_since_boot();
            let answer = self.ask();
            let took = time_since_boot().saturating_sub(taken);
            let pause = if answer.is_ok() {
                (took * COST_SHARE).clamp(INTERVAL_MIN, INTERVAL_MAX)
            } else {
                INTERVAL_MAX
            };
            let mut known = lock();
            match answer {
                Ok((method, rows)) => {
                    *known = Known::List(Arc::new(EarlierList {
                        rows,
                        method,
                        taken,
                    }));
                }
                // A list that there is stays, and ages.
                Err(_) if matches!(*known, Known::List(_)) => {}
                Err(why) => *known = Known::NoList(why.into()),
            }
            CHANGED.notify_all();
            // Nobody notifies this thread: the wait is for time to pass.
            let waited = CHANGED.wait_timeout_while(known, pause, |_| true);
            drop(waited);
        }
    }

    fn ask(&mut self) -> Result<(BoundMethod, Vec<SocketRow>), String> {
        let by_wmi = match self.by_wmi() {
            Ok(rows) => return Ok((BoundMethod::Management, rows)),
            Err(error) => error,
        };
        match scan::list() {
            Ok(rows) => Ok((BoundMethod::Handles, rows)),
            Err(by_handles) => Err(format!("WMI: {by_wmi}; handles: {by_handles}")),
        }
    }

    /// Takes WMI's word only once it has named a socket that this process has bound: on systems that do not show bound
    /// sockets it names none, and says so of none.
    fn by_wmi(&mut self) -> io::Result<Vec<SocketRow>> {
        // When ports have run out there is none to be had for this.
        let held = attempt::hold_port(Protocol::Tcp, IpAddr::V4(Ipv4Addr::UNSPECIFIED)).ok();
        let mut rows = managed::list()?;
        let own = std::process::id();
        if let Some(held) = &held {
            let is_held = |row: &SocketRow| row.local_port == held.number() && row.holder == own;
            self.wmi_is_proven |= rows.iter().any(is_held);
            // It is closed when this returns.
            rows.retain(|row| !is_held(row));
        }
        if self.wmi_is_proven {
            Ok(rows)
        } else {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it does not list bound sockets on this system",
            ))
        }
    }
}
