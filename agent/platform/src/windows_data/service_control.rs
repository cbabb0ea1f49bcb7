//! Rules of stopping and starting services of Windows: in which order, how long to wait, and what its errors tell an
//! operator.

use std::collections::HashSet;
use std::time::Duration;

use super::bytes;

/// How long a service may go without a sign of progress when it announces less: as long as the service control manager
/// itself waits for an answer.
const STALL_MIN: Duration = Duration::from_secs(30);
/// Between two looks at a service, whatever it announces (Microsoft's sample "Stopping a Service").
const LOOK_MIN: Duration = Duration::from_secs(1);
const LOOK_MAX: Duration = Duration::from_secs(10);

/// A service and those that it needs, by their key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The service.
    pub name: String,
    /// What must run before it.
    pub needs: Vec<String>,
}

/// The services in a `DependOnService` of the registry, without groups.
#[must_use]
pub fn needs_in(multi_text: &[u8]) -> Vec<String> {
    let text = bytes::text(multi_text);
    let names = text.split('\0').filter(|name| !name.is_empty());
    // SC_GROUP_IDENTIFIER.
    names
        .filter(|name| !name.starts_with('+'))
        .map(str::to_owned)
        .collect()
}

/// Which of `services` need `target`, directly or through others, each before what it needs: the order in which they are
/// stopped. Names are alike in any case of their letters.
#[must_use]
pub fn stop_order(target: &str, services: &[Needs]) -> Vec<String> {
    let mut seen = HashSet::from([target.to_lowercase()]);
    let mut order = Vec::new();
    // A stack of its own: the chain is as long as whoever may make services likes.
    let mut open = vec![(target.to_owned(), next_up(target, services))];
    while let Some((name, above)) = open.last_mut() {
        if let Some(next) = above.pop() {
            if seen.insert(next.to_lowercase()) {
                let higher = next_up(&next, services);
                open.push((next, higher));
            }
        } else {
            order.push(std::mem::take(name));
            open.pop();
        }
    }
    // The target itself comes last.
    order.pop();
    order
}

fn next_up(name: &str, services: &[Needs]) -> Vec<String> {
    let name = name.to_lowercase();
    let needs_it = |service: &&Needs| {
        service
            .needs
            .iter()
            .any(|needed| needed.to_lowercase() == name)
    };
    let above = services.iter().filter(needs_it);
    above.map(|service| service.name.clone()).collect()
}

/// What to do about a service that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look again after this time.
    Look(Duration),
    /// It shows no progress any more.
    Stalled,
    /// It took as long as it may.
    TimeIsUp,
}

/// The wait for a service to arrive at a state.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    until: Duration,
    moved_at: Duration,
    checkpoint: Option<u32>,
}

impl Wait {
    /// Begins at `now`, which counts from any fixed moment.
    #[must_use]
    pub const fn begin(now: Duration, patience: Duration) -> Self {
        Self {
            until: now.saturating_add(patience),
            moved_at: now,
            checkpoint: None,
        }
    }

    /// Judges what the service shows at `now`: its checkpoint, and for how long it announced to be without another one.
    pub fn look(&mut self, now: Duration, checkpoint: u32, wait_hint: Duration) -> Next {
        if self.checkpoint != Some(checkpoint) {
            self.checkpoint = Some(checkpoint);
            self.moved_at = now;
        }
        let left = self.until.saturating_sub(now);
        if left.is_zero() {
            return Next::TimeIsUp;
        }
        if now.saturating_sub(self.moved_at) > wait_hint.max(STALL_MIN) {
            return Next::Stalled;
        }
        Next::Look((wait_hint / 10).clamp(LOOK_MIN, LOOK_MAX).min(left))
    }
}

/// What an error of the service control manager means to an operator; `None` for one that is not special to services.
#[must_use]
pub const fn meaning(code: u32) -> Option<&'static str> {
    Some(match code {
        1051 => "another service that depends on it was started meanwhile; order it again",
        1053 => {
            "it did not answer in time; order it with `on_hang: end_process`, or look at what it waits for"
        }
        1055 => "the service control manager's database is locked; try again later",
        1056 => "it runs already",
        1058 => {
            "it is disabled, or something that it needs is; enable it first (`sc config NAME start= demand`)"
        }
        1060 => {
            "there is no service of that name; give its key name, as `sc query` shows it, not its display name"
        }
        1061 => {
            "it takes no orders in the state that it is in; wait until it has started or stopped, and look at its own log"
        }
        1062 => "it does not run",
        1067 => "its process ended unexpectedly; look at its own log",
        1068 => "a service that it needs cannot be started; start that one first",
        1069 => "it cannot log on: its account's password or rights were changed",
        1070 => "it hung while it started; look at its own log",
        1072 => {
            "it is marked for deletion; close the consoles that look at it, or restart the host"
        }
        1075 => "a service that it needs is not there",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn services(all: &[(&str, &[&str])]) -> Vec<Needs> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        all.iter()
            .map(|(name, needs)| Needs {
                name: (*name).to_owned(),
                needs: owned(needs),
            })
            .collect()
    }

    #[test]
    fn what_depends_on_a_service_is_stopped_before_what_it_needs() {
        let all = services(&[
            ("W3SVC", &["WAS", "HTTP"]),
            ("was", &["RpcSs"]),
            ("Ftp", &["W3svc"]),
            ("Other", &["HTTP"]),
        ]);
        assert_eq!(stop_order("WAS", &all), ["Ftp", "W3SVC"]);
        assert_eq!(stop_order("rpcss", &all), ["Ftp", "W3SVC", "was"]);
        assert!(stop_order("Ftp", &all).is_empty());
    }

    #[test]
    fn needs_are_read_from_the_registry() {
        let stored: Vec<u8> = "RpcSs\0+TDI\0Tcpip\0\0"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(needs_in(&stored), ["RpcSs", "Tcpip"]);
    }

    #[test]
    fn services_that_need_each_other_end_no_loop() {
        let ring = services(&[("A", &["C"]), ("B", &["A"]), ("C", &["B"])]);
        assert_eq!(stop_order("A", &ring), ["C", "B"]);
    }

    #[test]
    fn a_service_that_moves_is_waited_for_until_its_time_is_up() {
        let at = Duration::from_secs;
        let mut wait = Wait::begin(at(100), at(120));
        assert_eq!(wait.look(at(100), 1, at(20)), Next::Look(at(2)));
        assert_eq!(wait.look(at(140), 2, at(600)), Next::Look(at(10)));
        assert_eq!(wait.look(at(180), 3, at(0)), Next::Look(at(1)));
        assert_eq!(
            wait.look(Duration::from_millis(219_500), 4, at(60)),
            Next::Look(Duration::from_millis(500))
        );
        assert_eq!(wait.look(at(220), 5, at(60)), Next::TimeIsUp);
    }

    #[test]
    fn a_service_that_stands_still_longer_than_it_announced_is_stalled() {
        let at = Duration::from_secs;
        let mut wait = Wait::begin(at(0), at(600));
        assert_eq!(wait.look(at(0), 7, at(50)), Next::Look(at(5)));
        assert_eq!(wait.look(at(50), 7, at(50)), Next::Look(at(5)));
        assert_eq!(wait.look(at(51), 7, at(50)), Next::Stalled);
        // One that announces nothing has as long as the manager gives it.
        let mut silent = Wait::begin(at(0), at(600));
        assert_eq!(silent.look(at(0), 0, at(0)), Next::Look(at(1)));
        assert_eq!(silent.look(at(30), 0, at(0)), Next::Look(at(1)));
        assert_eq!(silent.look(at(31), 0, at(0)), Next::Stalled);
    }

    #[test]
    fn errors_tell_an_operator_what_to_do() {
        for code in [1051, 1053, 1056, 1058, 1060, 1061, 1062] {
            assert!(meaning(code).is_some_and(|text| text.len() > 10), "{code}");
        }
        assert_eq!(meaning(5), None);
    }

    proptest! {
        #[test]
        fn nothing_is_stopped_before_what_needs_it(
            edges in proptest::collection::vec((0_u8..12, 0_u8..12), 0..40)
        ) {
            // Needs lead to higher numbers alone, so that there is no ring.
            let all: Vec<Needs> = (0_u8..12).map(|service| Needs {
                name: format!("S{service}"),
                needs: edges.iter()
                    .filter(|(from, to)| *from == service && to > from)
                    .map(|(_, to)| format!("s{to}"))
                    .collect(),
            }).collect();
            let order = stop_order("S11", &all);
            let place = |name: &str| order.iter().position(|one| one.eq_ignore_ascii_case(name));
            for service in &all {
                for needed in &service.needs {
                    if let (Some(user), Some(used)) = (place(&service.name), place(needed)) {
                        prop_assert!(user < used, "{:?}", order);
                    }
                    if needed.eq_ignore_ascii_case("S11") || place(needed).is_some() {
                        prop_assert!(place(&service.name).is_some(), "{:?}", order);
                    }
                }
            }
        }
    }
}
