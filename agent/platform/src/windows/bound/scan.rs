//! Bound sockets as the driver of sockets tells them, handle by handle, of the few processes that are suspect.
//!
//! Nothing of this is documented. It is believed only after it has found a socket of the agent's own.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use tidemark_model::Protocol;
use tidemark_model::tcp::TcpState;

use super::super::own::time_since_boot;
use super::super::patience::Patience;
use super::super::{attempt, privilege, process};
use super::handle::{Driver, OwnHandle};
use crate::answer_buffer::AnswerBuffer;
use crate::windows_data::afd_socket;
use crate::windows_data::handle_list;
use crate::windows_data::suspects;
use crate::{Address, Family, SocketRow};

/// Handles that are asked about in one scan, some microseconds each.
const HANDLES_MAX: usize = 100_000;
/// And for how long; a process that has not been looked at by then is left out.
const SCAN_TIME: Duration = Duration::from_secs(10);
/// A scan that does not end even so hangs in the driver.
static PATIENCE: Patience = Patience::new("handle-scan", Duration::from_secs(20), 1);

static SCANNER: Mutex<Option<Scanner>> = Mutex::new(None);

/// The bound sockets of the processes that are suspect.
///
/// # Errors
/// When handles cannot be listed, the driver's answers are not what they should be, or an earlier scan hangs.
pub(super) fn list() -> io::Result<Vec<SocketRow>> {
    PATIENCE.ask(|| {
        let mut scanner = match SCANNER.try_lock() {
            Ok(scanner) => scanner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "an earlier scan of handles has not ended",
                ));
            }
        };
        scanner.get_or_insert_default().scan()
    })
}

/// What is kept from one scan to the next.
#[derive(Debug, Default)]
struct Scanner {
    /// Handles of each process at the scan before.
    before: HashMap<u32, u32>,
    /// The kind of object that a socket is; `None` until one of the agent's own was found by it.
    socket_type: Option<u32>,
    handles: AnswerBuffer,
}

/// What one scan may still spend.
#[derive(Debug)]
struct Budget {
    handles: usize,
    ends: Duration,
}

impl Budget {
    fn spend_one(&mut self) -> bool {
        self.handles = self.handles.saturating_sub(1);
        self.handles > 0 && time_since_boot() < self.ends
    }
}

impl Scanner {
    fn scan(&mut self) -> io::Result<Vec<SocketRow>> {
        let mut driver = Driver::open()?;
        let mut budget = Budget {
            handles: HANDLES_MAX,
            ends: time_since_boot().saturating_add(SCAN_TIME),
        };
        self.learn_from_own(&mut driver, &mut budget)?;
        // Without it the processes of others stay closed, which the scope of the list says anyway.
        privilege::enable_debug().ok();
        let counts = process::handle_counts()?;
        let own = std::process::id();
        let mut rows = Vec::new();
        for suspect in suspects::choose(&counts, &self.before) {
            if suspect == own {
                continue;
            }
            // One that may not be opened (protected ones) or has ended is passed over.
            if let Ok(process) = OwnHandle::of_process(suspect) {
                self.look_at(suspect, &process, &mut driver, &mut budget, &mut rows)?;
            }
        }
        self.before = counts
            .iter()
            .map(|count| (count.process, count.handles))
            .collect();
        Ok(rows)
    }

    /// Finds out which kind of object a socket is, by one that this process has bound; with that it is known that the
    /// lists of handles and the driver's answers are read as they are meant. Kept once it is known: when ports have run
    /// out, no socket can be bound for it.
    fn learn_from_own(&mut self, driver: &mut Driver, budget: &mut Budget) -> io::Result<()> {
        if self.socket_type.is_some() {
            return Ok(());
        }
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let held = attempt::hold_port(Protocol::Tcp, any).map_err(io::Error::other)?;
        let own = std::process::id();
        let process = OwnHandle::of_process(own)?;
        process.list_handles(&mut self.handles)?;
        for listed in handle_list::handles(self.handles.bytes()).map_err(invalid)? {
            if !budget.spend_one() {
                break;
            }
            let bound = process
                .borrow(listed.value)
                .ok()
                .map(|handle| bound_to(&handle, driver))
                .transpose()?
                .flatten();
            if bound.is_some_and(|(_, _, port)| port == held.number()) {
                self.socket_type = Some(listed.object_type);
                return Ok(());
            }
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a socket of the agent's own was not found among its handles",
        ))
    }

    fn look_at(
        &mut self,
        number: u32,
        process: &OwnHandle,
        driver: &mut Driver,
        budget: &mut Budget,
        rows: &mut Vec<SocketRow>,
    ) -> io::Result<()> {
        if process.list_handles(&mut self.handles).is_err() {
            return Ok(());
        }
        let sockets = handle_list::handles(self.handles.bytes())
            .map_err(invalid)?
            .filter(|listed| Some(listed.object_type) == self.socket_type);
        for listed in sockets {
            if !budget.spend_one() {
                return Ok(());
            }
            // It may have been closed since it was listed.
            let Ok(handle) = process.borrow(listed.value) else {
                continue;
            };
            if let Some((family, local, local_port)) = bound_to(&handle, driver)? {
                rows.push(SocketRow {
                    family,
                    state: TcpState::Bound,
                    local_port,
                    remote_port: 0,
                    local,
                    remote: unspecified(family),
                    holder: number,
                    service_tag: 0,
                    created: None,
                });
            }
        }
        Ok(())
    }
}

/// What a handle is bound to, if it is a TCP socket that is bound and does nothing.
///
/// # Errors
/// When the driver hangs.
fn bound_to(handle: &OwnHandle, driver: &mut Driver) -> io::Result<Option<(Family, Address, u16)>> {
    let is_socket = handle
        .device()
        .is_some_and(|name| afd_socket::is_of_driver(&name));
    if !is_socket {
        return Ok(None);
    }
    let is_bound = driver
        .shared(handle)?
        .is_some_and(|shared| afd_socket::is_bound_tcp(shared) == Ok(true));
    if !is_bound {
        return Ok(None);
    }
    Ok(driver.address(handle)?.and_then(afd_socket::local_end))
}

const fn unspecified(family: Family) -> Address {
    match family {
        Family::V4 => Address::from_v4([0; 4]),
        Family::V6 => Address::from_v6([0; 16]),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
