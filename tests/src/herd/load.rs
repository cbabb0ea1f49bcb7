//! What processes use: CPU seconds over all lives of a controller, memory now, and those of a database with its children.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::Pid;

/// The processes that are followed; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Loads(Arc<Mutex<BTreeMap<i32, Duration>>>);

impl Loads {
    /// Follows another controller, or another life of one.
    pub fn add(&self, controller: Pid) {
        self.lives().insert(controller.as_raw_pid(), Duration::ZERO);
    }

    /// CPU of all controllers over all their lives. What a life used after the last look before its end is not known.
    #[must_use]
    pub fn controllers_cpu(&self) -> Duration {
        let mut lives = self.lives();
        for (life, used) in lives.iter_mut() {
            if let Some(stat) = Stat::of(*life) {
                *used = (*used).max(stat.own);
            }
        }
        lives.values().sum()
    }

    fn lives(&self) -> MutexGuard<'_, BTreeMap<i32, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// CPU of a database: of the process that starts all others, of those that run, and of those that ended.
#[must_use]
pub fn family_cpu(parent: Pid) -> Duration {
    let parent = parent.as_raw_pid();
    let family = Stat::of(parent).map(|stat| stat.own + stat.ended_children);
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = children.filter_map(|entry| {
        let stat = Stat::of(entry.file_name().to_str()?.parse().ok()?)?;
        (stat.parent == parent).then_some(stat.own)
    });
    children.sum::<Duration>() + family.unwrap_or_default()
}

/// Resident memory of a process in MB, now and at most.
#[must_use]
pub fn resident_mb(process: Pid) -> Option<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_pid())).ok()?;
    let mb = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kb: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kb / 1_000.0)
    };
    Some((mb("VmRSS:")?, mb("VmHWM:")?))
}

/// Of `/proc/PID/stat` (proc(5)).
struct Stat {
    parent: i32,
    own: Duration,
    ended_children: Duration,
}

impl Stat {
    fn of(process: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name may hold anything; after it come the state, the parent, and twelve fields on the times.
        let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let time = |ticks: u64| Duration::from_millis(ticks * 1_000 / clock_ticks_per_second());
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: time(ticks(11)? + ticks(12)?),
            ended_children: time(ticks(13)? + ticks(14)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_seen_with_its_memory_and_its_cpu() {
        let this = rustix::process::getpid();
        let (now, most) = resident_mb(this).unwrap();
        assert!(now > 1.0 && most >= now, "{now} {most}");
        let stat = Stat::of(this.as_raw_pid()).unwrap();
        let parent = rustix::process::getppid().unwrap();
        assert_eq!(stat.parent, parent.as_raw_pid());
        assert!(family_cpu(this) >= stat.own);
    }
}
