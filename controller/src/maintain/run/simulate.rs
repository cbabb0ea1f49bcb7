//! Imagines a run that goes well, with the same machine that works on a real one: when each host has its turn, and who does
//! not fit.

use std::collections::VecDeque;
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::action::{ActionId, ActionState};
use tidemark_model::run::{Run, RunHostState, RunRules, RunState};
use tidemark_model::window::Occurrence;

use super::machine::{self, ActionNow, Facts, Health, HostNow, Order, WindowNow};
use crate::remediate::RemediationRules;

const HOUR: Duration = Duration::from_secs(3_600);
/// Moments looked at for one step of one host, at most: it begins, it ends, and windows open and close.
const MOMENTS_PER_STEP: usize = 8;

/// What a run is imagined with.
pub(super) struct Timetable<'a> {
    /// The next times of each host's window, in the run's order; empty where it needs none.
    pub(super) windows: Vec<Vec<Occurrence>>,
    /// How long each step takes, in milliseconds.
    pub(super) step_ms: Vec<i64>,
    /// How much may be done at once and over time.
    pub(super) limits: &'a RemediationRules,
    /// When it is approved.
    pub(super) now: Timestamp,
}

/// Notes when each host of a planned run is expected to have its turn and to be done.
pub(super) fn simulate(run: &mut Run, rules: &RunRules, timetable: &Timetable<'_>) {
    let mut rules = rules.clone();
    let disturbs = run.spec.tier().number() > 0;
    if disturbs {
        rules.concurrency = rules.concurrency.min(timetable.limits.concurrent_max);
    }
    let mut imagined = run.clone();
    imagined.state = RunState::Approved;
    let hosts = imagined.hosts.len();
    let mut dream = Dream {
        rules: &rules,
        timetable,
        facts: Facts {
            hosts: vec![well(); hosts],
            is_locked: false,
        },
        ends: vec![None; hosts],
        begun: VecDeque::new(),
        disturbs,
        now: timetable.now,
    };
    let moments = (hosts * rules.steps.len() + 10).saturating_mul(MOMENTS_PER_STEP);
    for _ in 0..moments {
        imagined = dream.moment(imagined);
        if imagined.state.is_final() || !dream.pass(&imagined) {
            break;
        }
    }
    for (host, imagined) in run.hosts.iter_mut().zip(&imagined.hosts) {
        let is_done = imagined.state == RunHostState::Verified;
        host.body.expected_start_ms = imagined.body.begun_at_ms.filter(|_| is_done);
        host.body.expected_end_ms = imagined.body.ended_at_ms.filter(|_| is_done);
    }
}

fn well() -> HostNow {
    HostNow {
        window: WindowNow::Open(None),
        before: Health::Good,
        after: Health::Good,
        is_connected: true,
        boot: Some(String::new()),
        action: None,
    }
}

struct Dream<'a> {
    rules: &'a RunRules,
    timetable: &'a Timetable<'a>,
    facts: Facts,
    /// When what each host is at is done.
    ends: Vec<Option<Timestamp>>,
    /// When the actions of the last hour were begun.
    begun: VecDeque<Timestamp>,
    disturbs: bool,
    now: Timestamp,
}

impl Dream<'_> {
    /// Everything that happens at this moment.
    fn moment(&mut self, mut run: Run) -> Run {
        loop {
            self.look();
            let before = run.state;
            let (next, orders) = machine::step(run, self.rules, &self.facts, self.now);
            run = next;
            for order in &orders {
                if let Order::Ask(place) = order {
                    self.ask(&mut run, *place);
                }
            }
            if orders.is_empty() && run.state == before {
                return run;
            }
        }
    }

    fn look(&mut self) {
        let now = self.now;
        for (place, host) in self.facts.hosts.iter_mut().enumerate() {
            if self.rules.is_windowed {
                let times = self.timetable.windows.get(place);
                host.window = WindowNow::of(times.map_or(&[], Vec::as_slice), now);
            }
            let end = self.ends.get_mut(place);
            if let (Some(end), Some(action)) = (end, &mut host.action)
                && end.is_some_and(|at| at <= now)
            {
                action.state = ActionState::Verified;
                action.ended_at = *end;
                host.boot = Some(format!("after {}", now.unix_ms()));
                *end = None;
            }
        }
    }

    fn ask(&mut self, run: &mut Run, place: usize) {
        let (Some(host), Some(known)) = (run.hosts.get_mut(place), self.facts.hosts.get_mut(place))
        else {
            return;
        };
        let takes = self.timetable.step_ms.get(host.body.step as usize);
        let takes = u64::try_from(takes.copied().unwrap_or(0)).unwrap_or(0);
        let per_hour = self.timetable.limits.per_hour_max;
        let mut begins = self.now;
        if self.disturbs {
            while self.begun.len() > per_hour {
                self.begun.pop_front();
            }
            if self.begun.len() == per_hour
                && let Some(first) = self.begun.front()
            {
                begins = begins.max(first.saturating_add(HOUR));
            }
            self.begun.push_back(begins);
        }
        let end = begins.saturating_add(Duration::from_millis(takes));
        if let Some(known_end) = self.ends.get_mut(place) {
            *known_end = Some(end);
        }
        host.body.action = Some(ActionId::from_bytes([0; 16]));
        known.action = Some(ActionNow {
            state: ActionState::Running,
            sent_at: Some(begins),
            ended_at: None,
            is_worse: false,
            text: String::new(),
        });
    }

    /// Goes to the next moment at which something happens; `false` when nothing will.
    fn pass(&mut self, run: &Run) -> bool {
        let ends = self.ends.iter().filter_map(|end| *end);
        let windows = self.timetable.windows.iter().flatten();
        let windows = windows
            .filter(|_| self.rules.is_windowed)
            .flat_map(|at| [at.start, at.end]);
        let next = ends.chain(windows).chain(run.deadline);
        let next = next.filter(|at| *at > self.now).min();
        if let Some(next) = next {
            self.now = next;
        }
        next.is_some()
    }
}

#[cfg(test)]
mod tests;
