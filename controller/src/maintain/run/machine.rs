//! What follows when in a run: `step` takes a run, what is known of its hosts and the time, and answers the run as it is
//! then with what is to be asked of whom. No IO, no clock: the driver asks, the plan imagines, and both use this.
//!
//! ```text
//! planned -> approved -> running <-> waiting        pending <-> gated -> sent -> down -> up -> verifying -> verified
//!    |          |           |          |                          |        \_____|____|________|______> failed
//!    v          v           v          v                          v
//! rejected   cancelled   stopping -> stopped | failed          skipped
//! expired    expired     finished
//! ```

pub(super) mod host;

use std::collections::HashSet;
use std::time::Duration;

use tidemark_calendar::open_until;
use tidemark_model::Timestamp;
use tidemark_model::action::ActionState;
use tidemark_model::run::{IfMissed, Run, RunHost, RunHostState, RunRules, RunState};
use tidemark_model::window::Occurrence;

/// How long a run may wait for approvals, and for its window after that: a window that comes once a month does.
pub const EXPIRES_AFTER: Duration = Duration::from_secs(35 * 86_400);

/// What is known at one moment.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of each host, in the run's order.
    pub hosts: Vec<HostNow>,
    /// Whether every action is stopped.
    pub is_locked: bool,
}

/// What is known of one host.
#[derive(Clone, Debug)]
pub struct HostNow {
    /// Whether it may be worked on.
    pub window: WindowNow,
    /// What the gate before says.
    pub before: Health,
    /// What the gate after says.
    pub after: Health,
    /// Whether its agent is connected.
    pub is_connected: bool,
    /// Identity of its boot, as its agent told it last.
    pub boot: Option<String>,
    /// The action that was asked for last; `None` when there is none.
    pub action: Option<ActionNow>,
}

/// How a host's window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowNow {
    /// It is open until then; for good where the run needs no window.
    Open(Option<Timestamp>),
    /// It is closed; when it comes next it ends then.
    Closed(Timestamp),
    /// It does not come for this host.
    Never,
}

impl WindowNow {
    /// By the times of the window, ascending.
    #[must_use]
    pub fn of(times: &[Occurrence], now: Timestamp) -> Self {
        let coming = times.iter().copied().filter(|at| at.end > now);
        let Some(first) = coming.clone().next() else {
            return Self::Never;
        };
        match open_until(coming, now) {
            Some(until) => Self::Open(Some(until)),
            None => Self::Closed(first.end),
        }
    }
}

/// What a gate says of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It may go on.
    Good,
    /// Not at this moment, and why.
    Wait(String),
    /// Not at all, and why.
    Never(String),
}

/// How an action of the run stands.
#[derive(Clone, Debug)]
pub struct ActionNow {
    /// Where it stands.
    pub state: ActionState,
    /// When it was given to its host.
    pub sent_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// That headroom got worse by it, undone or not.
    pub is_worse: bool,
    /// What was said of it last.
    pub text: String,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask for the step that the host at this place is at.
    Ask(usize),
    /// Take back the action of the host at this place, if it was not sent yet.
    TakeBack(usize),
}

/// Takes a run one step on. Applied again with the same facts it changes nothing that it did not change before.
#[must_use]
pub fn step(run: Run, rules: &RunRules, facts: &Facts, now: Timestamp) -> (Run, Vec<Order>) {
    let mut machine = Machine {
        run,
        rules,
        facts,
        now,
        orders: Vec::new(),
    };
    match machine.run.state {
        RunState::Planned => machine.expire("nobody approved it in time"),
        RunState::Approved => {
            machine.note_chances();
            machine.end_chances();
            if machine.is_over() {
                let why = "its window closed before it began";
                machine.go(RunState::Expired, why.to_owned());
            }
            machine.open();
            machine.expire("its window did not come in time");
        }
        RunState::Waiting => {
            machine.end_chances();
            machine.open();
            if machine.is_over() {
                machine.go(RunState::Finished, String::new());
            }
            machine.time_out("its window did not come again in time");
        }
        RunState::Running => machine.work(),
        RunState::Stopping => machine.wind_up(),
        RunState::Finished
        | RunState::Stopped
        | RunState::Failed
        | RunState::Rejected
        | RunState::Expired
        | RunState::Cancelled => {}
    }
    (machine.run, machine.orders)
}

/// Ends a run that nothing is under way of, or lets what is under way finish.
pub fn stop(run: &mut Run, why: String, now: Timestamp) {
    let to = match run.state {
        RunState::Planned | RunState::Approved => RunState::Cancelled,
        RunState::Waiting | RunState::Running => RunState::Stopping,
        RunState::Stopping
        | RunState::Finished
        | RunState::Stopped
        | RunState::Failed
        | RunState::Rejected
        | RunState::Expired
        | RunState::Cancelled => return,
    };
    go(run, to, why, now);
}

/// Takes a run to another state.
pub fn go(run: &mut Run, to: RunState, why: String, now: Timestamp) {
    run.state = to;
    run.body.state_at_ms = now;
    if !why.is_empty() {
        run.body.why = why;
    }
    if to.is_final() {
        run.ended_at = Some(now);
        run.deadline = None;
        for host in &mut run.hosts {
            if !host.state.is_final() {
                let why = "the run ended before its turn".to_owned();
                host::go(host, RunHostState::Skipped, why, now);
            }
        }
    }
}

struct Machine<'a> {
    run: Run,
    rules: &'a RunRules,
    facts: &'a Facts,
    now: Timestamp,
    orders: Vec<Order>,
}

impl Machine<'_> {
    fn go(&mut self, to: RunState, why: String) {
        go(&mut self.run, to, why, self.now);
    }

    fn is_due(&self) -> bool {
        self.run
            .deadline
            .is_some_and(|deadline| deadline <= self.now)
    }

    fn is_over(&self) -> bool {
        self.run.hosts.iter().all(|host| host.state.is_final())
    }

    fn failed(&self) -> usize {
        let failed = |host: &&RunHost| host.state == RunHostState::Failed;
        self.run.hosts.iter().filter(failed).count()
    }

    fn under_way(&self) -> usize {
        let under_way = |host: &&RunHost| host.state.is_under_way();
        self.run.hosts.iter().filter(under_way).count()
    }

    /// Hosts at which something is or may be under way: of one that failed, its action may not have ended.
    fn at_work(&self) -> usize {
        let both = self.run.hosts.iter().zip(&self.facts.hosts);
        both.filter(|(host, known)| is_at_work(host, known)).count()
    }

    fn expire(&mut self, why: &str) {
        if self.is_due() && matches!(self.run.state, RunState::Planned | RunState::Approved) {
            self.go(RunState::Expired, why.to_owned());
        }
    }

    fn time_out(&mut self, why: &str) {
        if self.is_due() && !self.run.state.is_final() {
            self.go(RunState::Stopping, why.to_owned());
        }
    }

    /// Hosts that are waited for, with what is known of them.
    fn waiting(&self) -> impl Iterator<Item = &HostNow> {
        let both = self.run.hosts.iter().zip(&self.facts.hosts);
        both.filter(|(host, _)| !host.state.is_final() && !host.state.is_under_way())
            .map(|(_, now)| now)
    }

    fn is_open(&self) -> bool {
        self.waiting()
            .any(|host| matches!(host.window, WindowNow::Open(_)))
    }

    /// Begins, or goes on, when the window of a host is open.
    fn open(&mut self) {
        if self.run.state.is_final() || !self.is_open() {
            return;
        }
        self.run.deadline = Some(self.now.saturating_add(self.rules.stop_after));
        self.run.body.started_at_ms.get_or_insert(self.now);
        self.go(RunState::Running, String::new());
    }

    /// Which time of its window is each host's, where a later one is not.
    fn note_chances(&mut self) {
        if !self.rules.is_windowed || self.rules.if_missed == IfMissed::NextWindow {
            return;
        }
        for (host, known) in self.run.hosts.iter_mut().zip(&self.facts.hosts) {
            if host.body.chance_ends_ms.is_none() {
                host.body.chance_ends_ms = match known.window {
                    WindowNow::Open(until) => until,
                    WindowNow::Closed(next_ends) => Some(next_ends),
                    WindowNow::Never => None,
                };
            }
        }
    }

    /// Leaves hosts alone whose window is over, or does not come.
    fn end_chances(&mut self) {
        for (host, known) in self.run.hosts.iter_mut().zip(&self.facts.hosts) {
            if host.state.is_final() || host.state.is_under_way() {
                continue;
            }
            let is_over = host.body.chance_ends_ms.is_some_and(|end| end <= self.now);
            let why = match (is_over, known.window) {
                (true, _) => "its window closed before its turn",
                (false, WindowNow::Never) => "its window does not come",
                (false, WindowNow::Open(_) | WindowNow::Closed(_)) => continue,
            };
            host::go(host, RunHostState::Skipped, why.to_owned(), self.now);
        }
    }

    fn work(&mut self) {
        self.advance();
        self.end_chances();
        let failed = self.failed();
        if failed >= self.rules.max_failed {
            self.go(RunState::Stopping, self.too_many(failed));
            return;
        }
        if self.is_over() {
            self.go(RunState::Finished, String::new());
        } else if self.is_due() {
            let why = "its time was over before every host had its turn (stop_after)";
            self.go(RunState::Stopping, why.to_owned());
        } else if self.under_way() == 0 && !self.is_open() {
            self.run.deadline = Some(self.run.created_at.saturating_add(EXPIRES_AFTER));
            self.go(RunState::Waiting, String::new());
        } else if !self.facts.is_locked {
            self.begin();
        }
    }

    fn too_many(&self, failed: usize) -> String {
        let names = self.run.hosts.iter();
        let names = names.filter(|host| host.state == RunHostState::Failed);
        let names: Vec<&str> = names.take(5).map(|host| &*host.body.name).collect();
        let names = names.join(", ");
        let more = failed.saturating_sub(5);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let most = self.rules.max_failed;
        format!("{failed} failed, and max_failed is {most}: {names}{more}")
    }

    /// Nothing new: what is under way finishes, what was not sent is taken back.
    fn wind_up(&mut self) {
        self.advance();
        if self.under_way() > 0 {
            return;
        }
        let to = if self.failed() >= self.rules.max_failed {
            RunState::Failed
        } else {
            RunState::Stopped
        };
        self.go(to, String::new());
    }

    fn advance(&mut self) {
        let is_stopping = self.run.state == RunState::Stopping;
        for (place, host) in self.run.hosts.iter_mut().enumerate() {
            let Some(known) = self.facts.hosts.get(place) else {
                continue;
            };
            if !host.state.is_under_way() {
                continue;
            }
            let at = host::At {
                rules: self.rules,
                known,
                now: self.now,
                is_locked: self.facts.is_locked,
                is_stopping,
            };
            match host::advance(host, &at) {
                host::Next::Nothing => {}
                host::Next::Ask => self.orders.push(Order::Ask(place)),
                host::Next::TakeBack => self.orders.push(Order::TakeBack(place)),
            }
        }
    }

    /// Begins hosts of the first wave that is not through, as many as may be under way.
    fn begin(&mut self) {
        let open = self.run.hosts.iter().filter(|host| !host.state.is_final());
        let Some(wave) = open.map(|host| host.body.wave).min() else {
            return;
        };
        let mut room = self.rules.concurrency.saturating_sub(self.at_work());
        let (mut taken, unwell) = self.taken();
        for (place, host) in self.run.hosts.iter_mut().enumerate() {
            let Some(known) = self.facts.hosts.get(place) else {
                continue;
            };
            let spread = host.body.spread.as_ref();
            let is_free = room > 0 && spread.is_none_or(|value| !taken.contains(value));
            let is_looked_at = match host.state {
                RunHostState::Pending => is_free,
                RunHostState::Gated => true,
                RunHostState::Sent
                | RunHostState::Down
                | RunHostState::Up
                | RunHostState::Verifying
                | RunHostState::Verified
                | RunHostState::Failed
                | RunHostState::Skipped => false,
            };
            if !is_looked_at || host.body.wave != wave {
                continue;
            }
            let health = match spread.filter(|value| unwell.contains(*value)) {
                Some(value) => Health::Wait(format!(
                    "another host of {value:?} failed and is not well; two of them may not be down at once"
                )),
                None => known.before.clone(),
            };
            match host::turn(
                host,
                &health,
                known.window,
                self.rules.gate_timeout,
                self.now,
            ) {
                host::Turn::Come if is_free => {
                    host::begin(host, known, self.now);
                    self.orders.push(Order::Ask(place));
                    room -= 1;
                    taken.extend(host.body.spread.clone());
                }
                host::Turn::Come | host::Turn::NotYet => {}
            }
        }
    }

    /// Values of the spread label of which a host is under way, and those of which one failed and is not well.
    fn taken(&self) -> (HashSet<String>, HashSet<String>) {
        let (mut taken, mut unwell) = (HashSet::new(), HashSet::new());
        for (host, known) in self.run.hosts.iter().zip(&self.facts.hosts) {
            let Some(value) = &host.body.spread else {
                continue;
            };
            if is_at_work(host, known) {
                taken.insert(value.clone());
            } else if host.state == RunHostState::Failed && known.after != Health::Good {
                unwell.insert(value.clone());
            }
        }
        (taken, unwell)
    }
}

fn is_at_work(host: &RunHost, known: &HostNow) -> bool {
    let action = known.action.as_ref();
    let is_open = action.is_some_and(|action| !action.state.is_final());
    host.state.is_under_way() || host.state == RunHostState::Failed && is_open
}

#[cfg(test)]
mod tests;
