//! What a host saw by itself: since when each level of each port space holds, who holds the ports, which events its log told.
//!
//! In memory alone: after a start a level must hold anew. Time is that of the running agent, so that no clock matters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::duration::format_duration;
use tidemark_model::grant::{Culprit, Trigger};
use tidemark_model::sample::{OwnerSample, PortSpaceSample};
use tidemark_model::{ActionSpec, PortSpaceKey, Sample, Timestamp};

use super::Moment;
use crate::actions::judge::CLOCK_TOLERANCE;

/// Port spaces that are looked at.
const SPACES_MAX: usize = 64;
/// Kinds of events that are remembered.
const EVENTS_MAX: usize = 256;
/// A level ends below this share of itself, in percent, as that of a standing policy.
const RELIEVED_PERCENT: u64 = 95;
/// Samples that are this far apart at least, and three times as far as those before, leave a hole.
const HOLE_MIN: Duration = Duration::from_secs(60);
/// Samples that are this far apart leave a hole in any case: three times the longest interval.
const HOLE_MAX: Duration = Duration::from_secs(900);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    spaces: BTreeMap<PortSpaceKey, Space>,
    /// When the newest sample was taken, since the agent's start.
    sampled: Option<Duration>,
    /// How far apart samples are at most. A longer step counts for as long as it lasted, so that a sample beside the regular
    /// ones makes no hole of the rest.
    step: Duration,
    events: BTreeMap<(Arc<str>, u32), Told>,
}

#[derive(Clone, Debug)]
struct Space {
    /// For each percentage from 1 to 100, since when it holds.
    since: Vec<Option<Duration>>,
    newest: PortSpaceSample,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    /// When it happened, by the host's clock.
    at: Timestamp,
    /// When it was read, since the agent's start.
    read: Duration,
}

impl Evidence {
    /// Takes in a sample that was taken `running` after the agent's start.
    pub fn sample(&mut self, sample: &Sample, running: Duration) {
        let step = self.sampled.map(|before| running.saturating_sub(before));
        if step.is_none_or(|step| step > self.hole()) {
            self.spaces.clear();
        }
        let step = step.unwrap_or_default();
        self.step = step.max(self.step.saturating_sub(step));
        self.sampled = Some(running);
        let seen = sample.port_spaces.iter().take(SPACES_MAX);
        let mut before = std::mem::take(&mut self.spaces);
        for newest in seen {
            let since = before.remove(&newest.key).map(|space| space.since);
            let mut since = since.unwrap_or_else(|| vec![None; 100]);
            for (percent, since) in (1_u64..).zip(&mut since) {
                let (holds, begins) = holds_at(newest, percent);
                *since = since.filter(|_| holds).or(begins.then_some(running));
            }
            let newest = newest.clone();
            self.spaces
                .insert(newest.key.clone(), Space { since, newest });
        }
    }

    /// Takes in an event of the host's log, read at `now`, `running` after the agent's start. One that lies in the future by
    /// then is no evidence: a clock was set, or its writer names times at will.
    pub fn event(
        &mut self,
        source: &Arc<str>,
        code: u32,
        at: Timestamp,
        (now, running): (Timestamp, Duration),
    ) {
        let latest = now.saturating_add(CLOCK_TOLERANCE);
        if at > latest {
            return;
        }
        let key = (Arc::clone(source), code);
        if self.events.len() >= EVENTS_MAX && !self.events.contains_key(&key) {
            let oldest = self.events.iter().min_by_key(|(_, told)| told.read);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.events.remove(&oldest);
            }
        }
        let told = self.events.entry(key).or_insert(Told { at, read: running });
        // A clock that was set back since leaves an earlier one in the future.
        told.at = if told.at > latest {
            at
        } else {
            told.at.max(at)
        };
        told.read = running;
    }

    fn hole(&self) -> Duration {
        (self.step * 3).clamp(HOLE_MIN, HOLE_MAX)
    }

    /// Whether `trigger` holds, and `spec` is about whom it names.
    ///
    /// # Errors
    /// What is seen instead, in words.
    pub fn holds(
        &self,
        trigger: &Trigger,
        spec: &ActionSpec,
        moment: Moment,
    ) -> Result<(), String> {
        match trigger {
            Trigger::Level {
                percent,
                held_s,
                culprit,
                ..
            } => {
                let filter = trigger.space();
                let is_meant =
                    |key: &PortSpaceKey| filter.as_ref().is_some_and(|one| one.takes(key));
                let is_fresh = |at: &Duration| moment.running.saturating_sub(*at) <= self.hole();
                let sampled = self.sampled.filter(is_fresh);
                let sampled = sampled.ok_or("there is no sample of this moment")?;
                let held = Duration::from_secs((*held_s).into());
                let mut why = "no such port space".to_owned();
                for (_, space) in self.spaces.iter().filter(|(key, _)| is_meant(key)) {
                    match space.holds((*percent, held), *culprit, (spec, sampled)) {
                        Ok(()) => return Ok(()),
                        Err(text) => why = text,
                    }
                }
                Err(why)
            }
            Trigger::Event {
                source,
                code,
                within_s,
            } => self.was_told(source, *code, (*within_s, moment)),
        }
    }

    fn was_told(
        &self,
        source: &str,
        code: u32,
        (within_s, moment): (u32, Moment),
    ) -> Result<(), String> {
        let told = self.events.get(&(Arc::from(source), code));
        let told = told.ok_or("no such event was told since the agent started")?;
        let within = Duration::from_secs(within_s.into());
        let is_recent = moment.running.saturating_sub(told.read) <= within
            && told.at.saturating_add(within) >= moment.now;
        if !is_recent {
            return Err("the last such event is older".to_owned());
        }
        if told.at > moment.now.saturating_add(CLOCK_TOLERANCE) {
            return Err("the last such event lies in the future, by the host's clock".to_owned());
        }
        Ok(())
    }
}

/// Whether a level that was reached still holds, and whether it is reached.
fn holds_at(space: &PortSpaceSample, percent: u64) -> (bool, bool) {
    let (in_use, capacity) = (u64::from(space.in_use()), u64::from(space.capacity));
    let reached = |bar: u64| capacity > 0 && in_use * 10_000 >= capacity * bar;
    (reached(percent * RELIEVED_PERCENT), reached(percent * 100))
}

impl Space {
    fn holds(
        &self,
        (percent, held): (u8, Duration),
        culprit: Option<Culprit>,
        (spec, sampled): (&ActionSpec, Duration),
    ) -> Result<(), String> {
        let place = usize::from(percent).saturating_sub(1);
        let since = self.since.get(place).copied().flatten();
        let (in_use, capacity) = (self.newest.in_use(), self.newest.capacity);
        let key = &self.newest.key;
        let since = since.ok_or_else(|| format!("{in_use} of {capacity} {key} ports in use"))?;
        // What came after the newest sample, nobody has seen.
        let holds_for = sampled.saturating_sub(since);
        if holds_for < held {
            return Err(format!(
                "it has held for {}",
                format_duration(Duration::from_secs(holds_for.as_secs()))
            ));
        }
        match culprit {
            Some(culprit) => self.blames(culprit, spec),
            None => Ok(()),
        }
    }

    /// Whether the action is about somebody who holds that share.
    fn blames(&self, culprit: Culprit, spec: &ActionSpec) -> Result<(), String> {
        let is_it = |owner: &&OwnerSample| match spec {
            ActionSpec::EndProcess {
                pid,
                started_at_ms,
                image,
            } => {
                let process = &owner.process;
                process.pid == *pid
                    && process.started_at.unix_ms() == *started_at_ms
                    && is_image(owner, image)
            }
            ActionSpec::RestartService { service, .. } => owner
                .process
                .service
                .as_deref()
                .is_some_and(|own| is_service(own, service)),
            ActionSpec::CollectEvidence { .. }
            | ActionSpec::WriteEvent { .. }
            | ActionSpec::RecycleAppPool { .. }
            | ActionSpec::SetDynamicPortRange { .. }
            | ActionSpec::SetTcpParameter { .. }
            | ActionSpec::SetTcpGlobal { .. }
            | ActionSpec::SetNicOffload { .. }
            | ActionSpec::SetInterruptModeration { .. }
            | ActionSpec::SetDotnetConnectionLimit { .. }
            | ActionSpec::ResetTcpStack { .. }
            | ActionSpec::Reboot { .. }
            | ActionSpec::RunHook { .. } => false,
        };
        let owners = self.newest.owners.iter().filter(is_it);
        let ports: u64 = owners.map(|owner| u64::from(owner.counts.ports)).sum();
        let in_use = u64::from(self.newest.in_use());
        if ports > 0 && ports * 100 >= in_use * u64::from(culprit.percent) {
            Ok(())
        } else {
            Err(format!(
                "{} holds {ports} of the {in_use} {} ports in use",
                spec.subject(),
                self.newest.key
            ))
        }
    }
}

/// Whether a process runs the file of that name, by its path or, where that is unknown, its short name.
fn is_image(owner: &OwnerSample, image: &str) -> bool {
    let path = owner.process.executable.as_deref();
    let file = path.and_then(|path| path.rsplit(['/', '\\']).next());
    owner.process.name.eq_ignore_ascii_case(image)
        || file.is_some_and(|file| file.eq_ignore_ascii_case(image))
}

/// systemd's units are named with and without their suffix.
fn is_service(own: &str, asked: &str) -> bool {
    let plain = |name: &str| name.strip_suffix(".service").unwrap_or(name).to_lowercase();
    plain(own) == plain(asked)
}
