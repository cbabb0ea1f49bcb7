//! One look at a fleet for what the leaks of each process have in common. Keeps no state.

use std::sync::Arc;

use tidemark_model::Timestamp;

use super::tail::Tail;
use super::{CommonCause, Fleet, HOSTS_LEAST};

/// The chance that a cause is none, over all values and processes that were tried.
const CHANCE: f64 = 0.001;
/// The same for values that leaking hosts changed to before they leaked.
const CHANCE_AFTER_CHANGE: f64 = 0.01;
/// Of the hosts with the value, at least this share leaks.
const SHARE_LEAST: f64 = 0.25;
/// The same where every host that runs the process has the value, so that only the rest of the fleet tells.
const SHARE_LEAST_OF_FLEET: f64 = 0.6;
/// Values whose chance differs by less than this many powers of ten explain the leaks equally well.
const EQUAL_POWERS: f64 = 0.3;
/// Causes of one process at most: each is looked for among the hosts that the ones before leave unexplained.
const CAUSES_A_PROCESS: usize = 3;
/// Equally good values that are named beside a cause.
const ALIKE_MAX: usize = 8;
/// A change counts as coming before a leak from this long before it ...
const CHANGE_BEFORE_MS: i64 = 3 * 86_400_000;
/// ... to this long after: an onset is known to within hours.
const CHANGE_AFTER_MS: i64 = 6 * 3_600_000;

pub(super) struct Sweep<'a> {
    fleet: &'a Fleet,
    tail: Tail,
    /// Processes that are tried.
    processes: usize,
}

/// A value that may explain the leaks of one process.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    value: u32,
    /// Hosts that have it, and of those, that leak.
    having: usize,
    leaking: usize,
    /// Power of ten of its chance, corrected.
    power: f64,
    changed_before: usize,
}

/// Hosts that are compared, by position.
#[derive(Clone, Copy, Debug)]
struct Comparison<'a> {
    hosts: &'a [usize],
    leaking: &'a [usize],
    is_among_runners: bool,
}

/// By value: how many of the compared hosts have it, how many of the leaking ones do, and how many of those changed to
/// it before they leaked.
struct Counts {
    having: Vec<u32>,
    leaking: Vec<u32>,
    changed: Vec<u32>,
}

fn count(counts: &[u32], value: u32) -> usize {
    counts
        .get(value as usize)
        .map_or(0, |count| *count as usize)
}

impl Counts {
    fn was_changed(&self, value: u32) -> bool {
        count(&self.changed, value) >= HOSTS_LEAST
    }
}

/// How many values and processes are tried. A value that too few hosts have could never be told, so it is not tried.
/// Those that leaking hosts changed to are a question of their own, with a chance of error for itself.
struct Tries {
    changed: usize,
    other: usize,
}

impl Tries {
    fn new(counts: &Counts, processes: usize) -> Self {
        let mut tries = Self {
            changed: 0,
            other: 0,
        };
        for (value, having) in (0u32..).zip(&counts.having) {
            if (*having as usize) < HOSTS_LEAST {
                continue;
            }
            if counts.was_changed(value) {
                tries.changed += processes;
            } else {
                tries.other += processes;
            }
        }
        tries
    }

    fn of(&self, counts: &Counts, value: u32) -> usize {
        if counts.was_changed(value) {
            self.changed
        } else {
            self.other
        }
    }
}

/// The best value of a comparison, those as good, and how many were tried.
struct Found {
    best: Candidate,
    alike: Vec<u32>,
    tried: usize,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(fleet: &'a Fleet, processes: usize) -> Self {
        Self {
            fleet,
            tail: Tail::new(fleet.members.len()),
            processes,
        }
    }

    /// What the `leaking` hosts have in common that the others which run `culprit` lack. Hosts that one cause explains
    /// are left out of the look for the next.
    pub(super) fn causes_of(
        &self,
        culprit: &str,
        leaking: &[usize],
        running: &[usize],
    ) -> Vec<CommonCause> {
        let mut causes = Vec::new();
        let (mut leaking, mut running) = (leaking.to_vec(), running.to_vec());
        while causes.len() < CAUSES_A_PROCESS && leaking.len() >= HOSTS_LEAST {
            let among = Comparison {
                hosts: &running,
                leaking: &leaking,
                is_among_runners: true,
            };
            let Some(found) = self.best(&among, |_| true) else {
                break;
            };
            causes.push(self.told(culprit, &found, &among));
            let is_left = |position: &usize| !self.has(*position, found.best.value);
            leaking.retain(is_left);
            running.retain(is_left);
        }
        if causes.is_empty() {
            causes.extend(self.cause_in_fleet(culprit, &leaking, &running));
        }
        causes
    }

    /// Values that every host with the process has say nothing among those; the rest of the fleet must tell.
    fn cause_in_fleet(
        &self,
        culprit: &str,
        leaking: &[usize],
        running: &[usize],
    ) -> Option<CommonCause> {
        let everyone: Vec<usize> = (0..self.fleet.members.len()).collect();
        let compared = Comparison {
            hosts: &everyone,
            leaking,
            is_among_runners: false,
        };
        let is_shared = |value: u32| running.iter().all(|position| self.has(*position, value));
        let found = self.best(&compared, is_shared)?;
        Some(self.told(culprit, &found, &compared))
    }

    fn has(&self, position: usize, value: u32) -> bool {
        self.fleet
            .members
            .get(position)
            .is_some_and(|member| member.values.contains(&value))
    }

    /// How many of the hosts have each value.
    fn counts(&self, hosts: &[usize]) -> Vec<u32> {
        let mut counts = vec![0u32; self.fleet.values.len()];
        for member in hosts
            .iter()
            .filter_map(|position| self.fleet.members.get(*position))
        {
            for value in &member.values {
                if let Some(count) = counts.get_mut(*value as usize) {
                    *count += 1;
                }
            }
        }
        counts
    }

    fn best(&self, compared: &Comparison<'_>, is_wanted: impl Fn(u32) -> bool) -> Option<Found> {
        let counts = Counts {
            having: self.counts(compared.hosts),
            leaking: self.counts(compared.leaking),
            changed: self.changed_before(compared.leaking),
        };
        let tries = Tries::new(&counts, self.processes);
        let mut candidates: Vec<Candidate> = (0u32..)
            .take(self.fleet.values.len())
            .filter(|value| is_wanted(*value))
            .filter_map(|value| self.candidate(value, (&counts, &tries), compared))
            .collect();
        let least = candidates
            .iter()
            .map(|candidate| candidate.power)
            .reduce(f64::min)?;
        candidates.retain(|candidate| candidate.power <= least + EQUAL_POWERS);
        candidates.sort_by(|one, other| {
            let share = |candidate: &Candidate| candidate.leaking as f64 / candidate.having as f64;
            other
                .changed_before
                .cmp(&one.changed_before)
                .then(share(other).total_cmp(&share(one)))
                .then(one.value.cmp(&other.value))
        });
        let best = *candidates.first()?;
        let alike = candidates.iter().skip(1).take(ALIKE_MAX);
        Some(Found {
            alike: alike.map(|candidate| candidate.value).collect(),
            tried: tries.of(&counts, best.value),
            best,
        })
    }

    /// The value, when it explains the leaks well enough to be told.
    fn candidate(
        &self,
        value: u32,
        (counts, tries): (&Counts, &Tries),
        compared: &Comparison<'_>,
    ) -> Option<Candidate> {
        let (having, leaking) = (count(&counts.having, value), count(&counts.leaking, value));
        let share_least = if compared.is_among_runners {
            SHARE_LEAST
        } else {
            SHARE_LEAST_OF_FLEET
        };
        if leaking < HOSTS_LEAST || (leaking as f64) < share_least * having as f64 {
            return None;
        }
        let (all, leaks) = (compared.hosts.len(), compared.leaking.len());
        let power = self.tail.power_at_least(leaking, having, leaks, all)
            + (tries.of(counts, value).max(1) as f64).log10();
        let chance = if counts.was_changed(value) {
            CHANCE_AFTER_CHANGE
        } else {
            CHANCE
        };
        (power <= chance.log10()).then_some(Candidate {
            value,
            having,
            leaking,
            power,
            changed_before: count(&counts.changed, value),
        })
    }

    /// On how many of the leaking hosts a change to each value came before the leak; those that have it no more are left
    /// out.
    fn changed_before(&self, leaking: &[usize]) -> Vec<u32> {
        let mut counts = vec![0u32; self.fleet.values.len()];
        let members = leaking
            .iter()
            .filter_map(|position| self.fleet.members.get(*position));
        for member in members {
            let Some(leak) = &member.leak else { continue };
            let mut before: Vec<u32> = member
                .changes
                .iter()
                .filter(|(_, at)| {
                    (-CHANGE_AFTER_MS..=CHANGE_BEFORE_MS).contains(&leak.since.ms_since(*at))
                })
                .map(|(value, _)| *value)
                .filter(|value| member.values.contains(value))
                .collect();
            before.sort_unstable();
            before.dedup();
            for value in before {
                if let Some(count) = counts.get_mut(value as usize) {
                    *count += 1;
                }
            }
        }
        counts
    }

    fn told(&self, culprit: &str, found: &Found, compared: &Comparison<'_>) -> CommonCause {
        let best = &found.best;
        let witnesses: Vec<usize> = compared
            .leaking
            .iter()
            .copied()
            .filter(|position| self.has(*position, best.value))
            .collect();
        let members = || {
            witnesses
                .iter()
                .filter_map(|position| self.fleet.members.get(*position))
        };
        let mut hosts: Vec<String> = members().map(|member| member.name.to_string()).collect();
        hosts.sort_unstable();
        let since = members()
            .filter_map(|member| Some(member.leak.as_ref()?.since))
            .min();
        let (attribute, value) = self.named(best.value);
        CommonCause {
            attribute,
            value,
            culprit: culprit.to_owned(),
            hosts,
            since: since.unwrap_or(Timestamp::EPOCH),
            compared: compared.hosts.len(),
            is_among_runners: compared.is_among_runners,
            having: best.having,
            leaking: compared.leaking.len(),
            chance_power: best.power,
            tried: found.tried,
            changed_before: best.changed_before,
            alike: found.alike.iter().map(|value| self.named(*value)).collect(),
        }
    }

    fn named(&self, value: u32) -> (String, String) {
        let name = |text: &Arc<str>| text.to_string();
        self.fleet
            .values
            .get(value as usize)
            .map(|(attribute, value)| (name(attribute), name(value)))
            .unwrap_or_default()
    }
}
