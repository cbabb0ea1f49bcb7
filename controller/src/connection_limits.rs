//! How many connections of each kind there may be. Each is an open file, of which the system gives a process so many: they are shared
//! out, so that connections of one kind leave enough for those of others and for the database.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Handshakes of agents at once. Each costs about a millisecond of one core.
const HANDSHAKES_MAX: u64 = 256;

/// Connections that proved nothing: enrolments, which last less than a second each.
const STRANGERS_MAX: u64 = 256;

/// Connections that wait for their handshake: more than a large fleet that comes back at once.
const WAITING_MAX: u64 = 16_384;

/// Connections of people and programs; a browser keeps up to six, so some hundred operators at a time.
const API_MAX: u64 = 2_048;

/// Fewest of a kind, whatever the system gives.
const FEWEST: u64 = 4;

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Of hosts.
    pub hosts: usize,
    /// Of agents, whose handshake has not begun.
    pub waiting: usize,
    /// Of agents, whose handshake has begun.
    pub handshakes: usize,
    /// Of agents without a certificate.
    pub strangers: usize,
    /// Of people and programs, and as many more through proxies that are named.
    pub api: usize,
}

impl ConnectionLimits {
    /// Takes as many open files as the system gives, and shares them out. Says what to do when they are fewer than `hosts` connections of
    /// hosts need.
    #[must_use]
    pub fn claim(hosts: usize) -> Self {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let limits = Self::share(files, hosts);
        if limits.hosts < hosts {
            tracing::warn!(
                open_files = files,
                connections_max = hosts,
                "{} hosts can be connected at once, fewer than connections_max: raise the limit of open files to {} (LimitNOFILE of the \
                 unit, ulimit -Hn)",
                limits.hosts,
                hosts.saturating_mul(3) / 2 + 25_000
            );
        }
        limits
    }

    fn share(files: u64, hosts: usize) -> Self {
        let share = |most: u64, share: u64| most.min(files / share).max(FEWEST);
        let (waiting, api) = (share(WAITING_MAX, 8), share(API_MAX, 16));
        let handshakes = share(HANDSHAKES_MAX, 16);
        let strangers = share(STRANGERS_MAX, 16);
        let others = waiting + handshakes + strangers + 2 * api + files / 8;
        let count = |share: u64| usize::try_from(share).unwrap_or(usize::MAX);
        Self {
            hosts: hosts.min(count(files.saturating_sub(others).max(FEWEST))),
            waiting: count(waiting),
            handshakes: count(handshakes),
            strangers: count(strangers),
            api: count(api),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_all_kinds_leave_files_for_the_database() {
        for files in [64, 1_024, 65_536, 131_072, u64::MAX] {
            let limits = ConnectionLimits::share(files, 50_000);
            let kinds = [
                limits.hosts,
                limits.waiting,
                limits.handshakes,
                limits.strangers,
                limits.api,
                limits.api,
            ];
            let all: usize = kinds.iter().sum();
            assert!(kinds.iter().all(|kind| *kind >= 4), "{limits:?}");
            assert!(all as u64 <= files / 8 * 7, "{files} files: {limits:?}");
        }
    }

    #[test]
    fn with_the_files_that_the_unit_asks_for_nothing_is_held_back() {
        let unit = include_str!("../../deploy/linux/tidemark-controller.service");
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix("LimitNOFILE="));
        let files = line.unwrap().parse().unwrap();
        let expected = ConnectionLimits {
            hosts: 50_000,
            waiting: 16_384,
            handshakes: 256,
            strangers: 256,
            api: 2_048,
        };
        assert_eq!(ConnectionLimits::share(files, 50_000), expected);
    }
}
