//! One host of a run: its turn, its steps one after the other, and how it ends.

use std::time::Duration;

use tidemark_model::action::{ActionSpec, ActionState};
use tidemark_model::run::{RunHost, RunHostState, RunRules, RunStep};
use tidemark_model::{Timestamp, duration};

use super::{ActionNow, Health, HostNow, WindowNow};

/// What a host is looked at with.
pub(super) struct At<'a> {
    pub(super) rules: &'a RunRules,
    pub(super) known: &'a HostNow,
    pub(super) now: Timestamp,
    pub(super) is_locked: bool,
    pub(super) is_stopping: bool,
}

/// What is to be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    Ask,
    TakeBack,
}

/// Whether a host can be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Come,
    NotYet,
}

/// How an action ended, for its host.
enum Outcome {
    /// Not yet.
    Open,
    /// It was done, and helped.
    Helped,
    /// It was done, and did not help.
    InVain,
    /// It was tried without success, and may be tried again.
    Broke,
    /// It did harm, was undone, or nobody knows what became of it: it is not tried again.
    Lost,
    /// It never reached its host in time.
    TooLate,
    /// Somebody, or a limit, took it back before it was sent.
    TakenBack,
}

/// Puts a host into another state.
pub(in crate::maintain::run) fn go(
    host: &mut RunHost,
    to: RunHostState,
    why: String,
    now: Timestamp,
) {
    host.state = to;
    host.body.state_at_ms = now;
    host.body.why = why;
    if to.is_final() {
        host.body.ended_at_ms = Some(now);
    }
}

/// Looks whether a host that waits can be begun; its health may keep it, for a while.
pub(super) fn turn(
    host: &mut RunHost,
    health: &Health,
    window: WindowNow,
    patience: Duration,
    now: Timestamp,
) -> Turn {
    let expected = Duration::from_millis(u64::try_from(host.body.expected_ms).unwrap_or(0));
    let waits_for = match window {
        WindowNow::Open(Some(until)) if now.saturating_add(expected) > until => {
            "what is left of its window is too short"
        }
        WindowNow::Open(_) => "",
        WindowNow::Closed(_) | WindowNow::Never => "its window is closed",
    };
    if !waits_for.is_empty() {
        if host.state != RunHostState::Pending || host.body.why != waits_for {
            go(host, RunHostState::Pending, waits_for.to_owned(), now);
        }
        return Turn::NotYet;
    }
    match health {
        Health::Good => {
            if host.state == RunHostState::Gated {
                go(host, RunHostState::Pending, String::new(), now);
            }
            Turn::Come
        }
        Health::Never(why) => {
            go(host, RunHostState::Skipped, why.clone(), now);
            Turn::NotYet
        }
        Health::Wait(why) => {
            if host.state != RunHostState::Gated {
                go(host, RunHostState::Gated, why.clone(), now);
            } else if host.body.state_at_ms.saturating_add(patience) <= now {
                let why = format!("its turn passed: {why}");
                go(host, RunHostState::Skipped, why, now);
            } else if host.body.why != *why {
                host.body.why.clone_from(why);
            }
            Turn::NotYet
        }
    }
}

/// Begins a host with its first step.
pub(super) fn begin(host: &mut RunHost, known: &HostNow, now: Timestamp) {
    host.body.begun_at_ms.get_or_insert(now);
    host.body.step = 0;
    host.body.retries = 0;
    ask(host, known, now);
}

fn ask(host: &mut RunHost, known: &HostNow, now: Timestamp) {
    host.body.asked = host.body.asked.saturating_add(1);
    host.body.action = None;
    host.body.step_at_ms = Some(now);
    host.body.boot_before.clone_from(&known.boot);
    go(host, RunHostState::Sent, String::new(), now);
}

/// Takes a host that something is under way at one step on.
pub(super) fn advance(host: &mut RunHost, at: &At<'_>) -> Next {
    let Some(step) = at.rules.steps.get(host.body.step as usize) else {
        return fail(host, "its run has no such step".to_owned(), at);
    };
    // What was known before it was asked says nothing of what was asked.
    let known = at.known.action.as_ref();
    let Some(action) = known.filter(|_| host.body.action.is_some()) else {
        let asked_at = host.body.step_at_ms.unwrap_or(host.body.state_at_ms);
        if asked_at.saturating_add(at.rules.reboot_timeout) <= at.now {
            return fail(host, "its action is not known any more".to_owned(), at);
        }
        return Next::Nothing;
    };
    match outcome(action, at.rules.needs_effect) {
        Outcome::Open => follow(host, step, action, at),
        Outcome::Helped => done(host, step, action, at),
        Outcome::InVain if step.is_rung && has_next_rung(host, at) => {
            let why = "its last step did not help; the next one follows";
            go_on(host, (host.body.step.saturating_add(1), why), action, at)
        }
        Outcome::InVain | Outcome::Broke => broke(host, action, at),
        Outcome::Lost => fail(host, told(action), at),
        Outcome::TooLate => too_late(host, action, at),
        Outcome::TakenBack if host.body.step == 0 => {
            let why = if at.is_stopping {
                "the run stopped before it was sent".to_owned()
            } else {
                told(action)
            };
            go(host, RunHostState::Skipped, why, at.now);
            Next::Nothing
        }
        Outcome::TakenBack => fail(host, told(action), at),
    }
}

const fn outcome(action: &ActionNow, needs_effect: bool) -> Outcome {
    if action.is_worse && action.state.is_final() {
        return Outcome::Lost;
    }
    match action.state {
        ActionState::Proposed
        | ActionState::Approved
        | ActionState::Queued
        | ActionState::Sent
        | ActionState::Accepted
        | ActionState::Running
        | ActionState::Verifying => Outcome::Open,
        ActionState::Verified | ActionState::Answered => Outcome::Helped,
        ActionState::NotEffective if needs_effect => Outcome::InVain,
        ActionState::NotEffective => Outcome::Helped,
        ActionState::Failed | ActionState::Refused => Outcome::Broke,
        ActionState::RolledBack | ActionState::TimedOut => Outcome::Lost,
        ActionState::Expired => Outcome::TooLate,
        ActionState::Rejected | ActionState::Cancelled => Outcome::TakenBack,
    }
}

fn told(action: &ActionNow) -> String {
    let state = action.state.as_str();
    if action.text.is_empty() {
        format!("its action is {state}")
    } else {
        format!("its action is {state}: {}", action.text)
    }
}

fn reboot_of(step: &RunStep) -> Option<Duration> {
    if let ActionSpec::Reboot { grace_s, .. } = step.spec {
        Some(Duration::from_secs(u64::from(grace_s)))
    } else {
        None
    }
}

/// Another boot than before the step, told by the host's own agent in a session that is open.
fn is_back(host: &RunHost, known: &HostNow) -> bool {
    known.is_connected && known.boot.is_some() && known.boot != host.body.boot_before
}

/// Whether a restarted host should be back; its time runs from when it was told.
fn is_overdue(action: &ActionNow, grace: Duration, at: &At<'_>) -> bool {
    let limit = at.rules.reboot_timeout;
    let since = action.sent_at;
    since.is_some_and(|sent| sent.saturating_add(grace).saturating_add(limit) <= at.now)
}

fn not_back(at: &At<'_>) -> String {
    let limit = duration::format_duration(at.rules.reboot_timeout);
    format!("it did not come back with a new boot within {limit}")
}

/// Follows an action that has not ended.
fn follow(host: &mut RunHost, step: &RunStep, action: &ActionNow, at: &At<'_>) -> Next {
    let is_first = host.body.step == 0 && host.body.retries == 0;
    if action.sent_at.is_none() {
        if at.is_stopping && is_first {
            return Next::TakeBack;
        }
        if host.body.why != action.text {
            host.body.why.clone_from(&action.text);
        }
        return Next::Nothing;
    }
    let is_verifying = action.state == ActionState::Verifying;
    let to = match reboot_of(step) {
        None if is_verifying => RunHostState::Verifying,
        None => RunHostState::Sent,
        Some(_) if is_back(host, at.known) => match host.state {
            // That it is back is told for itself, also when its health is watched by then.
            RunHostState::Up | RunHostState::Verifying if is_verifying => RunHostState::Verifying,
            RunHostState::Pending
            | RunHostState::Gated
            | RunHostState::Sent
            | RunHostState::Down
            | RunHostState::Up
            | RunHostState::Verifying
            | RunHostState::Verified
            | RunHostState::Failed
            | RunHostState::Skipped => RunHostState::Up,
        },
        Some(grace) if is_overdue(action, grace, at) => return fail(host, not_back(at), at),
        // Once it was seen to be down, only a new boot says that it is up.
        Some(_) if host.state == RunHostState::Down || !at.known.is_connected => RunHostState::Down,
        Some(_) => RunHostState::Sent,
    };
    if host.state != to {
        go(host, to, String::new(), at.now);
    }
    Next::Nothing
}

/// An action did what it was to do: what is proven counts, and then the next step or the host's health.
fn done(host: &mut RunHost, step: &RunStep, action: &ActionNow, at: &At<'_>) -> Next {
    if let Some(grace) = reboot_of(step)
        && !is_back(host, at.known)
    {
        if at.known.is_connected {
            let why = "its restart was reported, and its boot is the same as before";
            return fail(host, why.to_owned(), at);
        }
        if is_overdue(action, grace, at) {
            return fail(host, not_back(at), at);
        }
        return Next::Nothing;
    }
    let mut next = host.body.step.saturating_add(1);
    // The rungs below one that helped are not needed.
    while step.is_rung
        && at
            .rules
            .steps
            .get(next as usize)
            .is_some_and(|one| one.is_rung)
    {
        next = next.saturating_add(1);
    }
    if (next as usize) < at.rules.steps.len() {
        return go_on(host, (next, ""), action, at);
    }
    let why = match &at.known.after {
        Health::Good => {
            go(host, RunHostState::Verified, String::new(), at.now);
            return Next::Nothing;
        }
        Health::Wait(why) | Health::Never(why) => why,
    };
    let done_at = action.ended_at.unwrap_or(host.body.state_at_ms);
    if done_at.saturating_add(at.rules.gate_timeout) <= at.now {
        return fail(host, format!("it is not well afterwards: {why}"), at);
    }
    if host.state != RunHostState::Verifying || host.body.why != *why {
        go(host, RunHostState::Verifying, why.clone(), at.now);
    }
    Next::Nothing
}

fn has_next_rung(host: &RunHost, at: &At<'_>) -> bool {
    let next = host.body.step.saturating_add(1) as usize;
    at.rules.steps.get(next).is_some_and(|step| step.is_rung)
}

/// Goes on with another step. Its host has begun, so that a run that stops lets it finish.
fn go_on(host: &mut RunHost, (step, why): (u32, &str), action: &ActionNow, at: &At<'_>) -> Next {
    if !matches!(at.known.window, WindowNow::Open(_)) {
        let why = "its window closed between its steps".to_owned();
        return fail(host, why, at);
    }
    if at.is_locked && at.is_stopping {
        let why = "every action was stopped between its steps".to_owned();
        return fail(host, why, at);
    }
    let since = action.ended_at.unwrap_or(host.body.state_at_ms);
    if !at.known.is_connected && since.saturating_add(at.rules.gate_timeout) <= at.now {
        let why = "its connection was lost between its steps".to_owned();
        return fail(host, why, at);
    }
    if at.is_locked || !at.known.is_connected {
        return Next::Nothing;
    }
    host.body.step = step;
    host.body.retries = 0;
    ask(host, at.known, at.now);
    why.clone_into(&mut host.body.why);
    Next::Ask
}

/// Tries a step again, if it may.
fn broke(host: &mut RunHost, action: &ActionNow, at: &At<'_>) -> Next {
    let may = host.body.retries < at.rules.max_retries && !at.is_stopping && !at.is_locked;
    if !may || !matches!(at.known.window, WindowNow::Open(_)) || !at.known.is_connected {
        return fail(host, told(action), at);
    }
    host.body.retries = host.body.retries.saturating_add(1);
    let why = format!("tried again: {}", told(action));
    ask(host, at.known, at.now);
    host.body.why = why;
    Next::Ask
}

/// An action that never reached its host: a host that was not touched gets another turn.
fn too_late(host: &mut RunHost, action: &ActionNow, at: &At<'_>) -> Next {
    if host.body.step > 0 {
        return fail(host, told(action), at);
    }
    if at.is_stopping {
        let why = "the run stopped before it was sent".to_owned();
        go(host, RunHostState::Skipped, why, at.now);
    } else {
        go(host, RunHostState::Pending, told(action), at.now);
    }
    Next::Nothing
}

fn fail(host: &mut RunHost, why: String, at: &At<'_>) -> Next {
    go(host, RunHostState::Failed, why, at.now);
    Next::Nothing
}
