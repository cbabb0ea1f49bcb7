//! What to do next with one host's history.

use std::collections::{BTreeMap, BTreeSet};

use tidemark_model::Timestamp;

use super::policy::DAY_MS;
use super::{CompactPolicy, Cutoffs, Job};
use crate::stored::{RecentMeta, SegmentMeta};
use crate::{Tier, Window};

/// The jobs that are due at `now` for a host that has `recent` and `segments`, at most [`CompactPolicy::jobs_max`],
/// most urgent first. No two of them share a source. Nothing is due when it is empty.
#[must_use]
pub fn plan(
    recent: &[RecentMeta],
    segments: &[SegmentMeta],
    policy: &CompactPolicy,
    cutoffs: Cutoffs,
    now: Timestamp,
) -> Vec<Job> {
    let mut planner = Planner {
        recent: recent.to_vec(),
        late: Vec::new(),
        segments,
        policy,
        cutoffs,
        now,
        touched: BTreeSet::new(),
        jobs: Vec::new(),
    };
    planner.recent.sort_by_key(|row| row.id);
    planner.discard();
    planner.late.clone_from(&planner.recent);
    planner.compact();
    planner.merge();
    planner.roll_up();
    planner.delete();
    planner.jobs.truncate(policy.jobs_max);
    planner.jobs
}

struct Planner<'a> {
    /// Rows that no job has taken.
    recent: Vec<RecentMeta>,
    /// Rows that are or will be compacted: their days are not settled.
    late: Vec<RecentMeta>,
    segments: &'a [SegmentMeta],
    policy: &'a CompactPolicy,
    cutoffs: Cutoffs,
    now: Timestamp,
    /// Segments that a job reads or replaces.
    touched: BTreeSet<i64>,
    jobs: Vec<Job>,
}

impl Planner<'_> {
    /// Rows that came after the raw points of their window had been rolled up and deleted.
    fn discard(&mut self) {
        let window_ms = self.policy.window_ms();
        let gone: BTreeSet<i64> = self
            .recent
            .iter()
            .filter(|row| self.is_gone(Window::holding(row.last, window_ms)))
            .map(|row| row.id)
            .collect();
        let gone = self.take_recent(|row| gone.contains(&row.id));
        if !gone.is_empty() {
            self.jobs.push(Job::Discard { recent: gone });
        }
    }

    /// Whether raw points of `window` would come too late. Expired points that no tier holds, as after a long outage of
    /// the controller, are not: they are compacted, rolled up and deleted like all others.
    fn is_gone(&self, window: Window) -> bool {
        let is_rolled_up =
            |segment: &SegmentMeta| segment.tier != Tier::Raw && segment.window.overlaps(window);
        window.to <= self.cutoffs.raw
            && (window.to <= self.cutoffs.hour || self.segments.iter().any(is_rolled_up))
    }

    fn compact(&mut self) {
        let mut due: BTreeSet<Window> = BTreeSet::new();
        for row in &self.recent {
            due.extend(self.due_window(row.first));
            due.extend(self.due_window(row.last));
        }
        // Shorter segments, as of an older release, whose window has closed without further rows.
        let window_ms = self.policy.window_ms();
        for segment in self.segments {
            let window = Window::holding(segment.window.from, window_ms);
            if segment.tier == Tier::Raw
                && segment.window != window
                && window.covers(segment.window)
            {
                due.extend(self.is_closed(window).then_some(window));
            }
        }
        for window in due {
            let segments = self.untouched_within(Tier::Raw, window);
            let rows = self
                .recent
                .iter()
                .filter(|row| overlaps(row, window))
                .count();
            // One segment alone is no better as another.
            if rows == 0 && segments.len() < 2 {
                continue;
            }
            let recent = self.take_recent(|row| overlaps(row, window));
            let segments = self.touch(segments);
            self.jobs.push(Job::Compact {
                window,
                recent,
                segments,
            });
        }
    }

    /// The window that a sample at `at` should be compacted into, if its time has come.
    fn due_window(&self, at: Timestamp) -> Option<Window> {
        let window = Window::holding(at, self.policy.window_ms());
        if self.is_gone(window) {
            return None;
        }
        let existing = self
            .segments
            .iter()
            .filter(|segment| segment.tier == Tier::Raw && segment.window.contains(at))
            .map(|segment| segment.window)
            .max_by_key(|window| window.length_ms());
        match existing {
            Some(existing) if existing.length_ms() >= window.length_ms() => Some(existing),
            Some(_) | None if self.is_backlog(at) => Some(Window::holding(at, DAY_MS)),
            Some(_) | None => self.is_closed(window).then_some(window),
        }
    }

    /// Whether the day of `at` has closed and its rows, as of an agent or a controller that was away for long, fit one
    /// job: then they need not become windows first.
    fn is_backlog(&self, at: Timestamp) -> bool {
        let day = Window::holding(at, DAY_MS);
        let rows = self.late.iter().filter(|row| overlaps(row, day)).count();
        self.is_closed(day)
            && rows <= self.policy.day_rows_max
            && size_of(&self.overlapping(Tier::Raw, day)) <= self.policy.merge_bytes_max
    }

    fn merge(&mut self) {
        for tier in Tier::ALL {
            let length_ms = self.policy.longest_ms(tier);
            let after = self.policy.roll_up_after(tier);
            let mut inside: BTreeMap<Window, Vec<SegmentMeta>> = BTreeMap::new();
            for segment in self.segments.iter().filter(|segment| segment.tier == tier) {
                let window = Window::holding(segment.window.from, length_ms);
                if window.covers(segment.window) {
                    inside.entry(window).or_default().push(*segment);
                }
            }
            for (window, segments) in inside {
                let settled = after.map_or(window.to, |after| window.to.saturating_add(after));
                if segments.len() < 2
                    || !self.is_past(settled)
                    || size_of(&segments) > self.policy.merge_bytes_max
                    || self.any_touched(&segments)
                    || tier == Tier::Raw && self.has_recent(window)
                    // The outcome is the newest of its tier, so it must hold all that is older.
                    || self.stale_raw(tier, window).next().is_some()
                {
                    continue;
                }
                let segments = self.touch(segments);
                self.jobs.push(Job::Merge {
                    tier,
                    window,
                    segments,
                });
            }
        }
    }

    fn roll_up(&mut self) {
        let raw = self
            .segments
            .iter()
            .filter(|segment| segment.tier == Tier::Raw);
        let days: BTreeSet<Window> = raw
            .map(|segment| Window::holding(segment.window.from, DAY_MS))
            .collect();
        for day in days {
            for tier in [Tier::Hour, Tier::FiveMinutes] {
                self.roll_up_day(tier, day);
            }
        }
    }

    fn roll_up_day(&mut self, tier: Tier, day: Window) {
        let after = self.policy.roll_up_after(tier).unwrap_or_default();
        let expiring = self
            .stale_raw(tier, day)
            .any(|segment| segment.window.to <= self.cutoffs.raw);
        let due = expiring || self.is_past(day.to.saturating_add(after));
        let is_kept = day.to > self.cutoffs.of(tier);
        if !due || !is_kept || self.stale_raw(tier, day).next().is_none() {
            return;
        }
        let into = self.overlapping(tier, day);
        let window = into.iter().fold(day, |window, segment| Window {
            from: window.from.min(segment.window.from),
            to: window.to.max(segment.window.to),
        });
        let raw = self.overlapping(Tier::Raw, window);
        if !self.is_closed(window)
            || self.has_recent(window)
            || self.any_touched(&raw)
            || self.any_touched(&into)
        {
            return;
        }
        let raw = self.touch(raw);
        let into = self.touch(into);
        self.jobs.push(Job::RollUp {
            tier,
            window,
            raw,
            into,
        });
    }

    /// Raw segments in `window` that `tier` does not hold; none for raw itself.
    fn stale_raw(&self, tier: Tier, window: Window) -> impl Iterator<Item = &SegmentMeta> {
        self.segments.iter().filter(move |segment| {
            segment.tier == Tier::Raw
                && segment.window.overlaps(window)
                && !segment.is_rolled_up(tier, self.segments)
        })
    }

    fn overlapping(&self, tier: Tier, window: Window) -> Vec<SegmentMeta> {
        let overlapping =
            |segment: &&SegmentMeta| segment.tier == tier && segment.window.overlaps(window);
        self.segments.iter().filter(overlapping).copied().collect()
    }

    fn delete(&mut self) {
        let expired = |segment: &&SegmentMeta| {
            let kept_elsewhere = |tier| {
                segment.is_rolled_up(tier, self.segments)
                    || segment.window.to <= self.cutoffs.of(tier)
            };
            segment.window.to <= self.cutoffs.of(segment.tier)
                && !self.touched.contains(&segment.id)
                && (segment.tier != Tier::Raw || Tier::ALL.into_iter().all(kept_elsewhere))
        };
        let gone: Vec<SegmentMeta> = self.segments.iter().filter(expired).copied().collect();
        if !gone.is_empty() {
            let segments = self.touch(gone);
            self.jobs.push(Job::Delete { segments });
        }
    }

    fn take_recent(&mut self, taken: impl Fn(&RecentMeta) -> bool) -> Vec<i64> {
        let ids = self
            .recent
            .iter()
            .filter(|row| taken(row))
            .map(|row| row.id)
            .collect();
        self.recent.retain(|row| !taken(row));
        ids
    }

    fn untouched_within(&self, tier: Tier, window: Window) -> Vec<SegmentMeta> {
        let inside = |segment: &&SegmentMeta| {
            segment.tier == tier
                && window.covers(segment.window)
                && !self.touched.contains(&segment.id)
        };
        self.segments.iter().filter(inside).copied().collect()
    }

    /// Marks segments as taken; the order of their ids is the order in which they were written.
    fn touch(&mut self, mut segments: Vec<SegmentMeta>) -> Vec<i64> {
        segments.sort_by_key(|segment| segment.id);
        let ids: Vec<i64> = segments.iter().map(|segment| segment.id).collect();
        self.touched.extend(&ids);
        ids
    }

    fn any_touched(&self, segments: &[SegmentMeta]) -> bool {
        segments
            .iter()
            .any(|segment| self.touched.contains(&segment.id))
    }

    fn has_recent(&self, window: Window) -> bool {
        self.late.iter().any(|row| overlaps(row, window))
    }

    fn is_closed(&self, window: Window) -> bool {
        self.is_past(window.to)
    }

    fn is_past(&self, at: Timestamp) -> bool {
        at.saturating_add(self.policy.grace) <= self.now
    }
}

fn size_of(segments: &[SegmentMeta]) -> u64 {
    segments
        .iter()
        .fold(0, |sum, segment| sum.saturating_add(segment.bytes))
}

fn overlaps(row: &RecentMeta, window: Window) -> bool {
    row.first < window.to && window.from <= row.last
}
